"""How Kafka is reached: one address that says where, how encrypted and as whom, and what the clients want of it.

`host:port,host:port` is plain. `sasl_ssl://user:password@host:port,host:port?mechanism=SCRAM-SHA-512&ca=PATH` and the other
protocols of Kafka (`ssl`, `sasl_plaintext`, `plaintext`) follow the form of the ClickHouse address; user and password are
percent-encoded.
"""

import ssl
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote

from schemas.errors import SettingsError

PROTOCOLS = frozenset({"plaintext", "ssl", "sasl_plaintext", "sasl_ssl"})
MECHANISMS = frozenset({"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"})
OPTIONS = frozenset({"mechanism", "ca", "cert", "key"})


@dataclass(frozen=True, slots=True)
class Broker:
    """One Kafka; the password is not shown by `repr`."""

    servers: tuple[str, ...]
    protocol: str = "PLAINTEXT"
    mechanism: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    ca: str = ""
    cert: str = ""
    key: str = ""

    def __str__(self) -> str:
        return ",".join(self.servers)

    @property
    def remedy(self) -> str:
        """Return what to look at when it does not answer: to a client, a refusal looks like silence."""
        if self.protocol == "PLAINTEXT":
            return "start Kafka or mend BAROMETER_KAFKA_BOOTSTRAP"
        return "start Kafka, or mend protocol, user, password or ca in BAROMETER_KAFKA_BOOTSTRAP; its log says what it refused"

    @property
    def encrypted(self) -> bool:
        """Return whether what is said on the way can be read by nobody else."""
        return self.protocol.endswith("SSL")


@cache
def broker_of(address: str) -> Broker:
    """Return what an address says. Raises SettingsError."""
    if "://" not in address:
        return Broker(_servers(address))
    scheme, _, rest = address.partition("://")  # no urlsplit: to it, a scheme with an underscore is none
    netloc, _, query = rest.partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    who, _, where = netloc.rpartition("@")
    user, _, password = who.partition(":")
    if scheme not in PROTOCOLS:
        raise _refused(f"protocol {scheme!r} is none of {', '.join(sorted(PROTOCOLS))}")
    unknown = sorted(given.keys() - OPTIONS)
    if unknown:
        raise _refused(f"{', '.join(unknown)} is none of {', '.join(sorted(OPTIONS))}")
    sasl = scheme.startswith("sasl")
    if sasl != bool(user and password):
        raise _refused("user:password@ belongs to sasl_ssl and sasl_plaintext, and they want it")
    mechanism = given.get("mechanism", "SCRAM-SHA-512") if sasl else ""
    if sasl and mechanism not in MECHANISMS:
        raise _refused(f"mechanism {mechanism!r} is none of {', '.join(sorted(MECHANISMS))}")
    if bool(given.get("cert")) != bool(given.get("key")):
        raise _refused("cert and key belong together")
    return Broker(
        _servers(where.rstrip("/")), scheme.upper(), mechanism, unquote(user), unquote(password), given.get("ca", ""),
        given.get("cert", ""), given.get("key", ""),
    )  # fmt: skip


def reaching(address: str) -> dict[str, Any]:
    """Return what the clients of kafka-python and of aiokafka alike take to reach this Kafka. Raises SettingsError."""
    broker = broker_of(address)
    taken: dict[str, Any] = {"bootstrap_servers": list(broker.servers)}
    if broker.protocol != "PLAINTEXT":
        taken["security_protocol"] = broker.protocol
    if broker.encrypted:
        taken["ssl_context"] = _context(broker)
    if broker.mechanism:
        taken |= {
            "sasl_mechanism": broker.mechanism,
            "sasl_plain_username": broker.user,
            "sasl_plain_password": broker.password,
        }
    return taken


def shown_broker(address: str) -> str:
    """Return an address for people: its password masked."""
    who, at, rest = address.rpartition("@")
    head, colon, _ = who.rpartition(":")
    return f"{head}:***@{rest}" if at and colon else address


def _context(broker: Broker) -> ssl.SSLContext:
    """Return TLS that checks the broker's certificate and name, always."""
    try:
        context = ssl.create_default_context(cafile=broker.ca or None)
        if broker.cert:
            context.load_cert_chain(broker.cert, broker.key)
    except (OSError, ssl.SSLError) as error:
        raise _refused(f"certificates cannot be read: {error}") from error
    return context


def _servers(text: str) -> tuple[str, ...]:
    servers = tuple(one.strip() for one in text.split(",") if one.strip())
    for one in servers:
        host, _, port = one.rpartition(":")
        if not host or not port.isdigit():
            raise _refused(f"{one!r} is no host:port")
    return servers


def _refused(why: str) -> SettingsError:
    return SettingsError(
        "bad_setting", f"kafka_bootstrap: {why}",
        "host:port,... or sasl_ssl://user:password@host:port,...?mechanism=SCRAM-SHA-512&ca=PATH",
    )  # fmt: skip
