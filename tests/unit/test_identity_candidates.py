import datetime as dt

import polars as pl
import pytest

from features.clock import SHANGHAI
from features.ingest.identity.candidates import Candidate, organisation_candidates, person_candidates
from features.ingest.identity.conflicts import conflicts

FIRM = ("91511300MA62960B0Y", "南充市鑫源建筑工程有限公司", "511300")
OTHERS = [
    ("91511300MA1111111A", "南充市华兴建筑工程有限公司", "511300"),
    ("91510100MA2222222B", "成都鑫达建筑工程有限公司", "510100"),
    ("91511300MA3333333C", "四川源泰路桥有限公司", "511300"),
    ("91511300MA4444444D", "四川鑫源建设集团有限公司", "511300"),
]
MORNING = dt.datetime(2026, 1, 1, tzinfo=SHANGHAI)


TEXT = pl.String()


def candidates(
    name: str | None,
    given: str | None = None,
    region: str | None = None,
    known: list[tuple[str, str, str]] | None = None,
) -> list[Candidate]:
    items = pl.DataFrame(
        {"item_id": ["i"], "given": [given], "name": [name], "region_code": [region]},
        {"item_id": TEXT, "given": TEXT, "name": TEXT, "region_code": TEXT},
    )
    organisations = pl.DataFrame(known or [FIRM, *OTHERS], ["org_id", "name", "region_code"], orient="row")
    return organisation_candidates(items, organisations, ["南充市", "成都市"]).get("i", [])


@pytest.mark.parametrize(
    "name",
    [
        "鑫源建筑工程有限公司",
        "南充鑫源建筑工程有限责任公司",
        "南充市鑫源建筑工程公司",
        "南充市鑫源建筑程有限公司",
        "南充(鑫源)建筑工程",
    ],
)
def test_a_name_in_another_form_proposes_the_firm_first(name: str) -> None:
    found = candidates(name)

    assert found[0].id == FIRM[0]
    assert 0.3 <= found[0].score < 0.95  # a name alone is never certain


def test_a_slip_in_the_code_proposes_the_firm_whatever_the_name() -> None:
    slipped = FIRM[0][:12] + "7" + FIRM[0][13:]

    found = candidates("完全不同的名字", slipped)

    assert (found[0].id, found[0].score) == (FIRM[0], 0.9)
    assert "代码差 1 处" in found[0].why


def test_name_and_code_together_are_stronger_than_either() -> None:
    slipped = FIRM[0][:12] + "7" + FIRM[0][13:]

    both = candidates(FIRM[1], slipped)[0].score

    assert both > max(candidates(FIRM[1])[0].score, candidates("完全不同的名字", slipped)[0].score)


def test_another_region_weakens_a_name() -> None:
    assert candidates(FIRM[1], region="510100")[0].score < candidates(FIRM[1], region="511302")[0].score


def test_a_name_of_one_character_and_a_legal_form_is_compared_whole() -> None:
    assert [one.id for one in candidates("某公司", known=[("O1", "某公司", "511300")])] == ["O1"]


def test_a_name_like_no_other_proposes_nobody() -> None:
    assert candidates("北京万象咨询中心") == []
    assert candidates(None) == []


def test_persons_are_proposed_by_signs_that_are_no_numbers() -> None:
    items = pl.DataFrame(
        {
            "item_id": ["slip", "name", "none"],
            "given": ["511302**********38", None, None],
            "name": ["张三", "张三", "王五"],
            "employer_org_id": [None, "O1", None],
            "neighbours": [["p1", "p9"], None, None],
        },
        schema_overrides={"neighbours": pl.List(pl.String())},
    )
    persons = pl.DataFrame(
        {"person_id": ["p1", "p2"], "name": ["张三", "张三"], "employer_org_id": ["O2", "O1"]},
    )

    found = person_candidates(items, persons)

    assert [(one.id, one.score) for one in found["slip"]] == [("p1", 0.925), ("p2", 0.5)]
    assert [(one.id, one.score) for one in found["name"]] == [("p2", 0.75), ("p1", 0.5)]
    assert "none" not in found


def versions(*rows: tuple[str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(
        [(one, name, source, f"{source}-{place}", MORNING) for place, (one, name, source) in enumerate(rows)],
        ["id", "name", "source_code", "source_record_id", "loaded_at"],
        orient="row",
    )


def test_a_name_that_the_registry_never_had_is_a_conflict() -> None:
    found = conflicts(
        "organisation",
        versions(("A", "甲公司", "S11"), ("A", "乙公司", "S11"), ("A", "甲 公司", "S01"), ("A", "丙公司", "S01")),
    )

    assert found.select("given", "source", "name", "records").rows() == [("A", "S01", "丙公司", 1)]


def test_a_former_name_is_no_conflict() -> None:
    former = pl.DataFrame({"id": ["A"], "name": ["丙公司"]})

    found = conflicts("organisation", versions(("A", "甲公司", "S11"), ("A", "丙公司", "S01")), former)

    assert found.is_empty()


def test_brackets_and_points_are_no_other_name() -> None:
    assert conflicts("organisation", versions(("A", "甲(南充)公司", "S11"), ("A", "甲（南充）公司", "S01"))).is_empty()
    assert conflicts("person", versions(("p", "阿依·古丽", "P00"), ("p", "阿依•古丽", "S10"))).is_empty()


def test_without_the_entitled_source_the_usual_name_is_right_in_any_order() -> None:
    rows = versions(("p", "张三", "S10"), ("p", "张三", "S03"), ("p", "李四", "S09"))

    for order in (rows, rows.reverse()):
        found = conflicts("person", order)
        assert found.select("given", "source", "name", "kind").rows() == [("p", "S09", "李四", "name_conflict")]
        assert found.get_column("item_id").to_list() == conflicts("person", rows).get_column("item_id").to_list()
