"""The pieces that projects are awarded in: lots of tenders, and contracts given without one.

Honest owners cut too: into two or three lots where the work divides, and supervision and design apart. What the law
leaves below its amounts (必须招标的工程项目规定 art. 5) is given directly; so is what a scheme has cut until it fits.
"""

import numpy as np
import polars as pl

from experiments.city.defaults import LIMIT_WORKS
from experiments.city.layout import TRADE_NO, TRADES

CUT_WORKS = ("split_works", "small_nature")


def pieces(projects: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return the pieces of projects, ordered by project, tender and lot.

    Columns: row (of the project), tno (tender of the project, 0 = none), lno (lot of the tender, or piece without
    one), object_type, trade, amount (estimate), main (the piece that the project's scheme works on), together (lots of
    one unit works), plan_id.
    """
    kind, ptype = projects["kind"].to_numpy(), projects["ptype"].to_numpy()
    size, trade = projects["estimate"].to_numpy(), projects["trade"].to_numpy()
    n = len(projects)
    tendered, bought = ptype == "tender", ptype == "procurement"
    cut = np.isin(kind, CUT_WORKS)
    small = tendered & (size < LIMIT_WORKS) & (kind == "") & (rng.random(n) < 0.7)
    alone = cut | small | (kind == "direct_then_grow")
    many = rng.choice([1, 2, 3], n, p=[0.70, 0.19, 0.11])
    many = np.where((size < 1e7) | np.isin(kind, ["dismembered_works"]), 1, many)
    many = np.where(kind == "dismembered_works", 3, many)
    epc = (rng.random(n) < 0.06) & (size > 2e7) & (kind == "")
    parts = [_lots(tendered & ~alone, 1, many, np.where(epc, "epc", "works"), trade, size * 0.86, True)]
    for order, (name, least, chance, share) in enumerate(
        (("supervision", 1.6e7, 0.75, 0.022), ("design", 2.4e7, 0.45, 0.028), ("survey", 6e7, 0.25, 0.01)), start=2
    ):
        wanted = tendered & ~alone & ~epc & (size > least) & (rng.random(n) < chance)
        fees = size * share * rng.uniform(0.8, 1.3, n)
        parts.append(_lots(wanted, order, np.ones(n, int), np.full(n, name), np.full(n, TRADE_NO[name]), fees, False))
    number = np.where(alone & cut, 3, 1)
    parts.append(_lots(alone, 0, number, np.full(n, "works"), trade, size, True))
    goods = np.array([TRADES[t].object_type or "services" for t in trade])
    unbid = bought & (((size < 8e5) & (kind == "") & (rng.random(n) < 0.45)) | (kind == "split_orders"))
    bits = np.where(kind == "split_orders", rng.integers(3, 6, n), 1)
    parts.append(_lots(unbid, 0, bits, goods, trade, size, True))
    two = np.where((size > 3e6) & (rng.random(n) < 0.2), 2, 1)
    parts.append(_lots(bought & ~unbid, 1, two, goods, trade, size, True))
    parts.append(_lots(ptype == "emergency", 0, np.ones(n, int), np.full(n, "works"), trade, size * 0.95, True))
    frame = pl.concat(parts).sort("row", "tno", "lno")
    spread = rng.dirichlet(np.full(2, 30.0), len(frame))[:, 0] * 2
    same = frame.select((pl.col("of") > 1) & ~pl.col("row").is_in(np.flatnonzero(cut).tolist())).to_series()
    project_id = projects["project_id"].gather(frame["row"].cast(pl.UInt32))
    return frame.with_columns(
        (pl.col("amount") * pl.when(same).then(pl.Series(spread)).otherwise(1.0) / 1000).round() * 1000,
        pl.concat_str(project_id, pl.lit("-"), "tno", "lno").alias("plan_id"),
    ).drop("of")


def _lots(
    mask: np.ndarray,
    tno: int,
    many: np.ndarray,
    object_type: np.ndarray,
    trade: np.ndarray,
    amount: np.ndarray,
    main: bool,
) -> pl.DataFrame:
    rows = np.repeat(np.flatnonzero(mask), many[mask])
    first = np.searchsorted(rows, rows)
    return pl.DataFrame(
        {
            "row": rows,
            "tno": np.full(len(rows), tno),
            "lno": np.arange(len(rows)) - first + 1,
            "of": many[rows],
            "object_type": object_type[rows].astype(str),
            "trade": trade[rows],
            "amount": amount[rows] / many[rows],
            "main": np.full(len(rows), main),
        },
        schema_overrides={"object_type": pl.String},
    )
