"""Readings the slow way: every pane, every window recounted from all counts that came; written from the rules alone."""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from schemas.windows import Window


class Came(NamedTuple):
    """One answer: the pane in which it came, when it was given (ms), and its bin."""

    pane: int
    occurred: int
    bin: int


class Said(NamedTuple):
    """What of a reading depends on settlement."""

    pane: int
    end: int
    status: str
    revision: int
    bins: dict[int, int]


@dataclass(frozen=True, kw_only=True)
class Naive:
    """One window of one series."""

    window: Window
    pane_ms: int
    provisional_ms: int
    lateness_ms: int

    def up(self, at: int, step: int) -> int:
        return at if at % step == 0 else at - at % step + step

    def bins(self, came: list[Came], pane: int, end: int) -> dict[int, int]:
        inside = (one for one in came if one.pane <= pane and end - self.window.length_ms <= one.occurred < end)
        return dict(Counter(one.bin for one in inside))

    def due(self, end: int) -> int:
        return self.up(end + self.lateness_ms, self.pane_ms)

    def ends(self, first: int, last: int) -> range:
        return range(self.up(first, self.window.step_ms), last + 1, self.window.step_ms)

    def readings(self, came: list[Came], first: int, last: int) -> list[Said]:
        window, out = self.window, list[Said]()
        rows: dict[int, tuple[int, dict[int, int]]] = {}
        checked = first - self.pane_ms
        for pane in range(first, last + 1, self.pane_ms):
            before = pane - self.pane_ms
            oldest = pane // window.bucket_ms * window.bucket_ms - window.span_ms

            def say(end: int, status: str, pane: int = pane) -> None:
                revision = rows[end][0] + 1 if end in rows else 0
                rows[end] = (revision, self.bins(came, pane, end))
                out.append(Said(pane, end, status, revision, rows[end][1]))

            for end in self.ends(oldest + window.length_ms, pane):
                bins, previous = self.bins(came, pane, end), self.bins(came, pane, end - window.step_ms)
                if self.due(end) == pane:
                    if end in rows or bins != previous:
                        say(end, "final")
                elif self.due(end) < pane:
                    if end in rows:
                        if bins != rows[end][1]:
                            say(end, "revised")
                    elif bins != previous and (
                        bins != self.bins(came, before, end)
                        or previous != self.bins(came, before, end - window.step_ms)
                    ):
                        say(end, "final")
            if pane == self.up(self.up(pane, self.provisional_ms), self.pane_ms):
                end = self.up(pane, window.step_ms)
                moved = [one for one in came if one.pane <= pane and self.moved(one, checked, pane)]
                arrived = [one for one in came if checked < one.pane <= pane and self.kept(one)]
                shown = rows[max(rows)][1] if rows else {}
                if (moved or arrived) and self.bins(came, pane, end) != shown:
                    say(end, "provisional")
                checked = pane
        return out

    def kept(self, one: Came) -> bool:
        window = self.window
        bucket = one.occurred // window.bucket_ms * window.bucket_ms
        return bucket >= one.pane // window.bucket_ms * window.bucket_ms - window.span_ms - window.step_ms

    def moved(self, one: Came, checked: int, pane: int) -> bool:
        """Return whether the answer entered or left the next window between two panes."""
        window = self.window
        ends = [self.up(at, window.step_ms) for at in (checked, pane)]
        then, now = (end - window.length_ms <= one.occurred < end for end in ends)
        return then != now and self.kept(one)
