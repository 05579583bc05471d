"""The command ``smoke demo``: a simulated city from its deliveries to a served score."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from features.errors import InputError
from features.ingest.keys import DATA_KEY, HMAC_KEY, KEY_FILE, new_key_file
from features.output import write_frame
from features.tables.results import SmokeIndex
from features.tables.store import TableStore
from serving.commands import check_address, serve
from serving.settings import settings_from

ROOT = Path(__file__).resolve().parent.parent
AS_OF = "2025-12-31"
"""The last day of the simulated three years."""
SEED = 1
SHOWN = 10


def demo(
    projects: Annotated[int, typer.Option(min=1, help="Projects of the city.")] = 2058,
    home: Annotated[Path | None, typer.Option(help="Folder with all state; default SMOKE_HOME or .smoke.")] = None,
    port: Annotated[int | None, typer.Option(help="Default SMOKE_PORT or 3000.")] = None,
) -> None:
    """Simulate a city, ingest what its thirteen sources deliver, build, score and serve.

    The deliveries lie beside the home (.smoke-city for .smoke); a second run simulates nothing and finds every row
    unchanged.

    Example: smoke demo --projects 200 --port 3001.
    """
    settings = settings_from(os.environ)
    home = settings.home if home is None else home
    port = settings.port if port is None else port
    check_address(settings.host, port)
    if not (ROOT / "experiments" / "city").is_dir():
        raise InputError("The simulated city is missing.", field="demo", mend="run it in a clone of the repository.")
    os.environ.update(_keys())
    city = home.absolute().with_name(f"{home.name}-city-{projects}")
    if not _written(city, projects):
        _run("experiments.city", "--projects", str(projects), "--seed", str(SEED), "--out", str(city))
    _run("smoke", "ingest", "all", str(city / "deliveries"), "--home", str(home))
    _run("smoke", "build", "--as-of", AS_OF, "--home", str(home))
    _run("smoke", "score", "--as-of", AS_OF, "--out", str(home / "scores.parquet"), "--home", str(home))
    top = _top(home)
    write_frame(top.select("subject_id", "score", "coverage", "level"), None)
    typer.echo(
        "The index is rule-led here: a city learns of few cases, and late; smoke train fits a model on what it knows."
    )
    body = f'{{"as_of":"{AS_OF}","subjects":[{{"type":"lot","id":"{top.item(0, "subject_id")}"}}]}}'
    address = f"http://{settings.host}:{port}"
    typer.echo(f"curl -s {address}/v1/explain -H 'Content-Type: application/json' -d '{body}'")
    serve(port=port, home=home)


def _keys() -> dict[str, str]:
    """Return where the keys are: those that are configured, or a file of the demo's own in the user's folder."""
    if any(os.environ.get(name) for name in (KEY_FILE, HMAC_KEY, DATA_KEY)):
        return {}
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "smoke-index"
    file = folder / "demo.keys"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new_key_file(file)
        typer.echo(f"Keys for personal data: {file}", err=True)
    return {KEY_FILE: str(file)}


def _written(city: Path, projects: int) -> bool:
    """Tell whether a city of this size lies there whole; its manifest is written last."""
    manifest = city / "manifest.json"
    if not manifest.is_file():
        return False
    order = json.loads(manifest.read_text(encoding="utf-8"))["order"]
    return (order["projects"], order["seed"]) == (projects, SEED)


def _run(module: str, *arguments: str) -> None:
    """Run a step as a user would, so that its progress is seen; a step that fails ends the demo."""
    typer.echo(f"$ {module} {' '.join(arguments)}", err=True)
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)


def _top(home: Path) -> pl.DataFrame:
    """Return the lots with the highest index of the demo's moment."""
    index = TableStore(home).read(SmokeIndex).filter(pl.col("subject_type") == "lot").collect()
    return index.sort("score", "subject_id", descending=[True, False], nulls_last=True).head(SHOWN)
