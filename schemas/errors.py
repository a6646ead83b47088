"""The error tree: every error has a type, a reason code and a remedy.

BarometerError
├── InvalidEventError     one input cannot become an event: reject it, go on with its neighbours
├── UndecodableError      bytes on a topic are no record of ours: put them aside, go on
├── SettingsError         a setting is missing, misspelt or impossible: stop at start
├── CatalogueError        the metric catalogue is wrong: stop at start
├── ContractError         what is stored contradicts what runs (topic id, catalogue hash, pane length): stop
├── UsageError            the person at the command line asked for something impossible: exit 2
└── UnavailableError      a neighbour (Kafka, ClickHouse) does not answer: wait and retry, never skip
"""


class BarometerError(Exception):
    """Base of all errors of Barometer; `reason` is a stable code, `remedy` says what to do."""

    retriable = False

    def __init__(self, reason: str, detail: str, remedy: str = "") -> None:
        super().__init__(f"{detail} [{reason}]" + (f" -> {remedy}" if remedy else ""))
        self.reason = reason
        self.detail = detail
        self.remedy = remedy


class InvalidEventError(BarometerError):
    """One input cannot become an event; `field` names the culprit ("" when it is the whole)."""

    def __init__(self, reason: str, field: str, detail: str, remedy: str = "") -> None:
        super().__init__(reason, f"{field}: {detail}" if field else detail, remedy)
        self.field = field
        self.plain_detail = detail


class UndecodableError(BarometerError):
    """Bytes on a topic are not a record of ours."""


class SettingsError(BarometerError):
    """A setting is missing, misspelt or impossible."""


class CatalogueError(BarometerError):
    """The metric catalogue is wrong."""


class ContractError(BarometerError):
    """What is stored contradicts what runs: stop, never guess."""


class UsageError(BarometerError):
    """The command line asks for something impossible."""


class UnavailableError(BarometerError):
    """A neighbour does not answer: wait and retry."""

    retriable = True
