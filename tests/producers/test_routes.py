"""The OpenAPI document and the routes say the same."""

import json
from importlib.resources import files

import msgspec

from producers.channels.native import NativeAnswer, NativeCustomer, NativeEvent, NativeOrder
from producers.gateway import Gateway
from producers.publisher import Publisher
from producers.sealer import sealer_of
from schemas.catalogue import Catalogue
from schemas.clock import system_clock
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry

DOCUMENT = json.loads((files("producers") / "page" / "openapi.json").read_bytes())


def test_every_route_is_described_and_every_described_route_exists(catalogue: Catalogue) -> None:
    settings = Settings(kafka_bootstrap="127.0.0.1:9", pseudonym_key="x" * 16)
    telemetry, readiness = Telemetry(), Readiness()
    publisher = Publisher(settings, clock=system_clock, telemetry=telemetry, readiness=readiness)
    gateway = Gateway(
        settings, publisher=publisher, catalogue=catalogue, sealer=sealer_of(settings, catalogue, system_clock), clock=system_clock,
        telemetry=telemetry, readiness=readiness,
    )  # fmt: skip
    routes = {(route.path, method) for route in gateway.routes() for method in route.methods or () if method != "HEAD"}
    described = {(path, method.upper()) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert routes == described


def test_the_described_fields_are_those_that_the_parser_takes() -> None:
    for name, struct in (
        ("Event", NativeEvent),
        ("Customer", NativeCustomer),
        ("Order", NativeOrder),
        ("Answer", NativeAnswer),
    ):
        fields = msgspec.structs.fields(struct)
        schema = DOCUMENT["components"]["schemas"][name]
        assert {field.name for field in fields} == set(schema["properties"])
        assert {field.name for field in fields if field.required} == set(schema["required"])
