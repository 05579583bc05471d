"""One door to all formats."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from features.ingest.formats.chunks import Chunk
from features.ingest.formats.columnar import read_columnar
from features.ingest.formats.delimited import read_delimited
from features.ingest.formats.jsons import read_json_document, read_json_lines
from features.ingest.formats.spreadsheets import read_spreadsheet
from features.ingest.formats.xml_records import read_xml

Format = Literal["csv", "xlsx", "json", "jsonl", "xml", "parquet"]
ENDINGS: dict[Format, tuple[str, ...]] = {
    "csv": (".csv", ".csv.gz"),
    "xlsx": (".xlsx",),
    "json": (".json", ".json.gz"),
    "jsonl": (".jsonl", ".jsonl.gz"),
    "xml": (".xml",),
    "parquet": (".parquet",),
}


def read_file(path: Path, format: Format, encoding: str, wanted: Sequence[str]) -> Iterator[Chunk]:  # noqa: A002
    """Yield the records of a delivered file; at least one chunk, which tells the headings.

    Args:
        path: the file.
        format: its format.
        encoding: of CSV; the others are UTF-8 or say it themselves.
        wanted: headings that are read from JSON whether its first records have them or not.

    Raises:
        FileError: the file cannot be read, or not to its end; what came before has been yielded.
    """
    match format:
        case "csv":
            return read_delimited(path, encoding)
        case "xlsx":
            return read_spreadsheet(path)
        case "json":
            return read_json_document(path, wanted)
        case "jsonl":
            return read_json_lines(path, wanted)
        case "xml":
            return read_xml(path)
        case "parquet":
            return read_columnar(path)
