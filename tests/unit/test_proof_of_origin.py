"""Signatures, secret headers and where their secrets come from."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from handler.credentials import Credentials, SecretInvalid, StoreSecret, UnknownStore
from handler.errors import ConfigurationError, NotProven, RetryLater, Unauthorised
from handler.settings import Settings
from handler.signature import prove
from sandbox.webhooks import sign

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = b'{"producer": "stores/abcde"}'


def secret(**values: Any) -> StoreSecret:
    return StoreSecret.parse(json.dumps({"access_token": "token"} | values))


BOTH = secret(client_secret="shh", webhook_header={"name": "X-Relay-Key", "value": "key"})


def test_a_good_signature_and_a_good_header_prove_together() -> None:
    prove(sign(BODY, "shh", time.time()) | {"x-relay-key": "key"}, BODY, BOTH)


def signed(secret: str = "shh", body: bytes = BODY, seconds: float = 0.0) -> dict[str, str]:
    return sign(body, secret, time.time() + seconds) | {"x-relay-key": "key"}


@pytest.mark.parametrize(
    "headers",
    [
        dict,
        lambda: {"x-relay-key": "key"},
        lambda: sign(BODY, "shh", time.time()),
        lambda: signed() | {"x-relay-key": "other"},
        lambda: signed() | {"x-relay-key": "k\u00e9y\ud800"},
        lambda: signed("other"),
        lambda: signed(body=b"{}"),
        lambda: signed(seconds=-400),
        lambda: signed(seconds=400),
        lambda: signed() | {"webhook-timestamp": "soon"},
    ],
)
def test_whatever_is_missing_stale_or_foreign_proves_nothing(headers: Callable[[], dict[str, str]]) -> None:
    with pytest.raises(NotProven):
        prove(headers(), BODY, BOTH)


@pytest.mark.parametrize(
    "signature", ["", "v1", "v1,", "v1,!", "v1,\u00e9", "v2,abc", "v1,YWJj v1", "a,b,c", "\ud800"], ids=ascii
)
def test_a_malformed_signature_proves_nothing(signature: str) -> None:
    with pytest.raises(NotProven):
        prove(signed() | {"webhook-signature": signature}, BODY, BOTH)


def test_bytes_that_are_no_text_prove_nothing() -> None:
    with pytest.raises(NotProven):
        prove(sign(b"\xff", "shh", time.time()), b"\xff", secret(client_secret="shh"))


def test_a_secret_that_can_check_nothing_proves_nothing() -> None:
    with pytest.raises(NotProven, match="neither client_secret nor webhook_header"):
        prove({}, BODY, secret())


def test_a_secret_shows_nothing_of_itself() -> None:
    shown = repr(secret(client_secret="client-mark", b2b_token="b2b-mark", access_token="access-mark"))

    assert "mark" not in shown


def test_one_token_serves_both_apis_unless_a_second_is_given() -> None:
    assert secret().b2b_token == "token"
    assert secret(b2b_token="second").b2b_token == "second"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"access_token": 7}',
        '{"access_token": " "}',
        '{"access_token": "a\\nb"}',
        '{"access_token": "\u00e9"}',
        '{"access_token": "mark", "client_secret": ""}',
        '{"access_token": "mark", "webhook_header": "X"}',
        '{"access_token": "mark", "webhook_header": {"name": "X"}}',
        '{"access_token": "mark", "webhook_header": {"name": "X Y", "value": "v"}}',
    ],
)
def test_a_malformed_secret_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(SecretInvalid) as refused:
        StoreSecret.parse(text)

    assert "mark" not in str(refused.value)


class SecretsManager:
    """Secrets by name and stage; counts its calls, and fails when told to."""

    class exceptions:  # noqa: N801  as boto3 names it
        class ResourceNotFoundException(ClientError):  # noqa: N818  as AWS names it
            pass

        class InvalidRequestException(ClientError):  # noqa: N818  as AWS names it
            pass

    def __init__(self) -> None:
        self.versions: dict[tuple[str, str], str] = {}
        self.calls: list[tuple[str, str]] = []
        self.failure: Exception | None = None

    def put(self, name: str, **values: Any) -> None:
        if (name, "AWSCURRENT") in self.versions:
            self.versions[name, "AWSPREVIOUS"] = self.versions[name, "AWSCURRENT"]
        self.versions[name, "AWSCURRENT"] = json.dumps({"access_token": "token"} | values)

    def get_secret_value(self, *, SecretId: str, VersionStage: str) -> dict[str, str]:  # noqa: N803  boto3's names
        self.calls.append((SecretId, VersionStage))
        if self.failure:
            raise self.failure
        if (SecretId, VersionStage) not in self.versions:
            raise self.exceptions.ResourceNotFoundException({"Error": {"Code": "ResourceNotFoundException"}}, "Get")
        return {"SecretString": self.versions[SecretId, VersionStage]}


class World:
    def __init__(self) -> None:
        self.now = 1000.0
        self.manager = SecretsManager()
        self.manager.put("relay/abcde", client_secret="first")
        self.credentials = Credentials(cast("Any", self.manager), "relay", lambda: self.now)

    def client_secrets(self) -> list[str | None]:
        return [found.client_secret for found in self.credentials.for_proof("abcde")]


@pytest.fixture
def world() -> World:
    return World()


def test_a_secret_is_read_once_and_again_after_a_while(world: World) -> None:
    world.credentials.get("abcde")
    world.now += 299
    world.credentials.get("abcde")
    assert len(world.manager.calls) == 1

    world.now += 1
    world.credentials.get("abcde")

    assert len(world.manager.calls) == 2


def test_an_unknown_store_is_not_asked_for_twice_within_a_minute(world: World) -> None:
    for _ in range(5):
        with pytest.raises(UnknownStore):
            world.credentials.get("nobody")
        world.now += 11
    assert len(world.manager.calls) == 1

    world.now += 60
    world.manager.put("relay/nobody")

    assert world.credentials.get("nobody").access_token == "token"


def test_a_store_whose_secret_waits_for_its_deletion_is_unknown(world: World) -> None:
    world.manager.failure = world.manager.exceptions.InvalidRequestException(
        {"Error": {"Code": "InvalidRequestException"}}, "GetSecretValue"
    )

    with pytest.raises(UnknownStore):
        world.credentials.get("abcde")


def test_a_flood_of_made_up_stores_costs_a_limited_number_of_reads(world: World) -> None:
    for number in range(500):
        with pytest.raises(UnknownStore):
            world.credentials.get(f"madeup{number}")

    assert len(world.manager.calls) == 60
    world.now += 61
    assert world.credentials.get("abcde").access_token == "token"


def test_a_flood_of_bad_signatures_costs_two_reads_in_ten_seconds(world: World) -> None:
    world.credentials.get("abcde")
    world.now += 10
    world.manager.calls.clear()

    for _ in range(100):
        world.client_secrets()

    assert world.manager.calls == [("relay/abcde", "AWSCURRENT"), ("relay/abcde", "AWSPREVIOUS")]


def test_new_and_previous_signing_secrets_are_accepted_at_once(world: World) -> None:
    world.credentials.get("abcde")
    world.manager.put("relay/abcde", client_secret="second")
    world.now += 10

    assert world.client_secrets() == ["first", "second", "first"]


def test_a_refused_token_is_read_afresh_and_tried_once_more(world: World) -> None:
    world.credentials.get("abcde")
    world.manager.put("relay/abcde", access_token="new")
    world.now += 10
    tokens = []

    def call(found: StoreSecret) -> str:
        tokens.append(found.access_token)
        if found.access_token != "new":
            raise Unauthorised("HTTP 401")
        return "done"

    assert world.credentials.authorised("abcde", call) == "done"
    assert tokens == ["token", "new"]


def test_when_secrets_manager_is_down_a_known_secret_is_used_on(world: World) -> None:
    world.credentials.get("abcde")
    world.now += 400
    world.manager.failure = EndpointConnectionError(endpoint_url="https://secrets")

    assert world.credentials.get("abcde").client_secret == "first"
    assert world.client_secrets() == ["first"]


@pytest.mark.parametrize(
    "failure", [EndpointConnectionError(endpoint_url="x"), ClientError({"Error": {"Code": "Throttling"}}, "Get")]
)
def test_when_secrets_manager_is_down_an_unread_secret_is_for_later(world: World, failure: Exception) -> None:
    world.manager.failure = failure

    with pytest.raises(RetryLater) as error:
        world.credentials.get("abcde")

    assert error.value.cause == "secret_unavailable"
    assert not isinstance(error.value, UnknownStore)


def test_a_malformed_secret_is_told_apart_and_looked_at_again_after_a_minute(world: World) -> None:
    world.manager.versions["relay/abcde", "AWSCURRENT"] = "oops"
    with pytest.raises(SecretInvalid):
        world.credentials.get("abcde")
    with pytest.raises(SecretInvalid):
        world.credentials.refreshed("abcde")

    world.manager.put("relay/abcde")
    world.now += 60

    assert world.credentials.get("abcde").access_token == "token"


ENVIRONMENT = {
    "EVENT_BUS_NAME": "bus",
    "RECOVERY_QUEUE_URL": "https://sqs/recovery",
    "DEAD_LETTER_QUEUE_URL": "https://sqs/dead",
    "IDEMPOTENCY_TABLE": "table",
    "SECRET_PREFIX": "relay",
    "STORE_API_URL": "https://api.bigcommerce.com/",
    "B2B_API_URL": "http://127.0.0.1:8080",
    "LATE_REQUESTS_PER_MINUTE": "60",
    "RECOVERY_FIRST_DELAY_SECONDS": "5",
    "RECOVERY_LONGEST_DELAY_SECONDS": "3600",
    "GIVE_UP_AFTER_MINUTES": "1440",
    "REMEMBER_DONE_DAYS": "35",
}


def test_the_environment_becomes_settings() -> None:
    settings = Settings.from_environment(ENVIRONMENT)

    assert settings.store_api_url == "https://api.bigcommerce.com"
    assert settings.late_requests_per_minute == 60


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVENT_BUS_NAME", " "),
        ("GIVE_UP_AFTER_MINUTES", "soon"),
        ("GIVE_UP_AFTER_MINUTES", "0"),
        ("GIVE_UP_AFTER_MINUTES", "inf"),
        ("STORE_API_URL", "http://api.bigcommerce.com"),
        ("STORE_API_URL", "ftp://127.0.0.1"),
        ("STORE_API_URL", "https://"),
        ("STORE_API_URL", "https://me:pw@api.bigcommerce.com"),
        ("STORE_API_URL", "https://api.bigcommerce.com?x=1"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        Settings.from_environment(ENVIRONMENT | {name: value})
