"""How much is too much: every limit on what is read, once, with its reason in :data:`LIMITS`, which the docs show."""

from __future__ import annotations

LARGEST = 1e15
SMALLEST = 1e-6
MOST_A_YEAR = 1e6
LARGEST_SHARE = 1e6
LARGEST_SEED = 2**31 - 1
LONGEST_LIMIT = 1e9
MOST_DRAWS = 1_000_000
MOST_MADE_UP = 10_000_000
MOST_MONTHS = 600
FIRST_YEAR, LAST_YEAR = 1900, 2200
LONGEST_ID = 255
LONGEST_CURRENCY = 20
LONGEST_TEXT = 32_767
LONGEST_PATH = 4_096
MOST_FINDINGS = 1_000
LARGEST_UNPACKED = 2**28
MOST_CELLS = 20_000_000
MOST_ROWS, MOST_COLUMNS = 2**20, 2**14
MOST_CELLS_PER_BYTE = 100
MOST_TEXT_PER_BYTE = 100
MOST_TAGS = 500_000
MOST_TAGS_PER_BYTE = 10
LONGEST_GAP = 1_000
MOST_STRAY = 20
LARGEST_YAML = 2**20
DEEPEST = 50
MOST_NODES = 100_000
MOST_VARIANTS = 500

LIMITS: tuple[tuple[str, str, str], ...] = (
    ("a number, up or down", f"{LARGEST:g}", "sums keep about 15 digits: beyond, they lose whole units of money"),
    ("a setting that must be positive", f"at least {SMALLEST:g}", "one that is divided by must not make infinity"),
    ("visits, hours, full-time equivalents", f"{MOST_A_YEAR:g}", "a year has 8,784 hours; more is another unit"),
    ("a share", f"{LARGEST_SHARE:g}", "no rule means more than a million times its target"),
    ("a seed", f"{LARGEST_SEED:,}", "solvers take 31 bits"),
    ("`solve.time_limit`", f"{LONGEST_LIMIT:g} seconds", "thirty years; clocks of solvers overflow beyond"),
    ("plan years that a review simulates", f"{MOST_DRAWS:,}", "odds no longer change in the third digit"),
    ("accounts of a made-up company", f"{MOST_MADE_UP:,}", "ten times what plans are made for"),
    ("months of its history", f"{MOST_MONTHS}", "fifty years"),
    ("first day of the plan", f"{FIRST_YEAR} to {LAST_YEAR}", "a year beyond is a slip of the keyboard"),
    ("an id, or another name that rows are matched by", f"{LONGEST_ID} characters", "longer ones are texts"),
    (
        "a number of a scenario file, written out",
        f"{LONGEST_ID} characters",
        "longer ones take minutes to read and cannot be shown",
    ),
    ("`currency`", f"{LONGEST_CURRENCY} characters", "it stands before every amount"),
    ("a text", f"{LONGEST_TEXT:,} characters", "the most that a cell of a workbook holds"),
    ("a path", f"{LONGEST_PATH:,} characters", "the most that operating systems take"),
    (
        "findings in one column, or of the lines of a file",
        f"{MOST_FINDINGS:,} of a severity",
        "nobody reads more; of the rest it says how many",
    ),
    ("a workbook or plan archive, unpacked", f"{LARGEST_UNPACKED // 2**20} MiB", "what a small file may blow up to"),
    ("cells of a workbook", f"{MOST_CELLS:,}", "beyond, CSV and Parquet are read in a fraction of time and memory"),
    (
        "cells of a Parquet file",
        f"{MOST_CELLS:,}, or {MOST_CELLS_PER_BYTE} for each of its bytes",
        "a real table fills more than that; a few bytes can claim a billion equal cells",
    ),
    (
        "a Parquet file, unpacked",
        f"{LARGEST_UNPACKED // 2**20} MiB, or {MOST_TEXT_PER_BYTE} bytes for each of its bytes",
        "a real table fills more than that; one text of a megabyte can stand in a thousand rows of a small file",
    ),
    (
        "tags of a workbook outside its table: formats, links; and tags of one row",
        f"{MOST_TAGS:,}",
        "the 65,490 formats and 16,384 columns that spreadsheet programs have at most need no more",
    ),
    (
        "tags of its table and texts",
        f"{MOST_TAGS:,}, or {MOST_TAGS_PER_BYTE} for each byte of the file",
        "equal cells without end take 3; time and memory follow tags",
    ),
    (
        "rows and columns of a workbook",
        f"{MOST_ROWS:,} and {MOST_COLUMNS:,}",
        "spreadsheet programs have no more; a file can claim any number",
    ),
    ("empty rows before a stray cell", f"{LONGEST_GAP:,}", "what follows is left out with a warning if it is no row"),
    ("stray rows", f"{MOST_STRAY}", "more are a second table: an error, as nothing is dropped"),
    ("a scenario file", f"{LARGEST_YAML // 2**20} MiB", "reading takes about 10 seconds per MiB"),
    ("nesting of a scenario file", f"{DEEPEST} levels", "settings are five levels deep"),
    ("values of a scenario file, aliases written out", f"{MOST_NODES:,}", "aliases of aliases grow without end"),
    ("variants of a scenario", f"{MOST_VARIANTS}", "each is checked whenever the file is read"),
)
"""What is limited, to how much, and why."""
