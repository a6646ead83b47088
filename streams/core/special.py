"""The functions of scipy.special, loaded when the first is used: stage 1 needs none of them, and loading takes 0.3 CPU-seconds."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Return a function by its name in scipy.special; it stays here, so that only the first use asks for it."""
    if name.startswith("__"):
        raise AttributeError(name)
    import scipy.special

    found = globals()[name] = getattr(scipy.special, name)
    return found
