"""Who is who: people of a unit by role, the department that looks after a site, the national code of a project."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from experiments.city.facts import Population

NOBODY = -1
INSPECTED_BY = {"highway": "transport", "water": "water"}
"""Kind of the department that supervises a sector's sites; the others are the housing department's."""


@dataclass(frozen=True)
class Roster:
    """People of every unit by role.

    Attributes:
        people: person_no of a role, sorted by unit.
        first: place of a unit's first person, by role and org_no.
        count: persons of a unit, by role and org_no.
    """

    people: dict[str, npt.NDArray[np.int64]]
    first: dict[str, npt.NDArray[np.int64]]
    count: dict[str, npt.NDArray[np.int64]]

    @classmethod
    def of(cls, population: Population) -> "Roster":
        """Return the roster of a population."""
        units = population.organisations.height
        people: dict[str, npt.NDArray[np.int64]] = {}
        first: dict[str, npt.NDArray[np.int64]] = {}
        count: dict[str, npt.NDArray[np.int64]] = {}
        employed = population.persons.filter(pl.col("home_org_no").is_not_null()).sort("home_org_no", "person_no")
        for (role,), members in employed.partition_by("role", as_dict=True, maintain_order=True).items():
            per_unit = np.bincount(members["home_org_no"].to_numpy(), minlength=units)
            people[str(role)] = members["person_no"].to_numpy().astype(np.int64)
            count[str(role)] = per_unit
            first[str(role)] = np.cumsum(per_unit) - per_unit
        return cls(people, first, count)

    def pick(self, role: str, org_no: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return one person of the role for each unit, :data:`NOBODY` where the unit has none or is itself NOBODY."""
        chance = rng.random(len(org_no))
        if role not in self.people:
            return np.full(len(org_no), NOBODY)
        unit = np.where(org_no == NOBODY, 0, org_no)
        count = np.where(org_no == NOBODY, 0, self.count[role][unit])
        place = self.first[role][unit] + (chance * count).astype(np.int64)
        found = self.people[role][np.minimum(place, len(self.people[role]) - 1)]
        return np.where(count > 0, found, NOBODY)


def someone(person_no: npt.NDArray[np.int64]) -> pl.Series:
    """Return numbers with :data:`NOBODY` as null."""
    numbers = pl.Series(person_no, dtype=pl.Int32)
    return numbers.set(numbers == NOBODY, None)


def department_of(frame: pl.DataFrame, kind: pl.Expr, departments: pl.DataFrame) -> pl.Series:
    """Return dept_id of the department of a kind at the row's ``region_code``; where it has none, the city's."""
    asked = frame.select("region_code", dept_kind=kind)
    local = departments.group_by("dept_kind", "region_code", maintain_order=True).agg(pl.col("dept_id").first())
    city = departments.filter(pl.col("admin_level") == "city").group_by("dept_kind", maintain_order=True)
    city = city.agg(city_dept_id=pl.col("dept_id").first())
    joined = asked.join(local, on=["dept_kind", "region_code"], how="left", maintain_order="left")
    joined = joined.join(city, on="dept_kind", how="left", maintain_order="left")
    return joined.select(pl.coalesce("dept_id", "city_dept_id").alias("dept_id")).to_series()


def project_codes(projects: pl.DataFrame) -> pl.DataFrame:
    """Return project_id and project_code of the projects that have a national code by now."""
    coded = projects.drop_nulls("project_code").group_by("project_id", maintain_order=True)
    return coded.agg(pl.col("project_code").last())
