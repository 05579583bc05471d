"""Turns the Tsuchiura construction auctions into files in the contract's shape.

Run: ``python -m experiments.tsuchiura.make_tables tsuchiura_bids.csv experiments/tsuchiura/tables``.
What is carried, what is left out and what was assumed stands in the README beside this file.
"""

import argparse
from pathlib import Path

import polars as pl

from experiments.contract_files import write_contract_files

CITY = "tsu-city"
REGION = "JP-08203"
WORK_TYPES = ("water", "road", "pipe", "sewer", "renovation", "repair", "maintenance")
"""Flags of the source; a tender may carry several, and all of them name its category."""


def contract_tables(bids: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return region, organisation, project, tender, lot, bid and award.

    Args:
        bids: the source, one row a bid, read as text. The two ``model_label`` columns are not looked at.

    Returns:
        Frames by table name, sorted by key; money in yen (lot.currency says so).
    """
    rows = _typed(bids)
    auctions = rows.group_by("tender_id").agg(
        pl.col("end_of_day", "reserve_price", "category").first(), decided=pl.col("winner").any()
    )
    auctions = auctions.sort(pl.col("tender_id").str.extract(r"(\d+)$").cast(pl.Int64))
    return {
        "region": pl.DataFrame({"region_code": [REGION], "name": ["土浦市"], "level": ["city"]}),
        "organisation": _organisations(rows),
        "project": _projects(auctions),
        "tender": _tenders(auctions),
        "lot": _lots(auctions),
        "bid": _bids(rows),
        "award": _awards(rows),
    }


def _typed(bids: pl.DataFrame) -> pl.DataFrame:
    flagged = [pl.when(pl.col(flag) == "1").then(pl.lit(flag)) for flag in WORK_TYPES]
    named = pl.concat_str(flagged, separator="_", ignore_nulls=True)
    numbered = bids.with_columns(place=pl.int_range(1, pl.len() + 1).over("tender_id"))
    return numbered.select(
        "tender_id",
        "bidder_id",
        bid_id=pl.concat_str("tender_id", pl.lit("/bid/"), "place"),
        # Whole yen, written as floats in the source.
        bid_price=pl.col("bid_jpy").cast(pl.Float64).cast(pl.Int64).cast(pl.Decimal(18, 2)),
        reserve_price=pl.col("reserve_price_jpy").cast(pl.Int64).cast(pl.Decimal(18, 2)),
        winner=pl.col("winner") == "1",
        below_floor=pl.col("belowminprice") == "1",
        end_of_day=pl.col("date").str.to_date().cast(pl.Datetime("us")).dt.offset_by("23h59m59s")
        .dt.replace_time_zone("Asia/Shanghai"),
        category=pl.lit("construction.") + pl.when(named == "").then(pl.lit("other")).otherwise(named),
    )  # fmt: skip


def _organisations(rows: pl.DataFrame) -> pl.DataFrame:
    firms = rows.select(org_id="bidder_id").unique().sort(pl.col("org_id").str.extract(r"(\d+)$").cast(pl.Int64))
    firms = firms.with_columns(
        name=pl.lit("Bidder ") + pl.col("org_id"),
        org_type=pl.lit("contractor"),
        region_code=pl.lit(None, dtype=pl.String),
    )
    city = pl.DataFrame(
        {"org_id": [CITY], "name": ["土浦市 (Tsuchiura city)"], "org_type": ["government"], "region_code": [REGION]}
    )
    return pl.concat([city, firms])


def _projects(auctions: pl.DataFrame) -> pl.DataFrame:
    return auctions.select(
        project_id="tender_id",
        name=pl.lit("Tsuchiura construction auction ") + pl.col("tender_id"),
        project_type=pl.lit("tender"),
        region_code=pl.lit(REGION),
        admin_level=pl.lit("city"),
        owner_org_id=pl.lit(CITY),
        status=pl.lit("tendering"),
        secrecy_level=pl.lit("none"),
    )


def _tenders(auctions: pl.DataFrame) -> pl.DataFrame:
    return auctions.select(
        "tender_id",
        project_id="tender_id",
        tender_no="tender_id",
        title=pl.lit("Construction auction ") + pl.col("tender_id"),
        tenderer_org_id=pl.lit(CITY),
        law_regime=pl.lit("neither"),
        object_type=pl.lit("works"),
        method=pl.lit("public_tender"),
        evaluation_method=pl.lit("lowest_evaluated"),
        opening_at="end_of_day",
        status=pl.when("decided").then(pl.lit("awarded")).otherwise(pl.lit("opened")),
    )


def _lots(auctions: pl.DataFrame) -> pl.DataFrame:
    return auctions.select(
        lot_id="tender_id",
        tender_id="tender_id",
        project_id="tender_id",
        lot_no=pl.lit("1"),
        name=pl.lit("Construction auction ") + pl.col("tender_id"),
        category_code="category",
        currency=pl.lit("JPY"),
        bids_complete=pl.lit(True),
        control_price="reserve_price",
        status=pl.when("decided").then(pl.lit("awarded")).otherwise(pl.lit("open")),
    )


def _bids(rows: pl.DataFrame) -> pl.DataFrame:
    status = (
        pl.when("winner")
        .then(pl.lit("awarded"))
        .when("below_floor")
        .then(pl.lit("disqualified"))
        .otherwise(pl.lit("valid"))
    )
    return rows.select(
        "bid_id",
        lot_id="tender_id",
        tender_id="tender_id",
        bidder_org_id="bidder_id",
        is_consortium=pl.lit(False),
        bid_price="bid_price",
        status=status,
        disqualify_reason=pl.when(~pl.col("winner") & pl.col("below_floor")).then(pl.lit("other")),
    )


def _awards(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter("winner").select(
        award_id=pl.col("bid_id").str.replace("/bid/", "/award/", literal=True),
        lot_id="tender_id",
        bid_id="bid_id",
        org_id="bidder_id",
        candidate_rank=pl.lit(1),
        amount="bid_price",
        result_published_at="end_of_day",
        status=pl.lit("awarded"),
    )


def main() -> None:
    """Read the source file and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("source", type=Path, help="tsuchiura_bids.csv")
    parser.add_argument("out", type=Path, help="folder for the tables")
    arguments = parser.parse_args()
    bids = pl.read_csv(arguments.source, infer_schema=False)
    for path in write_contract_files(contract_tables(bids), arguments.out):
        print(path)


if __name__ == "__main__":
    main()
