"""The trailing windows: lengths, steps and the rung of the ladder of state that serves each.

All boundaries are UTC epoch boundaries; a window ending at E holds [E - length, E).
"""

from dataclasses import dataclass

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A trailing window; `bucket_ms` and `span_ms` are the grain and reach of the rung of state that serves it."""

    name: str
    length_ms: int
    step_ms: int
    bucket_ms: int
    span_ms: int
    lateness_ms: int

    def rung_start(self, pane: int) -> int:
        """Return the start of the oldest bucket that is kept when `pane` is judged."""
        return pane // self.bucket_ms * self.bucket_ms - self.span_ms


WINDOWS = {
    window.name: window
    for window in (
        Window(name="1h", length_ms=HOUR_MS, step_ms=MINUTE_MS, bucket_ms=MINUTE_MS, span_ms=2 * HOUR_MS,
               lateness_ms=5 * MINUTE_MS),
        Window(name="24h", length_ms=DAY_MS, step_ms=15 * MINUTE_MS, bucket_ms=15 * MINUTE_MS, span_ms=2 * DAY_MS,
               lateness_ms=HOUR_MS),
        Window(name="7d", length_ms=7 * DAY_MS, step_ms=2 * HOUR_MS, bucket_ms=HOUR_MS, span_ms=9 * DAY_MS,
               lateness_ms=2 * HOUR_MS),
        Window(name="28d", length_ms=28 * DAY_MS, step_ms=DAY_MS, bucket_ms=DAY_MS, span_ms=36 * DAY_MS,
               lateness_ms=DAY_MS),
    )
}  # fmt: skip
