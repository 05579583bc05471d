"""What the register of companies says of ownership: shares, posts, and the days on which they passed on."""

import numpy as np
import polars as pl

from experiments.city.concerns import HELD

SHARES: dict[str, pl.DataType | type[pl.DataType]] = {
    "org_no": pl.Int32,
    "holder_org_no": pl.Int32,
    "holder_person_no": pl.Int32,
    "ratio": pl.Float64,
    "since": pl.Date,
    "until": pl.Date,
}
REGISTERED_AFTER = pl.duration(hours=34)
"""How long after the day of a change the register tells of it."""


def shareholdings(
    organisations: pl.DataFrame, kin: pl.DataFrame, ties: pl.DataFrame, rng: np.random.Generator
) -> pl.DataFrame:
    """Return who holds what (columns of ``SHARES``; null days: since the firm was founded, to this day).

    The legal representative holds most of a firm, a partner or relative the rest; who has a head belongs to it or to
    its owner. What the state has is held by a bureau of the region.
    """
    people = organisations.select("org_no", "legal_rep_person_no")
    minor, major = _founders(organisations, kin, ties, rng)
    tied = ties.filter(pl.col("hand").is_in(HELD)).join(
        major.select("org_no", pl.col("ratio").alias("own_ratio")), on="org_no", how="left", maintain_order="left"
    )
    tied = tied.with_columns(pl.coalesce("own_ratio", "ratio").alias("ratio"))
    tied = tied.join(people, on="org_no", how="left", maintain_order="left")
    tied = tied.join(
        people.rename({"org_no": "head_no", "legal_rep_person_no": "head_person"}),
        on="head_no",
        how="left",
        maintain_order="left",
    )
    by_firm, sold, bought = pl.col("hand") == "company", pl.col("fate") == "sold", pl.col("fate") == "bought"
    next_day = pl.col("handed_on").dt.offset_by("1d")
    of_head = tied.with_columns(
        pl.when(by_firm).then("head_no").alias("holder_org_no"),
        pl.when(~by_firm).then("head_person").alias("holder_person_no"),
        pl.when(bought).then(next_day).alias("since"),
        pl.when(sold).then("handed_on").alias("until"),
    )
    of_others = tied.filter(pl.col("fate") != "kept").with_columns(
        pl.col("legal_rep_person_no").alias("holder_person_no"),
        pl.when(sold).then(next_day).alias("since"),
        pl.when(bought).then("handed_on").alias("until"),
    )
    joint = ties.filter(pl.col("hand") == "joint").rename({"head_no": "holder_org_no"})
    rest = joint.group_by("org_no", maintain_order=True).agg((1 - pl.col("ratio").sum()).round(2).alias("ratio"))
    rest = rest.filter(pl.col("ratio") > 0).join(people, on="org_no", how="left", maintain_order="left")
    elsewhere = pl.concat([tied["org_no"], joint["org_no"]]).implode()
    founders = pl.concat(
        [
            major.filter(~pl.col("org_no").is_in(elsewhere)),
            minor.filter(~pl.col("org_no").is_in(joint["org_no"].implode())),
        ]
    )
    known = [founders, of_head, of_others, joint, rest.rename({"legal_rep_person_no": "holder_person_no"})]
    whole = pl.concat([_shares(frame) for frame in known])
    return pl.concat([whole, _of_the_state(organisations, whole)]).sort("org_no", maintain_order=True)


def _shares(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in SHARES.items()
    )


def _founders(
    organisations: pl.DataFrame, kin: pl.DataFrame, ties: pl.DataFrame, rng: np.random.Generator
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the minor and the major holders of private firms, each org_no, holder_person_no, ratio."""
    firms = organisations.filter(pl.col("ownership").is_in(["private", "collective", "foreign"]))
    main = np.round(rng.choice([0.51, 0.6, 0.7, 0.8, 0.9, 1.0], len(firms), p=[0.15, 0.2, 0.2, 0.2, 0.1, 0.15]), 2)
    cross = kin.filter(pl.col("what").is_in(["holding", "owner_share"])).select("org_no", "like_org_no")
    relatives = ties.filter((pl.col("hand") == "relative") & pl.col("ratio").is_not_null())
    cross = pl.concat([cross, relatives.select("org_no", pl.col("head_no").alias("like_org_no"))])
    cross = cross.unique("org_no", keep="first", maintain_order=True)
    holders = organisations.select(
        "org_no", pl.coalesce("staff_person_no", "legal_rep_person_no").alias("kin_person_no")
    )
    cross = cross.join(holders, left_on="like_org_no", right_on="org_no").select("org_no", "kin_person_no")
    base = firms.select("org_no", "legal_rep_person_no", "agent_person_no").with_columns(pl.Series(main).alias("main"))
    base = base.join(cross, on="org_no", how="left", maintain_order="left").with_columns(
        pl.when(pl.col("kin_person_no").is_not_null())
        .then(pl.min_horizontal("main", pl.lit(0.7)))
        .otherwise("main")
        .alias("main")
    )
    minor = base.filter(pl.col("main") < 1).select(
        "org_no",
        pl.coalesce("kin_person_no", "agent_person_no").alias("holder_person_no"),
        (1 - pl.col("main")).round(2).alias("ratio"),
    )
    return minor, base.select(
        "org_no", pl.col("legal_rep_person_no").alias("holder_person_no"), pl.col("main").alias("ratio")
    )


def _of_the_state(organisations: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Return what a bureau holds: of the region's state firms, all that nobody else does."""
    bureaus = organisations.filter(pl.col("ownership") == "government")
    bureaus = bureaus.group_by("ward", "region", maintain_order=True).agg(pl.col("org_no").first().alias("bureau"))
    shares = held.group_by("org_no").agg(pl.col("ratio").sum())
    firms = organisations.filter((pl.col("ownership") == "soe") & (pl.col("org_type") != "bank"))
    firms = firms.join(bureaus, on=["ward", "region"], maintain_order="left").join(
        shares, on="org_no", how="left", maintain_order="left"
    )
    rest = firms.select(
        "org_no",
        pl.col("bureau").alias("holder_org_no"),
        (1 - pl.col("ratio").fill_null(0.0)).round(2).alias("ratio"),
    )
    return _shares(rest.filter(pl.col("ratio") > 0))


def posts(organisations: pl.DataFrame, ties: pl.DataFrame) -> pl.DataFrame:
    """Return the posts beside those that follow from a person's role: org_no, person_no, office.

    Where the board ties, three of the head's sit on both boards, on the daughter's beside two of its own.
    """
    people = organisations.select(
        pl.col("org_no").alias("head_no"),
        pl.col("legal_rep_person_no").alias("boss"),
        "agent_person_no",
        "contact_person_no",
    )
    both = ties.join(people, on="head_no", how="left", maintain_order="left")
    nominees, boards = both.filter(pl.col("hand") == "controller"), both.filter(pl.col("hand") == "board")
    controller, director = pl.lit("actual_controller").alias("office"), pl.lit("director").alias("office")
    rows = [
        nominees.select("org_no", pl.col("boss").alias("person_no"), controller),
        nominees.select(pl.col("head_no").alias("org_no"), pl.col("boss").alias("person_no"), controller),
        boards.select("org_no", pl.col("boss").alias("person_no"), director),
        boards.select("org_no", pl.col("agent_person_no").alias("person_no"), director),
        boards.select("org_no", pl.col("contact_person_no").alias("person_no"), director),
        boards.select(pl.col("head_no").alias("org_no"), pl.col("contact_person_no").alias("person_no"), director),
    ]
    return pl.concat(rows).unique(maintain_order=True)


def with_representatives(organisations: pl.DataFrame, ties: pl.DataFrame) -> pl.DataFrame:
    """Let firms that are tied by it have the legal representative of their head."""
    heads = organisations.select(
        pl.col("org_no").alias("head_no"), pl.col("legal_rep_person_no").alias("shared_person_no")
    )
    shared = ties.filter(pl.col("hand") == "legal_rep").join(heads, on="head_no", how="left", maintain_order="left")
    joined = organisations.join(
        shared.select("org_no", "shared_person_no"), on="org_no", how="left", maintain_order="left"
    )
    return joined.with_columns(
        pl.coalesce("shared_person_no", "legal_rep_person_no").alias("legal_rep_person_no")
    ).drop("shared_person_no")


def registered(
    shares: pl.DataFrame, organisations: pl.DataFrame, persons: pl.DataFrame, before: pl.Series
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the register's shareholdings and the changes of shareholders, each with ``updated_at``.

    A holding that passes on has two versions: as it stood, and with its end. ``before``: when each was first told.
    """
    founded = organisations["established_date"]
    rows = shares.with_columns(
        pl.concat_str(pl.lit("GQ"), pl.int_range(pl.len()).cast(pl.String).str.zfill(8)).alias("holding_id"),
        founded.gather(shares["org_no"].cast(pl.UInt32)).alias("founded"),
        founded.gather(shares["holder_org_no"].cast(pl.UInt32)).alias("holder_founded"),
        before.alias("before"),
    ).with_columns(
        pl.coalesce("since", pl.max_horizontal("founded", "holder_founded")).alias("start_date"),
        (pl.col("since").dt.offset_by("-1d").cast(pl.Datetime("us")) + REGISTERED_AFTER).alias("bought_at"),
        (pl.col("until").cast(pl.Datetime("us")) + REGISTERED_AFTER).alias("sold_at"),
    )
    columns = ["holding_id", "org_no", "holder_org_no", "holder_person_no", "ratio", "start_date"]
    nothing = pl.lit(None, pl.Date).alias("end_date")
    first = rows.select(*columns, nothing, pl.coalesce("bought_at", "before").alias("updated_at"))
    ended = rows.filter(pl.col("until").is_not_null())
    last = ended.select(*columns, pl.col("until").alias("end_date"), pl.col("sold_at").alias("updated_at"))
    named = rows.with_columns(
        pl.coalesce(
            organisations["name"].gather(rows["holder_org_no"].cast(pl.UInt32)),
            persons["name"].gather(rows["holder_person_no"].cast(pl.UInt32)),
        ).alias("holder")
    )
    after = named.filter(pl.col("since").is_not_null()).select("org_no", pl.col("holder").alias("after_value"))
    changes = (
        named.filter(pl.col("until").is_not_null())
        .join(after, on="org_no", how="inner", maintain_order="left")
        .select(
            pl.concat_str(pl.lit("BG"), pl.col("org_no").cast(pl.String).str.zfill(8), pl.lit("-S")).alias("change_id"),
            "org_no",
            pl.lit("shareholder").alias("change_type"),
            pl.col("holder").alias("before_value"),
            "after_value",
            pl.col("until").alias("changed_at"),
            pl.col("sold_at").alias("updated_at"),
        )
    )
    return pl.concat([first, last]), changes
