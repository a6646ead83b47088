"""The history of the demonstration as the files that shops have: cards and calls as CSV, mails as mbox, the rest as JSON lines.

Every file holds 2 % of its rows twice, and a few rows that are broken on purpose.
"""

import csv
import mailbox
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from deploy.demo.scenario import REPEATED, Item, Month
from schemas.event import Channel

CARD_COLUMNS = (
    "card_no",
    "filled_in_at",
    "shop",
    "csat",
    "nps",
    "ces",
    "kind",
    "remark",
    "language",
    "card_holder",
    "email",
    "phone",
)
CALL_COLUMNS = ("call_no", "called_at", "shop", "agent", "phone", "kind", "csat", "ces", "note", "language")
MAPPINGS = Path(__file__).parent / "mappings"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFile:
    """One file to import: `rows` counts everything in it, repeats and broken rows included."""

    path: Path
    mapping: Path | None
    source: str
    rows: int
    broken: int


def write_history(month: Month, folder: Path) -> list[HistoryFile]:
    """Write the history of a month into `folder`, one file a channel."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = Random(f"{month.seed} files")
    by_channel: dict[str, list[Item]] = {channel: [] for channel in Channel}
    for item in month.history:
        by_channel[item.event["channel"]].append(item)
    return [write(folder, by_channel[channel], rng) for channel, write in _WRITERS.items()]


def _with_repeats(rng: Random, rows: Sequence[Any]) -> list[Any]:
    """Return the rows, 2 % of them again at the end, as a file that was exported twice in part."""
    return [*rows, *(row for row in rows if rng.random() < REPEATED)]


def _cards(folder: Path, items: Sequence[Item], rng: Random) -> HistoryFile:
    rows = [_card(f"K{number:06d}", item) for number, item in enumerate(items, 1)]
    broken = [
        {**rows[0], "card_no": "K900001", "csat": "7"},
        {**rows[0], "card_no": "K900002", "filled_in_at": "2026-02-30T10:00:00Z"},
        {**rows[0], "card_no": "K900003", "csat": "happy"},
    ]
    return _csv(folder / "cards.csv", CARD_COLUMNS, _with_repeats(rng, rows), broken)


def _card(number: str, item: Item) -> dict[str, str]:
    event, given = item.event, item.event.get("customer", {})
    return {
        "card_no": number,
        "filled_in_at": _iso(item.at_ms),
        "shop": event["touchpoint"],
        **_scores(event, "csat", "nps", "ces"),
        "kind": event["kind"],
        "remark": event.get("text", ""),
        "language": event.get("lang", ""),
        "card_holder": given.get("id", ""),
        "email": given.get("email", ""),
        "phone": given.get("phone", ""),
    }


def _calls(folder: Path, items: Sequence[Item], rng: Random) -> HistoryFile:
    rows = [
        {
            "call_no": f"T{number:06d}",
            "called_at": _iso(item.at_ms),
            "shop": item.event["touchpoint"],
            "agent": item.event["agent"],
            "phone": item.event["customer"]["phone"],
            "kind": item.event["kind"],
            **_scores(item.event, "csat", "ces"),
            "note": item.event["text"],
            "language": item.event["lang"],
        }
        for number, item in enumerate(items, 1)
    ]
    broken = [
        {**rows[0], "call_no": "T900001", "phone": "none"},
        {**rows[0], "call_no": "T900002", "called_at": "yesterday"},
    ]
    return _csv(folder / "calls.csv", CALL_COLUMNS, _with_repeats(rng, rows), broken)


def _csv(
    path: Path, columns: Sequence[str], rows: Sequence[dict[str, str]], broken: Sequence[dict[str, str]]
) -> HistoryFile:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows([*rows, *broken])
    return HistoryFile(
        path=path,
        mapping=MAPPINGS / f"{path.stem}.toml",
        source=f"demo-{path.stem}",
        rows=len(rows) + len(broken),
        broken=len(broken),
    )


def _json_lines(name: str) -> Callable[[Path, Sequence[Item], Random], HistoryFile]:
    def write(folder: Path, items: Sequence[Item], rng: Random) -> HistoryFile:
        lines = [msgspec.json.encode({**item.event, "occurred_at": item.at_ms}) for item in items]
        broken = [b'{"channel":"' + name.encode(), b'{"channel":"semaphore","occurred_at":1}']
        rows = _with_repeats(rng, lines)
        path = folder / f"{name}.jsonl"
        path.write_bytes(b"".join(line + b"\n" for line in [*rows, *broken]))
        return HistoryFile(
            path=path, mapping=None, source=f"demo-{name}", rows=len(rows) + len(broken), broken=len(broken)
        )

    return write


def _mails(folder: Path, items: Sequence[Item], rng: Random) -> HistoryFile:
    mails = [_mail(number, item) for number, item in enumerate(items, 1)]
    dateless = EmailMessage()
    dateless["From"] = "nobody@mail.example"
    path = folder / "mails.mbox"
    path.unlink(missing_ok=True)
    rows = [*_with_repeats(rng, mails), dateless]
    box = mailbox.mbox(path)
    try:
        for mail in rows:
            box.add(mail)
        box.flush()
    finally:
        box.close()
    return HistoryFile(path=path, mapping=None, source="demo-mails", rows=len(rows), broken=1)


def _mail(number: int, item: Item) -> EmailMessage:
    event = item.event
    french = event["lang"] == "fr"
    mail = EmailMessage()
    mail["Message-ID"] = f"<{event['id']}@mail.example>"
    mail["Date"] = format_datetime(datetime.fromtimestamp(item.at_ms // 1000, UTC))
    mail["From"] = event["customer"]["email"]
    mail["To"] = f"bonjour+{event['touchpoint']}@shops.example"
    mail["Content-Language"] = event["lang"]
    mail["Subject"] = "Votre magasin" if french else "Your shop"
    body = f"{event['text']}\n"
    if event["kind"] != "reply":
        mail["X-Barometer-Kind"] = event["kind"]  # set by the ticket system that sorts the mail
    else:
        mail["In-Reply-To"] = f"<survey-{number}@shops.example>"
        asked = "Comment s'est passée votre visite ?" if french else "How was your visit?"
        wrote = "Le lun. 2 févr. 2026 à 10:00, La boutique <bonjour@shops.example> a écrit :" if french else (
            "On Mon, Feb 2, 2026 at 10:00 AM The shop <hello@shops.example> wrote:"
        )  # fmt: skip
        body += f"\n{wrote}\n> {asked}\n"
    mail.set_content(body)
    if number % 3 == 0:
        mail.add_alternative(f"<html><body><p>{event['text']}</p></body></html>", subtype="html")
    return mail


def _scores(event: dict[str, Any], *questions: str) -> dict[str, str]:
    given: Iterable[dict[str, Any]] = event.get("answers", ())
    scores = {one["question"]: str(one["score"]) for one in given}
    return {question: scores.get(question, "") for question in questions}


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_WRITERS: dict[Channel, Callable[[Path, Sequence[Item], Random], HistoryFile]] = {
    Channel.CARD: _cards,
    Channel.CALL: _calls,
    Channel.EMAIL: _mails,
    Channel.WEB: _json_lines("web"),
    Channel.ORDER: _json_lines("orders"),
}
