"""The interval of a mean on a short scale, also where few or all answers agree."""

from math import sqrt

from streams.core.intervals import two_sided, z_of

ADDED = 2.25
"""Answers added, spread evenly over the points of the scale; 2 to 2.5 do equally well in simulation."""


def adjusted_mean(total: int, squares: int, n: int, level: float, scale: tuple[int, int]) -> tuple[float, float]:
    """Return the interval of a mean from the exact sums of answers and of their squares, within the scale; n > 0.

    The normal interval after `ADDED` answers spread evenly over the points, the idea of Agresti and Coull 1998 for
    shares and of Rocks 2016 for the NPS. Answers of satisfied customers are skewed and often all equal; there the t
    interval is too short or has no width at all: at 95 % it covers 84 % for n = 5, 89 % for n = 10, 93 % for n = 30
    on average over means on 5 points, this one 95 to 96 % (deploy.simulation.coverage).
    """
    least, most = scale
    points = range(least, most + 1)
    weight = ADDED / len(points)
    wider = n + ADDED
    mean = (total + weight * sum(points)) / wider
    spread = (squares + weight * sum(point * point for point in points)) / wider - mean * mean
    half = z_of(two_sided(level)) * sqrt(max(0.0, spread) / wider)
    return max(float(least), mean - half), min(float(most), mean + half)
