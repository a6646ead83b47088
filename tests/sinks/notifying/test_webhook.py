"""The webhook: signed as the specification's own example, the same body at each attempt, and every answer understood."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest

from schemas.settings import Settings
from sinks.notifying.deliveries import Notice
from sinks.notifying.outcomes import ACCEPTED, Failed, Outcome, Refused
from sinks.notifying.webhook import Webhook, payload, signature
from tests.sinks.notifying.conftest import T0, Answer, HttpReceiver, step

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = base64.b64decode(SECRET.removeprefix("whsec_"))


def notice(**more: object) -> Notice:
    one = step()
    fields = {
        "id": one.transition_id,
        "digest": False,
        "level": "page",
        "transitions": (one,),
        "changes": (),
        "reply_to": None,
    }
    return Notice(**{**fields, **more})


def test_signature_equals_the_published_example_of_standard_webhooks() -> None:
    """The test vector of the specification's libraries (standard-webhooks, test of `sign`)."""
    body = b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signature([KEY], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == expected


def test_the_check_in_the_documentation_accepts_a_genuine_request_and_no_other() -> None:
    text = (Path(__file__).parents[3] / "deploy/docs/notifications.md").read_text("utf-8")
    check = text.split("```python\n")[1].split("```")[0]
    now_s = int(time.time())
    headers = {
        "webhook-id": "x",
        "webhook-timestamp": str(now_s),
        "webhook-signature": signature([b"o" * 24, KEY], "x", now_s, b"{}"),
    }
    answers = []
    for body in (b"{}", b"{ }"):
        names: dict[str, Any] = {"headers": headers, "secret": SECRET, "body": body}
        exec(check, names)
        answers.append((names["genuine"], names["fresh"]))
    assert answers == [(True, True), (False, True)]


def test_two_keys_give_two_signatures_so_that_a_key_can_change() -> None:
    both = signature([KEY, b"k" * 24], "id", 1, b"{}").split(" ")
    assert both == [signature([KEY], "id", 1, b"{}"), signature([b"k" * 24], "id", 1, b"{}")]


async def tell(url: str, one: Notice, *, times: int = 1) -> list[Outcome]:
    settings = Settings(notify_webhook_url=url, notify_webhook_secret=SECRET, notify_public_url="https://b.example/x/")
    webhook = Webhook(settings, lambda: T0)
    try:
        return [await webhook.tell(one) for _ in range(times)]
    finally:
        await webhook.close()


def test_a_receiver_can_check_the_signature_and_sees_the_same_id_and_body_each_time(
    http_receiver: HttpReceiver,
) -> None:
    http_receiver.script = [Answer(500)]
    first, second = asyncio.run(tell(http_receiver.url + "/hook", notice(), times=2))
    assert isinstance(first, Failed)
    assert second == ACCEPTED
    one, again = http_receiver.requests
    assert (one.path, one.body, one.headers["webhook-id"]) == (again.path, again.body, again.headers["webhook-id"])
    signed = f"{one.headers['webhook-id']}.{one.headers['webhook-timestamp']}.".encode() + one.body
    mac = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert one.headers["webhook-signature"] == f"v1,{mac}"
    assert one.headers["webhook-id"] == step().transition_id
    assert one.headers["content-type"] == "application/json"
    said = json.loads(one.body)
    assert (said["type"], said["timestamp"]) == ("alarm.open", "2026-09-21T14:13:20.000Z")
    assert (said["data"]["n"], said["data"]["bad"], said["data"]["level"]) == (120, 54, "page")
    assert said["data"]["link"] == f"https://b.example/x/alarms/{step().alarm_id}"
    assert not {"note", "actor", "evidence"} & said["data"].keys()


def test_a_digest_stays_below_20_kilobytes_however_many_it_holds() -> None:
    many = tuple(step(f"{i:032x}") for i in range(500))
    body = payload(notice(id="d", digest=True, level="info", transitions=many), "")
    said = json.loads(body)
    assert (said["type"], said["data"]["count"], len(said["data"]["transitions"])) == ("alarms.digest", 500, 25)
    assert len(body) < 20_000


@pytest.mark.parametrize(
    ("answer", "doubt", "after_s"),
    [
        (Answer(500), True, None),
        (Answer(502), True, None),
        (Answer(408), True, None),
        (Answer(429, {"retry-after": "7"}), False, 7.0),
        (Answer(503, {"retry-after": "Mon, 21 Sep 2026 14:13:50 GMT"}), False, 30.0),
    ],
    ids=lambda one: str(one.status) if isinstance(one, Answer) else None,
)
def test_these_answers_are_tried_again(
    http_receiver: HttpReceiver, answer: Answer, doubt: bool, after_s: float | None
) -> None:
    http_receiver.script = [answer]
    (outcome,) = asyncio.run(tell(http_receiver.url, notice()))
    assert isinstance(outcome, Failed)
    assert (outcome.doubt, outcome.after_s) == (doubt, after_s)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410, 413, 422])
def test_these_answers_are_refusals_with_a_remedy(http_receiver: HttpReceiver, status: int) -> None:
    http_receiver.script = [Answer(status, {"location": http_receiver.url + "/elsewhere"})]
    (outcome,) = asyncio.run(tell(http_receiver.url, notice()))
    assert isinstance(outcome, Refused)
    assert str(status) in outcome.detail
    assert "BAROMETER_NOTIFY_WEBHOOK_URL" in outcome.remedy
    assert len(http_receiver.requests) == 1


def test_a_closed_port_is_tried_again_without_doubt(http_receiver: HttpReceiver) -> None:
    port = HttpReceiver()
    port.close()
    (outcome,) = asyncio.run(tell(port.url, notice()))
    assert isinstance(outcome, Failed)
    assert not outcome.doubt


def test_a_receiver_that_does_not_answer_leaves_a_doubt(
    http_receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.notifying.posting.TIMEOUT_S", 0.2)
    http_receiver.script = [Answer(200, wait_s=5)]
    (outcome,) = asyncio.run(tell(http_receiver.url, notice()))
    assert isinstance(outcome, Failed)
    assert (outcome.doubt, outcome.detail) == (True, "ReadTimeout")
