"""How far from the site a punch was made, and whether it counts as on site.

Worked out while a punch is taken in, because its coordinates are purged after 30 days and the answer stays.
"""

from dataclasses import dataclass, field

import polars as pl

from features.derive.places import great_circle_m
from features.tables.projects import Project
from features.tables.store import TableStore

WHERE = ("longitude", "latitude", "site_longitude", "site_latitude")
RADIUS_M = 500
"""The fence of a site whose project names none: a middling site with the error of a telephone's position."""
FIXED = ("face_gate", "card")
"""Ways of punching that stand on the site themselves."""
TYPES = {"project_id": pl.String, "method": pl.String, "longitude": pl.Float64, "latitude": pl.Float64}
SITES = {"project_id": pl.String, "longitude": pl.Float64, "latitude": pl.Float64, "geofence_radius_m": pl.Int64}


def sites(store: TableStore) -> pl.DataFrame:
    """Return the sites that are known: project_id, longitude, latitude, geofence_radius_m."""
    projects = store.read(Project, incomplete=True).select(*SITES)
    return projects.filter(pl.col("longitude").is_not_null() & pl.col("latitude").is_not_null()).collect()


@dataclass
class Punches:
    """Completes punches by the sites as they are stored; read again when projects have changed."""

    store: TableStore
    _version: int = field(default=-2, init=False)
    _sites: pl.DataFrame = field(default_factory=pl.DataFrame, init=False)

    def __call__(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return punches with distance and presence; where these were delivered, they stand."""
        version = self.store.version(Project)
        if version != self._version:
            self._version, self._sites = version, sites(self.store)
        worked_out = on_site(rows, self._sites)
        given = [name for name in worked_out.columns if name in rows.columns]
        filled = [rows.get_column(name).fill_null(worked_out.get_column(name)) for name in given]
        return rows.with_columns(*worked_out.drop(given).get_columns(), *filled)


def on_site(punches: pl.DataFrame, at: pl.DataFrame) -> pl.DataFrame:
    """Return distance and presence of punches.

    A gate or a card reader without coordinates stands on the site; an application without them proves nothing.

    Args:
        punches: project_id, method, longitude, latitude; one row a punch.
        at: the sites, as ``sites`` returns them.

    Returns:
        ``distance_to_site_m`` (great circle; null without coordinates), ``in_geofence`` (null where the punch has
        coordinates and the site's are not known), one row a punch in the same order.
    """
    place = pl.DataFrame(at, schema=SITES).rename({"longitude": "site_longitude", "latitude": "site_latitude"})
    asked = punches.select("project_id", "method", "longitude", "latitude").cast(TYPES)  # type: ignore[arg-type]
    both = asked.join(place, on="project_id", how="left", maintain_order="left")
    located = pl.col("longitude").is_not_null() & pl.col("latitude").is_not_null()
    fence = pl.col("geofence_radius_m").fill_null(RADIUS_M)
    return both.with_columns(distance_to_site_m=great_circle_m(*(pl.col(name) for name in WHERE))).select(
        "distance_to_site_m",
        in_geofence=pl.when(located)
        .then(pl.col("distance_to_site_m") <= fence)
        .otherwise(pl.col("method").is_in(FIXED)),
    )
