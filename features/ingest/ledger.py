"""The books of intake: what each feed delivered, day by day, and what became of it, in records and in money.

One append-only Delta table, ``home/ledger``. ``delivered`` is counted as records are read, the fates when they are
decided, so that the two can be held against each other, and both against the stored tables (``smoke quality
reconcile``). A row of the ledger is a run, feed, table, record day and fate. ``loaded_at`` is the moment that the run
wrote into the versions it stored.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from features.tables import delta
from features.tables.columns import ZONE, Table

Fate = Literal["delivered", "loaded", "unchanged", "superseded", "quarantined", "stopped", "released"]
"""``delivered``: read. ``stopped``: read after the feed's schema was found changed. ``released``: delivered in an
earlier run, let out of quarantine and stored by this one. The others are the fates of ``delivered``; they sum to it."""
FATES: tuple[Fate, ...] = ("loaded", "unchanged", "superseded", "quarantined", "stopped")
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

    def add(self, fate: Fate, rows: pl.DataFrame) -> None:
        """Count rows under a fate.

        Args:
            fate: what became of them.
            rows: one row a record. ``valid_from_ts`` gives the record day and the table's money column the amount;
                where a row has none (it could not be read, or is not dated) its day is null and its amount 0.
        """
        if rows.is_empty():
            return
        self._parts.append(by_day(rows.lazy(), self.table).collect().with_columns(fate=pl.lit(fate)))
        if len(self._parts) > 100:
            self._parts = [self.frame()]

    def frame(self) -> pl.DataFrame:
        """Return fate, day, records and amount: one row a fate and day."""
        if not self._parts:
            return pl.DataFrame(schema={name: SCHEMA[name] for name in ("fate", "day", "records", "amount")})
        summed = pl.concat(self._parts).group_by("fate", "day").agg(pl.col("records", "amount").sum())
        return summed.select("fate", "day", "records", pl.col("amount").cast(AMOUNT)).sort("fate", "day")


@dataclass(frozen=True)
class Ledger:
    """The ledger of one home."""

    home: Path

    def record(
        self,
        *,
        run_id: str,
        source: str,
        feed: str,
        table: type[Table],
        loaded_at: dt.datetime,
        automatic: bool,
        tally: Tally,
    ) -> None:
        """Write what became of a feed, in one commit; a feed that delivered nothing leaves a row of 0 records.

        Args:
            run_id: names the run.
            source: the source system, such as ``S01``.
            feed: the feed's name in its declaration.
            table: where the records go.
            loaded_at: the moment written into the stored versions.
            automatic: whether a declared interface delivered it, rather than a person's file.
            tally: the counts.
        """
        counted = tally.frame()
        if counted.is_empty():
            counted = pl.DataFrame(
                {"fate": ["delivered"], "day": [None], "records": [0], "amount": [0]}, schema=counted.schema
            )
        rows = counted.with_columns(
            run_id=pl.lit(run_id),
            loaded_at=pl.lit(loaded_at).dt.convert_time_zone(ZONE),
            source=pl.lit(source),
            feed=pl.lit(feed),
            table=pl.lit(table.NAME),
            automatic=pl.lit(automatic),
        ).select(*SCHEMA)
        delta.append(self.home / "ledger", rows, SCHEMA)

    def read(self) -> pl.LazyFrame:
        """Return the ledger, one row a run, feed, table, day and fate."""
        return delta.scan(self.home / "ledger", SCHEMA)


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
