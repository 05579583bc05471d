"""Every indicator against its own worked cases, its specification and the table that it reads."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from types import ModuleType
from typing import Any

import dataframely as dy
import polars as pl
import pytest

from features.assessment.declare import Entry, Indicator, Measure, NullReason, collect, formulas, indicator
from features.assessment.evaluate import judge, measure
from features.derive.tenderers import WinningRun
from features.errors import CatalogueError
from features.indicators.built import MODULES, indicators
from features.indicators.catalogue import built, entries, specification

SUBJECT = "K1"
COMPARED = ("peer_percentile", "peer_q1", "peer_q3", "q_value")
"""What comparison with other subjects adds; a case states it, a run computes it (test_peers, test_multiplicity)."""
FIELDS = {"name", "rows", "all", *COMPARED, "raw_value", "support_n", "triggered", "intensity", "null_reason"}
SEEDS = (1, 2, 3)
CASES = [(one, case) for one in indicators() for case in one.entry.cases]
EACH = pytest.mark.parametrize("one", indicators(), ids=lambda one: one.entry.id)


def answer(one: Indicator, case: dict[str, Any], seed: int) -> dict[str, Any]:
    """Judge the rows of a case; columns that it does not name are drawn at random, for they must not matter."""
    subject = {one.formula.per or "subject_id": SUBJECT}
    rows = one.formula.reads.sample(
        overrides=[{**subject, **case.get("all", {}), **row} for row in case["rows"]],
        generator=dy.random.Generator(seed),
    )
    compared = [pl.lit(case.get(name), dtype=pl.Float64).alias(name) for name in COMPARED]
    judged = judge(measure(rows.lazy(), one).with_columns(*compared), one).collect()
    assert judged.height == 1
    return judged.row(0, named=True)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("one", "case"), CASES, ids=[f"{one.entry.id}: {case['name']}" for one, case in CASES])
def test_worked_case(one: Indicator, case: dict[str, Any], seed: int) -> None:
    got = answer(one, case, seed)

    assert got["null_reason"] == case.get("null_reason")
    assert got["assessable"] is ("null_reason" not in case)
    assert got["triggered"] is case.get("triggered")
    assert got["raw_value"] == (pytest.approx(case["raw_value"], abs=1e-9) if "raw_value" in case else None)
    if "intensity" in case:
        assert got["intensity"] == pytest.approx(case["intensity"], abs=1e-9)
    if "null_reason" in case:
        assert got["intensity"] is None
        assert got["peer_percentile"] is None
    if "support_n" in case:
        assert got["support_n"] == case["support_n"]


@EACH
def test_every_indicator_has_cases_that_fire_that_do_not_and_one_for_each_reason_it_can_give(one: Indicator) -> None:
    cases = one.entry.cases
    stated = one.measure()
    reasons = {reason.value for reason in stated.null_when}

    assert {case.get("triggered") for case in cases} == {True, False, None}
    assert {case["null_reason"] for case in cases if "null_reason" in case} == reasons | (
        {NullReason.TOO_FEW_OBSERVATIONS.value} if one.formula.peers else set()
    )


@EACH
def test_cases_are_complete_distinct_and_name_only_what_is_known(one: Indicator) -> None:
    names = [case["name"] for case in one.entry.cases]
    columns = set(one.formula.reads.column_names())

    assert len(names) == len(set(names))
    for case in one.entry.cases:
        assert set(case) <= FIELDS, case["name"]
        assert ("null_reason" in case) is not ("raw_value" in case), case["name"]
        assert ("triggered" in case) is ("raw_value" in case), case["name"]
        assert {name for row in [case.get("all", {}), *case["rows"]] for name in row} <= columns, case["name"]


@EACH
def test_inputs_exist_in_the_table_and_rules_use_what_was_measured(one: Indicator) -> None:
    stated = one.measure()
    over_rows = [stated.raw_value, stated.support_n, stated.evidence, *stated.null_when.values()]
    measured = {"raw_value", "support_n", *stated.extras}
    compared = ({"peer_percentile", "peer_q1", "peer_q3"} if one.formula.peers else set[str]()) | (
        {"q_value"} if one.formula.p_value else set[str]()
    )

    assert _inputs([*over_rows, *stated.extras.values()]) <= set(one.formula.reads.column_names())
    assert _inputs(list(stated.after.values())) <= measured | compared
    assert _inputs([stated.triggered, stated.intensity]) <= measured | compared | set(stated.after)
    assert {name for name, _ in one.formula.prefer} <= measured | {"triggered", "intensity"}


def _inputs(expressions: list[pl.Expr]) -> set[str]:
    return {name for expression in expressions for name in expression.meta.root_names()}


@EACH
def test_parameters_are_those_of_the_signature_and_of_the_specification(one: Indicator) -> None:
    spec = _spec(one.entry.id)
    text = (files("features.indicators") / "catalogue" / "parameters.csv").read_text(encoding="utf-8")
    listed = {
        row["name"]: row["default_value"] if row["type"] == "string" else float(row["default_value"])
        for row in csv.DictReader(text.splitlines())
        if row["item_id"] == one.entry.id
    }

    assert one.formula.parameters() == set(one.entry.params)
    assert one.entry.params == listed
    assert one.entry.params == json.loads(spec["params"])


@EACH
def test_texts_law_and_severity_are_those_of_the_specification(one: Indicator) -> None:
    spec, entry = _spec(one.entry.id), one.entry

    assert entry.law == tuple(part.strip() for part in spec["legal_basis"].split(";"))
    assert all(article in (one.formula.function.__doc__ or "") for article in entry.law[:1])
    assert (entry.code, entry.name_zh, entry.name_en) == (spec["code"], spec["name_zh"], spec["name_en"])
    assert (entry.analysis, entry.family) == (spec["analysis"], spec["family"])
    assert (entry.subject_level, entry.pair_of) == (spec["subject_level"], spec["pair_of"])
    assert (entry.severity, entry.caution) == (int(spec["severity"]), spec["false_positive_note"])
    assert one.formula.function.__name__ == entry.code
    assert entry.version >= 1


def _spec(id_: str) -> dict[str, str]:
    return next(row for row in specification() if row["id"] == id_)


def test_eighty_four_indicators_are_listed_and_those_with_a_file_are_built() -> None:
    states = {entry.id: entry.state for entry in entries()}

    assert list(states) == [f"SI-{number:03}" for number in range(1, 85)]
    assert [id_ for id_, state in states.items() if state == "built"] == [one.entry.id for one in indicators()]
    assert set(states.values()) <= {"built", "planned"}


def test_a_planned_indicator_has_no_version_and_no_cases() -> None:
    planned = [entry for entry in entries() if entry.state == "planned"]

    assert all(entry.version == 0 and not entry.cases for entry in planned)


def test_every_file_of_the_catalogue_is_an_indicator_of_its_name() -> None:
    folder = files("features.indicators") / "catalogue"
    named = {file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")}

    assert named == {one.entry.id for one in indicators()}


def _module(**functions: Callable[..., Measure]) -> ModuleType:
    module = ModuleType("made_up")
    for name, function in functions.items():
        function.__module__ = module.__name__
        setattr(module, name, function)
    return module


def _formula(id_: str) -> Callable[..., Measure]:
    @indicator(id_, reads=WinningRun)
    def made_up(*, run_min: int) -> Measure:
        nothing = pl.lit(run_min)
        return Measure(nothing, nothing, {}, nothing > 0, nothing, pl.lit("[]"))

    return made_up


def _entry(id_: str, params: dict[str, Any]) -> Entry:
    return replace(indicators()[0].entry, id=id_, params=params)


PARAMS = {"run_min": 3, "window_months": 36}


def test_a_formula_and_its_file_make_an_indicator() -> None:
    made = collect([_module(made_up=_formula("SI-900"))], [_entry("SI-900", PARAMS)])

    assert [one.entry.id for one in made] == ["SI-900"]


def test_a_formula_without_a_file_is_an_error() -> None:
    with pytest.raises(CatalogueError, match=r"without YAML \['SI-900'\]"):
        collect([_module(made_up=_formula("SI-900"))], [])


def test_a_file_without_a_formula_is_an_error() -> None:
    with pytest.raises(CatalogueError, match=r"without formula \['SI-900'\]"):
        collect([], [_entry("SI-900", PARAMS)])


def test_a_planned_entry_needs_no_formula() -> None:
    assert collect([], [entry for entry in entries() if entry.state == "planned"]) == ()


@pytest.mark.parametrize("params", [{"run_min": 3}, {**PARAMS, "cv_max": 0.02}])
def test_parameters_that_differ_between_file_and_signature_are_an_error(params: dict[str, Any]) -> None:
    with pytest.raises(CatalogueError, match="SI-900: the formula takes"):
        collect([_module(made_up=_formula("SI-900"))], [_entry("SI-900", params)])


def test_two_formulas_of_one_id_are_an_error() -> None:
    with pytest.raises(CatalogueError, match="SI-900 has two formulas"):
        formulas([_module(one=_formula("SI-900"), other=_formula("SI-900"))])


def test_a_file_that_lacks_a_field_is_named() -> None:
    with pytest.raises(CatalogueError, match=r"SI-900\.yaml has no field 'code'"):
        built("id: SI-900", {"id": "SI-900", "analysis_zh": ""})


def test_modules_are_read_and_nothing_registers_itself() -> None:
    assert set(formulas(MODULES)) == {one.entry.id for one in indicators()}
    assert formulas([]) == {}
