"""Evidence in words, and the small readings of the command line: ids, lengths of time, lines."""

from datetime import UTC, datetime
from typing import Any

import pytest

from deploy.alarm_words import ENGLISH, FRENCH, details, row_of, sentences
from deploy.alarms import matching, still_open
from deploy.cli_alarms_decided import span_ms
from deploy.cli_alarms_seen import line_of
from schemas.errors import UsageError
from schemas.outputs import AlarmState, AlarmTransition


def step(**more: Any) -> AlarmTransition:
    plain: dict[str, Any] = {
        "transition_id": "t", "alarm_id": "0c8f55df8aac", "sequence": 1, "rule": "satisfaction_drop", "definition_hash": "",
        "metric": "csat", "dimension": "touchpoint", "key": "lyon", "direction": "down", "severity": "page",
        "state": AlarmState.OPEN, "pane": 1_774_692_000_000, "first_pane": 1_774_692_000_000,
    }  # fmt: skip
    return AlarmTransition(**{**plain, **more})


@pytest.mark.parametrize(
    ("more", "english", "french"),
    [
        (
            {"n": 24, "bad": 10, "p0": 0.12, "p1": 0.25},
            "10 of 24 answers were bad (41.7 %); usual is at most 12.0 %; 25.0 % would be worth an alarm",
            "10 réponses sur 24 étaient mauvaises (41,7 %); d'habitude au plus 12,0 %; 25,0 % vaut une alarme",
        ),
        (
            {"n": 40, "bad": 1, "p0": 0.2, "p1": 0.1},
            "1 of 40 answers were bad (2.5 %); usual is at least 20.0 %; 10.0 % would be worth an alarm",
            "1 réponses sur 40 étaient mauvaises (2,5 %); d'habitude au moins 20,0 %; 10,0 % vaut une alarme",
        ),
        (
            {"n": 3, "evidence": '{"strata":{"card":{"seen":1,"expected":10.25},"web":{"seen":2,"expected":2}}}'},
            "3 came, 12.25 were expected",
            "3 reçus, 12,25 attendus",
        ),
        (
            {"n": 9, "bad": 4, "evidence": '{"strata":{"60min":{"n":9,"bad":4,"burn":14.4,"threshold":14.4}}}'},
            "4 of 9 within 60min were bad: the error budget burns 14.4 times too fast",
            "4 sur 9 en 60min étaient mauvaises : le budget d'erreur fond 14,4 fois trop vite",
        ),
        (
            {"n": 4, "bad": 2, "evidence": '{"strata":{"card":{"n":4,"bad":2.0,"score":0.5,"baseline":0.2}}}'},
            "4 answers lie 50.0 % of the way to the bad end, 20.0 % is usual",
            "4 réponses à 50,0 % du mauvais bout de l'échelle, d'habitude 20,0 %",
        ),
        ({"n": 1, "bad": 1, "event_id": "e1"}, "one event is enough: no statistics (e1)", "un seul événement suffit, sans statistique (e1)"),
        (
            {"change_pane": 1_774_692_000_000, "evidence": '{"contributors":[{"key":"lyon"},{"key":"nantes"}],"reopened":2}'},
            "began about 28 Mar 10:00 UTC; mostly from lyon, nantes; came back 2 times",
            "début estimé : 28/03 10:00 UTC; surtout : lyon, nantes; revenue 2 fois",
        ),
    ],
)  # fmt: skip
def test_each_kind_of_evidence_becomes_a_sentence(more: dict[str, Any], english: str, french: str) -> None:
    row = row_of(step(**more))
    assert "; ".join(sentences(row, ENGLISH)) == english
    assert "; ".join(sentences(row, FRENCH)) == french


def test_details_name_strata_times_and_verbatims() -> None:
    evidence = '{"strata":{"card":{"n":24,"bad":10,"p0":0.12,"p1":0.25}},"verbatims":["e1","e2"],"episode":"parent"}'
    row = row_of(step(evidence=evidence, statistic=1.321, occurred_first=0, occurred_last=60_000, n=24, bad=10))
    assert details(row, ENGLISH) == [
        "card: 10 of 24 (usual at most 12.0 %)", "answers from 01 Jan 00:00 UTC to 01 Jan 00:01 UTC",
        "statistic 1.32, alarm at 1", "part of alarm parent", "in their words: e1, e2",
    ]  # fmt: skip
    assert row["at"] == datetime(2026, 3, 28, 10, tzinfo=UTC)


def test_a_step_is_one_line_with_what_matters() -> None:
    opened = line_of(row_of(step(n=24, bad=10)))
    assert opened == (
        "28 Mar 10:00 UTC  open  satisfaction_drop  lyon  page  0c8f55df  10 of 24 answers were bad (41.7 %)"
    )
    taken = line_of(row_of(step(state=AlarmState.ACKNOWLEDGED, actor="ann", note="mine", n=24, bad=10, key="*")))
    assert taken == '28 Mar 10:00 UTC  acknowledged by ann  satisfaction_drop  everywhere  page  0c8f55df  "mine"'


def test_a_prefix_names_an_alarm_only_if_it_names_one() -> None:
    assert matching({"3f2a": "open"}, "3f") == "3f2a"
    with pytest.raises(UsageError) as none:
        matching({}, "3f")
    with pytest.raises(UsageError) as several:
        matching({"3f2a": "open", "3f2b": "resolved"}, "3f")
    assert (none.value.reason, several.value.reason) == ("no_such_alarm", "ambiguous_id")
    assert "resolved" in several.value.detail
    with pytest.raises(UsageError, match="resolved already"):
        still_open("3f2b", "resolved")


@pytest.mark.parametrize(("given", "ms"), [("30m", 1_800_000), ("2h", 7_200_000), ("28d", 28 * 86_400_000)])
def test_lengths_of_time(given: str, ms: int) -> None:
    assert span_ms(given) == ms


@pytest.mark.parametrize("given", ["", "2", "h", "0h", "29d", "-1h", "2 h", "1w"])
def test_what_is_no_length_is_refused(given: str) -> None:
    with pytest.raises(UsageError):
        span_ms(given)
