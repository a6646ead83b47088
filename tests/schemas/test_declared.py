"""Which catalogue counts from which pane on, and which change is refused."""

import msgspec
import pytest

from schemas.catalogue import Catalogue, load
from schemas.declared import (
    Catalogues,
    Declared,
    as_settings_say,
    declaration,
    declared,
    new_listeners,
    new_metrics,
    refusal,
)
from schemas.errors import ContractError
from schemas.outputs import decision_from_record, decision_to_record

PACKAGED = load()
CSAT = PACKAGED.named("csat")
STRICT = msgspec.structs.replace(CSAT, name="csat_strict", box=(5,))
FIRST = Catalogue(metric=[CSAT], alarm=PACKAGED.alarm)
SECOND = Catalogue(metric=[CSAT, STRICT], alarm=PACKAGED.alarm)
KNOWN = Catalogues([Declared(0, FIRST), Declared(1_000, SECOND)])


def test_the_packaged_catalogue_comes_back_from_the_log_as_it_was_declared() -> None:
    decision = declaration(PACKAGED, from_pane=20, replaces=FIRST.hash, author="ann", made_at=1)
    again = declared(decision_from_record(decision_to_record(decision)))
    assert again == Declared(20, PACKAGED)
    assert again.catalogue.hash == PACKAGED.hash


def test_a_catalogue_that_reads_otherwise_here_is_refused() -> None:
    decision = declaration(FIRST, from_pane=20, replaces="", author="ann", made_at=1)
    decision.body["catalogue_hash"] = SECOND.hash
    with pytest.raises(ContractError, match="reads as"):
        declared(decision)


@pytest.mark.parametrize(("pane", "expected"), [(0, FIRST), (999, FIRST), (1_000, SECOND), (9_000, SECOND)])
def test_a_pane_is_counted_with_the_newest_catalogue_declared_for_it(pane: int, expected: Catalogue) -> None:
    found = KNOWN.at(pane)
    assert found is not None and found.catalogue is expected


def test_the_next_change_after_a_pane_is_known() -> None:
    assert KNOWN.after(10) == Declared(1_000, SECOND)
    assert KNOWN.after(1_000) is None


def test_the_same_declaration_counts_once_however_often_it_stands_in_the_topic() -> None:
    decisions = [
        declaration(FIRST, from_pane=0, replaces="", author="judge", made_at=1),
        declaration(SECOND, from_pane=50, replaces=FIRST.hash, author="ann", made_at=2),
        declaration(FIRST, from_pane=0, replaces="", author="judge", made_at=3),
    ]
    assert [one.from_pane for one in Catalogues.of(decisions)] == [0, 50]


def test_settings_that_name_an_undeclared_catalogue_are_refused_with_the_remedy() -> None:
    with pytest.raises(ContractError, match="catalogue apply") as caught:
        as_settings_say(KNOWN, PACKAGED)
    assert caught.value.reason == "catalogue_changed"


def test_settings_that_name_an_older_catalogue_run_with_the_newest() -> None:
    assert as_settings_say(KNOWN, FIRST) is SECOND


def test_titles_and_targets_are_those_of_the_settings() -> None:
    retitled = msgspec.structs.replace(SECOND, metric=[msgspec.structs.replace(CSAT, title="x", target=0.5), STRICT])
    assert as_settings_say(KNOWN, retitled) is retitled


THIRD = Catalogue(metric=[CSAT], alarm=[])


@pytest.mark.parametrize(
    ("known", "wanted", "from_pane", "reason"),
    [
        (Catalogues(), FIRST, 10, "no_catalogue_yet"),
        (KNOWN, SECOND, 5_000, "same_catalogue"),
        (KNOWN, THIRD, 1_000, "pane_too_early"),
        (KNOWN, THIRD, 3_000, "pane_too_early"),
        (KNOWN, THIRD, 3_010, None),
        (Catalogues([*KNOWN, Declared(2_000, THIRD)]), SECOND, 5_000, "series_ended"),
    ],
    ids=["no judge yet", "same", "before the last change", "judged", "fine", "a series comes back"],
)
def test_a_change_is_refused_with_its_reason(
    known: Catalogues, wanted: Catalogue, from_pane: int, reason: str | None
) -> None:
    found = refusal(known, wanted, from_pane=from_pane, judged=3_000)
    assert (found and found.reason) == reason


def test_new_series_are_those_whose_identity_is_new() -> None:
    assert new_metrics(FIRST, SECOND) == [STRICT]
    reworded = msgspec.structs.replace(CSAT, title="other words", owner="somebody")
    assert new_metrics(FIRST, Catalogue(metric=[reworded])) == []


def test_only_new_or_changed_rules_on_series_that_go_on_have_to_be_taught() -> None:
    rule = next(one for one in PACKAGED.alarm if one.metric == "csat")
    coming = msgspec.structs.replace(rule, name="coming", dimension="*")
    on_new = msgspec.structs.replace(rule, name="on_new", metric="csat_strict")
    after = Catalogue(metric=[CSAT, STRICT], alarm=[rule, coming, on_new])
    assert new_listeners(FIRST, after) == [(CSAT, "*")]
