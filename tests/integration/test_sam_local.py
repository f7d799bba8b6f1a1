"""`sam local` as a process: waited for, asked, and ended so that it can remove its containers. A small server stands in for it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from sandbox.aws import sam
from sandbox.aws.docker import Docker
from sandbox.aws.emulator import CloudError
from sandbox.aws.sam_local import started

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DOCKER = Docker("unix:///run/docker.sock", "x86_64", "172.17.0.1")
BUILT = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Transform": "AWS::Serverless-2016-10-31",
    "Globals": {"Function": {"Runtime": "python3.13", "MemorySize": 512}},
    "Resources": {
        "DependenciesLayer": {"Type": "AWS::Serverless::LayerVersion", "Properties": {"ContentUri": "Layer"}},
        "OrderFunction": {
            "Type": "AWS::Serverless::Function",
            "Properties": {"CodeUri": "OrderFunction", "Handler": "app.handle", "Timeout": 15},
        },
    },
}
STAND_IN = """
import http.server, os, pathlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job inherits that it is ignored
answer = os.environ["STAND_IN_ANSWER"]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        print('{"level": "INFO", "message": "order created", "outcome": "created", "order": 250}', flush=True)
        print('{"_aws": {}, "OrderCreated": [1.0]}\\nREPORT RequestId: 1', flush=True)
        self.send_response(200)
        if "errorType" in answer:
            self.send_header("x-amz-function-error", "Unhandled")
        self.end_headers()
        self.wfile.write(answer.encode())
    def log_message(self, *_):
        pass
options = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:] if "=" in argument)
if answer == "does not start":
    sys.exit("Error: no image")
try:
    http.server.HTTPServer((options["host"], int(options["port"])), Handler).serve_forever()
except KeyboardInterrupt:
    pathlib.Path(os.environ["STAND_IN_ENDED"]).write_text(os.environ["DOCKER_HOST"])
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A SAM CLI that answers every event so; the file that it leaves when it is ended with SIGINT."""
    program, ended = tmp_path / "sam.py", tmp_path / "ended"
    program.write_text(STAND_IN)

    def build(_progress: object, destination: Path) -> None:
        destination.mkdir()
        (destination / "template.yaml").write_text(yaml.safe_dump(BUILT))

    def make(answer: str) -> Path:
        monkeypatch.setattr(sam, "build", build)
        monkeypatch.setattr(sam, "command", lambda *arguments, **_: [sys.executable, str(program), *arguments])
        monkeypatch.setenv("STAND_IN_ANSWER", answer)
        monkeypatch.setenv("STAND_IN_ENDED", str(ended))
        return ended

    return make


def test_it_is_asked_and_then_ended_at_the_docker_that_was_found(stand_in: Callable[[str], Path]) -> None:
    ended = stand_in('{"statusCode": 200}')

    with started(DOCKER, "start-lambda", {"OrderFunction": {}}, print) as functions:
        invocation = functions.invoke("OrderFunction", {"detail": {}})

    assert invocation.answer == {"statusCode": 200}
    assert not invocation.error
    assert [(line.message, line.outcome) for line in invocation.lines] == [("order created", "created")]
    assert ended.read_text() == DOCKER.endpoint


@pytest.mark.parametrize("answer", ['{"errorType": "RuntimeError", "errorMessage": "no"}', "", "Task timed out"])
def test_a_function_that_raised_or_gave_no_answer_has_failed(stand_in: Callable[[str], Path], answer: str) -> None:
    stand_in(answer)

    with started(DOCKER, "start-lambda", {"OrderFunction": {}}, print) as functions:
        assert functions.invoke("OrderFunction", {}).error


def test_what_it_said_is_told_when_it_does_not_start(stand_in: Callable[[str], Path]) -> None:
    stand_in("does not start")

    with (
        pytest.raises(CloudError, match=r"(?s)`sam local start-api` did not start.*no image"),
        started(DOCKER, "start-api", {"OrderFunction": {}}, print),
    ):
        pytest.fail("it has started")


def test_it_is_ended_when_something_else_fails(stand_in: Callable[[str], Path]) -> None:
    ended = stand_in("null")

    with pytest.raises(KeyboardInterrupt), started(DOCKER, "start-api", {"OrderFunction": {}}, print):
        raise KeyboardInterrupt

    assert ended.exists()
