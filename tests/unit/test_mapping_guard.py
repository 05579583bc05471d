"""A changed interface is told from some bad cells."""

import pytest

from features.ingest.mapping.guard import Expected, FeedStoppedError, FileGuard, Judged

EXPECTED = {
    "金额(元)": Expected("an amount in 元", "give figures.", required=True),
    "备注": Expected("text", "correct it.", required=False),
}


def _guard() -> FileGuard:
    return FileGuard("S01/bid", "bid-202403.csv", EXPECTED)


def _judged(records: int, given: int, failed: int, **words: int) -> Judged:
    unknown = {"金额(元)": words} if words else {}
    return Judged("bid-202403.csv", records, {"金额(元)": given, "备注": 0}, {"金额(元)": failed}, unknown)


def test_a_missing_heading_is_named_with_what_stands_there_instead() -> None:
    with pytest.raises(FeedStoppedError) as stopped:
        _guard().meet({"备注"}, {"金额(万元)"})

    assert (stopped.value.source, stopped.value.feed, stopped.value.file) == ("S01", "bid", "bid-202403.csv")
    assert stopped.value.column == "金额(元)"
    assert "金额(万元)" in stopped.value.found
    assert "headings:" in stopped.value.mend


@pytest.mark.parametrize(
    ("records", "given", "failed", "stops"),
    [
        (1000, 1000, 19, False),
        (95, 95, 19, False),
        (100, 100, 20, True),
        (101, 101, 20, False),
        (1000, 60, 20, True),
        (20, 20, 20, True),
        (1000, 0, 0, False),
    ],
)
def test_a_column_has_changed_from_twenty_cells_and_a_fifth_of_a_file_on(
    records: int, given: int, failed: int, *, stops: bool
) -> None:
    guard = _guard()
    half = failed // 2
    guard.watch(_judged(records // 2, given // 2, half))
    guard.watch(_judged(records - records // 2, given - given // 2, failed - half))

    if stops:
        with pytest.raises(FeedStoppedError):
            guard.conclude(optional_when_absent=False)
    else:
        guard.conclude(optional_when_absent=False)


def test_unknown_words_are_shown_most_frequent_first() -> None:
    guard = _guard()
    guard.watch(_judged(100, 100, 30, 甲=4, 乙=26))

    with pytest.raises(FeedStoppedError) as stopped:
        guard.conclude(optional_when_absent=False)

    assert "'乙' 26 times, '甲' 4 times" in stopped.value.found


def test_what_is_left_out_when_empty_is_missing_only_where_the_contract_demands_it() -> None:
    guard = _guard()
    guard.watch(_judged(20, 0, 0))

    guard.conclude(optional_when_absent=False)
    with pytest.raises(FeedStoppedError) as stopped:
        guard.conclude(optional_when_absent=True)

    assert stopped.value.column == "金额(元)"


def test_words_of_a_list_are_shown_and_the_cells_of_a_slipped_column_are_not() -> None:
    guard = _guard()
    guard.watch(_judged(100, 100, 60, 待定=60))
    with pytest.raises(FeedStoppedError, match="'待定' 60 times"):
        guard.conclude(optional_when_absent=False)

    guard = _guard()
    guard.watch(_judged(100, 100, 60, **{f"张{n}": 2 for n in range(30)}))
    with pytest.raises(FeedStoppedError, match="30 different words, not shown"):
        guard.conclude(optional_when_absent=False)
