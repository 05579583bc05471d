"""Tables in, scores and explanations out; no framework.

One path for all: ``smoke score``, ``smoke explain`` and the service evaluate the same functions over the same frames,
so a lot sent with its bids is judged exactly as the same lot in the tables.
"""

import datetime as dt
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import polars as pl

from features.assessment.declare import Entry
from features.assessment.parameters import changed, with_changes
from features.build import indicator_values
from features.clock import SHANGHAI, now, parse_moment
from features.derive.subject_links import subject_links
from features.errors import InputError, SmokeError
from features.indicators.catalogue import entries, entries_by_id, index_params
from features.tables.contract import FACT_TABLES
from features.tables.organisations import Organisation
from features.tables.projects import Project
from features.tables.reference import Param
from features.tables.source import SourceTables, read_source_tables
from features.tables.store import TableStore
from features.tables.tendering import Lot
from models.bundle import Bundle, load
from models.explain import contributions
from models.index import Scored, Unjudged, level_zh, not_assessable, score_subjects
from models.lot_features import measured_lots
from models.sentences import REASON_ZH, sentence_zh
from serving.messages import (
    Contribution,
    Counterfactual,
    Evidence,
    ExplainResponse,
    Explanation,
    NotAssessable,
    Result,
    ScoreRequest,
    ScoreResponse,
    Subject,
)
from serving.problems import from_input_error, problem
from serving.records import check_references, record_frames
from serving.settings import Settings

DEFAULT_TYPES = ("lot", "project", "organisation")
SUBJECT_SCHEMA = {"subject_type": pl.String(), "subject_id": pl.String()}
_LISTED = {"lot": Lot, "project": Project, "organisation": Organisation}


@dataclass(frozen=True)
class Run:
    """Everything about one moment that scoring any subject needs.

    Attributes:
        as_of: the moment.
        tables: the rows it rests on.
        values: rows of ``IndicatorValue``.
        links: which value counts for which subject, rows of ``SubjectLink``.
        catalogue: the indicators by id, with the parameters in force at that moment.
        model_scores: as ``score_subjects`` takes them; None without a model.
        model_parts: likewise.
        model_version: the model's version; None without a model.
    """

    as_of: dt.datetime
    tables: SourceTables
    values: pl.DataFrame
    links: pl.DataFrame
    catalogue: Mapping[str, Entry]
    model_scores: pl.DataFrame | None = None
    model_parts: pl.DataFrame | None = None
    model_version: str | None = None

    def scored(self, subjects: pl.DataFrame | None) -> Scored:
        """Score subjects (columns subject_type, subject_id); None scores all that are linked."""
        return score_subjects(
            self.values,
            self.links,
            list(self.catalogue.values()),
            index_params(),
            as_of=self.as_of,
            model_scores=self.model_scores,
            model_parts=self.model_parts,
            subjects=subjects,
        )

    def linked(self, types: Sequence[str]) -> pl.DataFrame:
        """Return the subjects of some types that anything is linked to, sorted."""
        keys = self.links.select(pl.col(name).cast(pl.String) for name in SUBJECT_SCHEMA)
        return keys.unique().filter(pl.col("subject_type").is_in(list(types))).sort(*SUBJECT_SCHEMA)


def run_as_of(source: SourceTables, as_of: dt.datetime, bundle: Bundle | None) -> Run:
    """Evaluate indicators, roll-up and, where there is one, the model, over all tables as of a moment."""
    tables = source.collected()
    values = indicator_values(tables, as_of)
    links = subject_links(tables, as_of)
    changes = changed(tables[Param], as_of)
    catalogue = {entry.id: with_changes(entry, changes) for entry in entries()}
    if bundle is None:
        return Run(as_of, tables, values, links, catalogue)
    lots = measured_lots(tables, as_of)
    scores = bundle.predict(lots).select(
        pl.lit("lot").alias("subject_type"),
        pl.col("lot_id").alias("subject_id"),
        "probability",
        "base_probability",
        pl.lit(bundle.version).alias("model_version_id"),
    )
    measured = lots.unpivot(bundle.feature_ids, index="lot_id", variable_name="feature", value_name="raw_value")
    parts = (
        contributions(bundle, lots)
        .filter(pl.col("phi") != 0)  # what no tree splits on is no part of the answer
        .join(measured, on=["lot_id", "feature"], how="left")
        .select(
            pl.lit("lot").alias("subject_type"), pl.col("lot_id").alias("subject_id"), "feature", "phi", "raw_value"
        )
    )
    return Run(as_of, tables, values, links, catalogue, scores, parts, bundle.version)


def score_all(
    source: SourceTables, as_of: dt.datetime, bundle: Bundle | None, types: Sequence[str] = DEFAULT_TYPES
) -> pl.DataFrame:
    """Score every subject of some types.

    Returns:
        Rows of ``SmokeIndex``, sorted by subject.
    """
    run = run_as_of(source, as_of, bundle)
    return run.scored(run.linked(types)).index


def champion(settings: Settings) -> Bundle | None:
    """Load the promoted model; None where none is configured.

    Raises:
        SmokeError: it is required and missing, or does not fit the code.
    """
    if settings.model == "none" or (settings.model == "auto" and not settings.champion.exists()):
        return None
    return load(settings.champion)


class Scorer:
    """Answers requests from the tables and the model under one home; notices when either changes."""

    def __init__(self, settings: Settings) -> None:
        """Remember where things are; nothing is read before the first request."""
        self._settings = settings
        self._store = TableStore(settings.home)
        self._lock = threading.Lock()
        self._state: tuple[tuple[object, ...], SourceTables, Bundle | None] | None = None
        self._runs: OrderedDict[tuple[object, ...], Run] = OrderedDict()

    def check_ready(self) -> None:
        """Make sure that tables and, where one is configured, a model are there.

        Raises:
            ProblemError: they are not.
        """
        if not self._store.exists(Lot):
            raise problem(
                "not-ready",
                detail="尚无任何标段数据。",
                detail_en="There are no lots in the tables.",
                mend="请先用 smoke ingest 导入数据。",
                mend_en="load data with smoke ingest.",
            )
        with self._lock:
            self._current()

    def score(self, request: ScoreRequest) -> ScoreResponse:
        """Score the subjects of a request.

        Raises:
            ProblemError: the request cannot be answered.
        """
        run, subjects, _, index = self._answered(request)
        results = [
            Result(one.type, one.id, **(_numbers(index[one]) if one in index else _unknown(one))) for one in subjects
        ]
        return ScoreResponse(run.as_of.isoformat(), run.model_version, results)

    def explain(self, request: ScoreRequest) -> ExplainResponse:
        """Explain the scores of the subjects of a request.

        Raises:
            ProblemError: the request cannot be answered.
        """
        run, subjects, scored, index = self._answered(request)
        lines: dict[Subject, list[Mapping[str, Any]]] = {}
        for row in scored.contributions.iter_rows(named=True):
            lines.setdefault(Subject(row["subject_type"], row["subject_id"]), []).append(row)
        results = [
            _explained(one, index[one], lines.get(one, []), scored, run.catalogue)
            if one in index
            else Explanation(one.type, one.id, **_unknown(one))
            for one in subjects
        ]
        return ExplainResponse(run.as_of.isoformat(), run.model_version, results)

    def _answered(self, request: ScoreRequest) -> tuple[Run, list[Subject], Scored, dict[Subject, Mapping[str, Any]]]:
        """Return the run, the subjects asked for, what the index says, and its rows of those that are known."""
        run, subjects = self._prepared(request)
        known = _known(run, subjects)
        scored = run.scored(_frame([one for one in subjects if one in known]))
        return run, subjects, scored, _by_subject(scored.index)

    def _prepared(self, request: ScoreRequest) -> tuple[Run, list[Subject]]:
        as_of = _moment(request.as_of)
        frames = record_frames(request.records or {})
        subjects = self._subjects(request, frames)
        self.check_ready()
        with self._lock:
            key, tables, bundle = self._current()
            if frames:
                overlaid = tables.overlaid(frames)
                check_references(frames, overlaid)
                return run_as_of(overlaid, as_of, bundle), subjects
            if (*key, as_of) not in self._runs:
                self._runs[(*key, as_of)] = run_as_of(tables, as_of, bundle)
            self._runs.move_to_end((*key, as_of))
            while len(self._runs) > self._settings.cached_runs:
                self._runs.popitem(last=False)
            return self._runs[(*key, as_of)], subjects

    def _subjects(self, request: ScoreRequest, frames: Mapping[str, pl.DataFrame]) -> list[Subject]:
        subjects = request.subjects
        if subjects is None:
            lots = frames["lot"].get_column("lot_id").to_list() if "lot" in frames else []
            subjects = [Subject("lot", lot) for lot in lots]
        most = self._settings.max_subjects
        if not 1 <= len(subjects) <= most:
            raise problem(
                "invalid-request",
                field="subjects",
                detail=f"评分对象为 {len(subjects)} 个，应为 1 至 {most} 个。",
                detail_en=f"{len(subjects)} subjects were asked for; 1 to {most} are allowed.",
                mend="请给出 subjects，或在 records.lot 中给出标段；数量过多时请分批。",
                mend_en="name subjects, or send lots in records.lot; split larger requests.",
            )
        return subjects

    def _current(self) -> tuple[tuple[object, ...], SourceTables, Bundle | None]:
        """Return tables and model, read again when either changed; the caller holds the lock."""
        key = self._fingerprint()
        if self._state is None or self._state[0] != key:
            try:
                bundle = champion(self._settings)
            except SmokeError as error:
                raise problem(
                    "not-ready",
                    detail="已配置的模型无法使用。",
                    detail_en=str(error),
                    mend="请用 smoke promote 重新发布模型，或将 SMOKE_MODEL 设为 none 仅按规则评分。",
                    mend_en="promote a model again, or set SMOKE_MODEL=none to score by the rules alone.",
                ) from error
            self._runs.clear()
            self._state = (key, read_source_tables(self._store, run="serve").collected(), bundle)
        return self._state

    def _fingerprint(self) -> tuple[object, ...]:
        """Return what changes when a table is written or a model is promoted, without opening either."""
        logs = (self._store.path(table) / "_delta_log" for table in FACT_TABLES.values())
        versions = [log.stat().st_mtime_ns if log.exists() else 0 for log in logs]
        file = self._settings.champion / "bundle.json"
        stamp = (file.stat().st_mtime_ns, file.resolve()) if file.exists() else None
        return (*versions, stamp)


def _moment(text: str | None) -> dt.datetime:
    """Return the moment asked for; by default the end of today, so that answers of one day are one answer."""
    if text is None:
        return dt.datetime.combine(now().date(), dt.time.max, tzinfo=SHANGHAI)
    try:
        moment = parse_moment(text)
    except InputError as error:
        raise from_input_error(error) from error
    except OverflowError as error:
        raise from_input_error(
            InputError("as_of is out of range.", field="as_of", mend="give a later date.")
        ) from error
    if not 1950 <= moment.year <= 2199:
        raise from_input_error(
            InputError(f"as_of lies in the year {moment.year}.", field="as_of", mend="give a date from 1950 to 2199.")
        )
    return moment


def _frame(subjects: Sequence[Subject]) -> pl.DataFrame:
    rows = {"subject_type": [one.type for one in subjects], "subject_id": [one.id for one in subjects]}
    return pl.DataFrame(rows, schema=SUBJECT_SCHEMA).unique(maintain_order=True)


def _by_subject(index: pl.DataFrame) -> dict[Subject, Mapping[str, Any]]:
    return {Subject(row["subject_type"], row["subject_id"]): row for row in index.iter_rows(named=True)}


def _known(run: Run, subjects: Sequence[Subject]) -> set[Subject]:
    """Return the subjects that the tables know; a pair is known when both its organisations are."""
    known: set[Subject] = set()
    ends = [end for one in subjects if one.type == "pair" for end in one.id.split("~")]
    wanted = {
        kind: [one.id for one in subjects if one.type == kind]
        + [end.removeprefix("organisation:") for end in ends if kind == "organisation"]
        for kind in _LISTED
    }
    found: dict[str, set[str]] = {}
    for kind, table in _LISTED.items():
        key = pl.col(table.key())
        frame = run.tables[table].filter(key.is_in(wanted[kind])).select(key).collect()
        found[kind] = set(frame.to_series())
    linked = run.linked(["lot", "project", "organisation", "person", "pair"])
    asked = linked.join(_frame(subjects), on=list(SUBJECT_SCHEMA), how="semi")
    known |= {Subject(kind, id_) for kind, id_ in asked.iter_rows()}
    for one in subjects:
        parts = one.id.split("~")
        whole = all(end.startswith("organisation:") for end in parts)
        pair = one.type == "pair" and len(set(parts)) == 2 and parts == sorted(parts) and whole
        if one.id in found.get(one.type, set()) or (
            pair and all(end.removeprefix("organisation:") in found["organisation"] for end in parts)
        ):
            known.add(one)
    if not known:
        first = subjects[0]
        raise problem(
            "unknown-subject",
            field="subjects[0].id",
            detail=f"数据表中没有 {first.type} {first.id!r}。",
            detail_en=f"The tables hold no {first.type} {first.id!r}.",
            mend="请核对编号，或在 records 中提供其数据。",
            mend_en="check the id, or send its rows in records.",
        )
    return known


def _numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of one subject, and the words for its level."""
    numbers = {name: row[name] for name in ("score", "level", "rule_score", "model_score", "coverage")}
    return numbers | {"level_zh": level_zh(row["level"], row["coverage"], index_params())}


def _unknown(one: Subject) -> dict[str, Any]:
    """Return what is answered for a subject that the tables do not hold, next to others that they do."""
    error = problem(
        "unknown-subject",
        detail=f"数据表中没有 {one.type} {one.id!r}。",
        detail_en=f"The tables hold no {one.type} {one.id!r}.",
        mend="请核对编号，或在 records 中提供其数据。",
        mend_en="check the id, or send its rows in records.",
    )
    nothing = dict.fromkeys(("score", "level", "level_zh", "rule_score", "model_score", "coverage"))
    return {**nothing, "problem": error.problem}


def _explained(
    one: Subject,
    row: Mapping[str, Any],
    lines: Sequence[Mapping[str, Any]],
    scored: Scored,
    catalogue: Mapping[str, Entry],
) -> Explanation:
    told = [_contribution(line, catalogue) for line in lines]
    told.sort(key=lambda line: (-abs(line.points), line.kind, line.id))
    missing = [_unjudged(item) for item in not_assessable(scored, list(catalogue.values()), one.type, one.id)]
    return Explanation(
        one.type,
        one.id,
        **_numbers(row),
        contributions=told,
        not_assessable=missing,
        counterfactual=_counterfactual(row["score"], told),
    )


def _contribution(line: Mapping[str, Any], catalogue: Mapping[str, Entry]) -> Contribution:
    entry = catalogue[line["id"]] if line["kind"] == "indicator" else None
    return Contribution(
        kind=line["kind"],
        id=line["id"],
        points=line["points"],
        raw_value=line["raw_value"],
        peer_percentile=line["peer_percentile"],
        sentence_zh=sentence_zh(line, catalogue),
        law=list(entry.law) if entry else [],
        evidence=_evidence(line["evidence"]),
        loss_if_absent=line["loss_if_absent"],
        triggered=line["triggered"],
    )


def _unjudged(item: Unjudged) -> NotAssessable:
    entry = item.entry
    return NotAssessable(
        entry.id,
        item.null_reason,
        entry.name_zh,
        REASON_ZH[item.null_reason],
        list(entry.law),
        _evidence(item.evidence),
    )


def _evidence(text: str | None) -> list[Evidence]:
    return msgspec.json.decode(text, type=list[Evidence]) if text else []


def _counterfactual(score: float | None, lines: Sequence[Contribution]) -> Counterfactual | None:
    losses = [line for line in lines if line.loss_if_absent]
    if score is None or not losses:
        return None
    most = max(losses, key=lambda line: line.loss_if_absent or 0.0)
    name = entries_by_id()[most.id].name_zh
    without = score - (most.loss_if_absent or 0.0)
    return Counterfactual(most.id, name, without, f"若没有“{name}”这一项，指数为 {without:.1f}。")
