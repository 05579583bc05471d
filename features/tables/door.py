"""The one door to sensitive columns: a named reader, a stated purpose, and a line in the access log before the read.

Personal values that are not sensitive, such as names, need no role; a command that shows them notes the ``Look`` first.

Nothing else may call ``TableStore.read_sensitive`` (a test holds the whole source tree to that). Who may read what is
declared in ``model/access.csv``; what no line grants is refused. The line in the log is on the disk before a value is
read: when it cannot be written, nothing is read.
"""

import csv
import datetime as dt
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import polars as pl
from sqlalchemy.exc import SQLAlchemyError

from features.clock import now
from features.errors import InputError, SmokeError, StoreError
from features.tables.columns import Table
from features.tables.reference import AccessLog, UserAccount
from features.tables.store import TableStore

SYSTEM = "system"
"""The role of a run that derives results for nobody in particular; its user is ``system:<run>``."""
ROLES = frozenset(UserAccount.columns()["role_code"].categories) | {SYSTEM}  # type: ignore[attr-defined]
P00 = "P00"
_WHO_READS = "runs read as system:<run>, people under their account."


class AccessDeniedError(SmokeError):
    """A reader asked for a column that their role may not read."""


@dataclass(frozen=True)
class Grant:
    """Who may read a sensitive column.

    Attributes:
        roles: role codes of ``user_account``, or ``system``.
        only_rows_of: a column that names a department: only its own rows are shown, in the others the value is null.
    """

    roles: frozenset[str]
    only_rows_of: str


@dataclass
class Door:
    """Sensitive columns as one reader sees them for one purpose.

    Attributes:
        store: the tables.
        user_id: the account of the reader; ``system:<run>`` for a derivation.
        purpose: why, in words or as the id of a disposition; never blank.
        role: the reader's role.
        dept_id: the reader's department, for what only the handling department may see.
    """

    store: TableStore
    user_id: str
    purpose: str
    role: str
    dept_id: str | None = None
    _logged: set[tuple[str, frozenset[str]]] = field(
        default_factory=set[tuple[str, frozenset[str]]], init=False, repr=False
    )

    def __post_init__(self) -> None:
        _check_reader(self.user_id, self.purpose)
        if self.role not in ROLES:
            raise InputError(
                f"There is no role {self.role!r}.", field="role", mend=f"one of {', '.join(sorted(ROLES))}."
            )
        if (self.role == SYSTEM) != _is_run(self.user_id):
            raise InputError(f"{self.user_id!r} cannot read as {self.role}.", field="user_id", mend=_WHO_READS)

    def read(
        self,
        table: type[Table],
        columns: Sequence[str] | None = None,
        *,
        known_at: dt.datetime | None = None,
        where: pl.Expr | None = None,
        subject: str | None = None,
    ) -> pl.LazyFrame:
        """Return rows in force with sensitive columns, after the access log has been written.

        Args:
            table: the table.
            columns: the columns wanted, sensitive and others; None: all that the role may read.
            known_at: as ``TableStore.read``.
            where: only these rows; may name any column of the table that the role may read.
            subject: the key or person that is looked at, for the log.

        Returns:
            One row a key with the columns in the order asked. A sensitive value is null where the source did not
            deliver it, where retention has purged it, and in rows of another department.

        Raises:
            AccessDeniedError: the role may not read a column that was asked for.
            InputError: the table has no such column.
            StoreError: the log cannot be written; nothing has been read.
        """
        sensitive = table.sensitive_columns()
        allowed = [name for name in sensitive if self._grant(table, name) is not None]
        wanted = (
            [*columns]
            if columns is not None
            else [n for n in table.column_names() if n not in sensitive or n in allowed]
        )
        _check_names(table, wanted)
        filtered = [] if where is None else where.meta.root_names()
        touched = [name for name in sensitive if name in {*wanted, *filtered}]
        denied = [name for name in touched if name not in allowed]
        if denied:
            raise AccessDeniedError(
                f"{self.role} may not read {table.NAME}.{denied[0]}. Mend: ask a role that may, or leave it out."
            )
        if not touched:
            rows = self.store.read(table, known_at)
        else:
            self._log(table, touched, subject)
            rows = self._own_rows(self.store.read_sensitive(table, known_at), table, touched)
        return (rows if where is None else rows.filter(where)).select(wanted)

    def _own_rows(self, rows: pl.LazyFrame, table: type[Table], touched: Sequence[str]) -> pl.LazyFrame:
        """Hide, before anything is filtered by them, values of rows that are another department's."""
        for name in touched:
            grant = self._grant(table, name)
            if grant is not None and grant.only_rows_of:
                own = pl.col(grant.only_rows_of) == self.dept_id if self.dept_id else pl.lit(value=False)
                rows = rows.with_columns(pl.when(own).then(pl.col(name)).alias(name))
        return rows

    def _grant(self, table: type[Table], column: str) -> Grant | None:
        grants = access_rules()
        one = grants.get((table.NAME, column)) or grants.get((table.NAME, "*")) or grants[("*", "*")]
        return one if self.role in one.roles else None

    def _log(self, table: type[Table], fields: Sequence[str], subject: str | None) -> None:
        """Write the line of the log; a run writes one a table and set of columns."""
        mark = (table.NAME, frozenset(fields))
        if self.role == SYSTEM and mark in self._logged:
            return
        _write_line(self.store, self.user_id, self.purpose, table, fields, subject)
        self._logged.add(mark)


@dataclass(frozen=True)
class Look:
    """A person's look at personal values that are not sensitive and that a command else masks.

    Attributes:
        user_id: the account of who looks.
        purpose: why, in words; never blank.
    """

    user_id: str
    purpose: str

    def __post_init__(self) -> None:
        _check_reader(self.user_id, self.purpose)
        if _is_run(self.user_id):
            raise InputError(f"{self.user_id!r} is a run.", field="user_id", mend=_WHO_READS)

    @classmethod
    def stated(cls, user_id: str | None, purpose: str | None) -> "Look | None":
        """Return the look of who has said who they are and what for; None where neither is said.

        Raises:
            InputError: one of the two is missing.
        """
        if user_id is None and purpose is None:
            return None
        if user_id is None or purpose is None:
            absent = "--as" if user_id is None else "--purpose"
            mend = "give --as and --purpose together, or neither."
            message = f"Personal values are shown to somebody for a purpose: {absent} is missing."
            raise InputError(message, field=absent, mend=mend)
        return cls(user_id, purpose)

    def note(self, store: TableStore, table: type[Table], columns: Sequence[str], *, subject: str | None) -> None:
        """Write the line of the log, before the values are shown.

        Raises:
            StoreError: the log cannot be written; nothing may be shown.
        """
        _write_line(store, self.user_id, self.purpose, table, columns, subject)


@cache
def access_rules() -> Mapping[tuple[str, str], Grant]:
    """Return who may read what, by table and column; ``*`` stands for all that no nearer line names."""
    text = (files("features.tables") / "model" / "access.csv").read_text(encoding="utf-8")
    return {
        (row["table"], row["column"]): Grant(frozenset(filter(None, row["roles"].split(";"))), row["only_rows_of"])
        for row in csv.DictReader(text.splitlines())
    }


def _check_reader(user_id: str, purpose: str) -> None:
    if not purpose.strip():
        raise InputError("No purpose is given.", field="purpose", mend="say why the data are read.")
    if not user_id.strip():
        raise InputError("No reader is given.", field="user_id", mend="name the account that reads.")


def _is_run(user_id: str) -> bool:
    return user_id.startswith(f"{SYSTEM}:")


def _write_line(
    store: TableStore, user_id: str, purpose: str, table: type[Table], fields: Sequence[str], subject: str | None
) -> None:
    moment = now()
    log_id = uuid.uuid4().hex
    row = {
        "log_id": log_id,
        "user_id": user_id,
        "accessed_at": moment,
        "table_name": table.NAME,
        "subject_id": subject,
        "purpose": purpose.strip(),
        "fields_read": json.dumps(list(fields)),
        "loaded_at": moment,
        "valid_from_ts": moment,
        "source_code": P00,
        "source_record_id": log_id,
        "retracted": False,
    }
    try:
        store.append(AccessLog, pl.DataFrame([row]))
    except (OSError, SQLAlchemyError) as error:
        message = "The access log cannot be written, so nothing was read. Mend: check the database of the case store."
        raise StoreError(message) from error


def _check_names(table: type[Table], wanted: Sequence[str]) -> None:
    unknown = [name for name in wanted if name not in table.column_names()]
    if unknown:
        mend = f"one of {', '.join(table.column_names())}."
        raise InputError(f"{table.NAME} has no column {unknown[0]!r}.", field="columns", mend=mend)
