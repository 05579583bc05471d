"""How labelled lots are parted: never one ring, one twin or one market on both sides."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.errors import TrainingError

Rows = NDArray[np.bool_]

LATER, RINGS, MARKET_OUT = "later_dates", "unseen_rings", "market_left_out"
KINDS = (LATER, RINGS, MARKET_OUT)
CUTS = (50, 60, 70, 80)
"""Without a file: percent of a market's lots, in order of opening, that lie before each cut."""
N_FOLDS = 5
LARGEST_RING = 0.6
"""A ring with a larger share of a market's confirmed lots cannot be held out: little would be left to learn."""


@dataclass(frozen=True)
class Split:
    """One way to part the lots.

    Attributes:
        kind: what the test lots are: ``KINDS``.
        name: the cut, the fold, or the market.
        train: rows to fit on, twins of test rows left out.
        test: rows to judge.
    """

    kind: str
    name: str
    train: Rows
    test: Rows


def read_splits(path: Path, lots: pl.DataFrame) -> pl.DataFrame:
    """Read a file of splits and put its columns beside the lots.

    Args:
        path: CSV with one row a lot: ``lot_id`` (or ``tender_id``, where each tender has one lot of that id),
            optionally ``ring_id`` (empty where unknown), ``later_*`` (``train``, ``test`` or empty for unused) and
            ``ring_test`` (one character a fold: 1 test, 0 train, - unused; empty where unknown).
        lots: rows of ``LabelledLots.frame``.

    Returns:
        The lots in their order, ``ring`` replaced by the file's ring within the market, and the file's later_* and
        ring_test columns.

    Raises:
        TrainingError: the file is missing, lacks its columns, repeats a lot, or has a value it may not have.
    """
    try:
        read = pl.read_csv(path, infer_schema=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        message = f"--splits {path} cannot be read as CSV ({error}). Mend: give a CSV with one row a lot."
        raise TrainingError(message) from error
    key = next((name for name in ("lot_id", "tender_id") if name in read.columns), None)
    later = [name for name in read.columns if name.startswith("later_")]
    if key is None or not (later or "ring_test" in read.columns):
        message = (
            f"--splits {path} has the columns {', '.join(read.columns)}; needed are lot_id (or tender_id) and "
            "later_* or ring_test. Mend: add them."
        )
        raise TrainingError(message)
    read = read.rename({key: "lot_id"}) if key != "lot_id" else read
    optional = [pl.lit(None, pl.String).alias(name) for name in ("ring_id", "ring_test") if name not in read.columns]
    read = read.with_columns(optional).select("lot_id", "ring_id", "ring_test", *later)
    _check_splits(path, read, later)
    ring = pl.when(pl.col("ring_id").is_not_null()).then(pl.concat_str("market", pl.lit("#"), "ring_id"))
    return lots.join(read, on="lot_id", how="left", maintain_order="left").with_columns(ring=ring).drop("ring_id")


def _check_splits(path: Path, read: pl.DataFrame, later: Sequence[str]) -> None:
    problem = None
    if read.get_column("lot_id").is_duplicated().any():
        problem = "a lot stands in it twice"
    for name in later:
        odd = set(read.get_column(name).drop_nulls()) - {"train", "test"}
        if odd:
            problem = f"{name} has {sorted(odd)[0]!r}, allowed are train, test and empty"
    tests = read.get_column("ring_test").drop_nulls()
    if not tests.str.contains(r"^[01-]+$").all() or tests.str.len_chars().n_unique() > 1:
        problem = "ring_test is not one character (0, 1 or -) for each of the same folds in every row"
    if problem:
        message = f"--splits {path}: {problem}. Mend: correct the file."
        raise TrainingError(message)


def all_splits(lots: pl.DataFrame, kinds: Sequence[str] = KINDS) -> list[Split]:
    """Return the splits of some kinds.

    Where the lots carry the columns of a file (``read_splits``), its cuts and folds are used; a market that the file
    never parts is trained on whole. Otherwise each market is cut in time, and rings are dealt to folds.
    """
    found: list[Split] = []
    if LATER in kinds:
        filed = [name for name in lots.columns if name.startswith("later_")]
        found += list(_filed_cuts(lots, filed) if filed else _own_cuts(lots))
    if RINGS in kinds:
        filed_rings = "ring_test" in lots.columns and lots.get_column("ring_test").count() > 0
        found += list(_filed_rings(lots) if filed_rings else _own_rings(lots))
    if MARKET_OUT in kinds:
        market = lots.get_column("market").to_numpy()
        names = sorted(set(market))
        if len(names) > 1:
            found += [_split(lots, MARKET_OUT, name, market != name, market == name) for name in names]
    return found


def _split(lots: pl.DataFrame, kind: str, name: str, train: Rows, test: Rows) -> Split:
    twin = lots.get_column("twin").to_numpy()
    return Split(kind, name, train & ~test & ~np.isin(twin, twin[test]), test)


def _filed_cuts(lots: pl.DataFrame, names: Sequence[str]) -> Iterator[Split]:
    for name in names:
        parted = pl.col(name).count().over("market") > 0
        side = lots.select(pl.when(parted).then(pl.col(name).fill_null("")).otherwise(pl.lit("train"))).to_series()
        yield _split(lots, LATER, name, (side == "train").to_numpy(), (side == "test").to_numpy())


def _filed_rings(lots: pl.DataFrame) -> Iterator[Split]:
    folds = lots.get_column("ring_test").drop_nulls().str.len_chars().max()
    parted = pl.col("ring_test").count().over("market") > 0
    for fold in range(int(str(folds))):
        side = lots.select(
            pl.when(parted).then(pl.col("ring_test").str.slice(fold, 1).fill_null("-")).otherwise(pl.lit("0"))
        ).to_series()
        yield _split(lots, RINGS, f"fold_{fold + 1}", (side == "0").to_numpy(), (side == "1").to_numpy())


def _own_cuts(lots: pl.DataFrame) -> Iterator[Split]:
    """Cut each market between two instants; a market opened at one instant is trained on whole."""
    openings = pl.col("opening_at").n_unique().over("market") > 1
    share = (pl.col("opening_at").rank("min") - 1).over("market") / pl.len().over("market")
    for cut in CUTS:
        test = lots.select(openings & (share >= cut / 100)).to_series().to_numpy()
        if test.any():
            yield _split(lots, LATER, f"later_{cut}", ~test, test)


def _own_rings(lots: pl.DataFrame) -> Iterator[Split]:
    """Hold out each fold of rings once, in the markets that have rings to hold out."""
    market = lots.get_column("market").to_numpy()
    fold = np.full(lots.height, -1)
    for name in sorted(set(market)):
        rows = np.flatnonzero(market == name)
        if rings_part(lots[rows]):
            fold[rows] = _ring_folds(lots[rows], N_FOLDS)
    for number in range(N_FOLDS):
        test = fold == number
        if test.any():
            yield _split(lots, RINGS, f"fold_{number + 1}", ~test, test)


def rings_part(lots: pl.DataFrame) -> bool:
    """Tell whether a market's confirmed lots are of several rings, none of which has nearly all of them."""
    confirmed = lots.filter(pl.col("y") == 1)
    by_ring = confirmed.get_column("ring").drop_nulls().value_counts().get_column("count")
    return len(by_ring) > 1 and int(by_ring.max()) <= LARGEST_RING * confirmed.height  # type: ignore[arg-type]


def cv_folds(lots: pl.DataFrame, k: int = N_FOLDS) -> NDArray[np.int64]:
    """Deal lots to folds for fitting's own choices and for calibration.

    Within each market whole rings are dealt where they part it, otherwise k stretches of time of equal size, or, where
    a stretch would have one outcome only, lots by a fingerprint of their id; twins stay together. So a lot is never
    scored by trees that saw its ring, or, where rings are unknown and time allows, its years.

    Returns:
        The fold, 0..k-1, of each lot.
    """
    market = lots.get_column("market").to_numpy()
    folds = np.zeros(lots.height, dtype=np.int64)
    for name in sorted(set(market)):
        rows = np.flatnonzero(market == name)
        part = lots[rows]
        folds[rows] = _ring_folds(part, k) if rings_part(part) else _time_folds(part, k)
    together = lots.select("twin").with_columns(fold=pl.Series(folds))
    return together.select(pl.col("fold").first().over("twin")).to_series().to_numpy()


def _ring_folds(lots: pl.DataFrame, k: int) -> NDArray[np.int64]:
    """Deal rings, largest first, so that confirmed and cleared lots are spread evenly.

    A ring with confirmed lots goes to the fold with the fewest of these, any other to that with the fewest cleared.
    """
    unit = pl.coalesce("ring", "twin").alias("unit")
    units = lots.group_by(unit).agg(positive=pl.col("y").sum().cast(pl.Int64), n=pl.len())
    filled = np.zeros((k, 2), dtype=np.int64)
    fold_of: dict[str, int] = {}
    for name, positive, n in units.sort("positive", "n", "unit", descending=[True, True, False]).iter_rows():
        place = int(np.argmin(filled[:, 0 if positive else 1]))
        fold_of[name] = place
        filled[place] += (positive, n - positive)
    return np.array([fold_of[name] for name in lots.select(unit).to_series()], dtype=np.int64)


def held_out_by(lots: pl.DataFrame, k: int = N_FOLDS) -> str:
    """Tell what ``cv_folds`` holds out whole in one market: ``rings``, ``time``, or, where neither parts it, ``lots``.

    Figures of folds of single lots flatter: a ring is then on both sides.
    """
    if rings_part(lots):
        return "rings"
    return "time" if _both_outcomes(lots, _dealt(lots, ["opening_at", "mark"], k), k) else "lots"


def _time_folds(lots: pl.DataFrame, k: int) -> NDArray[np.int64]:
    """Cut a market into stretches of time; lots of one instant are ordered by a fingerprint of their id."""
    in_time = _dealt(lots, ["opening_at", "mark"], k)
    return in_time if _both_outcomes(lots, in_time, k) else _dealt(lots, ["mark"], k)


def _dealt(lots: pl.DataFrame, order: Sequence[str], k: int) -> NDArray[np.int64]:
    """Deal lots, in an order of their opening and the fingerprint (mark) of their id, to k folds of equal size."""
    marks = [hashlib.sha256(str(lot).encode()).hexdigest() for lot in lots.get_column("lot_id")]
    marked = lots.select("opening_at").with_columns(mark=pl.Series(marks, dtype=pl.String))
    place = marked.select(pl.struct(order).rank("ordinal")).to_series().to_numpy().astype(np.int64) - 1
    return place * k // lots.height


def _both_outcomes(lots: pl.DataFrame, folds: NDArray[np.int64], k: int) -> bool:
    """Tell whether the lots are of more instants than one, and every fold has both outcomes."""
    y = lots.get_column("y").to_numpy()
    dated = lots.get_column("opening_at").n_unique() > 1
    return dated and all(len(set(y[folds == fold])) > 1 for fold in range(k))
