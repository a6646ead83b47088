"""People leave this process only as keyed pseudonyms.

A pseudonym is an HMAC-SHA256, cut to 128 bits, over the type, a colon and the normalised value: the same person under the
same key is always the same pseudonym, and nobody without the key can try out addresses.
"""

import hmac
import re
from dataclasses import dataclass

import msgspec
import phonenumbers

from schemas.errors import InvalidEventError, SettingsError

PSEUDONYM_DIGITS = 32
MIN_KEY_CHARS = 16
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_EMAIL_MAX_CHARS = 254


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel knows of a person; the first of id, email, phone and anonymous_id names the subject."""

    id: str | None = None
    email: str | None = None
    phone: str | None = None
    anonymous_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pseudonyms:
    """Make pseudonyms under one key; `country` (ISO 3166, two letters) reads phone numbers written without one."""

    key: bytes
    country: str

    def of(self, kind: str, value: str) -> str:
        """Return the pseudonym of a normalised value of `kind`, in lower-case hexadecimal."""
        return hmac.digest(self.key, f"{kind}:{value}".encode(), "sha256").hex()[:PSEUDONYM_DIGITS]

    def subject(self, customer: Customer) -> tuple[str | None, list[str]]:
        """Return the subject and its other pseudonyms, in order of precedence.

        Raises InvalidEventError for an address or a number that is none.
        """
        found = []
        if customer.id:
            found.append(self.of("id", customer.id))
        if customer.email:
            found.append(self.of("email", normal_email(customer.email)))
        if customer.phone:
            found.append(self.of("phone", normal_phone(customer.phone, self.country)))
        if customer.anonymous_id:
            found.append(self.of("anonymous_id", customer.anonymous_id))
        return (found[0], found[1:]) if found else (None, [])


def pseudonyms_of(key: str, country: str) -> Pseudonyms:
    """Return the pseudonyms of the settings. Raises SettingsError for a key too short or a country that is none."""
    if len(key) < MIN_KEY_CHARS:
        raise SettingsError(
            "no_pseudonym_key",
            f"the key of the pseudonyms has fewer than {MIN_KEY_CHARS} characters",
            "set BAROMETER_PSEUDONYM_KEY to a random secret and keep it: another key makes other pseudonyms",
        )
    if country not in phonenumbers.SUPPORTED_REGIONS:
        raise SettingsError(
            "bad_setting", f"default_country {country!r} is no country", "write two letters, such as FR"
        )
    return Pseudonyms(key=key.encode(), country=country)


def normal_email(given: str) -> str:
    """Return an address in lower case. Raises InvalidEventError."""
    address = given.strip().lower()
    if len(address) > _EMAIL_MAX_CHARS or not _EMAIL.fullmatch(address):
        raise InvalidEventError(
            "bad_email", "customer.email", "is no e-mail address", "write name@domain or leave it out"
        )
    return address


def normal_phone(given: str, country: str) -> str:
    """Return a number as E.164. Raises InvalidEventError."""
    try:
        number = phonenumbers.parse(given, country)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        raise InvalidEventError(
            "bad_phone", "customer.phone", f"is no phone number (read as one of {country})", "write it as +33123456789"
        )
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
