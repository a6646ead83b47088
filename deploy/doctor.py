"""`barometer doctor`: is everything there, does everything move, and what to do where not."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from deploy import topics
from deploy.positions import Positions
from deploy.settle import lags
from schemas.errors import BarometerError
from schemas.topics import GROUP_JUDGE

HTTP_TIMEOUT_S = 3.0
JUDGE_LAG_WARN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: what was looked at, whether it is well, what was seen, what to do."""

    name: str
    ok: bool
    seen: str
    remedy: str = ""


def _guarded(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name=name, ok=True, seen=look())
    except BarometerError as error:
        return Finding(name=name, ok=False, seen=error.detail, remedy=error.remedy)


def _ready(url: str) -> str:
    try:
        with urlopen(url, timeout=HTTP_TIMEOUT_S) as answer:  # our own address, from endpoints.json
            return f"ready ({answer.status})"
    except HTTPError as error:
        raise BarometerError("not_ready", error.read(2_000).decode("utf-8", "replace"), "see its log") from error
    except (URLError, OSError) as error:
        raise BarometerError("no_answer", f"{url}: {error}", "start it, or see its log") from error


def examine(
    *,
    bootstrap: str,
    prefix: str,
    ask_clickhouse: Callable[[], str],
    ready_urls: dict[str, str],
) -> Iterator[Finding]:
    """Yield the findings, nearest cause first: brokers, topics, store, processes, positions."""
    broker = _guarded(
        "topics",
        lambda: f"{len(topics.describe(bootstrap, prefix))} topics stand as the table says",
    )
    yield broker
    yield _guarded("clickhouse", ask_clickhouse)
    for name, url in ready_urls.items():
        yield _guarded(name, lambda url=url: _ready(url))  # type: ignore[misc]
    if broker.ok:
        with Positions(bootstrap, prefix) as positions:
            for group, lag in lags(positions).items():
                yield Finding(name=f"lag {group}", ok=True, seen=f"{lag} records")
            pane = int(positions.of(GROUP_JUDGE)[0].metadata.get("pane") or 0)
        behind_s = time.time() - pane / 1000
        yield Finding(
            name="judge",
            ok=bool(pane) and behind_s < JUDGE_LAG_WARN_S,
            seen=f"last pane judged ended {behind_s:.1f} s ago" if pane else "no pane judged yet",
            remedy="barometer_judge_pane_lag_seconds names the partition that holds it back",
        )
