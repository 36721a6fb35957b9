"""How numbers, names and lists are said: money, shares, counts, "Lee (R-012)", columns that line up; and plain JSON.

One home for all sentences; imports nothing of the package.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

WITH_CENTS_BELOW = 99.995
"""Money from here on is written without cents: it would read 100.00 or more. All sizes here are a choice of looks."""
SHORT_FROM = 0.9995
"""Money is written in a unit (millions) from this part of it on, from where it reads 1.000, ..."""
THOUSANDS_FROM = 9.9995
"""... in thousands only from here on: "$6,400" reads better than "$6.4k"."""
TWO_DIGITS_BELOW = 9.995
"""Billions below this are written with two digits, ..."""
ONE_DIGIT_BELOW = 999.95
"""... millions and billions below this with one."""
MILLION = 1e6
"""From here on money is written in millions."""
MORE_DIGITS = 4
"""Digits of a share that would read the same as its limit with fewer. A choice of looks."""
NOISE_DIGITS = 6
"""A number is rounded to so many digits before it is rounded down: else 0.29 x 100 came to 28."""
NOISE = 1e-9
"""The same before it is rounded up."""
MOST_NAMED = 5
"""Names, months or ids listed in one message; of the rest it says how many."""
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
MISSING = ("NaT", "<NA>")
"""How pandas and NumPy write a missing date or cell; nobody is shown these words."""
LONGEST_SHOWN = 80
"""Characters of a cell, name or value of others that a message repeats: more would hide the message."""
LONGEST_LINE = 1_000
"""Characters of one line of a message; a longer one is cut in its middle, since it ends with what to do."""
CUT = "..."
_ACTING = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff"
HIDDEN = re.compile(f"[{_ACTING}]")
"""Characters that nobody sees but that do something: control a terminal, end a line, turn the direction of writing, or
cannot be written at all."""
_NO_CHARACTERS = "\ufdd0-\ufdef" + "".join(f"{chr(p + 0xFFFE)}{chr(p + 0xFFFF)}" for p in range(0, 0x110000, 0x10000))
_BLANK = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2065\u206a-\u206f\u2800\u3164"
    "\ufe00-\ufe0e\uffa0\ufff0-\ufffb\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Unicode's Default_Ignorable_Code_Point, formats that are not seen (category Cf), and blank Braille."""
_EMOJI = "\u2190-\u2bff\U0001f000-\U0001faff"
_JOINING = f"\u0600-\u109f\u1780-\u18af\ufe0f{_EMOJI}"
"""Letters that a joiner changes the look of: Arabic to Myanmar, Khmer, Mongolian; and emoji."""
UNSEEN = re.compile(
    f"[{_ACTING}{_NO_CHARACTERS}{_BLANK}]"
    f"|(?<![{_JOINING}])[\u200c\u200d]|[\u200c\u200d](?![{_JOINING}])|(?<![{_EMOJI}])\ufe0f"
)
"""What nobody sees in an id, which would look like another one; joiners are seen between letters that they join."""
UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
"""What no file of text can hold."""
_SIZES = ((1e9, "B"), (MILLION, "M"), (1e3, "k"))
"""Units of short money, and their letters."""


def visible(text: str, *, lines: bool = False) -> str:
    """Return a text of others with ``\\x1b`` in the place of a character that would act instead of being seen.

    Line breaks too, unless ``lines``. Everything that is shown to people goes through here or :func:`brief`.
    """
    return HIDDEN.sub(lambda found: found[0] if lines and found[0] == "\n" else escaped(found[0]), text)


def escaped(character: str) -> str:
    """Return one character as ``\\n``, ``\\x1b`` or ``\\u202e``."""
    return character.encode("unicode_escape").decode("ascii")


def brief(text: object, most: int = LONGEST_SHOWN) -> str:
    """Return a text of others as :func:`visible`, and cut to ``most`` characters."""
    try:
        seen = visible(str(text)[: most + 1])
    except ValueError:  # a whole number of more digits than Python writes
        seen = "what cannot be written out"
    return seen if len(seen) <= most else seen[: most - len(CUT)] + CUT


def message(text: str) -> str:
    """Return a message of one or more lines as :func:`visible`, each line of a bearable length."""
    return "\n".join(_bearable(line) for line in visible(text, lines=True).split("\n"))


def _bearable(line: str) -> str:
    if len(line) <= LONGEST_LINE:
        return line
    half = (LONGEST_LINE - len(CUT)) // 2
    return f"{line[:half]}{CUT}{line[-half:]}"


def money(amount: float, currency: str = "") -> str:
    """Return money in full: ``$1,234,500``, ``CHF 1,234,500``, ``1,234,500``; cents only below 100."""
    digits = 2 if abs(amount) < WITH_CENTS_BELOW and round(amount, 2) != round(amount) else 0
    return _signed(amount, f"{abs(amount):,.{digits}f}", currency)


def short_money(amount: float, currency: str) -> str:
    """Return money in three or four digits: ``$9.8M``, ``$126.0M``, ``$64k``, ``$6,400``."""
    for size, letter in _SIZES:
        if abs(amount) >= (SHORT_FROM if letter != "k" else THOUSANDS_FROM) * size:
            scaled = abs(amount) / size
            two, one = letter == "B" and scaled < TWO_DIGITS_BELOW, letter != "k" and scaled < ONE_DIGIT_BELOW
            digits = 2 if two else 1 if one else 0
            return _signed(amount, f"{scaled:,.{digits}f}{letter}", currency)
    return money(amount, currency)


def near_money(amount: float, currency: str, *, digits: int = 2, down: bool = False) -> str:
    """Return money in millions with so many digits, ``$44.93M``; below a million in full, ``$888,518``.

    ``down`` rounds down what is positive, so that "at most" stays true.
    """
    millions = abs(amount) >= MILLION
    if down:
        unit = MILLION / 10**digits if millions else 1.0
        amount = math.floor(round(amount / unit, NOISE_DIGITS)) * unit
    return _signed(amount, f"{abs(amount) / MILLION:,.{digits}f}M", currency) if millions else money(amount, currency)


def at_most(amount: float, currency: str) -> str:
    """Return ``amount`` rounded *up* to three digits, so that "not more than" stays true."""
    return money(_rounded_up(amount), currency)


def at_most_short(amount: float, currency: str) -> str:
    """Return ``amount`` rounded up to three digits, short: ``$2.53M``."""
    rounded = _rounded_up(amount)
    size, letter = next(((size, letter) for size, letter in _SIZES if rounded >= size), (1.0, ""))
    return _signed(rounded, f"{rounded / size:.3g}{letter}", currency) if letter else money(rounded, currency)


def percent(share: float, digits: int = 0, *, down: bool = False, trim: bool = False) -> str:
    """Return a share as ``12 %``; an en dash where it is unknown.

    ``down`` rounds down, ``trim`` leaves out a zero after the point.
    """
    if not math.isfinite(share):
        return "–"
    points = 100.0 * share
    if down:
        points = math.floor(round(points * 10**digits, NOISE_DIGITS)) / 10**digits
    text = f"{round(points, digits) + 0.0:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if trim and '.' in text else text} %"


def plural(count: int, noun: str) -> str:
    """Return ``1 account`` or ``1,204 accounts``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def named(name: object, key: object) -> str:
    """Return ``Lee (R-012)``; the key alone where there is no other name."""
    return f"{name} ({key})" if name and name != key else str(key)


def listed(items: Sequence[object], *, most: int, count: int | None = None) -> str:
    """Return ``a, b and 1,204 more``: at most ``most`` of the ``items``; ``count``: of how many they are the first."""
    more = (len(items) if count is None else count) - min(len(items), most)
    return ", ".join(map(str, items[:most])) + (f" and {more:,} more" if more else "")


def aligned(rows: Sequence[Sequence[str]], *, left: Collection[int] = (0,)) -> list[str]:
    """Return ``rows`` of cells as lines whose columns line up: those of ``left`` to the left, others to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if k in left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def plain(value: Any) -> Any:
    """Turn NumPy numbers, tuples and paths into what JSON has.

    Numbers that are not finite become null; a date or cell of pandas that is missing becomes an empty text.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if not isinstance(value, str) and str(value) in MISSING:
        return ""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)


def plain_rows(rows: Iterable[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Turn the rows of a table, ``frame.to_dict("records")``, into what JSON has."""
    return [plain(row) for row in rows]


def _signed(amount: float, text: str, currency: str) -> str:
    sign = "-" if amount < 0 and any(digit in text for digit in "123456789") else ""
    symbol = SYMBOLS.get(currency, f"{currency} " if currency else "")
    return f"{sign}{symbol}{text}"


def _rounded_up(amount: float) -> float:
    if amount < 100.0:
        return math.ceil(amount * 100 - NOISE) / 100
    unit = 10.0 ** (math.floor(math.log10(amount)) - 2)
    return math.ceil(amount / unit - NOISE) * unit
