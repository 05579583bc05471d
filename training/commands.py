"""Commands: train, evaluate, promote."""

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from features.clock import now, parse_moment
from features.errors import InputError
from features.tables.source import read_source_tables
from features.tables.store import TableStore
from models.bundle import Bundle
from training.figures import METRICS, Figure
from training.fit import CANDIDATES, REFERENCES, Candidate
from training.judge import MODEL, RULES, SCREEN, Judgement, judge, rule_scores
from training.promote import promote_version
from training.registry import MODEL_NAME
from training.retrain import Retrained, labelled_from, retrain
from training.splits import KINDS, LATER, MARKET_OUT, RINGS, all_splits

HEADINGS = ("ROC-AUC", "average precision", "balanced accuracy", "Brier", "calibration error")
TITLES = {LATER: "later dates", RINGS: "unseen rings", MARKET_OUT: "market left out"}

NAMED = (*CANDIDATES, *REFERENCES)

Home = Annotated[Path, typer.Option(envvar="SMOKE_HOME", help="Folder with all state.")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="Outcomes known by this date or time; default today.")]
Splits = Annotated[Path | None, typer.Option(help="CSV: lot_id, ring_id, later_*, ring_test; default own splits.")]
Seed = Annotated[int, typer.Option(help="Seed of fits and bootstrap.", min=0)]
Chosen = Annotated[
    str | None,
    typer.Option("--candidate", help=f"Take one instead of choosing: {', '.join(one.name for one in NAMED)}."),
]


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def train(
    as_of: AsOf = None,
    splits: Splits = None,
    candidate: Chosen = None,
    promote: Annotated[bool, typer.Option("--promote", help="Serve it at once.")] = False,
    seed: Seed = 7,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.TABLE,  # noqa: A002
    home: Home = Path(".smoke"),
) -> None:
    """Fit and register a model on labelled outcomes. Example: smoke train --as-of 2026-06-30 --promote."""
    moment = _moment(as_of)
    chosen = _candidates(candidate)
    with _progress("训练模型…", len(chosen)) as step:
        done = retrain(home, moment, splits=splits, seed=seed, candidates=chosen, progress=step)
    if promote:
        promote_version(home, done.bundle.version)
    stated = _stated(done, promoted=promote)
    if format is Format.JSON:
        typer.echo(json.dumps(stated, ensure_ascii=False, indent=1))
    elif format is Format.CSV:
        typer.echo(pl.DataFrame(_market_rows(done)).write_csv(), nl=False)
    else:
        _show_training(done, promoted=promote)


def evaluate(
    splits: Splits = None,
    as_of: AsOf = None,
    leave_market_out: Annotated[bool, typer.Option(help="Judge each market by a model of the others.")] = True,
    candidate: Chosen = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap samples for the 95 % intervals.", min=0)] = 500,
    seed: Seed = 7,
    format: Annotated[Format, typer.Option(help="How to print.")] = Format.TABLE,  # noqa: A002
    home: Home = Path(".smoke"),
) -> None:
    """Judge on later dates, unseen rings and left-out markets. Example: smoke evaluate --splits splits.csv."""
    moment = _moment(as_of)
    kinds = [kind for kind in KINDS if leave_market_out or kind != MARKET_OUT]
    chosen = _candidates(candidate)
    lots = labelled_from(home, moment, splits).frame
    parted = all_splits(lots.filter("answerable"), kinds)
    source = read_source_tables(TableStore(home), run="train").collected()
    with _progress("评估模型…", len(parted)) as step:
        rules = rule_scores(source, moment, lots)
        found = judge(
            lots, parted, rules, seed=seed, candidates=chosen, n_resamples=resamples, kinds=kinds, progress=step
        )
    if format is Format.JSON:
        typer.echo(json.dumps(_judged(found, moment.isoformat()), ensure_ascii=False, indent=1))
    elif format is Format.CSV:
        typer.echo(found.figures.write_csv(), nl=False)
    else:
        _show_judgement(found)


def promote(
    version: Annotated[str, typer.Argument(help="Version in the registry, such as 3.")], home: Home = Path(".smoke")
) -> None:
    """Make a registered model the one that is served. Example: smoke promote 3."""
    with _progress("发布模型…", 1):
        bundle = promote_version(home, version)
    typer.echo(_served(bundle, home))


def _moment(as_of: str | None) -> Any:  # noqa: ANN401
    return parse_moment(as_of or now().date().isoformat())


def _candidates(name: str | None) -> tuple[Candidate, ...]:
    chosen = CANDIDATES if name is None else tuple(one for one in NAMED if one.name == name)
    if not chosen:
        names = ", ".join(one.name for one in NAMED)
        raise InputError(f"There is no candidate {name!r}.", field="--candidate", mend=f"name one of {names}.")
    return chosen


@contextmanager
def _progress(text: str, total: int) -> Generator[Callable[[str], None]]:
    """Show a bar on a terminal; nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=total)

        def step(name: str) -> None:
            bar.update(task, advance=1, description=f"{text} {name}")

        yield step


def _market_rows(done: Retrained) -> list[dict[str, Any]]:
    return [
        {"market": market, "answers": market in done.bundle.calibrations, "held_out_by": done.held_out_by[market]}
        | {metric: figures[metric].value for metric in METRICS}
        for market, figures in done.cross_validation.items()
    ]


def _stated(done: Retrained, *, promoted: bool) -> dict[str, Any]:
    return {
        "name": done.bundle.name,
        "version": done.bundle.version,
        "alias": "champion" if promoted else "challenger",
        "candidate": done.trained.candidate.name,
        "markets": list(done.bundle.calibrations),
        "silent_markets": done.silent,
        "held_out_by": dict(done.held_out_by),
        "choices": done.trained.choices.to_dicts(),
        "cross_validation": {
            market: {metric: asdict(figure) for metric, figure in figures.items()}
            for market, figures in done.cross_validation.items()
        },
    }


def _show_training(done: Retrained, *, promoted: bool) -> None:
    console = Console()
    alias = "champion, served" if promoted else f"challenger; serve it with: smoke promote {done.bundle.version}"
    console.print(f"{MODEL_NAME} version {done.bundle.version} ({alias})", markup=False)
    tried = RichTable(title="chosen on the training lots alone (mean ROC-AUC over markets)")
    for heading in ("candidate", "cross-validated", "market left out", "chosen"):
        tried.add_column(heading)
    for row in done.trained.choices.iter_rows(named=True):
        outside = "-" if row["market_left_out"] is None else f"{row['market_left_out']:.3f}"
        tried.add_row(row["candidate"], f"{row['cross_validated']:.3f}", outside, "*" if row["chosen"] else "")
    console.print(tried)
    table = RichTable(title="cross-validated, by market")
    for heading in ("market", "answers", "held out", *HEADINGS):
        table.add_column(heading, overflow="fold")
    for market, figures in done.cross_validation.items():
        answers = "yes" if market in done.bundle.calibrations else "silent"
        table.add_row(market, answers, done.held_out_by[market], *[_cell(figures[metric]) for metric in METRICS])
    console.print(table)
    if "lots" in done.held_out_by.values():
        console.print(
            "Held out by lots: neither rings nor time part that market, so its figures flatter.", markup=False
        )
    if done.silent:
        console.print(
            f"Silent in {', '.join(done.silent)}: too few outcomes, or no better on unseen lots than "
            "chance or than the market's share of confirmed lots alone.",
            markup=False,
        )


def _judged(found: Judgement, as_of: str) -> dict[str, Any]:
    return {
        "as_of": as_of,
        "figures": found.figures.to_dicts(),
        "reliability": found.reliability.to_dicts(),
        "coverage": found.coverage.to_dicts(),
        "choices": found.choices.to_dicts(),
    }


def _show_judgement(found: Judgement) -> None:
    console = Console()
    console.print("Each figure: mean over the folds that define it [95 % bootstrap interval].", markup=False)
    for kind in found.figures.get_column("split").unique(maintain_order=True):
        part = found.figures.filter(pl.col("split") == kind)
        table = RichTable(title=TITLES[kind])
        for heading in ("market", "scorer", "lots", "confirmed", *HEADINGS):
            table.add_column(heading, overflow="fold")
        for key, rows in part.group_by("market", "scorer", maintain_order=True):
            if key[1] not in (MODEL, SCREEN, RULES):
                continue
            by_metric = {row["metric"]: row for row in rows.iter_rows(named=True)}
            cells = [_cell(_figure(by_metric[metric])) for metric in METRICS]
            table.add_row(str(key[0]), str(key[1]), str(rows.item(0, "n")), str(rows.item(0, "n_positive")), *cells)
        console.print(table)
    _show_reliability(console, found)
    covered = RichTable(title="lots that the model can answer (three prices published, market known)")
    for heading in ("market", "labelled", "answerable", "confirmed", "confirmed answerable", "share"):
        covered.add_column(heading)
    for row in found.coverage.iter_rows(named=True):
        counts = (row["n_labelled"], row["n_answerable"], row["n_positive"], row["n_positive_answerable"])
        covered.add_row(str(row["market"]), *[str(one) for one in counts], f"{row['coverage']:.0%}")
    console.print(covered)


def _show_reliability(console: Console, found: Judgement) -> None:
    table = RichTable(title="calibration: predicted and observed share of confirmed lots")
    for heading in ("split", "market", "bin", "lots", "predicted", "observed"):
        table.add_column(heading, overflow="fold")
    for row in found.reliability.iter_rows(named=True):
        bounds = f"{row['low']:.1f}-{row['high']:.1f}"
        shares = (f"{row['predicted']:.2f}", f"{row['observed']:.2f}")
        table.add_row(TITLES[row["split"]], row["market"], bounds, str(row["n"]), *shares)
    console.print(table)


def _figure(row: dict[str, Any]) -> Figure:
    return Figure(row["value"], row["low"], row["high"], row["reason"])


def _cell(figure: Figure) -> str:
    if figure.value is None:
        return (figure.reason or "").replace("_", " ")
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} [{figure.low:.2f}, {figure.high:.2f}]"


def _served(bundle: Bundle, home: Path) -> str:
    markets = ", ".join(bundle.calibrations)
    return (
        f"{bundle.name} version {bundle.version} is served from {home / 'models' / 'champion'}; it answers in {markets}"
    )
