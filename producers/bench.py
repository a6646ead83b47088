"""What capture costs: the gateway against bare kafka-python that produces the same bytes, in CPU time of this process.

Both run in this process, one after the other in small interleaved rounds; HTTP is real, the client runs in a child process.
"""

import multiprocessing
import threading
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import msgspec
from kafka import KafkaProducer

from producers.gateway import Gateway, Server, build_app
from producers.publisher import Publisher, Record
from producers.sealer import sealer_of
from schemas.arrival import sent_header
from schemas.broker import reaching
from schemas.catalogue import Catalogue
from schemas.clock import Clock
from schemas.errors import UnavailableError
from schemas.readiness import Readiness
from schemas.settings import Settings, keys_of
from schemas.telemetry import Telemetry

ROUNDS = 5
CONNECTIONS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayBench:
    """Events per CPU-second (best of the rounds) with all threads counted; `ratio` = gateway / bare."""

    events: int
    batch: int
    gateway_per_cpu_s: float
    bare_per_cpu_s: float
    ratio: float


def sample_event(number: int, at_ms: int) -> dict[str, Any]:
    """Return a typical native event; the same number, the same event, but for its time."""
    return {
        "id": str(UUID(int=number << 80 | 4 << 76 | 1 << 63)),
        "channel": "card",
        "occurred_at": at_ms,
        "touchpoint": ("paris", "lyon", "lille", "nantes", "geneve")[number % 5],
        "customer": {"id": f"c{number % 9973}"},
        "answers": [{"question": "csat", "score": 1 + number % 5}, {"question": "nps", "score": number % 11}],
        "text": "Accueil très agréable, un peu d'attente à la caisse." if number % 3 == 0 else None,
        "lang": "fr",
    }


def _bodies(events: int, batch: int, at_ms: int, first: int) -> list[bytes]:
    encode = msgspec.json.encode
    return [
        encode([sample_event(first + number, at_ms) for number in range(start, min(start + batch, events))])
        for start in range(0, events, batch)
    ]


def _post(url: str, key: str, bodies: list[bytes], results: Any) -> None:
    """Post all bodies over a few connections at once; runs in a child process, whose CPU is not counted."""
    import httpx

    answers: list[int] = []

    def some(part: list[bytes]) -> None:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
            answers.extend(client.post("/v1/feedback", content=body).status_code for body in part)

    threads = [threading.Thread(target=some, args=(bodies[at::CONNECTIONS],)) for at in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(answers)


class _Kept(Publisher):
    """The publisher, remembering the records that it sent."""

    kept: list[Record]

    async def publish(self, records: Any) -> None:
        """Publish, and remember."""
        self.kept.extend(records)
        await super().publish(records)


def bench_gateway(
    settings: Settings,
    *,
    catalogue: Catalogue,
    clock: Clock,
    events: int = 20_000,
    batch: int = 100,
    rounds: int = ROUNDS,
) -> GatewayBench:
    """Measure batches over HTTP against the bare client producing the same records to the same topics.

    Wants topics to stand and a write key in the settings. Raises UnavailableError without a broker.
    """
    settings = msgspec.structs.replace(settings, gateway_port=0, rate_per_key_s=1e9)
    readiness, telemetry = Readiness(), Telemetry()
    publisher = _Kept(settings, clock=clock, telemetry=telemetry, readiness=readiness)
    publisher.kept = []
    gateway = Gateway(settings, publisher=publisher, catalogue=catalogue, clock=clock, telemetry=telemetry, readiness=readiness,
                      sealer=sealer_of(settings, catalogue, clock), new_id=lambda: str(uuid4()))  # fmt: skip
    listening = threading.Event()
    address: list[str] = []

    def announce(host: str, port: int) -> None:
        address.append(f"http://{host}:{port}")
        listening.set()

    server = Server(build_app(gateway), "127.0.0.1", 0, announce)
    publisher.start()
    publisher.wait_ready(30)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    if not listening.wait(30):
        raise UnavailableError("no_gateway", "the gateway does not listen")
    key = next(iter(keys_of(settings)))
    gateway_s: list[float] = []
    bare_s: list[float] = []
    try:
        for number in range(rounds):
            publisher.kept.clear()
            gateway_s.append(_gateway_round(address[0], key, _bodies(events, batch, clock(), number * events)))
            bare_s.append(_bare_round(settings, list(publisher.kept), clock))
    finally:
        server.should_exit = True
        thread.join(15)
        publisher.close()
    best, bare = events / min(gateway_s), events / min(bare_s)
    return GatewayBench(events=events, batch=batch, gateway_per_cpu_s=best, bare_per_cpu_s=bare, ratio=best / bare)


def _gateway_round(url: str, key: str, bodies: list[bytes]) -> float:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    child = context.Process(target=_post, args=(url, key, bodies, results))
    child.start()
    began = time.process_time()
    answers = results.get(timeout=300)
    used = time.process_time() - began
    child.join(30)
    if set(answers) != {202}:
        raise UnavailableError("bad_answers", f"the gateway answered {sorted(set(answers))}")
    return used


def _bare_round(settings: Settings, records: list[Record], clock: Clock) -> float:
    producer = KafkaProducer(
        **reaching(settings.kafka_bootstrap), acks="all", enable_idempotence=True, compression_type="lz4", linger_ms=5,
        batch_size=256 * 1024, allow_auto_create_topics=False,
    )  # fmt: skip
    try:
        for name in {record.topic for record in records}:
            producer.partitions_for(settings.topic_prefix + name)
        began = time.process_time()
        sent = [
            producer.send(settings.topic_prefix + record.topic, record.value, record.key, [sent_header(clock())])
            for record in records
        ]
        producer.flush()
        used = time.process_time() - began
        if not all(one.succeeded() for one in sent):
            raise UnavailableError("not_durable", "the bare producer lost records")
        return used
    finally:
        producer.close()
