"""Forgeries of a plan folder: every field and file in turn, each with the hashes in the manifest made to fit.

A check must find each of them, or name what it does not check. ``forgeries`` is read by the tests and by the attack.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import territory_opt as to

Change = Callable[[Path], None]
FOR_PEOPLE = ("plan.xlsx", "report.html")
JSON_FILES = ("plan.json", "manifest.json")
ARABIC = str.maketrans("0123456789", "".join(map(chr, range(0x660, 0x66A))))


@dataclass(frozen=True)
class Forgery:
    """A change to a plan folder; ``unchecked`` is what a check must say of it if it cannot find it."""

    name: str
    change: Change
    unchecked: str = ""


def forge(folder: Path, change: Change) -> None:
    """Change a plan folder, then bring the hashes of its outputs in ``manifest.json`` up to date.

    Files that the manifest does not list are listed, files that are gone are struck off; a forged manifest stays.
    """
    before = _bytes(folder / "manifest.json")
    change(folder)
    if _bytes(folder / "manifest.json") != before:
        return
    manifest = json.loads(before)
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name != "manifest.json"]
    manifest["outputs"] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    _write_json(folder / "manifest.json", manifest)


def outcome(folder: Path) -> tuple[list[str], tuple[str, ...]]:
    """Return the faults a check finds, and what it names as not checked; a damaged or odd input is a fault."""
    try:
        plan = to.load_plan(folder)
        found = plan.check()
        return [*plan.changed_inputs, *found.faults], found.not_checked
    except to.TerritoryError as error:
        return [str(error)], ()


def caught(forgery: Forgery, original: Path, place: Path) -> str:
    """Forge a copy of a folder beside the ``original``; return ``fault``, ``named`` or ``passed``."""
    shutil.copytree(original, place)
    try:
        forge(place, forgery.change)
        faults, unchecked = outcome(place)
    finally:
        shutil.rmtree(place)
    if faults:
        return "fault"
    return "named" if forgery.unchecked and any(forgery.unchecked in line for line in unchecked) else "passed"


def forgeries(folder: Path) -> Iterator[Forgery]:
    """Every forgery of a folder that is tried: each key of its JSON files, each file, each array."""
    for file in JSON_FILES:
        content = json.loads((folder / file).read_text(encoding="utf-8"))
        for key in content:
            yield from _of_key(file, key, content[key])
        yield Forgery(f"{file}: a key more", partial(_set, file=file, keys=("made_up",), value=1))
        yield Forgery(f"{file}: a key twice", partial(_key_twice, file=file))
        yield Forgery(f"{file}: other spaces", partial(_replaced, file=file, old=b": ", new=b" : "))
        yield Forgery(f"{file}: other line ends", partial(_replaced, file=file, old=b"\n", new=b"\r\n"))
    for path in sorted(folder.iterdir()):
        yield Forgery(
            f"{path.name}: removed",
            partial(_remove, file=path.name),
            _people(path.name) and f"{path.name}: it is not there",
        )
        yield Forgery(f"{path.name}: a byte more", partial(_append, file=path.name), _people(path.name))
        if path.suffix == ".csv":
            yield from _of_table(path)
    with np.load(folder / "certificate.npz") as arrays:
        for name in arrays.files:
            yield Forgery(f"certificate.npz: {name}", partial(_array, name=name), "of the proofs of this bound")
    yield Forgery("certificate.npz: an array more", partial(_array, name="made_up"))
    yield from _of_archive()
    yield Forgery("a file more, listed", _another_file)
    yield Forgery("a folder more, not listed", _beside, "note.txt: no part of a plan")


IN_PLAN = ("name", "seed", "status", "raw_status", "cut_short", "solver_bound", "joint_gain", "ways_out")
UNCHECKED = {
    **{key: f"{key}: " for key in IN_PLAN},
    **dict.fromkeys(("method", "why"), "method, why: "),
    **dict.fromkeys(("variant", "overrides", "versions"), "manifest.json: that variant"),
}
"""What the check says of a key that it cannot recompute."""


def _people(file: str) -> str:
    return f"{file}: only that it is as it was written" if file in FOR_PEOPLE else _issues(file)


def _issues(file: str) -> str:
    return "data_issues.csv: findings" if file == "data_issues.csv" else ""


def _of_key(file: str, key: str, value: Any) -> Iterator[Forgery]:
    said = UNCHECKED.get(key, "")
    yield Forgery(f"{file}: no {key}", partial(_set, file=file, keys=(key,), value=None, drop=True), said)
    for k, other in enumerate(_others(value)):
        yield Forgery(f"{file}: {key} {k}", partial(_set, file=file, keys=(key,), value=other), said)
    for inner in value if isinstance(value, dict) else ():
        for k, other in enumerate(_others(value[inner])):
            yield Forgery(f"{file}: {key}, {inner} {k}", partial(_set, file=file, keys=(key, inner), value=other), said)
    for place, line in enumerate(value) if key == "violations" else ():
        yield Forgery(
            f"{file}: {key}, no line {place}", partial(_set, file=file, keys=(key, place), value=None, drop=True)
        )
        for inner in line:
            drop = partial(_set, file=file, keys=(key, place, inner), value=None, drop=True)
            yield Forgery(f"{file}: {key}, line {place}, no {inner}", drop)
            for k, other in enumerate(_others(line[inner])):
                change = partial(_set, file=file, keys=(key, place, inner), value=other)
                yield Forgery(f"{file}: {key}, line {place}, {inner} {k}", change)


def _others(value: Any) -> list[Any]:
    """Values that a key does not have."""
    if isinstance(value, bool) or value is None:
        return [1, "x"]
    if isinstance(value, int | float):
        near = [value * 1.0045] if isinstance(value, float) and value else []
        return [value + 1, value * 1.01 + 0.02, *near, -value - 1, None, str(value), True]
    if isinstance(value, str):
        return [f"{value}x", "", None, *(word for word in ("optimal", "feasible") if word != value)]
    if isinstance(value, dict):
        return [{**value, "made up": 1}, {}, []]
    return [[*value, {"text": "made up", "enough": True}], {}, [1]]


def _of_table(path: Path) -> Iterator[Forgery]:
    lines, said = path.read_text(encoding="utf-8").splitlines(), _issues(path.name)
    if len(lines) < 2:
        yield Forgery(f"{path.name}: a row", partial(_lines, file=path.name, lines=[*lines, "x"]), said)
        return
    yield Forgery(f"{path.name}: a row less", partial(_lines, file=path.name, lines=lines[:-1]), _issues(path.name))
    yield Forgery(
        f"{path.name}: a row twice", partial(_lines, file=path.name, lines=[*lines, lines[-1]]), _issues(path.name)
    )
    yield from _of_bytes(path.name, lines)
    cells = lines[-1].split(",")
    for k in range(len(cells)):
        other = [*cells[:k], "1.23" if cells[k] != "1.23" else "4.56", *cells[k + 1 :]]
        changed = [*lines[:-1], ",".join(other)]
        yield Forgery(f"{path.name}: cell {k}", partial(_lines, file=path.name, lines=changed), said)


def _of_bytes(file: str, lines: list[str]) -> Iterator[Forgery]:
    """The same table in other bytes: line ends, quotes, order, digits of amounts."""
    said = _issues(file)
    order = said or (f"{file}: the order" if file in ("assignments.csv", "quotas.csv") else "and the order of its rows")
    yield Forgery(f"{file}: other line ends", partial(_replaced, file=file, old=b"\n", new=b"\r\n"), said)
    yield Forgery(f"{file}: no last line end", partial(_text, file=file, text="\n".join(lines)), said)
    yield Forgery(
        f"{file}: a byte order mark", partial(_text, file=file, text="\ufeff" + "\n".join([*lines, ""])), said
    )
    yield Forgery(f"{file}: quoted", partial(_lines, file=file, lines=[*lines[:-1], _quoted(lines[-1])]), said)
    if len(lines) > 2:
        yield Forgery(f"{file}: rows reversed", partial(_lines, file=file, lines=[lines[0], *lines[:0:-1]]), order)
    start, _, amount = lines[-1].rpartition(",")
    if re.fullmatch(r"[0-9]+\.[0-9]+", amount):
        for k, other in enumerate((amount.translate(ARABIC), f"0{amount}", f"{amount}0", f" {amount}", f"+{amount}")):
            changed = [*lines[:-1], f"{start},{other}"]
            yield Forgery(f"{file}: other digits {k}", partial(_lines, file=file, lines=changed), said)


def _of_archive() -> Iterator[Forgery]:
    """The same arrays in another archive, bytes that hide in it, and half a proof by cases."""
    packed, file = "certificate.npz: how it is packed", "certificate.npz"
    yield Forgery(f"{file}: bytes after an array", partial(_packed, tail=b"hidden"))
    yield Forgery(f"{file}: remarks on members", partial(_packed, remark=b"hidden"))
    yield Forgery(f"{file}: a remark on the archive", partial(_packed, note=b"hidden"))
    yield Forgery(f"{file}: not packed", partial(_packed, kind=zipfile.ZIP_STORED), packed)
    yield Forgery(f"{file}: wider numbers", partial(_array_as, dtype=">f8"))
    for names in (("case_accounts", "case_reps"), ("case_accounts",)):
        yield Forgery(f"{file}: only {' and '.join(names)}", partial(_part_of_cases, names=names))


def _quoted(line: str) -> str:
    first, _, rest = line.partition(",")
    return f'"{first}",{rest}' if rest and not first.startswith('"') else f'"{line}"'


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _set(folder: Path, *, file: str, keys: tuple[str | int, ...], value: Any, drop: bool = False) -> None:
    content = json.loads((folder / file).read_text(encoding="utf-8"))
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    if drop:
        del place[keys[-1]]
    _write_json(folder / file, content)


def _key_twice(folder: Path, *, file: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    first = json.dumps(next(iter(json.loads(text))))
    (folder / file).write_text(text.replace("{", f'{{ {first}: "forged",', 1), encoding="utf-8")


def _remove(folder: Path, *, file: str) -> None:
    (folder / file).unlink()


def _append(folder: Path, *, file: str) -> None:
    with (folder / file).open("ab") as out:
        out.write(b"x")


def _lines(folder: Path, *, file: str, lines: list[str]) -> None:
    (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _array(folder: Path, *, name: str) -> None:
    found = _arrays(folder)
    array = found.get(name, np.zeros(1))
    found[name] = np.char.add(array, "x") if array.dtype.kind == "U" else array * 1.01 + 1.0
    if not array.size:
        found[name] = np.ones(1)
    np.savez_compressed(folder / "certificate.npz", allow_pickle=False, **found)


def _replaced(folder: Path, *, file: str, old: bytes, new: bytes) -> None:
    (folder / file).write_bytes((folder / file).read_bytes().replace(old, new))


def _text(folder: Path, *, file: str, text: str) -> None:
    (folder / file).write_bytes(text.encode("utf-8"))


def _packed(
    folder: Path, *, tail: bytes = b"", remark: bytes = b"", note: bytes = b"", kind: int = zipfile.ZIP_DEFLATED
) -> None:
    """Pack the arrays of a certificate anew, with what does not belong there."""
    path = folder / "certificate.npz"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name)
            member.comment, member.compress_type = remark, kind
            archive.writestr(member, content + tail)
        archive.comment = note


def _array_as(folder: Path, *, dtype: str) -> None:
    found = _arrays(folder)
    np.savez_compressed(folder / "certificate.npz", **{**found, "values": found["values"].astype(dtype)})


def _part_of_cases(folder: Path, *, names: tuple[str, ...]) -> None:
    """Leave only ``names`` of a proof by cases, made up where there is none."""
    found = {name: array for name, array in _arrays(folder).items() if not name.startswith("case_")}
    np.savez_compressed(folder / "certificate.npz", **found, **{name: np.array(["A01", "", ""]) for name in names})


def _arrays(folder: Path) -> dict[str, Any]:
    with np.load(folder / "certificate.npz") as arrays:
        return dict(arrays)


def _another_file(folder: Path) -> None:
    (folder / "note.txt").write_text("my own", encoding="utf-8")


def _beside(folder: Path) -> None:
    """What the manifest does not list, since it lists no folders."""
    (folder / "note.txt").mkdir()
