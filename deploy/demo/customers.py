"""What the customers of the demonstration do, one native event at a time."""

from collections.abc import Callable
from random import Random
from typing import Any
from uuid import UUID

from deploy.demo import words
from deploy.demo.answers import answer, ces, csat, nps
from deploy.demo.shops import FRENCH_SHARE, customer, email_of, phone_of, some_customer
from schemas.event import Channel

CARDS_WITH_CSAT = 0.97


class Customers:
    """Draw what customers do, one event at a time."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._orders: dict[str, list[str]] = {}
        self._draw: dict[Channel, Callable[[str, float], dict[str, Any]]] = {
            Channel.CARD: self.card,
            Channel.WEB: self.web,
            Channel.ORDER: self.order,
            Channel.CALL: self.call,
            Channel.EMAIL: self.email,
        }

    def event(self, channel: Channel, shop: str, bad_share: float) -> dict[str, Any]:
        """Return a native event of this channel and shop, with an id of its own."""
        return {
            "id": self._id(),
            "channel": channel.value,
            "touchpoint": shop,
            **self._draw[channel](shop, bad_share),
        }

    def card(self, shop: str, bad_share: float) -> dict[str, Any]:
        """Return a card: nearly always a CSAT score, at times NPS and CES, at times a remark."""
        rng = self._rng
        score = csat(rng, bad_share)
        good = score > 3
        lang = self._lang()
        answers = [answer("csat", score)] if rng.random() < CARDS_WITH_CSAT else []
        if rng.random() < 0.3:
            answers.append(answer("nps", nps(rng, good=good)))
        if rng.random() < 0.2:
            answers.append(answer("ces", ces(rng, good=good)))
        kind, text = "rating", None
        if rng.random() < (0.25 if good else 0.5):
            kind, text = "praise" if score == 5 else "comment", words.remark(rng, lang, good=good)
            if not good and rng.random() < 0.4:
                kind, text = "letter" if rng.random() < 0.2 else "complaint", words.complaint(rng, lang)
            elif good and rng.random() < 0.1:
                kind, text = "suggestion", words.suggestion(rng, lang)
        elif not answers:
            kind, text = "comment", words.remark(rng, lang, good=good)
        return _compact(
            {"kind": kind, "answers": answers, "text": text, "lang": lang, "customer": self._maybe_customer(0.6)}
        )

    def web(self, shop: str, bad_share: float) -> dict[str, Any]:
        """Return a page view, an action, or the answer to a question on the page."""
        rng = self._rng
        visitor = {"anonymous_id": f"v-{rng.getrandbits(40):010x}"}
        way = rng.random()
        if way < 0.6:
            page = rng.choice(("/", "/women", "/men", "/shoes", "/sale", f"/shops/{shop}"))
            return {"kind": "page_view", "customer": visitor, "attributes": {"page": page}}
        if way < 0.75:
            return {
                "kind": "web_action",
                "customer": visitor,
                "attributes": {"action": rng.choice(("search", "basket", "help"))},
            }
        score = csat(rng, bad_share)
        answers = [answer("nps", nps(rng, good=score > 3))]
        if rng.random() < 0.4:
            answers.append(answer("csat", score))
        return {"kind": "rating", "customer": visitor, "answers": answers, "attributes": {"page": "/thanks"}}

    def order(self, shop: str, bad_share: float) -> dict[str, Any]:
        """Return an order placed, delivered or sent back; bad shares do not touch it."""
        rng = self._rng
        pending = self._orders.setdefault(shop, [])
        way = rng.random()
        if way < 0.6 or not pending:
            ref = f"O-{rng.getrandbits(32):08x}"
            pending.append(ref)
            amount = rng.randrange(990, 19_990)
            order = {"ref": ref, "amount": amount / 100, "currency": "EUR", "items": rng.randrange(1, 6)}
            return {"kind": "order_placed", "customer": customer(self._rng), "order": order}
        ref = pending.pop(rng.randrange(len(pending)))
        kind = "order_delivered" if way < 0.92 else "order_returned"
        return {"kind": kind, "customer": customer(self._rng), "order": {"ref": ref}}

    def call(self, shop: str, bad_share: float) -> dict[str, Any]:
        """Return a call with the agent's note, mostly with the caller's effort score."""
        rng = self._rng
        lang = self._lang()
        score = csat(rng, bad_share)
        good = score > 3
        answers = [answer("ces", ces(rng, good=good))] if rng.random() < 0.7 else []
        if rng.random() < 0.3:
            answers.append(answer("csat", score))
        kind, text = "question", words.question(rng, lang)
        if not good or rng.random() < 0.08:
            kind, text = "complaint", words.complaint(rng, lang)
        return _compact(
            {
                "kind": kind,
                "answers": answers,
                "text": text,
                "lang": lang,
                "agent": f"agent-{rng.randrange(12):02d}",
                "customer": {"phone": phone_of(some_customer(rng))},
            }
        )

    def email(self, shop: str, bad_share: float) -> dict[str, Any]:
        """Return a mail: a question, praise, a complaint, or a reply to the shop."""
        rng = self._rng
        lang = self._lang()
        good = rng.random() >= bad_share * 2  # people who write are less happy than people who rate
        way = rng.random()
        if not good:
            kind, text = "complaint", words.complaint(rng, lang)
        elif way < 0.4:
            kind, text = "reply", words.remark(rng, lang, good=True)
        elif way < 0.75:
            kind, text = "question", words.question(rng, lang)
        else:
            kind, text = "praise", words.remark(rng, lang, good=True)
        return {"kind": kind, "text": text, "lang": lang, "customer": {"email": email_of(some_customer(rng))}}

    def dispute(self, shop: str) -> dict[str, Any]:
        """Return a formal dispute by mail."""
        lang = self._lang()
        return {
            "id": self._id(),
            "channel": Channel.EMAIL.value,
            "touchpoint": shop,
            "kind": "dispute",
            "text": words.dispute(lang),
            "lang": lang,
            "customer": {"email": email_of(some_customer(self._rng))},
        }

    def _id(self) -> str:
        return str(UUID(int=self._rng.getrandbits(128), version=4))

    def _lang(self) -> str:
        return words.FRENCH if self._rng.random() < FRENCH_SHARE else words.ENGLISH

    def _maybe_customer(self, share: float) -> dict[str, Any] | None:
        return customer(self._rng) if self._rng.random() < share else None


def _compact(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if value not in (None, [])}
