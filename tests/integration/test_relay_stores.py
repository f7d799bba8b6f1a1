"""`relay store` and `relay hook`: genuine HTTP to the simulated store, moto for Secrets Manager and DynamoDB."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.exceptions import ClientError

from handler.bigcommerce.credentials import Credentials
from handler.bigcommerce.signature import authenticate
from handler.errors import Unauthenticated
from relay.store_secrets import StoreSecrets
from sandbox.store.settings import Store
from sandbox.store.webhooks import sign
from support.relay import RelayCli, relay_cli_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN, CLIENT_SECRET = "abc123-access-token", "abc123-client-secret"
WHOLE = {"access_token": TOKEN, "client_secret": CLIENT_SECRET}


@pytest.fixture
def relay_cli(monkeypatch: pytest.MonkeyPatch) -> Iterator[RelayCli]:
    with relay_cli_of(Store(hash="abc123"), monkeypatch) as relay_cli:
        yield relay_cli


def add(relay_cli: RelayCli, values: dict[str, Any], code: int = 0) -> str:
    return relay_cli.run("store", "add", "abc123", "--from-file", "-", typed=json.dumps(values), code=code).output


def saved(relay_cli: RelayCli) -> Any:
    text = boto3.client("secretsmanager").get_secret_value(SecretId=f"relay/{relay_cli.store.hash}")["SecretString"]
    return json.loads(text)


def test_a_store_is_added_and_listed(relay_cli: RelayCli) -> None:
    output = add(relay_cli, WHOLE)

    assert saved(relay_cli) == WHOLE
    assert "relay hook create abc123" in output
    [row] = relay_cli.json("store", "list")
    assert row == {
        "store": "abc123",
        "secret": "complete",
        "client_secret": True,
        "b2b_token": False,
        "webhook_header": False,
        "registered": True,
    }


def test_a_store_that_only_has_a_secret_is_shown_and_joins_the_list(relay_cli: RelayCli) -> None:
    client = boto3.client("secretsmanager")
    client.create_secret(Name="relay/abc123", SecretString=json.dumps(WHOLE))
    for other in ("relayed/abc", "relay/not-a-store", "my/relay/abc"):
        client.create_secret(Name=other, SecretString="{}")

    [row] = relay_cli.json("store", "list")
    assert (row["store"], row["secret"], row["registered"]) == ("abc123", "complete", False)

    relay_cli.run("store", "add", "abc123", typed="\n\n\n")

    assert relay_cli.json("store", "list")[0]["registered"] is True
    assert saved(relay_cli) == WHOLE


def test_without_the_right_to_list_secrets_the_stores_on_the_list_are_shown(
    relay_cli: RelayCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(relay_cli, WHOLE)
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListSecrets")
    monkeypatch.setattr(StoreSecrets, "stores", Mock(side_effect=denied))

    result = relay_cli.run("store", "list")

    assert "ListSecrets was denied (AccessDeniedException)" in result.output
    assert "abc123" in result.stdout


def test_values_are_asked_for_and_not_shown(relay_cli: RelayCli) -> None:
    output = relay_cli.run("store", "add", "abc123", typed=f"{TOKEN}\n{CLIENT_SECRET}\n\n").output

    assert saved(relay_cli) == WHOLE
    assert TOKEN not in output
    assert CLIENT_SECRET not in output


def test_what_is_not_given_stays(relay_cli: RelayCli) -> None:
    add(relay_cli, WHOLE | {"webhook_header": {"name": "x-relay-secret", "value": "v"}})
    relay_cli.sandbox.configure(relay_cli.store, access_token="fresh-token")

    relay_cli.run("store", "add", "abc123", typed="fresh-token\n\n\n")

    assert saved(relay_cli) == {
        "access_token": "fresh-token",
        "client_secret": CLIENT_SECRET,
        "webhook_header": {"name": "x-relay-secret", "value": "v"},
    }


@pytest.mark.parametrize("key", ["", "arn:aws:kms:us-east-1:123456789012:key/1234abcd"])
def test_a_new_secret_has_the_stacks_key(relay_cli: RelayCli, key: str) -> None:
    relay_cli.stack.parameters["SecretsKeyArn"] = key
    add(relay_cli, WHOLE)

    assert boto3.client("secretsmanager").describe_secret(SecretId="relay/abc123").get("KmsKeyId", "") == key


def test_a_stack_without_a_prefix_keeps_its_secrets_under_its_name(relay_cli: RelayCli) -> None:
    relay_cli.stack.parameters["SecretPrefix"] = ""
    add(relay_cli, WHOLE)

    assert boto3.client("secretsmanager").describe_secret(SecretId=f"{relay_cli.stack.name}/abc123")


def test_null_removes_a_value(relay_cli: RelayCli) -> None:
    add(relay_cli, WHOLE)

    add(relay_cli, {"client_secret": None})

    assert saved(relay_cli) == {"access_token": TOKEN}
    assert relay_cli.json("store", "list", code=1)[0]["secret"] == "cannot authenticate webhooks"


@pytest.mark.parametrize(
    ("missing", "words"),
    [("core", "Orders: read-only"), ("b2b", "B2B Edition: modify"), ("hooks", "may not manage webhooks")],
)
def test_a_token_that_lacks_a_scope_is_not_saved_and_the_scope_is_named(
    relay_cli: RelayCli, missing: str, words: str
) -> None:
    relay_cli.sandbox.configure(relay_cli.store, missing_scopes={missing})

    output = add(relay_cli, WHOLE, code=1)

    assert words in output
    assert "Nothing was saved" in output
    assert TOKEN not in output
    assert StoreSecrets(boto3.client("secretsmanager"), "relay").read("abc123") is None
    assert relay_cli.json("store", "list") == []


def test_a_wrong_token_does_not_replace_a_good_one(relay_cli: RelayCli) -> None:
    add(relay_cli, WHOLE)

    output = add(relay_cli, {"access_token": "mistyped"}, code=1)

    assert "wrong or was revoked" in output
    assert "mistyped" not in output
    assert saved(relay_cli) == WHOLE


def test_without_the_check_it_is_saved_as_it_is(relay_cli: RelayCli) -> None:
    relay_cli.sandbox.down("*")

    relay_cli.run("store", "add", "abc123", "--from-file", "-", "--no-check", typed=json.dumps(WHOLE))

    assert saved(relay_cli) == WHOLE
    assert relay_cli.sandbox.requests(store=relay_cli.store) == []


@pytest.mark.parametrize(
    "text", ["no json", "[1]", '{"acces_token": "sesame"}', '{"client_secret": "sesame"}', '{"access_token": 7}']
)
def test_a_file_of_another_shape_is_refused_without_repeating_it(
    relay_cli: RelayCli, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "secret.json"
    path.write_text(text)

    output = relay_cli.run("store", "add", "abc123", "--from-file", str(path), code=1).output

    assert "sesame" not in output
    assert "→" in output


def test_a_removed_store_comes_back_when_it_is_added_again(relay_cli: RelayCli) -> None:
    add(relay_cli, WHOLE)

    relay_cli.run("store", "remove", "abc123", "--yes")

    assert relay_cli.json("store", "list") == []
    add(relay_cli, WHOLE)
    assert relay_cli.json("store", "list")[0]["secret"] == "complete"


def test_removing_asks_first(relay_cli: RelayCli) -> None:
    add(relay_cli, WHOLE)

    relay_cli.run("store", "remove", "abc123", typed="n\n", code=1)

    assert saved(relay_cli) == WHOLE


def test_a_store_is_not_removed_under_its_active_webhook(relay_cli: RelayCli) -> None:
    add(relay_cli, WHOLE)
    relay_cli.run("hook", "create", "abc123")

    output = relay_cli.run("store", "remove", "abc123", "--yes", code=1).output

    assert "relay hook delete abc123" in output
    assert relay_cli.json("store", "list")[0]["secret"] == "complete"


def test_what_is_no_store_hash_is_wrong_usage(relay_cli: RelayCli) -> None:
    assert "lower-case letters and digits" in relay_cli.run("store", "add", "ABC/1", code=2).output


# --- hooks -----------------------------------------------------------------------------------------------------------


def hooks(relay_cli: RelayCli) -> list[Any]:
    return relay_cli.sandbox.hooks(relay_cli.store)


def test_a_hook_is_created_with_a_secret_header_of_its_own(relay_cli: RelayCli) -> None:
    add(relay_cli, WHOLE)

    output = relay_cli.run("hook", "create", "abc123").output

    [hook] = hooks(relay_cli)
    header = saved(relay_cli)["webhook_header"]
    assert hook.destination == relay_cli.destination
    assert hook.is_active
    assert hook.headers == {header["name"]: header["value"]}
    assert len(header["value"]) == 64
    assert header["value"] not in output


def test_creating_it_again_changes_nothing(relay_cli: RelayCli) -> None:
    add(relay_cli, WHOLE)
    first = relay_cli.json("hook", "create", "abc123")
    secret = saved(relay_cli)

    second = relay_cli.json("hook", "create", "abc123")

    assert (first["change"], second["change"]) == ("created", "unchanged")
    assert first["id"] == second["id"]
    assert saved(relay_cli) == secret
    assert len(hooks(relay_cli)) == 1


def test_a_hook_that_was_switched_off_or_lost_its_header_is_put_right(relay_cli: RelayCli) -> None:
    add(relay_cli, WHOLE)
    relay_cli.run("hook", "create", "abc123")
    [hook] = hooks(relay_cli)
    hook.is_active, hook.headers = False, {"x-own": "kept"}

    assert relay_cli.json("hook", "create", "abc123")["change"] == "corrected"

    assert hook.is_active
    assert hook.headers == {"x-own": "kept", "x-relay-secret": saved(relay_cli)["webhook_header"]["value"]}


def test_hooks_that_were_there_before_get_the_header_all_of_them(relay_cli: RelayCli) -> None:
    add(relay_cli, WHOLE)
    for _ in range(2):
        relay_cli.sandbox.add_hook(relay_cli.store, relay_cli.destination)
    relay_cli.sandbox.add_hook(relay_cli.store, "https://elsewhere.example.com/")

    output = relay_cli.run("hook", "create", "abc123").output

    value = saved(relay_cli)["webhook_header"]["value"]
    assert [hook.headers.get("x-relay-secret") for hook in hooks(relay_cli)] == [value, value, None]
    assert "2 active hooks point here" in output
    assert "relay hook delete abc123 --id" in output


@pytest.mark.parametrize("proof", ["client_secret", "webhook_header", "both", "none"])
@pytest.mark.parametrize("before", ["no hook", "a hook"])
def test_no_webhook_is_refused_while_a_hook_is_created(relay_cli: RelayCli, proof: str, before: str) -> None:
    """Between any two writes, whatever the hook would send is proven by the secret, or was refused all along."""
    secret: dict[str, Any] = {"access_token": TOKEN}
    if proof in {"client_secret", "both"}:
        secret["client_secret"] = CLIENT_SECRET
    if proof in {"webhook_header", "both"}:
        secret["webhook_header"] = {"name": "x-relay-secret", "value": "present"}
    add(relay_cli, secret)
    if before == "a hook":
        headers = {"x-relay-secret": "present"} if "webhook_header" in secret else {}
        relay_cli.sandbox.add_hook(relay_cli.store, relay_cli.destination, headers=headers)
    passes: list[bool] = []
    relay_cli.after_each_write(
        lambda: passes.extend(is_proven(relay_cli, hook) for hook in hooks(relay_cli) if hook.is_active)
    )

    relay_cli.run("hook", "create", "abc123")

    needed_no_write = before == "a hook" and "webhook_header" in secret
    assert bool(passes) is not needed_no_write
    assert hooks(relay_cli)
    was_refused_all_along = proof == "none" and before == "a hook"
    assert all(passes) or (was_refused_all_along and passes[-1])
    assert all(is_proven(relay_cli, hook) for hook in hooks(relay_cli))


def is_proven(relay_cli: RelayCli, hook: Any) -> bool:
    """Whether the relay would take what this hook sends now, as a function that has just started."""
    body = b"{}"
    store = relay_cli.store
    headers = {name.lower(): value for name, value in hook.headers.items()} | sign(
        body, store.client_secret, time.time()
    )
    client = boto3.client("secretsmanager")
    for secret in Credentials(client, lambda: client, "relay", list, time.time).for_webhook(store.hash):
        try:
            authenticate(headers, body, secret)
        except Unauthenticated:
            continue
        return True
    return False


def test_hooks_are_listed_with_what_matters(relay_cli: RelayCli) -> None:
    add(relay_cli, WHOLE)
    assert relay_cli.json("hook", "list", "abc123", code=1)["hooks"] == []
    relay_cli.run("hook", "create", "abc123")
    relay_cli.sandbox.add_hook(relay_cli.store, "https://elsewhere.example.com/")

    ours, other = relay_cli.json("hook", "list", "abc123")["hooks"]

    assert (ours["points_here"], ours["active"], ours["sends_secret_header"]) == (True, True, True)
    assert (other["points_here"], other["sends_secret_header"]) == (False, False)
    assert "elsewhere" in relay_cli.run("hook", "list", "abc123").output


@pytest.mark.parametrize("scope", ["store/channel/1/order/created", "store/order/*"])
def test_a_hook_of_a_channel_or_with_a_wildcard_is_put_right_too_and_no_other_made(
    relay_cli: RelayCli, scope: str
) -> None:
    add(relay_cli, WHOLE)
    hook = relay_cli.sandbox.add_hook(relay_cli.store, relay_cli.destination, scope)
    hook.is_active = False

    assert relay_cli.json("hook", "create", "abc123")["change"] == "corrected"

    assert hooks(relay_cli) == [hook]
    assert hook.is_active
    assert hook.headers == {"x-relay-secret": saved(relay_cli)["webhook_header"]["value"]}
    [row] = relay_cli.json("hook", "list", "abc123")["hooks"]
    assert (row["scope"], row["points_here"], row["active"]) == (scope, True, True)


def test_hooks_of_two_channels_are_both_switched_on_and_no_doubles(relay_cli: RelayCli) -> None:
    add(relay_cli, WHOLE)
    for channel in (1, 2):
        hook = relay_cli.sandbox.add_hook(
            relay_cli.store, relay_cli.destination, f"store/channel/{channel}/order/created"
        )
        hook.is_active = channel == 1

    created = relay_cli.json("hook", "create", "abc123")

    assert [hook.is_active for hook in hooks(relay_cli)] == [True, True]
    assert created["warnings"] == []
    relay_cli.sandbox.add_hook(relay_cli.store, relay_cli.destination)
    assert "3 active hooks point here" in relay_cli.run("hook", "list", "abc123").output


def test_a_blocked_domain_is_told_with_its_remaining_time(relay_cli: RelayCli) -> None:
    add(relay_cli, WHOLE)
    relay_cli.sandbox.block_domain(relay_cli.store, "relay.example.com", 170)

    output = relay_cli.run("hook", "create", "abc123").output

    assert "blocks all webhooks to this domain for another 3 m" in output


def test_a_hook_is_switched_and_deleted(relay_cli: RelayCli) -> None:
    add(relay_cli, WHOLE)
    relay_cli.run("hook", "create", "abc123")
    [hook] = hooks(relay_cli)

    relay_cli.run("hook", "disable", "abc123", "--yes")
    assert not hook.is_active
    assert relay_cli.json("hook", "enable", "abc123")["change"] == "enabled"
    assert hook.is_active
    assert relay_cli.json("hook", "enable", "abc123")["change"] == "unchanged"
    relay_cli.run("hook", "delete", "abc123", typed="n\n", code=1)
    assert hooks(relay_cli) == [hook]
    relay_cli.run("hook", "delete", "abc123", typed="y\n")
    assert hooks(relay_cli) == []
    assert "relay hook create" in relay_cli.run("hook", "enable", "abc123", code=1).output


def test_of_several_hooks_one_has_to_be_named(relay_cli: RelayCli) -> None:
    add(relay_cli, WHOLE)
    first, second = (relay_cli.sandbox.add_hook(relay_cli.store, relay_cli.destination) for _ in range(2))

    output = relay_cli.run("hook", "delete", "abc123", "--yes", code=1).output
    assert str(first.id) in output
    assert "--id" in output
    relay_cli.run("hook", "delete", "abc123", "--yes", "--id", str(second.id))

    assert hooks(relay_cli) == [first]
    assert "no hook 1" in relay_cli.run("hook", "delete", "abc123", "--yes", "--id", "1", code=1).output


def test_another_destination_is_used_and_told_of(relay_cli: RelayCli) -> None:
    add(relay_cli, WHOLE)

    output = relay_cli.run("hook", "create", "abc123", "--destination", "https://hooks.example.com/w").output

    assert hooks(relay_cli)[0].destination == "https://hooks.example.com/w"
    assert "CustomWebhookUrl=https://hooks.example.com/w" in output


def test_without_a_secret_there_is_no_hook(relay_cli: RelayCli) -> None:
    assert "relay store add abc123" in relay_cli.run("hook", "create", "abc123", code=1).output
