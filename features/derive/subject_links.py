"""Which indicator values count for which scored subject (the roll-up of the smoke index)."""

from dataclasses import dataclass

import dataframely as dy
import polars as pl

from features.tables.columns import ZONE


class SubjectLink(dy.Schema):
    """An indicator value that sits on one subject counts for another one.

    Grain: one way in which ``of`` counts for the scored subject.
    """

    subject_type = dy.String(primary_key=True)
    subject_id = dy.String(primary_key=True)
    of_type = dy.String(primary_key=True)
    of_id = dy.String(primary_key=True)
    role = dy.String(primary_key=True)
    """What ``of`` is to the subject: self, bid, bidders, winner, tie; of an organisation's lots also what the
    organisation was there: bidder, tenderer, agency."""
    age_months = dy.Float64(min=0)
    """Months from the opening of the lot to the moment of scoring, for the lots and bids of an organisation; else 0."""


class PairScope(dy.Schema):
    """Pairs that were looked at on behalf of a scored subject, so that a pair without a value means clear.

    Grain: one kind of pair of one scored subject.
    """

    subject_type = dy.String(primary_key=True)
    subject_id = dy.String(primary_key=True)
    pair_of = dy.String(primary_key=True)
    """The two ends, as the catalogue's ``pair_of``: ``bidder~bidder`` or ``tenderer~winner``."""
    n_pairs = dy.Int64(nullable=True, min=1)
    """How many pairs of this kind the subject has; null when it has some but they were not counted."""
    met_at = dy.Datetime(time_zone=ZONE, time_unit="us")
    """The latest opening at which such a pair met."""


@dataclass(frozen=True)
class Links:
    """The roll-up as of a moment.

    Attributes:
        rows: a ``SubjectLink`` frame.
        scope: a ``PairScope`` frame.
    """

    rows: pl.DataFrame
    scope: pl.DataFrame
