"""Bring the views of a database to what the catalogue says: made anew, and those of metrics that are gone dropped."""

from collections.abc import Iterator

from clickhouse_driver import Client

from schemas.catalogue import Catalogue
from sinks.compiled.views import PREFIX, View, views_of


def compiled(catalogue: Catalogue) -> Iterator[View]:
    """Yield the views of all metrics."""
    for metric in catalogue.metric:
        yield from views_of(metric, catalogue)


def make_views(client: Client, catalogue: Catalogue) -> list[str]:
    """Create or replace the views of the catalogue, drop those of metrics that it no longer has; return their names."""
    wanted = list(compiled(catalogue))
    for view in wanted:
        client.execute(view.statement)
    names = [view.name for view in wanted]
    for (stale,) in client.execute(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View' AND startsWith(name, %(prefix)s)"
        " AND name NOT IN %(names)s", {"prefix": PREFIX, "names": tuple(names) or ("",)},
    ):  # fmt: skip
        client.execute(f"DROP VIEW {stale} SYNC")
    return names
