"""Rows and bodies of requests: what is taken, and what is refused with which words."""

from decimal import Decimal
from typing import Any

import pytest

from serving.messages import decoded
from serving.problems import ProblemError
from serving.records import record_frames

BID: dict[str, Any] = {
    "bid_id": "B1",
    "lot_id": "L1",
    "tender_id": "T1",
    "bidder_org_id": "O1",
    "is_consortium": False,
    "status": "valid",
}


def test_money_is_taken_from_strings_and_numbers_alike() -> None:
    rows = [BID | {"bid_price": "12.30"}, BID | {"bid_id": "B2", "bid_price": Decimal("12.3")}]

    assert record_frames({"bid": rows})["bid"].get_column("bid_price").to_list() == [Decimal("12.30")] * 2


def test_a_time_without_zone_is_shanghai_time() -> None:
    frame = record_frames({"bid": [BID | {"submitted_at": "2026-06-30T09:30:00"}]})["bid"]

    assert frame.item(0, "submitted_at").isoformat() == "2026-06-30T09:30:00+08:00"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("bid_price", Decimal("1e308")),
        ("bid_price", Decimal("1e-999999999")),
        ("bid_price", Decimal("1E+999999999")),
        ("bid_price", 10**200),
        ("bid_price", "NaN"),
        ("bid_price", "-1"),
        ("bid_price", Decimal("12.345")),
        ("status", "unheard_of"),
        ("rank", Decimal("1.5")),
        ("is_consortium", "yes"),
        ("submitted_at", "yesterday"),
        ("submitted_at", "0001-01-01T00:00:00+14:00"),
        ("bid_id", " "),
        ("bid_id", "x" * 201),
        ("consortium_org_ids", "["),
        ("no_such_column", 1),
    ],
)
def test_a_bad_cell_is_refused_by_its_path_with_a_mend(column: str, value: object) -> None:
    with pytest.raises(ProblemError) as refused:
        record_frames({"bid": [BID, BID | {"bid_id": "B2", column: value}]})

    problem = refused.value.problem
    assert (problem.status, problem.field) == (400, f"records.bid[1].{column}")
    assert problem.mend
    assert problem.mend_en


def test_a_personal_value_is_never_repeated() -> None:
    with pytest.raises(ProblemError) as refused:
        record_frames({"bid": [BID | {"upload_ip": 1234567}]})

    assert "1234567" not in str(refused.value.problem)


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(ProblemError, match="already"):
        record_frames({"bid": [BID, BID]})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", None),
        (b'{"as_of": NaN}', None),
        ('{"as_of": "冒烟"}'.encode("gb18030"), None),
        (b'{"records": {"bid": [{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]}}", None),
        (b"[]", None),
        (b'{"as_of": 3}', "as_of"),
        (b'{"subjects": [{"type": "planet", "id": "x"}]}', "subjects[0].type"),
        (b'{"subject": []}', "subject"),
    ],
)
def test_a_bad_body_is_a_problem_of_the_sender(body: bytes, field: str | None) -> None:
    with pytest.raises(ProblemError) as refused:
        decoded(body)

    assert refused.value.problem.status == 400
    assert field is None or refused.value.problem.field == field
