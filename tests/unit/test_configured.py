"""Lists and settings count from and to their dates."""

import datetime as dt
from typing import Any

import polars as pl
import pytest

from features.clock import SHANGHAI
from features.derive.configured import listed, setting
from features.derive.windows import complete_months
from features.tables.reference import Param
from features.tables.source import SourceTables

EARLY = dt.datetime(2020, 1, 1, tzinfo=SHANGHAI)
MAY = dt.datetime(2026, 5, 1, tzinfo=SHANGHAI)
JUNE = dt.datetime(2026, 6, 1, tzinfo=SHANGHAI)


def configured(*rows: dict[str, Any]) -> SourceTables:
    schema = {name: column.dtype for name, column in Param.columns().items()}
    approved = {"changed_by": "wang", "approved_by": "li", "valid_from": EARLY}
    frame = pl.LazyFrame([approved | row for row in rows], schema=schema)  # pyright: ignore[reportArgumentType]
    return SourceTables({"param": frame})


def test_an_entry_counts_between_its_dates_trimmed_and_in_lower_case() -> None:
    source = configured(
        {"param_key": "LIST.boilerplate_author.1", "current_value": " Admin ", "valid_from": MAY, "valid_to": JUNE},
        {"param_key": "LIST.boilerplate_author.2", "current_value": "user", "valid_from": JUNE},
        {"param_key": "LIST.boilerplate_author.3", "current_value": "USER"},
        {"param_key": "LIST.boilerplate_author_names.1", "current_value": "other list"},
        {"param_key": "LIST.boilerplate_author.4", "current_value": "one county", "scope_region_code": "511302"},
    )

    assert listed(source, "boilerplate_author", MAY).to_list() == ["admin", "user"]
    assert listed(source, "boilerplate_author", JUNE).to_list() == ["user"]
    assert listed(source, "nothing", JUNE).to_list() == []


def test_the_latest_setting_in_force_counts() -> None:
    limits = [
        {"param_key": "SETTING.gp_open_limit", "current_value": value, "valid_from": day}
        for value, day in (("2000000", MAY), ("4000000", JUNE))
    ]

    assert setting(configured(*limits), "gp_open_limit", EARLY) is None
    assert setting(configured(*limits), "gp_open_limit", MAY) == "2000000"
    assert setting(configured(*limits), "gp_open_limit", JUNE) == "4000000"
    assert setting(configured(), "gp_open_limit", JUNE) is None


@pytest.mark.parametrize(
    ("as_of", "months"),
    [
        (dt.datetime(2026, 6, 30, 23, 59, 59, 999999, SHANGHAI), ["2026-05", "2026-06"]),
        (dt.datetime(2026, 6, 30, 23, 59, 59, 999998, SHANGHAI), ["2026-04", "2026-05"]),
        (dt.datetime(2026, 1, 31, 15, 59, 59, 999999, dt.UTC), ["2025-12", "2026-01"]),
    ],
)
def test_a_month_is_complete_with_its_last_microsecond(as_of: dt.datetime, months: list[str]) -> None:
    assert complete_months(as_of, 2) == months


@pytest.mark.parametrize("approved_by", [None, "wang", " Wang ", " "])
def test_a_change_that_nobody_else_approved_does_not_count(approved_by: str | None) -> None:
    row = {"param_key": "SETTING.x", "current_value": "1", "approved_by": approved_by}

    assert setting(configured(row), "x", JUNE) is None


def test_after_a_temporary_change_the_earlier_value_counts_again() -> None:
    older = {"param_key": "SETTING.x", "current_value": "1"}
    newer = {"param_key": "SETTING.x", "current_value": "2", "valid_from": MAY, "valid_to": JUNE}

    assert setting(configured(older, newer), "x", MAY) == "2"
    assert setting(configured(older, newer), "x", JUNE) == "1"
    assert setting(configured(newer), "x", JUNE) is None
