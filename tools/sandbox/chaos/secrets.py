"""Scenarios of the secrets: revoked, missing, out of reach, guessed at."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import requests

from handler.bigcommerce.credentials import LIST_KEPT_SECONDS
from sandbox.aws.proxy import AwsFault
from sandbox.chaos.field import ACCEPTED, RETRIED_SOON, TRY_AGAIN, UNPROVEN, ChaosStore, Violated
from sandbox.chaos.registry import scenario
from sandbox.demo.scenarios import secret_of
from sandbox.store.webhooks import DeliveryOptions, sign, webhook_body

FORGERIES = 100
READ = "secretsmanager.GetSecretValue"
ENVIRONMENTS = 4
"""So many requests at the same moment are spread over so many environments at least."""

INVENTED = 90 * ENVIRONMENTS
"""An environment reads the secrets of 60 unknown stores a minute."""

THROTTLED = 429
"""API Gateway's answer above `ApiRateLimit`; the request reached no function."""

ONCE = DeliveryOptions(retries=0)


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


@scenario("a flood of invented stores does not shut a real one out", long=True)
def _shut_out(store: ChaosStore) -> None:
    """The real stores are on the table's list, and no environment has read their secrets."""
    field, store_hash = store.field, store.store.hash
    shops = [field.open_store(f"{store_hash}r{number}") for number in range(ENVIRONMENTS)]
    time.sleep(LIST_KEPT_SECONDS + 1)  # an environment may have read the list before they were on it
    some_order = shops[0].place()

    def forge(number: int) -> int:
        body = json.dumps(webhook_body(some_order) | {"producer": f"stores/{store_hash}i{number}"}).encode()
        headers = sign(body, "guessed", time.time())
        answer = requests.post(field.cloud.webhook_url, data=body, headers=headers, timeout=30)
        while answer.status_code == THROTTLED:
            time.sleep(0.5)
            answer = requests.post(field.cloud.webhook_url, data=body, headers=headers, timeout=30)
        return answer.status_code

    def announce(shop: ChaosStore) -> int | None:
        [delivery] = shop.announce(shop.place(), ONCE)
        return delivery.first().status

    with ThreadPoolExecutor(ENVIRONMENTS) as pool:
        if (forged := set(pool.map(forge, range(INVENTED)))) != {UNPROVEN}:
            raise Violated(f"expected 401 for every invented store, found {forged}")
        if (announced := set(pool.map(announce, shops))) != {ACCEPTED}:
            raise Violated(f"expected 200 for every real store, found {announced}")
    reads = sum(f"/{store_hash}i" in name for name in field.proxy.denied)
    if reads == INVENTED:
        raise Violated("the reads for invented stores were not rationed")
