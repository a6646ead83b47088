"""Bayesian online change point detection of yes-or-no answers: dates a change afterwards, triggers nothing.

Source: Adams and MacKay 2007 (arXiv 0710.3742), Beta-Bernoulli, constant hazard. The mass of run length 0 is always the
hazard: the run length that is most likely is no alarm.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Belief(NamedTuple):
    """What is believed after an answer."""

    evidence: float
    """Chance of the answer given those before it."""
    run_lengths: tuple[float, ...]
    """Chance that the current run began r answers ago, r = 0, 1, ..."""


def beliefs(
    answers: Iterable[bool], hazard: float, prior: tuple[float, float] = (1.0, 1.0), longest: int = 2_000
) -> list[Belief]:
    """Return the belief after each answer; hazard: chance of a change at each; prior: Beta (bad, good).

    Runs beyond `longest` answers are merged into it, so the cost is at most `longest` an answer.
    """
    out: list[Belief] = []
    mass, bad, good = [1.0], [prior[0]], [prior[1]]
    for answer in answers:
        joint = [w * (b if answer else g) / (b + g) for w, b, g in zip(mass, bad, good, strict=True)]
        evidence = sum(joint)
        mass = [hazard, *[(1 - hazard) * one / evidence for one in joint]]
        bad = [prior[0], *[one + answer for one in bad]]
        good = [prior[1], *[one + (not answer) for one in good]]
        if len(mass) > longest + 1:
            mass[-2:] = [mass[-2] + mass[-1]]
            del bad[-2], good[-2]  # the merged run keeps the longer memory
        out.append(Belief(evidence, tuple(mass)))
    return out


def change_at(answers: Iterable[bool], hazard: float, prior: tuple[float, float] = (1.0, 1.0)) -> int:
    """Return the index of the answer with which the current run most likely began; at least one answer."""
    seen = beliefs(answers, hazard, prior)
    last = seen[-1].run_lengths
    return len(seen) - max(range(1, len(last)), key=last.__getitem__)
