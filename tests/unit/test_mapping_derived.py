"""Presence on site and restrictive clauses are worked out while records are taken in."""

from pathlib import Path

import polars as pl
import pytest

from features.ingest.clauses import classified, restrictive_flag, restrictive_terms
from features.ingest.punches import RADIUS_M, Punches, on_site
from features.tables.store import TableStore
from features.tables.tendering import TenderClause

SITES = pl.DataFrame(
    {"project_id": ["A", "B"], "longitude": [106.0, 106.0], "latitude": [30.0, 30.0], "geofence_radius_m": [200, None]}
)


def _punches(*rows: tuple[str, str, float | None, float | None]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=["project_id", "method", "longitude", "latitude"], orient="row")


def test_a_hundredth_of_a_degree_north_is_1112_metres() -> None:
    # One degree of a great circle of a sphere of 6,371,008.8 m is 111,195.08 m.
    found = on_site(_punches(("A", "app_face", 106.0, 30.01)), SITES)

    assert found.item(0, "distance_to_site_m") == pytest.approx(1111.95, abs=0.01)
    assert found.item(0, "in_geofence") is False


def test_east_is_shorter_by_the_cosine_of_the_latitude() -> None:
    found = on_site(_punches(("A", "app_face", 106.01, 30.0)), SITES)

    assert found.item(0, "distance_to_site_m") == pytest.approx(1111.95 * 0.8660254, abs=0.01)


def test_a_fence_counts_up_to_its_radius_and_a_project_without_one_has_the_default() -> None:
    inside, beyond = 30.0 + 199 / 111195.08, 30.0 + 201 / 111195.08
    wide = 30.0 + (RADIUS_M - 1) / 111195.08
    rows = [("A", "app_face", 106.0, inside), ("A", "app_face", 106.0, beyond), ("B", "app_face", 106.0, wide)]

    assert on_site(_punches(*rows), SITES).get_column("in_geofence").to_list() == [True, False, True]


def test_without_coordinates_a_gate_stands_on_the_site_and_an_application_proves_nothing() -> None:
    rows = [("A", method, None, None) for method in ("face_gate", "card", "app_face", "manual")]

    found = on_site(_punches(*rows), SITES)

    assert found.get_column("in_geofence").to_list() == [True, True, False, False]
    assert found.get_column("distance_to_site_m").null_count() == 4


def test_a_site_that_is_not_known_leaves_the_answer_open() -> None:
    found = on_site(_punches(("C", "app_face", 106.0, 30.0)), SITES)

    assert found.row(0) == (None, None)


def test_punches_of_a_home_without_projects_are_completed_as_far_as_can_be(tmp_path: Path) -> None:
    rows = _punches(("A", "card", None, None)).with_columns(in_geofence=pl.lit(None, dtype=pl.Boolean))

    found = Punches(TableStore(tmp_path))(rows)

    assert found.item(0, "in_geofence") is True
    assert found.height == 1


@pytest.mark.parametrize(
    ("clause", "kind"),
    [
        ("投标人须具有建筑工程施工总承包二级及以上资质。", "none"),
        ("投标人工商注册地须在南充市内", "locality"),
        ("须在本市设有固定办公场所的分公司", "locality"),
        ("本地企业优先,加5分", "locality"),
        ("不得要求投标人在本地设立分支机构", "none"),
        ("水泵必须采用上海凯泉品牌", "brand"),
        ("水泵须采用凯泉品牌或相当于", "none"),
        ("投标人注册资本不低于5000万元", "firm_size"),
        ("近三年营业收入不低于2亿元", "firm_size"),
        ("仅限国有企业投标", "ownership"),
        ("获得过本市优质工程奖项的得3分", "specific_award"),
        ("须进入招标人备选库方可参加", "other"),
        ("法定代表人须本人到场递交,要求法定代表人亲自到场递交投标文件", "irrelevant_condition"),
        ("", "none"),
    ],
)
def test_clauses_are_told_by_their_words(clause: str, kind: str) -> None:
    assert restrictive_flag(pl.Series([clause])).to_list() == [kind]


def test_every_term_has_a_kind_of_the_contract_and_a_law() -> None:
    kinds = set(TenderClause.columns()["restrictive_flag"].categories)  # type: ignore[attr-defined]

    assert {one.kind for one in restrictive_terms()} == kinds - {"none"}
    assert all(one.law for one in restrictive_terms())


def test_a_flag_that_a_reviewer_set_stands() -> None:
    rows = pl.DataFrame({"text": ["仅限国有企业投标", "仅限国有企业投标"], "restrictive_flag": ["none", None]})

    assert classified(rows).get_column("restrictive_flag").to_list() == ["none", "ownership"]
