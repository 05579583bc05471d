"""The amounts from which the law asks for an open tender (design README section 3 TL, rulings G23)."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from features.derive.configured import setting
from features.tables.source import SourceTables

MONEY = pl.Decimal(18, 2)
WORKS = ("works", "epc")


@dataclass(frozen=True)
class TenderLimits:
    """The limits of 必须招标的工程项目规定 第5条, CNY; the defaults are those of the catalogue's ``tl_*``."""

    works: int = 4_000_000
    goods: int = 2_000_000
    services: int = 1_000_000

    def of(
        self, object_type: pl.Expr, by_procurement_law: pl.Expr, source: SourceTables, as_of: dt.datetime
    ) -> pl.Expr:
        """Return the limit of a purchase; null where its type is not known.

        Args:
            object_type: a tender's object type or a contract's type.
            by_procurement_law: it falls under the procurement law, whose limit the centre may have configured.
            source: the tables.
            as_of: the moment whose configuration counts.
        """
        works, goods, services = (pl.lit(limit).cast(MONEY) for limit in (self.works, self.goods, self.services))
        known = object_type.is_not_null()
        tender = pl.when(object_type.is_in(WORKS)).then(works).when(object_type == "goods").then(goods)
        limit = tender.when(known).then(services)
        configured = setting(source, "gp_open_limit", as_of)
        if configured is None:
            return limit
        return pl.when(by_procurement_law & known).then(pl.lit(Decimal(configured)).cast(MONEY)).otherwise(limit)
