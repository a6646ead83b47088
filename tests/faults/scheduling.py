"""The random schedule: faults of the registry one after the other for so long, under one load; everything exact at the end."""

import time
from collections.abc import Callable, Iterator
from random import Random

from tests.faults.fault import REGISTRY
from tests.faults.ground import Ground
from tests.faults.running import Run, closing, try_fault

Tell = Callable[[str], None]


def schedule(ground: Ground, minutes: float, seed: int, tell: Tell) -> Iterator[Run]:
    """Yield the runs: each fault drawn at random and checked like any other, and all counts go over the whole time.

    The ledger and the store are those of all runs together, so the last check is that of everything.
    """
    rng = Random(f"schedule {seed}")
    names = sorted(name for name, one in REGISTRY.items() if one.at_random and not one.needs(ground))
    ends = time.monotonic() + 60 * minutes
    number, began = 0, time.monotonic()
    bad, hits, kills = 0, 0, 0
    total = Run(number=31, fault="schedule", title=f"a random schedule of the above for {minutes:g} minutes", seed=seed)
    while time.monotonic() < ends:
        number += 1
        name = rng.choice(names)
        tell(f"[{(ends - time.monotonic()) / 60:.1f} minutes left] {name}")
        run = try_fault(ground, REGISTRY[name], rng.randrange(1 << 30))
        bad += bool(run.problems)
        hits += not run.idle
        kills += sum(run.kills.values())
        total.sends, total.accepted = total.sends + run.sends, total.accepted + run.accepted
        total.unknown, total.refused = total.unknown + run.unknown, total.refused + run.refused
        total.lost, total.duplicated, total.aggregates = run.lost, run.duplicated, run.aggregates
        total.foreign, total.changed = run.foreign, run.changed
        total.recovery_s = max(total.recovery_s, run.recovery_s)
        total.peak_mb = max(total.peak_mb, run.peak_mb)
        total.problems += [f"{name} seed {run.seed}: {one}" for one in run.problems]
        for moment, count in run.kills.items():
            total.kills[moment] = total.kills.get(moment, 0) + count
        yield run
    end = closing(ground, seed)
    bad += bool(end.problems)
    total.problems += end.problems
    total.aggregates, total.recounted = end.aggregates, True
    total.hits = {"faults tried": number, "faults that hit": hits}
    total.duration_s = time.monotonic() - began
    total.limit_s = 120.0
    total.ok = not bad
    total.at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    total.proxy = ground.links.name
    yield total
