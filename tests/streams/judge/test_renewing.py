"""The judge renews by itself: the renewals stand in the log, and what it says is what anybody finds who reads that log."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from schemas.outputs import AlarmTransition, Decision, DecisionKind, digest, output_to_record
from schemas.topics import TALLIES
from streams.core.judge import Judge
from streams.tallies_log import entry_of

EVERY_S = 60
Maker = Callable[..., list[tuple[bytes, bytes]]]


def renewals(installation: Any) -> list[Decision]:
    """Return the renewals that stand in the log."""
    entries = [entry_of(value) for value in asyncio.run(installation._read(TALLIES.name, 1))]
    return [one for one in entries if isinstance(one, Decision) and one.kind is DecisionKind.RENEW]


def test_renewals_are_written_on_the_grid_and_judged_as_the_log_has_them(installation: Any, log_maker: Maker) -> None:
    """Two judges one after the other: each writes a boundary once, what the second repeats changes nothing."""
    settings = installation.settings
    entries = log_maker(installation.body, installation.catalogue, panes=130, seed=21)
    third = len(entries) // 3
    for part in (entries[: 2 * third], entries[2 * third :]):
        judge = installation.start(renew_every_s=EVERY_S)
        before = len(renewals(installation))
        target = installation.append(part)
        installation.wait(lambda offset, target=target: offset >= target, judge)
        installation.wait(lambda _, before=before: len(renewals(installation)) > before, judge)
        target = installation.end() - 1  # its own mark of the transaction is no record
        installation.wait(lambda offset, target=target: offset >= target, judge)
        installation.stop(judge)
    found = renewals(installation)
    assert {one.author for one in found} == {"judge"}
    for one in found:
        assert one.from_pane is not None and one.from_pane % (EVERY_S * 1000) == 0
        assert (one.decision_id, one.body) == (digest("renewal", one.from_pane), {})
    assert max(Counter(one.decision_id for one in found).values()) <= 2
    assert [one.from_pane for one in found] == sorted(one.from_pane for one in found)

    again = Judge(installation.catalogue, pane_ms=settings.pane_ms, provisional_step_ms=settings.provisional_step_ms)
    said = []
    for value in asyncio.run(installation._read(TALLIES.name, 1)):
        said += again.feed(entry_of(value))
    newest = max(one.from_pane or 0 for one in found)
    assert again.pane is not None and newest <= again.pane + settings.pane_ms < newest + EVERY_S * 1000
    assert any(isinstance(one, AlarmTransition) for one in said)
    assert [record for _, _, record in installation.outputs()] == [output_to_record(one) for one in said]
