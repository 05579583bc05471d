import polars as pl

from features.ingest.intake.packing import held_bytes, packed


def _batch() -> pl.DataFrame:
    texts = [f"{number} a text too long to lie in its own row" for number in range(50_000)]
    return pl.DataFrame({"text": texts}).with_columns(kind=pl.lit("a", dtype=pl.Enum(["a", "b"])))


def test_a_few_rows_do_not_hold_the_text_of_their_batch() -> None:
    few = _batch().filter(pl.int_range(pl.len()) % 20_000 == 3)

    alone = packed(few)

    assert alone.equals(few)
    assert alone.schema == few.schema
    assert held_bytes([alone["text"]]) < 10_000 < held_bytes([few["text"]])


def test_many_rows_of_a_larger_batch_do_not_either() -> None:
    part = _batch().filter(pl.int_range(pl.len()) % 4 == 0)

    assert held_bytes([packed(part)["text"]]) < held_bytes([part["text"]]) / 2


def test_most_of_a_batch_stays_as_it_is_and_none_is_no_trouble() -> None:
    batch = _batch()

    assert packed(batch) is batch
    assert packed(batch.clear()).equals(batch.clear())
