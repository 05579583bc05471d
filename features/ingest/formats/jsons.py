"""JSON lines, and one JSON document ``{"data": [...]}`` of any length, plain or gzip."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import polars as pl

from features.ingest.formats.chunks import (
    CHUNK_BYTES,
    CHUNK_ROWS,
    RECORD_BYTES,
    Broken,
    BrokenReason,
    Chunk,
    FileError,
    heading,
    placed,
)
from features.ingest.formats.json_entries import Entry, entries

ARRAYS = ("data", "rows", "records", "items")
"""Keys of a document under which its records may stand."""
_ASKED = 200
"""Records of a chunk whose keys are looked at, beside those that are wanted."""


def read_json_lines(path: Path, wanted: Sequence[str]) -> Iterator[Chunk]:
    """Yield the objects of a file of JSON lines. Places are lines.

    Text is as delivered; numbers, yes and no, lists and objects are their JSON text; null and absent are null.

    Args:
        path: the file.
        wanted: headings to return, delivered or not. Others are returned when a chunk's first records have them.

    Raises:
        FileError: the text is not UTF-8, or the packing is damaged.
    """
    line, empty = 0, True
    for lines in _line_blocks(path):
        numbered = [(line + place, one) for place, one in enumerate(lines, 1) if one.strip()]
        line += len(lines)
        for chunk in _chunks(path, numbered, wanted):
            empty = False
            yield chunk
    if empty:
        yield Chunk(_no_rows(wanted), pl.Series(dtype=pl.String))


def read_json_document(path: Path, wanted: Sequence[str]) -> Iterator[Chunk]:
    """Yield the records of one JSON document without holding it. Places count records.

    The records are the array under ``data`` (or ``rows``, ``records``, ``items``), or the document itself when it is an
    array. Types and arguments as ``read_json_lines``.

    Raises:
        FileError: the document is cut off or no JSON, after what came before; the text is not UTF-8.
    """
    number, empty = 0, True
    held: list[tuple[int, bytes]] = []
    size = 0
    for entry in entries(_blocks(path), RECORD_BYTES, ARRAYS):
        number += 1
        if entry.kind != "entry" or entry.where == "document":
            yield from _chunks(path, held, wanted)
            yield from _torn(path, entry, number, wanted)
            held, size, empty = [], 0, False
            continue
        held.append((number, entry.raw.replace(b"\n", b" ").replace(b"\r", b" ")))
        size += len(entry.raw)
        if len(held) >= CHUNK_ROWS or size >= CHUNK_BYTES:
            yield from _chunks(path, held, wanted)
            held, size, empty = [], 0, False
    yield from _chunks(path, held, wanted)
    if empty and not held:
        yield Chunk(_no_rows(wanted), pl.Series(dtype=pl.String))


def _torn(path: Path, entry: Entry, number: int, wanted: Sequence[str]) -> Iterator[Chunk]:
    """Yield what stands where no record should, or end the reading when nothing can follow."""
    reasons: dict[str, BrokenReason] = {"stray": "not_json", "unfinished": "unfinished_record"}
    if entry.kind in reasons and entry.where != "document" and entry.raw:
        broken = Broken(f"{path.name}:{number}", reasons[entry.kind], entry.raw.decode("utf-8", "replace"))
        yield Chunk(_no_rows(wanted), pl.Series(dtype=pl.String), (broken,))
    if entry.kind != "stray" or entry.where == "document":
        raise FileError(
            path.name,
            f"After {number - 1:,} records the document is cut off or is no JSON with a list under {ARRAYS[0]!r}.",
            "transfer it again; what is loaded stays.",
        )


def _chunks(path: Path, numbered: list[tuple[int, bytes]], wanted: Sequence[str]) -> Iterator[Chunk]:
    for start in range(0, len(numbered), CHUNK_ROWS):
        part = numbered[start : start + CHUNK_ROWS]
        names = _keys(part, wanted)
        try:
            rows, broken = _frame([raw for _, raw in part], names), list[tuple[int, bytes]]()
        except pl.exceptions.ComputeError:
            broken = [(number, raw) for number, raw in part if not _is_object(raw)]
            bad = {number for number, _ in broken}
            part = [(number, raw) for number, raw in part if number not in bad]
            rows = _frame([raw for _, raw in part], names)
        yield Chunk(
            _in_heading(rows, wanted),
            placed(path, pl.Series([number for number, _ in part], dtype=pl.Int64)),
            tuple(Broken(f"{path.name}:{n}", "not_json", raw.decode("utf-8", "replace")) for n, raw in broken),
        )


def _frame(lines: Sequence[bytes], names: Sequence[str]) -> pl.DataFrame:
    if not lines:
        return _no_rows(names)
    return pl.read_ndjson(b"\n".join(lines), schema=dict.fromkeys(names, pl.String))


def _keys(part: Sequence[tuple[int, bytes]], wanted: Sequence[str]) -> list[str]:
    """Return the keys as delivered: those wanted, however they are written, and others of the first records."""
    found: dict[str, None] = {}
    for _, raw in part[:_ASKED]:
        try:
            one: object = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if isinstance(one, dict):
            found.update(dict.fromkeys(cast(dict[str, Any], one)))
    forms = {heading(name) for name in found}
    return [*found, *[name for name in wanted if name not in forms]]


def _in_heading(rows: pl.DataFrame, wanted: Sequence[str]) -> pl.DataFrame:
    """Rename keys to their one form; of two that share it the first counts."""
    forms: dict[str, str] = {}
    for name in rows.columns:
        forms.setdefault(heading(name), name)
    present = rows.select(pl.col(name).alias(form) for form, name in forms.items())
    return present.with_columns(pl.lit(None, dtype=pl.String).alias(name) for name in wanted if name not in forms)


def _is_object(raw: bytes) -> bool:
    try:
        found: object = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return isinstance(found, dict)


def _no_rows(names: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(names, pl.String))


def _line_blocks(path: Path) -> Iterator[list[bytes]]:
    """Yield whole lines, some megabytes of them at a time."""
    rest = b""
    for block in _blocks(path):
        whole, newline, rest = (rest + block).rpartition(b"\n")
        if newline:
            yield whole.split(b"\n")
        elif len(rest) > RECORD_BYTES:
            raise FileError(path.name, "A line is longer than 64 MB.", "write one record a line.")
    if rest:
        yield [rest]


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file without BOM.

    Raises:
        FileError: the text is not UTF-8, or the packing is damaged.
    """
    carried = b""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            first = True
            while block := file.read(CHUNK_BYTES):
                if first:
                    block, first = block.removeprefix(b"\xef\xbb\xbf"), False
                carried = _checked(carried + block)
                yield block
        if carried:
            _checked(carried, final=True)
    except UnicodeDecodeError as error:
        raise FileError(path.name, "The text is not UTF-8.", "save it as UTF-8 and deliver it again.") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileError(path.name, "The packed file is damaged or cut off.", "pack and transfer it again.") from error


def _checked(block: bytes, *, final: bool = False) -> bytes:
    """Hold a block against UTF-8 and return the last bytes of a character that goes on in the next."""
    try:
        block.decode("utf-8")
    except UnicodeDecodeError as error:
        if final or error.reason != "unexpected end of data":
            raise
        return block[error.start :]
    return b""
