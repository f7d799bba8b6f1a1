"""What an operator sees of stores that have not had an order yet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sandbox.demo.scenarios import secret_of
from sandbox.store.settings import Store
from support.operator import Operator

if TYPE_CHECKING:
    from sandbox.demo.scenarios import Stage


@pytest.mark.without_relay("the command line is what is tested, before any order")
def test_a_store_of_the_sandbox_is_on_the_list_and_one_that_only_has_a_secret_is_found(stage: Stage) -> None:
    for store_hash in ("fresh", "bysecret"):
        store = stage.sandbox.add_store(Store(hash=store_hash))
        if store_hash == "fresh":
            stage.cloud.put_secret(store_hash, secret_of(store))
        else:  # as Terraform makes it
            name = f"b2b-order-relay/{store_hash}"
            secrets = stage.cloud.client("secretsmanager")
            secrets.create_secret(Name=name, SecretString=json.dumps(secret_of(store)))
    operator = Operator(stage)

    rows = {row["store"]: row for row in operator.learns("store list", code=None)}
    assert (rows["fresh"]["registered"], rows["bysecret"]["registered"]) == (True, False)
    for store_hash in rows.keys() & {"fresh", "bysecret"}:
        sections = operator.learns(f"doctor {store_hash}", code=None)["sections"]
        found = {finding["step"]: finding["state"] for finding in sections[f"Store {store_hash}"]}
        assert (found["secret"], found["core API"]) == ("good", "good")
        assert found.get("store registry") == (None if store_hash == "fresh" else "bad")
