"""The matrix of faults, a file a group; `load` enters all of them."""

from importlib import import_module

GROUPS = (
    "edge", "history", "broker", "streams", "exclusion", "sink", "clickhouse", "network", "overload", "commands", "everything",
)  # fmt: skip


def load() -> None:
    """Enter every fault into the registry."""
    for one in GROUPS:
        import_module(f"tests.faults.matrix.{one}")
