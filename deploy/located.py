"""Find the running installation: the settings name servers, or a local stack on the data folder has said where it listens."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import SettingsError
from schemas.settings import Settings

ENDPOINTS = "endpoints.json"


def endpoints(settings: Settings) -> dict[str, Any]:
    """Return endpoints.json of the data folder, or of its `demo` folder; empty where no local stack runs."""
    for folder in (Path(settings.data_dir), Path(settings.data_dir) / "demo"):
        path = folder / ENDPOINTS
        if path.exists():
            found: dict[str, Any] = json.loads(path.read_text("utf-8"))
            return found
    return {}


def locate(settings: Settings) -> Settings:
    """Return settings that name Kafka and ClickHouse. Raises SettingsError with the remedy if nothing is known of them."""
    if settings.kafka_bootstrap and settings.clickhouse_url:
        return settings
    found = endpoints(settings)
    if not found:
        raise SettingsError(
            "nowhere",
            f"no local stack runs on {settings.data_dir} and no servers are named",
            "start `barometer up` or `barometer demo`, or set BAROMETER_KAFKA_BOOTSTRAP and BAROMETER_CLICKHOUSE_URL",
        )
    host, port = found["clickhouse_native"]
    # how the stack counts and pseudonymises is part of where it is
    return msgspec.structs.replace(
        settings,
        **found["settings"],
        kafka_bootstrap=settings.kafka_bootstrap or found["kafka"],
        clickhouse_url=settings.clickhouse_url
        or f"clickhouse://default@{host}:{port}/{found['settings']['clickhouse_database']}",
        clickhouse_http_url=settings.clickhouse_http_url or found["clickhouse_http"],
    )


def ready_urls(endpoints: Mapping[str, Any]) -> dict[str, str]:
    """Return process -> address of its /readyz, for the processes of a local stack."""
    return {name: url.removesuffix("/metrics") + "/readyz" for name, url in endpoints.get("metrics", {}).items()}
