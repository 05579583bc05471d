"""Reference and administration."""

from features.tables.columns import Table, enum, text


class Region(Table):
    """Administrative divisions (city, county). One row per code."""

    NAME = "region"

    region_code = text("区划代码", "P00", key=True)
    name = text("区划名称", "P00")
    level = enum("层级", "P00", ["city", "county", "township"])
    parent_region_code = text("上级区划", "P00", references="region.region_code", nullable=True)
