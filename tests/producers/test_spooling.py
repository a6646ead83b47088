"""The gateway without its broker, over HTTP: what it answers, and what stands in the topics once the broker is back."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from deploy.engines.ports import Ports
from producers.publisher import Publisher, Record
from producers.spool import Spool
from producers.spool_drain import Drain
from schemas.arrival import SENT_SLACK_MS, arrived
from schemas.catalogue import Catalogue
from schemas.clock import system_clock
from schemas.errors import UnavailableError
from schemas.event import natural_id
from schemas.keyring import Keyring
from schemas.killpoint import KillPoints
from schemas.readiness import Readiness
from schemas.repeats import RepeatFilter, id_words
from schemas.settings import Settings, keyring_path, to_environ
from schemas.telemetry import Telemetry
from schemas.topics import HISTORY, LIVE, REJECTED
from tests.faults.proxy import Proxy
from tests.producers.conftest import KEY, Broker, Published, Running, serve

HTTP = httpx.Client(timeout=30, limits=httpx.Limits(max_keepalive_connections=0))
running = contextmanager(serve)
BEARER = {"Authorization": f"Bearer {KEY}"}
CARD = LIVE[next(channel for channel in LIVE if channel == "card")]
assert CARD.repeat_window_ms is not None
assert CARD.live_max_age_ms is not None
LONGEST_LIE_MS = CARD.repeat_window_ms - CARD.live_max_age_ms


@pytest.fixture
def link(broker: Broker) -> Iterator[Proxy]:
    """A way to the broker that is cut. Only what has not yet found the broker needs it, so an outage begins with a start."""
    ports = Ports()
    made = Proxy(ports.take(24_092), int(broker.bootstrap.rpartition(":")[2]))
    made.cut()
    yield made
    made.close()
    ports.release()


def settings(broker: Broker, link: Proxy, folder: Path, **changes: Any) -> Settings:
    keyring = str(keyring_path(broker.settings()))  # of the sealed texts, which the reader of the topics opens
    return broker.settings(kafka_bootstrap=f"127.0.0.1:{link.port}", data_dir=str(folder), keyring=keyring, **changes)


def event(**fields: Any) -> dict[str, Any]:
    return {"id": str(uuid.uuid4()), "channel": "card", "answers": [{"question": "csat", "score": 5}]} | fields


def post(url: str, *events: Any) -> httpx.Response:
    return HTTP.post(f"{url}/v1/feedback", content=json.dumps(events), headers=BEARER)


def until(there: Callable[[], bool], what: str, timeout_s: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not there():
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.05)


def records_in(gateway: Running) -> float:
    HTTP.get(f"{gateway.url}/metrics")
    return gateway.telemetry.registry.get_sample_value("barometer_spool_records") or 0.0


def first_only(found: Sequence[Published]) -> Counter[str]:
    """Return id -> copies that the repeat filter lets through, partition by partition, as the sink and the tally see them."""
    by_place: dict[tuple[str, int], list[str]] = defaultdict(list)
    for one in found:
        if "event_id" in one.record:
            by_place[one.topic, one.partition].append(one.record["event_id"])
    out: Counter[str] = Counter()
    for ids in by_place.values():
        fresh = RepeatFilter(1_000_000).first(id_words(ids), np.zeros(len(ids), dtype=np.int64))
        out.update(one for one, is_first in zip(ids, fresh, strict=True) if is_first)
    return out


def test_an_outage_is_taken_on_the_disk_and_comes_out_in_order_once_each(
    broker: Broker, catalogue: Catalogue, link: Proxy, tmp_path: Path
) -> None:
    people = [f"person-{n}" for n in range(3)]
    sent: dict[str, list[str]] = {one: [] for one in people}
    with running(settings(broker, link, tmp_path), catalogue, wait_ready=False, spool=True) as gateway:
        until(lambda: HTTP.get(f"{gateway.url}/readyz").status_code == 200, "readiness by the spool")
        for n in range(30):
            one = event(customer={"id": people[n % 3]}, touchpoint=f"touchpoint-{n}", text="Zwiebelkuchen")
            answer = post(gateway.url, one, {"channel": "card", "mood": n})
            assert (202, 1, 1) == (answer.status_code, answer.json()["accepted"], len(answer.json()["rejected"]))
            sent[people[n % 3]].append(one["id"])
        ready = HTTP.get(f"{gateway.url}/readyz").json()
        assert {"ready": True, "failing": {}} == {name: ready[name] for name in ("ready", "failing")}
        assert "60 records" in ready["notes"]["spool"]
        assert "kafka" in ready["notes"]
        metrics = HTTP.get(f"{gateway.url}/metrics").text
        assert "barometer_spool_records 60.0" in metrics
        assert 'barometer_spooled_total{topic="feedback.card.v1"} 30.0' in metrics
        written = b"".join(one.read_bytes() for one in (tmp_path / "spool").iterdir())
        for plain in (b"Zwiebelkuchen", b"touchpoint-1", b"mood", sent[people[0]][0].encode()):
            assert plain not in written
        link.mend()
        until(lambda: not records_in(gateway), "drain")
        last = event(customer={"id": people[0]})
        assert 202 == post(gateway.url, last).status_code
        sent[people[0]].append(last["id"])
        assert {"ready": True, "failing": {}} == HTTP.get(f"{gateway.url}/readyz").json()
        counted = gateway.telemetry.registry.get_sample_value
        assert 30 == counted("barometer_spool_drained_total", {"topic": "feedback.card.v1"})
        assert 30 == counted("barometer_spool_drained_total", {"topic": REJECTED.name})
    found = broker.published()
    for person in people:
        assert sent[person] == [one.record["event_id"] for one in found if one.record.get("event_id") in sent[person]]
    assert {CARD.name} == {one.topic for one in found if one.record.get("event_id") in {*chain(*sent.values())}}
    refused = Counter(one.record["rejected_id"] for one in found if one.topic == REJECTED.name)
    assert [1] * 30 == list(refused.values())


def test_a_full_spool_is_503_with_the_time_to_wait_and_takes_again_after_the_drain(
    broker: Broker, catalogue: Catalogue, link: Proxy, tmp_path: Path
) -> None:
    taken: list[str] = []
    with running(
        settings(broker, link, tmp_path, spool_max_bytes=20_000), catalogue, wait_ready=False, spool=True
    ) as gateway:
        while (answer := post(gateway.url, one := event())).status_code == 202:
            taken.append(one["id"])
        assert (503, "unavailable") == (answer.status_code, answer.json()["error"])
        assert int(answer.headers["Retry-After"]) > 0
        ready = HTTP.get(f"{gateway.url}/readyz")
        assert 503 == ready.status_code
        assert "full" in ready.json()["failing"]["spool"]
        link.mend()
        until(lambda: HTTP.get(f"{gateway.url}/readyz").status_code == 200, "readiness")
        assert 202 == post(gateway.url, one).status_code
        until(lambda: not records_in(gateway), "drain")
    assert taken
    assert Counter([*taken, one["id"]]) == Counter(
        found.record["event_id"] for found in broker.published() if found.record.get("event_id") in {*taken, one["id"]}
    )


class Unheard(Publisher):
    """The real publisher; the broker's first acknowledgement is lost on its way back."""

    lost = 1

    async def publish(self, records: Sequence[Record]) -> None:
        """Publish, and perhaps say that nobody knows."""
        await super().publish(records)
        if self.lost:
            self.lost -= 1
            raise UnavailableError("not_durable", "no acknowledgement in time")


def test_an_event_whose_acknowledgement_was_lost_stands_twice_where_the_repeat_filter_finds_it(
    broker: Broker, catalogue: Catalogue, tmp_path: Path
) -> None:
    """After a lie longer than W - H the copy is in the history lane instead, where the gate asks the store for its id."""
    one = event(customer={"id": "c1"})
    with running(broker.settings(), catalogue, spool=True, publisher_type=Unheard) as gateway:
        assert 202 == post(gateway.url, one).status_code
        until(lambda: not records_in(gateway), "drain")
    copies = [found for found in broker.published() if found.record.get("event_id") == one["id"]]
    assert 2 == len(copies)
    assert 1 == len({(copy.topic, copy.partition) for copy in copies})
    assert {one["id"]: 1} == dict(first_only(copies))


class Doubted(Publisher):
    """The real publisher, whose last probe always went unanswered."""

    doubted = property(lambda self: True, lambda self, value: None)  # type: ignore[assignment]

    async def publish(self, records: Sequence[Record]) -> None:
        """Nobody waits for this."""
        raise AssertionError


def test_while_a_probe_goes_unanswered_no_request_waits_for_the_broker(broker: Broker, catalogue: Catalogue) -> None:
    one = event()
    with running(broker.settings(), catalogue, spool=True, publisher_type=Doubted) as gateway:
        assert 202 == post(gateway.url, one).status_code
        until(lambda: not records_in(gateway), "drain")
    assert 1 == len([found for found in broker.published() if found.record.get("event_id") == one["id"]])


def gateway_process(broker: Broker, link: Proxy, folder: Path, port: int, kill_point: str = "") -> Any:
    own = settings(broker, link, folder, gateway_port=port, kill_point=kill_point, log_level="warning")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BAROMETER_")}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", "gateway"], env=environ | to_environ(own), stdout=log, stderr=log
        )


def listens(url: str) -> bool:
    try:
        return HTTP.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_kill_minus_nine_before_the_answer_and_before_the_delete_loses_and_doubles_nothing(
    broker: Broker, link: Proxy, tmp_path: Path
) -> None:
    ports = Ports()
    port = ports.take(24_080)
    url = f"http://127.0.0.1:{port}"
    sent = [event(id=f"killed-{uuid.uuid4()}", customer={"id": "c9"}) for _ in range(6)]
    gateway = gateway_process(broker, link, tmp_path, port, "gateway.after_spool:5")
    try:
        until(lambda: listens(url), "gateway")
        assert [202] * 4 == [post(url, one).status_code for one in sent[:4]]
        with pytest.raises(httpx.TransportError):
            post(url, sent[4])  # on the disk, never answered
        assert -signal.SIGKILL == gateway.wait(60)

        gateway = gateway_process(broker, link, tmp_path, port, "spool.before_delete")
        until(lambda: listens(url), "gateway")
        assert 202 == post(url, sent[4]).status_code  # the client asks again
        assert 202 == post(url, sent[5]).status_code
        gateway.kill()
        gateway.wait(60)

        gateway = gateway_process(broker, link, tmp_path, port, "spool.before_delete")
        link.mend()
        assert -signal.SIGKILL == gateway.wait(90)  # acknowledged, not yet deleted

        gateway = gateway_process(broker, link, tmp_path, port)
        until(lambda: listens(url), "gateway")
        until(lambda: "barometer_spool_records 0.0" in HTTP.get(f"{url}/metrics").text, "drain")
        gateway.terminate()
        assert 0 == gateway.wait(60)
    finally:
        gateway.kill()
        ports.release()
    ids = [natural_id("shop", one["id"]) for one in sent]
    found = [one for one in broker.published() if one.record.get("event_id") in ids]
    assert Counter(dict.fromkeys(ids, 1)) == first_only(found)
    in_order = [one.record["event_id"] for one in found]
    once = [*ids[:5], ids[4], ids[5]]
    assert once + once == in_order


class Now:
    """A clock that the test sets."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms


@pytest.fixture(scope="module")
def publisher(broker: Broker) -> Iterator[Publisher]:
    made = Publisher(broker.settings(), clock=system_clock, telemetry=Telemetry(), readiness=Readiness())
    made.start()
    made.wait_ready(20)
    yield made
    made.close()


def drain_of(spool: Spool, publisher: Publisher, now: Now) -> Drain:
    return Drain(
        spool,
        publisher,
        clock=now,
        telemetry=Telemetry(),
        kill_points=KillPoints(""),
        slack_ms=0,
        failed=lambda _: None,
    )


def test_what_lay_longer_than_the_repeat_window_allows_takes_the_history_lane(
    broker: Broker, publisher: Publisher, gateway: Running, tmp_path: Path
) -> None:
    """Its `sent` is the time of its way out: as of its arrival nothing was known before, and panes of the outage are closed."""
    template = event()
    assert 202 == post(gateway.url, template).status_code
    [live] = [one for one in broker.published() if one.record.get("event_id") == template["id"]]
    late, fresh = (live.value.replace(template["id"].encode(), str(uuid.uuid4()).encode()) for _ in range(2))
    now = Now(system_clock() - 2 * LONGEST_LIE_MS)
    spool = Spool(tmp_path, keys=Keyring(tmp_path / "keys.sqlite", clock=now), clock=now)
    spool.append([[Record(CARD.name, live.key, late), Record(REJECTED.name, b"r", live.value)]])
    now.ms += LONGEST_LIE_MS + 1
    spool.append([[Record(CARD.name, live.key, fresh)]])
    now.ms += LONGEST_LIE_MS
    began = system_clock()
    drain_of(spool, publisher, now).step()
    assert 0 == spool.records
    spool.close()
    lanes = {one.value: one for one in broker.published()}
    assert (HISTORY.name, CARD.name) == (lanes[late].topic, lanes[fresh].topic)
    for one in (lanes[late], lanes[fresh]):
        sent = int(one.headers["sent"])
        assert sent >= began
        assert arrived(0, began, sent) == began
        spooled_at = began - LONGEST_LIE_MS
        assert arrived(0, began, spooled_at) == spooled_at + SENT_SLACK_MS < began  # what the time of capture would say


def test_an_entry_that_its_keys_do_not_open_is_kept_and_the_others_go_out(
    broker: Broker, publisher: Publisher, tmp_path: Path
) -> None:
    now = Now(system_clock())
    mark = uuid.uuid4().bytes
    first, second, third = (Record(REJECTED.name, mark, b"\x00" + bytes([n])) for n in range(3))
    spool = Spool(tmp_path, keys=Keyring(tmp_path / "keys.sqlite", clock=now), clock=now)
    spool.append([[first]])
    spool.append([[second]])
    spool.append([[third]])
    whole = spool._db.execute("SELECT sealed FROM entries WHERE seq = 2").fetchone()[0]
    spool._db.execute("UPDATE entries SET sealed = ? WHERE seq = 2", (whole[:-1] + bytes([whole[-1] ^ 1]),))
    drain = drain_of(spool, publisher, now)
    drain.step()
    assert (1, 1, 3, 3) == (spool.records, spool.unreadable, spool.last_seq, drain.cursor)
    spool._db.execute("UPDATE entries SET sealed = ? WHERE seq = 2", (whole,))
    spool.close()
    spool = Spool(tmp_path, keys=Keyring(tmp_path / "keys.sqlite", clock=now), clock=now)
    drain_of(spool, publisher, now).step()  # the next start tries it again
    assert (0, 0) == (spool.records, spool.unreadable)
    spool.close()
