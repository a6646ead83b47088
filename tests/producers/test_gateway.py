"""The gateway over HTTP on a real broker: what each answer means, and what then stands in the topics."""

import gzip
import json
import time
import uuid
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from producers.channels.native import MAX_EVENT_BYTES
from producers.partitioning import partition_of
from schemas.catalogue import Catalogue
from schemas.clock import system_clock
from schemas.event import natural_id
from schemas.topics import HISTORY, LIVE, REJECTED
from tests.producers.conftest import KEY, SLOW_KEY, Broker, Published, Running, serve

DAY_MS = 86_400_000
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def http(gateway: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        yield client


def post(http: httpx.Client, content: Any, **headers: str) -> httpx.Response:
    return http.post("/v1/feedback", content=content, headers=BEARER | headers)


def event(**fields: Any) -> dict[str, Any]:
    return {"id": str(uuid.uuid4()), "channel": "card", "answers": [{"question": "csat", "score": 5}]} | fields


def published(broker: Broker, event_id: str) -> list[Published]:
    return [one for one in broker.published() if one.record.get("event_id") == event_id]


def test_an_accepted_event_stands_in_its_topic_under_its_key(http: httpx.Client, broker: Broker) -> None:
    before = system_clock()
    one = event(touchpoint="paris", customer={"id": "c1"}, text="Très bien")
    answer = post(http, json.dumps(one))
    assert (202, {"accepted": 1, "rejected": []}) == (answer.status_code, answer.json())
    [found] = published(broker, one["id"])
    assert "feedback.card.v1" == found.topic
    assert found.record["subject"].encode() == found.key
    assert partition_of(found.key, 4) == found.partition
    assert before <= int(found.headers["sent"]) <= system_clock()
    assert ("shop", "paris", "Très bien") == (found.record["source"], found.record["touchpoint"], found.record["text"])


@pytest.mark.parametrize(
    "form",
    [
        json.dumps,
        lambda items: "\n".join(map(json.dumps, items)),
        lambda items: "\ufeff" + json.dumps(items),
    ],
)
def test_arrays_and_lines_are_batches_whatever_the_content_type(http: httpx.Client, form: Any) -> None:
    answer = post(http, form([event(), event(), event()]).encode(), **{"Content-Type": "text/plain"})
    assert (202, {"accepted": 3, "rejected": []}) == (answer.status_code, answer.json())


def test_an_object_over_several_lines_is_one_event(http: httpx.Client) -> None:
    assert 1 == post(http, json.dumps(event(), indent=2)).json()["accepted"]


def test_one_bad_event_is_named_and_kept_and_its_neighbours_go_through(http: httpx.Client, broker: Broker) -> None:
    good, bad = event(), event(mood="blue")
    answer = post(http, json.dumps([good, bad]))
    assert 202 == answer.status_code
    [refused] = answer.json()["rejected"]
    assert (1, "unknown_field", "mood") == (refused["index"], refused["reason"], refused["field"])
    assert 1 == len(published(broker, good["id"]))
    [kept] = [
        one for one in broker.published() if one.topic == REJECTED.name and bad["id"].encode() in one.record["raw"]
    ]
    assert ("unknown_field", "mood", "gateway", "shop", "card") == tuple(
        kept.record[name] for name in ("reason", "field", "stage", "source", "channel")
    )
    assert json.dumps(bad).encode() == kept.record["raw"]


def test_broken_lines_do_not_stop_good_lines(http: httpx.Client) -> None:
    answer = post(http, (json.dumps(event()) + '\n{"channel":\n' + json.dumps(event())).encode())
    assert (202, 2, "bad_json") == (
        answer.status_code,
        answer.json()["accepted"],
        answer.json()["rejected"][0]["reason"],
    )


def test_a_batch_with_only_bad_events_is_422(http: httpx.Client) -> None:
    answer = post(http, json.dumps([event(kind="x"), {}]))
    assert (422, 0, 2) == (answer.status_code, answer.json()["accepted"], len(answer.json()["rejected"]))


@pytest.mark.parametrize(
    "body", [b"", b"   ", b"hello", b'{"channel": "card"', b'[{"channel":"card"},', b'{"text":"\xff"}', b"\x00"]
)
def test_what_is_no_json_is_400_and_says_what_to_do(http: httpx.Client, body: bytes) -> None:
    answer = post(http, body)
    assert (400, "not_json") == (answer.status_code, answer.json()["error"])
    assert answer.json()["remedy"]


def test_an_empty_array_is_accepted(http: httpx.Client) -> None:
    assert (202, {"accepted": 0, "rejected": []}) == ((answer := post(http, b"[]")).status_code, answer.json())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401), ({"Authorization": "Bearer"}, 401), ({"Authorization": "Basic !!"}, 401), ({"Authorization": "Digest x"}, 401),
        ({"Authorization": "Bearer wrong"}, 403), ({"Authorization": "Basic d3Jvbmc6"}, 403), ({"Authorization": f"bearer {KEY}"}, 202),
    ],
)  # fmt: skip
def test_only_a_known_write_key_may_send(http: httpx.Client, headers: dict[str, str], status: int) -> None:
    assert status == http.post("/v1/feedback", content=json.dumps(event()), headers=headers).status_code


def test_the_key_may_be_the_user_of_basic(http: httpx.Client) -> None:
    assert 202 == http.post("/v1/feedback", content=json.dumps(event()), auth=(KEY, "")).status_code


def test_what_comes_without_a_key_leaves_no_trace(http: httpx.Client, broker: Broker) -> None:
    mark = str(uuid.uuid4())
    http.post("/v1/feedback", content=json.dumps({"id": mark}), headers={})
    assert not [one for one in broker.published() if mark.encode() in one.value]


@pytest.mark.parametrize("declared", [True, False])
def test_gzip_is_read_with_and_without_its_header(http: httpx.Client, declared: bool) -> None:
    body = gzip.compress(json.dumps([event(), event()]).encode())
    headers = {"Content-Encoding": "gzip"} if declared else {}
    assert 2 == post(http, body, **headers).json()["accepted"]


@pytest.mark.parametrize(
    "body", [gzip.compress(b"[]", mtime=0)[:-4], gzip.compress(b"[]" * 999, mtime=0)[:20] + b"xx", b"\x1f\x8b"]
)
def test_broken_gzip_is_400(http: httpx.Client, body: bytes) -> None:
    assert (400, "bad_gzip") == ((answer := post(http, body)).status_code, answer.json()["error"])


def test_a_gzip_bomb_is_413_and_the_gateway_lives(http: httpx.Client, broker: Broker) -> None:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(100)) + squeeze.flush()
    answer = post(http, bomb)
    assert (413, "too_large") == (answer.status_code, answer.json()["error"])
    assert 202 == post(http, json.dumps(event())).status_code


def test_ten_megabytes_are_413_also_in_chunks_without_a_length(http: httpx.Client, broker: Broker) -> None:
    body = b'[{"channel":"card","text":"' + b"x" * 10_000_000 + b'"}]'
    assert 413 == post(http, body).status_code
    assert 413 == post(http, (body[at : at + 65_536] for at in range(0, len(body), 65_536))).status_code
    kept = [
        one.record
        for one in broker.published()
        if one.topic == REJECTED.name and one.record["raw"].startswith(body[:30])
    ]
    assert [64 * 1024] * 2 == [len(one["raw"]) for one in kept]
    assert min(one["raw_bytes"] for one in kept) > 1_000_000


def test_chunks_are_one_body(http: httpx.Client) -> None:
    body = json.dumps([event(), event()]).encode()
    assert 2 == post(http, (body[at : at + 7] for at in range(0, len(body), 7))).json()["accepted"]


def test_too_large_an_event_is_refused_alone(http: httpx.Client) -> None:
    answer = post(http, json.dumps([event(), event(text="x" * MAX_EVENT_BYTES)]))
    assert (202, 1, "too_large") == (
        answer.status_code,
        answer.json()["accepted"],
        answer.json()["rejected"][0]["reason"],
    )


def test_too_many_events_are_413(http: httpx.Client) -> None:
    assert (413, "too_many_events") == (
        (answer := post(http, b"[" + b"0," * 5000 + b"0]")).status_code,
        answer.json()["error"],
    )


def test_old_events_take_the_history_lane(http: httpx.Client, broker: Broker) -> None:
    now = system_clock()
    for channel, topic in LIVE.items():
        assert topic.live_max_age_ms is not None
        fresh = event(channel=channel, occurred_at=now - topic.live_max_age_ms + 60_000)
        old = event(channel=channel, occurred_at=now - topic.live_max_age_ms - 1)
        assert 2 == post(http, json.dumps([fresh, old])).json()["accepted"]
        assert [topic.name] == [one.topic for one in published(broker, fresh["id"])]
        assert [HISTORY.name] == [one.topic for one in published(broker, old["id"])]


def test_a_key_over_its_rate_is_told_how_long_to_wait(broker: Broker, catalogue: Catalogue) -> None:
    now = system_clock()
    for gateway in serve(broker.settings(rate_per_key_s=2.0), catalogue, clock=lambda: now):
        with httpx.Client(base_url=gateway.url, headers=BEARER) as client:
            assert 202 == client.post("/v1/feedback", content=json.dumps([event()] * 20)).status_code
            refused = client.post("/v1/feedback", content=json.dumps([event()] * 10))
            assert (429, "too_fast") == (refused.status_code, refused.json()["error"])
            assert 1 <= int(refused.headers["Retry-After"]) <= 5
            other = client.post("/v1/feedback", content=json.dumps(event()), auth=(SLOW_KEY, ""))
            assert 202 == other.status_code


def test_no_person_is_readable_in_the_published_bytes(http: httpx.Client, broker: Broker) -> None:
    """In the free text they stay: it is the customer's own."""
    people = {
        "id": "customer-4711",
        "email": "anne.dupont@example.fr",
        "phone": "+33 6 98 76 54 32",
        "anonymous_id": "cookie-0815",
    }
    one = event(customer=people)
    assert 202 == post(http, json.dumps(one)).status_code
    [found] = published(broker, one["id"])
    for plain in ("4711", "anne", "dupont", "33698765432", "0698765432", "0815"):
        assert plain.encode() not in found.value + found.key


def test_the_gateway_answers_503_and_retry_after_without_a_broker(broker: Broker, catalogue: Catalogue) -> None:
    for gateway in serve(broker.settings(kafka_bootstrap="127.0.0.1:9"), catalogue, wait_ready=False):
        with httpx.Client(base_url=gateway.url, headers=BEARER) as client:
            answer = client.post("/v1/feedback", content=json.dumps(event()))
            assert (503, "unavailable") == (answer.status_code, answer.json()["error"])
            assert int(answer.headers["Retry-After"]) > 0
            ready = client.get("/readyz")
            assert 503 == ready.status_code
            assert "kafka" in ready.json()["failing"]
            assert 200 == client.get("/livez").status_code


def test_missing_topics_are_named_by_readiness(broker: Broker, catalogue: Catalogue) -> None:
    for gateway in serve(broker.settings(topic_prefix="nobody.made.this."), catalogue, wait_ready=False):
        with httpx.Client(base_url=gateway.url) as client:
            deadline = time.monotonic() + 20
            while "missing topics" not in (why := client.get("/readyz").json()["failing"]["kafka"]):
                assert time.monotonic() < deadline, why
            assert "barometer topics apply" in why


def test_readiness_metrics_and_documents(http: httpx.Client) -> None:
    assert {"ready": True, "failing": {}} == http.get("/readyz").json()
    post(http, json.dumps(event()))
    metrics = http.get("/metrics").text
    assert 'barometer_http_requests_total{code="202",route="/v1/feedback"}' in metrics
    assert 'barometer_published_total{topic="feedback.card.v1"}' in metrics
    page = http.get("/docs")
    assert "/v1/feedback" in page.text
    assert "http" not in page.text.replace("http://127.0.0.1:8080", "")


def test_openapi_describes_exactly_the_routes(http: httpx.Client, gateway: Running) -> None:
    document = http.get("/openapi.json").json()
    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    for path, method in described:
        answer = http.request(method, path.replace("{touchpoint}", "paris"))
        assert answer.status_code not in {404, 405}, (path, method)
    assert 404 == http.get("/v1/nothing").status_code
    assert 405 == http.get("/v1/feedback").status_code


def test_a_resent_event_has_the_same_id(http: httpx.Client, broker: Broker) -> None:
    """A client retries; the log then holds the id twice in one partition, where the repeat filter finds it."""
    one = event(id=f"card-{uuid.uuid4()}")
    for _ in range(2):
        assert 202 == post(http, json.dumps(one)).status_code
    copies = published(broker, natural_id("shop", one["id"]))
    assert 2 == len(copies)
    assert 1 == len({copy.partition for copy in copies})
