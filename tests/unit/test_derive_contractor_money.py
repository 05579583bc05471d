"""Where the money of a contract goes, in rows made by hand."""

from typing import Any

import pytest

from features.derive.contractor_money import ContractPayees, MaterialBuyers, PassedOn
from features.tables.source import SourceTables
from tests.contracts import AS_OF, Rows, at, both, contract, day, derived, source, won_by
from tests.worlds import configured

# SI-040: who is paid.


def paid(*payments: dict[str, Any], **agreed: Any) -> Rows:
    """Return payments of 100 to the contractor, changed in what is given."""
    rows = [
        {
            "payment_id": f"Z{place}",
            "contract_id": "C",
            "paid_amount": 100,
            "applied_at": at("2026-03-01"),
            "paid_at": at("2026-03-10"),
            "payee_org_id": "W",
            **columns,
        }
        for place, columns in enumerate(payments)
    ]
    return {"contract": [contract(**agreed)], "payment": rows}


def payees(rows: Rows) -> dict[str, Any]:
    return derived(ContractPayees, rows)["C"]


def test_what_others_received_is_set_against_all_that_was_paid() -> None:
    found = payees(paid({}, {"payee_org_id": "X", "paid_amount": 50}))

    assert (found["n_payments"], found["paid_amount"], found["foreign_amount"]) == (2, 150, 50)
    assert '"key":"Z1"' in found["evidence"]
    assert '"key":"Z0"' not in found["evidence"]


@pytest.mark.parametrize(
    ("rows", "payment", "foreign"),
    [
        ({}, {"payee_org_id": "M"}, 100),
        (won_by(members='["M"]'), {"payee_org_id": "M"}, 0),
        ({"wage_account": [{"wage_account_id": "G", "contract_id": "C", "org_id": "M"}]}, {"payee_org_id": "M"}, 0),
        (
            {
                "wage_account": [
                    {"wage_account_id": "G", "contract_id": "C", "org_id": "M", "opened_at": day("2026-07-01")}
                ]
            },
            {"payee_org_id": "M"},
            100,
        ),
        ({}, {"payee_org_id": "M", "payee_account_hash": "agreed"}, 0),
        ({}, {"payee_org_id": "M", "payee_account_hash": "other"}, 100),
        ({}, {"payee_person_id": "p"}, 100),
        ({}, {"payee_org_id": None, "payee_person_id": "p", "payee_account_hash": "agreed"}, 100),
    ],
)
def test_who_may_be_paid(rows: Rows, payment: dict[str, Any], foreign: int) -> None:
    found = payees(both(paid(payment, payee_account_hash="agreed"), rows))

    assert found["foreign_amount"] == foreign
    assert found["n_to_persons"] == int("payee_person_id" in payment)


def test_two_missing_accounts_are_not_equal() -> None:
    assert payees(paid({"payee_org_id": "M"}))["foreign_amount"] == 100


@pytest.mark.parametrize(
    "odd",
    [
        {"paid_amount": -100},
        {"paid_amount": 0},
        {"paid_amount": None},
        {"paid_at": None},
        {"paid_at": at("2026-07-01", 0)},
        {"payee_org_id": None},
        {"contract_id": None},
        {"contract_id": "unknown"},
    ],
)
def test_payments_that_do_not_count(odd: dict[str, Any]) -> None:
    found = payees(paid({}, {"payee_org_id": "X", **odd}))

    assert (found["n_payments"], found["foreign_amount"]) == (1, 0)


def test_no_account_stands_in_the_table() -> None:
    table = ContractPayees.derive(source(paid({"payee_org_id": "M", "payee_account_hash": "secret"})), AS_OF)

    assert "secret" not in str(table.collect().to_dicts())


def test_a_contract_without_payments_has_a_row() -> None:
    assert payees({"contract": [contract()]})["n_payments"] == 0


# SI-041: where it flows on.


def flow(place: int, **columns: Any) -> dict[str, Any]:
    return {
        "flow_id": f"F{place}",
        "contract_id": "C",
        "from_org_id": "W",
        "to_org_id": "X",
        "amount": 90,
        "flow_at": at("2026-03-12"),
        **columns,
    }


def flows(*given: dict[str, Any], payments: tuple[dict[str, Any], ...] = ({},)) -> Rows:
    rows = [flow(place, **columns) for place, columns in enumerate(given)]
    return {**paid(*payments), "fund_flow": rows}


def passed(rows: Rows) -> dict[str, Any]:
    return derived(PassedOn, rows, days_n=10)["C"]


SECOND = {"paid_at": at("2026-04-10")}


def test_what_one_outsider_got_within_the_days_is_set_against_the_receipts() -> None:
    found = passed(flows({}, {"flow_at": at("2026-04-11"), "amount": 80}, payments=({}, SECOND)))

    assert (found["n_receipts"], found["received_amount"], found["passed_amount"]) == (2, 200, 170)
    assert found["has_flows"]
    assert found["evidence"].count('"table":"fund_flow"') == 2


def test_transfers_after_one_receipt_are_summed_and_are_at_most_all_of_it() -> None:
    assert passed(flows({"amount": 30}, {"amount": 40}))["passed_amount"] == 70
    assert passed(flows({"amount": 70}, {"amount": 40}))["passed_amount"] == 100


def test_the_one_outsider_is_the_one_that_got_most_over_the_contract() -> None:
    # Y gets more after the first receipt, X more over both.
    given = ({"to_org_id": "Y", "amount": 60}, {"amount": 40}, {"amount": 50, "flow_at": at("2026-04-11")})
    found = passed(flows(*given, payments=({}, SECOND)))

    assert found["passed_amount"] == 90


def test_of_two_with_equal_totals_the_first_by_name_stands() -> None:
    found = passed(flows({"to_org_id": "Y", "amount": 60}, {"to_org_id": "X", "amount": 60}))

    assert found["passed_amount"] == 60
    assert '"key":"F1"' in found["evidence"]


def test_a_person_can_be_the_one_and_is_not_named() -> None:
    rows = flows({"to_org_id": None, "to_person_id": "secret", "amount": 70}, {"amount": 60})
    table = PassedOn.derive(source(rows), AS_OF, days_n=10).collect()

    assert passed(rows)["passed_amount"] == 70
    assert "secret" not in str(table.to_dicts())


@pytest.mark.parametrize(
    ("when", "counts"),
    [
        (at("2026-03-20", 23), True),  # the tenth day
        (at("2026-03-21", 0), False),
        (at("2026-03-10", 10), True),
        (at("2026-03-10", 9), False),  # before the receipt
    ],
)
def test_the_days_after_a_receipt(when: Any, counts: bool) -> None:
    assert passed(flows({"flow_at": when}))["passed_amount"] == (90 if counts else 0)


@pytest.mark.parametrize(
    ("rows", "recipient"),
    [
        ({"subcontract": [{"subcontract_id": "S", "contract_id": "C", "sub_org_id": "S", "signed_at": AS_OF}]}, "S"),
        (
            {
                "material_purchase": [
                    {"purchase_id": "M", "contract_id": "C", "seller_org_id": "S", "invoiced_at": day("2026-06-01")}
                ]
            },
            "S",
        ),
        ({}, "W"),
    ],
)
def test_registered_subcontractors_suppliers_and_the_contractor_itself_are_no_outsiders(
    rows: Rows, recipient: str
) -> None:
    assert passed(both(flows({"to_org_id": recipient}), rows))["passed_amount"] == 0
    assert passed(both(flows({"to_org_id": "X"}), rows))["passed_amount"] == 90


@pytest.mark.parametrize(
    "odd",
    [
        {"from_org_id": "Y"},
        {"amount": -90},
        {"to_org_id": None},
        {"flow_at": at("2026-07-01")},
        {"contract_id": "other"},
    ],
)
def test_transfers_that_do_not_count(odd: dict[str, Any]) -> None:
    found = passed(flows(odd))

    assert (found["has_flows"], found["passed_amount"]) == (False, 0)


def test_payments_to_others_are_no_receipts() -> None:
    assert passed(flows({}, payments=({}, {"payee_org_id": "Y"})))["n_receipts"] == 1


def test_a_door_that_is_shut_hides_persons() -> None:
    rows = flows({"to_org_id": None, "to_person_id": "p"})
    shut = SourceTables(source(rows).frames)

    found = PassedOn.derive(shut, AS_OF, days_n=10).collect().row(0, named=True)

    assert not found["has_flows"]


# SI-042: who buys.


def bought(*purchases: dict[str, Any], **columns: Any) -> Rows:
    rows = [
        {
            "purchase_id": f"M{place}",
            "contract_id": "C",
            "buyer_org_id": "W",
            "amount": 100,
            "invoiced_at": day("2026-05-10"),
            "owner_supplied": False,
            **given,
        }
        for place, given in enumerate(purchases)
    ]
    return {"contract": [contract(**columns)], "material_purchase": rows}


def progress(*pct: float) -> Rows:
    rows = [
        {
            "progress_id": f"R{place}",
            "contract_id": "C",
            "period": f"2026-{place + 3:02}",
            "actual_pct": one,
            "reported_at": at(f"2026-{place + 4:02}-03"),
        }
        for place, one in enumerate(pct)
    ]
    return {"progress_report": rows}


def buyers(rows: Rows) -> dict[str, Any]:
    return derived(MaterialBuyers, rows)["C"]


def test_what_others_bought_is_set_against_all_purchases() -> None:
    found = buyers(bought({}, {"buyer_org_id": "X", "amount": 60}))

    assert (found["n_purchases"], found["bought_amount"], found["foreign_amount"]) == (2, 160, 60)
    assert '"key":"M1"' in found["evidence"]


@pytest.mark.parametrize(
    ("rows", "purchase", "foreign"),
    [
        (won_by(members='["M"]'), {"buyer_org_id": "M"}, 0),
        ({}, {"buyer_org_id": "M"}, 100),
        (
            {"subcontract": [{"subcontract_id": "S", "contract_id": "C", "sub_org_id": "M", "signed_at": AS_OF}]},
            {"buyer_org_id": "M"},
            0,
        ),
        ({}, {"buyer_person_id": "p"}, 100),
    ],
)
def test_who_may_buy(rows: Rows, purchase: dict[str, Any], foreign: int) -> None:
    assert buyers(both(bought(purchase), rows))["foreign_amount"] == foreign


@pytest.mark.parametrize(
    "odd",
    [
        {"owner_supplied": True},
        {"amount": -100},
        {"buyer_org_id": None},
        {"invoiced_at": day("2026-07-01")},
        {"contract_id": "other"},
    ],
)
def test_purchases_that_do_not_count(odd: dict[str, Any]) -> None:
    found = buyers(bought({}, {"buyer_org_id": "X", **odd}))

    assert (found["n_purchases"], found["foreign_amount"]) == (1, 0)


def test_amount_and_latest_progress_imply_what_materials_cost() -> None:
    assert buyers(both(bought({}), progress(0.1, 0.25)))["material_cost"] == pytest.approx(150_000)
    assert buyers(both(bought({}), progress(0.1, 0.25, 0.5, 0.9)))["material_cost"] == pytest.approx(300_000)


@pytest.mark.parametrize(("columns", "pct"), [({}, ()), ({"amount": None}, (0.5,))])
def test_without_amount_or_progress_the_cost_is_not_known(columns: dict[str, Any], pct: tuple[float, ...]) -> None:
    assert buyers(both(bought({}, **columns), progress(*pct)))["material_cost"] is None


def test_the_share_of_materials_can_be_configured() -> None:
    rows = both(bought({}), progress(0.5))
    rows["param"] = [configured("SETTING.material_cost_ratio", "0.4")]

    assert buyers(rows)["material_cost"] == pytest.approx(200_000)
