"""Days on site against days required, in rows made by hand."""

import datetime as dt
from typing import Any

import pytest

from features.derive.site_attendance import TeamAttendance
from features.tables.source import SourceTables
from tests.contracts import AS_OF, Rows, at, both, contract, day, derived, source

MAY, JUNE = "2026-05", "2026-06"


def days(month: str, n: int, first: int = 1) -> list[str]:
    return [f"{month}-{number:02}" for number in range(first, first + n)]


def punches(kp_id: str, dates: list[str], /, **columns: Any) -> Rows:
    rows = [
        {
            "attendance_id": f"{kp_id}-{date}",
            "project_id": "P",
            "kp_id": kp_id,
            "punched_at": at(date, 8),
            "in_geofence": True,
            "liveness_pass": True,
            "is_makeup": False,
            **columns,
        }
        for date in dates
    ]
    return {"attendance": rows}


def holder(kp_id: str, position: str = "project_manager", **columns: Any) -> Rows:
    row = {
        "kp_id": kp_id,
        "contract_id": "C",
        "project_id": "P",
        "person_id": f"p-{kp_id}",
        "position": position,
        "source": "actual",
        "required_days_per_month": 20,
        **columns,
    }
    return {"key_personnel": [row]}


def report(period: str, pct: float, contract_id: str = "C") -> dict[str, Any]:
    return {"progress_id": f"{contract_id}{period}", "contract_id": contract_id, "period": period, "actual_pct": pct}


def site(may: int, june: int, **project: Any) -> Rows:
    """Return a works contract half done, whose manager was there so many days in May and June."""
    started = {"project_id": "P", "actual_start_date": day("2026-02-01"), **project}
    return both(
        {"contract": [contract()], "project": [started], "progress_report": [report("2026-04", 0.5)]},
        holder("K"),
        punches("K", days(MAY, may)),
        punches("K", days(JUNE, june)),
    )


def team(rows: Rows, as_of: dt.datetime = AS_OF) -> dict[str, Any]:
    return derived(TeamAttendance, rows, as_of, months_n=2, required_days=22)["C"]


def absences(rows: Rows) -> tuple[float, float]:
    found = team(rows)
    return (round(found["absence"], 9), round(found["absence_min"], 9))


def test_the_mean_and_the_lowest_of_two_months() -> None:
    found = team(site(5, 10))

    assert (found["absence"], found["absence_min"]) == (pytest.approx(0.625), pytest.approx(0.5))
    assert (found["is_works"], found["is_begun"], found["is_finished"], found["is_system_on"]) == (
        True,
        True,
        False,
        True,
    )
    assert (found["n_positions"], found["n_days_min"]) == (1, 30)
    assert '"days_on_site":"15"' in found["evidence"]


def test_more_days_than_required_are_no_more_than_all() -> None:
    assert absences(site(31, 30)) == (0.0, 0.0)


def test_two_punches_of_one_day_are_one_day() -> None:
    assert absences(both(site(10, 10), punches("K", days(MAY, 10)))) == (0.5, 0.5)


@pytest.mark.parametrize(
    "odd",
    [
        {"in_geofence": False},
        {"liveness_pass": False},
        {"liveness_pass": None},
        {"is_makeup": True},
        {"kp_id": "unknown"},
    ],
)
def test_punches_that_do_not_count(odd: dict[str, Any]) -> None:
    assert absences(both(site(10, 10), punches("K", days(MAY, 5, 20), **odd))) == (0.5, 0.5)


def test_days_are_days_of_shanghai() -> None:
    rows = both(site(10, 9), punches("K", ["2026-06-30"]))
    rows["attendance"][-1]["punched_at"] = dt.datetime(2026, 5, 31, 16, 30, tzinfo=dt.UTC)  # 1 June, half past midnight

    assert absences(rows) == (0.525, 0.5)  # the first of June has been counted before


def test_days_of_all_holders_of_a_position_are_pooled() -> None:
    successor = both(holder("K2", assigned_from=day("2026-05-11")), punches("K2", days(MAY, 10, 6)))

    assert absences(both(site(10, 10), successor)) == (0.375, 0.25)  # 15 and 10 days of 20


def test_positions_are_averaged_and_others_do_not_count() -> None:
    second = both(holder("S", "safety_lead"), punches("S", [*days(MAY, 20), *days(JUNE, 20)]))

    assert absences(both(site(10, 10), second)) == (0.25, 0.25)
    assert absences(both(site(10, 10), holder("O", "owner_rep"))) == (0.5, 0.5)
    assert absences(both(site(10, 10), holder("B", "tech_lead", source="contract"))) == (0.5, 0.5)


def test_a_position_counts_from_the_month_in_which_it_is_first_filled() -> None:
    second = holder("S", "safety_lead", assigned_from=day("2026-06-15"))

    assert absences(both(site(10, 10), second)) == (0.625, 0.5)  # in June nobody of the safety lead's 20 days
    assert team(both(site(10, 10), second))["n_positions"] == 1


def test_a_position_that_was_left_and_not_filled_again_stays_empty() -> None:
    second = holder("S", "safety_lead", assigned_to=day("2026-04-01"))

    assert absences(both(site(10, 10), second)) == (0.75, 0.75)


def test_nobody_in_a_key_position_is_no_value() -> None:
    rows = site(10, 10)
    rows["key_personnel"][0]["position"] = "owner_rep"
    found = team(rows)

    assert (found["n_positions"], found["absence"]) == (0, None)


def test_the_contract_demands_the_days_or_else_the_default() -> None:
    rows = site(11, 11)
    rows["key_personnel"][0]["required_days_per_month"] = None

    assert absences(rows) == (0.5, 0.5)


def leave(first: str, last: str, **columns: Any) -> Rows:
    row = {"leave_id": first, "kp_id": "K", "start_date": day(first), "end_date": day(last), "approved": True}
    return {"leave_record": [{**row, **columns}]}


def stop(first: str, resumed: str | None) -> Rows:
    return {
        "suspension": [
            {"suspension_id": first, "project_id": "P", "from_date": day(first), "to_date": resumed and day(resumed)}
        ]
    }


def test_days_of_approved_leave_are_not_required() -> None:
    assert absences(both(site(10, 10), leave("2026-05-21", "2026-05-30"))) == (0.25, 0.0)
    assert absences(both(site(10, 10), leave("2026-05-21", "2026-05-30", approved=False))) == (0.5, 0.5)
    assert absences(both(site(10, 10), leave("2026-04-01", "2026-05-10"))) == (0.25, 0.0)


def test_days_of_stoppage_are_not_required_and_the_day_of_resumption_is() -> None:
    found = team(both(site(10, 10), stop("2026-05-21", "2026-05-31")))

    assert (found["absence_min"], found["n_days_min"]) == (0.0, 21)


def test_a_day_of_leave_and_stoppage_is_taken_off_once() -> None:
    assert absences(both(site(10, 10), stop("2026-05-21", "2026-05-31"), leave("2026-05-22", "2026-05-25"))) == (
        0.25,
        0.0,
    )
    rows = both(site(5, 10), stop("2026-05-21", "2026-05-31"), leave("2026-05-22", "2026-05-25"))
    assert absences(rows) == (0.5, 0.5)  # 5 of 10 days, not of 6


def test_at_least_one_day_is_required() -> None:
    rows = both(site(1, 10), leave("2026-05-01", "2026-05-31"))

    assert absences(rows) == (0.25, 0.0)
    rows["attendance"] = rows["attendance"][1:]
    assert absences(rows) == (0.75, 0.5)


def test_a_stoppage_without_end_lasts() -> None:
    assert team(both(site(10, 5), stop("2026-06-11", None)))["n_days_min"] == 10
    assert team(both(site(10, 5), stop("2026-06-11", "2026-07-05")))["n_days_min"] == 10


def test_two_stoppages_of_the_same_days_count_once() -> None:
    assert team(both(site(10, 5), stop("2026-06-11", None), stop("2026-06-12", None)))["n_days_min"] == 10


@pytest.mark.parametrize(
    ("project", "n_days"),
    [
        ({"actual_start_date": day("2026-05-17")}, 15),
        ({"actual_start_date": day("2026-06-10")}, 0),
        ({"actual_finish_date": day("2026-06-12")}, 12),
        ({"actual_start_date": None}, 30),
    ],
)
def test_construction_days_lie_between_start_and_end(project: dict[str, Any], n_days: int) -> None:
    assert team(site(10, 10, **project))["n_days_min"] == n_days


@pytest.mark.parametrize(
    ("reports", "begun", "finished", "n_days"),
    [
        ([], None, False, 0),
        ([("2026-04", 0.0)], False, False, 0),
        ([("2026-06", 0.1)], True, False, 0),
        ([("2026-05", 0.1)], True, False, 30),
        ([("2026-05", 0.9), ("2026-06", 1.0)], True, False, 30),
        ([("2026-05", 1.0)], True, True, 0),
        ([("2026-05", 1.0), ("2026-06", 0.9)], True, True, 0),
    ],
)
def test_progress_says_when_works_are_under_way(
    reports: list[tuple[str, float]], begun: bool | None, finished: bool, n_days: int
) -> None:
    rows = site(10, 10)
    rows["progress_report"] = [report(period, pct) for period, pct in reports]
    found = team(rows)

    assert (found["is_begun"], found["is_finished"], found["n_days_min"]) == (begun, finished, n_days)


@pytest.mark.parametrize(("type_", "works"), [("epc", True), ("goods", False), ("supervision", False), (None, None)])
def test_works_and_epc_contracts_are_works(type_: str | None, works: bool | None) -> None:
    rows = site(10, 10)
    rows["contract"] = [contract(contract_type=type_)]

    assert team(rows)["is_works"] is works


def test_the_system_is_on_if_anybody_punches_in_each_month() -> None:
    assert not team(site(10, 0))["is_system_on"]
    assert team(both(site(10, 0), punches("other", ["2026-06-03"], in_geofence=False)))["is_system_on"]
    assert not team(both(site(10, 0), punches("other", ["2026-06-03"], project_id="P2")))["is_system_on"]


def test_only_complete_months_count() -> None:
    before_end = AS_OF - dt.timedelta(microseconds=1)
    found = team(both(site(10, 0), punches("K", days("2026-04", 20))), before_end)

    assert (found["absence"], found["absence_min"]) == (0.25, 0.0)  # April and May


def test_a_shut_door_is_a_system_that_is_off() -> None:
    shut = SourceTables(source(site(10, 10)).frames)

    found = TeamAttendance.derive(shut, AS_OF, months_n=2, required_days=22).collect().row(0, named=True)

    assert not found["is_system_on"]


def test_later_rows_change_nothing() -> None:
    rows = both(site(5, 10), stop("2026-05-01", "2026-05-03"))
    later = both(
        punches("K", days("2026-07", 20)),
        holder("K9", assigned_from=day("2026-07-01")),
        leave("2026-07-01", "2026-07-05"),
        stop("2026-07-01", None),
        {"progress_report": [{**report(JUNE, 1.0), "reported_at": at("2026-07-03")}]},
        {"contract": [contract("C9", signed_at=at("2026-07-01"))]},
    )

    assert team(both(rows, later)) == team(rows)
