"""`relay store` and `relay hook`: genuine HTTP to the simulated store, moto for Secrets Manager and DynamoDB."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.exceptions import ClientError

from handler.credentials import Credentials
from handler.errors import NotProven
from handler.signature import prove
from relay.vault import Vault
from sandbox.stores import Store
from sandbox.webhooks import sign
from support.relay import Desk, desk_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN, CLIENT_SECRET = "abc123-access-token", "abc123-client-secret"
WHOLE = {"access_token": TOKEN, "client_secret": CLIENT_SECRET}


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with desk_of(Store(hash="abc123"), monkeypatch) as desk:
        yield desk


def add(desk: Desk, values: dict[str, Any], code: int = 0) -> str:
    return desk.run("store", "add", "abc123", "--from-file", "-", typed=json.dumps(values), code=code).output


def saved(desk: Desk) -> Any:
    text = boto3.client("secretsmanager").get_secret_value(SecretId=f"relay/{desk.store.hash}")["SecretString"]
    return json.loads(text)


def test_a_store_is_added_and_listed(desk: Desk) -> None:
    output = add(desk, WHOLE)

    assert saved(desk) == WHOLE
    assert "relay hook create abc123" in output
    [row] = desk.json("store", "list")
    assert row == {
        "store": "abc123",
        "secret": "complete",
        "client_secret": True,
        "b2b_token": False,
        "webhook_header": False,
        "listed": True,
    }


def test_a_store_that_only_has_a_secret_is_shown_and_joins_the_list(desk: Desk) -> None:
    client = boto3.client("secretsmanager")
    client.create_secret(Name="relay/abc123", SecretString=json.dumps(WHOLE))
    for other in ("relayed/abc", "relay/not-a-store", "my/relay/abc"):
        client.create_secret(Name=other, SecretString="{}")

    [row] = desk.json("store", "list")
    assert (row["store"], row["secret"], row["listed"]) == ("abc123", "complete", False)

    desk.run("store", "add", "abc123", typed="\n\n\n")

    assert desk.json("store", "list")[0]["listed"] is True
    assert saved(desk) == WHOLE


def test_without_the_right_to_list_secrets_the_stores_on_the_list_are_shown(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(desk, WHOLE)
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListSecrets")
    monkeypatch.setattr(Vault, "stores", Mock(side_effect=denied))

    result = desk.run("store", "list")

    assert "AWS refused ListSecrets (AccessDeniedException)" in result.output
    assert "abc123" in result.stdout


def test_values_are_asked_for_and_not_shown(desk: Desk) -> None:
    output = desk.run("store", "add", "abc123", typed=f"{TOKEN}\n{CLIENT_SECRET}\n\n").output

    assert saved(desk) == WHOLE
    assert TOKEN not in output
    assert CLIENT_SECRET not in output


def test_what_is_not_given_stays(desk: Desk) -> None:
    add(desk, WHOLE | {"webhook_header": {"name": "x-relay-secret", "value": "v"}})
    desk.sandbox.configure(desk.store, access_token="fresh-token")

    desk.run("store", "add", "abc123", typed="fresh-token\n\n\n")

    assert saved(desk) == {
        "access_token": "fresh-token",
        "client_secret": CLIENT_SECRET,
        "webhook_header": {"name": "x-relay-secret", "value": "v"},
    }


@pytest.mark.parametrize("key", ["", "arn:aws:kms:us-east-1:123456789012:key/1234abcd"])
def test_a_new_secret_has_the_stacks_key(desk: Desk, key: str) -> None:
    desk.stack.parameters["SecretsKeyArn"] = key
    add(desk, WHOLE)

    assert boto3.client("secretsmanager").describe_secret(SecretId="relay/abc123").get("KmsKeyId", "") == key


def test_a_stack_without_a_prefix_keeps_its_secrets_under_its_name(desk: Desk) -> None:
    desk.stack.parameters["SecretPrefix"] = ""
    add(desk, WHOLE)

    assert boto3.client("secretsmanager").describe_secret(SecretId=f"{desk.stack.name}/abc123")


def test_null_removes_a_value(desk: Desk) -> None:
    add(desk, WHOLE)

    add(desk, {"client_secret": None})

    assert saved(desk) == {"access_token": TOKEN}
    assert desk.json("store", "list", code=1)[0]["secret"] == "cannot check webhooks"


@pytest.mark.parametrize(
    ("missing", "words"),
    [("core", "Orders: read-only"), ("b2b", "B2B Edition: modify"), ("hooks", "may not manage webhooks")],
)
def test_a_token_that_lacks_a_scope_is_not_saved_and_the_scope_is_named(desk: Desk, missing: str, words: str) -> None:
    desk.sandbox.configure(desk.store, missing_scopes={missing})

    output = add(desk, WHOLE, code=1)

    assert words in output
    assert "Nothing was saved" in output
    assert TOKEN not in output
    assert Vault(boto3.client("secretsmanager"), "relay").read("abc123") is None
    assert desk.json("store", "list") == []


def test_a_wrong_token_does_not_replace_a_good_one(desk: Desk) -> None:
    add(desk, WHOLE)

    output = add(desk, {"access_token": "mistyped"}, code=1)

    assert "wrong or was revoked" in output
    assert "mistyped" not in output
    assert saved(desk) == WHOLE


def test_without_the_check_it_is_saved_as_it_is(desk: Desk) -> None:
    desk.sandbox.down("*")

    desk.run("store", "add", "abc123", "--from-file", "-", "--no-check", typed=json.dumps(WHOLE))

    assert saved(desk) == WHOLE
    assert desk.sandbox.requests(store=desk.store) == []


@pytest.mark.parametrize(
    "text", ["no json", "[1]", '{"acces_token": "sesame"}', '{"client_secret": "sesame"}', '{"access_token": 7}']
)
def test_a_file_of_another_shape_is_refused_without_repeating_it(desk: Desk, tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret.json"
    path.write_text(text)

    output = desk.run("store", "add", "abc123", "--from-file", str(path), code=1).output

    assert "sesame" not in output
    assert "→" in output


def test_a_removed_store_comes_back_when_it_is_added_again(desk: Desk) -> None:
    add(desk, WHOLE)

    desk.run("store", "remove", "abc123", "--yes")

    assert desk.json("store", "list") == []
    add(desk, WHOLE)
    assert desk.json("store", "list")[0]["secret"] == "complete"


def test_removing_asks_first(desk: Desk) -> None:
    add(desk, WHOLE)

    desk.run("store", "remove", "abc123", typed="n\n", code=1)

    assert saved(desk) == WHOLE


def test_a_store_is_not_removed_under_its_active_webhook(desk: Desk) -> None:
    add(desk, WHOLE)
    desk.run("hook", "create", "abc123")

    output = desk.run("store", "remove", "abc123", "--yes", code=1).output

    assert "relay hook delete abc123" in output
    assert desk.json("store", "list")[0]["secret"] == "complete"


def test_what_is_no_store_hash_is_wrong_usage(desk: Desk) -> None:
    assert "lower-case letters and digits" in desk.run("store", "add", "ABC/1", code=2).output


# --- hooks -----------------------------------------------------------------------------------------------------------


def hooks(desk: Desk) -> list[Any]:
    return desk.sandbox.hooks(desk.store)


def test_a_hook_is_created_with_a_secret_header_of_its_own(desk: Desk) -> None:
    add(desk, WHOLE)

    output = desk.run("hook", "create", "abc123").output

    [hook] = hooks(desk)
    header = saved(desk)["webhook_header"]
    assert hook.destination == desk.destination
    assert hook.is_active
    assert hook.headers == {header["name"]: header["value"]}
    assert len(header["value"]) == 64
    assert header["value"] not in output


def test_creating_it_again_changes_nothing(desk: Desk) -> None:
    add(desk, WHOLE)
    first = desk.json("hook", "create", "abc123")
    secret = saved(desk)

    second = desk.json("hook", "create", "abc123")

    assert (first["change"], second["change"]) == ("created", "as it was")
    assert first["id"] == second["id"]
    assert saved(desk) == secret
    assert len(hooks(desk)) == 1


def test_a_hook_that_was_switched_off_or_lost_its_header_is_put_right(desk: Desk) -> None:
    add(desk, WHOLE)
    desk.run("hook", "create", "abc123")
    [hook] = hooks(desk)
    hook.is_active, hook.headers = False, {"x-own": "kept"}

    assert desk.json("hook", "create", "abc123")["change"] == "put right"

    assert hook.is_active
    assert hook.headers == {"x-own": "kept", "x-relay-secret": saved(desk)["webhook_header"]["value"]}


def test_hooks_that_were_there_before_get_the_header_all_of_them(desk: Desk) -> None:
    add(desk, WHOLE)
    for _ in range(2):
        desk.sandbox.add_hook(desk.store, desk.destination)
    desk.sandbox.add_hook(desk.store, "https://elsewhere.example.com/")

    output = desk.run("hook", "create", "abc123").output

    value = saved(desk)["webhook_header"]["value"]
    assert [hook.headers.get("x-relay-secret") for hook in hooks(desk)] == [value, value, None]
    assert "2 active hooks point here" in output
    assert "relay hook delete abc123 --id" in output


@pytest.mark.parametrize("proof", ["client_secret", "webhook_header", "both", "none"])
@pytest.mark.parametrize("before", ["no hook", "a hook"])
def test_no_webhook_is_refused_while_a_hook_is_created(desk: Desk, proof: str, before: str) -> None:
    """Between any two writes, whatever the hook would send is proven by the secret, or was refused all along."""
    secret: dict[str, Any] = {"access_token": TOKEN}
    if proof in {"client_secret", "both"}:
        secret["client_secret"] = CLIENT_SECRET
    if proof in {"webhook_header", "both"}:
        secret["webhook_header"] = {"name": "x-relay-secret", "value": "present"}
    add(desk, secret)
    if before == "a hook":
        headers = {"x-relay-secret": "present"} if "webhook_header" in secret else {}
        desk.sandbox.add_hook(desk.store, desk.destination, headers=headers)
    passes: list[bool] = []
    desk.after_each_write(lambda: passes.extend(is_proven(desk, hook) for hook in hooks(desk) if hook.is_active))

    desk.run("hook", "create", "abc123")

    needed_no_write = before == "a hook" and "webhook_header" in secret
    assert bool(passes) is not needed_no_write
    assert hooks(desk)
    was_refused_all_along = proof == "none" and before == "a hook"
    assert all(passes) or (was_refused_all_along and passes[-1])
    assert all(is_proven(desk, hook) for hook in hooks(desk))


def is_proven(desk: Desk, hook: Any) -> bool:
    """Whether the relay would take what this hook sends now, as a function that has just started."""
    body = b"{}"
    store = desk.store
    headers = {name.lower(): value for name, value in hook.headers.items()} | sign(
        body, store.client_secret, time.time()
    )
    client = boto3.client("secretsmanager")
    for secret in Credentials(client, lambda: client, "relay", list, time.time).for_proof(store.hash):
        try:
            prove(headers, body, secret)
        except NotProven:
            continue
        return True
    return False


def test_hooks_are_listed_with_what_matters(desk: Desk) -> None:
    add(desk, WHOLE)
    assert desk.json("hook", "list", "abc123", code=1)["hooks"] == []
    desk.run("hook", "create", "abc123")
    desk.sandbox.add_hook(desk.store, "https://elsewhere.example.com/")

    ours, other = desk.json("hook", "list", "abc123")["hooks"]

    assert (ours["points_here"], ours["active"], ours["carries_our_header"]) == (True, True, True)
    assert (other["points_here"], other["carries_our_header"]) == (False, False)
    assert "elsewhere" in desk.run("hook", "list", "abc123").output


@pytest.mark.parametrize("scope", ["store/channel/1/order/created", "store/order/*"])
def test_a_hook_of_a_channel_or_with_a_wildcard_is_put_right_too_and_no_other_made(desk: Desk, scope: str) -> None:
    add(desk, WHOLE)
    hook = desk.sandbox.add_hook(desk.store, desk.destination, scope)
    hook.is_active = False

    assert desk.json("hook", "create", "abc123")["change"] == "put right"

    assert hooks(desk) == [hook]
    assert hook.is_active
    assert hook.headers == {"x-relay-secret": saved(desk)["webhook_header"]["value"]}
    [row] = desk.json("hook", "list", "abc123")["hooks"]
    assert (row["scope"], row["points_here"], row["active"]) == (scope, True, True)


def test_hooks_of_two_channels_are_both_switched_on_and_no_doubles(desk: Desk) -> None:
    add(desk, WHOLE)
    for channel in (1, 2):
        hook = desk.sandbox.add_hook(desk.store, desk.destination, f"store/channel/{channel}/order/created")
        hook.is_active = channel == 1

    created = desk.json("hook", "create", "abc123")

    assert [hook.is_active for hook in hooks(desk)] == [True, True]
    assert created["warnings"] == []
    desk.sandbox.add_hook(desk.store, desk.destination)
    assert "3 active hooks point here" in desk.run("hook", "list", "abc123").output


def test_a_blocked_domain_is_told_with_its_remaining_time(desk: Desk) -> None:
    add(desk, WHOLE)
    desk.sandbox.block_domain(desk.store, "relay.example.com", 170)

    output = desk.run("hook", "create", "abc123").output

    assert "holds back all webhooks to this domain for another 3 m" in output


def test_a_hook_is_switched_and_deleted(desk: Desk) -> None:
    add(desk, WHOLE)
    desk.run("hook", "create", "abc123")
    [hook] = hooks(desk)

    desk.run("hook", "disable", "abc123", "--yes")
    assert not hook.is_active
    assert desk.json("hook", "enable", "abc123")["change"] == "switched on"
    assert hook.is_active
    assert desk.json("hook", "enable", "abc123")["change"] == "as it was"
    desk.run("hook", "delete", "abc123", typed="n\n", code=1)
    assert hooks(desk) == [hook]
    desk.run("hook", "delete", "abc123", typed="y\n")
    assert hooks(desk) == []
    assert "relay hook create" in desk.run("hook", "enable", "abc123", code=1).output


def test_of_several_hooks_one_has_to_be_named(desk: Desk) -> None:
    add(desk, WHOLE)
    first, second = (desk.sandbox.add_hook(desk.store, desk.destination) for _ in range(2))

    output = desk.run("hook", "delete", "abc123", "--yes", code=1).output
    assert str(first.id) in output
    assert "--id" in output
    desk.run("hook", "delete", "abc123", "--yes", "--id", str(second.id))

    assert hooks(desk) == [first]
    assert "no hook 1" in desk.run("hook", "delete", "abc123", "--yes", "--id", "1", code=1).output


def test_another_destination_is_used_and_told_of(desk: Desk) -> None:
    add(desk, WHOLE)

    output = desk.run("hook", "create", "abc123", "--destination", "https://hooks.example.com/w").output

    assert hooks(desk)[0].destination == "https://hooks.example.com/w"
    assert "CustomWebhookUrl=https://hooks.example.com/w" in output


def test_without_a_secret_there_is_no_hook(desk: Desk) -> None:
    assert "relay store add abc123" in desk.run("hook", "create", "abc123", code=1).output
