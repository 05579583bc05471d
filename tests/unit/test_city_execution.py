"""What becomes of a contract in the simulated city: in order, in time, and as people do it for money."""

import datetime as dt
from typing import Any

import polars as pl
import pytest

from experiments.city.execution import execute, facts_of
from experiments.city.facts import CITY_END, EXECUTION_LOOK_ALIKES, EXECUTION_SCHEMES, Facts, allowed_values
from tests.city_plans import SIGNED, block, lived, other_firm, people, roster

HONEST = lived(60, attendance_days=1000)
UNFINISHED = lived(60, attendance_days=100, contract_due_at=CITY_END - dt.timedelta(days=70), planned_start_date=None)
KEYS = {
    "contract": "contract_id",
    "contract_change": "contract_id",
    "subcontract": "contract_id",
    "key_personnel": "contract_id",
    "payment": "contract_id",
    "settlement_audit": "contract_id",
    "progress_report": "contract_id",
}


def lending(skill: str, **said: Any) -> dict[str, pl.DataFrame]:
    return lived(
        60,
        attendance_days=1000,
        scheme="licence_lending",
        skill=skill,
        intensity=1.0,
        real_builder_org_no=other_firm(),
        **said,
    )


CLUMSY, CAREFUL = lending("clumsy"), lending("careful")


@pytest.mark.parametrize("facts", [HONEST, UNFINISHED], ids=["finished", "unfinished"])
@pytest.mark.parametrize("table", sorted(HONEST))
def test_no_moment_is_later_than_its_record_and_nothing_is_later_than_the_end(table: str, facts: Facts) -> None:
    frame = facts[table]
    moments = [
        c for c, t in frame.schema.items() if t == pl.Datetime("us") and c not in ("updated_at", "rectify_due_at")
    ]

    assert (frame["updated_at"] < CITY_END).all()
    for moment in moments:
        assert (frame[moment] <= frame["updated_at"]).all(), moment


@pytest.mark.parametrize("facts", [HONEST, UNFINISHED], ids=["finished", "unfinished"])
@pytest.mark.parametrize("table", sorted(HONEST))
def test_a_key_and_a_moment_of_record_name_one_row(table: str, facts: Facts) -> None:
    frame = facts[table]

    assert not frame.select(frame.columns[0], "updated_at").is_duplicated().any()
    assert frame[frame.columns[0]].null_count() == 0


@pytest.mark.parametrize("table", sorted(HONEST))
def test_closed_lists_are_kept(table: str) -> None:
    frame, name = HONEST[table], table.split("/")[-1].replace("site_project", "project")

    for column, values in allowed_values(name).items():
        if column in frame.columns:
            assert set(frame[column].drop_nulls()) <= set(values), column


@pytest.mark.parametrize("facts", [HONEST, UNFINISHED], ids=["finished", "unfinished"])
def test_references_lead_to_rows(facts: Facts) -> None:
    contracts = set(facts["contract"]["contract_id"])
    for table, column in KEYS.items():
        assert set(facts[table][column]) <= contracts, table
    assert set(facts["attendance"]["kp_id"]) <= set(facts["key_personnel"]["kp_id"])
    assert set(facts["leave_record"]["kp_id"]) <= set(facts["key_personnel"]["kp_id"])
    assert set(facts["video_day"]["device_id"]) <= set(facts["video_device"]["device_id"])
    assert set(facts["wage_payment"]["wage_account_id"]) <= set(facts["wage_account"]["wage_account_id"])
    changes = set(facts["contract_change"]["change_id"])
    assert set(facts["quantity_measurement"]["change_id"].drop_nulls()) <= changes


def test_contracts_are_signed_in_time_and_works_end() -> None:
    signed = HONEST["contract"].filter(pl.col("status") == "signed", pl.col("supplement_of_contract_id").is_null())

    assert len(signed) == 60
    late = (signed["signed_at"] - SIGNED).dt.total_days()
    assert late.max() <= 65  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]
    assert (late <= 3).mean() > 0.85  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]
    assert (signed["amount"] == 10_000_000).all()
    assert {"signed", "completed"} <= set(HONEST["contract"]["status"])


def test_progress_rises_to_the_end_and_is_paid_by_the_terms() -> None:
    progress = HONEST["progress_report"].sort("contract_id", "period")
    steps = progress.select(pl.col("actual_pct").diff().over("contract_id")).to_series().drop_nulls()
    assert (steps >= 0).all()
    assert (progress.group_by("contract_id").agg(pl.col("actual_pct").max())["actual_pct"] == 1.0).all()

    signed = HONEST["contract"].filter(pl.col("status") == "signed")
    paid = HONEST["payment"].filter(pl.col("payment_type").is_in(["prepayment", "progress", "labour"]))
    total = paid.group_by("contract_id").agg(paid=pl.col("applied_amount").sum()).join(signed, on="contract_id")
    assert ((total["paid"] / total["amount"] - total["progress_pay_ratio"]).abs() < 0.11).all()


def test_measured_quantities_add_up_to_about_the_bill() -> None:
    measured = HONEST["quantity_measurement"].drop_nulls("approved_qty")
    built = measured.group_by("boq_item_id").agg(
        last=pl.col("cumulative_qty").max(), steps=pl.col("approved_qty").sum(), n=pl.len()
    )

    assert ((built["last"] - built["steps"]).abs() < 0.01).all()
    assert (built["last"] / 1000 - 1).abs().median() < 0.05  # pyright: ignore[reportOperatorIssue]
    whole = measured.group_by("contract_id").agg(pl.col("amount").sum())["amount"]
    assert whole.median() == pytest.approx(10_000_000 * 1.12, rel=0.03)  # three of ten items cost 1.4 times as much


def total(numbers: pl.Series) -> float:
    return float(numbers.sum())


def present(facts: dict[str, pl.DataFrame]) -> float:
    """Return the share of working days on which project managers and leads punched in themselves."""
    actual = facts["key_personnel"].filter(pl.col("source") == "actual", pl.col("assigned_to").is_not_null())
    leads = actual.filter(pl.col("position").is_in(["project_manager", "quality_lead", "safety_lead"]))
    days = (leads["assigned_to"] - leads["assigned_from"]).dt.total_days().sum()
    true = facts["attendance"].filter(~pl.col("is_makeup"), pl.col("liveness_pass"))
    seen = true.join(leads, on="kp_id", how="semi").select("kp_id", pl.col("punched_at").dt.date()).unique()
    return len(seen) / float(days)


def found_builder(facts: dict[str, pl.DataFrame]) -> float:
    seen = facts["site_inspection"]["actual_builder_org_no"].drop_nulls()
    return (seen == other_firm()).mean() or 0.0  # pyright: ignore[reportReturnType]


def paid_elsewhere(facts: dict[str, pl.DataFrame]) -> float:
    payee = facts["payment"]["payee_org_no"]
    return (payee == other_firm()).fill_null(value=True).mean() or 0.0  # pyright: ignore[reportReturnType]


def own_heads(facts: dict[str, pl.DataFrame]) -> float:
    heads = facts["worker_day"]
    return total(heads["workers_of_contractor"]) / total(heads["workers_registered"])


def test_a_lent_licence_shows_on_site_in_the_money_and_in_the_heads_when_clumsy() -> None:
    assert present(HONEST) > 0.7
    assert present(CLUMSY) < 0.3
    assert found_builder(HONEST) == 0
    assert found_builder(CLUMSY) > 0.6
    assert paid_elsewhere(HONEST) == 0
    assert paid_elsewhere(CLUMSY) > 0.25
    assert own_heads(HONEST) > 0.93
    assert own_heads(CLUMSY) < 0.4


def test_a_careful_lender_leaves_little() -> None:
    assert present(CAREFUL) > 0.6
    assert found_builder(CAREFUL) < 0.5
    assert 0 < paid_elsewhere(CAREFUL) < 0.15
    assert own_heads(CAREFUL) > 0.8


def growth(facts: dict[str, pl.DataFrame]) -> float:
    delta = total(facts["contract_change"].filter(pl.col("status") == "executed")["amount_delta"])
    return delta / 60 / 10_000_000


def hasty(facts: dict[str, pl.DataFrame]) -> float:
    done = facts["contract_change"].drop_nulls(["executed_at", "approved_at"])
    return (done["executed_at"] < done["approved_at"]).mean() or 0.0  # pyright: ignore[reportReturnType]


def test_a_low_award_grows_hastily_in_clumsy_hands_and_in_order_in_careful_ones() -> None:
    low: dict[str, Any] = {"scheme": "low_award_high_final", "intensity": 0.8, "true_cost": 11_500_000.0}
    clumsy, careful = lived(60, skill="clumsy", **low), lived(60, skill="careful", **low)

    assert -0.05 < growth(HONEST) < 0.06
    assert growth(clumsy) > 0.2
    assert growth(careful) > 0.2
    assert hasty(careful) < 0.25 < hasty(clumsy)
    assert len(careful["contract_change"]) > 2 * len(clumsy["contract_change"])


def test_honest_growth_by_ground_is_approved_before_it_is_built() -> None:
    geology = lived(60, look_alike="geology_changes")

    assert growth(geology) > 0.1
    assert set(geology["contract_change"]["reason_code"]) == {"geology"}
    assert hasty(geology) < 0.15


def split(facts: dict[str, pl.DataFrame]) -> float:
    amounts = facts["payment"]["applied_amount"]
    return amounts.is_between(350_000, 500_000, closed="left").mean() or 0.0  # pyright: ignore[reportReturnType]


def test_a_favour_is_paid_fast_in_pieces_and_twice() -> None:
    favour = lived(60, scheme="payment_kickback", skill="clumsy", intensity=1.0)

    def wait(facts: dict[str, pl.DataFrame]) -> float:
        days = (facts["payment"]["paid_at"] - facts["payment"]["applied_at"]).dt.total_days().median()
        return float(days)  # pyright: ignore[reportArgumentType]

    assert wait(favour) < 8 < wait(HONEST)
    assert split(favour) > 0.5 > 0.2 > split(HONEST)
    twice = favour["payment"].group_by("contract_id", "measurement_period", "payment_type", "applied_amount").len()
    assert (twice["len"] > 1).sum() > 10


def test_paid_ahead_is_paid_more_than_agreed_and_reported_more_than_built() -> None:
    ahead = lived(60, scheme="pay_ahead", skill="clumsy", intensity=1.0)

    def share(facts: dict[str, pl.DataFrame]) -> float:
        rows = facts["payment"].filter(pl.col("payment_type").is_in(["progress", "prepayment", "labour"]))
        return total(rows["applied_amount"]) / 60 / 10_000_000

    assert share(ahead) > share(HONEST) + 0.1


def test_known_items_grow_where_the_price_is_high() -> None:
    knowing = lived(60, scheme="unbalanced_bid", skill="careful", intensity=1.0)["quantity_measurement"]
    built = (
        knowing.drop_nulls("approved_qty")
        .group_by("boq_item_id")
        .agg(qty=pl.col("approved_qty").sum(), dear=pl.col("unit_price").first() > 1000)
    )

    assert built.filter("dear")["qty"].mean() > 1200  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]
    assert built.filter(~pl.col("dear"))["qty"].mean() < 1050  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]


def test_wages_are_short_where_they_are_diverted() -> None:
    diverted = lived(60, scheme="wage_diversion", skill="clumsy", intensity=1.0)["wage_payment"]

    assert total(diverted["wage_paid"]) / total(diverted["labour_fee_due"]) < 0.6
    honest = HONEST["wage_payment"]
    assert total(honest["wage_paid"]) / total(honest["labour_fee_due"]) > 0.95


def test_a_friendly_reviewer_cuts_little() -> None:
    friendly = lived(60, scheme="settlement_collusion", skill="practised", intensity=1.0)["settlement_audit"]
    honest = HONEST["settlement_audit"]

    def cut(rows: pl.DataFrame) -> float:
        return 1 - total(rows["reviewed_amount"]) / total(rows["submitted_amount"])

    assert cut(friendly.drop_nulls("reviewed_amount")) < 0.02 < cut(honest.drop_nulls("reviewed_amount"))


def test_a_direct_award_grows_by_supplements() -> None:
    grown = lived(30, scheme="direct_then_grow", skill="clumsy", intensity=1.0, award_amount=3_000_000.0)["contract"]
    extra = grown.filter(pl.col("supplement_of_contract_id").is_not_null())

    assert extra["supplement_of_contract_id"].n_unique() == 30
    assert total(extra["amount"]) / 30 > 1_000_000


@pytest.mark.parametrize("scheme", [*EXECUTION_SCHEMES, None])
@pytest.mark.parametrize("kind", ["goods", "epc", "supervision"])
def test_any_scheme_and_kind_of_contract_can_be_lived_through(scheme: str | None, kind: str) -> None:
    found = lived(
        5, scheme=scheme, skill="practised", intensity=0.5, object_type=kind, real_builder_org_no=other_firm()
    )

    assert len(found["contract"]) >= 5
    assert len(found["payment"]) > 0


@pytest.mark.parametrize("look", EXECUTION_LOOK_ALIKES)
def test_any_look_alike_can_be_lived_through(look: str) -> None:
    assert len(lived(5, look_alike=look)["payment"]) > 0


def test_the_same_block_is_lived_the_same_way_whatever_attendance_is_asked_for() -> None:
    few, many = (lived(20, attendance_days=days) for days in (1, 900))

    for table in few:
        if table != "attendance":
            assert few[table].equals(many[table], null_equal=True), table
    assert few["contract"].equals(lived(20, attendance_days=1)["contract"])
    assert not few["contract"].equals(lived(20, attendance_days=1, seed_block=1)["contract"])


def test_a_block_without_awards_yields_empty_tables() -> None:
    empty = block(3)
    empty["award_plan"] = empty["award_plan"].clear()

    for name, frame in execute(empty, people(), roster(), 0, 30):
        assert facts_of(name, frame).is_empty(), name
