"""Changing what the centre may configure: one proposes, another approves, and nothing counts before that moment."""

import datetime as dt
import hashlib
from typing import Any

import polars as pl

from features.assessment.parameters import expected, read_value
from features.derive.addresses import WHITELIST, network
from features.derive.configured import LIST, NOTHING, SETTING
from features.errors import CatalogueError, InputError
from features.indicators.catalogue import entries_by_id
from features.tables.reference import Param, user_name
from features.tables.store import TableStore

PROPOSED, APPROVED = "proposed", "approved"


def propose(
    store: TableStore,
    key: str,
    value: str,
    *,
    by: str,
    because: str,
    valid_from: dt.datetime,
    valid_to: dt.datetime | None,
    at: dt.datetime,
) -> str:
    """Store a change that waits for its approval; hold ``store.writing()``.

    Args:
        store: the tables.
        key: a parameter (``SI-034.c_min``), ``SETTING.<name>``, or ``LIST.<list>`` to enter a value into a list.
        value: the new value, or the entry of the list.
        by: who proposes it.
        because: why.
        valid_from: from when it shall count; not before it is approved.
        valid_to: until when; None: until the next change.
        at: the moment of the proposal.

    Returns:
        The key under which it is approved.

    Raises:
        InputError: there is no such parameter, or the value does not read as one.
    """
    for name, given in (("--as", by), ("--because", because), ("VALUE", value)):
        if not given.strip():
            raise InputError(f"{name} is blank.", field=name, mend="say it.")
    if valid_to is not None and valid_to <= valid_from:
        raise InputError("The change would end before it counts.", field="--until", mend="give a later day.")
    row_key, default = _key_and_default(key, value.strip())
    change = {
        "param_key": row_key,
        "default_value": default,
        "current_value": value.strip(),
        "basis": None,
        "changed_by": by.strip(),
        "changed_at": at,
        "valid_from": valid_from,
        "valid_to": valid_to,
        "reason": because.strip(),
        "approved_by": None,
    }
    _append(store, change, at)
    return row_key


def approve(store: TableStore, key: str, *, by: str, at: dt.datetime) -> dt.datetime:
    """Approve the latest proposal of a key; hold ``store.writing()``.

    Returns:
        From when the change counts: never earlier than now.

    Raises:
        InputError: nothing waits under this key, who approves has proposed it, or it would end before it counts.
    """
    waiting = changes(store).filter(pl.col("param_key") == key, pl.col("state") == PROPOSED)
    if waiting.is_empty():
        mend = "see smoke parameters list --state proposed."
        raise InputError(f"No proposal for {key!r} waits.", field="KEY", mend=mend)
    proposal = waiting.row(-1, named=True)
    if user_name(by) in ("", user_name(proposal["changed_by"] or "")):
        raise InputError("Who proposed a change cannot approve it.", field="--as", mend="let somebody else approve it.")
    counts_from = max(proposal["valid_from"], at)
    if proposal["valid_to"] is not None and proposal["valid_to"] <= counts_from:
        message = f"The change of {key} to {proposal['current_value']!r} ends before it would count."
        raise InputError(message, field="KEY", mend="propose it anew with a later --until.")
    change = {name: proposal[name] for name in Param.column_names()}
    _append(store, {**change, "valid_from": counts_from, "approved_by": by.strip()}, at)
    return counts_from


def changes(store: TableStore) -> pl.DataFrame:
    """Return every change in the order in which they were made: the columns of ``param``, at and state.

    A proposal that was approved, or that another one of its key has followed, stands there no more.
    """
    versions = store.versions(Param).filter(~pl.col("retracted")).collect()
    return (
        versions.with_columns(
            at="loaded_at",
            state=pl.when(pl.col("approved_by").is_null()).then(pl.lit(PROPOSED)).otherwise(pl.lit(APPROVED)),
        )
        .sort("at", "param_key")
        .filter((pl.col("state") == APPROVED) | (pl.col("at") == pl.col("at").max().over("param_key")))
        .select(*Param.column_names(), "at", "state")
    )


def _key_and_default(key: str, value: str) -> tuple[str, str]:
    if key.startswith(SETTING) and len(key) > len(SETTING):
        return key, NOTHING
    if key == f"{LIST}{WHITELIST}":
        network(value)
    if key.startswith(LIST) and len(key) > len(LIST):
        return f"{key}.{hashlib.sha256(value.lower().encode()).hexdigest()[:8]}", NOTHING
    item, _, name = key.partition(".")
    entry = entries_by_id().get(item)
    if entry is None or name not in entry.params:
        mend = "name it as smoke indicators show ID does, such as SI-034.c_min, or SETTING.<name>, or LIST.<list>."
        raise InputError(f"There is no parameter {key!r}.", field="KEY", mend=mend)
    try:
        read_value(entry, name, value)
    except CatalogueError as error:
        mend = f"give {expected(entry, name)}."
        raise InputError(f"{value!r} is no value of {key}.", field="VALUE", mend=mend) from error
    return key, str(entry.params[name])


def _append(store: TableStore, change: dict[str, Any], at: dt.datetime) -> None:
    technical = {
        "loaded_at": at,
        "valid_from_ts": at,
        "source_code": "P00",
        "source_record_id": change["param_key"],
        "retracted": False,
    }
    schema = {name: column.dtype for name, column in Param.columns().items()}
    row = pl.DataFrame([change], schema=schema)  # type: ignore[arg-type]
    store.append(Param, row.with_columns(**{name: pl.lit(value) for name, value in technical.items()}))
