"""The AWS on this machine: what it cannot do, and that nothing of it stays behind."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from sandbox.aws import sam
from sandbox.aws.cloud import Cloud, CloudError
from sandbox.aws.emulator import Emulator

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.without_relay("the emulator is what is tested")

METRIC = {"Namespace": "N", "MetricName": "m"}
ALARM = {"EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"}
ON_A_METRIC = {"Type": "AWS::CloudWatch::Alarm", "Properties": ALARM | METRIC | {"Period": 60, "Statistic": "Sum"}}
ON_AN_EXPRESSION = {
    "Type": "AWS::CloudWatch::Alarm",
    "Properties": ALARM
    | {
        "Metrics": [
            {"Id": "e", "Expression": "m * 2"},
            {"Id": "m", "ReturnData": False, "MetricStat": {"Metric": METRIC, "Period": 60, "Stat": "Sum"}},
        ]
    },
}


def state_of(emulator: Emulator, name: str, resource: dict[str, Any]) -> str:
    """What becomes of a stack of just this resource."""
    client = emulator.client("cloudformation")
    client.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"Resource": resource}}))
    while (state := client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]).endswith("IN_PROGRESS"):
        time.sleep(0.05)
    return str(state)


def refused_alone(emulator: Emulator, resource_type: str) -> bool:
    """Whether ministack refuses a stack of just this, because it does not know the type."""
    template = json.dumps({"Resources": {"Resource": {"Type": resource_type, "Properties": {}}}})
    try:
        emulator.client("cloudformation").create_stack(
            StackName=resource_type.replace("::", "-"), TemplateBody=template
        )
    except ClientError as error:
        return f"Unrecognized resource types: [{resource_type}]" in str(error)
    return False


def runs(pid: int) -> bool:
    """Whether the process is there, and not only its last breath."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_what_is_left_out_is_what_ministack_still_does_not_know(tmp_path: Path) -> None:
    with Emulator(tmp_path) as emulator:
        emulator.wait_until_ready()
        assert not refused_alone(emulator, "AWS::SQS::Queue")
        assert [kind for kind in sam.UNKNOWN_TYPES if not refused_alone(emulator, kind)] == []
        assert state_of(emulator, "metric", ON_A_METRIC) == "CREATE_COMPLETE"
        assert state_of(emulator, "expression", ON_AN_EXPRESSION) != "CREATE_COMPLETE"


def test_nothing_else_is_left_out() -> None:
    kept = {"Queue": {"Type": "AWS::SQS::Queue"}, "Alarm": ON_A_METRIC}
    left_out = {"Archive": {"Type": "AWS::Events::Archive"}, "Math": ON_AN_EXPRESSION}
    template = {"Resources": kept | left_out, "Outputs": {"Queue": {"Value": {"Ref": "Queue"}}}}
    deployed, removed = sam.without_unknown_types(template)
    assert deployed == {**template, "Resources": kept}
    assert removed == ["AWS::CloudWatch::Alarm with metric math", "AWS::Events::Archive"]


def test_a_deployment_that_fails_says_why_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.aws.cloud._fast_folder", lambda: str(tmp_path))
    cloud = Cloud({"StoreApiUrl": "http://example.com"})
    with pytest.raises(CloudError, match=r"StoreApiUrl.* must be an https address"), cloud:
        pass
    assert list(tmp_path.iterdir()) == []
    assert not runs(cloud.emulator.pid)


def test_an_interruption_ends_ministack_and_its_workers(tmp_path: Path) -> None:
    emulator, worker = Emulator(tmp_path), 0

    def interrupted() -> None:
        nonlocal worker
        with emulator:
            emulator.wait_until_ready()
            worker = worker_of(emulator)
            assert runs(worker)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not runs(worker)
    assert not runs(emulator.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address of this machine on Linux alone")
def test_ministack_listens_on_one_loopback_address_alone(tmp_path: Path) -> None:
    with Emulator(tmp_path) as emulator:
        emulator.wait_until_ready()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", emulator.port), timeout=2)


def worker_of(emulator: Emulator) -> int:
    """The process in which ministack runs a function."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", "import os\ndef handler(event, context):\n    return os.getpid()\n")
    functions = emulator.client("lambda")
    functions.create_function(
        FunctionName="who",
        Runtime="python3.13",
        Handler="app.handler",
        Role="arn:aws:iam::000000000000:role/none",
        Code={"ZipFile": code.getvalue()},
    )
    pid: int = json.load(functions.invoke(FunctionName="who")["Payload"])
    return pid
