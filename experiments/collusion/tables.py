"""Turns five labelled auction markets (García Rodríguez et al. 2022) into files in the contract's shape.

Run: ``python -m experiments.collusion.tables --data FOLDER --out FOLDER`` with the folder that holds
``bids_five_markets.csv``. Neither the source nor anything made from it may be shipped or committed.
What is carried and what was assumed stands in the README beside this file.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from experiments.contract_files import write_contract_files

ZONE = "Asia/Shanghai"
LABELLED_AT = "2022-01-01T00:00:00+08:00"
"""When the paper, and the labels with it, was published; every tender is older."""
FIRST_INDEXED_YEAR = 2001
"""Calendar year of year index 0, by convention: the source gives only the order of the years."""


@dataclass(frozen=True)
class Market:
    """One market of the source.

    Attributes:
        region_code: its region; the first four characters, which decide the city, differ between markets.
        category_code: its trade; markets never become each other's peers.
        object_type: as in ``tender.object_type``.
        evaluation_method: as in ``tender.evaluation_method``.
        dated: what the source's date is: a day, a calendar year, an index of years, or nothing.
        price_scale: prices are multiplied by it, so that two decimals hold them.
    """

    region_code: str
    category_code: str
    object_type: str = "works"
    evaluation_method: str = "lowest_evaluated"
    dated: Literal["day", "year", "index", "none"] = "day"
    price_scale: int = 1


MARKETS = {
    "america": Market("X-US-OHIO", "ohio.school_milk", object_type="goods", dated="year", price_scale=10_000),
    "italy": Market("X-IT-TURIN", "turin.road", evaluation_method="average_benchmark", dated="none"),
    "japan": Market("X-JP-OKINAWA", "okinawa.construction"),
    "swiss_gr_sg": Market("X-GR-GRAUBUENDEN-SEEGASTER", "graubuenden_seegaster.road", dated="index"),
    "swiss_ticino": Market("X-TI-TICINO", "ticino.road"),
}


def contract_tables(bids: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return region, organisation, project, tender, lot, bid, award and label_feedback.

    Args:
        bids: ``bids_five_markets.csv`` read as text, one row a bid.

    Returns:
        Frames by table name; ``lot_id`` is the source's ``tender_id``, so that its ``splits.csv`` joins.

    Raises:
        ValueError: a market of the source is not described in ``MARKETS``.
    """
    unknown = sorted(set(bids.get_column("market")) - set(MARKETS))
    if unknown:
        message = f"markets {unknown} are not described in MARKETS; describe them before they are used."
        raise ValueError(message)
    rows = _typed(bids)
    auctions = rows.group_by("tender_id", maintain_order=True).agg(
        pl.col("market", "region_code", "category_code", "object_type", "evaluation_method").first(),
        pl.col("opening_at", "currency", "control_price", "n_bids_stated", "collusive").first(),
        decided=pl.col("winner").any(),
        n_rows=pl.len(),
    )
    return {
        "region": pl.DataFrame(
            {
                "region_code": [market.region_code for market in MARKETS.values()],
                "name": list(MARKETS),
                "level": ["city"] * len(MARKETS),
            }
        ),
        "organisation": _organisations(rows),
        "project": _projects(auctions),
        "tender": _tenders(auctions),
        "lot": _lots(auctions),
        "bid": _bids(rows),
        "award": _awards(rows),
        "label_feedback": _labels(auctions),
    }


def _typed(bids: pl.DataFrame) -> pl.DataFrame:
    markets = pl.DataFrame(
        [
            {
                "market": name,
                "region_code": market.region_code,
                "category_code": market.category_code,
                "object_type": market.object_type,
                "evaluation_method": market.evaluation_method,
                "dated": market.dated,
                "price_scale": market.price_scale,
            }
            for name, market in MARKETS.items()
        ]
    )
    known = bids.join(markets, on="market", how="left", maintain_order="left")
    known = known.with_columns(place=pl.int_range(1, pl.len() + 1).over("tender_id"), opening_at=_opening())
    bid_id = pl.concat_str("tender_id", pl.lit("/bid/"), "place")
    return known.select(
        "market", "tender_id", "region_code", "category_code", "object_type", "evaluation_method", "opening_at",
        "currency",
        bid_id=bid_id,
        org_id=pl.coalesce("bidder_id", pl.concat_str(bid_id, pl.lit("/bidder"))),
        anonymous=pl.col("bidder_id").is_null(),
        bid_price=_money("bid"),
        control_price=_money("reserve_price"),
        winner=pl.col("winner") == "1",
        n_bids_stated=pl.col("n_bids_stated").cast(pl.Int64),
        collusive=pl.col("label_tender") == "1",
    )  # fmt: skip


def _opening() -> pl.Expr:
    """Return the last second of the day, of the year, of the conventional year, or of one day for all."""
    year = (
        pl.when(pl.col("dated") == "year")
        .then(pl.col("date").str.extract(r"^(\d{4})$"))
        .when(pl.col("dated") == "index")
        .then((pl.col("date").str.extract(r"^(\d{1,2})$").cast(pl.Int64) + FIRST_INDEXED_YEAR).cast(pl.String))
        .when(pl.col("dated") == "none")
        .then(pl.lit(str(FIRST_INDEXED_YEAR)))
    )
    day = pl.when(pl.col("dated") == "day").then("date").otherwise(year + "-12-31")
    return (day + " 23:59:59").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us").dt.replace_time_zone(ZONE)


def _money(column: str) -> pl.Expr:
    """Return scaled money in whole hundredths; the source's floats are exact to more digits than that."""
    return (pl.col(column).cast(pl.Float64) * pl.col("price_scale")).round(2).cast(pl.Decimal(18, 2))


def _organisations(rows: pl.DataFrame) -> pl.DataFrame:
    return (
        rows.select("org_id", "anonymous", org_type=pl.when(pl.col("object_type") == "goods")
                    .then(pl.lit("supplier")).otherwise(pl.lit("contractor")))
        .unique("org_id", maintain_order=True)
        .select(
            "org_id",
            name=pl.when("anonymous").then(pl.lit("Unnamed bidder ")).otherwise(pl.lit("Bidder ")) + pl.col("org_id"),
            org_type="org_type",
        )
    )  # fmt: skip


def _projects(auctions: pl.DataFrame) -> pl.DataFrame:
    return auctions.select(
        project_id="tender_id",
        name=pl.lit("Auction ") + pl.col("tender_id"),
        project_type=pl.lit("tender"),
        region_code="region_code",
        status=pl.lit("tendering"),
        secrecy_level=pl.lit("none"),
    )


def _tenders(auctions: pl.DataFrame) -> pl.DataFrame:
    return auctions.select(
        "tender_id",
        project_id="tender_id",
        tender_no="tender_id",
        title=pl.lit("Auction ") + pl.col("tender_id"),
        law_regime=pl.lit("neither"),
        object_type="object_type",
        method=pl.lit("public_tender"),
        evaluation_method="evaluation_method",
        opening_at="opening_at",
        status=pl.when("decided").then(pl.lit("awarded")).otherwise(pl.lit("opened")),
    )


def _lots(auctions: pl.DataFrame) -> pl.DataFrame:
    return auctions.select(
        lot_id="tender_id",
        tender_id="tender_id",
        project_id="tender_id",
        lot_no=pl.lit("1"),
        name=pl.lit("Auction ") + pl.col("tender_id"),
        category_code="category_code",
        currency="currency",
        bids_complete=pl.col("n_bids_stated").is_null()
        | (pl.col("n_bids_stated") == 0)
        | (pl.col("n_bids_stated") == pl.col("n_rows")),
        control_price="control_price",
        status=pl.when("decided").then(pl.lit("awarded")).otherwise(pl.lit("open")),
    )


def _bids(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        "bid_id",
        lot_id="tender_id",
        tender_id="tender_id",
        bidder_org_id="org_id",
        is_consortium=pl.lit(False),
        bid_price="bid_price",
        status=pl.when("winner").then(pl.lit("awarded")).otherwise(pl.lit("valid")),
    )


def _awards(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter("winner").select(
        award_id=pl.col("bid_id").str.replace("/bid/", "/award/", literal=True),
        lot_id="tender_id",
        bid_id="bid_id",
        org_id="org_id",
        amount="bid_price",
        result_published_at="opening_at",
        status=pl.lit("awarded"),
    )


def _labels(auctions: pl.DataFrame) -> pl.DataFrame:
    return auctions.select(
        label_id=pl.lit("garcia2022/") + pl.col("tender_id"),
        subject_type=pl.lit("lot"),
        subject_id="tender_id",
        analysis=pl.lit("bid_rigging"),
        label=pl.when("collusive").then(pl.lit("confirmed")).otherwise(pl.lit("cleared")),
        label_source=pl.lit("court"),
        labelled_at=pl.lit(LABELLED_AT).str.to_datetime(time_zone="UTC", time_unit="us").dt.convert_time_zone(ZONE),
        weight=pl.lit(1.0),
    )


def main() -> None:
    """Read the source and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds bids_five_markets.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables; never a folder of a repository")
    arguments = parser.parse_args()
    bids = pl.read_csv(arguments.data / "bids_five_markets.csv", infer_schema=False)
    for path in write_contract_files(contract_tables(bids), arguments.out):
        print(path)


if __name__ == "__main__":
    main()
