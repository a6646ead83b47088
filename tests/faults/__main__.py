"""`python -m tests.faults`: try the matrix of faults on a real stack, and write what came of it.

Example: `python -m tests.faults --only broker_killed,store_killed --seeds 1,2`
"""

import argparse
import math
import signal
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.faults import matrix, report
from tests.faults.fault import REGISTRY
from tests.faults.ground import Ground
from tests.faults.killing import campaign
from tests.faults.running import Run, arm, closing, told, try_fault
from tests.faults.scheduling import schedule

RESULTS = Path(".barometer/faults")
DOCUMENT = Path("deploy/docs/reliability.md")


def say(line: str) -> None:
    """Print with the time."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def parser() -> argparse.ArgumentParser:
    """Return what the command takes."""
    out = argparse.ArgumentParser(
        prog="python -m tests.faults", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    out.add_argument("--seed", type=int, default=1, help="first seed of moments and load (default: 1)")
    out.add_argument(
        "--runs", type=int, default=1, help="runs of each fault, with seeds one after the other (default: 1)"
    )
    out.add_argument("--only", default="", help="names or numbers of faults, separated by commas (default: all)")
    out.add_argument(
        "--kills", type=int, default=0, help="a campaign of so many kills -9, at named points and at random"
    )
    out.add_argument(
        "--processes", default="", help="only these lose their lives in a campaign, separated by commas (default: all)"
    )
    out.add_argument(
        "--minutes", type=float, default=0, help="random faults one after the other for so long, checked at the end"
    )
    out.add_argument(
        "--sparing", action="store_true", help="recount readings once, at the end, not after each run as time allows"
    )
    out.add_argument(
        "--long", action="store_true", help="outages as long as the matrix says: minutes instead of seconds"
    )
    out.add_argument("--own-proxy", action="store_true", help="our own proxy, even where toxiproxy is there")
    out.add_argument("--keep", action="store_true", help="leave the folder with logs and ledger behind")
    out.add_argument("--list", action="store_true", help="list the faults and end")
    out.add_argument("--report", action="store_true", help=f"write the table of {DOCUMENT} from {RESULTS}, and end")
    return out


@contextmanager
def grounded(asked: argparse.Namespace, *, three: bool, failed: Callable[[], bool]) -> Iterator[Ground]:
    """Give a ground that stands and is under armed rules; its folder stays behind after a failure."""
    ground = Ground(say, own_proxy=asked.own_proxy, three=three)
    broken = True
    try:
        ground.start()
        arm(ground, asked.seed)
        if asked.sparing:
            ground.recount_took_s = math.inf
        yield ground
        broken = False
    finally:
        ground.close(keep=asked.keep or broken or failed())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 0 if all was exact, 1 if not, 2 for a wrong call."""
    asked = parser().parse_args(arguments)
    matrix.load()
    if asked.list:
        for one in sorted(REGISTRY.values(), key=lambda one: (one.number, one.name)):
            print(f"{one.number:>2} {one.name:<28} {one.title}")
        return 0
    if asked.report:
        report.write(RESULTS, DOCUMENT)
        say(f"{DOCUMENT} written")
        return 0
    wanted = [one for one in asked.only.split(",") if one]
    chosen = [one for name in wanted for one in REGISTRY.values() if name in {one.name, str(one.number)}]
    chosen = list(dict.fromkeys(chosen)) if wanted else list(REGISTRY.values())
    if not chosen:
        print(f"error: no fault is called {asked.only}; see --list", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that everything is taken down
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{time.strftime('%Y%m%dT%H%M%S')}-{zlib.crc32(str(time.time_ns()).encode()):08x}.jsonl"
    say(f"seed {asked.seed}; results in {file}")
    bad = 0
    with file.open("ab") as stream:

        def keep(run: Run) -> None:
            nonlocal bad
            bad += not (run.ok or run.skipped)
            stream.write(msgspec.json.encode(run) + b"\n")
            stream.flush()
            say(told(run))

        if asked.kills or asked.minutes or wanted:
            chosen = [one for one in chosen if wanted]
        for three in (False, True):
            mine = sorted((one for one in chosen if one.three is three), key=lambda one: one.final)
            apart = not three and (asked.kills or asked.minutes)
            if mine or apart:
                with grounded(asked, three=three, failed=lambda: bad > 0) as ground:
                    if asked.kills and not three:
                        processes = {one for one in asked.processes.split(",") if one}
                        keep(campaign(ground, asked.kills, asked.seed, say, processes))
                    if asked.minutes and not three:
                        for run in schedule(ground, asked.minutes, asked.seed, say):
                            keep(run)
                    for seed in range(asked.seed, asked.seed + asked.runs):
                        for one in mine:
                            if one.final and seed != asked.seed + asked.runs - 1:
                                continue
                            if one.final:  # nothing can be counted after it
                                keep(closing(ground, asked.seed))
                            keep(try_fault(ground, one, seed, long=asked.long))
                    if mine and not mine[-1].final:
                        keep(closing(ground, asked.seed))
    say("all exact" if not bad else f"{bad} runs were not as they must be")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
