"""The card page: two languages, no script, one submission one event, nothing lost."""

import re
import tomllib
import uuid
from collections.abc import Iterator
from importlib.resources import files

import httpx
import pytest
from selectolax.lexbor import LexborHTMLParser

from producers.card_page import SOURCE, TEXT_MAX_CHARS, preferred
from schemas.catalogue import Catalogue
from schemas.clock import system_clock
from schemas.event import natural_id
from tests.producers.conftest import Broker, Published, Running, serve

WORDS = tomllib.loads((files("producers") / "page" / "words.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def http(gateway: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url) as client:
        yield client


def cards(broker: Broker, submission: str) -> list[Published]:
    wanted = natural_id(SOURCE, f"card:paris:{submission}")
    return [one for one in broker.published() if one.record.get("event_id") == wanted]


def form(**fields: str) -> dict[str, str]:
    return {"score": "4", "text": "", "submission": str(uuid.uuid4()), "lang": "fr"} | fields


def test_both_languages_have_all_words() -> None:
    assert set(WORDS["en"]) == set(WORDS["fr"])
    assert all(word.strip() for words in WORDS.values() for word in words.values())


@pytest.mark.parametrize(
    ("header", "language"),
    [("fr-FR,fr;q=0.9,en;q=0.8", "fr"), ("en-GB", "en"), ("de,fr;q=0.5,en;q=0.4", "fr"), ("", "en"), ("de", "en"), ("fr;q=0, en;q=0.1", "en"), ("fr;q=x", "en")],
)  # fmt: skip
def test_the_browsers_language_decides(header: str, language: str) -> None:
    assert language == preferred(header)


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_page_needs_no_script_and_labels_everything(http: httpx.Client, language: str) -> None:
    page = http.get("/c/paris", params={"lang": language}, headers={"Accept-Language": "de"})
    assert (200, language, "no-store") == (
        page.status_code,
        page.headers["content-language"],
        page.headers["cache-control"],
    )
    assert "default-src 'none'" in page.headers["content-security-policy"]
    tree = LexborHTMLParser(page.text)
    assert language == (tree.root.attributes["lang"] if tree.root else "")
    assert not tree.css("script, link, img")
    assert "Paris Rivoli" in page.text
    assert WORDS[language]["question"] in tree.css_first("legend").text()
    faces = tree.css("label.face input[type=radio][name=score]")
    assert ["1", "2", "3", "4", "5"] == [face.attributes["value"] for face in faces]
    assert [WORDS[language][f"face_{n}"] for n in range(1, 6)] == [word.text() for word in tree.css("label.face .word")]
    assert tree.css("label[for=text]") and tree.css("textarea#text")
    assert uuid.UUID(tree.css_first("input[name=submission]").attributes["value"])
    assert "$" not in re.sub(r"<style>.*?</style>", "", page.text, flags=re.DOTALL)


def test_the_style_is_the_one_that_the_policy_allows(http: httpx.Client) -> None:
    import base64
    import hashlib

    page = http.get("/c/paris")
    style = re.search(r"<style>(.*?)</style>", page.text, re.DOTALL)
    assert style
    assert (
        base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode() in page.headers["content-security-policy"]
    )


def test_a_card_becomes_one_event_even_when_sent_twice(http: httpx.Client, broker: Broker) -> None:
    sent = form(text="Très bien <b>&</b>\r\nmerci")
    for _ in range(2):
        answer = http.post("/c/paris", data=sent)
        assert (303, "/c/paris/thanks?lang=fr") == (answer.status_code, answer.headers["location"])
    copies = cards(broker, sent["submission"])
    assert 2 == len(copies)
    assert 1 == len({(copy.partition, copy.key) for copy in copies})
    record = copies[0].record
    assert ("card", "rating", "paris", "Très bien <b>&</b>\nmerci", "fr") == tuple(
        record[name] for name in ("channel", "kind", "touchpoint", "text", "lang")
    )
    assert [("csat", 4.0)] == [(one["question"], one["score"]) for one in record["answers"]]
    assert WORDS["fr"]["thanks"] in http.get("/c/paris/thanks?lang=fr").text


@pytest.mark.parametrize(
    ("changes", "status", "word"),
    [({"score": ""}, 422, "choose"), ({"score": "9"}, 422, "choose"), ({"text": "x" * (TEXT_MAX_CHARS + 1)}, 413, "too_long"), ({"text": "a\x00b"}, 422, "broken")],
)  # fmt: skip
def test_a_card_that_cannot_be_taken_comes_back_filled_in(
    http: httpx.Client, changes: dict[str, str], status: int, word: str
) -> None:
    sent = form(text="Mon avis") | changes
    page = http.post("/c/paris", data=sent)
    assert status == page.status_code
    tree = LexborHTMLParser(page.text)
    assert WORDS["fr"][word] == tree.css_first("[role=alert]").text()
    assert sent["submission"] == tree.css_first("input[name=submission]").attributes["value"]
    if status != 413 and "\x00" not in sent["text"]:
        assert "Mon avis" == tree.css_first("textarea").text()


@pytest.mark.parametrize("body", [b"\xff\xfe", b"&".join([b"a=b"] * 50), b"score=4&text=%FF", b"x" * 100_000])
def test_a_form_that_cannot_be_read_is_a_page_and_no_crash(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/c/paris", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code in {400, 413}
    assert "<form" in answer.text


def test_text_is_escaped(http: httpx.Client) -> None:
    page = http.post("/c/paris", data=form(score="", text="</textarea><script>alert(1)</script>"))
    assert "<script" not in page.text


def test_an_unknown_touchpoint_is_404(http: httpx.Client) -> None:
    for answer in (http.get("/c/atlantis"), http.post("/c/atlantis", data=form()), http.get("/c/atlantis/thanks")):
        assert (404, True) == (answer.status_code, WORDS["en"]["unknown"] in answer.text)


def test_too_many_cards_at_once_are_asked_to_wait(broker: Broker, catalogue: Catalogue) -> None:
    now = system_clock()
    for gateway in serve(broker.settings(), catalogue, clock=lambda: now):
        with httpx.Client(base_url=gateway.url) as client:
            codes = [client.post("/c/lyon", data=form()).status_code for _ in range(205)]
            assert [303] * 200 + [429] * 5 == codes


def test_a_card_that_cannot_be_saved_keeps_what_was_written(broker: Broker, catalogue: Catalogue) -> None:
    for gateway in serve(broker.settings(kafka_bootstrap="127.0.0.1:9"), catalogue, wait_ready=False):
        with httpx.Client(base_url=gateway.url) as client:
            sent = form(text="À garder", score="2")
            page = client.post("/c/paris", data=sent)
            assert 503 == page.status_code
            assert int(page.headers["retry-after"]) > 0
            tree = LexborHTMLParser(page.text)
            assert WORDS["fr"]["unavailable"] == tree.css_first("[role=alert]").text()
            assert "À garder" == tree.css_first("textarea").text()
            assert sent["submission"] == tree.css_first("input[name=submission]").attributes["value"]
            assert "2" == tree.css_first("input[name=score][checked]").attributes["value"]
