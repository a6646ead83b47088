"""E-mail replies: an .eml message becomes one event.

The id is the UUIDv5 of source and Message-ID, so a mail imported twice is one event. Sender, recipients and message ids
leave only as pseudonyms or UUIDs. Structure is believed only where it is explicit: headers that our own survey mails or the
ticket system set (X-Barometer-Answer: csat=4/5, -Kind, -Touchpoint), a plus-address, or a line such as "Note : 4/5".
Mail servers should strip X-Barometer headers from mail that comes from outside.
"""

import email
import email.policy
import email.utils
import hashlib
import re
from datetime import UTC
from email.message import EmailMessage
from typing import Any

from producers.channels import native
from producers.channels.email_text import reply_text
from producers.pseudonyms import Pseudonyms
from schemas.catalogue import Catalogue
from schemas.errors import InvalidEventError
from schemas.event import FeedbackEvent, natural_id

MAX_MAIL_BYTES = 50 * 1024 * 1024
SOURCE = "email"
_TRUNCATED = frozenset({
    "CloseBoundaryNotFoundDefect", "StartBoundaryNotFoundDefect", "NoBoundaryInMultipartDefect", "InvalidBase64PaddingDefect",
    "InvalidBase64LengthDefect",
})  # fmt: skip
_ANSWER = re.compile(
    r"\s*(?P<question>[\w.-]{1,64})\s*=\s*(?P<score>-?\d{1,3}(?:\.\d{1,3})?)\s*/\s*(?P<top>\d{1,3})\s*"
)
_NOTE = re.compile(r"^[ \t]*(?P<question>Note|Score|[\w.-]{1,64})[ \t]*[:=][ \t]*(?P<score>\d{1,3})[ \t]*/[ \t]*(?P<top>\d{1,3})[ \t.!]*$",
                   re.MULTILINE | re.IGNORECASE)  # fmt: skip
_ID = re.compile(r"<([^<>\s]{1,500})>")


def parse(
    raw: bytes, *, received_at: int, pseudonyms: Pseudonyms, catalogue: Catalogue, source: str = SOURCE
) -> FeedbackEvent:
    """Return the event of one mail. Raises InvalidEventError, and nothing else."""
    if not raw.strip():
        raise InvalidEventError("empty_mail", "", "the mail is empty")
    if len(raw) > MAX_MAIL_BYTES:
        raise InvalidEventError("too_large", "", f"a mail has at most {MAX_MAIL_BYTES} bytes")
    try:
        item = _native(email.message_from_bytes(raw, policy=email.policy.default), raw, catalogue, source)
    except InvalidEventError:
        raise
    except Exception as error:  # the standard library raises many types on mail that breaks the rules
        raise InvalidEventError("bad_mail", "", f"cannot be read as mail: {type(error).__name__}") from error
    return native.to_event(
        native.decode(item), source=source, received_at=received_at, pseudonyms=pseudonyms, scales=catalogue.scales(),
        new_id=lambda: natural_id(source, hashlib.sha256(raw).hexdigest()),
    )  # fmt: skip


def _native(message: EmailMessage, raw: bytes, catalogue: Catalogue, source: str) -> dict[str, Any]:
    if not message.keys() or message["from"] is None:
        raise InvalidEventError("missing_field", "from", "is no mail, or its header is cut: no sender")
    if not re.search(rb"\r?\n\r?\n", raw):
        raise InvalidEventError("truncated_mail", "", "ends within the header")
    text = reply_text(message)
    # defects of a body are only found once it has been decoded
    broken = sorted({type(defect).__name__ for part in message.walk() for defect in part.defects} & _TRUNCATED)
    if broken:
        raise InvalidEventError("truncated_mail", "", f"is cut or damaged: {', '.join(broken)}")
    answers = _answers(message, text, catalogue)
    automatic = _automatic(message)
    if not text and not answers and not automatic:
        raise InvalidEventError("empty_mail", "text", "holds no words of its sender")
    message_id = _first_id(message["message-id"])
    parents = _ID.findall(str(message["references"] or "")) or _ID.findall(str(message["in-reply-to"] or ""))
    replied = _first_id(message["in-reply-to"]) or (parents[-1] if parents else None)
    root = parents[0] if parents else message_id
    item: dict[str, Any] = {
        "channel": "email",
        "kind": _kind(message, answers=bool(answers), automatic=automatic, reply=bool(parents)),
        "occurred_at": _date(message),
        "text": text or None,
        "answers": answers,
        "lang": str(message["content-language"] or "").partition(",")[0].strip()[:35] or None,
        "touchpoint": _touchpoint(message, catalogue),
        "conversation_ref": natural_id(source, f"conversation:{root}") if root else None,
        "in_reply_to": natural_id(source, replied) if replied else None,
        "survey_ref": str(message["x-barometer-survey"]).strip()[:500] if message["x-barometer-survey"] else None,
        "traits": {"non_human": True, "reason": automatic} if automatic else {},
    }
    if message_id:
        item["id"] = natural_id(source, message_id)
    sender = email.utils.parseaddr(str(message["from"]))[1]
    if sender and not automatic:
        item["customer"] = {"email": sender}
    return item


def _kind(message: EmailMessage, *, answers: bool, automatic: str | None, reply: bool) -> str:
    if automatic:
        return "auto_reply"
    stated = str(message["x-barometer-kind"] or "").strip()
    if stated:
        return stated
    if answers:
        return "rating"
    return "reply" if reply else "comment"


def _automatic(message: EmailMessage) -> str | None:
    """Return which header says that no human wrote this, or None. Source: RFC 3834 and common practice."""
    submitted = str(message["auto-submitted"] or "no").partition(";")[0].strip().lower()
    if submitted != "no":
        return "auto-submitted"
    for name in ("x-autoreply", "x-autorespond", "x-autoresponder"):
        if message[name] is not None:
            return name
    if str(message["precedence"] or "").strip().lower() in {"auto_reply", "bulk", "junk", "list"}:
        return "precedence"
    if message.get_content_type() == "multipart/report":
        return "report"
    if str(message["return-path"] or "x").strip() == "<>":
        return "return-path"
    return None


def _answers(message: EmailMessage, text: str, catalogue: Catalogue) -> list[dict[str, Any]]:
    scales = catalogue.scales()
    out = []
    for header in message.get_all("x-barometer-answer", []):
        found = _ANSWER.fullmatch(str(header))
        if found is None:
            raise InvalidEventError("bad_type", "x-barometer-answer", "is not written as question=score/top")
        known = scales.get(found["question"])
        if known is None or known[1] != int(found["top"]):
            raise InvalidEventError(
                "unknown_scale", "x-barometer-answer", f"{found['question']}/{found['top']} is not in the catalogue"
            )
        out.append({"question": found["question"], "score": float(found["score"])})
    if out:
        return out
    for found in _NOTE.finditer(text):
        question = "csat" if found["question"].lower() in {"note", "score"} else found["question"].lower()
        known = scales.get(question)
        if known is not None and known[1] == int(found["top"]) and known[0] <= int(found["score"]) <= known[1]:
            return [{"question": question, "score": float(found["score"])}]
    return []


def _touchpoint(message: EmailMessage, catalogue: Catalogue) -> str | None:
    known = {touchpoint.name for touchpoint in catalogue.touchpoint}
    stated = str(message["x-barometer-touchpoint"] or "").strip()
    if stated:
        return stated
    recipients = [str(value) for name in ("delivered-to", "to", "cc") for value in message.get_all(name, [])]
    for _, address in email.utils.getaddresses(recipients):
        tag = address.partition("@")[0].partition("+")[2].lower()
        if tag in known:
            return tag
    return None


def _date(message: EmailMessage) -> int:
    """Return when the mail was written, by its Date, else by the last server that took it."""
    stated = [str(message["date"])] if message["date"] is not None else []
    stated += [str(value).rpartition(";")[2] for value in message.get_all("received", [])[:1]]
    if not stated:
        raise InvalidEventError("missing_field", "date", "the mail has no Date")
    for text in stated:
        try:
            at = email.utils.parsedate_to_datetime(text.strip())
        except (ValueError, TypeError):
            continue
        return int((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1000)
    raise InvalidEventError("bad_time", "date", "the mail's Date is no date")


def _first_id(header: object) -> str | None:
    found = _ID.search(str(header or ""))
    return found[1] if found else None
