"""What a Parquet file unpacks to, found out before it is unpacked: three hundred bytes can hold gigabytes of text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from territory_opt.intake.table_file import TableFile
from territory_opt.problem.limits import LARGEST_UNPACKED, MOST_CELLS, MOST_CELLS_PER_BYTE, MOST_TEXT_PER_BYTE

_BATCH = 2**16
"""Rows whose texts are measured at a time, at most: beyond, it gets no faster."""


@dataclass(frozen=True, slots=True)
class _Column:
    """What a file says of a column; ``width`` is that of every value, 0 for values of any length."""

    path: str
    width: int
    lists: bool
    values: int
    longest: int


def check_parquet(file: TableFile) -> None:
    """Refuse a file that claims far more cells or text than its bytes can tell apart.

    A damaged one is found by reading it. Costs one reading of the columns of text, so few rows at a time that it takes
    a few times the memory that a file may unpack to (Arrow's buffers double), at worst.
    """
    size = file.path.stat().st_size
    try:
        columns = _columns(file.path)
    except Exception:  # a damaged file raises nearly anything
        return
    cells = sum(column.values for column in columns)
    if cells > max(MOST_CELLS, MOST_CELLS_PER_BYTE * size):
        file.stop(f"holds {cells:,} cells in a file of {size:,} bytes", "save the table as CSV")
    most, total = max(LARGEST_UNPACKED, MOST_TEXT_PER_BYTE * size), 0
    for column in columns:
        for measured in _texts(file.path, column, most):
            total += measured
            if total > most:
                said = f"{most // 2**20:,} MiB, the most that is read of {size:,} bytes"
                file.stop(f"unpacks to more than {said}", "leave out long texts and lists, or save the table as CSV")


def _columns(path: Path) -> list[_Column]:
    """Return what the file says of its columns; ``longest``: no value is longer than all bytes of its row group.

    What it says of single chunks is not asked for: pyarrow ends the process where that is damaged.
    """
    from pyarrow import parquet

    found = parquet.read_metadata(path)
    columns = []
    for k in range(found.num_columns):
        kind = found.schema.column(k)
        groups = [found.row_group(group) for group in range(found.num_row_groups)]
        values, packed = sum(group.num_rows for group in groups), [group.total_byte_size for group in groups]
        text, lists = kind.physical_type == "BYTE_ARRAY", kind.max_repetition_level > 0
        longest = max(packed, default=0) if text else 0
        columns.append(_Column(kind.path, 0 if text else max(kind.length, 0), lists, values, longest))
    return columns


def _texts(path: Path, column: _Column, most: int) -> Iterator[int]:
    """Yield the bytes of a column's texts, written out, in parts of at most ``most`` bytes."""
    from pyarrow import ArrowException, parquet

    if not column.longest or (not column.lists and column.values * column.longest <= most):
        yield column.values * column.width
        return
    whole = [column.path] if column.lists else None  # a row of lists may hold all values: each different one once
    rows = _BATCH if column.lists else max(1, min(_BATCH, most // column.longest))
    try:
        with parquet.ParquetFile(path, read_dictionary=whole) as reader:
            for group in range(reader.num_row_groups):  # lists of several groups cannot be read at once
                for batch in reader.iter_batches(rows, row_groups=[group], columns=[column.path]):
                    yield sum(_bytes(part) for part in batch.columns)
    except (ArrowException, OSError):
        if column.lists:  # what cannot be measured
            yield most + 1


def _bytes(array: Any) -> int:
    """Bytes of the texts of an Arrow array, in lists and structures too."""
    import pyarrow.compute as pc
    from pyarrow import types

    if types.is_dictionary(array.type):
        lengths = pc.binary_length(array.dictionary)
        return int(pc.sum(pc.take(lengths, array.indices)).as_py() or 0)
    if types.is_nested(array.type):
        parts = array.flatten() if types.is_struct(array.type) else [array.flatten()]
        return sum(_bytes(part) for part in parts)
    return int(pc.sum(pc.binary_length(array)).as_py() or 0)
