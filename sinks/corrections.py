"""Corrections: what is said again takes back the version that stands and puts another in its place.

A record that counts -1 in every cell (`retract`) carries what it takes back; the one that replaces it carries what is
now said. Both stand at the occurred time of the first version, so they change readings; detectors never see them.
"""

from collections.abc import Sequence

import msgspec

from schemas.errors import InvalidEventError
from schemas.event import FeedbackEvent, Traits, natural_id

REPLACED, WITHDRAWN = "replaced", "withdrawn"
"""Reasons of a record that takes back: with or without another in its place."""
NOT_APPLIED = frozenset({"corrects_unknown", "already_retracted", "corrects_other_channel"})
"""Why a correction is refused."""


def standing(target: str, versions: Sequence[FeedbackEvent]) -> FeedbackEvent:
    """Return the version of an event that counts now; `versions`: the event, then all that corrects it, in order.

    Raises InvalidEventError if there is none, or none any more.
    """
    said = [one for one in versions if not one.retract]
    if not said or said[0].event_id != target:
        raise InvalidEventError(
            "corrects_unknown", "corrects", f"no event {target} is stored", "correct an event that was accepted, by its id"
        )  # fmt: skip
    if len(versions) - len(said) == len(said):
        raise InvalidEventError(
            "already_retracted", "corrects", f"event {target} was taken back", "send what is true as a new event"
        )
    return said[-1]


def applied(correction: FeedbackEvent, versions: Sequence[FeedbackEvent]) -> list[FeedbackEvent]:
    """Return the records that a correction stands for: one that takes back, then, unless it retracts, its replacement.

    What the correction leaves out (touchpoint, product, customer) stays as it was. Raises InvalidEventError.
    """
    assert correction.corrects is not None
    old = standing(correction.corrects, versions)
    if correction.channel != old.channel:
        raise InvalidEventError(
            "corrects_other_channel", "channel", f"the event came by {old.channel}", "name the channel of the event"
        )
    reason = WITHDRAWN if correction.retract else REPLACED
    minus = msgspec.structs.replace(
        old,
        event_id=correction.event_id if correction.retract else natural_id("correction", correction.event_id),
        received_at=correction.received_at,
        source=correction.source,
        text=None,
        text_ciphertext=None,
        data_key_id=None,
        corrects=correction.corrects,
        retract=True,
        traits=_with_reason(old.traits, reason),
    )
    if correction.retract:
        return [minus]
    plus = msgspec.structs.replace(
        correction,
        occurred_at=old.occurred_at,
        subject=correction.subject or old.subject,
        also_known_as=correction.also_known_as or old.also_known_as,
        conversation_ref=correction.conversation_ref or old.conversation_ref,
        survey_ref=correction.survey_ref or old.survey_ref,
        touchpoint=correction.touchpoint or old.touchpoint,
        product=correction.product or old.product,
    )
    return [minus, plus]


def _with_reason(traits: Traits, reason: str) -> Traits:
    return msgspec.structs.replace(traits, reason=reason)


def rounds(corrections: Sequence[FeedbackEvent]) -> list[list[FeedbackEvent]]:
    """Return corrections in rounds: those of one event never share a round, and keep their order."""
    out: list[list[FeedbackEvent]] = []
    depth: dict[str | None, int] = {}
    for one in corrections:
        at = depth.get(one.corrects, 0)
        depth[one.corrects] = at + 1
        if at == len(out):
            out.append([])
        out[at].append(one)
    return out
