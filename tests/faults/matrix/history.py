"""Everything that comes late, at once, beside live traffic and while ClickHouse is away."""

import json
import os
import subprocess
import sys
import time
import uuid
from typing import Any

import msgspec

from schemas.settings import to_environ
from schemas.windows import DAY_MS
from tests.faults.fault import Scene, fault
from tests.faults.ledger import ACCEPTED
from tests.faults.load import event
from tests.faults.running import settled

MEND = '[set]\nchannel = "card"\n'
MANY = 100


def _run(scene: Scene, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.cli", *arguments], env={**os.environ, **to_environ(scene.ground.settings)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def _ended(scene: Scene, what: str, process: "subprocess.Popen[str]") -> None:
    said, _ = process.communicate(timeout=120)
    if process.returncode:
        scene.wrong(f"{what} ended with {process.returncode}: {said[-400:]}")
    else:
        scene.hit(what)


def _of(scene: Scene, days: int) -> list[dict[str, Any]]:
    """Return cards of some days ago."""
    now = int(time.time() * 1000)
    return [
        {**event(scene.rng, "paris", 0.1, old=True), "occurred_at": now - days * DAY_MS - scene.rng.randrange(DAY_MS)}
        for _ in range(MANY)
    ]


def _post(scene: Scene, events: list[dict[str, Any]]) -> None:
    """Send events until they are taken."""
    body = msgspec.json.encode(events)

    def taken() -> bool:
        number = scene.ledger.sending(body)
        code = client.post("/v1/feedback", content=body).status_code
        scene.ledger.answered(number, code, [one["id"] for one in events])
        return code == ACCEPTED

    with scene.client() as client:
        scene.until(taken, "acknowledged history")


def refused_history(scene: Scene) -> None:
    """Have the gateway refuse events of an unknown channel; with `MEND` they are good, and the ledger has them as taken."""
    refused = [{**one, "channel": "kiosk"} for one in _of(scene, 2)]
    with scene.client() as client:
        answer = client.post("/v1/feedback", content=json.dumps(refused))
        if answer.status_code != 422:
            scene.wrong(f"an unknown channel was answered {answer.status_code}")
    again = [{**one, "channel": "card"} for one in refused]
    scene.ledger.taken([one["id"] for one in again], again)
    settled(scene.ground)


@fault(7, "history: a file imported twice, a webhook retried for days, a phone offline for a week, inputs reinjected twice, a spool"
       " drained: at once, beside live traffic, while ClickHouse is away",
       proofs=("import", "reinject", "webhook retried", "phone back", "spool held events"), limit_s=90.0, at_random=False)  # fmt: skip
def history_at_once(scene: Scene) -> None:
    ground = scene.ground
    refused_history(scene)
    mend, file = ground.folder / "mend.toml", ground.folder / f"history-{uuid.uuid4().hex[:8]}.jsonl"
    mend.write_text(MEND)
    rows = [event(scene.rng, "lille", 0.1, old=True) for _ in range(10 * MANY)]
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    scene.ledger.taken([one["id"] for one in rows], rows)
    reinject = ("rejected", "reinject", "--reason", "unknown_channel", "--map", str(mend))
    hook, phone = _of(scene, 3), _of(scene, 7)

    _ended(scene, "reinject", _run(scene, *reinject))
    ground.store_link.cut()
    try:
        imports = [_run(scene, "import", str(file), "--json")]
        _post(scene, hook)
        ground.broker_link.cut()
        _post(scene, hook)
        _post(scene, phone)
        scene.hit(
            "spool held events", int(scene.seen(lambda: ground.metric("gateway", "barometer_spool_records") > 0, 20.0))
        )
        ground.broker_link.mend()
        _post(scene, hook)
        scene.hit("webhook retried", 3)
        imports[0].wait(120)
        imports.append(_run(scene, "import", str(file), "--json"))
        for one in imports:
            _ended(scene, "import", one)
    finally:
        ground.broker_link.mend()
        ground.store_link.mend()
    _post(scene, phone)
    scene.hit("phone back", 2)
    scene.until(lambda: not ground.unready(), "readiness")
    with_ids = _run(scene, "rejected", "list", "--reason", "unknown_channel", "--all", "--limit", str(MANY), "--json")
    names = [one["rejected_id"] for one in json.loads(with_ids.communicate(timeout=120)[0])]
    _ended(scene, "reinject", _run(scene, "rejected", "reinject", *names, "--map", str(mend)))
