"""One deployment of the real template for all end-to-end tests: the real SAM CLI, ministack, the simulated store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.aws.cloud import Cloud
from sandbox.aws.proxy import AwsProxy
from sandbox.demo.scenarios import Stage, demo_store, erp_store, secret_of
from sandbox.store.server import SandboxStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.store.orders import Order

PARAMETERS = {
    "RecoveryFirstDelaySeconds": "1",
    "RecoveryLongestDelaySeconds": "3",
    "GiveUpAfterMinutes": "60",
    "LateRequestsPerMinute": "150",
    "PublishOutcomes": "true",
    "PartnerEventSourceName": "aws.partner/bigcommerce.com/1025646/store-events",
}


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    with SandboxStore.run() as sandbox:
        stores = [sandbox.add_store(store) for store in (demo_store(), erp_store())]
        addresses = {"StoreApiUrl": sandbox.url, "B2BApiUrl": sandbox.url}
        with AwsProxy.run() as proxy, Cloud(PARAMETERS | addresses, proxy=proxy) as cloud:
            for store in stores:
                cloud.put_secret(store.hash, secret_of(store))
            yield Stage(sandbox, cloud, stores[0])


def log_entries(stage: Stage, function: str = "OrderFunction") -> list[dict[str, Any]]:
    """The structured log lines of a function, embedded metrics among them."""
    return stage.cloud.log_entries(function)


def outcomes(stage: Stage, order: Order) -> list[str]:
    """What the functions' logs say became of an order, in the relay's own words."""
    return [
        entry["outcome"]
        for entry in stage.cloud.log_entries("OrderFunction", "RecoveryFunction")
        if (entry.get("store"), entry.get("order")) == (order.store_hash, order.id)
        and "outcome" in entry
        and "status" not in entry
    ]
