"""Monitoring: every metric that a rule or its test names is declared, with those labels; promtool's own tests: make test-ops."""

import re
from pathlib import Path

import pytest

from schemas.telemetry import PREFIX, SPECS
from schemas.topics import REJECTED, TOPICS, Cleanup

FOLDER = Path(__file__).parents[2] / "deploy" / "monitoring"
FILES = sorted([*FOLDER.glob("*.rules.yml"), *FOLDER.glob("tests/*.yml")])
MADE_BY_HISTOGRAM = ("_bucket", "_sum", "_count")


def text_of(path: Path) -> str:
    """Return a file without what people read."""
    return re.sub(r"(summary|remedy|name): .*", "", path.read_text("utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_metric_of_a_rule_is_declared(path: Path) -> None:
    named = set(re.findall(r"(?<![a-z:_])barometer_[a-z_]+", text_of(path)))
    declared = {PREFIX + name for name in SPECS}
    declared |= {
        PREFIX + name + end for name, spec in SPECS.items() if spec.kind == "histogram" for end in MADE_BY_HISTOGRAM
    }
    assert named and named - declared == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_label_that_a_rule_asks_for_is_one_of_its_metric(path: Path) -> None:
    for metric, labels in re.findall(r"(?<![a-z:_])barometer_([a-z_]+)\{([^}]*)\}", text_of(path)):
        assert set(re.findall(r"(\w+)\s*=", labels)) <= {*SPECS[metric].labels, "instance", "job"}, (
            metric
        )  # Prometheus adds two


def test_the_alert_on_lag_comes_at_half_of_the_shortest_retention() -> None:
    rules = (FOLDER / "pipeline.rules.yml").read_text("utf-8")
    limits = {sign: int(s) for sign, s in re.findall(r'lag_seconds\{topic(..)"\.\*rejected\.\*"\}\) > (\d+)', rules)}
    kept = [topic.retention_ms for topic in TOPICS if topic.cleanup is Cleanup.DELETE and topic is not REJECTED]
    assert limits == {"!~": min(kept) // 2000, "=~": REJECTED.retention_ms // 2000}


def test_every_alert_says_what_to_do_and_has_a_test() -> None:
    rules = "\n".join(path.read_text("utf-8") for path in FOLDER.glob("*.rules.yml"))
    tests = "\n".join(path.read_text("utf-8") for path in FOLDER.glob("tests/*.yml"))
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert len(alerts) == rules.count("remedy: ") == rules.count("summary: ")
    assert [name for name in alerts if f"alertname: {name}\n" not in tests] == []
