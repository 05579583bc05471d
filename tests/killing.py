"""Commands as processes: run to their end, or killed or interrupted on the way."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NOTHING: Mapping[str, str] = {}


def completed(command: Sequence[str], environment: Mapping[str, str] = NOTHING) -> dict[str, Any]:
    """Run a command to its end and return the JSON that it prints."""
    run = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, check=True, capture_output=True, text=True
    )
    return json.loads(run.stdout)


def killed_after(seconds: float, command: Sequence[str], environment: Mapping[str, str] = NOTHING) -> bool:
    """Run a command, kill it after so many seconds, tell whether it was still at work."""
    process = started(command, environment)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def killed_once(
    reached: Callable[[], bool],
    command: Sequence[str],
    environment: Mapping[str, str] = NOTHING,
    *,
    pause: float,
    patience_seconds: float,
) -> bool:
    """Start a command, kill it a moment after it has come so far; tell whether it was still at work."""
    process = started(command, environment)
    _wait(reached, process, patience_seconds)
    return killed_in(pause, process)


def interrupted_once(
    reached: Callable[[], bool], command: Sequence[str], *, patience_seconds: float
) -> tuple[int, str]:
    """Start a command, send it what Ctrl-C sends once it has come so far; return its exit code and its errors."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    _wait(reached, process, patience_seconds)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=patience_seconds)
    return process.returncode, said


def _wait(reached: Callable[[], bool], process: subprocess.Popen[Any], patience_seconds: float) -> None:
    limit = time.monotonic() + patience_seconds
    while process.poll() is None and not reached() and time.monotonic() < limit:
        time.sleep(0.001)


def killed_in(seconds: float, process: subprocess.Popen[Any]) -> bool:
    """Kill a process so many seconds from now; tell whether it was still at work."""
    time.sleep(seconds)
    was_at_work = process.poll() is None
    process.kill()
    process.wait()
    return was_at_work


def started(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a command whose words nobody reads."""
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
