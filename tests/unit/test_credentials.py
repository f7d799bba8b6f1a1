"""The stores' secrets: what they hold, how long they are kept in memory, and what an outage or a flood of invented stores costs."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from handler.aws_errors import error_code
from handler.bigcommerce.credentials import MOST_UNKNOWN, Credentials, SecretInvalid, StoreSecret, UnknownStore
from handler.errors import RetryLater, Unauthorized
from support.aws import FakeSecretsManager, refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from botocore.exceptions import BotoCoreError, ClientError

    from support.telemetry import Written


def secret(**values: Any) -> StoreSecret:
    return StoreSecret.parse(json.dumps({"access_token": "token"} | values))


def test_repr_of_a_secret_shows_none_of_its_values() -> None:
    shown = repr(secret(client_secret="client-mark", b2b_token="b2b-mark", access_token="access-mark"))

    assert "mark" not in shown


def test_one_token_is_used_for_both_apis_unless_a_second_is_given() -> None:
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
def test_a_malformed_secret_is_refused_with_a_message_without_its_values(text: str) -> None:
    with pytest.raises(SecretInvalid) as refused:
        StoreSecret.parse(text)

    assert "mark" not in str(refused.value)


class LimitedRole(FakeSecretsManager):
    """Secrets Manager as a role limited to `secret:<prefix>/*` meets it: an absent secret is denied, not missing."""

    def get_secret_value(self, *, SecretId: str, VersionStage: str) -> dict[str, str]:  # noqa: N803  boto3's names
        if SecretId not in self.secrets and self.error is None:
            self.asked.append((SecretId, VersionStage))
            raise refusal("AccessDeniedException")
        return FakeSecretsManager.get_secret_value(self, SecretId=SecretId, VersionStage=VersionStage)


@dataclass
class World:
    """Credentials of one store, "abcde", with a client for first reads and one for reading again."""

    manager: FakeSecretsManager = field(default_factory=FakeSecretsManager)
    quick: FakeSecretsManager = field(default_factory=FakeSecretsManager)
    now: float = 1000.0
    listed: set[str] = field(default_factory=lambda: {"abcde"})
    list_error: Exception | None = None
    list_reads: int = 0

    def __post_init__(self) -> None:
        self.quick.secrets = self.manager.secrets
        self.put("abcde", client_secret="first")
        self.credentials = Credentials(
            cast("Any", self.manager), lambda: cast("Any", self.quick), "relay", self.read_list, lambda: self.now
        )

    def put(self, store: str, **values: Any) -> None:
        self.manager.put(f"relay/{store}", json.dumps({"access_token": "token"} | values))

    def read_list(self) -> set[str]:
        self.list_reads += 1
        if self.list_error is not None:
            raise self.list_error
        return self.listed

    def at_door(self, store: str) -> list[str | None]:
        """The client secrets that may prove a webhook of this store."""
        return [found.client_secret for found in self.credentials.for_webhook(store)]

    def flood(self, number: int) -> None:
        """Forged webhooks of so many invented stores."""
        for each in range(number):
            with pytest.raises(RetryLater):
                self.at_door(f"invented{each}")

    def fail(self, error: Exception | None) -> None:
        self.manager.error = self.quick.error = error


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def limited_world() -> World:
    """A world in which Secrets Manager denies what is not there."""
    return World(manager=LimitedRole())


NO_CONNECTION = EndpointConnectionError(endpoint_url="https://secrets")


def test_a_secret_is_read_once_and_again_after_a_while(world: World) -> None:
    world.credentials.get("abcde")
    world.now += 299
    world.credentials.get("abcde")
    assert world.quick.asked == []

    world.now += 1
    world.credentials.get("abcde")

    assert (len(world.manager.asked), len(world.quick.asked)) == (1, 1)


def test_a_thread_that_needs_the_same_secret_waits_for_the_first_threads_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = threading.Thread(target=world.credentials.get, args=("abcde",), daemon=True)
    genuine = FakeSecretsManager.get_secret_value

    def read(manager: FakeSecretsManager, **names: str) -> dict[str, str]:
        answer = genuine(manager, **names)
        if other.ident is None:
            other.start()
            other.join(0.05)
        return answer

    monkeypatch.setattr(FakeSecretsManager, "get_secret_value", read)
    world.credentials.get("abcde")
    other.join(10)

    assert len(world.manager.asked) == 1


def test_an_unknown_store_is_not_asked_for_twice_within_a_minute(world: World) -> None:
    for _ in range(5):
        with pytest.raises(UnknownStore):
            world.credentials.get("nobody")
        world.now += 11
    assert len(world.manager.asked) == 1

    world.now += 60
    world.put("nobody")

    assert world.credentials.get("nobody").access_token == "token"


@pytest.mark.parametrize(
    "code",
    ["ResourceNotFoundException", "InvalidRequestException", "InvalidParameterException", "ValidationException"],
)
@pytest.mark.parametrize("in_memory", [False, True])
def test_a_secret_that_is_absent_or_scheduled_for_deletion_or_cannot_be_named_is_an_unknown_store(
    world: World, code: str, *, in_memory: bool
) -> None:
    if in_memory:
        world.credentials.get("abcde")
        world.now += 400
    world.fail(refusal(code))

    for _ in range(2):
        with pytest.raises(UnknownStore, match=code):
            world.at_door("abcde")
    assert len(world.manager.asked) + len(world.quick.asked) == (2 if in_memory else 1)


# --- invented stores --------------------------------------------------------------------------------------------------


def test_a_flood_of_invented_stores_costs_a_limited_number_of_reads(world: World) -> None:
    world.flood(500)

    assert len(world.manager.asked) == MOST_UNKNOWN


def test_a_steady_flood_never_refuses_a_store_that_the_table_lists(world: World) -> None:
    """1.05 invented stores a second, for nine minutes; each minute a listed store that is not in memory."""
    world.listed = {f"listed{minute}" for minute in range(9)}
    for minute in range(9):
        for second in range(63):
            with pytest.raises(UnknownStore):
                world.at_door(f"invented{minute}x{second}")
            world.now += 60 / 63
        world.put(f"listed{minute}", client_secret="shh")

        assert world.at_door(f"listed{minute}")[0] == "shh"
    assert world.list_reads <= 10


def test_a_store_outside_the_list_is_accepted_again_when_the_flood_is_over(world: World) -> None:
    world.put("unlisted", client_secret="shh")
    world.flood(MOST_UNKNOWN)
    with pytest.raises(UnknownStore, match="too many unknown stores"):
        world.at_door("unlisted")

    world.now += 61

    assert world.at_door("unlisted") == ["shh"]


def test_a_cached_store_is_accepted_during_a_flood_without_a_read_of_the_list(world: World) -> None:
    world.credentials.get("abcde")
    world.listed = set()
    world.flood(MOST_UNKNOWN)
    world.list_reads = 0

    assert world.at_door("abcde") == ["first"]
    assert world.list_reads == 0


def test_the_list_is_read_only_during_a_flood(world: World) -> None:
    world.at_door("abcde")
    world.flood(MOST_UNKNOWN)
    assert world.list_reads == 0

    world.flood(MOST_UNKNOWN + 100)

    assert world.list_reads == 1


@pytest.mark.parametrize("ask", [Credentials.get, Credentials.refreshed])
def test_the_limit_applies_only_to_webhooks(world: World, ask: Callable[[Credentials, str], StoreSecret]) -> None:
    world.put("unlisted")
    world.flood(500)

    assert ask(world.credentials, "unlisted").access_token == "token"
    assert world.credentials.authorized("unlisted", lambda found: found.access_token) == "token"


def test_when_the_list_cannot_be_read_no_real_store_is_refused(world: World) -> None:
    world.list_error = NO_CONNECTION
    world.put("unlisted", client_secret="shh")
    world.flood(500)

    assert world.at_door("unlisted") == ["shh"]
    assert world.list_reads == 1


@pytest.mark.parametrize("ask", [World.at_door, lambda world, store: world.credentials.get(store)])
def test_when_the_cache_of_unknown_stores_is_full_the_oldest_is_forgotten(ask: Callable[[World, str], object]) -> None:
    world = World(list_error=NO_CONNECTION)  # so that nothing is limited at the door
    invented = [f"invented{number}" for number in range(MOST_UNKNOWN + 1)]
    for store in [*invented, invented[-1], invented[1], invented[0]]:
        with pytest.raises(UnknownStore):
            ask(world, store)

    assert [name for name, _ in world.manager.asked] == [f"relay/{store}" for store in [*invented, invented[0]]]


# --- a role that is denied what is not there --------------------------------------------------------------------------


def test_a_denied_read_of_an_unlisted_store_is_an_unknown_store(limited_world: World, written: Written) -> None:
    for _ in range(5):
        with pytest.raises(UnknownStore, match="AccessDeniedException"):
            limited_world.at_door("nobody")
    assert len(limited_world.manager.asked) == 1
    assert written.metrics == {"SecretAccessDenied": [1.0]}

    limited_world.now += 60
    limited_world.put("nobody", client_secret="shh")

    assert limited_world.at_door("nobody") == ["shh"]


def test_denied_reads_are_limited_like_those_of_missing_secrets(limited_world: World) -> None:
    limited_world.flood(500)

    assert len(limited_world.manager.asked) == MOST_UNKNOWN


def test_a_denied_read_of_a_listed_store_is_an_outage(limited_world: World) -> None:
    limited_world.listed.add("listed")

    with pytest.raises(RetryLater, match="AccessDeniedException") as error:
        limited_world.at_door("listed")

    assert not isinstance(error.value, UnknownStore)


def test_a_denied_read_is_an_outage_while_the_list_cannot_be_read(limited_world: World) -> None:
    limited_world.list_error = refusal("ThrottlingException")

    with pytest.raises(RetryLater) as error:
        limited_world.at_door("nobody")

    assert not isinstance(error.value, UnknownStore)


def test_a_denied_read_of_a_cached_secret_is_an_outage_and_the_cached_secret_is_used(world: World) -> None:
    world.credentials.get("abcde")
    world.now += 400
    world.listed = set()
    world.fail(refusal("AccessDeniedException"))

    assert world.at_door("abcde") == ["first"]
    assert world.credentials.refreshed("abcde").client_secret == "first"


# --- a secret in memory -----------------------------------------------------------------------------------------------


def test_a_flood_of_bad_signatures_costs_two_reads_in_ten_seconds(world: World) -> None:
    world.credentials.get("abcde")
    world.now += 10

    for _ in range(100):
        world.at_door("abcde")

    assert world.quick.asked == [("relay/abcde", "AWSCURRENT"), ("relay/abcde", "AWSPREVIOUS")]


def test_new_and_previous_signing_secrets_are_accepted_at_once(world: World) -> None:
    world.credentials.get("abcde")
    world.put("abcde", client_secret="second")
    world.now += 10

    assert world.at_door("abcde") == ["first", "second", "first"]


def test_a_previous_secret_that_could_not_be_read_is_read_again_after_ten_seconds(world: World) -> None:
    world.put("abcde", client_secret="second")
    world.quick.error = NO_CONNECTION
    assert world.at_door("abcde") == ["second"]

    world.quick.error = None
    world.now += 10

    assert world.at_door("abcde") == ["second", "first"]


def test_after_a_refused_token_the_secret_is_read_again_and_the_call_repeated_once(world: World) -> None:
    world.credentials.get("abcde")
    world.put("abcde", access_token="new")
    world.now += 10
    tokens = []

    def call(found: StoreSecret) -> str:
        tokens.append(found.access_token)
        if found.access_token != "new":
            raise Unauthorized("HTTP 401")
        return "done"

    assert world.credentials.authorized("abcde", call) == "done"
    assert tokens == ["token", "new"]


OUTAGES = [
    NO_CONNECTION,
    ReadTimeoutError(endpoint_url="https://secrets"),
    *(
        refusal(code)
        for code in ("ThrottlingException", "InternalServiceError", "DecryptionFailure", "UnrecognizedClientException")
    ),
]


@pytest.mark.parametrize("failure", OUTAGES, ids=repr)
def test_during_an_outage_a_cached_secret_is_used_after_one_short_attempt(
    world: World, written: Written, failure: Exception
) -> None:
    world.credentials.get("abcde")
    world.now += 400
    world.fail(failure)

    for _ in range(3):
        assert world.credentials.get("abcde").client_secret == "first"
        assert world.credentials.refreshed("abcde").client_secret == "first"

    assert (len(world.manager.asked), len(world.quick.asked)) == (1, 1)
    assert written.metrics == {"SecretReadFailed": [1.0]}


def test_the_previous_secret_is_read_with_one_short_attempt_too(world: World) -> None:
    world.fail(None)
    world.put("abcde", client_secret="second")

    assert world.at_door("abcde") == ["second", "first"]
    assert (world.manager.asked, world.quick.asked) == (
        [("relay/abcde", "AWSCURRENT")],
        [("relay/abcde", "AWSPREVIOUS")],
    )


@pytest.mark.parametrize("failure", OUTAGES, ids=repr)
def test_during_an_outage_a_secret_that_is_not_cached_raises_retry_later(
    world: World, failure: ClientError | BotoCoreError
) -> None:
    world.fail(failure)

    with pytest.raises(RetryLater) as error:
        world.credentials.get("abcde")

    assert error.value.cause == "secret_unavailable"
    assert error.value.detail == f"Secrets Manager: {error_code(failure)}"
    assert not isinstance(error.value, UnknownStore)


def test_an_outage_is_not_cached(world: World) -> None:
    world.fail(NO_CONNECTION)
    with pytest.raises(RetryLater):
        world.credentials.get("abcde")

    world.fail(None)

    assert world.credentials.get("abcde").client_secret == "first"


def test_a_malformed_secret_has_its_own_error_and_is_read_again_after_a_minute(world: World) -> None:
    world.manager.secrets["relay/abcde"]["AWSCURRENT"] = "oops"
    for ask in (world.credentials.get, world.credentials.refreshed):
        with pytest.raises(SecretInvalid, match=r"it must be a JSON object$"):
            ask("abcde")
    assert len(world.manager.asked) == 1

    world.put("abcde")
    world.now += 60

    assert world.credentials.get("abcde").access_token == "token"
