"""What a process tells operations: alive, ready or what fails, and its metrics."""

import json
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from deploy.ops import OpsServer
from schemas.errors import SettingsError
from schemas.readiness import Readiness
from schemas.telemetry import Telemetry


@pytest.fixture
def served() -> Iterator[tuple[OpsServer, Readiness, Telemetry]]:
    telemetry, readiness = Telemetry(), Readiness("kafka")
    server = OpsServer("127.0.0.1", 0, telemetry.registry, readiness)
    yield server, readiness, telemetry
    server.close()


def test_a_process_is_ready_when_no_check_fails_and_says_which_one_does(
    served: tuple[OpsServer, Readiness, Telemetry],
) -> None:
    server, readiness, _ = served
    with pytest.raises(HTTPError) as caught:
        urlopen(f"http://127.0.0.1:{server.port}/readyz")
    assert 503 == caught.value.code
    assert {"ready": False, "failing": {"kafka": "not yet reached"}} == json.load(caught.value)
    readiness.ok("kafka")
    with urlopen(f"http://127.0.0.1:{server.port}/readyz") as answer:
        assert {"ready": True, "failing": {}} == json.load(answer)


def test_metrics_are_served_in_the_text_format(served: tuple[OpsServer, Readiness, Telemetry]) -> None:
    server, _, telemetry = served
    telemetry.count("repeats_total", 3, stage="tally", topic="feedback.card.v1")
    with urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
        text = answer.read().decode()
    assert 'barometer_repeats_total{stage="tally",topic="feedback.card.v1"} 3.0' in text


def test_a_taken_port_is_said_with_the_setting_to_change(served: tuple[OpsServer, Readiness, Telemetry]) -> None:
    with pytest.raises(SettingsError, match="BAROMETER_OPS_PORT"):
        OpsServer("127.0.0.1", served[0].port, Telemetry().registry, Readiness())
