"""The command line: what is wrong with a call is said in one line, with what to do, and the exit code tells who must act."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.cli import COMMANDS, build

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("BAROMETER_")}


def barometer(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments],
        capture_output=True,
        text=True,
        env=ENVIRON | environ,
        check=False,
    )


def test_the_list_of_commands_tells_what_each_is_for() -> None:
    shown = " ".join(barometer("--help").stdout.split())
    assert [name for name, _, summary in COMMANDS if name not in shown or summary.split()[0] not in shown] == []


@pytest.mark.parametrize(
    "command",
    [
        *(
            name
            for name, where, _ in COMMANDS
            if ("cli_watch:" not in where and name != "alarms") or name in {"doctor", "endpoints", "query"}
        ),
        *(
            f"alarms {name}"
            for name in ("list", "show", "ack", "note", "resolve", "silence", "arm", "disarm", "rebase", "renew", "watch")
        ),
        "rejected list", "rejected show", "rejected reinject", "rejected expire", "topics apply",
        "topics describe", "config show", "config check", "catalogue apply", "catalogue history", "catalogue show",
        "subject export", "subject erase", "subject verify",
    ],
)  # fmt: skip
def test_every_command_shows_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    build(listing=False)([*command.split(), "--help"], exit_on_error=False)
    assert "Example" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["nonsense"], {}, "nonsense"),
        (["doctor", "--colour", "red"], {}, "--colour"),
        (["doctor", "--data-dir", "/nowhere"], {}, "barometer up"),
        (["config", "show"], {"BAROMETER_NOPE": "1"}, "BAROMETER_NOPE"),
        (["gateway"], {}, "BAROMETER_KAFKA_BOOTSTRAP"),
        (["backtest", "/nowhere.jsonl"], {}, "/nowhere.jsonl"),
        (["backtest"], {}, "--from-clickhouse"),
        (["alarms", "silence", "dispute", "--for", "long", "--data-dir", "/nowhere"], {}, "barometer up"),
        (["alarms", "rebase", "satisfaction_drop", "lyon"], {}, "--note"),
        (["console"], {"BAROMETER_CONSOLE_HOST": "0.0.0.0"}, "BAROMETER_CONSOLE_TOKEN"),
    ],
)
def test_a_wrong_call_is_exit_code_2_and_names_the_culprit(
    arguments: list[str], environ: dict[str, str], said: str
) -> None:
    answer = barometer(*arguments, **environ)
    assert 2 == answer.returncode
    assert said in " ".join(answer.stderr.split())
    assert "Traceback" not in answer.stderr


def test_config_show_masks_secrets() -> None:
    answer = barometer("config", "show", "--json", BAROMETER_WRITE_KEYS="shop:tell-nobody")
    assert 0 == answer.returncode
    assert "tell-nobody" not in answer.stdout
    assert {"setting": "BAROMETER_WRITE_KEYS", "value": "***"} in json.loads(answer.stdout)


@pytest.mark.long
def test_generated_events_pass_the_backtest(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert 0 == barometer("demo", "--generate", str(path), "--seed", "3").returncode
    answer = barometer("backtest", str(path), "--commands", f"{path}.commands.jsonl", "--alarms-only")
    assert 0 == answer.returncode, answer.stderr
    injected = json.loads(Path(f"{path}.injected.json").read_text("utf-8"))
    opened = [one for one in map(json.loads, answer.stdout.splitlines()) if one["rule"] == "satisfaction_drop"]
    assert {one["key"] for one in injected} <= {one["key"] for one in opened}
