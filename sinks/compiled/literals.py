"""Values of the catalogue as SQL literals."""

from collections.abc import Iterable


def text(value: str) -> str:
    """Return a string literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def texts(values: Iterable[str]) -> str:
    """Return string literals, sorted, with commas between them."""
    return ", ".join(text(value) for value in sorted(values))


def number(value: float | None) -> str:
    """Return a Float64 literal that reads back the same; NULL for None."""
    return "NULL" if value is None else f"toFloat64({value!r})"
