"""Put a new catalogue into force while everything runs: what it would change, why it may not, and the transaction that declares it.

The owner of one transactional id reads what is declared, checks and writes: of two people at the same time one is told
that the other has taken over.
"""

import asyncio
from typing import Any, NamedTuple

from deploy.alarms import By
from deploy.catalogue_diff import Change, changes
from deploy.declarations import declared_in, moment_of
from deploy.positions import Positions
from schemas.arrival import sent_header
from schemas.catalogue import Catalogue
from schemas.clock import Clock, system_clock
from schemas.codec import Kind, encode
from schemas.declared import Catalogues, Declared, declaration, new_listeners, new_metrics, refusal
from schemas.errors import ContractError
from schemas.outputs import Decision, decision_to_record
from schemas.settings import Settings
from schemas.topics import CATALOGUES, GROUP_JUDGE, TALLIES
from schemas.windows import DAY_MS
from sinks import clickhouse
from sinks.compiled.making import make_views
from sinks.migrate import copy_catalogue
from sinks.transactions import Record, Transactions
from streams.core.grid import up

TRANSACTIONAL_ID = "barometer-catalogue"
KEY = b"catalogue"
LEAD_MS = 60_000
"""How far ahead a change lies if nobody says: stage 1 looks for changes once a second."""
FARTHEST_MS = 7 * DAY_MS
"""Beyond it a time is a slip of the pen, and no change before it could be declared any more."""


class Plan(NamedTuple):
    """What a change would do; `refused` says why it cannot be made."""

    wanted: Catalogue
    before: Declared | None
    """The newest declared catalogue."""
    from_pane: int
    seed: bool
    refused: ContractError | None

    @property
    def changes(self) -> list[Change]:
        """Return what differs from the catalogue before."""
        return [] if self.before is None else list(changes(self.before.catalogue, self.wanted))

    @property
    def unarmed(self) -> list[str]:
        """Return the rules that watch nothing until somebody arms them."""
        return [one.name for one in self.changes if one.unarmed]

    @property
    def waits(self) -> bool:
        """Return whether series or rules wait for a past that has to be recounted."""
        if self.before is None or not self.seed:
            return False
        before = self.before.catalogue
        return bool(new_metrics(before, self.wanted) or new_listeners(before, self.wanted))

    @property
    def gateway_reads(self) -> bool:
        """Return whether something changes that the gateway reads from its file: questions with their scales, touchpoints."""
        if self.before is None:
            return False
        before = self.before.catalogue
        return before.scales() != self.wanted.scales() or before.touchpoint != self.wanted.touchpoint

    def details(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "catalogue_hash": self.wanted.hash,
            "replaces": "" if self.before is None else self.before.catalogue.hash,
            "from_pane": self.from_pane,
            "seed": self.seed,
            "changes": [one._asdict() for one in self.changes],
            "unarmed": self.unarmed,
        }


def plan(
    settings: Settings, wanted: Catalogue, *, from_ms: int | None, seed: bool, clock: Clock = system_clock
) -> Plan:
    """Return what a change from `from_ms` on (None: soon) would do, as things stand now. Raises UnavailableError."""
    known = declared_in(settings)
    with Positions(settings.kafka_bootstrap, settings.topic_prefix) as positions:
        judged = int(positions.of(GROUP_JUDGE)[0].metadata.get("pane") or 0)
    now = clock()
    pane = up(now + LEAD_MS if from_ms is None else from_ms, settings.pane_ms)
    refused = refusal(known, wanted, from_pane=pane, judged=judged) or _at_a_wrong_time(pane, now, settings.pane_ms)
    return Plan(wanted, known.newest, pane, seed, refused)


def _at_a_wrong_time(pane: int, now: int, pane_ms: int) -> ContractError | None:
    if pane <= up(now, pane_ms):
        return ContractError(
            "pane_too_early", f"{moment_of(pane)} is now or past: stage 1 has begun to count it", "name a later time (--from)"
        )  # fmt: skip
    if pane > now + FARTHEST_MS:
        return ContractError(
            "pane_too_late", f"{moment_of(pane)} is more than 7 days ahead", "apply it nearer to that time"
        )
    return None


class Written(NamedTuple):
    """A change that stands in the log: the plan as it was carried out, its decision and the decision's offset."""

    plan: Plan
    decision: Decision
    offset: int


def apply(
    settings: Settings, wanted: Catalogue, *, from_ms: int | None, seed: bool, by: By, clock: Clock = system_clock
) -> Written:
    """Declare a catalogue, in one transaction to the log and to the topic of catalogues.

    Raises the plan's refusal; ContractError `fenced` if somebody else applies one at the same time; UnavailableError.
    """
    return asyncio.run(_apply(settings, wanted, from_ms=from_ms, seed=seed, by=by, clock=clock))


async def _apply(
    settings: Settings, wanted: Catalogue, *, from_ms: int | None, seed: bool, by: By, clock: Clock
) -> Written:
    prefix = settings.topic_prefix
    transactions = await Transactions.open(
        settings.kafka_bootstrap, prefix + TRANSACTIONAL_ID, who="`barometer catalogue apply`"
    )
    try:
        # after the open: what an older owner committed is seen, and what it has not can no longer be
        found = await asyncio.to_thread(plan, settings, wanted, from_ms=from_ms, seed=seed, clock=clock)
        if found.refused is not None:
            raise found.refused
        assert found.before is not None
        decision = declaration(
            wanted, from_pane=found.from_pane, replaces=found.before.catalogue.hash, author=by.author, note=by.note,
            made_at=clock(), seed=seed,
        )  # fmt: skip
        value, headers = encode(Kind.DECISION, decision_to_record(decision)), (sent_header(decision.made_at),)
        stands = await transactions.write(
            [
                Record(prefix + TALLIES.name, KEY, value, headers, partition=0),
                Record(prefix + CATALOGUES.name, decision.decision_id.encode(), value, headers, partition=0),
            ],
            {},
        )
        return Written(found, decision, stands[0].offset)
    finally:
        await transactions.close()


def show_in_store(settings: Settings, catalogue: Catalogue) -> int:
    """Make what the store knows of the catalogue and the views of its metrics anew; return the number of views.

    Raises UnavailableError.
    """
    try:
        with clickhouse.connect(settings) as client:
            copy_catalogue(client, catalogue)
            return len(make_views(client, catalogue))
    except clickhouse.PASSING as error:
        raise clickhouse.unavailable(error) from error


def listed(decisions: list[Decision], now: int) -> list[dict[str, Any]]:
    """Return the declared catalogues, the newest first, as JSON has them; `state`: past, in force or to come."""
    known = Catalogues.of(decisions)
    now_in_force = known.at(now)
    rows = []
    for one in decisions:
        body, from_pane = one.body, one.from_pane or 0
        to_come = from_pane > now
        here = now_in_force is not None and now_in_force.from_pane == from_pane
        rows.append(
            {
                "catalogue_hash": body["catalogue_hash"], "from_pane": from_pane, "replaces": body["replaces"],
                "author": one.author, "note": one.note, "made_at": one.made_at, "seed": body["seed"],
                "metrics": len(body["catalogue"]["metric"]), "alarms": len(body["catalogue"].get("alarm", [])),
                "state": "to come" if to_come else "in force" if here else "past",
            }
        )  # fmt: skip
    return rows[::-1]
