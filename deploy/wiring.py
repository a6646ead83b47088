"""The composition root: the one place that connects settings, clients, telemetry and the parts that use them.

Each function imports its own part, so that a process starts without the others'.
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy import logs
from deploy.ops import OpsServer
from schemas import catalogue as catalogues
from schemas.catalogue import Catalogue
from schemas.clock import system_clock
from schemas.declared import Declared, as_settings_say
from schemas.errors import BarometerError, SettingsError, UnavailableError, UsageError
from schemas.readiness import Readiness
from schemas.settings import Settings, keyring_path, notified
from schemas.telemetry import Telemetry

if TYPE_CHECKING:
    from clickhouse_driver import Client

    from deploy.rejected import Outcome
    from producers.importing import ImportResult
    from sinks.rejected import Chosen

IMPORT_READY_TIMEOUT_S = 30.0
CATALOGUE_EVERY_S = 10.0
"""How often the console looks whether another catalogue counts."""
Tell = Callable[[str], None]
log = logging.getLogger(__name__)


def catalogue_file(settings: Settings, path: Path | None = None) -> Catalogue:
    """Return the metric catalogue as it stands in a file: the one given, else that of the settings, else the packaged one."""
    return catalogues.load(str(path) if path is not None else settings.catalogue, pane_ms=settings.pane_ms)


def catalogue(settings: Settings, path: Path | None = None) -> Catalogue:
    """Return the file given, else the newest declared catalogue that the judge has come to, else the file of the settings.

    Where only what people read differs, that of the settings. Raises ContractError if the settings name a catalogue that
    was never declared, UnavailableError if Kafka is named and does not answer.
    """
    own = catalogue_file(settings, path)
    if path is not None or not settings.kafka_bootstrap:
        return own
    found, coming = _in_force(settings, own)
    if coming is not None:
        from deploy.declarations import moment_of

        log.warning(
            "catalogue %s is declared from %s on; the judge is not there, so this is about %s",
            coming.catalogue.hash, moment_of(coming.from_pane), found.hash,
        )  # fmt: skip
    return found


def _in_force(settings: Settings, own: Catalogue) -> tuple[Catalogue, Declared | None]:
    """Return what the judge goes on with, and what is declared for later: a decision about a rule to come would be lost."""
    from deploy.declarations import declared_in
    from deploy.positions import Positions
    from schemas.topics import GROUP_JUDGE

    known = declared_in(settings)
    newest = as_settings_say(known, own)
    if len(known) < 2:
        return newest, None
    with Positions(settings.kafka_bootstrap, settings.topic_prefix) as positions:
        pane = int(positions.of(GROUP_JUDGE)[0].metadata.get("pane") or 0)
    found, last = known.at(pane + settings.pane_ms) or known.first, known.newest
    assert found is not None and last is not None
    read = next((one for one in (own, newest) if one.hash == found.catalogue.hash), found.catalogue)
    return read, None if found == last else last


def clickhouse(settings: Settings) -> "Client":
    """Return a client of the store."""
    from sinks import clickhouse as stores

    return stores.connect(settings)


def _needs(settings: Settings, *names: str) -> None:
    missing = [name for name in names if not getattr(settings, name)]
    if missing:
        wanted = ", ".join(f"BAROMETER_{name.upper()}" for name in missing)
        raise SettingsError(
            "setting_missing",
            f"{wanted} not set",
            "set it, or start everything with `barometer up`",
        )


def schemas_in_use(settings: Settings) -> None:
    """Write and read by the ids of the registry that the settings name, if any. Raises UnavailableError, ContractError."""
    if settings.schema_registry_url:
        from deploy.registry import Registry
        from schemas.codec import adopt

        adopt(Registry(settings.schema_registry_url).ids())


def _process(
    settings: Settings,
    name: str,
    run: Callable[[Telemetry, Readiness], int],
    *checks: str,
) -> int:
    """Run one process with its logs, metrics and health; return its exit code."""
    logs.configure(name, settings.log_level)
    telemetry, readiness = Telemetry(), Readiness(*checks)
    telemetry.set("build_info", 1, version=version("barometer"), process=name)
    ops = OpsServer(settings.ops_host, settings.ops_port, telemetry.registry, readiness)
    code = 1
    try:
        schemas_in_use(settings)
        code = run(telemetry, readiness)
    except* BarometerError as group:
        for error in _leaves(group):
            log.critical("%s ends: %s", name, error)
    finally:
        ops.close()
    return code


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _until_asked(run: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> int:
    """Run until SIGTERM or SIGINT; what `run` raises ends the process."""

    async def until_asked() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await run(stop)

    asyncio.run(until_asked())
    return 0


def gateway(settings: Settings) -> int:
    """Run the gateway; its metrics and health are served by itself."""
    from producers.gateway import run_gateway

    _needs(settings, "kafka_bootstrap", "write_keys", "pseudonym_key")
    logs.configure("gateway", settings.log_level)
    telemetry = Telemetry()
    telemetry.set("build_info", 1, version=version("barometer"), process="gateway")
    schemas_in_use(settings)
    return run_gateway(
        settings,
        catalogue=catalogue_file(settings),
        clock=system_clock,
        telemetry=telemetry,
        readiness=Readiness(),
    )


def tally(settings: Settings) -> int:
    """Run stage 1."""
    # Read by polars when it is imported: its batches are small, and more threads only cost a fifth more CPU.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    from streams.tallying import run_tally

    _needs(settings, "kafka_bootstrap")
    return _process(
        settings,
        "tally",
        lambda telemetry, readiness: run_tally(settings, telemetry, readiness),
    )


def judge(settings: Settings) -> int:
    """Run stage 2."""
    from streams.judging import run_judge

    _needs(settings, "kafka_bootstrap")
    return _process(settings, "judge", lambda telemetry, readiness: run_judge(settings, telemetry, readiness))


def sink(settings: Settings, tables: Sequence[str]) -> int:
    """Run the sinks of these tables; of all if none is named."""
    from sinks.sinking import run_sink
    from sinks.tables import TABLES

    _needs(settings, "kafka_bootstrap", "clickhouse_url")
    unknown = sorted(set(tables) - set(TABLES))
    if unknown:
        raise UsageError("unknown_table", f"{', '.join(unknown)} is none of {', '.join(TABLES)}")

    wanted = tuple(tables) or tuple(TABLES)
    return _process(
        settings,
        "sink",
        lambda telemetry, readiness: _until_asked(
            lambda stop: run_sink(settings, telemetry, readiness, wanted, stop=stop)
        ),
    )


def gate(settings: Settings) -> int:
    """Run the gate of the history lane."""
    from sinks.gate import run_gate

    _needs(settings, "kafka_bootstrap", "clickhouse_url")

    return _process(
        settings,
        "gate",
        lambda telemetry, readiness: _until_asked(lambda stop: run_gate(settings, telemetry, readiness, stop=stop)),
    )


def recount(settings: Settings, *, once: bool = False) -> int:
    """Run the recount of windows that the judge no longer holds."""
    from sinks.recounting import run_recount
    from streams.core.values import value_of

    _needs(settings, "kafka_bootstrap", "clickhouse_url")
    known = catalogue_file(settings)  # it follows the declared ones by itself
    return _process(
        settings,
        "recount",
        lambda telemetry, readiness: _until_asked(
            lambda stop: run_recount(settings, known, value_of, telemetry, readiness, stop=stop, once=once)
        ),
    )


def notify(settings: Settings) -> int:
    """Tell alarms to the receivers that the settings name."""
    from sinks.notifying.notifier import run_notify

    _needs(settings, "kafka_bootstrap")
    if not notified(settings):
        raise SettingsError(
            "setting_missing",
            "no receiver of alarms is named",
            "set BAROMETER_ALERTMANAGER_URL, BAROMETER_NOTIFY_WEBHOOK_URL or BAROMETER_NOTIFY_SMTP_URL",
        )
    return _process(
        settings,
        "notify",
        lambda telemetry, readiness: _until_asked(lambda stop: run_notify(settings, telemetry, readiness, stop=stop)),
    )


def console(settings: Settings) -> int:
    """Run the operators' console; its metrics and health are served by itself."""
    from deploy.console import run_console

    _needs(settings, "kafka_bootstrap", "clickhouse_url")
    logs.configure("console", settings.log_level)
    telemetry = Telemetry()
    telemetry.set("build_info", 1, version=version("barometer"), process="console")
    known = catalogue(settings)
    changed = _ends_with(settings, known)
    code = run_console(settings, catalogue=known, clock=system_clock, telemetry=telemetry, readiness=Readiness())
    if changed.is_set():
        log.warning("the console ends, to be started again: the catalogue it began with no longer counts")
        return 1
    return code


def _ends_with(settings: Settings, known: Catalogue) -> threading.Event:
    """Ask this process to end as soon as another catalogue counts; the event says that it was so."""
    changed, own = threading.Event(), catalogue_file(settings)

    def watch() -> None:
        while not changed.wait(CATALOGUE_EVERY_S):
            try:
                if _in_force(settings, own)[0].hash != known.hash:
                    changed.set()
            except UnavailableError as error:
                log.warning("the catalogue in force is not known: %s", error)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="catalogue", daemon=True).start()
    return changed


def opened_raw(settings: Settings, row: Mapping[str, Any]) -> dict[str, str]:
    """Return `raw`, and `raw_hex` where it is no UTF-8, of a row of `sinks.rejected.one`, opened; `raw_state` says how."""
    from schemas.keyring import Keyring
    from schemas.sealing import open_raw, raw_key_id

    kept = bytes.fromhex(row["raw_hex"]) if row["raw_hex"] else row["raw"].encode()
    key_id = raw_key_id(kept)
    if key_id is None:
        return {"raw_state": "as it came"}
    key = Keyring(keyring_path(settings), clock=system_clock).key(key_id)
    if key is None:
        return {"raw": "", "raw_hex": "", "raw_state": "unreadable: the key of its day was destroyed, 7 days after"}
    raw = open_raw(key, kept, row["rejected_id"])
    try:
        return {"raw": raw.decode(), "raw_hex": "", "raw_state": "opened"}
    except UnicodeDecodeError:
        return {"raw": "", "raw_hex": raw.hex(), "raw_state": "opened"}


def reinject(
    settings: Settings, chosen: "Chosen", *, mapping: Path | None, by: str, dry_run: bool
) -> Iterator["Outcome"]:
    """Feed rejected inputs again through the history lane, yielding what becomes of each; a dry run sends and stores nothing."""
    from deploy.mending import Mender
    from deploy.rejected import Reinjection
    from deploy.rejected_map import read_map
    from producers.pseudonyms import pseudonyms_of
    from producers.publisher import Publisher
    from producers.sealer import sealer_of
    from schemas.keyring import Keyring
    from schemas.killpoint import KillPoints
    from sinks.seals import seals_of

    _needs(settings, "kafka_bootstrap", "clickhouse_url", "pseudonym_key")
    fields = None if mapping is None else read_map(mapping)
    known = catalogue(settings)
    publisher = Publisher(settings, clock=system_clock, telemetry=Telemetry(), readiness=Readiness())
    if not dry_run:
        publisher.start()
    try:
        if not dry_run:
            publisher.wait_ready(IMPORT_READY_TIMEOUT_S)
        yield from Reinjection(
            client=clickhouse(settings),
            mender=Mender(
                pseudonyms=pseudonyms_of(settings.pseudonym_key, settings.default_country), catalogue=known,
                max_event_bytes=settings.max_event_bytes, by=fields,
            ),
            sealer=sealer_of(settings, known, system_clock), seals=seals_of(settings, system_clock),
            keyring=Keyring(keyring_path(settings), clock=system_clock), publish=publisher.publish_blocking,
            kill=KillPoints(settings.kill_point), clock=system_clock, by=by,
            note="" if mapping is None else mapping.read_text("utf-8"), dry_run=dry_run,
        ).run(chosen)  # fmt: skip
    finally:
        if not dry_run:
            publisher.close()


def migrate(settings: Settings, *, tell: Tell) -> None:
    """Bring the store up to date, with the views of the newest declared catalogue; without Kafka, of the settings' one."""
    from sinks.migrate import migrate as bring_up_to_date

    shown = catalogue_file(settings)
    if settings.kafka_bootstrap:
        from deploy.declarations import declared_in

        shown = as_settings_say(declared_in(settings), shown)
    bring_up_to_date(settings, tell, shown)


def import_file(
    settings: Settings,
    path: Path,
    *,
    mapping: Path | None,
    source: str,
    progress: Callable[["ImportResult"], None] = lambda _result: None,
    tell: Tell = log.warning,
) -> "ImportResult":
    """Import one file through the history lane and return what became of its rows."""
    from producers.channels.table import read_mapping
    from producers.importing import import_file as import_one
    from producers.pseudonyms import pseudonyms_of
    from producers.publisher import Publisher
    from producers.sealer import sealer_of

    _needs(settings, "kafka_bootstrap", "pseudonym_key")
    import_size(path)  # a missing file is said before anything is connected
    telemetry, readiness = Telemetry(), Readiness()
    publisher = Publisher(settings, clock=system_clock, telemetry=telemetry, readiness=readiness)
    publisher.start()
    try:
        publisher.wait_ready(IMPORT_READY_TIMEOUT_S)
        known = catalogue(settings)
        return import_one(
            path,
            publisher=publisher,
            pseudonyms=pseudonyms_of(settings.pseudonym_key, settings.default_country),
            catalogue=known,
            sealer=sealer_of(settings, known, system_clock),
            clock=system_clock,
            telemetry=telemetry,
            positions=Path(settings.data_dir) / "imports",
            mapping=None if mapping is None else read_mapping(mapping),
            source=source or None,
            max_event_bytes=settings.max_event_bytes,
            progress=progress,
            tell=tell,
        )
    finally:
        publisher.close()


def import_size(path: Path) -> int:
    """Return the bytes of a file, or of the mails in a folder. Raises UsageError."""
    if not path.exists():
        raise UsageError("no_such_file", f"{path} does not exist")
    return sum(one.stat().st_size for one in (path.glob("*.eml") if path.is_dir() else (path,)))


def ready_urls(endpoints: Mapping[str, Any]) -> dict[str, str]:
    """Return process -> address of its /readyz, for the processes of a local stack."""
    return {name: url.removesuffix("/metrics") + "/readyz" for name, url in endpoints.get("metrics", {}).items()}


def ask_as_reader(endpoints: Mapping[str, Any], sql: str) -> list[dict[str, Any]]:
    """Return the rows of a query as the read-only user of a local stack. Raises UsageError for what ClickHouse refuses."""
    from clickhouse_driver import Client
    from clickhouse_driver.errors import Error as DriverError

    if not endpoints.get("bi_user"):
        raise SettingsError(
            "nowhere",
            "no local stack with a read-only user runs here",
            "start `barometer up`",
        )
    host, port = endpoints["clickhouse_native"]
    client = Client(
        host,
        port=port,
        user=endpoints["bi_user"],
        password=endpoints["bi_password"],
        database=endpoints["database"],
    )
    try:
        with client:
            rows, columns = client.execute(sql, with_column_types=True)
    except DriverError as error:
        raise UsageError("refused", str(error).partition("Stack trace:")[0].strip()) from error
    except OSError as error:
        raise UnavailableError("clickhouse_unavailable", f"{host}:{port}: {error}") from error
    return [dict(zip((name for name, _ in columns), row, strict=True)) for row in rows]
