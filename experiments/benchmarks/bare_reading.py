"""Reads delivered files with the libraries alone and keeps nothing: the floor for whoever has to look at every record.

Run: ``python -m experiments.benchmarks.bare_reading "XLSX" /tmp/city/deliveries/S12/*.xlsx`` prints records, seconds
and CPU seconds as JSON, without the start of Python and the import of libraries.

Nothing is judged: no heading, cell, code, date or reference is looked at, and rows that do not fit the heading are cut.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import fastexcel
import polars as pl
import pyarrow.parquet as pq
from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]


def _csv(path: Path, encoding: str) -> int:
    return pl.read_csv(path, encoding=encoding, infer_schema=False, truncate_ragged_lines=True).height


def _lines(path: Path) -> int:
    with path.open(encoding="utf-8") as file:
        return sum(1 for line in file if json.loads(line) is not None)


def _document(path: Path) -> int:
    with path.open(encoding="utf-8") as file:
        return len(json.load(file)["data"])


def _sheet(path: Path) -> int:
    return fastexcel.read_excel(str(path)).load_sheet(0, dtypes="string").to_polars().height


def _xml(path: Path) -> int:
    return len(etree.parse(str(path)).getroot())


def _parquet(path: Path) -> int:
    return pq.read_table(path).num_rows


READERS: Mapping[str, tuple[str, Callable[[Path], int]]] = {
    "CSV UTF-8": ("polars.read_csv", lambda path: _csv(path, "utf-8")),
    "CSV GB18030": ("polars.read_csv", lambda path: _csv(path, "gb18030")),
    "XLSX": ("fastexcel to polars", _sheet),
    "JSON lines": ("json.loads, line by line", _lines),
    "JSON": ("json.load", _document),
    "XML": ("lxml.etree.parse", _xml),
    "Parquet": ("pyarrow.parquet.read_table", _parquet),
}
"""By format, what reads it and how many records a file has."""


def main() -> None:
    """Read files and print what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("format", choices=READERS)
    parser.add_argument("files", type=Path, nargs="+")
    given = parser.parse_args()
    _, read = READERS[given.format]
    started, used = time.perf_counter(), time.process_time()
    records = sum(read(path) for path in given.files)
    seconds, cpu = time.perf_counter() - started, time.process_time() - used
    print(json.dumps({"records": records, "seconds": seconds, "cpu_seconds": cpu}))


if __name__ == "__main__":
    main()
