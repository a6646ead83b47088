"""The broker's jars: a committed list with a sha256 each, fetched from Maven Central, checked before every use of a new file.

The list (jars.sha256, in the format of `sha256sum --check`) is the lock: setting up never resolves a dependency, so it cannot
drift. `python -m deploy.engines.jars --lock` resolves anew and writes the list. The jars live inside the virtual environment,
like the wheels: a data folder that is cleared does not take them along, and a new environment fetches its own.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from jgo.env import EnvironmentBuilder
from jgo.maven import MavenContext

from deploy.engines.errors import EngineError

LOCK_FILE = Path(__file__).with_name("jars.sha256")
KAFKA = "org.apache.kafka:kafka_2.13:4.3.1"
# Resolved apart: in one endpoint with Kafka, the BOM of log4j would bring kafka-clients down to 3.9.1.
LOG4J_BINDING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"
STAMP = "verified"
DOWNLOADS_AT_ONCE = 6
ATTEMPTS = 3


def jar_folder() -> Path:
    """Return where the jars of this Python environment live."""
    return Path(sys.prefix) / "jars"


def locked_jars() -> dict[str, str]:
    """Return path -> sha256 of the committed list; paths are relative and laid out as in a Maven repository."""
    lines = (line.split() for line in LOCK_FILE.read_text().splitlines())
    return {path: digest for digest, path in lines}


def class_path(folder: Path) -> str:
    """Return the broker's class path.

    Raises:
        EngineError: the jars were not fetched and checked against the present list; run `make setup`.
    """
    if not (folder / STAMP).exists() or (folder / STAMP).read_text() != LOCK_FILE.read_text():
        raise EngineError("no_jars", f"the broker's jars are not in {folder}", "run `make setup`")
    return os.pathsep.join(str(folder / path) for path in locked_jars())


def fetch(folder: Path) -> None:
    """Bring every listed jar into `folder`, check all of them and stamp the folder; one line of progress a jar.

    Raises:
        EngineError: a jar cannot be had, or its content is not the one in the list.
    """
    stamp = folder / STAMP
    stamp.unlink(missing_ok=True)
    context = MavenContext(repo_cache=folder, local_repos=[], timeout=60)
    wanted = locked_jars()
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        jobs = {pool.submit(_fetch_one, context, folder, path, digest): path for path, digest in wanted.items()}
        try:
            for done, job in enumerate(as_completed(jobs), start=1):
                print(f"[{done:2}/{len(jobs)}] {job.result():8} {Path(jobs[job]).name}", flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    stamp.write_text(LOCK_FILE.read_text())


def _fetch_one(context: MavenContext, folder: Path, path: str, digest: str) -> str:
    """Fetch one jar unless it is there, and check it; return how it was come by."""
    file = folder / path
    if file.exists() and _sha256(file) == digest:
        return "present"
    *group, name, version, _ = Path(path).parts
    artifact = context.project(".".join(group), name).at_version(version).artifact()
    for attempt in range(1, ATTEMPTS + 1):
        file.unlink(missing_ok=True)
        try:
            context.resolver.download(artifact)
            break
        # The resolver lets requests' errors, its own and those of the disk through, without a common base.
        except Exception as error:
            if attempt == ATTEMPTS:
                raise EngineError("no_jar", f"{file.name}: {error}", "check the way to Maven Central, retry") from error
    found = _sha256(file)
    if found != digest:
        file.unlink()
        raise EngineError("wrong_jar", f"{file.name} has sha256 {found}, not {digest}", "check the source, retry")
    return "fetched"


def lock(folder: Path) -> None:
    """Resolve the broker and its log binding, download into `folder` and write the committed list anew."""
    files = sorted(_resolved(MavenContext(repo_cache=folder), folder))
    LOCK_FILE.write_text("".join(f"{_sha256(file)}  {file.relative_to(folder)}\n" for file in files))


def _resolved(context: MavenContext, folder: Path) -> Iterable[Path]:
    """Yield the files of the broker and all its dependencies, and of the log binding alone."""
    builder = EnvironmentBuilder(context=context, cache_dir=folder / "environments")
    names = {jar.name for jar in builder.from_endpoint(KAFKA).all_jars}
    binding = builder.from_endpoint(LOG4J_BINDING)
    names.update(jar.name for jar in binding.all_jars if jar.name.startswith("log4j-slf4j-impl"))
    files = {file.name: file for file in folder.rglob("*.jar") if "environments" not in file.parts}
    return [files[name] for name in sorted(names)]


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def main() -> None:
    """Fetch and check the jars, or write the list anew."""
    parser = argparse.ArgumentParser(prog="python -m deploy.engines.jars", description=main.__doc__)
    parser.add_argument("--folder", type=Path, default=jar_folder(), help="where the jars live (default: %(default)s)")
    parser.add_argument("--lock", action="store_true", help="resolve anew and write the committed list")
    asked = parser.parse_args()
    try:
        if asked.lock:
            lock(asked.folder)
        else:
            fetch(asked.folder)
    except EngineError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
