"""The service as processes: ``smoke serve`` and ``bentoml serve`` answer alike, and a killed one comes back."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
START_SECONDS = 120
REQUEST = {"as_of": "2015-12-31", "subjects": [{"type": "lot", "id": "tsu-1696"}]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(port: int, path: str, body: object = None) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data=data, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


@contextmanager
def served(command: list[str], port: int, home: Path, log: Path) -> Generator[subprocess.Popen[bytes]]:
    """Run a server in a process group of its own until it is ready; end the group afterwards."""
    environment = os.environ | {
        "SMOKE_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "true",
        "BENTOML_HOME": str(log.parent),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            _wait(process, port, log)
            yield process
        finally:
            _end(process)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if call(port, "/readyz")[0] == 200:
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"the server did not become ready:\n{log.read_text(errors='replace')[-4000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    # BentoML's workers are sessions of their own.
    with suppress(psutil.NoSuchProcess):
        for one in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                one.kill()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def smoke_serve(port: int) -> list[str]:
    return [str(BIN / "smoke"), "serve", "--port", str(port)]


def bentoml_serve(port: int) -> list[str]:
    return [str(BIN / "bentoml"), "serve", "serving.service:SmokeIndex", "--port", str(port), "--host", "127.0.0.1"]


def test_smoke_serve_and_bentoml_serve_give_the_same_answers(tsuchiura_home: Path, tmp_path: Path) -> None:
    bad: dict[str, Any] = {"subjects": [{"type": "boat", "id": "L"}]}
    asked = [("/v1/score", REQUEST), ("/v1/explain", REQUEST), ("/v1/score", bad), ("/docs.json", None)]
    answers: list[list[tuple[int, bytes]]] = []
    for name, command in (("smoke", smoke_serve), ("bentoml", bentoml_serve)):
        port = free_port()
        with served(command(port), port, tsuchiura_home, tmp_path / f"{name}.log"):
            answers.append([call(port, path, body) for path, body in asked])

    assert answers[0] == answers[1]
    assert [status for status, _ in answers[0]] == [200, 200, 400, 200]
    assert json.loads(answers[0][1][1])["results"][0]["contributions"]


def test_a_killed_service_starts_again_and_gives_the_same_answer(tsuchiura_home: Path, tmp_path: Path) -> None:
    answers: list[bytes] = []
    for run in range(2):
        port = free_port()
        with served(smoke_serve(port), port, tsuchiura_home, tmp_path / f"{run}.log") as process:
            answers.append(call(port, "/v1/explain", REQUEST)[1])
            os.killpg(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL

    assert answers[0] == answers[1]


def test_the_serving_process_opens_no_registry_and_no_explainer_of_training() -> None:
    # LightGBM itself imports pandas and scikit-learn where they are installed; the serving extra installs neither.
    code = "import sys, serving.app; print(sorted({'mlflow', 'shap', 'numba'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
