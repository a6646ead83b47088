"""The console over HTTP: what it answers, whom it lets decide, and that no other site can make a browser do it."""

import asyncio
import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from deploy.alarm_http import Console, build_app
from deploy.alarms import NOT_YET, By
from schemas.catalogue import load
from schemas.errors import SettingsError, UnavailableError
from schemas.outputs import DecisionKind
from schemas.readiness import Readiness
from schemas.settings import Settings, check, is_loopback
from schemas.telemetry import Telemetry

TOKEN = "0123456789abcdef"
AT = datetime(2026, 3, 28, 10, tzinfo=UTC)
NOW_MS = 1_774_692_000_000
HERE = "http://127.0.0.1:8090"


def row(alarm: str, state: str, **more: Any) -> dict[str, Any]:
    return {
        "alarm_id": alarm, "sequence": 1, "rule": "satisfaction_drop", "metric": "csat", "dimension": "touchpoint",
        "key": "lyon", "direction": "down", "severity": "page", "state": state, "at": AT, "first_at": AT, "statistic": 1.32,
        "p0": 0.12, "p1": 0.25, "n": 24, "bad": 10, "changed_at": AT, "occurred_first": AT, "occurred_last": AT,
        "event_id": "", "actor": "judge", "note": "", "opened_at": AT, "acknowledged_at": None, "acknowledged_by": "",
        "last_note": "", "evidence": '{"strata":{"card":{"n":24,"bad":10,"p0":0.12,"p1":0.25}},"learned_from":1631}', **more,
    }  # fmt: skip


class Book:
    """Alarms in memory, under the contract that the store and the log fulfil."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = list(rows)
        self.decided: list[tuple[DecisionKind, By, Mapping[str, Any]]] = []
        self.failing: UnavailableError | None = None

    def open(self) -> list[dict[str, Any]]:
        return [one for one in self.rows if one["state"] != "resolved"]

    def history(self, prefix: str, limit: int) -> list[dict[str, Any]]:
        return [one for one in self.rows if one["alarm_id"].startswith(prefix)][:limit]

    def states(self, prefix: str) -> dict[str, str]:
        if self.failing is not None and self.failing.reason != NOT_YET:
            raise self.failing
        return {one["alarm_id"]: one["state"] for one in self.rows if one["alarm_id"].startswith(prefix)}

    def decide(self, kind: DecisionKind, by: By, body: Mapping[str, Any]) -> int | None:
        if self.failing is not None:
            raise self.failing
        self.decided.append((kind, by, body))
        return NOW_MS


class Browser:
    """Asks one console and keeps its cookies."""

    def __init__(self, console: Console, base: str) -> None:
        self._app, self._base, self._cookies = build_app(console), base, httpx.Cookies()

    def get(self, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._ask("GET", path, **more))

    def post(self, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._ask("POST", path, **more))

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url=self._base, cookies=self._cookies) as client:
            answer = await client.request(method, path, **more)
            self._cookies = client.cookies
            return answer


def client_of(book: Book, *, token: str = "", base: str = HERE) -> Browser:
    settings = Settings(console_token=token)
    console = Console(settings, book, load(), clock=lambda: NOW_MS, telemetry=Telemetry(), readiness=Readiness())
    return Browser(console, base)


def test_alarms_are_listed_with_their_evidence_as_objects() -> None:
    client = client_of(Book(row("aa1", "open"), row("bb2", "resolved")))
    (found,) = client.get("/v1/alarms").json()["alarms"]
    assert (found["alarm_id"], found["state"], found["at"]) == ("aa1", "open", "2026-03-28T10:00:00Z")
    assert found["evidence"]["strata"]["card"]["bad"] == 10
    assert len(client.get("/v1/alarms?all=1").json()["alarms"]) == 2
    one = client.get("/v1/alarms/bb").json()
    assert (one["alarm_id"], one["state"], len(one["transitions"])) == ("bb2", "resolved", 1)


@pytest.mark.parametrize(
    ("action", "kind"),
    [("ack", DecisionKind.ACK), ("resolve", DecisionKind.RESOLVE), ("note", DecisionKind.NOTE)],
)
def test_decisions_reach_the_log_with_who_and_why(action: str, kind: DecisionKind) -> None:
    book = Book(row("aa1", "open"))
    answer = client_of(book).post(f"/v1/alarms/aa/{action}", json={"note": "calling the shop", "by": "Alice"})
    assert (answer.status_code, answer.json()) == (200, {"alarm_id": "aa1", "applied": True, "pane": NOW_MS})
    assert book.decided == [(kind, By("Alice", "calling the shop"), {"alarm_id": "aa1"})]


def test_a_silence_has_a_rule_of_the_catalogue_and_an_end() -> None:
    book = Book()
    client = client_of(book)
    given = {"rule": "dispute", "key": "lyon", "for_s": 7200, "note": "known"}
    assert client.post("/v1/silences", json=given).status_code == 200
    until = NOW_MS + 7_200_000
    assert book.decided == [
        (DecisionKind.SILENCE, By("console", "known"), {"rule": "dispute", "key": "lyon", "until": until})
    ]
    for wrong, reason in (
        ({"rule": "nonsense", "for_s": 5}, "unknown_rule"), ({"rule": "dispute"}, "bad_length"),
        ({"rule": "dispute", "for_s": 5, "until": until}, "bad_length"), ({"rule": "dispute", "until": 5}, "bad_length"),
        ({"rule": "dispute", "for_s": 10**9}, "bad_length"), ({"rule": "dispute", "for_s": 5, "who": "x"}, "bad_body"),
    ):  # fmt: skip
        answer = client.post("/v1/silences", json=wrong)
        assert (answer.status_code, answer.json()["error"]) == (422, reason)
        assert answer.json()["remedy"]


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/v1/alarms/zz/ack", 404, "no_such_alarm"), ("/v1/alarms/a/ack", 409, "ambiguous_id"),
        ("/v1/alarms/ab/resolve", 409, "alarm_over"), ("/v1/alarms/aa/dance", 404, "unknown_action"),
        ("/v1/alarms/aa/note", 422, "note_missing"), ("/v1/nothing", 404, "Not Found"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_says_why_and_what_to_do(path: str, status: int, reason: str) -> None:
    book = Book(row("aa1", "open"), row("ab1", "resolved"))
    answer = client_of(book).post(path, json={})
    assert (answer.status_code, answer.json()["error"]) == (status, reason)
    assert answer.json()["remedy"]
    assert book.decided == []


def test_a_decision_that_the_judge_has_not_come_to_is_accepted_not_lost() -> None:
    book = Book(row("aa1", "open"))
    book.failing = UnavailableError(NOT_YET, "offset 5")
    answer = client_of(book).post("/v1/alarms/aa1/ack", json={})
    assert (answer.status_code, answer.json()["applied"]) == (202, False)
    book.failing = UnavailableError("kafka_unavailable", "down")
    answer = client_of(book).post("/v1/alarms/aa1/ack", json={})
    assert (answer.status_code, answer.json()["error"], "retry-after" in answer.headers) == (
        503,
        "kafka_unavailable",
        True,
    )
    assert client_of(book).get("/readyz").status_code == 503
    assert client_of(Book()).get("/readyz").status_code == 200


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_with_a_token_nobody_reads_or_decides_without_it() -> None:
    book = Book(row("aa1", "open"))
    client = client_of(book, token=TOKEN, base="http://alarms.example")
    for headers in ({}, {"Authorization": "Bearer wrong"}, basic("alice", "wrong"), {"Authorization": "Basic !!"}):
        for path in ("/v1/alarms", "/v1/alarms/aa1", "/", "/alarms/aa1"):
            answer = client.get(path, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"][:5]) == (401, "Basic"), path
            assert "lyon" not in answer.text
        assert client.post("/v1/alarms/aa1/ack", json={}, headers=headers).status_code == 401
    assert client.get("/v1/alarms", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/livez").status_code == 200
    assert client.post("/v1/alarms/aa1/ack", json={"by": "Mallory"}, headers=basic("alice", TOKEN)).status_code == 200
    assert client.post("/v1/alarms/aa1/ack", json={}, headers=basic(TOKEN, "")).status_code == 200
    assert [by.author for _, by, _ in book.decided] == ["alice", "console"]


def test_without_a_token_only_this_machines_own_names_are_answered() -> None:
    for base, status in (
        (HERE, 200),
        ("http://localhost:8090", 200),
        ("http://[::1]:8090", 200),
        ("http://evil.example", 403),
    ):
        assert client_of(Book(), base=base).get("/v1/alarms").status_code == status, base
    with pytest.raises(SettingsError, match="console_token"):
        check(Settings(console_host="0.0.0.0"))
    check(Settings(console_host="0.0.0.0", console_token=TOKEN))
    assert [is_loopback(one) for one in ("127.0.0.1", "::1", "localhost", "10.0.0.1", "x")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_another_sites_page_cannot_decide() -> None:
    book = Book(row("aa1", "open"))
    client = client_of(book)
    path = "/v1/alarms/aa1/resolve"
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert client.post(path, json={}, headers=headers).json()["error"] == "foreign_page"
    # what a form may send without asking first
    assert client.post(path, content="{}", headers={"Content-Type": "text/plain"}).status_code == 415
    assert client.post(path, json={}, headers={"Origin": HERE, "Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert len(book.decided) == 1


def form_of(page: str) -> dict[str, str]:
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))


def test_a_button_works_without_scripts_and_only_with_the_token_of_the_page() -> None:
    book = Book(row("aa1", "open"))
    client = client_of(book)
    page = client.get("/?lang=en").text
    assert "<script" not in page
    given = {**form_of(page), "action": "ack", "note": "mine", "by": "Alice"}
    for wrong in ({**given, "form_token": "x"}, {name: value for name, value in given.items() if name != "form_token"}):
        assert client.post("/alarms/aa1", data=wrong).status_code == 403
    other = client_of(book)  # another browser, without the session
    assert other.post("/alarms/aa1", data=given).status_code == 403
    assert client.post("/alarms/aa1", data=given, headers={"Origin": "http://evil.example"}).status_code == 403
    assert book.decided == []
    answer = client.post("/alarms/aa1?lang=en", data=given, headers={"Origin": HERE})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?lang=en")
    assert book.decided == [(DecisionKind.ACK, By("Alice", "mine"), {"alarm_id": "aa1"})]


def test_the_page_speaks_french_and_english() -> None:
    client = client_of(Book(row("aa1", "acknowledged", acknowledged_at=AT, acknowledged_by="Zoé")))
    french = client.get("/", headers={"Accept-Language": "de, fr-CH;q=0.9, en;q=0.5"}).text
    assert "10 réponses sur 24 étaient mauvaises (41,7 %)" in french
    assert "Prise en charge par zoé" not in french and "prise en charge par Zoé" in french
    assert 'lang="fr"' in french and "Résoudre" in french
    english = client.get("/?lang=en", headers={"Accept-Language": "fr"}).text
    assert "10 of 24 answers were bad (41.7 %)" in english and "Usual is at most 12.0 %" in english
    assert "Take on" not in english, "it is taken on already"
    assert "Aucune alarme" in client_of(Book()).get("/?lang=fr").text


def test_what_people_write_is_text_never_markup() -> None:
    evil = '<img src=x onerror="alert(1)">'
    rows = row(
        "aa1", "open", key=evil, last_note=evil, note=evil, actor=evil, evidence='{"contributors":[{"key":"<b>"}]}'
    )
    client = client_of(Book(rows))
    for path in ("/", "/alarms/aa1"):
        answer = client.get(path)
        assert "<img" not in answer.text and "<b>" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_large_body_is_refused_and_errors_of_pages_are_pages() -> None:
    client = client_of(Book(row("aa1", "open")))
    assert client.post("/v1/alarms/aa1/note", json={"note": "x" * 70_000}).json()["error"] == "too_large"
    assert client.post("/v1/alarms/aa1/note", json={"note": "x" * 5_000}).json()["error"] == "too_long"
    answer = client.get("/alarms/zz?lang=fr")
    assert (answer.status_code, "Toutes les alarmes ouvertes" in answer.text) == (404, True)


def test_a_note_on_an_alarm_that_is_over_is_refused_and_not_lost_without_a_word() -> None:
    book = Book(row("ab1", "resolved"))
    answer = client_of(book).post("/v1/alarms/ab/note", json={"note": "it was the till"})
    assert (answer.status_code, answer.json()["error"]) == (409, "alarm_over")
    assert book.decided == []


@pytest.mark.parametrize("limit", ["0", "-1", "10001", "many", "\u00b2", "9" * 5_000])
def test_a_limit_that_is_no_number_of_rows_is_refused(limit: str) -> None:
    answer = client_of(Book()).get("/v1/alarms", params={"limit": limit})
    assert (answer.status_code, answer.json()["error"]) == (422, "bad_parameter")
