"""What can go wrong with engines and processes that run as children of this one."""

from schemas.errors import BarometerError


class EngineError(BarometerError):
    """A child process cannot be set up or does not become ready."""


class AlreadyRunningError(BarometerError):
    """Another process holds the data folder."""
