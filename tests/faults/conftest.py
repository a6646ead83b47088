"""The campaign of kills is a command of its own, `make faults`: `make test` leaves it out and runs one round instead."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Parameters of the campaign: make faults FAULTS="--rounds 10 --seed 3"."""
    parser.addoption("--rounds", type=int, default=5, help="kills of each process at random moments, and at each point")
    parser.addoption("--seed", type=int, default=1, help="of the moments and of the load")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "campaign: takes minutes; run by `make faults`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "campaign" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("campaign")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
