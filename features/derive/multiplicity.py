"""False-discovery control over all subjects of one indicator in one run."""

import polars as pl


def with_q_values(measured: pl.DataFrame, p_value: str) -> pl.DataFrame:
    """Add ``q_value``, the Benjamini-Hochberg adjusted p-value.

    The family is every row with a p-value (rulings G18). A column ``n_tests`` says how many tests the family has when
    it is larger than the rows at hand (pairs that never met have p = 1).
    """
    tested = measured.get_column(p_value).is_not_null()
    n_rows = int(tested.sum())
    n_tests = n_rows
    if "n_tests" in measured.columns and n_rows:
        n_tests = max(n_rows, int(measured.get_column("n_tests").max()))  # type: ignore[arg-type]
    adjusted = pl.col(p_value) * n_tests / pl.col(p_value).rank("ordinal")
    ordered = measured.with_row_index("_row").sort(p_value, nulls_last=True)
    q = pl.when(pl.col(p_value).is_not_null()).then(adjusted.reverse().cum_min().reverse().clip(upper_bound=1.0))
    return ordered.with_columns(q_value=q).sort("_row").drop("_row")
