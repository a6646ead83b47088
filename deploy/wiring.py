"""The composition root of commands: the one place that connects settings, clients and the parts that use them.

Each function imports its own part, so that a process starts without the others'. Processes are in `deploy/processes.py`.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas import catalogue as catalogues
from schemas.catalogue import Catalogue
from schemas.clock import system_clock
from schemas.declared import Declared, as_settings_say
from schemas.errors import SettingsError, UsageError
from schemas.readiness import Readiness
from schemas.settings import Settings, keyring_path
from schemas.telemetry import Telemetry

if TYPE_CHECKING:
    from clickhouse_driver import Client

    from deploy.rejected import Outcome
    from producers.importing import ImportResult
    from sinks.rejected import Chosen

IMPORT_READY_TIMEOUT_S = 30.0
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
    found, coming = in_force(settings, own)
    if coming is not None:
        from deploy.declarations import moment_of

        log.warning(
            "catalogue %s is declared from %s on; the judge is not there, so this is about %s",
            coming.catalogue.hash, moment_of(coming.from_pane), found.hash,
        )  # fmt: skip
    return found


def in_force(settings: Settings, own: Catalogue) -> tuple[Catalogue, Declared | None]:
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


def needs(settings: Settings, *names: str) -> None:
    """Demand these settings. Raises SettingsError that says how they are set."""
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

    needs(settings, "kafka_bootstrap", "clickhouse_url", "pseudonym_key")
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

    needs(settings, "kafka_bootstrap", "pseudonym_key")
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
