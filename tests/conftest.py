"""What all tests share: repeatable property tests, and caught output."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from support.telemetry import Written, writing

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=150)
settings.register_profile("search", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """The log lines and metrics of the test."""
    with writing(lambda: capsys.readouterr().out) as caught:
        yield caught
