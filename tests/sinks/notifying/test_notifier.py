"""The notifier against a real broker: each transition told to each receiver, whatever fails, stops or is killed."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from deploy.engines.local import Endpoints
from deploy.topics import configuration
from schemas.clock import system_clock
from schemas.codec import Kind, encode
from schemas.outputs import transition_id
from schemas.readiness import Readiness
from schemas.settings import Settings, to_environ
from schemas.telemetry import Telemetry
from schemas.topics import ALARMS, IMMEDIATE
from schemas.windows import HOUR_MS
from sinks.notifying.notifier import notify_group, run_notify
from sinks.notifying.transition import Transition
from tests.sinks.notifying.conftest import Answer, HttpReceiver, SmtpReceiver, step, until

ROOT = Path(__file__).parents[3]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PROCESS = "import sys; from deploy.cli import main; main(['notify'])"


@dataclass
class Place:
    """The two topics of alarms under a prefix of their own."""

    settings: Settings
    admin: KafkaAdminClient
    producer: KafkaProducer

    def name(self, topic: Any) -> str:
        return self.settings.topic_prefix + topic.name

    def publish(self, *steps: Transition, commit: bool = True) -> None:
        """Write steps of the judge in one transaction, as the judge does."""
        self.producer.begin_transaction()
        for one in steps:
            self.producer.send(self.name(ALARMS), key=one.alarm_id.encode(), value=wire(one))
        self.producer.flush()
        if commit:
            self.producer.commit_transaction()
        else:
            self.producer.abort_transaction()

    def publish_at_once(self, *values: bytes) -> None:
        """Write values to the topic of immediate alarms, without a transaction."""
        producer = KafkaProducer(bootstrap_servers=self.settings.kafka_bootstrap, acks="all")
        for value in values:
            producer.send(self.name(IMMEDIATE), key=b"k", value=value)
        producer.close()

    def positions(self, receiver: str) -> dict[str, tuple[int, dict[str, Any]]]:
        group = self.settings.topic_prefix + notify_group(receiver)
        found = self.admin.list_group_offsets(group).get(group, {})
        return {tp.topic: (one.offset, json.loads(one.metadata)) for tp, one in found.items() if one.offset >= 0}


def wire(one: Transition) -> bytes:
    evidence = {
        "strata": {"card": {"n": one.n}},
        **({"silenced_until": one.silenced_until} if one.silenced_until else {}),
    }
    more = {"definition_hash": "d", "note": "Mrs Martin", "actor": "x", "evidence": json.dumps(evidence)}
    return encode(Kind.TRANSITION, {**msgspec.to_builtins(one), **more})


@pytest.fixture
def place(engines: Endpoints, topic_prefix: str, tmp_path: Path) -> Iterator[Place]:
    admin = KafkaAdminClient(bootstrap_servers=engines.kafka_bootstrap)
    names = [topic_prefix + topic.name for topic in (ALARMS, IMMEDIATE)]
    for topic in (ALARMS, IMMEDIATE):
        admin.create_topics(
            [
                NewTopic(
                    topic_prefix + topic.name,
                    num_partitions=1,
                    replication_factor=1,
                    topic_configs=configuration(topic),
                )
            ]
        )
    admin.wait_for_topics(names)
    producer = KafkaProducer(
        bootstrap_servers=engines.kafka_bootstrap, acks="all", transactional_id=topic_prefix + "judge"
    )
    producer.init_transactions()
    settings = Settings(kafka_bootstrap=engines.kafka_bootstrap, topic_prefix=topic_prefix, data_dir=str(tmp_path))
    yield Place(settings, admin, producer)
    producer.close()
    admin.delete_topics(names)
    admin.close()


@dataclass
class Running:
    readiness: Readiness
    telemetry: Telemetry

    def count(self, outcome: str, receiver: str = "webhook") -> float:
        labels = {"receiver": receiver, "outcome": outcome}
        return self.telemetry.registry.get_sample_value("barometer_notifications_total", labels) or 0.0


@asynccontextmanager
async def notifying(settings: Settings, **more: Any) -> AsyncIterator[Running]:
    """Run the notifier and end it in good order."""
    running, stop = Running(Readiness(), Telemetry()), asyncio.Event()
    task = asyncio.create_task(
        run_notify(settings, running.telemetry, running.readiness, stop=stop, chance=lambda: 0.0, **more)
    )
    try:
        yield running
    finally:
        stop.set()
        await task


def to(place: Place, webhook: HttpReceiver | None = None, **more: str) -> Settings:
    """Return settings that name receivers."""
    if webhook is not None:
        more |= {"notify_webhook_url": webhook.url, "notify_webhook_secret": SECRET}
    return msgspec.structs.replace(place.settings, **more)


def names(receiver: HttpReceiver) -> list[str]:
    return [one.headers["webhook-id"] for one in receiver.requests]


def now_step(alarm: str = "a" * 32, sequence: int = 1, state: str = "open", **more: Any) -> Transition:
    now = system_clock()
    return step(alarm, sequence, state, pane=now, first_pane=now, **more)


def ids(alarm: str, *sequences: int) -> list[str]:
    return [transition_id(alarm, one) for one in sequences]


def firing(manager: HttpReceiver) -> dict[str, str]:
    """Return alarm id -> state as the Alertmanager was told it last."""
    posted = [one for request in list(manager.requests) for one in json.loads(request.body)]
    return {one["labels"]["alarm_id"]: one["annotations"]["state"] for one in posted}


def test_every_receiver_is_told_once_and_a_restart_tells_nothing_twice(
    place: Place, http_receiver: HttpReceiver, smtp_receiver: SmtpReceiver
) -> None:
    manager = HttpReceiver()
    settings = to(
        place, http_receiver, alertmanager_url=manager.url, notify_smtp_url=f"smtp://127.0.0.1:{smtp_receiver.port}",
        notify_mail_from="b@shop.example", notify_mail_to="duty@shop.example",
    )  # fmt: skip
    alarm, dispute = "a" * 32, "d" * 32
    opened = now_step(alarm)
    place.publish(opened, now_step("e" * 32, state="pending"))
    place.publish(now_step("e" * 32, 2, "resolved"))
    place.publish(now_step("f" * 32), commit=False)
    immediate = wire(now_step(dispute, rule="dispute", metric="dispute", event_id="ev-1"))
    place.publish_at_once(immediate, b"no transition", immediate)

    async def run() -> None:
        async with notifying(settings) as running:
            await until(lambda: len(smtp_receiver.mails) == 2 and len(http_receiver.requests) == 2)
            await until(lambda: not running.readiness.failing())
            place.publish(now_step(alarm, 2, "resolved"))
            await until(lambda: len(http_receiver.requests) == 3)
        place.publish_at_once(immediate)
        place.publish(opened, now_step(alarm, 3, "open"))
        async with notifying(settings):
            await until(lambda: len(http_receiver.requests) == 4 and len(smtp_receiver.mails) == 4)
            await until(lambda: place.positions("webhook")[place.name(IMMEDIATE)][0] == 4)
            await until(lambda: firing(manager) == {alarm: "open", dispute: "open"})

    asyncio.run(run())
    manager.close()
    assert sorted(names(http_receiver)[:2]) == sorted(ids(alarm, 1) + ids(dispute, 1))
    assert names(http_receiver)[2:] == ids(alarm, 2, 3)
    everything = b"".join(one.body for one in http_receiver.requests + manager.requests)
    assert b"Martin" not in everything + b"".join(content for *_, content in smtp_receiver.mails)
    assert firing(manager) == {alarm: "open", dispute: "open"}
    assert all("trying" not in mark for _, mark in place.positions("webhook").values())


def test_a_receiver_that_fails_in_stages_is_told_once_and_holds_no_other_back(
    place: Place, http_receiver: HttpReceiver, smtp_receiver: SmtpReceiver
) -> None:
    http_receiver.script = [Answer(500, wait_s=60), Answer(429, {"retry-after": "1"}), Answer(503)]
    dead = HttpReceiver()
    dead.close()
    settings = to(
        place, http_receiver, alertmanager_url=dead.url, notify_smtp_url=f"smtp://127.0.0.1:{smtp_receiver.port}",
        notify_mail_from="b@shop.example", notify_mail_to="duty@shop.example",
    )  # fmt: skip
    alarm = "a" * 32
    place.publish(now_step(alarm), now_step(alarm, 2, "acknowledged"))

    async def run() -> None:
        async with notifying(settings) as running:
            await until(lambda: len(smtp_receiver.mails) == 2)
            assert running.count("told") == 0
            http_receiver.released.set()
            await until(lambda: len(http_receiver.requests) == 5)
            await until(lambda: running.count("told") == 2)
            assert (running.count("failed"), running.count("told", "mail")) == (3, 2)
            assert running.count("failed", "alertmanager") >= 1
            assert running.count("told", "alertmanager") == 0
            revived = HttpReceiver(port=dead.port)
            await until(lambda: running.count("told", "alertmanager") == 2)
            revived.close()
            lag = running.telemetry.registry.get_sample_value("barometer_notify_lag_seconds", {"receiver": "mail"})
            assert lag == 0.0

    asyncio.run(run())
    assert names(http_receiver) == ids(alarm, 1) * 4 + ids(alarm, 2)


def test_a_refusal_is_counted_and_shown_and_the_next_alarm_is_told_though_silenced(
    place: Place, http_receiver: HttpReceiver
) -> None:
    http_receiver.script = [Answer(401)]
    place.publish(now_step())

    async def run() -> None:
        async with notifying(to(place, http_receiver)) as running:
            await until(lambda: running.count("refused") == 1)
            await until(lambda: "401" in running.readiness.failing().get("notify webhook", ""))
            place.publish(now_step("b" * 32, silenced_until=2 * system_clock()))
            await until(lambda: running.count("told") == 1)
            await until(lambda: not running.readiness.failing())

    asyncio.run(run())
    assert names(http_receiver) == ids("a" * 32, 1) + ids("b" * 32, 1)
    assert [json.loads(one.body)["data"]["level"] for one in http_receiver.requests] == ["page", "info"]


def test_after_an_outage_old_alarms_are_one_digest_and_new_ones_are_pages(
    place: Place, http_receiver: HttpReceiver
) -> None:
    old: Sequence[Transition] = [step(f"{i:032x}", pane=system_clock() - 2 * HOUR_MS + i) for i in range(30)]
    for one in old[:20]:
        place.publish(one)
    place.publish_at_once(*map(wire, old[20:]))
    place.publish(now_step())

    async def run() -> None:
        async with notifying(to(place, http_receiver)) as running:
            await until(lambda: running.count("told") == 1)
            await until(lambda: len(place.positions("webhook")) == 2)

    asyncio.run(run())
    digest, page = [json.loads(one.body) for one in http_receiver.requests]
    assert (digest["type"], digest["data"]["count"], digest["data"]["level"]) == ("alarms.digest", 30, "info")
    assert (page["type"], page["data"]["level"]) == ("alarm.open", "page")
    late = {name for _, mark in place.positions("webhook").values() for name in mark["late"]}
    assert late == {one.alarm_id[:12] for one in old}


def test_what_ages_while_a_receiver_is_surely_without_it_becomes_a_digest(
    place: Place, http_receiver: HttpReceiver
) -> None:
    http_receiver.script = [Answer(503)]
    place.publish(now_step(), now_step("b" * 32))
    ahead_ms = 0

    async def run() -> None:
        nonlocal ahead_ms
        async with notifying(to(place, http_receiver), clock=lambda: system_clock() + ahead_ms) as running:
            await until(lambda: running.count("failed") == 1)
            ahead_ms = 2 * HOUR_MS
            await until(lambda: running.count("digest") == 1)

    asyncio.run(run())
    first, digest = http_receiver.requests
    assert first.headers["webhook-id"] == transition_id("a" * 32, 1)
    assert json.loads(digest.body)["data"]["count"] == 2


def test_a_digest_in_doubt_is_told_again_as_it_was_cut(place: Place, http_receiver: HttpReceiver) -> None:
    """A digest that may have been taken keeps its id, though more has become old meanwhile and the process is another."""
    http_receiver.script = [Answer(500, {"retry-after": "3600"})]
    place.publish(step(pane=system_clock() - 2 * HOUR_MS))

    async def run() -> None:
        async with notifying(to(place, http_receiver)) as running:
            await until(lambda: running.count("failed") == 1)
        place.publish(step("b" * 32, pane=system_clock() - 2 * HOUR_MS))
        async with notifying(to(place, http_receiver)) as running:
            await until(lambda: running.count("digest") == 2)

    asyncio.run(run())
    first, again, second = http_receiver.requests
    assert (first.headers["webhook-id"], first.body) == (again.headers["webhook-id"], again.body)
    assert second.headers["webhook-id"] != first.headers["webhook-id"]
    assert json.loads(second.body)["data"]["transitions"][0]["alarm_id"] == "b" * 32


def test_a_kill_before_the_answer_tells_the_same_id_once_more_and_then_goes_on(
    place: Place, http_receiver: HttpReceiver
) -> None:
    http_receiver.script = [Answer(200), Answer(200, wait_s=60)]
    place.publish(now_step(), now_step("b" * 32), now_step("c" * 32))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BAROMETER_")}
    environ |= to_environ(to(place, http_receiver))

    process = subprocess.Popen([sys.executable, "-c", PROCESS], env=environ, cwd=ROOT)

    async def run() -> None:
        await until(lambda: len(http_receiver.requests) == 2)
        process.kill()
        process.wait()
        http_receiver.released.set()
        async with notifying(to(place, http_receiver)) as running:
            await until(lambda: running.count("told") == 2)

    asyncio.run(run())
    assert names(http_receiver) == ids("a" * 32, 1) + ids("b" * 32, 1) * 2 + ids("c" * 32, 1)


def test_of_two_notifiers_one_tells_and_the_other_takes_over(
    place: Place, http_receiver: HttpReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.owner.SESSION_MS", 6_000)  # the least that a broker takes
    first, second = to(place, http_receiver), to(place, http_receiver, data_dir=str(tmp_path / "other"))

    async def run() -> None:
        async with notifying(first) as one:
            await until(lambda: one.readiness.failing() == {} and len(http_receiver.requests) == 0)
            place.publish(now_step())
            await until(lambda: one.count("told") == 1)
            other = notifying(second)
            two = await other.__aenter__()
            await until(lambda: "stands by" in two.readiness.failing().get("notify webhook", ""))
            place.publish(now_step("b" * 32))
            await until(lambda: len(http_receiver.requests) == 2)
        place.publish(now_step("c" * 32))
        await until(lambda: two.count("told") >= 1)
        await other.__aexit__(None, None, None)

    asyncio.run(run())
    assert names(http_receiver) == ids("a" * 32, 1) + ids("b" * 32, 1) + ids("c" * 32, 1)
