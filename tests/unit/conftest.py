"""Unit tests open no sockets. And what the tests of several `relay` commands share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pytest_socket import disable_socket

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.context import Context


def pytest_runtest_setup() -> None:
    disable_socket(allow_unix_socket=True)


@pytest.fixture
def learns(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a command; answers its JSON and whether all was well."""

    def learns(function: Callable[..., bool], context: Context, *arguments: Any, **options: Any) -> Any:
        well = function(context, *arguments, **options)
        return json.loads(capsys.readouterr().out) | {"well": well}

    return learns
