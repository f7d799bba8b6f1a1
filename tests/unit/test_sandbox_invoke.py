"""`make invoke`, without Docker: what is found on the machine, what the SAM CLI is told, and when an outcome is right."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from handler.settings import CONTAINER_HOST
from sandbox import cli
from sandbox.aws import docker
from sandbox.aws.docker import Docker, gateway_of
from sandbox.aws.emulator import CloudError
from sandbox.aws.sam_local import Invocation, arguments, template
from sandbox.demo import invoke
from sandbox.demo.invoke import Outcome
from sandbox.demo.samples import CUSTOMER_ID, FOLDER, ORDER_ID, SAMPLES, STORE, renew
from sandbox.store.b2b_api import Record
from sandbox.store.webhooks import sign

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = 1_800_000_000.0
LINUX = {"OperatingSystem": "Debian GNU/Linux 12", "Architecture": "x86_64"}
DESKTOP = {"OperatingSystem": "Docker Desktop", "Architecture": "aarch64"}
RUNNER = CliRunner()


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return event


# --- Docker on this machine ---------------------------------------------------------------------------------------


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A machine with a docker command that answers `info`, and so many addresses."""

    def make(info: dict[str, Any] | str, *, platform: str = "linux", addresses: tuple[str, ...] = ()) -> None:
        answers = {
            "info": info,
            "context": [{"Endpoints": {"docker": {"Host": "unix:///run/docker.sock"}}}],
            "network": [{"IPAM": {"Config": [{"Subnet": "172.17.0.0/16"}]}}],
        }

        def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
            answer = answers[command[1]]
            if isinstance(answer, str):
                return subprocess.CompletedProcess(command, 1, "", answer)
            return subprocess.CompletedProcess(command, 0, json.dumps(answer), "")

        def free_port(host: str) -> int:
            if host not in addresses:
                raise OSError("Cannot assign requested address")
            return 4566

        monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/docker")
        monkeypatch.setattr("subprocess.run", run)
        monkeypatch.setattr(docker, "free_port", free_port)
        monkeypatch.setattr(sys, "platform", platform)

    return make


def test_without_a_docker_command_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.setattr(invoke, "Cloud", lambda *_, **__: pytest.fail("the emulator was started"))

    result = RUNNER.invoke(cli.app, ["invoke", "events/bus-order.json"])

    assert result.exit_code == 1
    assert "Install Docker" in result.output
    assert "`make run`" in result.output


@pytest.mark.parametrize(
    ("platform", "mend"), [("linux", "systemctl start docker"), ("darwin", "Start Docker Desktop")]
)
@pytest.mark.parametrize(
    "info", ["Cannot connect to the Docker daemon", {"ServerErrors": ["Cannot connect to the Docker daemon"]}]
)
def test_a_docker_that_does_not_run_is_told_with_what_starts_it(
    machine: Callable[..., None], info: dict[str, Any] | str, platform: str, mend: str
) -> None:
    machine(info, platform=platform)

    with pytest.raises(CloudError, match=f"(?s)Cannot connect to the Docker daemon.*{mend}"):
        docker.find()


def test_on_linux_the_containers_reach_this_machine_at_their_gateway(machine: Callable[..., None]) -> None:
    machine(LINUX, addresses=("172.17.0.1",))

    assert docker.find() == Docker("unix:///run/docker.sock", "x86_64", "172.17.0.1")
    assert docker.find().address == "172.17.0.1"


@pytest.mark.parametrize(("info", "platform"), [(DESKTOP, "darwin"), (DESKTOP, "linux"), (LINUX, "darwin")])
def test_in_a_virtual_machine_the_host_name_leads_to_loopback(
    machine: Callable[..., None], info: dict[str, Any], platform: str
) -> None:
    machine(info, platform=platform)

    found = docker.find()

    assert (found.gateway, found.address) == ("", "127.0.0.1")


def test_a_gateway_that_is_no_address_of_this_machine_is_told(machine: Callable[..., None]) -> None:
    machine(LINUX)

    with pytest.raises(CloudError, match=r"172\.17\.0\.1.*no address of this machine"):
        docker.find()


@pytest.mark.parametrize(
    ("configs", "gateway"),
    [
        ([{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.9"}], "172.17.0.9"),
        ([{"Subnet": "172.17.0.0/16"}], "172.17.0.1"),
        ([{"Subnet": "172.17.0.1/16"}], "172.17.0.1"),
        (
            [{"Subnet": "fd00::/64", "Gateway": "fd00::1"}, {"Subnet": "10.1.0.0/24", "Gateway": "10.1.0.1/24"}],
            "10.1.0.1",
        ),
    ],
)
def test_the_gateway_of_a_bridge(configs: list[dict[str, str]], gateway: str) -> None:
    assert gateway_of({"IPAM": {"Config": configs}}) == gateway


def test_a_bridge_without_ipv4_cannot_be_used() -> None:
    with pytest.raises(CloudError, match="no IPv4"):
        gateway_of({"IPAM": {"Config": [{"Subnet": "fd00::/64"}]}})


# --- what the SAM CLI is told --------------------------------------------------------------------------------------


def test_a_container_gets_the_whole_environment_of_its_function() -> None:
    function = {"CodeUri": "OrderFunction", "Handler": "app.handle", "Timeout": 15, "Environment": {"Variables": {}}}
    built = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Globals": {
            "Function": {"Runtime": "python3.13", "MemorySize": 512, "Architectures": [{"Ref": "Architecture"}]}
        },
        "Resources": {
            "DependenciesLayer": {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": "Layer"}},
            "OrderFunction": {"Type": "AWS::Serverless::Function", "Properties": function},
            "RecoveryFunction": {"Type": "AWS::Serverless::Function", "Properties": function},
        },
    }

    made = template(built, {"OrderFunction": {"AWS_ENDPOINT_URL": "http://host.docker.internal:4566"}}, "x86_64")

    assert set(made["Resources"]) == {"DependenciesLayer", "OrderFunction"}
    properties = made["Resources"]["OrderFunction"]["Properties"]
    assert properties["Environment"] == {"Variables": {"AWS_ENDPOINT_URL": "http://host.docker.internal:4566"}}
    assert properties["Architectures"] == ["x86_64"]
    assert (properties["Runtime"], properties["CodeUri"], properties["Timeout"]) == ("python3.13", "OrderFunction", 15)
    assert properties["Events"]["Webhook"]["Properties"] == {"Method": "POST", "Path": "/webhooks"}


def test_the_host_name_is_given_an_address_only_where_docker_has_none(tmp_path: Path) -> None:
    told = {
        gateway: arguments(Docker("unix:///run/docker.sock", "arm64", gateway), "start-lambda", tmp_path, 3001)
        for gateway in ("", "172.17.0.1")
    }

    assert set(told["172.17.0.1"]) - set(told[""]) == {f"--add-host={CONTAINER_HOST}:172.17.0.1"}
    assert "--host=127.0.0.1" in told[""]


# --- the samples ---------------------------------------------------------------------------------------------------


def test_a_webhook_that_a_user_has_edited_is_signed() -> None:
    edited = sample("api-webhook.json")
    edited["body"] = edited["body"].replace("250", "251")

    fresh = renew(edited, NOW)

    genuine = sign(fresh["body"].encode(), STORE.client_secret, NOW)["webhook-signature"]
    assert fresh["headers"]["Webhook-Signature"] == genuine


# --- outcomes ------------------------------------------------------------------------------------------------------

CREATED = Record(
    order_id=ORDER_ID,
    customer_id=CUSTOMER_ID,
    origin="created",
    created_at=NOW,
    updated_at=NOW,
    po_number="PO-250",
    rows=[
        {"fieldName": "Cost Center", "fieldValue": "CC-250"},
        {"fieldName": "ERP Order Id", "fieldValue": "ERP-250"},
    ],
    window_left=8.0,
)


OK = {"statusCode": 200, "body": ""}


@pytest.mark.parametrize(
    ("name", "answer", "record"),
    [
        ("api-webhook.json", OK, None),
        ("api-webhook.json", {"statusCode": 503, "body": "try again later"}, CREATED),
        ("api-webhook.json", OK, replace(CREATED, po_number="")),
        ("api-webhook.json", OK, replace(CREATED, rows=[])),
        ("api-webhook.json", OK, replace(CREATED, origin="automatic")),
        ("api-webhook-forged.json", OK, None),
        ("api-webhook-forged.json", {"statusCode": 401}, CREATED),
        ("api-webhook-other-scope.json", OK, CREATED),
        ("bus-order.json", None, replace(CREATED, window_left=-2.0)),
        ("recovery-message.json", {"batchItemFailures": [{"itemIdentifier": "1"}]}, CREATED),
        ("schedule.json", {STORE.hash: 0}, replace(CREATED, origin="automatic")),
    ],
)
def test_a_sample_that_does_not_come_out_as_it_should_is_told(name: str, answer: Any, record: Record | None) -> None:
    made = Outcome(name, SAMPLES[name], [Invocation("OrderFunction", 0.1, answer, "", [])])
    made.waiting = {"RecoveryQueue": 0, "DeadLetterQueue": 0}
    asked = SimpleNamespace(sandbox=SimpleNamespace(requests=lambda *_, **__: []))
    played: Any = SimpleNamespace(record=record, creates=int(record is not None), stage=asked, order=None)
    made.judge(played)
    assert not made.as_it_should


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["events/nothing.json"], ["Makefile"], [], ["events/bus-order.json", "--all"]])
def test_a_wrong_event_is_said_at_once_with_the_samples(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setattr(docker, "find", lambda: pytest.fail("Docker was asked"))

    result = RUNNER.invoke(cli.app, ["invoke", *words])

    assert result.exit_code == 2
    assert "events/api-webhook-forged.json" in result.output


def test_the_local_api_needs_docker_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.setattr("sandbox.console.serve.run", lambda *_, **__: pytest.fail("the sandbox was started"))

    result = RUNNER.invoke(cli.app, ["serve", "--local-api"])

    assert result.exit_code == 1
    assert "Install Docker" in result.output
