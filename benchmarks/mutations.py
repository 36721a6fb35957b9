"""Spoil files as disks, exports and hostile people do: byte by byte, and part by part where a format has parts.

Each ``mutate_*`` takes a generator of random numbers and the bytes of a sound file, and returns the bytes of a spoilt
one. The same generator state gives the same bytes, so that every finding can be had again from its seed.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

Generator = np.random.Generator
Mutate = Callable[[Generator, bytes], bytes]

TEXTS = (
    "", " ", "\x00", "\x1b[31mred\x1b[0m", "\x9b2J", "\r", "a\rb", "a\nb", "\u2028", "\ufeff", "\u202eevil\u202c",
    "=1+1", "'quoted", '"', "'", ",", ";", "x" * 400, "y" * 50_000, "NaN", "inf", "-inf", "1e308", "-1e308", "1e-320",
    "1e400", "9" * 5_001, "-5", "0x10", "1,5", "1.234.567", "$5", "50 %", "2027-13-01", "0000-00-00", "9999-12-31",
    "\U0001f600", "אבג", "مرحبا", "true", "null", "None", "<script>alert(1)</script>", "{{7*7}}", "../../etc/passwd",
)  # fmt: skip
"""What stands in cells of spoilt tables."""
YAML_VALUES = (
    "!!bool maybe", "!!int abc", "!!float abc", "!!timestamp abc", "!!binary x", "!!set {a}", "!!set [a]", "!!omap [a]",
    "!!python/name:os.system", "!!null x", "!!map []", "!!seq {}", "2027-99-99", "2027-01-01 99:00:00", "1:99:99",
    "9" * 5_001, "0x" + "f" * 5_001, "-" + "9" * 400, "1e308", "1e-320", "-1e308", ".inf", "-.inf", ".nan", "0x", "0b2",
    "1_000",
    '"\\x1b[31m"', '"\\0"', '"\\ud800"', "\x07", "[" * 3_000 + "]" * 3_000, "{a: " * 200 + "1" + "}" * 200, "&a [*a]",
    "*missing", "[1, 2", "{", "|", ">", "? [a]", "'", "%d.%d.%Y", "undefined", "idna", "~", "x" * 5_000, "[]", "{}",
    "true", "-1", "0", "1e30", "4294967296", "<<: 5", "[[], {}]", "500 %", "auto", "1e15", "1e16",
)  # fmt: skip
"""What stands behind keys of spoilt scenario files."""
JSON_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, 10**400, "", "\x1b[31m", "\ud800", [], {}, [[]], {"a": {}}, "x" * 5_000, 2**63, 1e-320,
)  # fmt: skip
"""What stands in spoilt JSON files."""
MOST_HITS = 4
"""Places that one mutation of bytes spoils, at most."""


def mutate_bytes(rng: Generator, data: bytes) -> bytes:
    """Flip, drop, repeat, insert or cut off bytes at a few places."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, MOST_HITS + 1))):
        if not out:
            break
        at, length = int(rng.integers(len(out))), int(rng.integers(1, 40))
        kind = int(rng.integers(6))
        if kind <= 1:
            out[at] ^= int(rng.integers(1, 256))
        elif kind == 2:
            del out[at : at + length]
        elif kind == 3:
            out[at:at] = out[at : at + length]
        elif kind == 4:
            out[at:at] = rng.bytes(length)
        else:
            del out[at:]
    return bytes(out)


def mutate_csv(rng: Generator, data: bytes) -> bytes:
    """Spoil bytes, or cells and rows."""
    if rng.random() < 0.4:
        return mutate_bytes(rng, data)
    rows = [line.split(",") for line in data.decode("utf-8", "replace").splitlines()]
    row = int(rng.integers(len(rows)))
    kind = int(rng.integers(7))
    if kind <= 3:
        rows[row][int(rng.integers(len(rows[row])))] = _pick(rng, TEXTS)
    elif kind == 4:
        rows[row] = rows[row][: int(rng.integers(len(rows[row]) + 1))]
    elif kind == 5:
        rows[row:row] = [rows[row]] * int(rng.integers(1, 4))
    else:
        rows[row:row] = [[""]] * int(rng.integers(1, 2_000))
    return "\n".join(",".join(cells) for cells in rows).encode("utf-8", "replace")


def mutate_yaml(rng: Generator, data: bytes) -> bytes:
    """Spoil bytes, or lines and values."""
    if rng.random() < 0.3:
        return mutate_bytes(rng, data)
    lines = data.decode("utf-8", "replace").splitlines()
    at = int(rng.integers(len(lines)))
    kind = int(rng.integers(6))
    if kind <= 3:
        lines[at] = f"{lines[at].partition(':')[0]}: {_pick(rng, YAML_VALUES)}"
    elif kind == 4:
        lines[at:at] = [lines[at]]
    else:
        lines[at] = "  " * int(rng.integers(4)) + lines[at].lstrip()
    return "\n".join(lines).encode("utf-8", "replace")


def mutate_xlsx(rng: Generator, data: bytes) -> bytes:
    """Spoil bytes of the archive, or of one of its parts; or drop a part, or cut it off."""
    return _mutate_archive(rng, data)


def mutate_npz(rng: Generator, data: bytes) -> bytes:
    """Spoil bytes of the archive, or of one of its arrays; or drop one, or put another in its place."""
    if rng.random() < 0.3:
        parts = _parts(data)
        parts[_pick(rng, tuple(parts))] = _array(_pick(rng, _ARRAYS))
        return _archive(parts)
    return _mutate_archive(rng, data)


def mutate_parquet(rng: Generator, data: bytes) -> bytes:
    """Spoil bytes; half of the time in the footer, where the layout is written."""
    if rng.random() < 0.5:
        return mutate_bytes(rng, data)
    cut = max(len(data) - int(rng.integers(8, 2_000)), 4)
    return data[:cut] + mutate_bytes(rng, data[cut:-4]) + data[-4:]


def mutate_json(rng: Generator, data: bytes) -> bytes:
    """Spoil bytes, or keys and values."""
    if rng.random() < 0.3:
        return mutate_bytes(rng, data)
    content = json.loads(data)
    holder = content
    while isinstance(holder, dict | list) and holder:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = keys[int(rng.integers(len(keys)))]
        inner = holder[key]
        if not (isinstance(inner, dict | list) and inner) or rng.random() < 0.3:
            if rng.random() < 0.2:
                del holder[key]
            else:
                holder[key] = _pick(rng, JSON_VALUES)
            break
        holder = inner
    if rng.random() < 0.05:
        return b'{"a":' * 100_000
    return json.dumps(content).encode("utf-8")


_ARRAYS: tuple[Any, ...] = (
    np.zeros(0), np.zeros((3, 3)), np.array(["a"]), np.array([1j]), np.array([np.nan]), np.array([np.inf, 1.0]),
    np.array(True), np.array(["\x1b[31m"]), np.array([2**63], dtype=np.uint64), np.array([1e308] * 40),
)  # fmt: skip
"""What stands in spoilt archives of arrays."""


def _array(values: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def _mutate_archive(rng: Generator, data: bytes) -> bytes:
    if rng.random() < 0.4:
        return mutate_bytes(rng, data)
    parts = _parts(data)
    name = _pick(rng, tuple(parts))
    kind = int(rng.integers(5))
    if kind == 0:
        del parts[name]
    elif kind == 1:
        parts[name] = parts[name][: int(rng.integers(len(parts[name]) + 1))]
    else:
        parts[name] = mutate_bytes(rng, parts[name])
    return _archive(parts)


def _parts(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _archive(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def _pick(rng: Generator, among: tuple[Any, ...]) -> Any:
    return among[int(rng.integers(len(among)))]
