"""What operators decide reaches the alarm: by command and by the console's page, through the log, the judge and the store."""

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.stack import Stack
from tests.end_to_end.conftest import settled

WAIT_S = 60.0


def alarms(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    place = ("--data-dir", str(Path(stack.settings.data_dir)))
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", "alarms", *arguments, *place], capture_output=True, text=True, check=False
    )


def listed(stack: Stack, *arguments: str) -> list[dict[str, Any]]:
    answer = alarms(stack, "list", "--json", *arguments)
    assert answer.returncode == 0, answer.stderr
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found


@pytest.fixture(scope="module")
def dispute(stack: Stack) -> str:
    """File a dispute and return the id of its alarm."""
    given = {"id": str(uuid.uuid4()), "channel": "email", "kind": "dispute", "touchpoint": "lille"}
    headers = {"Authorization": f"Bearer {stack.endpoints['write_key']}"}
    httpx.post(f"{stack.endpoints['gateway']}/v1/feedback", json=given, headers=headers).raise_for_status()
    settled(stack)
    (alarm,) = [one["alarm_id"] for one in listed(stack) if one["event_id"] == given["id"]]
    return str(alarm)


@pytest.mark.long
def test_an_alarm_is_watched_taken_on_annotated_and_ended(stack: Stack, dispute: str) -> None:
    console = httpx.Client(base_url=stack.endpoints["console"], timeout=WAIT_S)
    place = ("--data-dir", str(Path(stack.settings.data_dir)))
    watching = subprocess.Popen(
        [sys.executable, "-u", "-m", "deploy.cli", "alarms", "watch", *place],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert watching.stdout is not None and watching.stderr is not None
        assert "watching" in watching.stderr.readline()
        short = dispute[:10]
        answer = alarms(stack, "ack", short, "--note", "calling them")
        assert (answer.returncode, dispute in answer.stdout) == (0, True), answer.stderr
        assert "calling them" in watching.stdout.readline()
        assert console.post(f"/v1/alarms/{short}/note", json={"note": "no answer yet", "by": "Zoé"}).status_code == 200
        assert "no answer yet" in watching.stdout.readline()
        settled(stack)
        (one,) = [each for each in listed(stack) if each["alarm_id"] == dispute]
        assert (one["state"], one["acknowledged_by"] != "", one["last_note"]) == ("acknowledged", True, "no answer yet")

        page = console.get("/?lang=fr")
        assert "no answer yet" in page.text and "prise en charge" in page.text
        form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        pressed = console.post(f"/alarms/{dispute}", data={**form, "action": "resolve", "note": "réglé", "by": "Zoé"})
        assert pressed.status_code == 303, pressed.text
        assert "resolved by Zoé" in watching.stdout.readline()
    finally:
        watching.terminate()
        watching.communicate(timeout=10)
        console.close()
    settled(stack)
    assert dispute not in {each["alarm_id"] for each in listed(stack)}
    steps = [each for each in listed(stack, "--all") if each["alarm_id"] == dispute]
    assert [(each["state"], each["note"]) for each in reversed(steps)] == [
        ("open", ""), ("acknowledged", "calling them"), ("acknowledged", "no answer yet"), ("resolved", "réglé"),
    ]  # fmt: skip
    again = alarms(stack, "ack", short)
    assert (again.returncode, "resolved already" in again.stderr) == (2, True)


@pytest.mark.long
def test_a_rule_is_armed_after_its_backtest_over_the_store_and_the_decision_keeps_it(stack: Stack) -> None:
    refused = alarms(stack, "arm", "satisfaction_drop")
    assert (refused.returncode, "--yes" in refused.stderr) == (2, True)
    answer = alarms(stack, "arm", "satisfaction_drop", "--days", "2", "--yes", "--json", "--note", "end to end")
    assert answer.returncode == 0, answer.stderr
    said = json.loads(answer.stdout)
    assert said["armed"] == "satisfaction_drop" and said["backtest"]["budget_per_week"] == 1.0
    assert "Backtest" in answer.stderr
    gone = alarms(stack, "disarm", "satisfaction_drop", "--note", "end to end")
    assert gone.returncode == 0, gone.stderr
    unknown = alarms(stack, "rebase", "satisfaction_drop", "atlantis", "--note", "x")
    assert (unknown.returncode, "atlantis" in unknown.stderr) == (2, True)
