"""ClickHouse 26.9 as a local server in a child process, loopback only, state in the data folder."""

import hashlib
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from deploy.engines.ports import LOOPBACK
from deploy.engines.supervisor import ChildSpec

SERVER = Path(__file__).with_name("clickhouse_server.py")
READY_TIMEOUT_S = 180.0  # seconds when idle; minutes where ten other things run on the same two cores
PROBE_TIMEOUT_S = 2.0

CONFIG = """\
<clickhouse>
  <logger><level>warning</level><log>{log}</log><errorlog>{errors}</errorlog><size>20M</size><count>3</count></logger>
  <listen_host>{host}</listen_host>
  <tcp_port>{native_port}</tcp_port>
  <http_port>{http_port}</http_port>
  <users_config>{users}</users_config>
  <timezone>UTC</timezone>
  <max_server_memory_usage>{memory_bytes}</max_server_memory_usage>
  <mark_cache_size>268435456</mark_cache_size>
</clickhouse>
"""

# async_insert is 1 by default since 26.x; then an insert token and an acknowledgement would mean something else.
USERS = """\
<clickhouse>
  <profiles>
    <default><async_insert>0</async_insert></default>
    <read_only>
      <readonly>1</readonly>
      <max_memory_usage>1073741824</max_memory_usage>
      <max_execution_time>60</max_execution_time>
    </read_only>
  </profiles>
  <quotas><default/></quotas>
  <users>
    <default>
      <password></password>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </default>
{readers}
  </users>
</clickhouse>
"""

READER = """\
    <{name}>
      <password_sha256_hex>{digest}</password_sha256_hex>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>read_only</profile>
      <quota>default</quota>
      <grants>{grants}</grants>
    </{name}>"""

DEFAULT_MEMORY_BYTES = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A user that can only read; `grants` are whole statements, such as `GRANT SELECT ON barometer.v_alarms_open`."""

    name: str
    password: str
    grants: Sequence[str]


def clickhouse_child(
    folder: Path, logs: Path, *, native_port: int, http_port: int, readers: Sequence[Reader], env: Mapping[str, str]
) -> ChildSpec:
    """Write the server's configuration and users into `folder`, and say how to run it.

    `default` has no password, since the server's own process connects as that user: it is bound to the loopback address.
    """
    users = folder / "users.xml"
    users.touch(mode=0o600)
    users.write_text(USERS.format(readers="\n".join(map(_reader_xml, readers))))
    (folder / "config.xml").write_text(
        CONFIG.format(
            log=logs / "clickhouse.log",
            errors=logs / "clickhouse.err.log",
            host=LOOPBACK,
            native_port=native_port,
            http_port=http_port,
            users=users,
            memory_bytes=DEFAULT_MEMORY_BYTES,
        )
    )
    return ChildSpec(
        name="clickhouse",
        argv=[sys.executable, str(SERVER), str(folder)],
        env=env,
        log=logs / "clickhouse.out",
        ready=lambda: _missing(http_port),
        folder=logs,  # not the one with config.xml: importing the engine would read it there
    )


def _reader_xml(reader: Reader) -> str:
    return READER.format(
        name=reader.name,
        digest=hashlib.sha256(reader.password.encode()).hexdigest(),
        grants="".join(f"<query>{escape(grant)}</query>" for grant in reader.grants),
    )


def _missing(http_port: int) -> str | None:
    """Say what the server still lacks: it is ready when it answers a query as `default`."""
    try:
        with urllib.request.urlopen(
            f"http://{LOOPBACK}:{http_port}/?query=SELECT+1", timeout=PROBE_TIMEOUT_S
        ) as answer:
            return None if answer.read() == b"1\n" else "an unexpected answer"
    except (urllib.error.URLError, OSError) as error:
        return f"port {http_port}: {error}"
