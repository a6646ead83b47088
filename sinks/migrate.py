"""Numbered migrations: each file of ddl/ once, in order; an applied one that has changed since is refused.

Statements say IF NOT EXISTS, so a migration cut short is simply run again.
"""

import hashlib
import re
from collections.abc import Callable
from importlib.resources import files
from statistics import NormalDist
from typing import Any, NamedTuple

from clickhouse_driver import Client

from schemas.catalogue import Catalogue, load
from schemas.errors import ContractError
from schemas.settings import Settings
from sinks.clickhouse import PASSING, connect, database_of, unavailable
from sinks.compiled.making import make_views
from sinks.replicated import replicated

Progress = Callable[[str], None]
Rewrite = Callable[[str], str]

LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version UInt32 COMMENT 'Number of the migration',
    name String COMMENT 'Its file',
    checksum String COMMENT 'SHA-256 of the file as it was applied',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'When'
)
ENGINE = MergeTree ORDER BY version
COMMENT 'Migrations that this database has had'
"""


class Migration(NamedTuple):
    """One numbered file of statements."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """Return the SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """Return the statements, without the semicolons that end them."""
        return [one.strip() for one in re.split(r";\s*(?:\n|$)", self.text) if one.strip()]


def migrations() -> list[Migration]:
    """Return the migrations of ddl/, in order."""
    found = [one for one in (files("sinks") / "ddl").iterdir() if one.name.endswith(".sql")]
    return sorted(Migration(int(one.name[:4]), one.name, one.read_text("utf-8")) for one in found)


def migrate(
    settings: Settings, progress: Progress = lambda _line: None, catalogue: Catalogue | None = None
) -> list[str]:
    """Bring the database of the settings, and the views of a catalogue, up to date; return the migrations applied.

    `catalogue`: None is the one of the settings.

    Raises ContractError for an applied migration that has changed, UnavailableError if ClickHouse does not answer.
    """
    database = database_of(settings)
    try:
        with connect(settings, database="default") as server:
            server.execute(f"CREATE DATABASE IF NOT EXISTS `{database}`")
        with connect(settings) as client:
            applied = apply(client, migrations(), progress, rewrite=rewriting(settings))
            shown = catalogue or load(settings.catalogue, pane_ms=settings.pane_ms)
            copy_catalogue(client, shown)
            made = make_views(client, shown)
    except PASSING as error:
        raise unavailable(error) from error
    progress(f"{database}: {len(made)} views of the catalogue's metrics")
    progress(f"{database}: {len(applied)} migrations applied" if applied else f"{database}: up to date")
    return applied


def rewriting(settings: Settings) -> Rewrite:
    """Return what the settings make of each statement."""
    return replicated if settings.clickhouse_tables == "replicated" else str


def shown(settings: Settings) -> str:
    """Return all statements as `migrate` would run them with these settings, one file after the other."""
    rewrite = rewriting(settings)
    return "\n\n".join(
        f"-- {one.name}\n" + "\n\n".join(f"{rewrite(statement)};" for statement in one.statements)
        for one in migrations()
    )


def apply(client: Client, wanted: list[Migration], progress: Progress, *, rewrite: Rewrite = str) -> list[str]:
    """Apply those of `wanted` that the client's database lacks, each statement as `rewrite` has it.

    Raises ContractError before it changes anything.
    """
    client.execute(LEDGER)
    had = {version: (name, checksum) for version, name, checksum in client.execute(
        "SELECT version, name, checksum FROM schema_migrations"
    )}  # fmt: skip
    for one in wanted:
        name, checksum = had.get(one.version, (one.name, one.checksum))
        if (name, checksum) != (one.name, one.checksum):
            raise ContractError(
                "migration_changed",
                f"migration {one.name} was applied as {name} and is another one now",
                "restore the file and put the change into a new migration",
            )
    newer = sorted(had.keys() - {one.version for one in wanted})
    if newer:
        raise ContractError(
            "migration_unknown",
            f"the database has had migration {newer[-1]}, which this version does not know",
            "run the newer version of Barometer that applied it",
        )
    applied = []
    for one in wanted:
        if one.version in had:
            continue
        progress(f"{one.name}: {len(one.statements)} statements")
        for statement in one.statements:
            client.execute(rewrite(statement))
        client.execute(
            "INSERT INTO schema_migrations (version, name, checksum) VALUES", [(one.version, one.name, one.checksum)],
            settings={"async_insert": 0},
        )  # fmt: skip
        applied.append(one.name)
    return applied


def copy_catalogue(client: Client, catalogue: Catalogue) -> None:
    """Replace what the views know of the catalogue; readers see the old content or the new, never half."""
    touchpoints = [
        (one.name, one.title, one.parent or "", one.time_zone, one.opens or "", one.closes or "", one.owner or "")
        for one in catalogue.touchpoint
    ]
    metrics = [
        (
            one.name, one.identity, one.title, one.owner, str(one.kind), one.question or "",
            *(one.scale or (0, 0)), list(one.box), [str(channel) for channel in one.channels], one.n_min, one.level,
            NormalDist().inv_cdf(0.5 + one.level / 2), one.target, one.question_version or "", one.version, one.good,
        )
        for one in catalogue.metric
    ]  # fmt: skip
    _replace(client, "touchpoints", touchpoints)
    _replace(client, "metrics", metrics)


def _replace(client: Client, table: str, rows: list[tuple[Any, ...]]) -> None:
    client.execute(f"CREATE OR REPLACE TABLE {table}__next AS {table}")
    if rows:
        client.execute(f"INSERT INTO {table}__next VALUES", rows, settings={"async_insert": 0})
    client.execute(f"EXCHANGE TABLES {table}__next AND {table}")
    client.execute(f"DROP TABLE {table}__next SYNC")
