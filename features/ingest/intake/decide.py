"""What becomes of delivered versions, given what is stored. Pure: frames in, fates out, whatever the order of rows."""

import datetime as dt
from collections.abc import Mapping

import polars as pl

from features.tables.versions import CONTENT, SENSITIVE

LOADED, UNCHANGED, SUPERSEDED, CONFLICT = "loaded", "unchanged", "superseded", "conflict"
"""In force now; stored already; older than what is in force, and stored; not stored, since another version valid from
the same instant stands."""
STORED = (LOADED, SUPERSEDED)
FATE = pl.Enum([LOADED, UNCHANGED, SUPERSEDED, CONFLICT])
_OF = ["_key", "source_code"]
_AT = [*_OF, "valid_from_ts"]
_CONTENT = [CONTENT, SENSITIVE]
_ORDER = ["valid_from_ts", *_CONTENT]


def decide(rows: pl.DataFrame, stored: pl.DataFrame, loaded_at: dt.datetime) -> pl.DataFrame:
    """Return the fate of each delivered version.

    A dated version is unchanged when it is stored already. Of versions valid from the same instant the one with the
    greatest content stands, the others conflict. A version without date counts from now; it is unchanged when it says
    what is in force of its source, and two that differ conflict both, since nothing tells which is newer.

    Args:
        rows: ``_row`` (distinct), ``_key``, source_code, valid_from_ts (null: not dated), content_hash,
            sensitive_hash; every key is whole.
        stored: all versions of these keys, retractions too: the same without ``_row``, and retracted.
        loaded_at: the moment of the load.

    Returns:
        ``_row``, ``fate`` and ``displaced``: true where a stored version conflicts and gives way.
    """
    moment = pl.lit(loaded_at).cast(rows.schema["valid_from_ts"])
    rows = rows.with_columns(
        dated=pl.col("valid_from_ts").is_not_null(), valid_from_ts=pl.col("valid_from_ts").fill_null(moment)
    )
    standing = stored.filter(~pl.col("retracted"))
    told = _told_before(rows, standing)
    rest = rows.join(told, on="_row", how="anti")
    conflicts = _undated_conflicts(rest)
    rest = rest.join(conflicts, on="_row", how="anti")
    said = _in_force(rest.filter(~pl.col("dated")), rows, stored, moment)
    rest = rest.join(said, on="_row", how="anti")
    greatest, displacing = _greatest(rest, standing)
    lesser = rest.join(greatest, on="_row", how="anti").select("_row")
    newest = _newest(rest.join(greatest, on="_row", how="semi"), stored)
    return pl.concat(
        [
            _fate(told, UNCHANGED),
            _fate(said, UNCHANGED),
            _fate(conflicts, CONFLICT),
            _fate(lesser, CONFLICT),
            newest.with_columns(displaced=pl.col("_row").is_in(displacing.implode())),
        ]
    )


def dangling(marks: Mapping[str, pl.DataFrame], references: Mapping[str, Mapping[str, str]]) -> dict[str, pl.Series]:
    """Return the rows that refer to a row which is neither known nor stays, until none is left.

    Rows may refer to one another in a ring; they stay together.

    Args:
        marks: by table, ``_row``, ``_key`` (a hash), and a column ``ref:<column>`` for each reference: the hash of
            what is referred to, null where it is known already or nothing is named.
        references: by table, the table that each column refers to.

    Returns:
        By table, the values of ``_row`` that do not stay.
    """
    alive = dict(marks)
    found = True
    while found:
        found = False
        keys = {name: frame.get_column("_key") for name, frame in alive.items()}
        for name, frame in alive.items():
            staying = frame.filter(
                pl.all_horizontal(
                    pl.lit(value=True),
                    *[
                        pl.col(f"ref:{column}").is_null()
                        | pl.col(f"ref:{column}").is_in(keys.get(parent, pl.Series(dtype=pl.UInt64)).implode())
                        for column, parent in references[name].items()
                    ],
                )
            )
            if staying.height < frame.height:
                alive[name] = staying
                found = True
    return {name: frame.join(alive[name], on="_row", how="anti").get_column("_row") for name, frame in marks.items()}


def clashing(rows: pl.DataFrame, stored: pl.DataFrame) -> pl.Series:
    """Return rows whose unique value stands under another key too, delivered or stored.

    Args:
        rows: ``_row``, ``_key`` and ``value`` (hashes) of the versions that would be in force.
        stored: ``_key`` and ``value`` of the rows in force.

    Returns:
        Values of ``_row``, sorted.
    """
    given = rows.filter(pl.col("value").is_not_null())
    kept = stored.join(rows, on="_key", how="anti")
    among = given.filter(pl.col("_key").n_unique().over("value") > 1)
    against = given.join(kept, on="value", how="semi")
    return pl.concat([among, against]).get_column("_row").unique().sort()


def _told_before(rows: pl.DataFrame, standing: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that say, of the same instant, what is stored, or what an earlier row of the delivery says."""
    same = [*_AT, *_CONTENT]
    stored = rows.join(standing, on=same, how="semi").select("_row")
    fresh = rows.join(stored, on="_row", how="anti")
    twins = fresh.filter(pl.struct(same).is_duplicated())
    later = twins.filter(pl.col("_row") > pl.col("_row").min().over(same))
    return pl.concat([stored, later.select("_row")])


def _in_force(undated: pl.DataFrame, rows: pl.DataFrame, stored: pl.DataFrame, moment: pl.Expr) -> pl.DataFrame:
    """Return the undated rows that say what is in force of their source, by store or by a dated row beside them."""
    if undated.is_empty():
        return undated.select("_row")
    columns = [*_OF, *_ORDER, "retracted"]
    dated = rows.filter("dated").with_columns(retracted=pl.lit(value=False)).select(columns)
    past = pl.concat([stored.select(columns), dated]).filter(pl.col("valid_from_ts") <= moment)
    newest = past.join(undated, on=_OF, how="semi").sort(_ORDER).unique(_OF, keep="last", maintain_order=True)
    return undated.join(newest.filter(~pl.col("retracted")), on=[*_OF, *_CONTENT], how="semi").select("_row")


def _undated_conflicts(rows: pl.DataFrame) -> pl.DataFrame:
    undated = rows.filter(~pl.col("dated"))
    several = undated.filter(pl.struct(_OF).is_duplicated())
    differing = pl.struct(_CONTENT).n_unique().over(_OF) > 1
    return several.filter(differing).select("_row")


def _greatest(rows: pl.DataFrame, standing: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Return the rows that stand among those valid from their instant, and those of them that displace a stored one."""
    beside = standing.join(rows, on=_AT, how="semi").select(*_AT, *_CONTENT).with_columns(_row=pl.lit(None, pl.UInt32))
    alone = rows.filter(pl.struct(_AT).is_unique()).join(beside, on=_AT, how="anti").select("_row")
    several = pl.concat([rows.join(alone, on="_row", how="anti").select(beside.columns), beside])
    top = several.sort(_CONTENT).unique(_AT, keep="last", maintain_order=True).filter(pl.col("_row").is_not_null())
    return pl.concat([alone, top.select("_row")]), top.join(beside, on=_AT, how="semi").get_column("_row")


def _newest(rows: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Return row and fate: in force now, or older than another version of its key and source."""
    latest = stored.select(*_OF, _top="valid_from_ts")
    beside = rows.filter(pl.struct(_OF).is_duplicated()).select(*_OF, _top="valid_from_ts")
    top = pl.concat([latest, beside]).group_by(_OF).agg(pl.col("_top").max())
    older = pl.col("_top") > pl.col("valid_from_ts")
    fate = pl.when(older.fill_null(value=False)).then(pl.lit(SUPERSEDED)).otherwise(pl.lit(LOADED)).cast(FATE)
    return rows.join(top, on=_OF, how="left", maintain_order="left").select("_row", fate=fate)


def _fate(rows: pl.DataFrame, fate: str) -> pl.DataFrame:
    return rows.select("_row", fate=pl.lit(fate).cast(FATE), displaced=pl.lit(value=False))
