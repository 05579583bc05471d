"""The ``smoke`` command: puts the folders' own commands together, importing only what is asked for."""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import typer

from features.errors import SmokeError

COMMANDS: dict[str, tuple[str, str, str]] = {
    "ingest": (
        "features.ingest.commands",
        "ingest_app",
        "load a delivery: ingest all DIR, ingest S01 DIR, ingest tables DIR, ingest ocds FILE",
    ),
    "quarantine": ("features.ingest.commands", "quarantine_app", "list, show and replay what could not be taken"),
    "sources": ("features.ingest.sources_command", "sources_app", "list the source systems, show how a feed is mapped"),
    "fetch": ("features.ingest.fetch.command", "fetch", "pull what is new from a source's interface or views"),
    "keys": ("features.ingest.keys_command", "keys_app", "make the keys that personal data stand under"),
    "identities": (
        "features.ingest.identity.command",
        "identities_app",
        "decide who is meant where no code tells it",
    ),
    "build": ("features.commands", "build", "derive tables and indicators as of a date"),
    "indicators": ("features.commands", "indicators_app", "list, show or run the 84 indicators"),
    "parameters": (
        "features.parameters_command",
        "parameters_app",
        "propose and approve changes of parameters and lists",
    ),
    "quality": ("features.ingest.books.command", "quality_app", "sources, rules, books and rows that wait"),
    "access": ("features.access_command", "access_app", "list who read sensitive columns, and why"),
    "retention": ("features.retention_command", "retention_app", "list the rules, purge what is over, show the log"),
    "calendar": ("features.calendar_command", "calendar_app", "write working days for the table calendar_day"),
    "tables": ("features.tables.commands", "tables_app", "list and show the 73 tables, write the data dictionary"),
    "export": ("features.commands", "export", "write a table to a file"),
    "train": ("training.commands", "train", "fit and register a model on labelled outcomes"),
    "evaluate": ("training.commands", "evaluate", "judge the model on later dates, unseen rings and markets"),
    "promote": ("training.commands", "promote", "make a registered model the one that is served"),
    "score": ("serving.commands", "score", "write the index of all subjects as of a date"),
    "analyse": ("serving.analyses_command", "analyse", "answer one of the seven analyses for a region and a period"),
    "explain": ("serving.commands", "explain", "explain one score: smoke explain lot:ID"),
    "serve": ("serving.commands", "serve", "serve the API on 127.0.0.1:3000"),
    "demo": ("serving.demo", "demo", "simulate a city, ingest all its sources, build, score and serve"),
}
"""Name of each command: the module and attribute that hold it, and one line of help."""
PARTS = {
    "connect": ("dlt", "psycopg"),
    "train": ("mlflow", "sklearn", "shap"),
    "serve": ("bentoml", "starlette", "uvicorn", "prometheus_client"),
}
"""Optional parts of the installation, and the packages that come with each."""
INTERRUPTED = 130
"""Exit code after Ctrl-C; Typer gives it where the command was at work already."""
SERVING = ("serve", "demo")
"""Commands that run until somebody stops them."""


def main() -> None:
    """Run the command that the arguments name; what a user can mend is one line and exit code 1."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if not arguments or arguments[0] in ("--help", "-h"):
        typer.echo(overview())
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        typer.echo(f"smoke: there is no command {name!r}. Mend: see smoke --help.", err=True)
        return 2
    code = _exit_code(name, arguments)
    if code == INTERRUPTED and name not in SERVING:
        what = "Nothing is lost: the same command, run again, completes it."
        typer.echo(f"smoke {name}: stopped before its end. {what}", err=True)
    return code


def _exit_code(name: str, arguments: Sequence[str]) -> int:
    """Run a command; what stops it and can be mended is told in one line."""
    try:
        application(name)(list(arguments), prog_name="smoke")
    except SmokeError as error:
        typer.echo(f"smoke {name}: {' '.join(str(error).split())}", err=True)
        return 1
    except ModuleNotFoundError as error:
        part = next((part for part, packages in PARTS.items() if (error.name or "").split(".")[0] in packages), None)
        if part is None:
            raise
        typer.echo(f"smoke {name}: {error.name} is not installed. Mend: install smoke-index[{part}].", err=True)
        return 1
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        mend = "Mend: check the path, the permissions and the space on the disk."
        typer.echo(f"smoke {name}:{where}: {error.strerror or error}. {mend}", err=True)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    return 0


def overview() -> str:
    """Return the list of commands, without importing any of them."""
    lines = [f"  {name:<12}{text}" for name, (_, _, text) in COMMANDS.items()]
    example = "Example: smoke ingest tables DIR && smoke score --as-of 2026-06-30 --out scores.parquet"
    return "\n".join(
        ["Usage: smoke COMMAND [OPTIONS]", "", "冒烟指数: an explainable anomaly score.", "", *lines, "", example]
    )


def application(name: str) -> typer.Typer:
    """Return a Typer application with one of the commands."""
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.callback()(_nothing)
    module, attribute, _ = COMMANDS[name]
    part: typer.Typer | Callable[..., Any] = getattr(import_module(module), attribute)
    if isinstance(part, typer.Typer):
        app.add_typer(part, name=name)
    else:
        app.command(name)(part)
    return app


def _nothing() -> None:
    """冒烟指数."""


if __name__ == "__main__":
    main()
