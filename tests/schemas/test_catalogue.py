"""The metric catalogue: one definition, unknown keys refused, a changed definition is a new series."""

import msgspec
import pytest

from schemas import catalogue
from schemas.errors import CatalogueError

PACKAGED = catalogue.load()


def test_the_packaged_catalogue_holds_the_promised_metrics() -> None:
    assert [metric.name for metric in PACKAGED.metric] == [
        "csat",
        "nps",
        "ces",
        "complaint_rate",
        "volume",
    ]
    for metric in PACKAGED.metric:
        assert (metric.dimensions, metric.windows) == (
            ("*", "channel", "touchpoint"),
            ("1h", "24h", "7d", "28d"),
        )


def test_identity_changes_with_the_definition_and_not_with_the_owner() -> None:
    csat = PACKAGED.named("csat")
    assert msgspec.structs.replace(csat, box=(5,)).identity != csat.identity
    assert msgspec.structs.replace(csat, owner="somebody else").identity == csat.identity


def test_the_hash_covers_alarm_rules() -> None:
    rule = msgspec.structs.replace(PACKAGED.alarm[0], p1=0.3)
    assert msgspec.structs.replace(PACKAGED, alarm=[rule, PACKAGED.alarm[1]]).hash != PACKAGED.hash


METRIC = '[[metric]]\nname="m"\nversion=1\nowner="o"\ntitle="t"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[metric]]\nname = 1", "name"),
        (
            METRIC + 'kind="share"\nquestion="q"\nscale=[1,5]\nbox=[5]\ncolour="red"',
            "colour",
        ),
        (METRIC + 'kind="share"\nquestion="q"\nscale=[1,5]', "box"),
        (METRIC + 'kind="nps"\nquestion="q"\nscale=[1,5]', "0..10"),
        (METRIC + 'kind="count"\nwindows=["2h"]', "2h"),
        (METRIC + 'kind="count"\n[metric.lateness_ms]\n"1h"=9999999', "lateness"),
        (METRIC + 'kind="count"\n' + METRIC + 'kind="count"', "twice"),
        (
            METRIC + 'kind="count"\n[[alarm]]\nname="a"\nowner="o"\nkind="drop"\nmetric="m"\nseverity="page"',
            "share",
        ),
        ("not toml [", "catalogue"),
    ],
)
def test_a_wrong_catalogue_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(CatalogueError, match=said):
        catalogue.parse(text)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(CatalogueError, match=r"nowhere\.toml"):
        catalogue.load("nowhere.toml")
