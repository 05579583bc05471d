"""XML: ``<deliveries><record><heading>cell</heading>...</record>...</deliveries>``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]

from features.ingest.formats.chunks import CHUNK_ROWS, Chunk, FileError, headings, placed

RECORD = "record"


def read_xml(path: Path) -> Iterator[Chunk]:
    """Yield the records of an XML file as text; empty elements are null. Places count records.

    The file is read as it comes, entities are not expanded, and nothing is fetched: a file with a document type
    declaration is refused.

    Raises:
        FileError: the file is no XML, is cut off (after what came before), or declares a document type.
    """
    count = 0
    held: list[dict[str, str | None]] = []
    try:
        with path.open("rb") as file:
            for cells in _records(path, file):
                held.append(cells)
                if len(held) == CHUNK_ROWS:
                    count += len(held)
                    yield _chunk(path, held, count)
                    held = []
    except etree.XMLSyntaxError as error:
        if held:
            yield _chunk(path, held, count + len(held))
        what = f"After {count + len(held):,} records the file is no XML or is cut off (line {error.lineno})."
        raise FileError(path.name, what, "transfer it again; what is loaded stays.") from error
    if held or not count:
        yield _chunk(path, held, count + len(held))


def _records(path: Path, file: BinaryIO) -> Iterator[dict[str, str | None]]:
    reading = etree.iterparse(
        file, ("end",), tag=RECORD, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    for _, element in reading:
        _refuse_document_type(path, element)
        yield {cell.tag.rpartition("}")[2]: cell.text for cell in element.iterchildren("*")}
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]
    _refuse_document_type(path, reading.root)


def _refuse_document_type(path: Path, element: Any) -> None:  # noqa: ANN401 - lxml has no types
    if element.getroottree().docinfo.doctype:
        what = "The file declares a document type, which is never read."
        raise FileError(path.name, what, "write it without <!DOCTYPE>.")


def _chunk(path: Path, held: list[dict[str, str | None]], count: int) -> Chunk:
    delivered = list(dict.fromkeys(name for record in held for name in record))
    names = headings(path, delivered) if held else []
    rows = pl.DataFrame(
        {
            name: pl.Series([record.get(given) for record in held], dtype=pl.String)
            for name, given in zip(names, delivered, strict=True)
        }
    )
    return Chunk(rows, placed(path, pl.Series(range(count - len(held) + 1, count + 1), dtype=pl.Int64)))
