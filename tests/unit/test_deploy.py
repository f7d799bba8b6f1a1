"""`make deploy`: which stack, which region, what is passed on, and when a new version is published."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from deployment import deploy as deploying
from deployment.deploy import Environment, fingerprint, main, overridden, stamped, values
from relay.errors import CliError
from relay.stack import LONGEST_NAME
from sandbox.aws.emulator import ROOT

if TYPE_CHECKING:
    from pathlib import Path

GENUINE = deploying.deployed_parameters
SAMCONFIG = (ROOT / "samconfig.toml").read_text(encoding="utf-8")


def config(stack: str = "relay", **deploy: Any) -> str:
    lines = "\n".join(f"{name} = {value!r}" for name, value in deploy.items())
    return f'version = 0.1\n[x.global.parameters]\nstack_name = "{stack}"\n[x.deploy.parameters]\n{lines}\n'


def test_the_environments_of_the_shipped_file_are_two_stacks() -> None:
    stacks = {name: Environment.read(SAMCONFIG, name).stack for name in ("default", "prod")}
    assert stacks == {"default": "b2b-order-relay", "prod": "b2b-order-relay-prod"}


def test_an_environment_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(CliError, match="no environment staging") as raised:
        Environment.read(SAMCONFIG, "staging")
    assert raised.value.fix == "Choose one with CONFIG_ENV: default, prod"


@pytest.mark.parametrize("name", ["", "1st", "under_score", "x" * (LONGEST_NAME + 1)])
def test_a_name_that_would_fail_in_the_middle_of_a_deployment_is_refused_before(name: str) -> None:
    with pytest.raises(CliError, match="not a valid stack name"):
        Environment.read(config(name), "x")


def test_the_longest_name_is_accepted() -> None:
    assert len(Environment.read(config("x" * LONGEST_NAME), "x").stack) == LONGEST_NAME


@pytest.mark.parametrize(
    "written",
    [
        ["LogLevel=DEBUG", 'RunbookUrl="https://x.example/a=b"'],
        'LogLevel=DEBUG RunbookUrl="https://x.example/a=b"',
        "ParameterKey=LogLevel,ParameterValue=DEBUG ParameterKey=RunbookUrl,ParameterValue=https://x.example/a=b",
    ],
)
def test_parameters_are_understood_in_each_form_that_sam_reads(written: Any) -> None:
    found = overridden(Environment.read(config(parameter_overrides=written), "x").overrides)
    assert found == {"LogLevel": "DEBUG", "RunbookUrl": "https://x.example/a=b"}


def test_a_parameter_has_the_given_value_else_the_stacks_else_its_default() -> None:
    template = {"Parameters": {"A": {"Default": 1}, "B": {"Default": 2}, "C": {"Default": 3}}}
    assert values(template, {"B": "20", "C": "30", "Gone": "9"}, {"C": "300"}) == {"A": "1", "B": "20", "C": "300"}


class StubbedSession:
    """A session whose CloudFormation gives one answer."""

    def __init__(self, **answer: Any) -> None:
        session = boto3.Session("testing", "testing", region_name="eu-west-1")
        self._client = session.client("cloudformation")
        stubber = Stubber(self._client)
        if "error" in answer:
            stubber.add_client_error("describe_stacks", answer["error"], http_status_code=400)
        else:
            stubber.add_response("describe_stacks", answer)
        stubber.activate()

    def client(self, _service: str, **_: Any) -> Any:
        return self._client


def parameters_of(**answer: Any) -> dict[str, str]:
    session: Any = StubbedSession(**answer)
    return deploying.deployed_parameters(session, "eu-west-1", "relay")


def test_the_parameters_of_the_stack_are_read() -> None:
    stack = {
        "StackName": "relay",
        "CreationTime": datetime.now(tz=UTC),
        "StackStatus": "CREATE_COMPLETE",
        "Parameters": [{"ParameterKey": "LogLevel", "ParameterValue": "DEBUG"}],
    }
    assert parameters_of(Stacks=[stack]) == {"LogLevel": "DEBUG"}


def test_a_stack_that_is_not_there_has_none() -> None:
    assert parameters_of(error="ValidationError") == {}


def test_a_stack_that_may_not_be_read_is_no_missing_one() -> None:
    with pytest.raises(ClientError):
        parameters_of(error="AccessDenied")


# --- the fingerprint ----------------------------------------------------------------------------------------------


@pytest.fixture
def build(tmp_path: Path) -> Path:
    for name in ("OrderFunction/handler/app.py", "DependenciesLayer/python/requests/api.py", "template.yaml"):
        path = tmp_path / "build" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    return tmp_path / "build"


def test_the_same_build_with_the_same_parameters_has_the_same_fingerprint(build: Path) -> None:
    assert fingerprint(build, {"A": "1", "B": "2"}) == fingerprint(build, {"B": "2", "A": "1"})


def test_another_parameter_has_another_fingerprint(build: Path) -> None:
    assert fingerprint(build, {"LogLevel": "DEBUG"})[:10] != fingerprint(build, {"LogLevel": "INFO"})[:10]


@pytest.mark.parametrize(
    "name", ["OrderFunction/handler/app.py", "DependenciesLayer/python/requests/api.py", "template.yaml"]
)
def test_other_code_another_layer_or_another_template_has_another_fingerprint(build: Path, name: str) -> None:
    before = fingerprint(build, {})
    (build / name).write_text("changed", encoding="utf-8")
    changed = fingerprint(build, {})
    (build / name).rename(build / "elsewhere")
    assert len({before, changed, fingerprint(build, {})}) == 3


def test_each_function_is_marked_and_nothing_else() -> None:
    function = {"Type": "AWS::Serverless::Function", "Properties": {"Handler": "x"}}
    template = {"Resources": {"F": function, "Q": {"Type": "AWS::SQS::Queue"}}, "Outputs": {}}
    marked = {"Type": "AWS::Serverless::Function", "Properties": {"Handler": "x", "AutoPublishCodeSha256": "abc"}}
    assert stamped(template, "abc") == {"Resources": {"F": marked, "Q": {"Type": "AWS::SQS::Queue"}}, "Outputs": {}}


# --- the whole command --------------------------------------------------------------------------------------------


class Commands:
    """The commands that were run, and how they end; nothing is run."""

    def __init__(self, build: Path) -> None:
        self.run_so_far: list[list[str]] = []
        self.codes: dict[str, int] = {}
        self.stack: dict[str, str] = {}  # parameters of the stack that is there
        self.build = build

    def __call__(self, command: list[Any], **_: Any) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        self.run_so_far.append(words)
        kind = next(kind for kind in ("doctor", "build", "deploy") if kind in words)
        if kind == "build":
            template = {
                "Parameters": {"LogLevel": {"Default": "INFO"}, "AlarmEmail": {"Default": ""}},
                "Resources": {"F": {"Type": "AWS::Serverless::Function", "Properties": {}}},
            }
            self.build.mkdir(exist_ok=True)
            (self.build / "template.yaml").write_text(yaml.safe_dump(template), encoding="utf-8")
        return subprocess.CompletedProcess(words, self.codes.get(kind, 0))

    @property
    def deployed(self) -> list[str]:
        """Arguments of `sam deploy`."""
        return self.run_so_far[-1][2:]

    @property
    def mark(self) -> str:
        template = yaml.safe_load((self.build / "template.yaml").read_text(encoding="utf-8"))
        return str(template["Resources"]["F"]["Properties"]["AutoPublishCodeSha256"])


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    for name in ("AWS_REGION", "AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    commands = Commands(tmp_path / "build")
    monkeypatch.setattr(subprocess, "run", commands)
    monkeypatch.setattr(deploying, "BUILD", commands.build)
    monkeypatch.setattr(deploying, "deployed_parameters", lambda *_: commands.stack)
    return commands


def test_the_account_is_looked_at_then_it_is_built_then_deployed(commands: Commands) -> None:
    assert main(["--config-env", "prod", "--region", "eu-west-1"]) == 0
    doctor, build, _ = commands.run_so_far
    where = ["--stack", "b2b-order-relay-prod", "--region", "eu-west-1"]
    assert doctor[2:] == ["relay.main", "doctor", "--before-deploy", *where]
    assert build == ["make", "--no-print-directory", "build"]
    assert commands.deployed == ["--config-env", "prod", "--region", "eu-west-1"]


@pytest.mark.parametrize(("code", "told"), [(0, True), (1, False)])
def test_after_a_deployment_the_next_commands_are_told(
    commands: Commands, capsys: pytest.CaptureFixture[str], code: int, *, told: bool
) -> None:
    commands.codes["deploy"] = code

    assert main(["--config-env", "prod", "--region", "eu-west-1"]) == code
    assert ("export AWS_REGION=eu-west-1 RELAY_STACK=b2b-order-relay-prod\n" in capsys.readouterr().out) is told


@pytest.mark.parametrize(("fails", "code", "runs"), [("doctor", 1, 1), ("doctor", 2, 1), ("build", 2, 2)])
def test_what_fails_ends_the_deployment(commands: Commands, fails: str, code: int, runs: int) -> None:
    commands.codes[fails] = code
    assert main(["--region", "eu-west-1"]) == code
    assert len(commands.run_so_far) == runs


def test_what_is_only_not_known_does_not(commands: Commands) -> None:
    commands.codes["doctor"] = 3
    assert main(["--region", "eu-west-1"]) == 0
    assert len(commands.run_so_far) == 3


def test_without_a_region_it_says_so_before_anything_is_done(
    commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 1
    assert capsys.readouterr().err == "✗ No AWS region is set.\n  → Set it: make deploy REGION=eu-west-1\n"
    assert commands.run_so_far == []


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_of_the_shell_is_taken(commands: Commands, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "eu-north-1")
    assert main([]) == 0
    assert commands.deployed == ["--config-env", "default", "--region", "eu-north-1"]


def test_the_environments_own_region_comes_before_the_shells(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(deploying, "ROOT", tmp_path)
    (tmp_path / "samconfig.toml").write_text(config(region="eu-west-3"), encoding="utf-8")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert main(["--config-env", "x"]) == 0
    assert commands.deployed[-1] == "eu-west-3"
    assert main(["--config-env", "x", "--region", "eu-central-1"]) == 0
    assert commands.deployed[-1] == "eu-central-1"


def test_without_credentials_it_says_so_before_anything_is_done(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(deploying, "deployed_parameters", GENUINE)
    assert main(["--region", "eu-west-1"]) == 1
    assert capsys.readouterr().err.startswith("✗ No AWS credentials were found.\n")
    assert commands.run_so_far == []


def test_an_address_is_added_to_the_parameters_that_the_file_has(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(deploying, "ROOT", tmp_path)
    text = config(parameter_overrides=["LogLevel=DEBUG", "AlarmEmail=old@example.com"])
    (tmp_path / "samconfig.toml").write_text(text, encoding="utf-8")
    assert main(["--config-env", "x", "--region", "eu-west-1", "--email", "ops@example.com", "--yes"]) == 0
    assert commands.deployed[4:] == [
        "--no-confirm-changeset",
        "--parameter-overrides",
        "LogLevel=DEBUG",
        "AlarmEmail=old@example.com",
        "AlarmEmail=ops@example.com",
    ]


def test_the_same_values_publish_no_version_wherever_they_come_from(commands: Commands) -> None:
    def mark(*options: str) -> str:
        assert main(["--region", "eu-west-1", *options]) == 0
        return commands.mark

    fresh, with_address = mark(), mark("--email", "ops@example.com")
    assert fresh == mark() != with_address
    commands.stack = {"AlarmEmail": "ops@example.com"}
    assert mark() == with_address


def test_a_guided_deployment_publishes_a_version_since_its_answers_come_later(commands: Commands) -> None:
    marks = set()
    for _ in range(2):
        assert main(["--region", "eu-west-1", "--guided"]) == 0
        marks.add(commands.mark)
    assert len(marks) == 2
    assert "--guided" in commands.deployed


def test_the_stack_of_an_environment_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config-env", "prod", "--print-stack"]) == 0
    assert capsys.readouterr().out == "b2b-order-relay-prod\n"
