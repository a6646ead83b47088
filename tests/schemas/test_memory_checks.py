"""A catalogue cannot ask for a memory that the log does not hold, or that forgets before anything is known."""

from typing import Any

import pytest

from schemas.catalogue_checks import metric_problems
from schemas.metrics import Metric, MetricKind
from schemas.windows import DAY_MS, HOUR_MS

ANSWERED = {"kind": MetricKind.RESPONSE, "events": ("question",), "target_ms": DAY_MS, "memory_ms": 3 * DAY_MS}
REPEATED = {"kind": MetricKind.REPEAT, "events": ("question",), "within_ms": 7 * DAY_MS}
ASKED = {"kind": MetricKind.SHARE, "question": "csat", "scale": (1, 5), "box": (4, 5)}


def reasons(**fields: Any) -> list[str]:
    metric = Metric(**{"name": "m", "version": 1, "owner": "o", "title": "t", **fields})
    return [one.reason for one in metric_problems({0: metric})]


@pytest.mark.parametrize(
    "fields",
    [ANSWERED, REPEATED, {**ANSWERED, "kind": MetricKind.RESPONSE_QUANTILE, "quantile": 0.5},
     {**ASKED, "one_per": "subject", "one_per_period_ms": 7 * DAY_MS}],
    ids=["response", "repeat", "quantile", "one_per"],
)  # fmt: skip
def test_what_is_well_said_passes(fields: dict[str, Any]) -> None:
    assert [] == reasons(**fields)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({**ANSWERED, "memory_ms": 0}, "wants memory_ms"),
        ({**ANSWERED, "memory_ms": DAY_MS}, "forgotten before"),
        ({**ANSWERED, "target_ms": 1_000}, "shorter than a minute"),
        ({**ANSWERED, "target_ms": -1}, "below 0"),
        ({**ANSWERED, "memory_ms": 7 * DAY_MS}, "log of channel card holds"),
        ({**REPEATED, "within_ms": 22 * DAY_MS, "channels": ("call",)}, "log of channel call holds"),
        ({**REPEATED, "probes": True}, "about customers"),
        ({**REPEATED, "one_per": "subject", "one_per_period_ms": HOUR_MS}, "counts every event"),
        ({**ANSWERED, "kind": MetricKind.RESPONSE_QUANTILE, "quantile": 1.5}, "not between 0 and 1"),
        ({**ASKED, "within_ms": 5}, "does not read within_ms"),
        ({**ASKED, "one_per": "subject", "one_per_period_ms": 14 * DAY_MS}, "log of channel card holds"),
    ],
    ids=lambda one: "" if isinstance(one, dict) else one,
)
def test_what_cannot_be_remembered_is_refused(fields: dict[str, Any], reason: str) -> None:
    assert any(reason in one for one in reasons(**fields))
