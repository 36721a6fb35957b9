"""The parts of a workbook's archive, counted while they are unpacked: a few kilobytes can hold millions of elements."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Any

from territory_opt.problem.limits import MOST_TAGS, MOST_TAGS_PER_BYTE


class TooManyTagsError(Exception):
    """A part holds more tags of XML than are read."""


class Parts(zipfile.ZipFile):
    """An archive that stops unpacking at so many tags: time and memory of whoever reads it follow them, not bytes.

    What is read as a whole (formats, links, properties) may hold ``MOST_TAGS``, all together; what is read bit by bit
    (sheets, texts) as many for each byte of the file as no real table has. A part that is read twice counts twice.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._most = max(MOST_TAGS, MOST_TAGS_PER_BYTE * path.stat().st_size)
        self._whole = self._bit_by_bit = 0

    def read(self, name: Any, pwd: bytes | None = None) -> bytes:
        """Return a part as a whole. Raise :class:`TooManyTagsError`."""
        with super().open(name, pwd=pwd) as part:
            content = part.read()
        self._whole += content.count(b"<")
        if self._whole > MOST_TAGS:
            raise TooManyTagsError(
                f"{name} holds more formats, links or the like than the {MOST_TAGS:,} tags that are read"
            )
        return content

    def open(self, name: Any, *given: Any, **options: Any) -> Any:
        """Return a :class:`Part`, to be read bit by bit."""
        return Part(self, name, super().open(name, *given, **options))

    def count(self, name: str, tags: int) -> None:
        """Count what a part has given. Raise :class:`TooManyTagsError`."""
        self._bit_by_bit += tags
        if self._bit_by_bit > self._most:
            raise TooManyTagsError(f"{name} holds more than {self._most:,} tags, which no table in so small a file has")


class Part:
    """One part under way."""

    def __init__(self, parts: Parts, name: str, file: IO[bytes]) -> None:
        self._parts, self._name, self._file = parts, name, file
        self._of_row: int | None = None

    def row_by_row(self) -> None:
        """Count the tags of a row from here on; to be called again whenever one has ended."""
        self._of_row = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes. Raise :class:`TooManyTagsError`."""
        content = self._file.read(size)
        tags = content.count(b"<")
        self._parts.count(self._name, tags)
        if self._of_row is not None:
            self._of_row += tags
            if self._of_row > MOST_TAGS:
                raise TooManyTagsError(
                    f"{self._name} holds one row, or things beside the rows, of more than {MOST_TAGS:,} tags"
                )
        return content

    def close(self) -> None:
        """Close it."""
        self._file.close()

    def __enter__(self) -> Part:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
