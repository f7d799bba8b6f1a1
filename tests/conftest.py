"""What all tests share: repeatable property tests, and caught output."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from support.telemetry import Written, writing

END_TO_END = Path(__file__).parent / "e2e"

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=150)
# `make mutation`: a counterexample is enough, a small one is not needed.
settings.register_profile(
    "mutation", derandomize=True, deadline=None, max_examples=30, phases=[Phase.explicit, Phase.generate]
)
settings.register_profile("search", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The end-to-end tests, which mostly wait, run one after the other on one worker, beside all the others (`make test`)."""
    for item in items:
        if item.path.is_relative_to(END_TO_END):
            item.add_marker(pytest.mark.xdist_group("e2e"))


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """The log lines and metrics of the test."""
    with writing(lambda: capsys.readouterr().out) as caught:
        yield caught
