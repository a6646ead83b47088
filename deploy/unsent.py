"""What a gateway has accepted and Kafka does not have yet: the records in its spool, by its metrics."""

from http.client import HTTPException
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

GAUGE = "barometer_spool_records"
TIMEOUT_S = 3.0


def spooled(exposition: str) -> int:
    """Return the records that a text of Prometheus says are in the spool; 0 where there is none."""
    families = text_string_to_metric_families(exposition)
    return int(sum(one.value for family in families for one in family.samples if one.name == GAUGE))


def unsent(metrics_url: str) -> str:
    """Return in words what waits at a gateway, "" for nothing, and for no gateway (an empty address)."""
    if not metrics_url:
        return ""
    try:
        with urlopen(metrics_url, timeout=TIMEOUT_S) as answer:  # our own address, from endpoints.json
            count = spooled(answer.read().decode())
    except (OSError, HTTPException, ValueError) as error:
        return f"the gateway, which may hold a spool: {metrics_url}: {error}"
    return f"the gateway's spool: {count} records" if count else ""
