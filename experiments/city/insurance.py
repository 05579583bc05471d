"""Who paid social insurance for the people of the building trade, month by month."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from experiments.city.facts import CITY_END, CITY_START, Population

INSURED_ROLES = ("pm", "tech_lead", "quality_lead", "safety_lead", "supervisor")
"""People whose insurance the platform asks for: those who can be key people of a site."""
_PEOPLE_AT_ONCE = 20_000


def social_insurance(population: Population) -> Iterator[pl.DataFrame]:
    """Yield rows of social_insurance with ``updated_at``, some thousand people at a time."""
    people = population.persons.filter(pl.col("role").is_in(list(INSURED_ROLES))).select("person_no")
    spells = population.employment.join(people, on="person_no", how="semi", maintain_order="left")
    first, last = CITY_START.strftime("%Y-%m"), (CITY_END.replace(year=CITY_END.year - 1, month=12)).strftime("%Y-%m")
    months = pl.date_range(CITY_START.date(), CITY_END.date(), "1mo", closed="left", eager=True)
    calendar = pl.DataFrame({"month": months.dt.strftime("%Y-%m"), "paid_on": months.dt.offset_by("1mo")})
    begins = pl.max_horizontal(pl.col("from_month"), pl.lit(first))
    ends = pl.coalesce("to_month", pl.lit(last))
    for start in range(0, len(spells), _PEOPLE_AT_ONCE):
        some = spells.slice(start, _PEOPLE_AT_ONCE).with_columns(begins=begins, ends=ends)
        rows = some.join(calendar, how="cross").filter(pl.col("month").is_between("begins", "ends"))
        hour = np.random.default_rng([population.seed, 7, start]).integers(0, 20 * 24 * 3600, len(rows))
        rows = rows.select(
            "person_no",
            "org_no",
            "month",
            si_id="SB" + pl.col("person_no").cast(pl.String) + "-" + pl.col("month").str.replace("-", ""),
            updated_at=pl.col("paid_on").cast(pl.Datetime("us")) + pl.duration(seconds=pl.lit(pl.Series(hour))),
        )
        yield rows.filter(pl.col("updated_at") < CITY_END).unique("si_id", keep="last", maintain_order=True)
