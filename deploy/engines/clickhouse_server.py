"""The ClickHouse server process: `clickhouse_server.py FOLDER`, with FOLDER/config.xml; ends cleanly on SIGTERM.

The engine comes in the chdb-core wheel. A statement that reads a FIFO keeps its listeners up; a line in the FIFO ends it.
"""

import os
import signal
import sys
import threading
from pathlib import Path

STOP = "stop"


def main() -> None:
    """Serve until SIGTERM."""
    folder = Path(sys.argv[1])
    fifo = folder / STOP
    fifo.unlink(missing_ok=True)
    os.mkfifo(fifo, 0o600)
    # Blocked before the engine starts its threads, so that they inherit it and only the thread below takes the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    # Imported before the change of folder: the import itself would read ./config.xml.
    from chdb import _chdb

    os.chdir(folder)
    threading.Thread(target=_end_on_signal, args=(fifo,), daemon=True).start()
    # TabSeparated is also the default format of the HTTP listener that this opens: clickhouse-connect relies on it.
    _chdb.query(  # type: ignore[attr-defined]  # compiled, without stubs
        "SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP; "
        f"SELECT * FROM file('{fifo}', LineAsString, 'line String') FORMAT Null",
        "TabSeparated",
        path=str(folder / "store"),
    )


def _end_on_signal(fifo: Path) -> None:
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    fifo.write_text("end\n")


if __name__ == "__main__":
    main()
