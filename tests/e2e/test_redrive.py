"""`relay failed` on a real deployment: dead letters are looked at, selected, and really worked on again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from e2e.test_relay import wait_for
from relay.cli import app
from sandbox.demo.scenarios import BUYER, Played, Stage, play_webhook
from sandbox.store import faults
from sandbox.store.orders import PO_LINE
from sandbox.store.settings import Store

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def relay(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs `relay` with these arguments against the deployment; answers the parsed --json output."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", stage.cloud.endpoint_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")

    def run(*arguments: str, code: int | None = 0) -> Any:
        result = CliRunner().invoke(app, [*arguments, "--json"])
        assert code in {None, result.exit_code}, result.output
        return json.loads(result.stdout)

    return run


def two_dead_orders(stage: Stage, store_hash: str) -> tuple[Played, Played]:
    store = stage.sandbox.add_store(Store(hash=store_hash, company_customers={BUYER}, late_create_without_record=True))
    stage.cloud.put_secret(store.hash, {"access_token": store.access_token, "client_secret": store.client_secret})
    on_store = Stage(stage.sandbox, stage.cloud, store)
    refusal = faults.status(422, body={"code": 422, "data": {"errMsg": "[Team] is a required extra field"}, "meta": {}})
    first, second = (
        play_webhook(refusal, customer_message=f"{PO_LINE}PO-{number}", automatic_record_after=None)(on_store)
        for number in (1, 2)
    )
    return first, second


def test_a_selected_dead_letter_is_redriven_and_its_order_finished(stage: Stage, relay: Callable[..., Any]) -> None:
    first, second = two_dead_orders(stage, "redriven")
    wait_for(lambda: relay("failed", "list", "--store", "redriven")["count"] == 2)

    dry = relay("failed", "redrive", "--store", "redriven", "--order", str(first.order.id), "--dry-run")
    assert (dry["count"], dry["done"]) == (1, "would be moved")
    assert relay("failed", "list", "--store", "redriven")["count"] == 2

    moved = relay("failed", "redrive", "--store", "redriven", "--order", str(first.order.id))

    assert [letter["result"] for letter in moved["letters"]] == ["moved"]
    assert wait_for(lambda: first.record).po_number == "PO-1"
    left = relay("failed", "list", "--store", "redriven")
    assert [letter["order"] for letter in left["letters"]] == [second.order.id]
    assert second.record is None


def test_dead_letters_are_selected_by_cause_age_and_id(stage: Stage, relay: Callable[..., Any]) -> None:
    two_dead_orders(stage, "selected")
    wait_for(lambda: relay("failed", "list", "--store", "selected")["count"] == 2)

    one, other = relay("failed", "list", "--store", "selected", "--cause", "api_refused")["letters"]
    assert relay("failed", "list", "--store", "selected", "--cause", "order_not_found", code=1)["count"] == 0
    assert relay("failed", "list", "--store", "selected", "--older-than", "1h", code=1)["count"] == 0
    assert relay("failed", "list", "--store", "selected", "--since", "1h")["count"] == 2
    assert relay("failed", "list", "--id", one["message_id"])["letters"] == [one]
    assert relay("failed", "redrive", "--id", other["message_id"], "--dry-run")["count"] == 1


def test_dropped_dead_letters_are_gone(stage: Stage, relay: Callable[..., Any]) -> None:
    two_dead_orders(stage, "dropped")
    wait_for(lambda: relay("failed", "list", "--store", "dropped")["count"] == 2)

    assert CliRunner().invoke(app, ["failed", "drop", "--yes"]).exit_code == 2
    assert "no store nosuch" in relay("failed", "drop", "--store", "nosuch", "--yes", code=1)["error"]["message"]
    relay("failed", "drop", "--store", "dropped", "--yes")

    assert relay("failed", "list", "--store", "dropped", code=None)["count"] == 0


@pytest.mark.without_relay("there is no deployment to ask")
def test_without_a_stack_it_is_said_what_to_do(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", stage.cloud.endpoint_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")

    result = CliRunner().invoke(app, ["failed", "list", "--stack", "nosuchstack", "--region", "us-east-1"])

    assert result.exit_code == 1
    assert "There is no stack nosuchstack in us-east-1." in result.output
