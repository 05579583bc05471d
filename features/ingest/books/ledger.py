"""The books of intake: what each feed delivered, day by day, and what became of it, in records and in money.

One append-only Delta table, ``home/ledger``. ``delivered`` is counted as records are read, the fates when they are
decided, so that the two can be held against each other, and both against the stored tables (``smoke quality
reconcile``). A row of the ledger is a run, feed, table, record day and fate. ``loaded_at`` is the moment that the run
wrote into the versions it stored.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from features.ingest.intake.settling import RECORD, Watch
from features.tables import delta
from features.tables.columns import ZONE, Table

DELIVERED, RELEASED = "delivered", "released"
"""Read in this run; delivered in an earlier run, let out of quarantine and stored by this one."""
FATES = ("loaded", "unchanged", "superseded", "quarantined", "stopped")
"""What becomes of what is delivered; they sum to it. ``stopped``: the feed's schema was found changed."""
STORED = ("loaded", "superseded", RELEASED)
"""Fates of rows that were stored as versions."""
AMOUNT = pl.Decimal(38, 2)
AMOUNT_OF: Mapping[str, str] = {
    "project": "budget_estimate_amount",
    "approval": "approved_amount",
    "budget_allocation": "budget_amount",
    "tender": "control_price_total",
    "lot": "control_price",
    "bid": "bid_price",
    "boq_item": "control_unit_price",
    "bid_item_price": "amount",
    "bond_payment": "amount",
    "award": "amount",
    "organisation": "registered_capital",
    "contract": "amount",
    "subcontract": "amount",
    "contract_change": "amount_delta",
    "quantity_measurement": "amount",
    "payment": "paid_amount",
    "fund_flow": "amount",
    "material_purchase": "amount",
    "market_price": "unit_price",
    "wage_account": "bond_amount",
    "wage_payment": "wage_paid",
    "progress_report": "completed_value",
    "procurement_order": "amount",
    "settlement_audit": "audit_amount",
    "sanction": "fine_amount",
}
"""The money column that is summed for each table, CNY; a table without one is counted in records alone."""
SCHEMA: Mapping[str, pl.DataType] = {
    "run_id": pl.String(),
    "loaded_at": pl.Datetime("us", ZONE),
    "source": pl.String(),
    "feed": pl.String(),
    "table": pl.String(),
    "automatic": pl.Boolean(),
    "day": pl.Date(),
    "fate": pl.String(),
    "records": pl.Int64(),
    "amount": AMOUNT,
}


@dataclass
class Tally:
    """Counts of one feed while it is taken in; memory is days times fates, however many records there are."""

    table: type[Table]
    _parts: list[pl.DataFrame] = field(default_factory=list[pl.DataFrame], init=False, repr=False)

    def add(self, fate: str, rows: pl.DataFrame) -> None:
        """Count rows under ``delivered``, ``released`` or one of ``FATES``.

        Args:
            fate: what became of them.
            rows: one row a record. ``valid_from_ts`` gives the record day, the table's money column the amount, and
                ``source_code`` the source where it is not the feed's; a row that has none has no day, and amount 0.
        """
        if rows.is_empty():
            return
        source = pl.col("source_code") if "source_code" in rows.columns else pl.lit(None, dtype=pl.String)
        counted = by_day(rows.lazy().with_columns(source.alias("source")), self.table, "source").collect()
        self._parts.append(counted.with_columns(fate=pl.lit(fate)))
        if len(self._parts) > 100:
            self._parts = [self.frame()]

    def frame(self) -> pl.DataFrame:
        """Return source (null: the feed's), fate, day, records and amount: one row a source, fate and day."""
        by = ["source", "fate", "day"]
        if not self._parts:
            return pl.DataFrame(schema={name: SCHEMA[name] for name in (*by, "records", "amount")})
        summed = pl.concat([part.select(*by, "records", "amount") for part in self._parts])
        added = summed.group_by(by).agg(pl.col("records", "amount").sum())
        return added.with_columns(pl.col("amount").cast(AMOUNT)).sort(by)


@dataclass
class Books:
    """The pages of one run, one a feed, written together at its end.

    Attributes:
        home: where the ledger is.
        run_id: names the run.
        loaded_at: the moment written into the stored versions.
    """

    home: Path
    run_id: str
    loaded_at: dt.datetime
    _pages: dict[tuple[str, str, str, bool], Tally] = field(
        default_factory=dict[tuple[str, str, str, bool], Tally], init=False, repr=False
    )
    _earlier: dict[tuple[str, str, str, bool], Tally] = field(
        default_factory=dict[tuple[str, str, str, bool], Tally], init=False, repr=False
    )

    def page(self, source: str, feed: str, table: type[Table], *, automatic: bool) -> Tally:
        """Return the page of a feed, a fresh one at the first call.

        Args:
            source: the source system of rows that name none, such as ``S01``.
            feed: the feed's name, such as ``S01/bid``.
            table: where the records go.
            automatic: whether a declared interface delivers it, rather than a person's file.
        """
        return self._pages.setdefault((source, feed, table.NAME, automatic), Tally(table))

    def watching(self, feed: str, source: str, table: type[Table]) -> Callable[[str, pl.DataFrame], None]:
        """Return who is told of rows that an earlier run left waiting, of a feed that this run does not load."""
        return self._earlier.setdefault((source, feed, table.NAME, False), Tally(table)).add

    def close(self) -> None:
        """Write all pages in one commit; a feed that delivered nothing leaves a row of 0 records."""
        released = {about: tally for about, tally in self._earlier.items() if not tally.frame().is_empty()}
        pages = [_page(tally, *about) for of in (self._pages, released) for about, tally in of.items()]
        if not pages:
            return
        run = {"run_id": pl.lit(self.run_id), "loaded_at": pl.lit(self.loaded_at).dt.convert_time_zone(ZONE)}
        delta.append(self.home / "ledger", pl.concat(pages).with_columns(**run).select(*SCHEMA), SCHEMA)
        self._pages.clear()
        self._earlier.clear()


def read_ledger(home: Path) -> pl.DataFrame:
    """Return the ledger of a home, one row a run, feed, table, day and fate."""
    return delta.scan(home / "ledger", SCHEMA).collect()


def _page(tally: Tally, source: str, feed: str, table: str, automatic: bool) -> pl.DataFrame:
    counted = tally.frame()
    if counted.is_empty():
        nothing = {"source": [source], "fate": [DELIVERED], "day": [None], "records": [0], "amount": [0]}
        counted = pl.DataFrame(nothing, schema=counted.schema)
    about = {"feed": pl.lit(feed), "table": pl.lit(table), "automatic": pl.lit(automatic)}
    return counted.with_columns(pl.col("source").fill_null(source), **about)


def by_day(rows: pl.LazyFrame, table: type[Table], *keys: str) -> pl.LazyFrame:
    """Count rows, and sum the table's money, by record day and further keys.

    Returns:
        The keys, day (of ``valid_from_ts``, Asia/Shanghai), records, amount.
    """
    names = rows.collect_schema().names()
    dated = pl.col("valid_from_ts") if "valid_from_ts" in names else pl.lit(None, dtype=SCHEMA["loaded_at"])
    money = AMOUNT_OF.get(table.NAME, "")
    amount = pl.col(money).cast(AMOUNT, strict=False) if money in names else pl.lit(0, dtype=AMOUNT)
    return (
        rows.with_columns(_day=dated.dt.convert_time_zone(ZONE).dt.date(), _amount=amount.fill_null(0))
        .group_by(*keys, pl.col("_day").alias("day"))
        .agg(records=pl.len().cast(pl.Int64), amount=pl.col("_amount").sum().cast(AMOUNT))
    )


def noting_replay(page: Tally, refused: set[str]) -> Watch:
    """Return who is told of records that are judged again: what is stored is booked as released, the rest noted.

    Args:
        page: of the feed.
        refused: takes the places of what is refused again.
    """

    def watch(fate: str, rows: pl.DataFrame) -> None:
        if fate == "quarantined":
            refused.update(rows.get_column(RECORD))
        elif fate in STORED:
            page.add(RELEASED, rows)

    return watch
