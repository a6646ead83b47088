"""DDL of plain tables -> DDL of Replicated ones, pure: for a ClickHouse of several replicas with a Keeper.

Only tables that a sink fills (those with a token window) become Replicated: `migrate` runs at each replica and fills the small copies
of the catalogue there itself. The window then lies in Keeper, so a retry at another replica is recognised too.
"""

import re

WINDOW_S = 7 * 24 * 3600
"""How long Keeper remembers a token: as long as an outage of a sink may last."""
PATH, REPLICA = "/clickhouse/tables/{shard}/{database}/{table}", "{replica}"
_ENGINE = re.compile(r"\bENGINE\s*=\s*(?!Replicated)(\w*MergeTree)\b(?:\s*\(([^)]*)\))?")
_WINDOW = re.compile(r"\bnon_replicated_deduplication_window(\s*=\s*)(\d+)")


def replicated(statement: str) -> str:
    """Return a statement as it is for Replicated tables; statements about anything else come back unchanged."""
    if not _WINDOW.search(statement):
        return statement

    def engine(found: re.Match[str]) -> str:
        more = f", {found.group(2)}" if found.group(2) else ""
        return f"ENGINE = Replicated{found.group(1)}('{PATH}', '{REPLICA}'{more})"

    def window(found: re.Match[str]) -> str:
        return (
            f"replicated_deduplication_window{found.group(1)}{found.group(2)},"
            f" replicated_deduplication_window_seconds{found.group(1)}{WINDOW_S}"
        )

    return _WINDOW.sub(window, _ENGINE.sub(engine, statement))
