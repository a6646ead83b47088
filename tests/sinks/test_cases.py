"""The case views on a real ClickHouse against a naive recount of the same events."""

import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from clickhouse_driver import Client
from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]

from deploy.engines.local import Endpoints
from schemas.catalogue import load
from schemas.settings import Settings
from sinks.clickhouse import connect
from sinks.migrate import migrate
from tests.sinks import naive_cases as naive
from tests.sinks.naive_cases import DAY, HOUR, MINUTE, Event

START = 1_790_000_000_000 // DAY * DAY
ZONES = {one.name: one.time_zone for one in load().touchpoint}
KINDS = ("remark", "complaint", "letter", "dispute", "question", "comment", "praise", "rating", "reply", "auto_reply")
Row = dict[str, Any]


@pytest.fixture(scope="module")
def migrated(engines: Endpoints) -> Iterator[Client]:
    """A client of a migrated database."""
    host, port = engines.clickhouse_native
    name = f"t{uuid.uuid4().hex[:10]}"
    settings = Settings(clickhouse_url=f"clickhouse://default@{host}:{port}", clickhouse_database=name)
    migrate(settings)
    with connect(settings) as client:
        yield client
        client.execute(f"DROP DATABASE {name} SYNC")


@pytest.fixture
def store(migrated: Client) -> Client:
    """The client, of a database without events."""
    migrated.execute("TRUNCATE TABLE feedback_events")
    return migrated


def put(client: Client, events: Iterable[Event]) -> None:
    """Store events as the sink does: one row each."""
    names = (
        "event_id, channel, kind, occurred_at, arrived_at, subject, conversation_ref, in_reply_to, direction, touchpoint, attributes,"
        " answer_question, answer_question_version, answer_score, answer_scale_min, answer_scale_max, answer_derived_by,"
        " probe, non_human, second_hand, corrects, retract, offset"
    )
    rows = []
    for one in events:
        given = [] if one.score is None else [one.score]
        answer = [
            ["csat"] * len(given),
            ["1"] * len(given),
            [float(s) for s in given],
            [1.0] * len(given),
            [5.0] * len(given),
            [""] * len(given),
        ]
        rows.append((
            one.event_id, one.channel, one.kind, moment(one.occurred_at), moment(one.arrived_at), *one[5:11], *answer, *one[12:],
        ))  # fmt: skip
    client.execute(f"INSERT INTO feedback_events ({names}) VALUES", rows, settings={"async_insert": 0})


def moment(at: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)


def ask(client: Client, query: str) -> list[Row]:
    """Return rows by column; times in ms."""
    rows, columns = client.execute(query, with_column_types=True)
    return [{name: plain(value) for (name, _), value in zip(columns, row, strict=True)} for row in rows]


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return round(value.replace(tzinfo=value.tzinfo or UTC).timestamp() * 1000)
    return value


def some_events(seed: int, n: int) -> list[Event]:
    """Return events of few customers at coarse times, so that every limit (30 min, 24 h, 7 d, 90 d) is met exactly."""
    rng = Random(seed)
    out: list[Event] = []
    for number in range(n):
        channel = rng.choice(("web", "web", "web", "call", "email", "email", "card", "order"))
        kind = {"web": rng.choice(("page_view", "web_action", "rating")), "order": "order_placed"}.get(
            channel
        ) or rng.choice(KINDS)
        span = rng.choice((300 * DAY, 10 * DAY, DAY))
        at = START + rng.randrange(span // (15 * MINUTE)) * 15 * MINUTE
        subject = rng.choice(("", *(f"s{i}" for i in range(8))))
        attributes = {}
        if rng.random() < 0.5:
            attributes["topic"] = rng.choice(("price", "delivery"))
        if rng.random() < 0.1:
            attributes["legal_threat"] = rng.choice(("true", "false"))
        if kind == "page_view":
            attributes["page"] = rng.choice(("/", "/shop", "/help"))
        out.append(
            Event(
                event_id=f"{seed}-{number:04}", channel=channel, kind=kind, occurred_at=at,
                arrived_at=at + rng.choice((0, HOUR, 20 * DAY)), subject=subject,
                conversation_ref=rng.choice(("", "", "c1", "c2", f"c{number % 20}")),
                in_reply_to=rng.choice(out).event_id if out and kind == "reply" else "",
                direction="out" if kind in ("reply", "auto_reply") and rng.random() < 0.8 else "in",
                touchpoint=rng.choice(("", "paris", "lyon", "geneve")), attributes=attributes,
                score=rng.randint(1, 5) if kind in ("rating", "comment") else None,
                probe=rng.random() < 0.03, non_human=rng.random() < 0.05, second_hand=rng.random() < 0.05,
                offset=10 * number,
            )
        )  # fmt: skip
    return out + corrections(rng, out, n // 8)


def corrections(rng: Random, said: list[Event], n: int) -> list[Event]:
    """Return what takes events back, half of it with another version in its place; some events are corrected twice."""
    out = []
    for number in range(n):
        old = rng.choice(said[: len(said) // 4])
        more = {
            "corrects": old.event_id,
            "arrived_at": old.arrived_at + rng.choice((HOUR, 30 * DAY)),
            "offset": 10**6 + 2 * number,
        }
        out.append(old._replace(event_id=f"{old.event_id}-minus{number}", retract=True, **more))
        if rng.random() < 0.6:
            more["offset"] += 1
            plus = old._replace(event_id=f"{old.event_id}-plus{number}", attributes={"topic": "price"}, **more)
            out.append(plus._replace(kind="dispute") if old.kind in naive.RUNGS else plus)
    return out


def bounds(good: int, n: int) -> Any:
    return pytest.approx(proportion_confint(good, n, 0.05, "wilson"), abs=1e-12)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_case_view_equals_a_naive_recount(store: Client, seed: int) -> None:
    events = some_events(seed, 700)
    put(store, events)
    known = max(one.arrived_at for one in events)
    left = naive.standing(events, known)

    found = ask(store, "SELECT * FROM v_web_visits")
    expected_visits = naive.visits(left)
    assert len(expected_visits) > 50
    assert sorted(
        (v["started_at"], v["ended_at"], v["touchpoint"], v["events"], v["pages"], v["distinct_pages"], v["known_visitor"],
         v["order_followed"], v["complaint_followed"]) for v in found
    ) == expected_visits  # fmt: skip

    for when in (known, START + 40 * DAY):
        then = naive.cases(naive.standing(events, when))
        at = f"(T = fromUnixTimestamp64Milli({when}, 'UTC'))"
        rows = ask(store, f"SELECT * FROM v_escalation_customers_as_known_at{at} ORDER BY customer, topic, case_no")
        assert {row.pop("known_until") for row in rows} == {when}
        assert rows == then
        steps = ask(store, f"SELECT * FROM v_escalation_steps_as_known_at{at}")
        assert sorted(tuple(row.values()) for row in steps) == naive.steps(then, when)
    assert len({step[3] for step in naive.steps(naive.cases(left), known)}) == 3
    assert len(ask(store, "SELECT * FROM v_escalation")) == len(naive.cases(left))

    repeats = ask(store, "SELECT * FROM v_repeat_contacts")
    assert {(r["day"], r["touchpoint"], r["channel"]): [r["n"], r["repeats"]] for r in repeats} == naive.repeats(
        left, ZONES
    )
    assert sum(r["repeats"] for r in repeats) > 20
    for row in repeats:
        assert row["value"] == row["repeats"] / row["n"]
        assert (row["lo"], row["hi"]) == bounds(row["repeats"], row["n"])

    answered = ask(store, "SELECT event_id, answered_at, state FROM v_response_times")
    assert {r["event_id"]: (r["answered_at"], r["state"]) for r in answered} == naive.responses(left, known)
    assert {r["state"] for r in answered} >= {"within", "late", "overdue"}

    classes = ask(store, "SELECT * FROM v_buyers")
    assert {
        (r["day"], r["touchpoint"], r["customer_class"]): [r["n"], r["satisfied"]] for r in classes
    } == naive.buyers(left, ZONES)
    for row in classes:
        assert (row["lo"], row["hi"]) == bounds(row["satisfied"], row["n"])

    weeks = ask(store, "SELECT * FROM v_first_answers")
    assert {
        (r["week"], r["touchpoint"]): [r["answers"], r["counted"], r["satisfied"]] for r in weeks
    } == naive.first_answers(left, ZONES)
    assert sum(r["repeats"] for r in weeks) > 0


def test_a_late_event_that_bridges_two_visits_makes_them_one(store: Client) -> None:
    def view(name: str, minute: int, late: int = 0) -> Event:
        at = START + minute * MINUTE
        return Event(name, "web", "page_view", at, at + late, subject="s1", attributes={"page": name})

    put(store, [view("a", 0), view("b", 40)])
    assert [row["events"] for row in ask(store, "SELECT * FROM v_web_visits")] == [1, 1]
    put(store, [view("c", 20, late=2 * DAY)])
    assert [(row["events"], row["duration_s"]) for row in ask(store, "SELECT * FROM v_web_visits")] == [(3, 2400.0)]


def test_a_gap_of_half_an_hour_ends_a_visit_and_visitors_without_pseudonym_are_told_apart(store: Client) -> None:
    put(store, [
        Event(f"{who}{minute}", "web", "page_view", START + minute * MINUTE, START, conversation_ref=who)
        for who in ("x", "y", "") for minute in (0, 29, 59)
    ])  # fmt: skip
    rows = ask(store, "SELECT events, duration_s FROM v_web_visits ORDER BY events, duration_s")
    assert [row["events"] for row in rows] == [1] * 5 + [2, 2]


def test_what_is_taken_back_leaves_the_ladder_and_what_was_known_before_stays_known(store: Client) -> None:
    put(store, [
        Event("r", "call", "remark", START, START, subject="s"),
        Event("d", "email", "dispute", START + 3 * DAY, START + 3 * DAY, subject="s"),
        Event("x", "email", "dispute", START + 3 * DAY, START + 5 * DAY, subject="s", corrects="d", retract=True),
    ])  # fmt: skip
    now = ask(store, "SELECT last_rung, lead_s, events FROM v_escalation")
    assert now == [{"last_rung": "remark", "lead_s": None, "events": 1}]
    then = f"T = fromUnixTimestamp64Milli({START + 4 * DAY}, 'UTC')"
    before = ask(store, f"SELECT last_rung, lead_s, events FROM v_escalation_customers_as_known_at({then})")
    assert before == [{"last_rung": "dispute", "lead_s": 3 * 86_400.0, "events": 2}]
    steps = ask(store, f"SELECT from_rung, days, cause FROM v_escalation_steps_as_known_at({then})")
    assert steps == [{"from_rung": "remark", "days": 3.0, "cause": "dispute"}]


def test_limits_belong_to_the_shorter_side(store: Client) -> None:
    def call(name: str, kind: str, day: float, **more: Any) -> Event:
        at = START + round(day * DAY)
        return Event(name, "call", kind, at, at, subject=more.pop("subject", name[0]), **more)

    put(store, [
        call("a1", "remark", 0), call("a2", "remark", 90), call("b1", "remark", 0), call("b2", "remark", 90 + 1 / DAY),
        call("c1", "complaint", 0), call("c2", "remark", 0), call("d1", "question", 0), call("d2", "question", 7),
        call("e1", "question", 0), call("e2", "question", 7 + 1 / DAY),
        call("f1", "question", 0), call("f2", "reply", 1, direction="out", in_reply_to="f1", subject="agent"),
        call("g1", "question", 0), call("g2", "reply", 0, direction="out", in_reply_to="g1", subject="agent"),
    ])  # fmt: skip
    web = [Event(f"w{at}", "web", "page_view", START, START, subject=f"w{at}") for at in (0, 1)]
    after = [
        Event(f"v{at}", "call", "letter", START + DAY + at, START, subject=f"w{at}", attributes={"topic": "w"})
        for at in (0, 1)
    ]
    put(store, web + after)
    followed = ask(store, "SELECT complaint_followed FROM v_web_visits ORDER BY ALL")
    assert [row["complaint_followed"] for row in followed] == [False, True]
    cases = ask(store, "SELECT customer, case_no, events FROM v_escalation_customers WHERE topic = '' ORDER BY ALL")
    assert [tuple(row.values()) for row in cases] == [("a", 1, 2), ("b", 1, 1), ("b", 2, 1), ("c", 1, 2)]
    assert {row["from_rung"] for row in ask(store, "SELECT from_rung FROM v_escalation_steps WHERE topic = '' AND entered_at = fromUnixTimestamp64Milli("
        f"{START}, 'UTC')")} == {"remark", "complaint"}  # fmt: skip
    assert ask(store, "SELECT count() AS n FROM v_escalation_steps WHERE topic = ''") == [{"n": 4}]
    again = ask(store, "SELECT sum(repeats) AS repeats FROM v_repeat_contacts WHERE day >= '2026-01-01'")
    assert again == [{"repeats": 2}], "d2, and c2 after c1"
    replied = ask(
        store, "SELECT event_id, state FROM v_response_times WHERE event_id IN ('f1', 'g1') ORDER BY event_id"
    )
    assert [row["state"] for row in replied] == ["within", "within"]


def test_an_open_message_younger_than_the_target_is_in_no_share(store: Client) -> None:
    def asked(name: str, hours_ago: int) -> Event:
        at = START - hours_ago * HOUR
        return Event(name, "email", "question", at, at, subject="s", conversation_ref=name, touchpoint="paris")

    def reply(to: Event, kind: str, hours: int) -> Event:
        at = to.occurred_at + hours * HOUR
        return Event(f"{to.event_id}-{kind}", "email", kind, at, START, conversation_ref=to.event_id, direction="out")

    young, old, fast, slow, robot = (
        asked(n, h) for n, h in (("young", 2), ("old", 30), ("fast", 31), ("slow", 90), ("robot", 32))
    )
    put(
        store,
        [
            young,
            old,
            fast,
            slow,
            robot,
            reply(fast, "reply", 3),
            reply(slow, "reply", 80),
            reply(robot, "auto_reply", 0),
        ],
    )
    row = ask(
        store,
        "SELECT sum(n) AS n, sum(within) AS within, sum(waiting) AS waiting, sum(overdue) AS overdue FROM v_response_daily",
    )[0]
    assert row == {"n": 4, "within": 1, "waiting": 1, "overdue": 2}
    assert ask(store, "SELECT value FROM v_response_daily WHERE n = 0") in ([], [{"value": None}])
    states = {r["event_id"]: r["response_s"] for r in ask(store, "SELECT event_id, response_s FROM v_response_times")}
    assert states == {"young": None, "old": None, "fast": 3 * 3600.0, "slow": 80 * 3600.0, "robot": None}
