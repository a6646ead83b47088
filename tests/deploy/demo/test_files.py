"""The files of the demonstration are what the importers take: every row but the broken ones becomes the event that was meant."""

import pytest

from deploy.demo.files import HistoryFile, write_history
from deploy.demo.generate import ANCHOR_MS
from deploy.demo.scenario import Month, month
from deploy.demo.shops import shops_of
from producers.channels.table import read_mapping
from producers.import_files import Reading, fingerprint, format_of, rows_of
from producers.pseudonyms import Pseudonyms
from schemas import catalogue
from schemas.errors import InvalidEventError
from schemas.event import Channel, FeedbackEvent

CATALOGUE = catalogue.load()


@pytest.fixture(scope="module")
def played() -> Month:
    return month(shops_of(CATALOGUE), 3, ANCHOR_MS, history_events=2_000, live_events=10)


@pytest.fixture(scope="module")
def files(played: Month, tmp_path_factory: pytest.TempPathFactory) -> list[HistoryFile]:
    return write_history(played, tmp_path_factory.mktemp("files"))


def read(file: HistoryFile) -> tuple[list[FeedbackEvent], list[str]]:
    """Return the events of a file and the reasons of its rejections."""
    reading = Reading(
        fingerprint=fingerprint(file.path),
        source=file.source,
        mapping=None if file.mapping is None else read_mapping(file.mapping),
        received_at=ANCHOR_MS,
        pseudonyms=Pseudonyms(key=b"k" * 16, country="FR"),
        catalogue=CATALOGUE,
        max_event_bytes=256_000,
    )
    events, reasons = [], []
    for row in rows_of(file.path, format_of(file.path), reading):
        try:
            events.append(row.parse())
        except InvalidEventError as error:
            reasons.append(error.reason)
    return events, reasons


def test_every_file_gives_its_rows_and_rejects_only_the_broken_ones(files: list[HistoryFile]) -> None:
    for file in files:
        events, reasons = read(file)
        assert (len(events) + len(reasons), len(reasons)) == (file.rows, file.broken), (file.path.name, reasons)


def test_the_files_hold_every_event_of_the_month_and_some_of_them_twice(
    files: list[HistoryFile], played: Month
) -> None:
    events = [event for file in files for event in read(file)[0]]
    unique = {event.event_id: event for event in events}
    assert len(unique) == len(played.history)
    assert 0.005 < (len(events) - len(unique)) / len(unique) < 0.05

    def facts(
        at_ms: int, channel: str, shop: str | None, kind: str, scores: list[tuple[str, float]]
    ) -> tuple[object, ...]:
        return at_ms // 1000, channel, shop, kind, sorted(scores)

    meant = sorted(
        facts(
            item.at_ms,
            item.event["channel"],
            item.event["touchpoint"],
            item.event["kind"],
            [(one["question"], one["score"]) for one in item.event.get("answers", ())],
        )
        for item in played.history
    )
    got = sorted(
        facts(
            event.occurred_at,
            event.channel,
            event.touchpoint,
            event.kind,
            [(one.question, one.score) for one in event.answers],
        )
        for event in unique.values()
    )
    assert got == meant


def test_mails_lose_the_quoted_survey_and_keep_their_words(files: list[HistoryFile], played: Month) -> None:
    mails = next(file for file in files if file.path.suffix == ".mbox")
    written = {
        item.event["text"]
        for item in played.history
        if item.event["channel"] is Channel.EMAIL or item.event["channel"] == "email"
    }
    assert {event.text for event in read(mails)[0]} == written
