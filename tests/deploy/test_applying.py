"""`barometer catalogue apply`: what it declares, what it refuses, and what everybody else then reads."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from kafka.admin import NewTopic

from deploy import applying, topics, wiring
from deploy.alarms import By, write
from deploy.applying import Written, apply, plan
from deploy.catalogue_text import as_toml
from deploy.cli import main
from deploy.declarations import declarations, declared_in
from deploy.engines.local import Endpoints
from schemas.catalogue import Catalogue, load, parse
from schemas.clock import system_clock
from schemas.codec import Kind, encode
from schemas.declared import declaration
from schemas.errors import ContractError
from schemas.outputs import Decision, decision_to_record
from schemas.settings import Settings, to_environ
from schemas.topics import CATALOGUES, GROUP_JUDGE, TALLIES
from sinks import clickhouse
from sinks.migrate import migrate
from streams.ranges import open_partition
from streams.tallies_log import entry_of
from streams.transactions import Position, Record, Transactions

EVERY_KIND = Path(__file__).parents[1] / "sinks" / "compiled" / "every_kind.toml"
PACKAGED = load()
CSAT, NPS = PACKAGED.named("csat"), PACKAGED.named("nps")
STRICT = msgspec.structs.replace(CSAT, name="csat_strict", box=(5,))
DROP = next(one for one in PACKAGED.alarm if one.metric == "csat")
FIRST = Catalogue(metric=[CSAT, NPS], alarm=[DROP])
SECOND = Catalogue(metric=[CSAT, STRICT], alarm=[msgspec.structs.replace(DROP, p1=(0.4,))])
THIRD = Catalogue(metric=[CSAT], alarm=SECOND.alarm)
PANE_MS = 1_000
BY = By("ann", "very satisfied only")


@pytest.fixture
def empty(engines: Endpoints, topic_prefix: str, tmp_path: Path) -> Settings:
    """An installation with the topics that concern a change, in which no judge has run yet."""
    admin = topics.connect(engines.kafka_bootstrap)
    names = [topic_prefix + one.name for one in (TALLIES, CATALOGUES)]
    admin.create_topics(
        [
            NewTopic(topic_prefix + one.name, 1, 1, topic_configs=topics.configuration(one))
            for one in (TALLIES, CATALOGUES)
        ]
    )
    admin.wait_for_topics(names)
    admin.close()
    (tmp_path / "first.toml").write_text(as_toml(FIRST))
    return Settings(
        kafka_bootstrap=engines.kafka_bootstrap, topic_prefix=topic_prefix, pane_ms=PANE_MS,
        catalogue=str(tmp_path / "first.toml"), data_dir=str(tmp_path),
    )  # fmt: skip


@pytest.fixture
def begun(empty: Settings) -> Settings:
    """An installation whose first judge has declared FIRST."""
    declare(empty, declaration(FIRST, from_pane=0, replaces="", author="judge", made_at=0))
    return empty


def transaction(settings: Settings, records: list[Record], position: Position | None = None) -> None:
    async def commit() -> None:
        one = await Transactions.open(settings.kafka_bootstrap, f"{settings.topic_prefix}test")
        log = TopicPartition(settings.topic_prefix + TALLIES.name, 0)
        await one.commit(records, group=settings.topic_prefix + GROUP_JUDGE, partition=log, position=position)
        await one.close()

    asyncio.run(commit())


def declare(settings: Settings, decision: Decision) -> None:
    """Write a decision to the topic of catalogues alone, as the first judge does."""
    value = encode(Kind.DECISION, decision_to_record(decision))
    transaction(settings, [Record(settings.topic_prefix + CATALOGUES.name, decision.decision_id.encode(), value)])


def judged(settings: Settings, pane: int) -> None:
    """Commit the position of a judge that has come to a pane."""
    transaction(settings, [], Position(offset=0, pane=pane, seq=0, log="", snapshot=""))


def log_of(settings: Settings) -> list[Any]:
    async def read() -> list[Any]:
        out = []
        async with open_partition(
            settings.kafka_bootstrap, TopicPartition(settings.topic_prefix + TALLIES.name, 0)
        ) as reader:
            async for records in reader.read(reader.first, reader.end):
                out += [(record.offset, entry_of(record.value)) for record in records]
        return out

    return asyncio.run(read())


def applied(
    settings: Settings, wanted: Catalogue, *, ahead_ms: int = 60_000, clock: Callable[[], int] = system_clock
) -> Written:
    return apply(settings, wanted, from_ms=system_clock() + ahead_ms, seed=True, by=BY, clock=clock)


def run(monkeypatch: pytest.MonkeyPatch, settings: Settings, *arguments: str) -> int:
    for name, value in to_environ(settings).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(["catalogue", *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_change_stands_once_in_the_log_and_in_the_topic_of_catalogues_for_a_pane_ahead(begun: Settings) -> None:
    before = system_clock()
    written = applied(begun, SECOND)
    assert written.plan.from_pane % PANE_MS == 0
    assert before + 60_000 <= written.plan.from_pane <= system_clock() + 60_000 + PANE_MS
    (stands,) = log_of(begun)
    assert stands == (written.offset, declarations(begun)[1])
    assert stands[1].decision_id == written.decision.decision_id
    assert [(one.from_pane, one.catalogue) for one in declared_in(begun)] == [
        (0, FIRST),
        (written.plan.from_pane, SECOND),
    ]
    assert (written.decision.author, written.decision.note) == BY
    assert written.decision.body["replaces"] == FIRST.hash and written.plan.waits
    assert written.plan.unarmed == [DROP.name]


def test_a_change_of_what_only_people_read_is_no_change(begun: Settings) -> None:
    titled = Catalogue(metric=[msgspec.structs.replace(CSAT, title="Satisfaction"), NPS], alarm=[DROP])
    with pytest.raises(ContractError, match="same_catalogue"):
        applied(begun, titled)
    assert log_of(begun) == []


def test_a_pane_that_has_begun_or_is_judged_or_lies_far_ahead_is_refused(begun: Settings) -> None:
    for ahead_ms, reason in ((-3_600_000, "pane_too_early"), (0, "pane_too_early"), (8 * 86_400_000, "pane_too_late")):
        with pytest.raises(ContractError, match=reason):
            applied(begun, SECOND, ahead_ms=ahead_ms)
    judged(begun, system_clock() + 3_600_000)
    with pytest.raises(ContractError, match="pane_too_early"):
        applied(begun, SECOND)
    assert log_of(begun) == []


def test_a_change_goes_behind_the_last_one_and_a_series_that_ended_comes_back_under_a_new_version_only(
    begun: Settings,
) -> None:
    applied(begun, SECOND, ahead_ms=120_000)
    with pytest.raises(ContractError, match="pane_too_early"):
        applied(begun, THIRD, ahead_ms=60_000)
    applied(begun, THIRD, ahead_ms=180_000)
    with pytest.raises(ContractError, match=f"{STRICT.identity}.*series_ended.*version"):
        applied(begun, SECOND, ahead_ms=240_000)
    anew = Catalogue(metric=[CSAT, msgspec.structs.replace(STRICT, version=2)], alarm=SECOND.alarm)
    applied(begun, anew, ahead_ms=240_000)
    assert [one.catalogue for one in declared_in(begun)] == [FIRST, SECOND, THIRD, anew]


def test_before_the_first_judge_there_is_nothing_to_replace(empty: Settings) -> None:
    with pytest.raises(ContractError, match="no_catalogue_yet"):
        applied(empty, SECOND)
    assert wiring.catalogue(empty) == FIRST


def test_of_two_people_at_the_same_time_one_is_told_and_writes_nothing(begun: Settings) -> None:
    others: list[Written] = []

    def while_another_applies() -> int:
        if not others:
            others.append(applied(begun, THIRD))
        return system_clock()

    with pytest.raises(ContractError, match=r"fenced"):
        applied(begun, SECOND, clock=while_another_applies)
    assert [offset for offset, _ in log_of(begun)] == [others[0].offset]
    assert [one.catalogue for one in declared_in(begun)] == [FIRST, THIRD]


def test_commands_follow_the_judge_from_the_old_catalogue_to_the_new_one(begun: Settings) -> None:
    now = system_clock()
    judged(begun, now // PANE_MS * PANE_MS)
    pane = applied(begun, SECOND).plan.from_pane
    assert wiring.catalogue(begun) == FIRST
    judged(begun, pane - 2 * PANE_MS)
    assert wiring.catalogue(begun) == FIRST
    judged(begun, pane - PANE_MS)  # what is decided now is decided before pane `pane` is judged
    assert wiring.catalogue(begun) == SECOND
    titled = Path(begun.data_dir) / "titled.toml"
    titled.write_text(
        as_toml(msgspec.structs.replace(SECOND, metric=[CSAT, msgspec.structs.replace(STRICT, title="!")]))
    )
    assert wiring.catalogue(msgspec.structs.replace(begun, catalogue=str(titled))).named("csat_strict").title == "!"
    assert wiring.catalogue(begun, titled).named("csat_strict").title == "!"
    titled.write_text(as_toml(THIRD))
    with pytest.raises(ContractError, match=r"catalogue_changed.*catalogue apply"):
        wiring.catalogue(msgspec.structs.replace(begun, catalogue=str(titled)))


def test_a_decision_that_no_transaction_wrote_is_declared_to_nobody(begun: Settings) -> None:
    """The topic of catalogues is what counts; a record of the log alone would be known to the judge only."""
    write(begun, declaration(SECOND, from_pane=system_clock() + 60_000, replaces=FIRST.hash, author="x", made_at=0))
    assert [one.catalogue for one in declared_in(begun)] == [FIRST]


def test_the_commands_say_what_changes_make_the_views_and_keep_the_history(
    begun: Settings, engines: Endpoints, clickhouse_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    host, port = engines.clickhouse_native
    settings = msgspec.structs.replace(
        begun,
        clickhouse_url=f"clickhouse://default@{host}:{port}/{clickhouse_database}",
        clickhouse_database=clickhouse_database,
    )
    migrate(settings)
    second = tmp_path / "second.toml"
    second.write_text(as_toml(SECOND))
    assert run(monkeypatch, settings, "apply", str(second), "--dry-run") == 0
    said = capsys.readouterr().out
    assert f"would replace {FIRST.hash}" in said and "metric csat_strict: new" in said and "metric nps: gone" in said
    assert len(declared_in(settings)) == 1 and not log_of(settings)

    assert run(monkeypatch, settings, "apply", str(second), "--from", "in 2m", "--note", "so be it") == 0
    said = capsys.readouterr().out
    assert f"barometer alarms arm {DROP.name}" in said and f"BAROMETER_CATALOGUE={second}" in said
    with clickhouse.connect(settings) as client:
        views = {name for (name,) in client.execute("SHOW TABLES LIKE 'v_metric_%'")}
        assert "v_metric_csat_strict_recount" in views and "v_metric_nps" not in views
        assert client.execute("SELECT name FROM metrics ORDER BY name") == [("csat",), ("csat_strict",)]
    wiring.migrate(settings, tell=lambda _: None)
    with clickhouse.connect(settings) as client:
        assert {name for (name,) in client.execute("SHOW TABLES LIKE 'v_metric_%'")} == views

    assert run(monkeypatch, settings, "apply", str(second)) == 1
    assert "same_catalogue" in capsys.readouterr().err
    assert run(monkeypatch, settings, "history", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(one["catalogue_hash"], one["state"], one["note"]) for one in rows] == [
        (SECOND.hash, "to come", "so be it"), (FIRST.hash, "in force", ""),
    ]  # fmt: skip
    assert run(monkeypatch, settings, "history") == 0
    assert "so be it" in capsys.readouterr().out
    assert run(monkeypatch, settings, "show", SECOND.hash[:6]) == 0
    assert parse(capsys.readouterr().out) == SECOND
    assert run(monkeypatch, settings, "show", "nothing") == 2
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(as_toml(SECOND).replace("box = [5]", "box = [7]"))
    capsys.readouterr()
    assert run(monkeypatch, settings, "apply", str(wrong)) == 2
    assert f"{wrong}:" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["in 5 weeks", "tomorrow", "in s"])
def test_a_time_that_cannot_be_read_is_said(given: str, begun: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = msgspec.structs.replace(begun, clickhouse_url="clickhouse://default@127.0.0.1:1/none")
    assert run(monkeypatch, settings, "apply", "--from", given) == 2


@pytest.mark.parametrize("path", ["", str(EVERY_KIND)], ids=["packaged", "every_kind"])
def test_a_catalogue_written_as_a_file_reads_as_the_same_one(path: str) -> None:
    one = load(path)
    assert parse(as_toml(one)) == one


def test_a_catalogue_with_odd_texts_and_days_reads_as_the_same_one() -> None:
    text = as_toml(FIRST) + (
        '\n[[touchpoint]]\nname = "genève \\"x\\" \\\\ \\u007f"\n\n'
        '[[exception]]\nname = "strike"\nfrom = 2026-03-28\nto = 2026-03-29\n'
    )
    one = parse(text)
    assert parse(as_toml(one)) == one and parse(as_toml(one)).hash == one.hash


def test_a_rule_of_a_metric_that_begins_anew_is_told_to_be_unarmed() -> None:
    anew = Catalogue(metric=[msgspec.structs.replace(CSAT, version=CSAT.version + 1, box=(5,)), NPS], alarm=[DROP])
    found = {(one.what, one.name): one for one in applying.changes(FIRST, anew)}
    assert found["alarm", DROP.name].unarmed and "resolved" in found["alarm", DROP.name].change
    gone = {(one.what, one.name): one for one in applying.changes(FIRST, Catalogue(metric=[CSAT, NPS]))}
    assert "resolved by this change" in gone["alarm", DROP.name].change


def test_the_plan_of_a_change_without_new_series_waits_for_nothing(begun: Settings) -> None:
    less = Catalogue(metric=[CSAT], alarm=[DROP])
    assert not plan(begun, less, from_ms=None, seed=True).waits
    assert not plan(begun, SECOND, from_ms=None, seed=False).waits
    assert plan(begun, SECOND, from_ms=None, seed=True).waits
