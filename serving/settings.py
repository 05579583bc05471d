"""What the service reads from its environment, once, into one frozen object."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from features.errors import InputError

MODEL_MODES = ("auto", "required", "none")


@dataclass(frozen=True)
class Settings:
    """Settings of one process.

    Attributes:
        home: the folder with all state (``SMOKE_HOME``).
        host: the address that ``smoke serve`` listens on (``SMOKE_HOST``).
        port: its port (``SMOKE_PORT``).
        model: ``auto`` uses the promoted model when there is one, ``required`` is not ready without one, ``none``
            scores by the rules alone (``SMOKE_MODEL``).
        max_body_bytes: larger requests are refused (``SMOKE_MAX_BODY_BYTES``).
        max_subjects: subjects of one request (``SMOKE_MAX_SUBJECTS``).
        cached_runs: how many moments are held in memory (``SMOKE_CACHED_RUNS``).
    """

    home: Path = Path(".smoke")
    host: str = "127.0.0.1"
    port: int = 3000
    model: str = "auto"
    max_body_bytes: int = 10_000_000
    max_subjects: int = 1000
    cached_runs: int = 4

    @property
    def champion(self) -> Path:
        """Return the folder that promotion exports the serving model to."""
        return self.home / "models" / "champion"


def settings_from(environment: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables; what is not set has its default.

    Raises:
        InputError: a number is none, or the model mode is unknown.
    """
    default = Settings()
    mode = environment.get("SMOKE_MODEL", default.model)
    if mode not in MODEL_MODES:
        raise InputError(
            f"SMOKE_MODEL is {mode!r}.", field="SMOKE_MODEL", mend=f"set it to one of {', '.join(MODEL_MODES)}."
        )
    return Settings(
        home=Path(environment.get("SMOKE_HOME") or default.home),
        host=environment.get("SMOKE_HOST") or default.host,
        port=_number(environment, "SMOKE_PORT", default.port, low=0),
        model=mode,
        max_body_bytes=_number(environment, "SMOKE_MAX_BODY_BYTES", default.max_body_bytes),
        max_subjects=_number(environment, "SMOKE_MAX_SUBJECTS", default.max_subjects),
        cached_runs=_number(environment, "SMOKE_CACHED_RUNS", default.cached_runs),
    )


def _number(environment: Mapping[str, str], name: str, default: int, *, low: int = 1) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < low:
        raise InputError(f"{name} is {text!r}.", field=name, mend=f"set it to a whole number of at least {low}.")
    return int(text)
