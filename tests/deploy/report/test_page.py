"""The page and the files: complete in both languages, safe with hostile text, without outside assets."""

import csv
import io
import json
import re
import string
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from clickhouse_driver import Client

from deploy.cli import main
from deploy.report import csv_files, gather, html, texts
from deploy.report.markup import Html, tag
from deploy.report.period import parse_week
from deploy.report.week import Report
from schemas.catalogue import Catalogue
from schemas.settings import Settings, to_environ

WEEK = parse_week("2026-W47")


@pytest.fixture(scope="module")
def report(store: Client, catalogue: Catalogue) -> Report:
    return gather.report(store, catalogue, WEEK)


class Page(HTMLParser):
    """Elements, text, and whether every element that opens closes in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "!doctype"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def naive_csat(store: Client, shop: str, week: str) -> tuple[int, int]:
    rows = store.execute(
        "SELECT answer_score[1], toDate(occurred_at, 'Europe/Paris') FROM feedback_events"
        f" WHERE touchpoint = '{shop}' AND notEmpty(answer_score)"
    )
    scores = [score for score, day in rows if f"{day.isocalendar()[0]}-W{day.isocalendar()[1]}" == week]
    return sum(score >= 4 for score in scores), len(scores)


def test_the_report_says_what_the_store_holds(report: Report, store: Client) -> None:
    for score in report.scores:
        if score.metric == "csat" and score.dimension == "touchpoint":
            for figure, week in ((score.now, "2026-W47"), (score.before, "2026-W46")):
                good, n = naive_csat(store, score.key, week)
                assert (figure.n, figure.value) == (n, good / n if n else None)
    assert [(one.rule, one.state, one.note) for one in report.alarms] == [
        ("satisfaction_drop", "acknowledged", "new staff at <till 2>"), ("dispute", "open", ""),
    ]  # fmt: skip
    first, second, *others = report.findings
    assert first[0].alarm and second[0].alarm and len(first[1]) == 5 and len(second[1]) == 1
    assert second[1][0].kind == "dispute"
    assert all(one.touchpoint == "lille" and one.score is not None and one.score <= 3 for one in first[1])
    assert ("csat", "lille") in {(one.score.metric, one.score.key) for one, _ in others if one.score}
    assert all(one.probability.n for one in report.cases.next_rungs)
    assert report.cases.median_lead_s is not None
    asked = store.execute(
        "SELECT count() FROM v_response_times WHERE asked_at >= '2026-11-15 23:00:00' AND asked_at < '2026-11-22 23:00:00'"
    )
    assert sum(one.share.n + one.waiting for one in report.cases.responses) == asked[0][0]


def naive_at_mix(store: Client) -> tuple[float, float]:
    """Return the share of week 47 and what it is at the mix of channels of weeks 43 to 46."""
    rows = store.execute("SELECT channel, answer_score[1], toDate(occurred_at, 'Europe/Paris') FROM feedback_events"
                         " WHERE notEmpty(answer_score)")  # fmt: skip
    earlier = [channel for channel, _, day in rows if 43 <= day.isocalendar()[1] <= 46]
    now = [(channel, score >= 4) for channel, score, day in rows if day.isocalendar()[1] == 47]
    value = 0.0
    for channel in ("card", "email"):
        own = [good for held, good in now if held == channel]
        value += earlier.count(channel) / len(earlier) * sum(own) / len(own)
    return sum(good for _, good in now) / len(now), value


@pytest.mark.parametrize(
    ("lang", "said"), [("en", "at the earlier mix of channels: "), ("fr", "à répartition des canaux inchangée : ")]
)
def test_the_score_of_all_stands_beside_its_value_at_the_earlier_mix(
    report: Report, store: Client, lang: str, said: str
) -> None:
    score = next(one for one in report.scores if (one.metric, one.dimension) == ("csat", "*"))
    value, mixed = naive_at_mix(store)
    assert score.at_mix is not None and mixed < value - 0.05
    assert (score.now.value, score.at_mix.value, score.at_mix.covered) == (value, pytest.approx(mixed), 1.0)
    text = texts.Texts(lang, ZoneInfo("UTC"))
    page = Page(html.page(report, lang)).text
    assert page.count(said + text.share(mixed)) == 1
    assert text("at_mix_how") in page
    same = [msgspec.structs.replace(one, at_mix=None) for one in report.scores]
    plain = Page(html.page(msgspec.structs.replace(report, scores=same, findings=[]), lang)).text
    assert said not in plain and text("at_mix_how") not in plain
    rows = csv.DictReader(io.StringIO(csv_files.files(report)["scores.csv"].decode("utf-8-sig")))
    held = {one["metric"]: one for one in rows if one["dimension"] == "*"}
    assert float(held["csat"]["at_mix_value"]) == score.at_mix.value
    assert held["volume"]["at_mix_value"] == held["volume"]["at_mix_covered"] == ""


def test_alarms_name_the_events_that_show_them(report: Report, store: Client) -> None:
    drop, dispute = report.alarms
    assert dispute.verbatims == (dispute.event_id,)
    assert len(drop.verbatims) == 5
    shown = store.execute(
        f"SELECT touchpoint, text != '', occurred_at FROM feedback_events WHERE event_id IN {drop.verbatims}"
    )
    assert {(shop, text) for shop, text, _ in shown} == {("lille", 1)}
    rows = list(csv.DictReader(io.StringIO(csv_files.files(report)["alarms.csv"].decode("utf-8-sig"))))
    assert [one["verbatims"].split() for one in rows] == [list(one.verbatims) for one in report.alarms]


@pytest.mark.parametrize("lang", texts.LANGUAGES)
def test_the_page_is_well_formed_says_everything_and_names_no_customer(
    report: Report, store: Client, lang: str
) -> None:
    page = html.page(report, lang)
    found = Page(page)
    assert found.open == []
    names = [name for name, _ in found.seen]
    assert "script" not in names and "img" not in names and "link" not in names
    links = [value for _, given in found.seen for name, value in given.items() if name in {"href", "src"}]
    assert links and all(link and link.startswith("#") for link in links)
    assert {given["id"] for _, given in found.seen if given.get("id")} >= {str(link)[1:] for link in links}
    assert "http" not in page.replace("http-equiv", "")
    assert '<script>alert(1)</script> & "quoted" evil [@] […]' in found.text
    assert "new staff at <till 2>" in found.text
    assert "{" not in found.text.replace(html.CSS, "")
    said = (
        page
        + msgspec.json.encode(report).decode()
        + "".join(one.decode("utf-8-sig") for one in csv_files.files(report).values())
    )
    subjects = {
        one
        for (one,) in store.execute("SELECT DISTINCT subject FROM feedback_events WHERE startsWith(subject, 'case')")
    }
    assert subjects and not [one for one in subjects if re.search(rf"\b{one}\b", said)]
    assert "Genève Rive" in found.text and texts.Texts(lang, ZoneInfo("UTC"))("no_data") in found.text


def test_every_text_stands_in_both_languages_with_the_same_values() -> None:
    def fields(text: str) -> set[str | None]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}

    for name, (english, french) in texts._PAIRS.items():
        assert fields(english) == fields(french), name
        assert bool(english) == bool(french), name


def test_numbers_are_written_as_the_language_has_it() -> None:
    en, fr = (texts.Texts(lang, ZoneInfo("Europe/Paris")) for lang in ("en", "fr"))
    assert (en.number(12345.678, 1), fr.number(12345.678, 1)) == ("12,345.7", "12\u202f345,7")
    assert (en.value("share", -0.0513, signed=True), fr.share(0.5)) == ("\u22125.1 pts", "50,0\u202f%")
    assert en.value("nps", -0.04, signed=True) == "0.0"
    assert (en.time(1_792_890_000_000), fr.time(1_792_890_000_000)) == ("25 October 02:00", "25 octobre 02:00")
    assert (en.span(90), en.span(86_400), fr.span(864_000)) == ("2 min", "24 h", "10,0 j")


def test_only_what_the_page_makes_itself_passes_as_markup() -> None:
    bad = '"><b onload=x>'
    assert tag("td", bad, title=bad) == Html(
        '<td title="&quot;&gt;&lt;b onload=x&gt;">&quot;&gt;&lt;b onload=x&gt;</td>'
    )
    assert tag("p", [tag("b", "x"), "<"]) == "<p><b>x</b>&lt;</p>"


def test_no_spreadsheet_takes_a_text_for_a_formula(report: Report) -> None:
    finding, quotes = report.findings[0]
    bad = msgspec.structs.replace(quotes[0], text='=HYPERLINK("x"),\n"y"')
    changed = msgspec.structs.replace(report, findings=[(finding, [bad])])
    rows: list[dict[str, Any]] = list(
        csv.DictReader(io.StringIO(csv_files.files(changed)["verbatims.csv"].decode("utf-8-sig")))
    )
    assert rows[0]["text"] == "'" + bad.text
    scores = list(csv.DictReader(io.StringIO(csv_files.files(report)["scores.csv"].decode("utf-8-sig"))))
    lowest = min(float(one["change"]) for one in scores if one["change"])
    assert lowest < 0, "numbers stay numbers"


def test_the_command_writes_page_and_files_and_prints_json(
    store: Client,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in to_environ(msgspec.structs.replace(settings, kafka_bootstrap="localhost:1")).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as done:
        main(["report", "--week", WEEK.name, "--lang", "fr", "--out", str(tmp_path)])
    assert done.value.code == 0
    written = {one.name for one in (tmp_path / "report-2026-W47").iterdir()}
    assert written >= {"report-2026-W47-fr.html", "scores.csv", "verbatims.csv", "next_rungs.csv"}
    assert set(capsys.readouterr().out.split()) == {str(tmp_path / "report-2026-W47" / name) for name in written}
    with pytest.raises(SystemExit):
        main(["report", "--week", WEEK.name, "--json"])
    assert json.loads(capsys.readouterr().out)["week"] == WEEK.name
    with pytest.raises(SystemExit) as refused:
        main(["report", "--week", "2027-W53"])
    assert refused.value.code == 2


def test_a_week_without_anything_says_so(store: Client, catalogue: Catalogue) -> None:
    empty = gather.report(store, catalogue, parse_week("2020-W53"))
    assert empty.findings == [] and empty.alarms == []
    assert {one.now.n for one in empty.scores} == {0}
    page = Page(html.page(empty, "en"))
    assert "Nothing stands out" in page.text
    assert "No data at any touchpoint this week: Satisfaction (CSAT);" in page.text
    assert "0.0%" not in page.text.split("How likely")[0], "no answers are no data, never 0"
