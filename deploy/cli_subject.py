"""Commands about a person: subject export, erase, verify."""

import json
import sys
from pathlib import Path
from typing import Annotated

import cyclopts
import msgspec
from cyclopts import Parameter
from rich.console import Console

from deploy import wiring
from deploy.cli_options import DataDir, Json, located, settings_of
from deploy.located import endpoints
from schemas.clock import system_clock
from schemas.errors import UsageError
from schemas.keyring import Keyring
from schemas.settings import Settings, keyring_path

subject = cyclopts.App(
    name="subject",
    help="What is held about a person: export it, erase it, check a receipt.\n\n"
    "Example: `barometer subject erase --email anna@example.org`",
)

Pseudonym = Annotated[str, Parameter(name="--subject", help="pseudonym as in the store, 32 hexadecimal digits")]
Email = Annotated[str, Parameter(name="--email")]
Id = Annotated[str, Parameter(name="--id", help="customer number as the sources give it")]
Phone = Annotated[str, Parameter(name="--phone")]
Anonymous = Annotated[str, Parameter(name="--anonymous-id", help="visitor's number of the web site")]
Country = Annotated[str, Parameter(name="--country", help="of a phone number without one (default: default_country)")]
Exactly = Annotated[
    bool, Parameter(name="--exactly", negative="", help="only these names, not what events join with them")
]


def _pseudonyms(
    settings: Settings, subject: str, email: str, id_: str, phone: str, anonymous_id: str, country: str
) -> list[str]:
    """Return the pseudonyms of a person as the edge would make them. Raises UsageError."""
    from producers.pseudonyms import PSEUDONYM_DIGITS, Customer, pseudonyms_of
    from schemas.errors import InvalidEventError

    found = []
    if subject:
        if len(subject) != PSEUDONYM_DIGITS or set(subject) - set("0123456789abcdef"):
            raise UsageError(
                "no_pseudonym", f"{subject!r} is no pseudonym", "give 32 hexadecimal digits, or --email, --id, --phone"
            )
        found.append(subject)
    if email or id_ or phone or anonymous_id:
        make = pseudonyms_of(settings.pseudonym_key, country or settings.default_country)
        customer = Customer(
            id=id_.strip() or None, email=email or None, phone=phone or None, anonymous_id=anonymous_id.strip() or None
        )
        try:
            first, others = make.subject(customer)
        except InvalidEventError as error:
            raise UsageError(error.reason, error.detail, error.remedy) from error
        found += [one for one in (first, *others) if one is not None]
    if not found:
        raise UsageError("nobody", "nobody is named", "give --email, --id, --phone, --anonymous-id or --subject")
    return found


@subject.command
def export(
    *,
    subject: Pseudonym = "",
    email: Email = "",
    id_: Id = "",
    phone: Phone = "",
    anonymous_id: Anonymous = "",
    country: Country = "",
    exactly: Exactly = False,
    json_: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Print everything that is held about a person; with --json all of it, else how much.

    Example: `barometer subject export --email anna@example.org --json > anna.json`
    """
    from deploy.subject_export import export as exported

    settings = located(data_dir)
    names = _pseudonyms(settings, subject, email, id_, phone, anonymous_id, country)
    found = exported(settings, names, client=wiring.clickhouse(settings), keyring=_keyring(settings), exactly=exactly)
    if json_:
        print(json.dumps(found, default=str, ensure_ascii=False))
        return 0
    for name, rows in found["pseudonyms"].items():
        print(f"pseudonym {name}: {rows} events")
    print(
        f"{len(found['events'])} events, {found['readable_events']} with something to read; {len(found['alarms'])} steps of alarms,"
        f" {len(found['cases'])} cases; all of it: --json"
    )
    return 0


@subject.command
def erase(
    *,
    subject: Pseudonym = "",
    email: Email = "",
    id_: Id = "",
    phone: Phone = "",
    anonymous_id: Anonymous = "",
    country: Country = "",
    exactly: Exactly = False,
    yes: Annotated[bool, Parameter(negative="", help="do not ask")] = False,
    timeout_s: Annotated[float, Parameter(help="seconds to wait for the sinks, and for ClickHouse")] = 600.0,
    json_: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Make unreadable, for ever and everywhere, what a person wrote; counts stay. Writes a signed receipt.

    An erasure that was cut short goes on when the command is given again.

    Example: `barometer subject erase --email anna@example.org`
    """
    from deploy.subject_erase import Erasure
    from sinks import erasing

    settings = located(data_dir)
    names = _pseudonyms(settings, subject, email, id_, phone, anonymous_id, country)
    client = wiring.clickhouse(settings)
    told = Console(stderr=True)
    if not yes:
        for name, rows in erasing.by_subject(client, erasing.person_of(client, names, exactly=exactly)).items():
            told.print(f"pseudonym {name}: {rows} events", highlight=False)
        if not _agreed("Destroy the keys of these and empty their texts? Nothing brings them back."):
            print("nothing was done")
            return 1
    said: list[str] = []

    def tell(line: str) -> None:
        if line not in said[-1:]:
            told.print(line, highlight=False, soft_wrap=True, markup=False)
            said.append(line)

    path = Erasure(
        settings, names, client=client, keyring=_keyring(settings), clock=system_clock, exactly=exactly,
        timeout_s=timeout_s, tell=tell,
    ).run()  # fmt: skip
    receipt = json.loads(path.read_bytes())["receipt"]
    if json_:
        print(json.dumps({"file": str(path), **receipt}))
        return 0
    print(
        f"erased: {len(receipt['keys_destroyed'])} keys destroyed, {receipt['rows_cleared']} of {receipt['rows']} rows held"
        f" something to read, none does any more; receipt {path}"
    )
    if receipt["unsealed_in_kafka_until"]:
        print(f"events of before texts were sealed stand in Kafka until {receipt['unsealed_in_kafka_until']}")
    return 0


@subject.command
def verify(
    file: Path,
    /,
    *,
    key: Annotated[str, Parameter(name="--public-key", help="hex; default: that of this installation's keyring")] = "",
    json_: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Check that a receipt stands as this installation signed it; exit 1 if not.

    Example: `barometer subject verify .barometer/erasures/2026-11-23T081500Z-0a1b2c3d4e5f6071.json`
    """
    from deploy.subject_receipt import public_key, verified

    if not file.exists():
        raise UsageError("no_such_file", f"{file} does not exist")
    expected = key or public_key(_keyring(settings_of(data_dir)).signing_key())
    try:
        receipt = verified(file.read_bytes(), expected)
    except UsageError as error:
        print(json.dumps({"valid": False, "reason": error.reason}) if json_ else f"not valid: {error}")
        return 1
    if json_:
        print(json.dumps({"valid": True, **msgspec.to_builtins(receipt)}))
    else:
        print(f"valid: {receipt.made_at}, {len(receipt.keys_destroyed)} keys destroyed, {receipt.rows} rows")
    return 0


def _keyring(settings: Settings) -> Keyring:
    stack = endpoints(settings).get("settings", {})
    if not settings.keyring and stack:  # the local stack may lie in the demo's folder
        settings = msgspec.structs.replace(settings, data_dir=stack["data_dir"], keyring=stack.get("keyring", ""))
    path = keyring_path(settings)
    if not path.exists():
        raise UsageError(
            "no_keyring", f"{path} does not exist", "name the gateway's keyring: BAROMETER_KEYRING, or --data-dir"
        )
    return Keyring(path, clock=system_clock)


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("nobody_to_ask", "there is no terminal to ask on", "say --yes")
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
