"""Every sample of events/, through the built function, under AWS's own runtime interface emulator and a clean Python."""

from __future__ import annotations

import json
import re
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from sandbox import sam
from sandbox.cloud import Cloud
from sandbox.emulator import CREDENTIALS, CloudError
from sandbox.invoke import FUNCTIONS, PARAMETERS, Bench
from sandbox.rie import run_events
from sandbox.sam_local import Invocation
from sandbox.samples import FOLDER, SAMPLES, STORE
from sandbox.scenarios import Stage, secret_of
from sandbox.store import SandboxStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the runtime interface emulator is a Linux program")


@dataclass(frozen=True)
class Emulated:
    """The built functions under the emulator, a fresh environment for each event."""

    built: Path
    environments: dict[str, dict[str, str]]

    def invoke(self, function: str, event: Mapping[str, Any]) -> Invocation:
        [answer] = run_events([event], self.built, function, self.environments[function])
        return Invocation(function, 0.0, answer, "", [])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam") / "build"
    sam.build(print, folder)
    return folder


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with SandboxStore.run() as sandbox:
        addresses = {"StoreApiUrl": sandbox.url, "B2BApiUrl": sandbox.url}
        with Cloud(PARAMETERS | addresses) as cloud:
            cloud.put_secret(STORE.hash, secret_of(STORE))
            yield Stage(sandbox, cloud, STORE)


@pytest.fixture(scope="module")
def functions(stage: Stage, built: Path) -> Emulated:
    surroundings = CREDENTIALS | {"AWS_ENDPOINT_URL": stage.cloud.endpoint_url}
    return Emulated(built, {function: stage.cloud.variables(function) | surroundings for function in FUNCTIONS})


@pytest.fixture(scope="module")
def bench(stage: Stage, functions: Emulated) -> Bench:
    return Bench(stage, functions)


def test_every_sample_is_tried_here() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(SAMPLES)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_what_a_sample_is_meant_to_show_happens(bench: Bench, name: str) -> None:
    outcome = bench.play(FOLDER / name, json.loads((FOLDER / name).read_text(encoding="utf-8")))

    assert outcome.as_it_should, outcome


@contextmanager
def lambda_and_codedeploy(functions: Emulated, told: list[Any]) -> Iterator[str]:
    """Lambda, where each function is the built one under the emulator, and CodeDeploy, which keeps what it is told."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            called = re.fullmatch(r"/2015-03-31/functions/([^/]+)/invocations", self.path)
            if called:
                answer = functions.invoke(called.group(1), body).answer
            else:
                answer = {"lifecycleEventHookExecutionId": body["lifecycleEventHookExecutionId"]}
                told.append((self.headers["X-Amz-Target"], body["status"]))
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nothing: the tests' output is the tests'."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.parametrize("broken", [False, True], ids=["a good release", "a release that does not start"])
def test_the_release_check_knows_a_good_release_from_a_broken_one(functions: Emulated, *, broken: bool) -> None:
    told: list[Any] = []
    versions = {"ORDER_FUNCTION_VERSION": "OrderFunction", "RECOVERY_FUNCTION_VERSION": "RecoveryFunction"}
    event = {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "h-1"}
    wrong = {"LATE_REQUESTS_PER_MINUTE": "many"} if broken else {}
    release = Emulated(
        functions.built, {name: environment | wrong for name, environment in functions.environments.items()}
    )
    with lambda_and_codedeploy(release, told) as url:
        environment = functions.environments["OrderFunction"] | versions | {"AWS_ENDPOINT_URL": url}
        [answer] = run_events([event], functions.built, "ReleaseCheckFunction", environment)
    expected = "Failed" if broken else "Succeeded"
    assert answer == expected
    assert told == [("CodeDeploy_20141006.PutLifecycleEventHookExecutionStatus", expected)]


def test_a_package_that_the_layer_lacks_is_noticed(bench: Bench, built: Path) -> None:
    library = built / "DependenciesLayer" / "python" / "standardwebhooks"
    hidden = library.rename(library.with_name("hidden"))
    name = "api-webhook.json"
    try:
        with pytest.raises(CloudError, match="No module named 'standardwebhooks'"):
            bench.play(FOLDER / name, json.loads((FOLDER / name).read_text(encoding="utf-8")))
    finally:
        hidden.rename(library)
