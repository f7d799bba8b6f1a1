"""Two environments in one account: each has all of its own, and one can be deleted without the other noticing."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from sandbox.aws import sam
from sandbox.aws.cloud import BUCKET, Cloud
from sandbox.aws.emulator import REGION
from sandbox.demo.scenarios import BUYER, demo_store, secret_of
from sandbox.store.server import SandboxStore

if TYPE_CHECKING:
    from collections.abc import Iterator

DEV, PROD = "b2b-order-relay", "b2b-order-relay-prod"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxStore]:
    with SandboxStore.run() as sandbox:
        sandbox.add_store(demo_store())
        yield sandbox


@pytest.fixture(scope="module")
def clouds(sandbox: SandboxStore) -> Iterator[tuple[Cloud, Cloud]]:
    """Both deployments, of one build, in one AWS."""
    parameters = {"StoreApiUrl": sandbox.url, "B2BApiUrl": sandbox.url}
    with Cloud(parameters, stack=DEV) as dev:
        prod = copy.copy(dev)
        prod.stack = PROD
        sam.deploy(dev._built, PROD, BUCKET, parameters, dev.endpoint_url, lambda _text: None)
        stack = dev.client("cloudformation").describe_stacks(StackName=PROD)["Stacks"][0]
        prod.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        yield dev, prod


def test_two_stacks_have_everything_of_their_own_and_one_survives_the_other(
    sandbox: SandboxStore, clouds: tuple[Cloud, Cloud]
) -> None:
    dev, prod = clouds
    assert [name for name, value in dev.outputs.items() if prod.outputs[name] == value] == []
    store = demo_store()
    # The store's secret is wrong in one of them: what it sends is proven in the other alone.
    dev.put_secret(store.hash, secret_of(store) | {"client_secret": "another"})
    prod.put_secret(store.hash, secret_of(store))
    secrets = prod.client("secretsmanager")
    assert {secret["Name"] for secret in secrets.list_secrets()["SecretList"]} == {
        f"{DEV}/{store.hash}",
        f"{PROD}/{store.hash}",
    }
    dashboards = prod.client("cloudwatch").list_dashboards()["DashboardEntries"]
    assert {dashboard["DashboardName"] for dashboard in dashboards} == {f"{DEV}-{REGION}", f"{PROD}-{REGION}"}

    order = sandbox.place_order(store, customer_id=BUYER, customer_message="PO Number: 4711")
    [refused] = sandbox.deliver(order, dev.webhook_url)
    assert refused.first().status == 401
    dev.store_secrets.remove(store.hash)
    assert secrets.get_secret_value(SecretId=f"{PROD}/{store.hash}")["SecretString"]
    _delete(dev)

    order = sandbox.place_order(store, customer_id=BUYER, customer_message="PO Number: 4712")
    [delivery] = sandbox.deliver(order, prod.webhook_url)
    assert delivery.first().status == 200
    record = sandbox.wait_until(lambda: sandbox.record(store, order.id))
    assert record is not None
    assert record.po_number == "4712"


def _delete(cloud: Cloud) -> None:
    cloud.client("cloudformation").delete_stack(StackName=cloud.stack)
    cloud.client("cloudformation").get_waiter("stack_delete_complete").wait(
        StackName=cloud.stack, WaiterConfig={"Delay": 1}
    )
    with pytest.raises(ClientError):
        cloud.client("sqs").get_queue_attributes(QueueUrl=cloud.outputs["RecoveryQueueUrl"], AttributeNames=["All"])
