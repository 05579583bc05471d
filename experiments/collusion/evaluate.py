"""Judges training on the labelled auctions and prints the tables of ``evaluate.md``.

Run: ``python -m experiments.collusion.evaluate --home HOME --splits SPLITS_CSV``, where HOME holds the tables that
``tables.py`` wrote. ``smoke evaluate`` gives the same figures; this adds the candidates side by side, and Okinawa
without the tenders after the last collusive one, where the date alone would tell.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from features.clock import parse_moment
from features.tables.source import read_source_tables
from features.tables.store import TableStore
from training.figures import METRICS
from training.fit import CANDIDATES, REFERENCES, Candidate
from training.judge import FIGURES, MODEL, RULES, SCREEN, Judgement, figures_of, judge, rule_scores
from training.retrain import labelled_from
from training.splits import KINDS, MARKET_OUT, RINGS, all_splits

OKINAWA = "X-JP-OKINAWA/works"
SEED, RESAMPLES = 7, 500


def judged(
    lots: pl.DataFrame, rules: pl.DataFrame, candidates: Sequence[Candidate], resamples: int = RESAMPLES
) -> Judgement:
    """Judge some candidates on every split."""
    return judge(
        lots,
        all_splits(lots.filter("answerable")),
        rules,
        seed=SEED,
        candidates=candidates,
        n_resamples=resamples,
        progress=lambda name: print(name, file=sys.stderr, flush=True),
    )


def in_the_cartels_time(found: Judgement, lots: pl.DataFrame) -> pl.DataFrame:
    """Return Okinawa's figures over the tenders that the splits by date use."""
    used = lots.filter(pl.col("later_50").is_not_null()).select("lot_id")
    rows: list[dict[str, Any]] = []
    for kind in (RINGS, MARKET_OUT):
        of_kind = (pl.col("split") == kind) & (pl.col("market") == OKINAWA)
        part = found.predictions.filter(of_kind).join(used, on="lot_id", how="semi", maintain_order="left")
        rows += figures_of(kind, OKINAWA, part, SEED, RESAMPLES)
    return pl.DataFrame(rows, schema=FIGURES)


def mean_auc(figures: pl.DataFrame, kind: str) -> float:
    """Return the mean over markets of the model's ROC-AUC."""
    of_kind = (pl.col("split") == kind) & (pl.col("scorer") == MODEL) & (pl.col("metric") == "roc_auc")
    return float(figures.filter(of_kind).get_column("value").drop_nulls().to_numpy().mean())


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figure_rows(figures: pl.DataFrame, kind: str) -> Iterable[list[str]]:
    """Return a row a market and scorer: the five figures with their intervals."""
    shown = pl.col("scorer").is_in([MODEL, SCREEN, RULES]) & (pl.col("n") > 0)
    part = figures.filter((pl.col("split") == kind) & shown)
    for (market, scorer), rows in part.group_by("market", "scorer", maintain_order=True):
        by_metric = {row["metric"]: row for row in rows.to_dicts()}
        counts = f"{rows.item(0, 'n')} / {rows.item(0, 'n_positive')}"
        yield [str(market), str(scorer), counts, *[cell(by_metric[metric]) for metric in METRICS]]


def cell(row: dict[str, Any]) -> str:
    """Return a figure with its interval; a dash where it is null."""
    if row["value"] is None:
        return "–"
    interval = "" if row["low"] is None else f" [{row['low']:.2f}, {row['high']:.2f}]"
    return f"{row['value']:.3f}{interval}"


def main() -> None:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--home", type=Path, required=True, help="folder with the loaded tables")
    parser.add_argument("--splits", type=Path, required=True, help="splits.csv of garcia2022")
    parser.add_argument("--as-of", default="2026-06-30", help="date")
    arguments = parser.parse_args()
    moment = parse_moment(arguments.as_of)
    lots = labelled_from(arguments.home, moment, arguments.splits).frame
    rules = rule_scores(read_source_tables(TableStore(arguments.home)).collected(), moment, lots)
    chosen = judged(lots, rules, CANDIDATES)
    headings = ("market", "scorer", "lots / confirmed", "ROC-AUC", "AP", "balanced accuracy", "Brier", "ECE")
    for kind in KINDS:
        print(f"\n## {kind}\n\n{markdown(headings, figure_rows(chosen.figures, kind))}")
    inside = in_the_cartels_time(chosen, lots)
    for kind in (RINGS, MARKET_OUT):
        print(f"\n## Okinawa in the cartel's time, {kind}\n\n{markdown(headings, figure_rows(inside, kind))}")
    print("\n## calibration\n")
    bins = (
        [row["split"], row["market"], f"{row['low']:.1f}–{row['high']:.1f}", str(row["n"]), *shares]
        for row in chosen.reliability.to_dicts()
        for shares in [(f"{row['predicted']:.2f}", f"{row['observed']:.2f}")]
    )
    print(markdown(("split", "market", "bin", "scored lots", "predicted", "observed"), bins))
    print("\n## chosen\n")
    counts = chosen.choices.group_by("split", "candidate", maintain_order=True).len()
    print(markdown(("split", "candidate", "times"), [[str(one) for one in row] for row in counts.iter_rows()]))
    print("\n## candidates, mean ROC-AUC over markets\n")
    table = [["chosen by cross-validation", *[f"{mean_auc(chosen.figures, kind):.3f}" for kind in KINDS]]]
    for one in (*CANDIDATES, *REFERENCES):
        figures = judged(lots, rules, [one], resamples=0).figures
        table.append([one.name, *[f"{mean_auc(figures, kind):.3f}" for kind in KINDS]])
    for scorer in (SCREEN, RULES):
        as_model = chosen.figures.filter(pl.col("scorer") == scorer).with_columns(scorer=pl.lit(MODEL))
        table.append([scorer, *[f"{mean_auc(as_model, kind):.3f}" for kind in KINDS]])
    print(markdown(("features", *KINDS), table))


if __name__ == "__main__":
    main()
