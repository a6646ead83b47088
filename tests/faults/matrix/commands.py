"""Commands that change what is stored, killed at their named points again and again; then they are given once more."""

import json
import os
import subprocess
import sys
import uuid
from typing import Any

from schemas.settings import to_environ
from sinks import clickhouse
from tests.faults.fault import Scene, fault
from tests.faults.kills import Kill
from tests.faults.load import event
from tests.faults.matrix.history import MEND, refused_history
from tests.faults.running import settled

TIMES = 10
ERASE_POINTS = ("erase.after_destroy", "erase.before_clear", "erase.after_clear", "erase.before_receipt")


def _given(scene: Scene, *arguments: str, point: str = "") -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, **to_environ(scene.ground.settings)}
    if point:
        environ["BAROMETER_KILL_POINT"] = f"{point}:1"
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments], env=environ, capture_output=True, text=True, check=False,
        timeout=180,
    )  # fmt: skip


def _killed(scene: Scene, point: str, *arguments: str) -> None:
    done = _given(scene, *arguments, point=point)
    if done.returncode == -9 and f"killed at {point}" in done.stderr:
        scene.kills.append(Kill(target=point.partition(".")[0], at=point, unfinished=1, open=1))
        scene.hit("killed at the point")
    else:
        scene.wrong(f"{point}: ended with {done.returncode}: {done.stderr[-300:]}")


def _done(scene: Scene, *arguments: str) -> Any:
    done = _given(scene, *arguments, "--json")
    if done.returncode:
        scene.wrong(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr[-300:]}")
        return {}
    return json.loads(done.stdout)


@fault(32, "rejected reinject: kill -9 between sending and noting it, again and again, then once more",
       proofs=("killed at the point", "reinjected"), at_random=False)  # fmt: skip
def reinject_killed(scene: Scene) -> None:
    mend = scene.ground.folder / "mend.toml"
    mend.write_text(MEND)
    refused_history(scene)
    reinject = ("rejected", "reinject", "--reason", "unknown_channel", "--map", str(mend))
    for _ in range(TIMES):
        _killed(scene, "rejected.before_fate", *reinject)
    done = _done(scene, *reinject)
    scene.hit("reinjected", sum(one["outcome"] == "reinjected" for one in done))


@fault(32, "subject erase: kill -9 at each of its points, again and again, while the person goes on writing; then once more",
       proofs=("killed at the point", "receipt"), at_random=False)  # fmt: skip
def erase_killed(scene: Scene) -> None:
    ground, email = scene.ground, f"{uuid.uuid4().hex}@example.org"
    erase = ("subject", "erase", "--email", email, "--yes")
    _alter(scene, "MODIFY SETTING old_parts_lifetime = 1")
    try:
        for _ in range(TIMES):
            one = {**event(scene.rng, "paris", 0.1, old=False), "customer": {"email": email}, "text": f"I am {email}"}
            with scene.client() as client:
                answer = client.post("/v1/feedback", content=json.dumps([one]))
            if answer.status_code == 202:
                scene.ledger.taken([one["id"]], [one])
            settled(ground)
            for point in ERASE_POINTS:
                _killed(scene, point, *erase)
        receipt = _done(scene, *erase)
        scene.hit("receipt", int(bool(receipt) and receipt["rows_readable"] == 0))
        left = _done(scene, "subject", "export", "--email", email)
        if not left or left["readable_events"] or left["living_keys"]:
            scene.wrong(f"readable after the erasure: {left}")
    finally:
        _alter(scene, "MODIFY SETTING old_parts_lifetime = 60")


def _alter(scene: Scene, what: str) -> None:
    with clickhouse.connect(scene.ground.direct) as client:
        client.execute(f"ALTER TABLE feedback_events {what}")
