"""The shop chain of the demonstration: how busy each shop is, when it is open, who its customers are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from schemas.catalogue import Catalogue
from schemas.errors import CatalogueError
from schemas.windows import DAY_MS, MINUTE_MS

BUSY = (1.15, 1.0, 0.95, 0.9, 1.0)
"""Relative traffic of the first five touchpoints of the catalogue."""
FRENCH_SHARE = 0.8
WEEKDAYS = (0.9, 0.9, 1.0, 1.0, 1.2, 1.5, 0.5)
"""Relative traffic from Monday to Sunday."""
HOURS = (0.6, 0.9, 1.1, 1.4, 1.1, 0.8, 0.9, 1.1, 1.5, 1.5, 1.0)
"""Relative traffic of the hours after opening; shops that close earlier use the first ones."""
AT_HOME = (7, 23)
"""Local hours in which people write mails, browse and order."""
CUSTOMERS = 6_000

_FIRST = [
    "camille",
    "jules",
    "louise",
    "gabriel",
    "emma",
    "adam",
    "chloe",
    "raphael",
    "lea",
    "noah",
    "manon",
    "hugo",
    "sarah",
    "lucas",
    "alice",
    "nina",
    "paul",
    "rose",
]
_LAST = [
    "martin",
    "bernard",
    "petit",
    "durand",
    "leroy",
    "moreau",
    "simon",
    "laurent",
    "garcia",
    "roux",
    "fontaine",
    "morel",
    "girard",
    "rey",
    "favre",
    "blanc",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """One shop; `opens` and `closes` are local hours."""

    name: str
    busy: float
    opens: int
    closes: int
    zone: ZoneInfo


def shops_of(catalogue: Catalogue) -> list[Shop]:
    """Return the five shops: the first touchpoints of the catalogue. Raises CatalogueError if there are fewer."""
    if len(catalogue.touchpoint) < len(BUSY):
        raise CatalogueError(
            "too_few_touchpoints", f"the demonstration needs {len(BUSY)} touchpoints", "use the packaged catalogue"
        )
    return [
        Shop(
            name=place.name,
            busy=busy,
            opens=int((place.opens or "09:00")[:2]),
            closes=int((place.closes or "20:00")[:2]),
            zone=ZoneInfo(place.time_zone),
        )
        for place, busy in zip(catalogue.touchpoint, BUSY, strict=False)
    ]


class Hours:
    """Draw moments of given days: in the shop's opening hours, or at home."""

    def __init__(self, shops: Sequence[Shop], first_day_ms: int, days: int) -> None:
        self._first_day_ms = first_day_ms
        self._midnight = {  # UTC ms of local midnight by (shop, day): a day of the shop lies within the UTC day
            (shop.name, day): _local_midnight(first_day_ms + day * DAY_MS, shop.zone)
            for shop in shops
            for day in range(days)
        }
        self._open = {shop.name: range(shop.opens, shop.closes) for shop in shops}
        self._weights = {shop.name: HOURS[: shop.closes - shop.opens] for shop in shops}

    def in_shop(self, rng: Random, shop: str, day: int) -> int:
        """Return a moment of the day, in ms, at which the shop is open."""
        hour = rng.choices(self._open[shop], self._weights[shop])[0]
        return self._at(rng, shop, day, hour)

    def at_home(self, rng: Random, shop: str, day: int) -> int:
        """Return a moment of the day, in ms, at which people are awake."""
        return self._at(rng, shop, day, rng.randrange(*AT_HOME))

    def _at(self, rng: Random, shop: str, day: int, hour: int) -> int:
        moment = self._midnight[shop, day] + hour * 60 * MINUTE_MS + rng.randrange(60 * MINUTE_MS)
        start = self._first_day_ms + day * DAY_MS
        return min(max(moment, start), start + DAY_MS - 1)


def weekday_of(day_ms: int) -> int:
    """Return 0 (Monday) to 6 (Sunday) of a UTC day."""
    return datetime.fromtimestamp(day_ms / 1000, UTC).weekday()


def _local_midnight(day_ms: int, zone: ZoneInfo) -> int:
    day = datetime.fromtimestamp(day_ms / 1000, UTC).date()
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=zone)  # never skipped by summer time
    return int((noon - timedelta(hours=12)).timestamp() * 1000)


def customer(rng: Random) -> dict[str, Any]:
    """Return who a customer says to be: the card number, the e-mail address or the phone number; none of them is real.

    Addresses lie in a domain reserved for examples, phone numbers in the French range reserved for fiction.
    """
    number = rng.randrange(CUSTOMERS)
    way = rng.random()
    if way < 0.5:
        return {"id": f"C-{number:06d}"}
    if way < 0.8:
        return {"email": email_of(number)}
    return {"phone": phone_of(number)}


def email_of(number: int) -> str:
    """Return the invented e-mail address of a customer."""
    return f"{_FIRST[number % len(_FIRST)]}.{_LAST[number % len(_LAST)]}.{number}@mail.example"


def phone_of(number: int) -> str:
    """Return the invented phone number of a customer. Source: Arcep, numbers for audiovisual works (06 39 98)."""
    return f"+3363998{number:04d}"


def some_customer(rng: Random) -> int:
    """Return the number of a customer, for `email_of` and `phone_of`."""
    return rng.randrange(CUSTOMERS)
