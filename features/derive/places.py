"""How far apart two places are."""

import polars as pl

EARTH_M = 6_371_008.8
"""Mean radius of the earth (IUGG)."""


def great_circle_m(longitude: pl.Expr, latitude: pl.Expr, longitude_2: pl.Expr, latitude_2: pl.Expr) -> pl.Expr:
    """Return metres between two places in degrees, by the haversine formula."""
    north, north_2 = latitude.radians(), latitude_2.radians()
    east = (longitude - longitude_2).radians()
    half = ((north - north_2) / 2).sin().pow(2) + north.cos() * north_2.cos() * (east / 2).sin().pow(2)
    return 2 * EARTH_M * half.clip(upper_bound=1.0).sqrt().arcsin()
