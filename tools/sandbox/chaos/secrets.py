"""Scenarios of the secrets: revoked, missing, out of reach, guessed at."""

from __future__ import annotations

import json
import time

import requests

from sandbox.aws.proxy import AwsFault
from sandbox.chaos.field import RETRIED_SOON, TRY_AGAIN, UNPROVEN, ChaosStore, Violated
from sandbox.chaos.registry import scenario
from sandbox.demo.scenarios import secret_of
from sandbox.store.webhooks import DeliveryOptions, sign, webhook_body

FORGERIES = 100
READ = "secretsmanager.GetSecretValue"


@scenario("token revoked, then mended")
def _revoked(shop: ChaosStore) -> None:
    known = shop.place(created_ago_seconds=15, automatic_record_after=0.0)
    shop.announce(known)  # so that both functions keep the token
    shop.is_finished(known)
    shop.field.sandbox.configure(shop.store, access_token="changed-in-the-store")  # noqa: S106  made up
    order = shop.place()
    shop.announce(order)
    shop.says(order, "late")
    shop.field.cloud.put_secret(shop.store.hash, secret_of(shop.store))
    shop.carries(order, patience_seconds=60)


@scenario("the secret comes after the first webhook", long=True, with_secret=False)
def _secret_comes_late(shop: ChaosStore) -> None:
    order = shop.place()
    # Several at once, so that every environment has learned that there is no such store.
    for delivery in shop.announce(order, DeliveryOptions(copies=6, time_compression=30)):
        if (status := delivery.first().status) != UNPROVEN:
            raise Violated(f"expected 401, found {status}")
    if not any(name.endswith(f"/{shop.store.hash}") for name in shop.field.proxy.denied):
        raise Violated("the secret that was not there was not denied, as AWS does")
    shop.field.cloud.put_secret(shop.store.hash, secret_of(shop.store))
    shop.carries(order)


@scenario("Secrets Manager down at the door")
def _no_secrets_manager(shop: ChaosStore) -> None:
    with shop.field.proxy.fault(AwsFault(READ, contains=shop.store.hash)):
        order = shop.place()
        [delivery] = shop.announce(order)
        if (status := delivery.first().status) != TRY_AGAIN:
            raise Violated(f"expected 503, found {status}")
    shop.carries(order)


@scenario("Secrets Manager down behind the door")
def _no_secret_late(shop: ChaosStore) -> None:
    order = shop.place()
    with shop.field.proxy.fault(AwsFault(READ, contains=shop.store.hash)):
        shop.put_on_bus(order)
        shop.says(order, "late")
    shop.carries(order)


@scenario("a flood of forgeries")
def _flood(shop: ChaosStore) -> None:
    order = shop.place()
    with shop.field.proxy.fault(AwsFault(READ, contains=f"/{shop.store.hash}", only_counts=True)) as reads:
        for _ in range(FORGERIES):
            body = json.dumps(webhook_body(order)).encode()
            headers = sign(body, "guessed", time.time())
            answer = requests.post(shop.field.cloud.webhook_url, data=body, headers=headers, timeout=30)
            if answer.status_code != UNPROVEN:
                raise Violated(f"expected 401, found {answer.status_code}")
        # Each execution environment reads for itself, so a handful of reads is as it should be.
        if reads.struck > FORGERIES / 4:
            raise Violated(f"{FORGERIES} forgeries cost {reads.struck} reads of secrets")
    shop.announce(order, RETRIED_SOON)
    shop.carries(order)
