"""How an indicator is declared: a function that returns a Measure, and a catalogue entry of the same id."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType, ModuleType
from typing import Any

import polars as pl

from features.derive.derived import Derived
from features.derive.peers import PeerRule
from features.errors import CatalogueError


class NullReason(StrEnum):
    """Why a subject cannot be judged, in the order in which a reason is given (rulings G15)."""

    NOT_DUE = "not_due"
    NOT_APPLICABLE = "not_applicable"
    MISSING_SOURCE = "missing_source"
    TOO_FEW_OBSERVATIONS = "too_few_observations"


@dataclass(frozen=True)
class Entry:
    """One of the 84 indicators as the catalogue states it: texts, law, severity and parameters.

    ``state`` is ``built`` when a formula exists, ``planned`` when only the specification does.
    """

    id: str
    code: str
    version: int
    name_zh: str
    name_en: str
    analysis: str
    analysis_zh: str
    family: str
    subject_level: str
    pair_of: str
    severity: int
    law: tuple[str, ...]
    params: Mapping[str, Any]
    caution: str
    state: str
    raw_zh: str = ""
    """What the raw value is, in the words of an officer."""
    raw_format: str = ""
    """How it is written, with its unit: a format such as ``{:.2%}``."""
    support_zh: str = ""
    """What ``support_n`` counts."""
    rule_template_zh: str = ""
    """When it fires; parameters in braces."""
    cases: tuple[Mapping[str, Any], ...] = ()

    @property
    def rule_zh(self) -> str:
        """When it fires, with the values of the parameters."""
        return self.rule_template_zh.format(**self.params)


@dataclass(frozen=True)
class Measure:
    """What an indicator's function returns: expressions over the rows that it reads.

    Attributes:
        raw_value: the measured quantity of one subject.
        support_n: the number of observations behind it.
        null_when: for each reason, when the subject cannot be judged.
        triggered: the yes/no rule, over ``raw_value``, ``peer_percentile``, ``q_value`` and the named extras.
        intensity: a number in 0..1, over the same columns.
        evidence: a JSON list of ``{"table", "key", "fields"}``: the rows it stands on.
        extras: further quantities of the subject that the rule needs, over the rows; kept in the evidence.
        after: further quantities made of the measured ones; kept in the evidence.
    """

    raw_value: pl.Expr
    support_n: pl.Expr
    null_when: Mapping[NullReason, pl.Expr]
    triggered: pl.Expr
    intensity: pl.Expr
    evidence: pl.Expr
    extras: Mapping[str, pl.Expr] = field(default_factory=lambda: MappingProxyType({}))
    after: Mapping[str, pl.Expr] = field(default_factory=lambda: MappingProxyType({}))


Function = Callable[..., Measure]


@dataclass(frozen=True)
class Formula:
    """A declared function: what it reads, the grain it measures, and how its rows are compared.

    Attributes:
        id: the indicator's id.
        function: from parameters to a Measure.
        reads: the derived table.
        per: the column that groups rows into one subject; None when each row is measured by itself.
        peers: compares each subject with its peers, if set.
        p_value: the extra that holds a p-value; a ``q_value`` (Benjamini-Hochberg) is made from it.
        prefer: which row stands for a subject that has several, best first, as (column, descending); the default
            is rulings G8.
    """

    id: str
    function: Function
    reads: type[Derived]
    per: str | None
    peers: PeerRule | None = None
    p_value: str | None = None
    prefer: tuple[tuple[str, bool], ...] = (("triggered", True), ("intensity", True), ("raw_value", True))

    def parameters(self) -> set[str]:
        """Return the names of the parameters that the function and its derived table take."""
        own = set(inspect.signature(self.function).parameters)
        return own | self.reads.parameters() | ({"peer_min", "window_months"} if self.peers else set())


@dataclass(frozen=True)
class Indicator:
    """A catalogue entry with its formula."""

    entry: Entry
    formula: Formula

    def measure(self) -> Measure:
        """Call the formula with the entry's parameters."""
        names = inspect.signature(self.formula.function).parameters
        return self.formula.function(**{name: self.entry.params[name] for name in names})

    def derive_params(self) -> dict[str, Any]:
        """Return the parameters that the derived table takes."""
        return {name: self.entry.params[name] for name in self.formula.reads.parameters()}


def indicator(
    id: str,  # noqa: A002
    *,
    reads: type[Derived],
    per: str | None = None,
    peers: PeerRule | None = None,
    p_value: str | None = None,
    prefer: tuple[tuple[str, bool], ...] | None = None,
) -> Callable[[Function], Function]:
    """Declare a function as the formula of an indicator; nothing is registered, the function only carries it."""

    def declare(function: Function) -> Function:
        formula = Formula(id, function, reads, per, peers, p_value)
        if prefer is not None:
            formula = Formula(id, function, reads, per, peers, p_value, prefer)
        function.formula = formula  # type: ignore[attr-defined]
        return function

    return declare


def formulas(modules: Iterable[ModuleType]) -> dict[str, Formula]:
    """Return the formulas declared in modules, by indicator id.

    Raises:
        CatalogueError: two functions claim one id.
    """
    found: dict[str, Formula] = {}
    for module in modules:
        for value in vars(module).values():
            formula = getattr(value, "formula", None)
            if not isinstance(formula, Formula) or value.__module__ != module.__name__:
                continue
            if formula.id in found:
                message = f"{formula.id} has two formulas: {found[formula.id].function.__name__} and {value.__name__}."
                raise CatalogueError(message)
            found[formula.id] = formula
    return found


def collect(modules: Sequence[ModuleType], entries: Sequence[Entry]) -> tuple[Indicator, ...]:
    """Pair the formulas of modules with the built entries of the catalogue, sorted by id.

    Raises:
        CatalogueError: a formula without entry, a built entry without formula, or parameters that differ.
    """
    by_id = formulas(modules)
    built = {entry.id: entry for entry in entries if entry.state == "built"}
    if by_id.keys() != built.keys():
        message = (
            f"Formulas and catalogue differ: without YAML {sorted(by_id.keys() - built.keys())}, "
            f"without formula {sorted(built.keys() - by_id.keys())}."
        )
        raise CatalogueError(message)
    for id_, formula in by_id.items():
        if formula.parameters() != set(built[id_].params):
            message = (
                f"{id_}: the formula takes {sorted(formula.parameters())}, "
                f"the catalogue gives {sorted(built[id_].params)}; make them equal."
            )
            raise CatalogueError(message)
    return tuple(Indicator(built[id_], by_id[id_]) for id_ in sorted(by_id))
