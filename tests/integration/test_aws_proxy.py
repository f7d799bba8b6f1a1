"""The proxy in front of the emulator does by itself what AWS does and the emulator does not. Genuine boto3 clients."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.aws import proxy as aws_faults
from sandbox.aws.proxy import AwsFault, AwsProxy

if TYPE_CHECKING:
    from collections.abc import Iterator

PRESENT = "relay/present"


class Emulator(BaseHTTPRequestHandler):
    """Answers every call; knows one secret, which has no previous version."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        present = request.get("SecretId", PRESENT) == PRESENT and request.get("VersionStage") != "AWSPREVIOUS"
        text = "{}" if present else '{"__type": "ResourceNotFoundException", "message": "not found"}'
        self.send_response(200 if present else 400)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""


@pytest.fixture
def proxy() -> Iterator[AwsProxy]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Emulator) as emulator, AwsProxy.run() as proxy:
        threading.Thread(target=emulator.serve_forever, daemon=True).start()
        proxy.target = f"http://127.0.0.1:{emulator.server_port}"
        yield proxy
        emulator.shutdown()


def client(proxy: AwsProxy, service: str, attempts: int = 1) -> Any:
    connect: Any = boto3.client
    return connect(
        service,
        endpoint_url=proxy.url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
    )


@pytest.mark.parametrize(
    ("name", "stage", "code"),
    [
        ("relay/absent", "AWSCURRENT", "AccessDeniedException"),
        ("relay/absent", "AWSPREVIOUS", "AccessDeniedException"),
        (PRESENT, "AWSPREVIOUS", "ResourceNotFoundException"),
    ],
)
def test_a_secret_that_is_not_there_is_denied_and_a_version_that_is_not_there_is_not_found(
    proxy: AwsProxy, name: str, stage: str, code: str
) -> None:
    with pytest.raises(ClientError) as error:
        client(proxy, "secretsmanager").get_secret_value(SecretId=name, VersionStage=stage)

    assert error.value.response["Error"]["Code"] == code
    assert proxy.denied[name] == (code == "AccessDeniedException")


@pytest.mark.parametrize(("service", "resets"), [("dynamodb", True), ("secretsmanager", False)])
def test_a_connection_to_dynamodb_that_idled_is_reset_at_the_next_request(
    proxy: AwsProxy, monkeypatch: pytest.MonkeyPatch, service: str, *, resets: bool
) -> None:
    monkeypatch.setattr(aws_faults, "IDLE_SECONDS", 0.02)
    asked_once, asked_twice = client(proxy, service), client(proxy, service, attempts=2)

    def call(client: Any) -> None:
        if service == "dynamodb":
            client.get_item(TableName="orders", Key={"id": {"S": "1"}})
        else:
            client.get_secret_value(SecretId=PRESENT)

    call(asked_once)
    call(asked_twice)
    time.sleep(0.05)

    if resets:
        with pytest.raises(BotoCoreError, match=r"(?i)connection"):
            call(asked_once)
    else:
        call(asked_once)
    before = proxy.calls.total()
    call(asked_twice)
    assert proxy.calls.total() - before == (2 if resets else 1)


def test_a_fault_can_reset_a_connection_that_is_in_use(proxy: AwsProxy) -> None:
    dynamodb = client(proxy, "dynamodb")

    with proxy.fault(AwsFault("dynamodb.GetItem", resets=True, times=1)), pytest.raises(BotoCoreError):
        dynamodb.get_item(TableName="orders", Key={"id": {"S": "1"}})

    assert dynamodb.get_item(TableName="orders", Key={"id": {"S": "1"}})
