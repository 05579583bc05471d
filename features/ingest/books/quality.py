"""Whether the books of intake add up, and what the quarantine says about each source."""

from collections.abc import Iterable

import polars as pl

from features.ingest.books.ledger import AMOUNT, DELIVERED, FATES, RELEASED, STORED, by_day
from features.tables.columns import FIRST_MOMENT, Table
from features.tables.contract import SOURCE_TABLES
from features.tables.store import TableStore

SAMPLES = 3
_FEED_RUN = ["source", "feed", "table", "loaded_at"]
_RUN_DAY = ["source", "table", "loaded_at", "day"]
_INCOMPLETE = {
    "table": pl.String(),
    "column": pl.String(),
    "waits_for": pl.String(),
    "rows": pl.Int64(),
    "share": pl.Float64(),
    "example": pl.String(),
}


def fates(ledger: pl.DataFrame) -> pl.DataFrame:
    """Hold what each feed delivered against what became of it, in records and in money.

    Args:
        ledger: the ledger, as ``read_ledger`` returns it.

    Returns:
        One row a source, feed, table, run (``loaded_at``) and record day: delivered and each fate (records),
        delivered_cny and accounted_cny (the table's money), missing and missing_cny (delivered less accounted; 0 where
        the books add up). A null day holds the records that could not be dated.
    """

    def summed(column: str, *wanted: str) -> pl.Expr:
        return pl.col(column).filter(pl.col("fate").is_in(wanted)).sum()

    return (
        ledger.filter(pl.col("fate") != RELEASED)
        .group_by(*_FEED_RUN, "day")
        .agg(
            *[summed("records", fate).alias(fate) for fate in (DELIVERED, *FATES)],
            delivered_cny=summed("amount", DELIVERED).cast(AMOUNT),
            accounted_cny=summed("amount", *FATES).cast(AMOUNT),
        )
        .with_columns(
            missing=pl.col("delivered") - pl.sum_horizontal(FATES),
            missing_cny=pl.col("delivered_cny") - pl.col("accounted_cny"),
        )
        .sort(*_FEED_RUN, "day")
    )


def by_feed(days: pl.DataFrame) -> pl.DataFrame:
    """Sum ``fates`` over runs and days; ``days_off`` is the number of days on which some run does not add up."""
    numbers = ["delivered", *FATES, "delivered_cny", "accounted_cny"]
    off = (pl.col("missing") != 0) | (pl.col("missing_cny") != 0)
    return (
        days.group_by("source", "feed", "table")
        .agg(pl.col(numbers).sum(), days_off=pl.col("day").filter(off).n_unique())
        .sort("source", "feed")
    )


def latest(days: pl.DataFrame) -> pl.DataFrame:
    """Return of each feed the latest run that delivered records: source, feed, table, loaded_at."""
    delivering = days.filter(pl.col("delivered") > 0).select(_FEED_RUN).unique()
    return delivering.filter(pl.col("loaded_at") == pl.col("loaded_at").max().over("source", "feed", "table"))


def stored(store: TableStore, ledger: pl.DataFrame, purged: pl.DataFrame) -> pl.DataFrame:
    """Count the stored versions anew and hold them against what the ledger says was stored.

    Args:
        store: the tables.
        ledger: the ledger.
        purged: records by source, table, loaded_at and day that retention has removed since
            (``features.tables.purge.purged``).

    Returns:
        One row a source, table, run (``loaded_at``) and record day: booked and found (records; booked is loaded plus
        superseded and released, less purged), booked_cny and found_cny, missing and missing_cny. The money of purged
        rows is not known, so tables with money have no purge of rows.
    """
    booked = (
        ledger.filter(pl.col("fate").is_in(STORED))
        .with_columns(pl.col("day").fill_null(pl.col("loaded_at").dt.date()))
        .group_by(_RUN_DAY)
        .agg(booked=pl.col("records").sum(), booked_cny=pl.col("amount").sum().cast(AMOUNT))
        .join(purged, on=_RUN_DAY, how="left", nulls_equal=True)
        .with_columns(booked=pl.col("booked") - pl.col("purged").fill_null(0))
        .drop("purged")
    )
    found = recounted(store, ledger)
    return (
        booked.join(found, on=_RUN_DAY, how="full", coalesce=True, nulls_equal=True)
        .with_columns(pl.col("booked", "found", "booked_cny", "found_cny").fill_null(0))
        .with_columns(
            missing=pl.col("booked") - pl.col("found"), missing_cny=pl.col("booked_cny") - pl.col("found_cny")
        )
        .select(*_RUN_DAY, "booked", "found", "booked_cny", "found_cny", "missing", "missing_cny")
        .sort(_RUN_DAY)
    )


def recounted(store: TableStore, ledger: pl.DataFrame) -> pl.DataFrame:
    """Count the versions that each run of the ledger stored, from the tables alone.

    Versions that only introduce an organisation or person (valid from the first moment of the contract) and
    retractions are no delivered records and are not counted.

    Returns:
        source, table, loaded_at, day, found (records), found_cny; runs that keep no books are left out.
    """
    runs = ledger.select("source", "table", "loaded_at").unique()
    counted = [_count(store, SOURCE_TABLES[name], runs) for name in sorted(set(runs["table"]) & set(SOURCE_TABLES))]
    empty = pl.DataFrame(schema={**{n: ledger.schema[n] for n in _RUN_DAY}, "found": pl.Int64, "found_cny": AMOUNT})
    return pl.concat([empty, *[one.select(empty.columns) for one in counted]])


def _count(store: TableStore, table: type[Table], runs: pl.DataFrame) -> pl.DataFrame:
    versions = store.versions(table).filter(~pl.col("retracted"), pl.col("valid_from_ts") != FIRST_MOMENT)
    per_day = by_day(versions, table, "source_code", "loaded_at").collect(engine="streaming")
    named = per_day.rename({"source_code": "source", "records": "found", "amount": "found_cny"})
    return named.with_columns(table=pl.lit(table.NAME)).join(runs, on=["source", "table", "loaded_at"], how="semi")


def rules(entries: pl.DataFrame, ledger: pl.DataFrame) -> pl.DataFrame:
    """Count the quarantine by source, table and rule.

    Args:
        entries: the entries with their state, as ``Quarantine.list(state=None)`` returns them; their values are
            masked already where a column holds personal data.
        ledger: the ledger; a source that keeps no books has no share.

    Returns:
        One row a source, table, level, field and reason, most open entries first: open and settled entries, share (all
        of them over the distinct records that came: those stored, and those refused and not stored since; what is
        delivered again changes neither), samples (up to three values), mend.
    """
    of = ["source", "table"]
    taken = ledger.filter(pl.col("fate").is_in(STORED)).group_by(of).agg(taken=pl.col("records").sum())
    out = entries.filter(pl.col("state") == "open", pl.col("level") != "value")
    refused = out.group_by(of).agg(refused=pl.col("record").n_unique())
    came = ledger.select(of).unique().join(taken, on=of, how="left").join(refused, on=of, how="left")
    came = came.select(*of, came=pl.sum_horizontal("taken", "refused"))
    by = [*of, "level", "field", "reason"]
    value = pl.col("value").filter(pl.col("value") != "")
    return (
        entries.with_columns(pl.col("field").str.replace_all(r"\[.*?\]", "[]"))
        .group_by(by)
        .agg(
            open=(pl.col("state") == "open").sum(),
            settled=(pl.col("state") != "open").sum(),
            samples=value.unique().sort().head(SAMPLES).str.join(" | "),
            mend=pl.col("mend").min(),
        )
        .join(came.filter(pl.col("came") > 0), on=of, how="left")
        .with_columns(share=(pl.col("open") + pl.col("settled")) / pl.col("came"))
        .select(*by, "open", "settled", "share", "samples", "mend")
        .sort("open", *by, descending=[True, *[False] * len(by)])
    )


def incomplete(store: TableStore, tables: Iterable[type[Table]]) -> pl.DataFrame:
    """Count the rows that lack a part which must not be missing: no computation sees them until it comes.

    Args:
        store: the tables.
        tables: the tables to look through.

    Returns:
        One row a table and column that is missing somewhere: waits_for (the sources that deliver it, such as
        ``S05+P00``), rows, share (of all rows of the table), example (the smallest key). Sensitive columns are not
        looked at.
    """
    found = [_lacking(store, table) for table in tables if store.exists(table)]
    return pl.concat([pl.DataFrame(schema=_INCOMPLETE), *found]).sort("table", "column")


def _lacking(store: TableStore, table: type[Table]) -> pl.DataFrame:
    required = [name for name in table.public_columns() if not table.columns()[name].nullable]
    key = pl.col(table.key()).cast(pl.String)
    rows = store.read(table, incomplete=True)
    lacks = [
        pl.struct(rows=pl.col(name).is_null().sum(), example=key.filter(pl.col(name).is_null()).min()).alias(name)
        for name in required
    ]
    counted = rows.select(
        pl.len().alias("all"), *[lack.alias(f"lack:{n}") for n, lack in zip(required, lacks, strict=True)]
    )
    one = counted.collect(engine="streaming").row(0, named=True)
    lines = [
        {
            "table": table.NAME,
            "column": name,
            "waits_for": table.about(name)["source_system"],
            "rows": one[f"lack:{name}"]["rows"],
            "share": one[f"lack:{name}"]["rows"] / one["all"],
            "example": one[f"lack:{name}"]["example"],
        }
        for name in required
        if one["all"] and one[f"lack:{name}"]["rows"]
    ]
    return pl.DataFrame(lines, schema=_INCOMPLETE)
