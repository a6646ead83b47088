"""Imports point downwards, and the engine knows neither Kafka, HTTP, SQL nor a clock."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "schemas": {"schemas"},
    "producers": {"schemas", "producers"},
    "streams": {"schemas", "streams"},
    "sinks": {"schemas", "sinks"},
    "deploy": {"schemas", "producers", "streams", "sinks", "deploy"},
}
OURS = set(MAY_IMPORT) | {"tests"}
CLIENTS = {
    "kafka",
    "aiokafka",
    "faust",
    "mode",
    "clickhouse_driver",
    "httpx",
    "starlette",
    "uvicorn",
    "socket",
    "sqlite3",
}
CLOCKS = {"time", "datetime", "random", "os", "asyncio", "threading"}


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted names that a file imports."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_downwards(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules(package)
        for name in imports(path)
        if name.split(".")[0] in OURS - MAY_IMPORT[package]
    ]
    assert modules(package) and wrong == []


def test_the_core_of_the_streams_has_no_io_clock_or_faust() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules("streams/core")
        for name in imports(path)
        if name.split(".")[0] in CLIENTS | CLOCKS
    ]
    assert modules("streams/core") and wrong == []


def test_contracts_do_no_io_over_the_network() -> None:
    over_the_network = CLIENTS - {"sqlite3"}  # the keyring is a file that producers, sinks and commands share
    wrong = [
        str(path) for path in modules("schemas") if {name.split(".")[0] for name in imports(path)} & over_the_network
    ]
    assert wrong == []


def test_the_oracle_shares_no_code_with_what_it_checks() -> None:
    forbidden = {"streams", "sinks", "producers"}
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules("tests/oracle")
        for name in imports(path)
        if name.split(".")[0] in forbidden or name == "schemas.catalogue"
    ]
    assert modules("tests/oracle") and wrong == []
