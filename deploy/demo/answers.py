"""What the customers of the demonstration answer: scores with known shares, so that every reading can be checked.

CSAT is 1, 2 or 3 (bad) with a stated share; the other scores go with it, as they do for people.
"""

from random import Random
from typing import Any

BAD_SHARE = 0.10
INJECTED_BAD_SHARE = 0.45

_BAD_SCORES, _BAD_WEIGHTS = (1, 2, 3), (2, 3, 5)
_GOOD_SCORES, _GOOD_WEIGHTS = (4, 5), (4, 5)
_NPS = {True: ((10, 9, 8, 7, 6), (30, 30, 22, 12, 6)), False: ((0, 2, 4, 5, 6, 7), (10, 15, 20, 25, 20, 10))}
_CES = {True: ((7, 6, 5, 4), (40, 35, 15, 10)), False: ((1, 2, 3, 4, 5), (15, 25, 30, 20, 10))}


def csat(rng: Random, bad_share: float) -> int:
    """Return a score 1..5; it is 1, 2 or 3 with probability `bad_share`."""
    if rng.random() < bad_share:
        return rng.choices(_BAD_SCORES, _BAD_WEIGHTS)[0]
    return rng.choices(_GOOD_SCORES, _GOOD_WEIGHTS)[0]


def nps(rng: Random, *, good: bool) -> int:
    """Return a recommendation 0..10 of a satisfied or an unsatisfied customer."""
    return rng.choices(*_NPS[good])[0]


def ces(rng: Random, *, good: bool) -> int:
    """Return how easy it was, 1..7."""
    return rng.choices(*_CES[good])[0]


def answer(question: str, score: int) -> dict[str, Any]:
    """Return the answer as the native event holds it, scale included."""
    return {"question": question, "score": score, "scale": list(SCALES[question])}


SCALES = {"csat": (1, 5), "nps": (0, 10), "ces": (1, 7)}
