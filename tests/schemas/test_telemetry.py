"""Metrics: declared once, conventional names, no series without data."""

from typing import get_args

from prometheus_client import generate_latest

from schemas.telemetry import SPECS, Name, Telemetry


def test_every_name_is_declared_and_nothing_else() -> None:
    assert set(get_args(Name)) == set(SPECS)


def test_names_follow_the_conventions() -> None:
    for name, spec in SPECS.items():
        assert name.endswith("_total") == (spec.kind == "counter"), name
        assert not set(spec.labels) & {"subject", "event_id", "customer", "email"}, name


def test_a_metric_appears_with_its_first_value_and_a_forgotten_key_is_gone() -> None:
    telemetry = Telemetry()
    assert generate_latest(telemetry.registry) == b""
    telemetry.set("alarms_open", 1, metric="csat", severity="page", state="open")
    assert b'barometer_alarms_open{metric="csat",severity="page",state="open"} 1.0' in generate_latest(
        telemetry.registry
    )
    telemetry.forget("alarms_open", metric="csat", severity="page", state="open")
    assert b"page" not in generate_latest(telemetry.registry)
