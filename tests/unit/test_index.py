"""The smoke index against numbers worked by hand, and against the definition of the Owen value."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.clock import parse_moment
from features.indicators.catalogue import entries, index_params
from features.tables.results import IndicatorValue
from models.contributions import rule_shares, scale_log_odds
from models.index import Scored, level, level_zh, not_assessable, score_subjects

AS_OF = parse_moment("2026-06-30")
PARAMS = index_params()
ENTRIES = entries()
BY_ID = {entry.id: entry for entry in ENTRIES}
BUILT = [entry.id for entry in ENTRIES if entry.state == "built"]
KEY = ("lot", "L1")


def value(indicator_id: str, x: float | None, *, on: tuple[str, str] = KEY, **more: Any) -> dict[str, Any]:
    """An indicator value that fired with this intensity; None is not assessable."""
    row = {
        "value_id": f"{indicator_id}@{on[1]}",
        "indicator_id": indicator_id,
        "subject_type": on[0],
        "subject_id": on[1],
        "as_of": AS_OF,
        "raw_value": x,
        "intensity": x,
        "triggered": None if x is None else True,
        "assessable": x is not None,
        "null_reason": "missing_source" if x is None else None,
        "support_n": 5,
        "peer_percentile": None,
        "evidence": "[]",
        "param_snapshot": "{}",
        "run_id": "",
    }
    return row | more


def link(
    of: tuple[str, str], *, subject: tuple[str, str] = KEY, role: str = "self", age: float = 0.0
) -> tuple[Any, ...]:
    return (*subject, *of, role, age)


def scored(values: Sequence[Mapping[str, Any]], links: Sequence[tuple[Any, ...]] = (), **more: Any) -> Scored:
    schema = {name: column.dtype for name, column in IndicatorValue.columns().items()}
    frame = pl.DataFrame(list(values), schema=schema, orient="row")
    names = ["subject_type", "subject_id", "of_type", "of_id", "role", "age_months"]
    rows = pl.DataFrame(list(links) or [link(KEY)], schema=names, orient="row")
    more = {"entries": ENTRIES, "params": PARAMS} | more
    return score_subjects(frame, rows, more.pop("entries"), more.pop("params"), as_of=AS_OF, **more)


def score(result: Scored) -> float:
    return result.index.item(0, "score")


def model(probability: float, base: float) -> pl.DataFrame:
    row = {"subject_type": "lot", "subject_id": "L1", "probability": probability, "base_probability": base}
    return pl.DataFrame([row | {"model_version_id": "7"}])


def test_one_fired_indicator_of_severity_3_gives_its_weight_times_its_intensity() -> None:
    assert score(scored([value("SI-022", 0.8)])) == pytest.approx(100 * 0.25 * 0.8)


def test_a_fired_indicator_counts_at_least_the_floor_and_one_that_did_not_fire_a_part_of_its_intensity() -> None:
    assert score(scored([value("SI-022", 0.1)])) == pytest.approx(100 * 0.25 * 0.3)
    assert score(scored([value("SI-022", 0.1, triggered=False)])) == pytest.approx(100 * 0.25 * 0.3 * 0.1)


def test_in_one_family_the_largest_counts_whole_and_the_others_a_quarter() -> None:
    result = scored([value("SI-022", 0.8), value("SI-025", 0.4)])

    largest, other = BY_ID["SI-022"].severity, BY_ID["SI-025"].severity
    strong, weak = sorted((PARAMS[f"w{largest}"] * 0.8, PARAMS[f"w{other}"] * 0.4), reverse=True)
    assert score(result) == pytest.approx(100 * (strong + 0.25 * weak))


def test_families_add_like_independent_chances() -> None:
    links = [link(KEY), link(("pair", "P"), role="bidders")]
    result = scored([value("SI-022", 0.8), value("SI-034", 1.0, on=("pair", "P"))], links)

    assert BY_ID["SI-022"].family != BY_ID["SI-034"].family
    assert score(result) == pytest.approx(100 * (1 - (1 - 0.25 * 0.8) * (1 - 0.25)))


def test_the_strongest_of_several_values_of_one_indicator_stands_for_the_subject() -> None:
    pairs = [("pair", "P"), ("pair", "Q")]
    values = [value("SI-034", 0.5, on=pairs[0]), value("SI-034", 0.9, on=pairs[1])]
    result = scored(values, [link(pair, role="bidders") for pair in pairs])

    line = result.contributions.row(0, named=True)
    assert (line["of_id"], score(result)) == ("Q", pytest.approx(100 * 0.25 * 0.9))


def test_the_values_of_an_organisations_lots_fade_by_half_in_a_half_life() -> None:
    half_life = PARAMS["half_life_months"]
    links = [link(KEY, subject=("organisation", "O"), role="bidder", age=half_life)]

    assert score(scored([value("SI-022", 0.8)], links)) == pytest.approx(100 * 0.25 * 0.8 / 2)


@pytest.mark.parametrize(("role", "expected"), [("bidder", 20.0), ("tenderer", None), ("agency", None)])
def test_a_tenderer_does_not_answer_for_how_bidders_priced(role: str, expected: float | None) -> None:
    links = [link(KEY, subject=("organisation", "O"), role=role)]

    assert score(scored([value("SI-022", 0.8)], links)) == pytest.approx(expected)


def test_coverage_is_the_weight_of_the_assessable_over_that_of_the_applicable() -> None:
    values = [value("SI-022", 0.8), value("SI-025", None), value("SI-026", None, null_reason="not_applicable")]
    applicable = [entry for entry in ENTRIES if entry.id != "SI-026"]

    expected = PARAMS["w3"] / sum(PARAMS[f"w{entry.severity}"] for entry in applicable)
    assert scored(values).index.item(0, "coverage") == pytest.approx(expected)


def test_with_little_coverage_the_level_is_none_and_the_words_say_that_data_are_short() -> None:
    row = scored([value("SI-022", 1.0)]).index.row(0, named=True)

    assert row["level"] == "none"
    assert level_zh(row["level"], row["coverage"], PARAMS) == "资料不足"


@pytest.mark.parametrize(
    ("points", "expected"),
    [(80, "red"), (79.99, "orange"), (60, "orange"), (40, "yellow"), (20, "blue"), (19.99, "none"), (0, "none")],
)
def test_levels_begin_at_their_limits(points: float, expected: str) -> None:
    assert level(points, PARAMS["coverage_min"], PARAMS) == expected
    assert level(points, PARAMS["coverage_min"] - 1e-6, PARAMS) == "none"


def test_a_subject_that_nothing_is_known_of_has_neither_score_nor_level() -> None:
    row = scored([], subjects=pl.DataFrame({"subject_type": ["lot"], "subject_id": ["L9"]})).index.row(0, named=True)

    assert (row["score"], row["rule_score"], row["coverage"], row["level"]) == (None, None, 0.0, "none")


def test_where_only_the_model_answers_the_score_is_its_weighted_part() -> None:
    row = scored([value("SI-022", None)], model_scores=model(0.6, 0.3)).index.row(0, named=True)

    assert (row["score"], row["rule_score"], row["coverage"]) == (pytest.approx(30.0), None, 0.0)


def test_what_was_not_judged_is_listed_with_its_reason() -> None:
    result = scored([value("SI-022", 0.8), value("SI-025", None)])
    catalogue = [replace(one, state="planned") if one.id == "SI-040" else one for one in ENTRIES]
    reasons = {item.entry.id: item.null_reason for item in not_assessable(result, catalogue, *KEY)}

    assert len(reasons) == len(ENTRIES) - 1
    assert (reasons["SI-025"], reasons["SI-026"], reasons["SI-040"]) == ("missing_source", "no_value", "not_built")


def test_rule_and_model_score_are_weighed_and_each_step_is_a_line() -> None:
    parts = pl.DataFrame(
        {"subject_type": "lot", "subject_id": "L1", "feature": ["a", "b"], "phi": [1.0, -0.25], "raw_value": [0.1, 2.0]}
    )
    result = scored([value("SI-022", 0.8)], model_scores=model(0.6, 0.3), model_parts=parts)

    lines = {(row["kind"], row["id"]): row["points"] for row in result.contributions.iter_rows(named=True)}
    assert score(result) == pytest.approx(0.5 * 20 + 0.5 * 60)
    assert lines == pytest.approx(
        {
            ("base", "model"): 30.0,
            ("feature", "a"): 40.0,
            ("feature", "b"): -10.0,
            ("indicator", "SI-022"): 20.0,
            ("weight", "model"): -30.0,
            ("weight", "rule"): -10.0,
        }
    )


def test_the_floor_holds_only_once_a_person_confirmed_the_evidence_of_a_fact_of_severity_5() -> None:
    grave = [replace(entry, severity=5) if entry.id == "SI-022" else entry for entry in ENTRIES]
    confirmed = pl.DataFrame({"of_type": ["lot"], "of_id": ["L1"], "indicator_id": ["SI-022"]})
    values = [value("SI-022", 0.4)]

    assert score(scored(values, entries=grave)) == pytest.approx(28.0)
    held_up = scored(values, entries=grave, confirmed=confirmed)
    assert score(held_up) == PARAMS["sev5_floor"]
    floor = held_up.contributions.filter(kind="floor")
    assert floor["points"].to_list() == pytest.approx([PARAMS["sev5_floor"] - 28.0])


def test_what_would_be_lost_without_a_line_is_the_score_less_the_score_without_it() -> None:
    links = [link(KEY), link(("pair", "P"), role="bidders")]
    pair = value("SI-034", 1.0, on=("pair", "P"))
    both = scored([value("SI-022", 0.8), pair], links)
    alone = scored([pair], links)

    lost = both.contributions.filter(id="SI-022").item(0, "loss_if_absent")
    assert lost == pytest.approx(score(both) - score(alone))


values_of = st.dictionaries(
    st.sampled_from(BUILT),
    st.tuples(st.one_of(st.none(), st.floats(0, 1)), st.booleans()),
    max_size=len(BUILT),
)
probabilities = st.one_of(st.none(), st.tuples(st.floats(0.001, 0.999), st.floats(0.001, 0.999)))


def drawn(chosen: Mapping[str, tuple[float | None, bool]]) -> list[dict[str, Any]]:
    return [
        value(id_, x, triggered=None if x is None else fired) for id_, (x, fired) in chosen.items()
    ]  # fmt: skip


@given(chosen=values_of, model_is=probabilities, phi=st.lists(st.floats(-5, 5), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_the_lines_of_a_subject_sum_to_its_score(
    chosen: dict[str, tuple[float | None, bool]], model_is: tuple[float, float] | None, phi: list[float]
) -> None:
    more: dict[str, Any] = {}
    if model_is is not None:
        names = [f"f{place}" for place in range(len(phi))]
        parts = pl.DataFrame({"subject_type": "lot", "subject_id": "L1", "feature": names, "phi": phi})
        more = {"model_scores": model(*model_is), "model_parts": parts}

    result = scored(drawn(chosen), **more)

    assert result.contributions["points"].sum() == pytest.approx(score(result) or 0.0, abs=1e-9)
    assert 0 <= (score(result) or 0.0) <= 100
    assert 0 <= result.index.item(0, "coverage") <= 1


@given(chosen=values_of, new=st.sampled_from(BUILT))
@settings(max_examples=60, deadline=None)
def test_a_new_trigger_never_lowers_the_score(chosen: dict[str, tuple[float | None, bool]], new: str) -> None:
    x, _ = chosen.get(new, (0.0, False))
    before = {**chosen, new: (x or 0.0, False)}
    after = {**before, new: (x or 0.0, True)}

    assert score(scored(drawn(after))) >= score(scored(drawn(before))) - 1e-12


@given(chosen=values_of, seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_one_subject_scores_the_same_alone_and_among_others(
    chosen: dict[str, tuple[float | None, bool]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    others = [
        value(id_, float(rng.random()), on=("lot", f"X{place}")) for place in range(7) for id_ in rng.choice(BUILT, 3)
    ]
    unique = {row["value_id"]: row for row in others}
    links = [link(KEY), *[link(("lot", f"X{place}"), subject=("lot", f"X{place}")) for place in range(7)]]
    together = scored([*drawn(chosen), *unique.values()], links).index.filter(subject_id="L1")

    alone = scored([*drawn(chosen), *unique.values()], [link(KEY)]).index
    assert together.equals(alone)


def test_points_are_owen_values_by_the_definition() -> None:
    families = [[0, 3], [1], [2, 4, 5]]
    weighted = np.array([0.4, 0.2, 0.7, 0.1, 0.3, 0.6])

    def worth(present: set[int]) -> float:
        left = 1.0
        for members in families:
            there = sorted((weighted[member] for member in members if member in present), reverse=True)
            left *= 1 - (min(0.95, there[0] + 0.25 * sum(there[1:])) if there else 0.0)
        return 100 * (1 - left)

    points, orders = np.zeros(6), 0
    for order in permutations(range(len(families))):
        for inner in _orders([families[place] for place in order]):
            present: set[int] = set()
            for member in inner:
                points[member] += worth(present | {member}) - worth(present)
                present.add(member)
            orders += 1

    shares = rule_shares(weighted[None, :], families, extra=0.25, cap=0.95)
    assert shares.points[0] == pytest.approx(points / orders, abs=1e-12)
    assert shares.rule_score[0] == pytest.approx(worth(set(range(6))))
    without = [worth(set(range(6)) - {member}) for member in range(6)]
    assert shares.without[0] == pytest.approx(without)


def _orders(groups: list[list[int]]) -> list[list[int]]:
    """All orders in which each group stands together, the groups in the order given."""
    if not groups:
        return [[]]
    return [[*head, *tail] for head in permutations(groups[0]) for tail in _orders(groups[1:])]


def test_log_odds_that_cannot_carry_the_change_leave_a_line_of_their_own() -> None:
    owner = np.array([0, 0, 1])
    points, rest = scale_log_odds(
        np.array([1.0, -1.0, 0.001]), owner, probability=np.array([0.9, 0.5]), base_probability=np.array([0.2, 0.1])
    )

    assert points == pytest.approx([0.0, 0.0, 0.1])
    assert rest == pytest.approx([70.0, 39.9])


def test_the_same_moment_in_another_zone_is_the_same_index() -> None:
    here = scored([value("SI-022", 0.8)]).index
    elsewhere = score_subjects(
        pl.DataFrame([value("SI-022", 0.8)], schema={n: c.dtype for n, c in IndicatorValue.columns().items()}),
        pl.DataFrame([link(KEY)], schema=["subject_type", "subject_id", "of_type", "of_id", "role", "age_months"],
                     orient="row"),
        ENTRIES,
        PARAMS,
        as_of=AS_OF.astimezone(dt.UTC),
    ).index  # fmt: skip

    assert here["index_id"].to_list() == elsewhere["index_id"].to_list()
