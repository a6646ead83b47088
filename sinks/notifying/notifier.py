"""The notifier: one member of a consumer group for each receiver, so that a slow or dead one holds no other back."""

import asyncio
import random
from collections.abc import Callable, Mapping
from pathlib import Path

from aiokafka.errors import IllegalStateError

from schemas.clock import Clock, system_clock
from schemas.errors import SettingsError
from schemas.readiness import Readiness
from schemas.settings import Settings, notified
from schemas.telemetry import Telemetry
from schemas.topics import ALARMS, IMMEDIATE
from sinks.notifying.alertmanager import Alertmanager
from sinks.notifying.mail import Mail
from sinks.notifying.outcomes import Chance
from sinks.notifying.receiver import Receiver, Work
from sinks.notifying.telling import Telling
from sinks.notifying.webhook import Webhook
from sinks.owner import Lease, NotOwnerError, Ownership, check_group, join_group

TOPICS = (ALARMS, IMMEDIATE)
RECEIVERS: Mapping[str, Callable[[Settings, Clock], Receiver]] = {
    "alertmanager": Alertmanager, "webhook": Webhook, "mail": Mail,
}  # fmt: skip
STANDBY_S = 0.1
CHANCE = random.SystemRandom().random


def notify_group(receiver: str) -> str:
    """Return the consumer group that tells one receiver."""
    return f"barometer-notify-{receiver}"


class Notifier:
    """Tells one receiver; idle until it owns all partitions of its group."""

    def __init__(
        self,
        settings: Settings,
        telemetry: Telemetry,
        readiness: Readiness,
        receiver: Receiver,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self._work = Work(
            settings=settings, telemetry=telemetry, readiness=readiness, clock=clock, chance=chance, receiver=receiver,
            topics={settings.topic_prefix + topic.name: topic for topic in TOPICS}, ownership=Ownership(),
        )  # fmt: skip
        self._group = settings.topic_prefix + notify_group(receiver.name)
        self._lease = Lease(Path(settings.data_dir), self._group)

    async def run(self, stop: asyncio.Event) -> None:
        """Tell until `stop`. Any exception means: this process must end; nothing was committed that was not told."""
        work = self._work
        work.readiness.fail(work.check, "starts")
        work.count("refused", 0)
        try:
            while not self._lease.take():
                work.readiness.fail(work.check, "stands by: another process of this data folder tells")
                await asyncio.sleep(STANDBY_S)
                if stop.is_set():
                    return
            await self._tell(stop)
        finally:
            await work.receiver.close()
            self._lease.release()

    async def _tell(self, stop: asyncio.Event) -> None:
        work = self._work
        consumer = await join_group(
            work.settings.kafka_bootstrap, self._group, work.topics, self._lease, work.ownership, since_ms=work.clock()
        )
        try:
            while not stop.is_set():
                if not work.ownership.begin():
                    work.readiness.fail(work.check, "stands by: another member of the group tells")
                    check_group(consumer)
                    await asyncio.sleep(STANDBY_S)
                    continue
                try:
                    telling = await Telling.begin(work, consumer)
                    work.readiness.ok(work.check)
                    while not stop.is_set():
                        await telling.step()
                except (NotOwnerError, IllegalStateError):  # aiokafka's word for a partition that has just been revoked
                    work.readiness.fail(work.check, "lost its partitions to another member")
                    await asyncio.sleep(STANDBY_S)
        finally:
            await consumer.stop()


async def run_notify(
    settings: Settings,
    telemetry: Telemetry,
    readiness: Readiness,
    *,
    stop: asyncio.Event | None = None,
    clock: Clock = system_clock,
    chance: Chance = CHANCE,
) -> None:
    """Tell every receiver that the settings name, until `stop` is set. Raises whatever ends one of them; then all end."""
    names = notified(settings)
    if not names:
        raise SettingsError(
            "setting_missing", "no receiver is named",
            "set BAROMETER_ALERTMANAGER_URL, BAROMETER_NOTIFY_WEBHOOK_URL or BAROMETER_NOTIFY_SMTP_URL",
        )  # fmt: skip
    ended = stop or asyncio.Event()
    receivers = [RECEIVERS[name](settings, clock) for name in names]
    async with asyncio.TaskGroup() as group:
        for receiver in receivers:
            group.create_task(Notifier(settings, telemetry, readiness, receiver, clock, chance).run(ended))
