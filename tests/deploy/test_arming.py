"""Arming: what needs a backtest, what the backtest forbids, and what is kept of it."""

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.arming import armable, refusal, tried
from deploy.backtesting import Run, Source
from schemas.catalogue import load
from schemas.errors import UsageError
from schemas.rules import BaselineKind, RuleKind
from schemas.settings import Settings
from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS

PACKAGED = load()
START = 20_000 * DAY_MS


def fixed(p0: float) -> Any:
    """Return the catalogue with a declared bad share: too low a one makes the rule alarm all the time."""
    return msgspec.structs.replace(
        PACKAGED,
        alarm=[
            msgspec.structs.replace(one, baseline=BaselineKind.FIXED, p0=p0, p1=(p0 + 0.15,), cooldown_ms=0)
            if one.kind is RuleKind.DROP
            else one
            for one in PACKAGED.alarm
        ],
    )


def file_of(path: Path, bad_share: float, days: int = 28) -> Path:
    """Write days of answers whose bad share goes up and down around `bad_share`, half a day each."""
    rng = random.Random(9)
    lines = []
    for number in range(days * 24 * 4):
        at = START + number * 15 * MINUTE_MS
        share = bad_share * (1.9 if number // 48 % 2 else 0.1)
        score = 1 if rng.random() < share else 5
        lines.append(json.dumps({
            "id": f"e{number}", "channel": "card", "touchpoint": "lyon", "occurred_at": at,
            "answers": [{"question": "csat", "score": score, "scale": [1, 5]}],
        }))  # fmt: skip
    path.write_text("\n".join(lines))
    return path


def test_a_rule_that_alarms_beyond_its_budget_is_armed_only_by_force_and_with_a_note(tmp_path: Path) -> None:
    catalogue = fixed(0.02)
    rule = armable(catalogue, "satisfaction_drop")
    noisy = tried(rule, Source(file=file_of(tmp_path / "noisy.jsonl", 0.4)), catalogue, Settings())
    assert noisy.over_budget and noisy.weeks > 3.8  # from the first renewal, on the hour
    assert "unexplained" in refusal(noisy, force=False, note="")
    assert "--note" in refusal(noisy, force=True, note=" ")
    assert refusal(noisy, force=True, note="we know") == ""
    assert noisy.summary()["over_budget"] is True
    json.dumps(noisy.details())


def test_a_quiet_rule_is_armed_without_a_word(tmp_path: Path) -> None:
    catalogue = fixed(0.1)
    rule = armable(catalogue, "satisfaction_drop")
    quiet = tried(rule, Source(file=file_of(tmp_path / "quiet.jsonl", 0.04)), catalogue, Settings())
    assert refusal(quiet, force=False, note="") == ""
    assert quiet.alarms == 0 and quiet.keys == ("lyon",)
    spans = quiet.found_within["lyon"]
    assert spans["1 week"] is not None and spans["1 month"] is not None
    assert 0.1 < spans["1 month"] <= spans["1 week"] < 1


@pytest.mark.parametrize("every_ms", [HOUR_MS, DAY_MS, 0])
def test_a_backtest_renews_on_the_grid_of_the_judge(tmp_path: Path, every_ms: int) -> None:
    """Nothing is watched before the first boundary; a setting of 0 leaves renewals to commands."""
    source = Source(file=file_of(tmp_path / "quiet.jsonl", 0.04, days=3))
    settings = Settings(renew_every_s=every_ms // 1000, pane_ms=MINUTE_MS)
    run = Run(source, fixed(0.1), settings, commands=[], alarms_only=True, renewals=True)
    run.finish()
    end = START + (3 * 24 * 4 - 1) * 15 * MINUTE_MS + MINUTE_MS
    weeks = {"satisfaction_drop": pytest.approx((end - START - every_ms) / WEEK_MS, abs=1e-9)} if every_ms else {}
    assert dict(run.test.watched.weeks) == weeks


def test_what_cannot_be_armed_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="satisfaction_drop"):
        armable(PACKAGED, "nonsense")
    with pytest.raises(UsageError, match="at once"):
        armable(PACKAGED, "dispute")
