"""The seven analyses: who is ranked, what is at stake, and which region and period a subject belongs to."""

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest

import smoke
from features.derive.stakes import at_stake
from features.indicators.catalogue import entries
from features.tables.contract import SOURCE_TABLES
from features.tables.source import SourceTables
from features.tables.store import TableStore, TableWriter
from serving.analyses import QUESTIONS, analyse
from tests.worlds import AS_OF, Offer, Win, World, days_ago, random_world

HALF = 18 * 30


def test_every_analysis_of_the_catalogue_has_its_question_and_name() -> None:
    assert {one.analysis for one in entries()} == set(QUESTIONS)
    for entry in entries():
        assert QUESTIONS[entry.analysis].name_zh.removesuffix("分析") == entry.analysis_zh


def evidence(*rows: tuple[str, str]) -> str:
    return json.dumps([{"table": table, "key": key, "fields": {"x": "1"}} for table, key in rows])


def stakes(source: SourceTables, *rows: tuple[str, str]) -> dict[str, object]:
    results = pl.DataFrame({"subject_type": ["lot"], "subject_id": ["s"], "evidence": [evidence(*rows)]})
    (row,) = at_stake(results, source, AS_OF).to_dicts() or [{}]
    return row


def world() -> World:
    one = World()
    one.lot("L1", bids=[Offer("A"), Offer("B")], wins=[Win("A", 90.0)], control_price=100)
    one.lot("L2", bids=[Offer("A")], control_price=50, opening=days_ago(10))
    one.lot("L3", bids=[Offer("A")], wins=[Win("A", 7.0)], currency="USD", city="5107")
    one.lot("L4", bids=[Offer("A")], wins=[Win("A", 9.0, at=AS_OF + dt.timedelta(days=1))], control_price=8)
    parties = {"party_a_org_id": "T", "party_b_org_id": "A", "status": "signed"}
    contract = {"project_id": "P-L2", "amount": 33, "signed_at": days_ago(5), **parties}
    one.rows["contract"] = [
        {**contract, "contract_id": "K1", "lot_id": "L1"},
        {**contract, "contract_id": "K2", "lot_id": None},
    ]
    return one


def test_a_lot_counts_once_with_its_award_else_its_control_price_and_a_contract_without_lot_with_its_amount() -> None:
    source = world().source()
    bid = source.frames["bid"].collect().filter(lot_id="L1").get_column("bid_id")[1]

    once = stakes(source, ("lot", "L1"), ("bid", bid), ("tender", "N-L1"), ("contract", "K1"), ("lot", "L1"))
    assert (once["amount_cny"], once["n_lots"], once["n_contracts"]) == (90, 1, 0)
    both = stakes(source, ("lot", "L2"), ("contract", "K2"))
    assert (both["amount_cny"], both["n_lots"], both["n_contracts"]) == (83, 1, 1)
    assert (both["first_at"], both["last_at"]) == (days_ago(10), days_ago(5))
    assert stakes(source, ("lot", "L4"))["amount_cny"] == 8


def test_other_currencies_are_not_added_and_rows_that_belong_nowhere_are_no_stake() -> None:
    source = world().source()

    abroad = stakes(source, ("lot", "L3"), ("project", "P-L3"))
    assert (abroad["amount_cny"], abroad["region_codes"]) == (None, ["510702"])
    assert stakes(source, ("organisation", "A"), ("nonsense", "1"), ("lot", "no such lot")) == {}
    assert stakes(source) == {}


def test_subjects_are_ranked_by_the_indicators_of_the_analysis_alone() -> None:
    found = analyse(random_world(5, 90).source(), "tenderer_repeat_winner", AS_OF)

    scores = found.subjects.get_column("score").drop_nulls().to_list()
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0
    assert found.subjects.get_column("rank").to_list() == list(range(1, found.subjects.height + 1))
    assert {one.analysis for one in entries() if one.id in set(found.lines["id"])} == {"tenderer_repeat_winner"}
    # Who could not be judged stands last, without a score.
    assert found.subjects.get_column("score").null_count() > 0
    assert found.subjects.get_column("score").tail(1)[0] is None


def test_a_region_takes_in_what_lies_below_it_and_a_period_what_ends_in_it() -> None:
    source = random_world(6, 90).source()
    every = analyse(source, "bid_rigging", AS_OF).subjects.height
    province, city, county, other = (
        analyse(source, "bid_rigging", AS_OF, region=code).subjects.height
        for code in ("510000", "511300", "511302", "511303")
    )
    late = analyse(source, "bid_rigging", AS_OF, since=days_ago(HALF)).subjects

    assert every >= province > city == county > other == 0
    assert 0 < late.height < every


def test_the_command_prints_writes_and_names_what_it_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    for name, frame in random_world(5, 60).frames().items():
        table = SOURCE_TABLES[name]
        writer = TableWriter(TableStore(home), table, AS_OF, "S01")
        writer.upsert(frame.with_columns(source_record_id=pl.col(table.key())))
    place = ["--as-of", AS_OF.isoformat(), "--home", str(home)]

    assert smoke.run(["analyse", "bid_rigging", *place, "--top", "3"]) == 0
    said = capsys.readouterr().out
    assert "围标串标" in said
    assert "不等于没有风险" in said
    assert smoke.run(["analyse", "bid_rigging", *place, "--top", "3", "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["subjects"]) == 3
    fired = answer["subjects"][0]
    assert {line["id"] for line in fired["lines"] if line["triggered"]} == set(fired["triggered"])
    assert all(line["evidence"] for line in fired["lines"])
    out = tmp_path / "all.parquet"
    assert smoke.run(["analyse", "bid_rigging", *place, "--out", str(out)]) == 0
    assert pl.read_parquet(out).height == answer["n_subjects"]
    assert smoke.run(["analyse", "nothing", *place]) == 1
    assert "There is no analysis 'nothing'" in capsys.readouterr().err
