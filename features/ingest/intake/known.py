"""What is known of other tables while rows come in: keys, unique values, amounts, held as sorted hashes.

Eight bytes a key: a look-up costs by what is asked, not by what is known, so a large table of parents slows no batch.
"""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from features.ingest.hash_set import Hashes, HashSet
from features.tables.columns import Table
from features.tables.store import TableStore

KEY_SEED = 1


@dataclass(frozen=True)
class Lookup:
    """Values by hash."""

    hashes: Hashes
    values: pl.Series

    @classmethod
    def of(cls, hashes: pl.Series, values: pl.Series) -> "Lookup":
        """Make a look-up; hashes are distinct."""
        order = np.argsort(hashes.to_numpy(), kind="stable")
        return cls(hashes.to_numpy()[order], values.gather(order))

    def get(self, hashes: pl.Series) -> pl.Series:
        """Return the value of each hash, null where there is none."""
        asked = hashes.to_numpy()
        if not len(self.hashes):
            return pl.repeat(None, len(asked), dtype=self.values.dtype, eager=True)
        place = np.minimum(np.searchsorted(self.hashes, asked), len(self.hashes) - 1)
        found = pl.Series(self.hashes[place] == asked)
        return pl.select(pl.when(found).then(self.values.gather(place))).to_series()


@dataclass
class Known:
    """What a store holds, with what the run in hand has added to it; read when first asked for."""

    store: TableStore
    _keys: dict[str, HashSet] = field(default_factory=dict[str, HashSet], init=False)
    _values: dict[tuple[str, str], Lookup] = field(default_factory=dict[tuple[str, str], Lookup], init=False)
    _amounts: dict[tuple[str, str], Lookup] = field(default_factory=dict[tuple[str, str], Lookup], init=False)
    _told: dict[tuple[str, str], HashSet] = field(default_factory=dict[tuple[str, str], HashSet], init=False)

    def keys(self, table: type[Table]) -> HashSet:
        """Return the keys of a table: of every version that no source has taken back."""
        if table.NAME not in self._keys:
            stored = self.store.versions(table).filter(~pl.col("retracted")).select(key_hash(table.key()))
            self._keys[table.NAME] = HashSet.of(stored.collect(engine="streaming").to_series())
        return self._keys[table.NAME]

    def by_value(self, table: type[Table], column: str) -> Lookup:
        """Return the keys of a table by the value of a unique column; a value that two keys have had names none."""
        wanted = (table.NAME, column)
        if wanted not in self._values:
            versions = self.store.versions(table).filter(~pl.col("retracted"), pl.col(column).is_not_null())
            pairs = versions.select(column, key=table.key()).unique().collect().sort(column, "key")
            pairs = pairs.filter(pl.len().over(column) == 1)
            self._values[wanted] = Lookup.of(pairs.get_column(column).hash(KEY_SEED), pairs.get_column("key"))
        return self._values[wanted]

    def amounts(self, table: type[Table], column: str) -> Lookup:
        """Return an amount of the rows in force, complete or not, by key, as a number."""
        wanted = (table.NAME, column)
        if wanted not in self._amounts:
            rows = self.store.read(table, incomplete=True).filter(pl.col(column).is_not_null())
            pairs = rows.select(key_hash(table.key()), pl.col(column).cast(pl.Float64)).collect()
            self._amounts[wanted] = Lookup.of(*pairs.get_columns())
        return self._amounts[wanted]

    def told(self, table: type[Table], column: str) -> HashSet:
        """Return the keys of rows of which a source that the column is from has delivered its part."""
        wanted = (table.NAME, column)
        if wanted not in self._told:
            entitled = table.about(column)["source_system"].split("+")
            versions = self.store.versions(table).filter(~pl.col("retracted"), pl.col("source_code").is_in(entitled))
            self._told[wanted] = HashSet.of(versions.select(key_hash(table.key())).collect().to_series())
        return self._told[wanted]

    def add(self, table: type[Table], keys: pl.Series) -> None:
        """Note that rows of these keys are stored now."""
        if table.NAME in self._keys:
            self._keys[table.NAME].add(keys.hash(KEY_SEED))
        for held in (self._values, self._amounts, self._told):
            for wanted in [one for one in held if one[0] == table.NAME]:
                del held[wanted]


def key_hash(column: str) -> pl.Expr:
    """Return the hash that keys and references are compared by."""
    return pl.col(column).hash(KEY_SEED)
