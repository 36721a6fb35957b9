"""How the report says numbers: short money, shares, distances and names."""

from __future__ import annotations

import math

SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
_SIZES = ((1e9, "B"), (1e6, "M"), (1e3, "k"))


def money(amount: float, currency: str) -> str:
    """Return money in full: ``$1,234,500`` or ``CHF 1,234,500``; cents only below 100."""
    digits = 2 if abs(amount) < 99.995 and round(amount, 2) != round(amount) else 0
    return _signed(amount, f"{abs(amount):,.{digits}f}", currency)


def short_money(amount: float, currency: str) -> str:
    """Return money in three or four digits: ``$9.8M``, ``$126.0M``, ``$64k``, ``$6,400``."""
    for size, letter in _SIZES:
        if abs(amount) >= (0.9995 if letter != "k" else 9.9995) * size:
            scaled = abs(amount) / size
            digits = 2 if scaled < 9.995 and letter == "B" else 1 if scaled < 999.95 and letter != "k" else 0
            return _signed(amount, f"{scaled:,.{digits}f}{letter}", currency)
    return money(amount, currency)


def at_most(amount: float, currency: str) -> str:
    """Return ``amount`` rounded *up* to three digits, so that "not more than" stays true."""
    return money(_rounded_up(amount), currency)


def at_most_short(amount: float, currency: str) -> str:
    """Return ``amount`` rounded up to three digits, short: ``$2.53M``."""
    rounded = _rounded_up(amount)
    size, letter = next(((size, letter) for size, letter in _SIZES if rounded >= size), (1.0, ""))
    return _signed(rounded, f"{rounded / size:.3g}{letter}", currency) if letter else money(rounded, currency)


def percent(share: float, digits: int = 0) -> str:
    """Return a share as ``12 %``; an en dash where it is unknown."""
    return f"{100.0 * share:.{digits}f} %" if math.isfinite(share) else "–"


def plural(count: int, noun: str) -> str:
    """Return ``1 account`` or ``1,204 accounts``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _signed(amount: float, text: str, currency: str) -> str:
    sign = "-" if amount < 0 and any(digit in text for digit in "123456789") else ""
    symbol = SYMBOLS.get(currency)
    return f"{sign}{symbol}{text}" if symbol else f"{sign}{currency} {text}"


def _rounded_up(amount: float) -> float:
    if amount < 100.0:
        return math.ceil(amount * 100 - 1e-9) / 100
    unit = 10.0 ** (math.floor(math.log10(amount)) - 2)
    return math.ceil(amount / unit - 1e-9) * unit
