"""What must stay secret stands in no log, no answer and no metric, also when everything goes wrong."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import httpx
import pytest

from deploy.stack import Stack
from schemas.clock import system_clock
from schemas.settings import to_environ

WRONG_KEY = "wrong-key-5d1c0a"
CALLER = f"someone.{uuid.uuid4().hex}@example.org"
WORDS = f"my words {uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def answers(stack: Stack) -> list[httpx.Response]:
    """Good and bad requests, each with something that is nobody's business."""
    good = {"Authorization": f"Bearer {stack.endpoints['write_key']}"}
    event = {"channel": "card", "customer": {"email": CALLER}, "text": WORDS, "occurred_at": system_clock()}
    tries = [
        (good, event),
        (good, event | {"channel": WORDS}),
        (good, event | {"answers": [{"question": "csat", "score": 99, "scale": [1, 5]}]}),
        ({"Authorization": f"Bearer {WRONG_KEY}"}, event),
        ({}, event),
    ]
    with httpx.Client(base_url=stack.endpoints["gateway"], timeout=30.0) as client:
        out = [client.post("/v1/feedback", headers=headers, json=body) for headers, body in tries]
        out.append(client.post("/v1/feedback", headers=good, content=b'{"text": "' + WORDS.encode() + b'", broken'))
        out += [client.get(path) for path in ("/nowhere", "/metrics", "/readyz", "/openapi.json", "/c/paris")]
    return out


def secrets_of(stack: Stack) -> list[bytes]:
    settings = stack.settings
    return [
        one.encode()
        for one in (
            stack.endpoints["write_key"],
            settings.pseudonym_key,
            CALLER,
            WORDS,
            WRONG_KEY,
            settings.console_token,
        )
        if one
    ]


def test_no_log_holds_a_key_an_address_or_a_customers_words(stack: Stack, answers: list[httpx.Response]) -> None:
    logs = {path.name: path.read_bytes() for path in Path(stack.settings.data_dir, "logs").iterdir()}
    assert any(logs.values())
    assert [(name, secret) for name, text in logs.items() for secret in secrets_of(stack) if secret in text] == []


def test_no_answer_tells_of_what_it_runs_on_or_of_keys(stack: Stack, answers: list[httpx.Response]) -> None:
    keys = [stack.endpoints["write_key"].encode(), stack.settings.pseudonym_key.encode(), WRONG_KEY.encode()]
    for one in answers:
        assert "server" not in one.headers and "x-powered-by" not in one.headers
        assert one.headers.get("x-content-type-options") == "nosniff" or "text/plain" in one.headers["content-type"]
        assert b"Traceback" not in one.content and b"site-packages" not in one.content
        assert [key for key in keys if key in one.content] == []
    assert {one.status_code for one in answers} <= {200, 202, 400, 401, 403, 404, 422}


def test_shown_settings_mask_every_secret(stack: Stack) -> None:
    secret = {
        "BAROMETER_WRITE_KEYS": "shop:s3cret-one", "BAROMETER_PSEUDONYM_KEY": "s3cret-two-is-long-enough",
        "BAROMETER_CONSOLE_TOKEN": "s3cret-three-long-enough", "BAROMETER_CLICKHOUSE_URL": "clickhouse://u:s3cret-4@h:9000/d",
        "BAROMETER_KAFKA_BOOTSTRAP": "sasl_ssl://u:s3cret-5@h:9092", "BAROMETER_NOTIFY_SMTP_URL": "smtp://u:s3cret-6@h:25",
        "BAROMETER_NOTIFY_MAIL_FROM": "a@b", "BAROMETER_NOTIFY_MAIL_TO": "a@b",
    }  # fmt: skip
    shown = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "config", "show", "--json"],
        env={**os.environ, **to_environ(stack.settings), **secret}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "BAROMETER_CLICKHOUSE_URL" in shown.stdout
    assert "s3cret" not in shown.stdout + shown.stderr
