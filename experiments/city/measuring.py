"""Measurement: what of each item of the bill is certified each month, and at what price."""

import numpy as np
import polars as pl

from experiments.city.records import days_after, known, money, office_hours, stamped

_CONCEALED = 0.22


def measurements(
    monthly: pl.DataFrame,
    items: pl.DataFrame,
    prices: pl.DataFrame,
    changes: pl.DataFrame,
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Return rows of quantity_measurement with ``updated_at``.

    Each item is built during a stretch of the works. Honest quantities end near the bill's; items priced high by
    who knew better end above it and those priced low below; certified air ends above it everywhere.

    Args:
        monthly: of :func:`experiments.city.progress.months`.
        items: boq_item of the block.
        prices: bid_item_price of the block.
        changes: contract_change of the block; a quantity beyond the bill may stand on one.
        rng: source of chance.
    """
    contracts = monthly.unique("contract_id", keep="first", maintain_order=True)
    bill = _bill(contracts, items, prices, rng)
    rows = monthly.select("contract_id", "period", "closed_on", "reported_pct", "last", "scheme", "shows").join(
        bill, on="contract_id", maintain_order="left"
    )
    done = ((pl.col("reported_pct") - pl.col("from_pct")) / pl.col("length")).clip(0.0, 1.0)
    rows = rows.with_columns(cumulative_qty=(done * pl.col("final_qty")).round(3))
    before = pl.col("cumulative_qty").shift(1, fill_value=0.0).over("contract_id", "item_no")
    rows = rows.with_columns(approved_qty=(pl.col("cumulative_qty") - before).round(3)).filter(
        pl.col("approved_qty") > 0
    )
    n = len(rows)
    air = (rows["scheme"] == "over_measurement").fill_null(value=False).to_numpy()
    shows = rows["shows"].to_numpy()
    claimed = rows["approved_qty"].to_numpy() * np.where(rng.random(n) < 0.3, rng.uniform(1.0, 1.12, n), 1.0)
    closed = rows["closed_on"].to_numpy().astype("datetime64[D]")
    submitted = days_after(closed, 1, 4, rng)
    unsigned = rng.random(n) < np.where(air, 0.25 * shows, 0.004)
    signed = days_after(submitted, 1, 5, rng)
    accepted = days_after(signed, 1, 8, rng)
    change = changes.filter(pl.col("status") == "executed").group_by("contract_id", maintain_order=True)
    change = change.agg(change_id=pl.col("change_id").first(), executed_on=pl.col("executed_at").first().dt.date())
    rows = rows.join(change, on="contract_id", how="left", maintain_order="left")
    beyond = (pl.col("cumulative_qty") > 1.1 * pl.col("tender_quantity")) & (
        pl.col("executed_on") <= pl.col("closed_on")
    )
    linked = beyond & pl.Series(rng.random(n) < np.where(air, 0.3, 0.8))
    rows = rows.select(
        "contract_id",
        "boq_item_id",
        "period",
        "approved_qty",
        "cumulative_qty",
        "unit_price",
        measurement_id="JL"
        + pl.col("contract_id")
        + pl.col("period").str.replace("-", "")
        + pl.col("item_no").cast(pl.String).str.zfill(3),
        claimed_qty=pl.Series(np.round(claimed, 3)),
        amount=pl.Series(money(rows["approved_qty"].to_numpy() * rows["unit_price"].to_numpy())),
        submitted_at=pl.Series(office_hours(submitted, rng)),
        supervisor_signed_at=pl.when(~pl.Series(unsigned)).then(pl.Series(office_hours(signed, rng))),
        owner_approved_at=pl.Series(office_hours(accepted, rng)),
        is_concealed=pl.Series(rng.random(n) < _CONCEALED),
        evidence_count=pl.Series(rng.poisson(np.where(air, 3.0 - 2.5 * shows, 4.0))),
        change_id=pl.when(linked).then("change_id"),
    )
    later = {"owner_approved_at": ["approved_qty", "cumulative_qty", "amount"], "supervisor_signed_at": []}
    rows = known(rows, "submitted_at", later)
    return stamped(rows, rng, after=["submitted_at", "supervisor_signed_at", "owner_approved_at"], hours=(0.5, 30))


def _bill(contracts: pl.DataFrame, items: pl.DataFrame, prices: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Return the items of each contract with their price, their stretch of the works and the quantity built in the end.

    A contract without a bill of quantities is measured in hundredths of the whole.
    """
    priced = contracts.join(items.drop("updated_at"), on="lot_id", maintain_order="left")
    own = prices.select("bid_id", "boq_item_id", bid_price="unit_price")
    priced = priced.join(own, on=["bid_id", "boq_item_id"], how="left", maintain_order="left")
    whole = contracts.join(items.select("lot_id").unique(), on="lot_id", how="anti", maintain_order="left")
    keep = ["contract_id", "scheme", "intensity", "shows", "boq_item_id", "tender_quantity", "unit_price", "dear"]
    dear = (pl.col("bid_price") / pl.col("control_unit_price")).fill_null(1.0).fill_nan(1.0)
    bill = pl.concat(
        [
            priced.with_columns(
                unit_price=pl.coalesce("bid_price", "control_unit_price"),
                dear=dear / dear.median().over("contract_id"),
            ).select(keep),
            whole.with_columns(
                boq_item_id=pl.lit(None, pl.String),
                tender_quantity=pl.lit(100.0),
                unit_price=(pl.col("amount") / 100).round(2),
                dear=pl.lit(1.0),
            ).select(keep),
        ]
    ).drop_nulls("unit_price")
    n = len(bill)
    scheme = bill["scheme"].fill_null("").to_numpy().astype(str)
    intensity = bill["intensity"].fill_null(0.0).to_numpy()
    price = bill["dear"].to_numpy()
    growth = rng.normal(0.0, 0.025, n)
    steered = (0.12 + 0.4 * intensity) * rng.uniform(0.5, 1.0, n)
    growth = np.where((scheme == "unbalanced_bid") & (price > 1.08), steered, growth)
    growth = np.where((scheme == "unbalanced_bid") & (price < 0.93), -0.6 * steered, growth)
    picked = rng.random(n) < 0.25 + 0.35 * bill["shows"].to_numpy()
    growth = np.where(
        (scheme == "over_measurement") & picked, (0.1 + 0.4 * intensity) * rng.uniform(0.5, 1.1, n), growth
    )
    whole_works = bill["boq_item_id"].is_null().to_numpy()
    first = np.where(whole_works, 0.0, rng.uniform(0.0, 0.65, n))
    length = np.where(whole_works, 1.0, np.minimum(rng.uniform(0.2, 0.6, n), 1.0 - first))
    quantity = bill["tender_quantity"].to_numpy() * (1 + np.where(whole_works, 0.0, growth))
    return bill.select(
        "contract_id",
        "boq_item_id",
        "tender_quantity",
        "unit_price",
        item_no=pl.int_range(1, pl.len() + 1).over("contract_id"),
        from_pct=pl.Series(first),
        length=pl.Series(length),
        final_qty=pl.Series(np.round(quantity, 3)),
    )
