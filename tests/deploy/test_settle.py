"""Settling while the judge goes on: the pane that is returned is one whose readings are stored."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Self

import pytest

from deploy import settle as settling
from schemas.topics import GROUP_JUDGE, GROUP_TALLY, READINGS, Topic, sink_group


class Going:
    """Positions of a stack whose judge ends a pane, and writes its reading, between any two questions."""

    def __init__(self, *_: str) -> None:
        self.pane, self.stored = 5, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def ends(self, topics: Sequence[Topic]) -> dict[tuple[str, int], int]:
        self.pane += 1
        return {(READINGS.name, 0): self.pane} if READINGS in topics else {}

    def of(self, group: str) -> list[Any]:
        self.pane += 1
        if group == GROUP_JUDGE:
            return [SimpleNamespace(metadata={"pane": self.pane})]
        if group == GROUP_TALLY:
            return [SimpleNamespace(topic="", partition=0, offset=0, metadata={"to": 7})]
        if group == sink_group("readings"):
            self.stored = min(self.stored + 5, self.pane)
            return [SimpleNamespace(topic=READINGS.name, partition=0, offset=self.stored, metadata={})]
        return []


def test_the_pane_that_settle_returns_is_stored_though_the_judge_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    going = Going()
    monkeypatch.setattr(settling, "Positions", lambda *_: going)
    monkeypatch.setattr(settling, "POLL_S", 0.0)
    assert 7 <= settling.settle("", "", timeout_s=5) <= going.stored < going.pane
