"""The metric catalogue: one definition, unknown keys refused, a changed definition is a new series."""

import re
import tomllib
from importlib.resources import files

import msgspec
import pytest

from schemas import catalogue
from schemas.catalogue import Catalogue, Touchpoint
from schemas.catalogue_lines import line_of, lines_of
from schemas.errors import CatalogueError

PACKAGED = catalogue.load()


def test_the_packaged_catalogue_keeps_its_first_metrics_and_is_sound() -> None:
    assert [metric.name for metric in PACKAGED.metric][:5] == ["csat", "nps", "ces", "complaint_rate", "volume"]
    for metric in PACKAGED.metric[:5]:
        assert (metric.dimensions, metric.windows) == (("*", "channel", "touchpoint"), ("1h", "24h", "7d", "28d"))
    assert catalogue.problems(PACKAGED, pane_ms=10_000) == catalogue.problems(PACKAGED, pane_ms=1_000) == []


def test_identity_changes_with_the_definition_and_not_with_the_owner() -> None:
    csat = PACKAGED.named("csat")
    for change in ({"box": (5,)}, {"version": 2}, {"question": "csat2"}, {"scale": (1, 7)}, {"question_version": "2"}):
        assert msgspec.structs.replace(csat, **change).identity != csat.identity
    assert msgspec.structs.replace(csat, owner="somebody else", title="t", target=0.9).identity == csat.identity


def test_the_hash_covers_rules_parents_and_exceptional_days() -> None:
    rule = msgspec.structs.replace(PACKAGED.alarm[0], p1=(0.3,))
    days = catalogue.parse(ONE + '[[exception]]\nname="strike"\nfrom=2026-12-01\nto=2026-12-03').exception
    below = [Touchpoint(name="north"), Touchpoint(name="paris", parent="north")]
    changed: list[Catalogue] = [
        msgspec.structs.replace(PACKAGED, alarm=[rule, *PACKAGED.alarm[1:]]),
        msgspec.structs.replace(PACKAGED, exception=days),
        msgspec.structs.replace(PACKAGED, touchpoint=below),
    ]
    assert len({one.hash for one in (PACKAGED, *changed)}) == 4
    flat = msgspec.structs.replace(PACKAGED, touchpoint=[Touchpoint(name="elsewhere")])
    assert flat.hash == PACKAGED.hash


def test_the_scales_of_all_questions_are_known_to_the_edge() -> None:
    scales = PACKAGED.scales()
    for metric in PACKAGED.metric:
        for question in filter(None, (metric.question, metric.expected_question, *metric.grid)):
            assert scales[question] == metric.scale


HEAD = '[[metric]]\nname="m"\nversion=1\nowner="o"\ntitle="t"\n'
ONE = HEAD + 'kind="count"\n'
SHARE = HEAD + 'kind="share"\nquestion="q"\nscale=[1,5]\nbox=[4,5]\n'
RULE = '[[alarm]]\nname="a"\nowner="o"\nseverity="page"\ndimension="*"\n'
DROP = SHARE + RULE + 'metric="m"\nkind="drop"\n'
COUNTED = ONE + RULE + 'metric="m"\nkind="count_drop"\n'
PLACE = ONE + '[[touchpoint]]\nname="p"\n'
WRONG = [
    ("[[metric]]\nname = 1", "name: expected 'str', got 'int'"),
    ("", "holds no metric"),
    ("metric = 3", "no array of tables"),
    ("[[metrics]]\nname='m'", "unknown key metrics"),
    (SHARE + 'colour="red"', "unknown key colour"),
    (SHARE + "n_minn=3", "write n_min"),
    (ONE.replace('"m"', '"M 1"'), "is no name"),
    (ONE.replace('"m"', '"csat_recount"'), "ends like a view"),
    (ONE.replace('"o"', '" "'), "owner is empty"),
    (ONE.replace("version=1", "version=0"), "count from 1"),
    (ONE + ONE, "stands twice"),
    (SHARE.replace("box=[4,5]", ""), "kind share wants box"),
    (SHARE.replace("[4,5]", "[4,6]"), "impossible on 1..5"),
    (SHARE.replace("[4,5]", "[4,4]"), "impossible on 1..5"),
    (SHARE.replace("[4,5]", "[1,2,3,4,5]"), "whole scale"),
    (SHARE.replace("[1,5]", "[5,1]"), "is impossible"),
    (SHARE.replace("[1,5]", "[0,2000]"), "at most 1001 points"),
    (SHARE.replace("share", "mean"), "does not read box"),
    (ONE + 'currency="EUR"', "does not read currency"),
    (HEAD + 'kind="nps"\nquestion="q"\nscale=[1,5]', "0..10"),
    (HEAD + 'kind="gap"\nquestion="q"\nscale=[1,5]', "wants expected_question"),
    (HEAD + 'kind="gap"\nquestion="q"\nexpected_question="q"\nscale=[1,5]', "both expected and perceived"),
    (HEAD + 'kind="gap_share"\nquestion="q"\nexpected_question="e"\nscale=[1,5]\nat_least=5', "reaches 5"),
    (HEAD + 'kind="driver"\nquestion="q"\nscale=[1,5]\noverall_question="q"\noverall_scale=[1,5]', "drives itself"),
    (HEAD + 'kind="driver"\nquestion="q"\nscale=[1,5]', "wants overall_question"),
    (HEAD + 'kind="grid"\nscale=[0,4]', "wants grid"),
    (HEAD + 'kind="grid"\nscale=[0,4]\ngrid={a=0.0}', "not above 0"),
    (HEAD + 'kind="rate"\nevents=["complaint"]', "wants among"),
    (HEAD + 'kind="event_share"\nevents=["complant"]', "unknown kinds of events: complant"),
    (HEAD + 'kind="event_share"\nevents=["praise"]\namong=["comment"]', "cannot be a share"),
    (HEAD + 'kind="amount"\nevents=["order_placed"]\ncurrency="euro"', "ISO 4217"),
    (HEAD + 'kind="part"\nevents=["survey_sent"]\namong=["survey_sent"]', "survey_sent on both sides"),
    (HEAD + 'kind="count"\nbounds="anytime"', "no anytime-valid bounds"),
    (HEAD + 'kind="driver"\nquestion="q"\nscale=[1,100]\noverall_question="o"\noverall_scale=[1,100]', "10000 pairs"),
    (ONE + "channels=[]", "no channel counts"),
    (ONE + 'channels=["fax"]', "write one of card"),
    (ONE + 'dimensions=["shop"]', "unknown dimension shop"),
    (ONE + 'dimensions=["channel+channel"]', "no pair"),
    (ONE + 'dimensions=["*+channel"]', "no pair"),
    (ONE + 'dimensions=["attr."]', "unknown dimension"),
    (ONE + "dimensions=[]", "or none"),
    (ONE + 'windows=["2h"]', "unknown windows 2h"),
    (ONE + "[metric.lateness_ms]\n1h=9999999", "lateness 9999999 of 1h exceeds"),
    (ONE + 'windows=["24h"]\n[metric.lateness_ms]\n1h=1', "no window of this metric"),
    (ONE + "n_min=0", "below 1"),
    (ONE + "level=95.0", "between 0 and 1"),
    (SHARE + "target=85.0", "no share reaches 85"),
    (SHARE + 'one_per="subject"', "belong together"),
    (SHARE + "response_rate_min=0.2", "belong together"),
    (SHARE + 'response_rate_min=0.2\nresponse_metric="m"', "no metric of kind part"),
    (SHARE + SHARE.replace('"m"', '"n"').replace("[1,5]", "[1,7]"), "two scales"),
    (DROP.replace('metric="m"', 'metric="n"'), "no metric 'n'"),
    (ONE + RULE + 'kind="drop"\nmetric="m"', "cannot watch m, a metric of kind count"),
    (DROP.replace('dimension="*"', 'dimension="product"'), "does not count product"),
    (DROP.replace('dimension="*"', 'dimension="parent"'), "no touchpoint has one"),
    (DROP + 'strata="children"', "below a parent"),
    (DROP + 'baseline="fixed"', "states p0"),
    (DROP + "p0=0.1", "a learned baseline states none"),
    (DROP + 'baseline="fixed"\np0=0.3', "not above p0"),
    (DROP + "p1=[1.2]", "lies not in 0..1"),
    (DROP + "p1=[]", "lies not in 0..1"),
    (DROP + "budget_per_week=0.0", "no evidence reaches"),
    (DROP + "budget_per_week=0.0001", "hundred years"),
    (DROP + "learn_lag_ms=3_110_400_000", "leaves no 1 days"),
    (DROP + 'profile="weekday_hour"\nlearn_lag_ms=864_000_000', "leaves no 28 days"),
    (DROP + 'profile="weekday_hour"\nbaseline="fixed"\np0=0.1', "the same at all hours"),
    (DROP.replace("drop", "burn") + 'objective=0.9\nprofile="weekday_hour"', "kind burn knows no profile"),
    (DROP.replace("drop", "score") + 'profile="weekday_hour"', "kind score knows no profile"),
    (DROP + "learn_confidence=0.5", "bounds nothing"),
    (DROP + 'direction="sideways"', "no direction"),
    (DROP + "hold_ms=-1", "out of range"),
    (DROP + "flap_transitions=1", "no flapping"),
    (DROP + "objective=0.9", "has no objective"),
    (DROP.replace("drop", "burn"), "states its objective"),
    (DROP.replace("drop", "burn") + "objective=0.4", "above 0.5"),
    (DROP.replace("drop", "dispute"), "watches events, no metric"),
    (COUNTED + "factors=[1.5]", "are no fall"),
    (COUNTED.replace("count_drop", "count_rise") + "factors=[0.5]", "are no rise"),
    (COUNTED + 'baseline="fixed"', "states expected_per_day"),
    (COUNTED + 'baseline="fixed"\nexpected_per_day=0.0', "is impossible"),
    (PLACE + 'time_zone="Europe/Pari"', "unknown time zone"),
    (PLACE + 'parent="north"', "is no touchpoint"),
    (PLACE + 'parent="p"', "above itself"),
    (PLACE + 'opens="9"', "no time of day"),
    (PLACE + 'opens="09:00"', "belong together"),
    (ONE + '[[exception]]\nname="x"\nfrom=2026-12-03\nto=2026-12-01', "ends before it begins"),
    (ONE + '[[exception]]\nname="x"\nfrom=2026-12-01\nto=2026-12-03\ntouchpoints=["p"]', "unknown touchpoints: p"),
    (ONE + '[[exception]]\nname="x"\nfrom="soon"\nto=2026-12-03', "from"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_is_impossible_is_refused_with_what_to_do(text: str, said: str) -> None:
    with pytest.raises(CatalogueError) as refused:
        catalogue.parse(text, "my.toml")
    told = [line for line in refused.value.detail.splitlines() if said in line]
    assert told, refused.value.detail
    for line in refused.value.detail.splitlines():
        assert line.startswith("my.toml:"), line
        assert len(line.partition(" -> ")[2]) > 5, line


@pytest.mark.parametrize("text", [ONE, SHARE, DROP, COUNTED, PLACE])
def test_what_the_wrong_ones_were_made_from_is_fine(text: str) -> None:
    assert catalogue.problems(catalogue.parse(text)) == []


FULL = """# a comment
[[metric]]
name = "csat"
version = 1
owner = "o"
title = '''of [[metric]]
several lines'''
kind = "share"
question = "q"
scale = [
  1,
  5,
]
box = [6]   # outside
lateness_ms = { "1h" = -1 }

[[metric]]
name = "other"
version = 1
owner = "o"
title = "t"
kind = "nope"

[[alarm]]
name = "a"
owner = "o"
severity = "page"
kind = "drop"
metric = "other"
p1 = [0.2, 2.0]
"""


def test_every_problem_of_a_file_is_told_at_once_with_its_line() -> None:
    with pytest.raises(CatalogueError) as refused:
        catalogue.parse(FULL, "c.toml")
    told = [line.split(": ")[:2] for line in refused.value.detail.splitlines()]
    assert told == [
        ["c.toml:14", "metric 'csat'"], ["c.toml:15", "metric 'csat'"], ["c.toml:22", "metric 'other'"],
        ["c.toml:30", "alarm 'a'"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line"), [("not toml [", 1), (ONE + 'x = "', 7), (ONE + "\nname = 2", 8), (ONE + "\n\ny = [1,\n", 9)]
)
def test_what_is_no_toml_is_told_with_its_line(text: str, line: int) -> None:
    with pytest.raises(CatalogueError, match=rf"my\.toml:{line}: no TOML"):
        catalogue.parse(text, "my.toml")


def test_every_key_of_the_packaged_file_is_found_on_its_line() -> None:
    text = (files("schemas") / "catalogue.toml").read_text("utf-8")
    written, found = text.splitlines(), lines_of(text)
    keys = {path: line for path, line in found.items() if re.fullmatch(r"\$\.\w+\[\d+\]\.\w+", path)}
    assert len(keys) == sum(len(row) for table in tomllib.loads(text).values() for row in table)
    for path, line in keys.items():
        assert written[line - 1].partition("=")[0].strip() == path.rpartition(".")[2], path
    assert line_of("$.metric[1].scale[0].deeper", found) == found["$.metric[1].scale[0]"]
    assert line_of("$.nothing", found) == 1


def test_a_window_that_its_pane_does_not_divide_and_a_budget_of_a_pane_are_refused_at_start() -> None:
    sound = catalogue.parse(DROP + "budget_per_week=20160.0")
    assert catalogue.check(sound, pane_ms=10_000) is sound
    for pane_ms, said in ((7_000, "does not divide the step of 1h"), (30_000, "fire without evidence")):
        with pytest.raises(CatalogueError, match=said):
            catalogue.check(sound, pane_ms=pane_ms)
        with pytest.raises(CatalogueError, match=said):
            catalogue.parse(DROP + "budget_per_week=20160.0", pane_ms=pane_ms)


def test_parents_pairs_attributes_and_children_are_welcome() -> None:
    text = (
        SHARE + 'dimensions=["*","touchpoint","parent","attr.segment","channel+attr.segment"]\n' + RULE.replace('"*"', '"parent"')
        + 'metric="m"\nkind="drop"\nstrata="children"\n[[touchpoint]]\nname="n"\n[[touchpoint]]\nname="p"\nparent="n"\n'
    )  # fmt: skip
    assert catalogue.parse(text).alarm[0].strata == "children"


def test_a_missing_file_is_named() -> None:
    with pytest.raises(CatalogueError, match=r"nowhere\.toml"):
        catalogue.load("nowhere.toml")
