"""Rows 1 to 7 of the matrix: the gateway and the importer."""

import gzip
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from typing import Any

import httpx

from deploy.stack import LOOPBACK
from schemas.settings import to_environ
from tests.faults.fault import Scene, fault, needs_point
from tests.faults.ground import KILL_SETTING
from tests.faults.kills import Kill, deaths_at
from tests.faults.ledger import read
from tests.faults.load import event
from tests.faults.running import settled

SHIFT = '''
"""Shifts this process's clock: time.time and time.time_ns, by SHIFT_FILE's content in seconds."""
import os, time
_time, _time_ns = time.time, time.time_ns
def _shift():
    with open(os.environ["SHIFT_FILE"]) as stream:
        return float(stream.read() or 0)
time.time = lambda: _time() + _shift()
time.time_ns = lambda: _time_ns() + int(_shift() * 1_000_000_000)
'''


@fault(1, "gateway: kill -9 at a random moment", proofs=("killed with unfinished work",))
def gateway_killed(scene: Scene) -> None:
    for _ in range(2):
        scene.kill("gateway")


@fault(
    2,
    "gateway: kill -9 between the spool's fsync and Kafka's ack",
    proofs=("killed at the point",),
    needs=needs_point("gateway.after_spool"),
)
def spool_killed(scene: Scene) -> None:
    ground, log = scene.ground, scene.ground.child("gateway").spec.log

    for point in ("gateway.after_spool", "spool.before_delete"):
        before = deaths_at(log, point)
        ground.environ("gateway")[KILL_SETTING] = f"{point}:1"
        ground.broker_link.cut()
        scene.restart("gateway")
        ground.environ("gateway")[KILL_SETTING] = ""
        time.sleep(3.0)  # a batch goes to the spool; what is killed while it spools dies here, the rest while it drains
        ground.broker_link.mend()
        if scene.seen(lambda point=point, before=before: deaths_at(log, point) > before, 20.0):
            scene.kills.append(Kill(target="gateway", at=point, unfinished=1, open=1))
            scene.hit("killed at the point")
        else:
            scene.notes.append(f"never came to {point}")
        scene.restart("gateway")


@fault(2, "gateway: kill -9 while its spool holds events, again and again; then the broker is back",
       proofs=("spool held events",), needs=needs_point("gateway.after_spool"), limit_s=90.0)  # fmt: skip
def spooling_killed(scene: Scene) -> None:
    ground = scene.ground
    ground.broker_link.cut()
    try:
        for _ in range(3):
            scene.seen(lambda: _spooled(scene) > 0, 15.0)
            time.sleep(scene.rng.uniform(0.0, 2.0))
            held = _spooled(scene)
            scene.hit("spool held events", int(held))
            scene.restart("gateway")
            scene.kills.append(Kill(target="gateway", at="random", unfinished=int(held), open=1))
    finally:
        ground.broker_link.mend()


def _spooled(scene: Scene) -> float:
    try:
        return scene.ground.metric("gateway", "barometer_spool_records")
    except AssertionError:  # it is between two lives
        return 0.0


@fault(3, "gateway: SIGSTOP while clients wait", proofs=("clients gave up waiting",))
def gateway_stopped(scene: Scene) -> None:
    before = scene.ledger.unknowns
    with scene.stopped("gateway"):
        time.sleep(scene.lasting(6.0, 60.0))
    scene.flow(40)
    scene.hit("clients gave up waiting", scene.ledger.unknowns - before)


def _spoilt(rng: Any) -> dict[str, bytes]:
    one = event(rng, "paris", 0.1, old=False)
    text = json.dumps([one])
    deep = "[" * 100_000 + "]" * 100_000
    return {
        "nothing": b"", "10 MB": b"[" + b" " * 10_000_000 + b"]", "no JSON": text[:-9].encode(),
        "bad UTF-8": text.encode().replace(b"paris", b"par\xff\xfe"), "NUL": text.encode().replace(b"paris", b"par\x00is"),
        "nesting": deep.encode(), "NaN": text.replace('"score": ', '"score": NaN, "x": ').encode(),
        "lone surrogate": text.replace("paris", "\\ud800").encode(),
        "score out of range": json.dumps([{**one, "answers": [{"question": "csat", "score": math.pi * 1e9}]}]).encode(),
        "no object": b"[1, 2, 3]", "too many": b"[" + b",".join([b"{}"] * 6_000) + b"]",
    }  # fmt: skip


@fault(4, "gateway: spoilt bodies: empty, 10 MB, deflate bomb, bad UTF-8, NUL, nesting, NaN, lone surrogate, slow body",
       proofs=("refused", "slow body let go"))  # fmt: skip
def bodies_spoilt(scene: Scene) -> None:
    for _ in range(3):
        with scene.client() as client:
            for name, body in _spoilt(scene.rng).items():
                _refused(scene, name, client.post("/v1/feedback", content=body))
            bomb = gzip.compress(b" " * 50_000_000)
            _refused(scene, "bomb", client.post("/v1/feedback", content=bomb, headers={"Content-Encoding": "gzip"}))
    for _ in range(20):  # half a body, then silence: the connection is all that it holds
        slow = socket.create_connection((LOOPBACK, scene.ground.settings.gateway_port), timeout=5)
        key = scene.ground.stack.endpoints["write_key"]
        slow.sendall(
            f"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 500\r\n\r\n[".encode()
        )
        scene.hit("slow body let go")
        threading.Timer(5.0, slow.close).start()
    scene.flow(60)


def _refused(scene: Scene, name: str, answer: httpx.Response) -> None:
    if 400 <= answer.status_code < 500:
        scene.hit("refused")
    else:
        scene.wrong(f"{name}: answered {answer.status_code} {answer.text[:200]}")


@fault(5, "gateway: the same id 50 times at once; the same id with another body", proofs=("answered 202",))
def same_id(scene: Scene) -> None:
    one = event(scene.rng, "paris", 0.1, old=False)
    other = {**one, "id": str(uuid.UUID(int=scene.rng.getrandbits(128), version=4))}
    body, codes = json.dumps([one]).encode(), []

    def send() -> None:
        with scene.client() as client:
            codes.append(client.post("/v1/feedback", content=body).status_code)

    threads = [threading.Thread(target=send) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with scene.client() as client:
        codes.append(client.post("/v1/feedback", content=json.dumps([other]).encode()).status_code)
        changed = {**other, "answers": [{"question": "csat", "score": 1}], "kind": "rating"}
        codes.append(client.post("/v1/feedback", content=json.dumps([changed]).encode()).status_code)
    scene.ledger.taken([one["id"], other["id"]], [one, other])
    scene.hit("answered 202", codes.count(202))
    if set(codes) != {202}:
        scene.wrong(f"answers {sorted(set(codes))}")


TEN_YEARS_S = 10 * 365 * 86_400


def _post(scene: Scene, events: list[dict[str, Any]]) -> None:
    with scene.client() as client:
        answer = client.post("/v1/feedback", content=json.dumps(events))
    assert answer.status_code == 202 and not answer.json()["rejected"], answer.text
    scene.ledger.taken([one["id"] for one in events], events)


@fault(6, "gateway: its clock jumps by +-1 h, +1 day, +-10 years and back; what it took for the future is reinjected",
       proofs=("clock jumped", "refused as of the future", "gauge shows the clock", "reinjected", "taken for old, then sent again"),
       limit_s=90.0)  # fmt: skip
def gateway_clock(scene: Scene) -> None:
    ground, child = scene.ground, scene.ground.child("gateway")
    folder = ground.folder / "clock"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(SHIFT)
    shift = folder / "shift"
    shift.write_text("0")
    environ = ground.environ("gateway")
    before = environ.get("PYTHONPATH")
    environ |= {"PYTHONPATH": str(folder), "SHIFT_FILE": str(shift)}
    refused_before = read(scene.ledger.file).refused
    scene.load.may_refuse = True
    twice = [event(scene.rng, "paris", 0.1, old=False) for _ in range(10)]
    try:
        scene.restart("gateway")
        child.await_ready(60)
        for seconds in (3_600, -3_600, 86_400, TEN_YEARS_S, -TEN_YEARS_S, 0):
            shift.write_text(str(seconds))
            if seconds >= 0:
                scene.flow(60)
            else:
                sends = scene.ledger.sends
                scene.until(lambda sends=sends: scene.ledger.sends >= sends + 10, "10 requests")
            scene.hit("clock jumped")
            if seconds == TEN_YEARS_S:
                _post(scene, twice)
            off_s = ground.metric("tally", "barometer_sent_clock_difference_seconds")
            scene.hit("gauge shows the clock", int(abs(off_s) > 1_800))
    finally:
        environ.pop("SHIFT_FILE")
        environ.pop("PYTHONPATH")
        if before is not None:
            environ["PYTHONPATH"] = before
        scene.restart("gateway")
        child.await_ready(60)
    _post(scene, twice)
    scene.hit("taken for old, then sent again", len(twice))
    time.sleep(8.0)  # what a request under way was told is written down
    scene.load.may_refuse = False
    refused = read(scene.ledger.file).refused - refused_before
    scene.hit("refused as of the future", len(refused))
    settled(ground)
    command = [sys.executable, "-m", "deploy.cli", "rejected", "reinject", "--reason", "future_time"]
    done = subprocess.run(
        command,
        env={**os.environ, **to_environ(ground.settings)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        scene.wrong(f"reinject ended with {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}")
    scene.hit("reinjected", done.stdout.count("reinjected"))
    scene.ledger.later(refused)


ROWS = 3_000


@fault(
    7,
    "import: kill -9 in the middle of a file, then again; the whole file a second time",
    proofs=("killed in mid file",),
)
def import_killed(scene: Scene) -> None:
    ground = scene.ground
    file = ground.folder / f"import-{uuid.uuid4().hex[:8]}.jsonl"
    events = [event(scene.rng, "paris", 0.1, old=True) for _ in range(ROWS)]
    file.write_text("".join(json.dumps(one) + "\n" for one in events) + '{"half": ')
    scene.ledger.taken([one["id"] for one in events], events)
    command = [sys.executable, "-m", "deploy.cli", "import", str(file), "--json"]
    environ = {**os.environ, **to_environ(ground.settings)}
    for _ in range(3):
        process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(scene.rng.uniform(1.0, 2.5))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            scene.hit("killed in mid file")
            scene.kills.append(Kill(target="import", at="random", unfinished=1, open=1))
        process.wait()
    for _ in range(2):
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            scene.wrong(f"import ended with {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}")
