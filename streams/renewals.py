"""When the judge renews baselines and shares by itself: at the boundaries of a grid of pane time.

A boundary is due when the pane before it has been judged; the newest one alone, so that a judge that catches up writes one
renewal. The decision stands in the log: whoever replays it renews at the same place, whatever the setting says by then.
"""

from schemas.outputs import Decision, DecisionKind, digest

AUTHOR = "judge"
CAUGHT_UP = 1_000
"""Records at the log's end within which the judge counts as caught up: far less than the log of a boundary to the next."""


class Renewals:
    """The renewals that one judge writes; those of its predecessors it may repeat, and the engine passes over them."""

    def __init__(self, every_ms: int, pane_ms: int) -> None:
        """`every_ms`: a multiple of the pane length; 0: never."""
        self._every_ms, self._pane_ms = every_ms, pane_ms
        self._written: int | None = None

    def due(self, pane: int | None, backlog: int | None) -> int | None:
        """Return the boundary to write when `pane` is judged and `backlog` records wait (None: not known yet)."""
        if not self._every_ms or pane is None or backlog is None or backlog > CAUGHT_UP:
            return None
        boundary = (pane + self._pane_ms) // self._every_ms * self._every_ms
        return boundary if self._written is None or boundary > self._written else None

    def written(self, boundary: int) -> None:
        """Remember that the renewal of a boundary stands in the log."""
        self._written = boundary


def renewal(boundary: int, *, author: str, made_at: int) -> Decision:
    """Return the decision that renews before the pane `boundary` is judged; the same boundary has the same id."""
    return Decision(
        decision_id=digest("renewal", boundary), kind=DecisionKind.RENEW, from_pane=boundary, author=author,
        made_at=made_at,
    )  # fmt: skip
