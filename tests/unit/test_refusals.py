import polars as pl
import pytest

from features.ingest.quarantine.refusals import place_of


@pytest.mark.parametrize(
    ("record", "place"),
    [
        ("bid.csv:3 (B1)", "bid.csv:3"),
        ("approval.csv:3 (局(2024)1)", "approval.csv:3"),
        ("a b.csv:12 (K (1):2 (x))", "a b.csv:12"),
        ("bid.csv:3", "bid.csv:3"),
        ("ocds-1 (K1)", "ocds-1"),
    ],
)
def test_the_place_of_a_record_is_told_from_its_key(record: str, place: str) -> None:
    assert pl.select(place_of(pl.lit(record))).item() == place
