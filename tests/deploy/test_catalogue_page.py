"""The catalogue for people: a page in two languages, and what changes between two catalogues."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from deploy.catalogue_diff import changes
from deploy.catalogue_page import page
from deploy.catalogue_words import LANGUAGES, Words
from deploy.cli import main
from schemas.catalogue import Catalogue, load
from schemas.metrics import MetricKind
from schemas.rules import Rule, RuleKind
from sinks.compiled import KINDS

EVERY_KIND = Path(__file__).parents[1] / "sinks" / "compiled" / "every_kind.toml"
PACKAGED = load()


class Seen(HTMLParser):
    """Names every tag that is opened, checks that each is closed in turn, and collects text and links."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs) -> None:
        held = dict(attrs)
        self.ids += [held["id"]] if "id" in held else []
        self.links += [held["href"]] if "href" in held else []
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text += "" if "style" in self.open else data


def seen(catalogue: Catalogue, words: Words) -> Seen:
    html = page(catalogue, words)
    assert html == page(catalogue, words)
    assert not re.search(r"<script|https?://|src=|url\(", html), "the page asks nobody for anything"
    found = Seen()
    found.feed(html)
    assert found.open == []
    return found


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("file", ["", str(EVERY_KIND)], ids=["packaged", "every kind"])
def test_the_page_tells_everything_of_every_metric_and_alarm(lang: str, file: str) -> None:
    catalogue = load(file)
    found = seen(catalogue, LANGUAGES[lang])
    names = [one.name for one in (*catalogue.metric, *catalogue.alarm)]
    assert found.ids == names and found.links == [f"#{name}" for name in names]
    for metric in catalogue.metric:
        for said in (metric.title, metric.owner, metric.identity, f"FROM v_metric_{metric.name}", *metric.windows):
            assert said in found.text, (metric.name, said)
    for touchpoint in catalogue.touchpoint:
        assert touchpoint.name in found.text
    assert not set("{}") & set(found.text), "a brace that nobody filled"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_kind_of_metric_and_rule_has_its_words(lang: str) -> None:
    words = LANGUAGES[lang]
    assert set(words.formula) == set(words.counts) == set(KINDS) == set(MetricKind)
    assert set(words.promise) == set(RuleKind)
    assert words.labels.keys() == LANGUAGES["en"].labels.keys()
    rules = [
        Rule(name=f"r_{kind}", owner="o", kind=kind, severity="page", metric="csat", objective=0.9, factors=(0.5,))
        for kind in RuleKind
    ]
    found = seen(msgspec.structs.replace(PACKAGED, alarm=rules), words)
    assert found.text.count("csat") > len(rules) - 2


def test_text_of_the_catalogue_stays_text() -> None:
    metric = msgspec.structs.replace(PACKAGED.metric[0], title="<b>&", owner='"><i>', question="<u>")
    html = page(msgspec.structs.replace(PACKAGED, metric=[metric]), LANGUAGES["en"])
    assert not re.search(r"<b>|<i>|<u>", html)
    assert "&lt;b&gt;&amp;" in html


def test_a_difference_says_which_series_begin_anew() -> None:
    csat, nps, *rest = PACKAGED.metric
    drop, *rules = PACKAGED.alarm
    new = msgspec.structs.replace(
        PACKAGED,
        metric=[msgspec.structs.replace(csat, box=(5,)), msgspec.structs.replace(nps, owner="x"), *rest[1:]],
        alarm=[msgspec.structs.replace(drop, p1=(0.4,)), *rules],
        touchpoint=PACKAGED.touchpoint[1:],
    )
    told = {(one.what, one.name): (one.change, one.fields) for one in changes(PACKAGED, new)}
    assert told.keys() == {
        ("metric", "csat"), ("metric", "nps"), ("metric", rest[0].name), ("alarm", drop.name),
        ("touchpoint", PACKAGED.touchpoint[0].name),
    }  # fmt: skip
    change, fields = told["metric", "csat"]
    assert fields == "box" and f"not pooled with {csat.identity}" in change and "raise its version" in change
    assert told["metric", "nps"] == ("goes on; only what people read differs", "owner")
    assert "unarmed" in told["alarm", drop.name][0]
    assert list(changes(PACKAGED, PACKAGED)) == []


def test_the_command_checks_documents_and_shows_sql(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["catalogue", *arguments])
        return ended.value.code, "".join(capsys.readouterr())

    wrong = tmp_path / "wrong.toml"
    wrong.write_text(
        EVERY_KIND.read_text("utf-8").replace("box = [4, 5]", "box = [4, 7]").replace("version = 1", "version = 0")
    )
    assert json.loads(run("check", str(EVERY_KIND), "--json")[1])["hash"] == load(str(EVERY_KIND)).hash
    code, said = run("check", str(wrong))
    assert code == 2 and said.count(f"{wrong}:") == 20
    assert run("docs", "--lang", "fr", "--out", str(tmp_path / "page.html"))[0] == 0
    assert 'lang="fr"' in (tmp_path / "page.html").read_text("utf-8")
    code, said = run("sql", "csat", str(EVERY_KIND))
    assert code == 0 and said.count("CREATE OR REPLACE VIEW v_metric_csat") == 4
    assert run("sql", "nothing")[0] == 2
    code, said = run("diff", str(EVERY_KIND), str(EVERY_KIND))
    assert (code, said.strip()) == (0, "no difference")
