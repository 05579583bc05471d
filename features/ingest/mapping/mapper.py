"""Turns the records of a feed into rows of the contract, batch by batch."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from features.ingest.feed import Feed
from features.ingest.formats.chunks import Chunk
from features.ingest.formats.chunks import heading as one_form
from features.ingest.identity.resolving import Known
from features.ingest.keys import Keys
from features.ingest.mapped import MAPPING_FAILURES, MappedBatch
from features.ingest.mapping.cells import CellRule, cell_rules, xml_name
from features.ingest.mapping.guard import Expected, Judged
from features.ingest.mapping.identities import MENDS, Identities, clean_names, reason_message, resolve
from features.ingest.mapping.records import UNREADABLE, KeptRecords
from features.ingest.mapping.values import REASON_OF, SHOWN, half_width, json_texts, moment, tidied, value

PROJECT_CODE = "project_code:"
JUST_AFTER = dt.timedelta(microseconds=1)
"""By how much a record counts later for each identity that is decided: as delivered, it may have been loaded before
without, and the source has not contradicted itself."""
SPARSE = ("json", "jsonl", "xml")
"""Formats that leave out what is empty."""
SECRET = "secret"  # noqa: S105 - a level of secrecy, no password
IDENTITY = ("organisation", "organisations", "person", "id_no_hash", "id_no_enc", "phone", "account", "email")
_FILE, _RECORDS = " file", " records"
_HASHED = ("phone", "account", "email")


@dataclass(frozen=True)
class Mapped:
    """A batch for the intake, and what else was learnt from it.

    Attributes:
        batch: rows, places, raw records, failures, and whom the batch makes known.
        unresolved: kind to rows of identities that could not be told: item_id, reason, given, name, record.
        decided: of each row, how many of its identities a decision tells.
    """

    batch: MappedBatch
    unresolved: Mapping[str, pl.DataFrame]
    decided: pl.Series


@dataclass(frozen=True)
class Mapper:
    """The mapping of one feed.

    Attributes:
        feed: the feed.
        keys: of hashes and encryption.
        known: organisations that are stored, and decisions made.
    """

    feed: Feed
    keys: Keys
    known: Known
    rules: tuple[CellRule, ...] = field(init=False)
    _figures: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", cell_rules(self.feed))
        figures = dict.fromkeys(rule.made_of for rule in self.rules if rule.transform in REASON_OF)
        object.__setattr__(self, "_figures", (*figures, self.feed.version))

    @property
    def wanted(self) -> tuple[str, ...]:
        """Return the headings that the feed must have."""
        named = dict.fromkeys(name for rule in self.rules for name in rule.headings)
        return (*named, self.feed.version)

    def expected(self) -> dict[str, Expected]:
        """Return what each heading should hold, for the guard."""
        found = {name: Expected("text", "correct it at the source.", required=False) for name in self.wanted}
        for rule in self.rules:
            what, mend = _expectation(rule, self.feed)
            for name in rule.headings[:-1]:
                found[name] = Expected("a name", mend, required=False)
            required = rule.required or rule.column == self.feed.table.key() or found[rule.made_of].required
            found[rule.made_of] = Expected(what, mend, required)
        found[self.feed.version] = Expected(*_version_expectation(self.feed), required=True)
        return found

    def map(self, chunk: Chunk) -> Mapped:
        """Map some records; each stays one row, in the same order, broken ones last."""
        cells = self._cells(chunk)
        identities = resolve(cells, self.rules, self.feed, self.keys, self.known)
        known = [series.alias(name) for name, series in identities.values.items()]
        listed = [
            json_texts(cells.get_column(rule.made_of)).alias(rule.column)
            for rule in self.rules
            if rule.transform == "json"
        ]
        rows = self._typed(cells).with_columns(*known, *listed)
        decided = _n_decided(identities, rows.height)
        rows = rows.with_columns(pl.col("valid_from_ts") + pl.lit(decided) * JUST_AFTER)
        if self.feed.table.NAME in ("organisation", "person"):
            rows = rows.with_columns(clean_names(rows.get_column("name")).alias("name"))
        key = pl.col(self.feed.table.key())
        rows = rows.with_columns(source_record_id=key.str.strip_prefix(PROJECT_CODE))
        failures = [
            *self._unread(cells, rows),
            *self._unusable(cells, rows),
            *self._unresolved(cells, identities),
            *_not_to_be_taken(rows, chunk),
        ]
        found = pl.concat([part for part in failures if part.height] or [_NO_FAILURES])
        refused = found.filter(pl.col("level") == "row").get_column("row").unique()
        broken = pl.Series([one.place for one in chunk.broken], dtype=pl.String)
        batch = MappedBatch(
            rows=rows,
            places=pl.concat([chunk.places, broken]),
            raw=self._raw(chunk, rows),
            failures=found,
            introduced=_introduced(identities, refused),
        )
        return Mapped(batch, _seen(identities, rows.get_column("source_record_id")), decided)

    def judge(self, chunk: Chunk) -> tuple[list[Judged], pl.DataFrame]:
        """Look at some records for the guard alone; return what was seen, file by file, and their typed rows."""
        cells = self._cells(chunk)
        rows = self._typed(cells)
        broken = pl.Series([one.place for one in chunk.broken], dtype=pl.String)
        files = pl.concat([chunk.places, broken]).str.replace(r":\d+$", "").alias(_FILE)
        given = cells.select(pl.all().is_not_null(), files).group_by(_FILE, maintain_order=True)
        counts = given.agg(pl.len().alias(_RECORDS), pl.all().sum()).rows_by_key(_FILE, named=True, unique=True)
        failed: dict[str, dict[str, int]] = {file: {} for file in counts}
        unknown: dict[str, dict[str, dict[str, int]]] = {file: {} for file in counts}
        rule_of = {rule.column: rule for rule in self.rules}
        for part in self._unread(cells, rows):
            rule = rule_of.get(part.item(0, "field"))
            name = rule.made_of if rule else self.feed.version
            placed = part.with_columns(files.gather(part.get_column("row")))
            for (file,), own in placed.partition_by(_FILE, as_dict=True).items():
                failed[file][name] = own.height
                if rule and rule.transform == "word":
                    unknown[file][name] = dict(own.get_column("value").drop_nulls().value_counts().iter_rows())
        seen = [
            Judged(str(file), int(count.pop(_RECORDS)), count, failed[file], unknown[file])
            for file, count in counts.items()
        ]
        return seen, rows

    def headings(self, chunk: Chunk) -> tuple[frozenset[str], frozenset[str]]:
        """Return the wanted headings that a chunk has, and the delivered ones that nobody asked for."""
        delivered = self._delivered(chunk)
        return frozenset(delivered), frozenset(chunk.rows.columns) - frozenset(delivered.values())

    def _cells(self, chunk: Chunk) -> pl.DataFrame:
        """Return the tidied cells of the wanted headings, with an empty row for each broken record."""
        delivered = self._delivered(chunk)
        chosen: list[pl.Expr] = []
        for name in self.wanted:
            column = delivered.get(name)
            if column is None:
                chosen.append(pl.lit(None, dtype=pl.String).alias(name))
            else:
                chosen.append(tidied(pl.col(column), chunk.rows.schema[column]).alias(name))
        cells = chunk.rows.select(chosen) if chunk.rows.height else _empty(self.wanted)
        cells = cells.with_columns(half_width(cells.get_column(name)) for name in self._figures)
        if chunk.broken:
            nothing = pl.DataFrame(
                {name: pl.Series([None] * len(chunk.broken), dtype=t) for name, t in cells.schema.items()}
            )
            cells = pl.concat([cells, nothing])
        return cells

    def _delivered(self, chunk: Chunk) -> dict[str, str]:
        """Return the delivered heading of each wanted one, as far as there is one."""
        form = xml_name if self.feed.style.format == "xml" else _same
        present = {form(name): name for name in chunk.rows.columns}
        return {name: present[form(one_form(name))] for name in self.wanted if form(one_form(name)) in present}

    def _typed(self, cells: pl.DataFrame) -> pl.DataFrame:
        """Return the columns that stand for themselves, and when each record was changed."""
        chosen = [
            _value(rule, cells.schema, self.feed).alias(rule.column)
            for rule in self.rules
            if rule.transform not in (*IDENTITY, "json")
        ]
        version = self.feed.version
        instant = moment(pl.col(version), cells.schema[version], self.feed.style.moments)
        return cells.select(*chosen, instant.alias("valid_from_ts"))

    def _unread(self, cells: pl.DataFrame, rows: pl.DataFrame) -> list[pl.DataFrame]:
        """Return the cells that do not read as what they should be, a frame a column."""
        parts: list[pl.DataFrame] = []
        for rule in self.rules:
            reason = REASON_OF.get(rule.transform)
            given = cells.get_column(rule.made_of)
            if reason and (bad := (given.is_not_null() & rows.get_column(rule.column).is_null()).arg_true()).len():
                shown = None if rule.personal else given.gather(bad).cast(pl.String)
                what, mend = _expectation(rule, self.feed)
                parts.append(_failed(bad, rule.column, reason, f"{rule.made_of} is not {what}.", mend, value=shown))
        version = cells.get_column(self.feed.version)
        bad = (version.is_not_null() & rows.get_column("valid_from_ts").is_null()).arg_true()
        if bad.len():
            what, mend = _version_expectation(self.feed)
            parts.append(_failed(bad, "valid_from_ts", "not_a_moment", f"{self.feed.version} is not {what}.", mend))
        return parts

    def _unusable(self, cells: pl.DataFrame, rows: pl.DataFrame) -> list[pl.DataFrame]:
        """Return the telephones, accounts and addresses that cannot be compared; their rows load without them."""
        parts: list[pl.DataFrame] = []
        for rule in self.rules:
            if rule.transform in _HASHED:
                given = cells.get_column(rule.made_of)
                bad = (given.is_not_null() & rows.get_column(rule.column).is_null()).arg_true()
                what, mend = _expectation(rule, self.feed)
                message = f"{rule.made_of} is not {what}."
                parts.append(_failed(bad, rule.column, "unusable_value", message, mend, level="value"))
        return parts

    def _unresolved(self, cells: pl.DataFrame, found: Identities) -> list[pl.DataFrame]:
        return [
            part
            for rule in self.rules
            if rule.column in found.unresolved
            for part in _unresolved_failures(rule, cells.get_column(rule.made_of), found.unresolved[rule.column])
        ]

    def _raw(self, chunk: Chunk, rows: pl.DataFrame) -> KeptRecords:
        secret = rows.get_column("secrecy_level") == SECRET if "secrecy_level" in rows.columns else None
        return KeptRecords(chunk, secret, self._delivered(chunk).get(self.rules[0].made_of))


_SECRET_PROJECT = ("Secret projects are never loaded (政府投资条例 第10条).", "take the project out of the delivery.")
_BROKEN: Mapping[str, tuple[str, str]] = {
    "wrong_cell_count": (
        "The row has fewer or more cells than the heading; the file may be cut off here.",
        "quote cells that hold commas or line breaks, or transfer the file again.",
    ),
    "not_json": ("The record is no JSON object.", "write one JSON object a record and deliver it again."),
    "unfinished_record": (
        "The file ends within this record, or may: the last line of a CSV file has a line end too.",
        "end the file with a line end, or transfer it again.",
    ),
}
_UNREADABLE = ("The record could not be read as cells.", "give it mended: smoke quarantine replay --mended.")
_NO_FAILURES = pl.DataFrame(schema=dict(MAPPING_FAILURES))


def _not_to_be_taken(rows: pl.DataFrame, chunk: Chunk) -> list[pl.DataFrame]:
    """Return the records that are none, and those of secret projects."""
    parts = [
        _failed(pl.Series([chunk.rows.height + number]), "", one.reason, *_BROKEN[one.reason])
        for number, one in enumerate(chunk.broken)
    ]
    if UNREADABLE in chunk.rows.columns:  # back from quarantine without a mend
        again = chunk.rows.get_column(UNREADABLE).is_not_null().arg_true()
        parts.append(_failed(again, "", UNREADABLE, *_UNREADABLE))
    if "secrecy_level" in rows.columns:
        secret = (rows.get_column("secrecy_level") == SECRET).arg_true()
        parts.append(_failed(secret, "secrecy_level", "secret_project", *_SECRET_PROJECT))
    return parts


def _n_decided(found: Identities, height: int) -> pl.Series:
    told = pl.DataFrame({name: column.fill_null(value=False) for name, column in found.decided.items()})
    return told.sum_horizontal().cast(pl.Int64) if told.width else pl.repeat(0, height, dtype=pl.Int64, eager=True)


def _same(name: str) -> str:
    return name


def _empty(names: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(names, pl.String))


def _value(rule: CellRule, schema: pl.Schema, feed: Feed) -> pl.Expr:
    cell = pl.col(rule.made_of)
    if rule.transform == "project_code":
        return pl.lit(PROJECT_CODE) + cell.cast(pl.String)
    return value(cell, schema[rule.made_of], rule, feed)


def _failed(
    places: pl.Series,
    column: str,
    reason: str,
    message: str,
    mend: str,
    *,
    level: str = "row",
    value: pl.Series | None = None,
) -> pl.DataFrame:
    shown = value if value is not None else pl.Series([None] * places.len(), dtype=pl.String)
    said = {"field": column, "reason": reason, "level": level, "message": message, "mend": mend}
    frame = pl.DataFrame({"row": places.cast(pl.UInt32), "value": shown})
    return frame.with_columns(**{name: pl.lit(text) for name, text in said.items()}).select(*MAPPING_FAILURES)


def _unresolved_failures(rule: CellRule, given: pl.Series, reasons: pl.Series) -> list[pl.DataFrame]:
    kind = "person" if rule.transform == "person" else "organisation"
    parts: list[pl.DataFrame] = []
    for why in reasons.unique().drop_nulls().sort():
        places = (reasons == why).arg_true()
        shown = None if rule.personal or why == "personal_number" else given.gather(places).cast(pl.String)
        message = reason_message(rule.made_of, why)
        level = "row" if rule.required else "value"
        parts.append(_failed(places, rule.column, f"unresolved_{kind}", message, MENDS[kind], level=level, value=shown))
    return parts


def _introduced(found: Identities, refused: pl.Series) -> dict[str, pl.DataFrame]:
    """Return whom the rows that are not refused make known, each once."""
    kept = {
        table: pl.concat(frames).filter(~pl.col("row").is_in(refused.implode())).drop("row").unique(maintain_order=True)
        for table, frames in found.introduced.items()
    }
    return {table: rows for table, rows in kept.items() if rows.height}


def _seen(found: Identities, keys: pl.Series) -> dict[str, pl.DataFrame]:
    records = pl.DataFrame({"record": keys}).with_row_index("row")
    return {
        kind: pl.concat(frames).join(records, on="row", how="left", maintain_order="left").drop("row")
        for kind, frames in found.seen.items()
    }


def _expectation(rule: CellRule, feed: Feed) -> tuple[str, str]:
    """Return what a cell should be, and what to do when it is not."""
    day, _ = SHOWN[feed.style.dates]
    _, instant = SHOWN[feed.style.moments]
    words = "、".join(rule.words)
    by_transform = {
        "whole": ("a whole number", "give figures only."),
        "number": ("a number", "give figures with a decimal point."),
        "percent": ("a number of percent", "give figures with a decimal point."),
        "yuan": ("an amount in 元 with at most two decimals", "give figures without unit or thousands separator."),
        "wan_yuan": (
            "an amount in 万元 with at most six decimals",
            "give figures without unit or thousands separator.",
        ),
        "flag": ("yes or no", "give 是 or 否, 1 or 0."),
        "day": ("a calendar day", f"give it as {day}."),
        "moment": ("a date-time", f"give it as {instant}."),
        "word": (
            f"a word of the agreed list ({words})",
            "correct it, or add it under `codes:` in the feed's declaration.",
        ),
        "phone": ("a telephone number", "give all its digits."),
        "account": ("an account number", "give it whole."),
        "email": ("an e-mail address", "give it whole."),
        "organisation": ("a unified social credit code", "give the 18 characters of the code."),
        "person": ("an identity number", "give the 18 characters of the number."),
    }
    return by_transform.get(rule.transform, ("text", "correct it at the source."))


def _version_expectation(feed: Feed) -> tuple[str, str]:
    return "a date-time", f"give it as {SHOWN[feed.style.moments][1]}."
