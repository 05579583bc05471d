import polars as pl

from features.ingest.intake.packing import PACKED_BELOW_ROWS, packed


def _held_bytes(rows: pl.DataFrame) -> int:
    """Return the bytes of memory that rows keep from being freed, those beside their own included."""
    return sum(one.to_arrow(compat_level=pl.CompatLevel.newest()).get_total_buffer_size() for one in rows)


def test_a_few_rows_do_not_hold_the_text_of_their_batch() -> None:
    kinds = pl.Enum(["a", "b"])
    batch = pl.DataFrame({"text": [f"{number} a text too long to lie in its own row" for number in range(50_000)]})
    few = batch.with_columns(kind=pl.lit("a", dtype=kinds)).filter(pl.int_range(pl.len()) % 20_000 == 3)

    alone = packed(few)

    assert alone.equals(few)
    assert alone.schema == few.schema
    assert _held_bytes(alone) < 10_000 < _held_bytes(few)


def test_many_rows_stay_as_they_are_and_none_is_no_trouble() -> None:
    many = pl.DataFrame({"text": pl.Series(["x"]).new_from_index(0, PACKED_BELOW_ROWS)})

    assert packed(many) is many
    assert packed(many.clear()).equals(many.clear())
