"""Alarms in words, in English and French: what is seen, against what, since when. For the command line and the console."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from schemas.errors import UndecodableError
from schemas.outputs import AlarmTransition


class Words(NamedTuple):
    """One language; names in braces are filled in."""

    lang: str
    decimal: str
    time: str
    states: Mapping[str, str]
    noted: str
    severities: Mapping[str, str]
    everywhere: str
    counted: str
    usual: str
    usual_least: str
    worth: str
    scored: str
    burned: str
    expected: str
    began: str
    occurred: str
    stratum: str
    immediate: str
    contributors: str
    verbatims: str
    statistic: str
    silenced: str
    part_of: str
    reopened: str


ENGLISH = Words(
    lang="en", decimal=".", time="%d %b %H:%M UTC",
    states={
        "pending": "pending", "open": "open", "acknowledged": "acknowledged", "flapping": "flapping", "resolved": "resolved",
    },
    noted="note",
    severities={"page": "page", "ticket": "ticket", "info": "info"},
    everywhere="everywhere",
    counted="{bad} of {n} answers were bad ({share})", usual="usual is at most {p0}",
    usual_least="usual is at least {p0}", worth="{p1} would be worth an alarm",
    scored="{n} answers lie {score} of the way to the bad end, {p0} is usual",
    burned="{bad} of {n} within {name} were bad: the error budget burns {burn} times too fast",
    expected="{n} came, {expected} were expected", began="began about {at}", occurred="answers from {first} to {last}",
    stratum="{name}: {bad} of {n} (usual at most {p0})", immediate="one event is enough: no statistics ({event})",
    contributors="mostly from {names}", verbatims="in their words: {ids}", statistic="statistic {r}, alarm at 1",
    silenced="silenced: nobody is notified", part_of="part of alarm {alarm}", reopened="came back {n} times",
)  # fmt: skip
FRENCH = Words(
    lang="fr", decimal=",", time="%d/%m %H:%M UTC",
    states={
        "pending": "en attente", "open": "ouverte", "acknowledged": "prise en charge", "flapping": "instable",
        "resolved": "résolue",
    },
    noted="note",
    severities={"page": "urgente", "ticket": "à traiter", "info": "information"},
    everywhere="partout",
    counted="{bad} réponses sur {n} étaient mauvaises ({share})", usual="d'habitude au plus {p0}", usual_least="d'habitude au moins {p0}",
    worth="{p1} vaut une alarme", scored="{n} réponses à {score} du mauvais bout de l'échelle, d'habitude {p0}",
    burned="{bad} sur {n} en {name} étaient mauvaises : le budget d'erreur fond {burn} fois trop vite",
    expected="{n} reçus, {expected} attendus", began="début estimé : {at}",
    occurred="réponses du {first} au {last}", stratum="{name} : {bad} sur {n} (d'habitude au plus {p0})",
    immediate="un seul événement suffit, sans statistique ({event})", contributors="surtout : {names}",
    verbatims="dans leurs mots : {ids}", statistic="statistique {r}, alarme à 1",
    silenced="en silence : personne n'est prévenu", part_of="fait partie de l'alarme {alarm}",
    reopened="revenue {n} fois",
)  # fmt: skip
MACHINES = frozenset({"judge", "tally"})
"""Actors that are no people."""
LANGUAGES: Mapping[str, Words] = {"en": ENGLISH, "fr": FRENCH}


def share(value: float, words: Words) -> str:
    """Return a share of 0..1 as a percentage."""
    return f"{100 * value:.1f}".replace(".", words.decimal) + " %"


def number(value: float, words: Words) -> str:
    """Return a number with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".").replace(".", words.decimal)


def moment(at: datetime, words: Words) -> str:
    """Return a time in UTC."""
    return at.astimezone(UTC).strftime(words.time)


def step(row: Mapping[str, Any], before: Mapping[str, Any] | None, words: Words) -> str:
    """Return what a step of an alarm is called; `before`: the step before it, if there was one."""
    if row["actor"] not in MACHINES and before is not None and before["state"] == row["state"]:
        return words.noted
    return words.states.get(row["state"], row["state"])


def where(row: Mapping[str, Any], words: Words) -> str:
    """Return the place that an alarm is about."""
    return words.everywhere if row["key"] == "*" else str(row["key"])


def sentences(row: Mapping[str, Any], words: Words) -> list[str]:
    """Return the evidence of an alarm, a row of `sinks.queries`, one statement each, the most telling first."""
    evidence = evidence_of(row)
    out = list(_seen(row, evidence, words))
    if row["changed_at"] is not None:
        out.append(words.began.format(at=moment(row["changed_at"], words)))
    contributors = [str(one["key"]) for one in _dicts(evidence.get("contributors")) if one.get("key")]
    if contributors:
        out.append(words.contributors.format(names=", ".join(contributors)))
    if evidence.get("reopened"):
        out.append(words.reopened.format(n=evidence["reopened"]))
    if evidence.get("silenced_until"):
        out.append(words.silenced)
    return out


def _seen(row: Mapping[str, Any], evidence: Mapping[str, Any], words: Words) -> Iterator[str]:
    """Yield what was counted, and against what."""
    strata = _strata(evidence)
    if row["event_id"]:
        yield words.immediate.format(event=row["event_id"])
    elif any("expected" in held for held in strata.values()):
        seen, expected = (sum(float(held.get(name, 0)) for held in strata.values()) for name in ("seen", "expected"))
        yield words.expected.format(n=number(seen, words), expected=number(expected, words))
    elif any("burn" in held for held in strata.values()):
        for name, held in sorted(strata.items()):
            yield words.burned.format(bad=held["bad"], n=held["n"], name=name, burn=number(float(held["burn"]), words))
    elif row["n"] and any("score" in held for held in strata.values()):
        n = sum(float(held["n"]) for held in strata.values())
        score = sum(float(held["n"]) * float(held["score"]) for held in strata.values()) / n
        p0 = sum(float(held["n"]) * float(held["baseline"]) for held in strata.values()) / n
        yield words.scored.format(n=row["n"], score=share(score, words), p0=share(p0, words))
    elif row["n"]:
        p0, p1 = row["p0"], row["p1"]
        yield words.counted.format(bad=row["bad"], n=row["n"], share=share(row["bad"] / row["n"], words))
        if p0 is not None:
            usual = words.usual_least if p1 is not None and p1 < p0 else words.usual
            yield usual.format(p0=share(p0, words))
        if p1 is not None:
            yield words.worth.format(p1=share(p1, words))


def details(row: Mapping[str, Any], words: Words) -> list[str]:
    """Return what else is known: strata, when the answers were given, the statistic, ids of verbatims."""
    evidence = evidence_of(row)
    out = []
    for name, held in sorted(_strata(evidence).items()):
        if {"n", "bad", "p0"} <= held.keys():
            p0 = share(float(held["p0"]), words)
            bad, n = (number(float(held[one]), words) for one in ("bad", "n"))
            out.append(words.stratum.format(name=name, bad=bad, n=n, p0=p0))
    if row["occurred_first"] is not None and row["occurred_last"] is not None and not row["event_id"]:
        first, last = moment(row["occurred_first"], words), moment(row["occurred_last"], words)
        out.append(words.occurred.format(first=first, last=last))
    if row["statistic"] is not None:
        out.append(words.statistic.format(r=number(row["statistic"], words)))
    if evidence.get("episode"):
        out.append(words.part_of.format(alarm=evidence["episode"]))
    verbatims = evidence.get("verbatims")
    if isinstance(verbatims, list) and verbatims:
        out.append(words.verbatims.format(ids=", ".join(map(str, verbatims))))
    return out


def evidence_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence of a row as an object. Raises UndecodableError if it is none."""
    try:
        return msgspec.json.decode(row["evidence"] or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UndecodableError("bad_evidence", f"alarm {row['alarm_id']}: {error}") from error


def _strata(evidence: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    found = evidence.get("strata")
    return (
        {str(name): held for name, held in found.items() if isinstance(held, dict)} if isinstance(found, dict) else {}
    )


def _dicts(found: object) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def row_of(one: AlarmTransition) -> dict[str, Any]:
    """Return a transition as the row that the store would give."""
    plain = msgspec.structs.asdict(one)

    def at(ms: int | None) -> datetime | None:
        return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)

    return plain | {
        "event_id": one.event_id or "", "state": str(one.state), "at": at(one.pane), "first_at": at(one.first_pane),
        "changed_at": at(one.change_pane), "occurred_first": at(one.occurred_first), "occurred_last": at(one.occurred_last),
    }  # fmt: skip
