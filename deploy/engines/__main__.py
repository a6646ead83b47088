"""Start only the engines and stay up: `python -m deploy.engines --data-dir DIR`; they are named in DIR/endpoints.json."""

import argparse
import os
import sys
from pathlib import Path

from deploy.engines.datadir import DataDir
from deploy.engines.kafka import DEFAULT_HEAP
from deploy.engines.local import EnginePorts, LocalEngines
from deploy.engines.ports import Ports
from deploy.engines.signals import StopSignals
from schemas.errors import BarometerError

EVERYTHING = ("GRANT SELECT ON *.*",)


def main() -> None:
    """Serve Kafka and ClickHouse until Ctrl-C or SIGTERM."""
    defaults = EnginePorts()
    parser = argparse.ArgumentParser(prog="python -m deploy.engines", description=main.__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path(".barometer/engines"), help="default: %(default)s")
    parser.add_argument("--kafka-port", type=int, default=defaults.kafka)
    parser.add_argument("--native-port", type=int, default=defaults.clickhouse_native)
    parser.add_argument("--http-port", type=int, default=defaults.clickhouse_http)
    parser.add_argument("--heap", default=DEFAULT_HEAP, help="the broker's largest heap (default: %(default)s)")
    asked = parser.parse_args()
    try:
        serve(
            asked.data_dir,
            EnginePorts(
                kafka=asked.kafka_port,
                kafka_controller=asked.kafka_port + 100,
                clickhouse_native=asked.native_port,
                clickhouse_http=asked.http_port,
            ),
            asked.heap,
        )
    except BarometerError as error:
        sys.exit(f"error: {error}")


def serve(path: Path, preferred: EnginePorts, heap: str) -> None:
    """Own the folder, start the engines in it, and end them on a signal."""
    folder = DataDir.own(path)
    announced = folder.path / "endpoints.json"
    with StopSignals() as signals:
        engines = LocalEngines.start(
            folder,
            Ports(),
            env=os.environ,
            grants={"bi": EVERYTHING, "bi_text": EVERYTHING},
            preferred=preferred,
            heap=heap,
            progress=lambda line: print(line, flush=True),
        )
        try:
            engines.endpoints.write(announced)
            print(f"see {announced}; Ctrl-C ends both", flush=True)
            signals.wait()
        finally:
            announced.unlink(missing_ok=True)
            with signals.ignored():
                engines.stop()


if __name__ == "__main__":
    main()
