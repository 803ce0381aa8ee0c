"""Texts as a person reads them: those of other people, such as file names, made harmless; numbers
of things."""

import re

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a terminal may obey; line feeds and tabs are let through."""
FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet would run."""


def for_terminal(text: str) -> str:
    """Return `text` with characters that a terminal may obey written out, such as \\x1b."""
    return CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def for_spreadsheet(value: object) -> object:
    """Return a cell of a CSV file; a text that a spreadsheet would run begins with a quote."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


def counted(number: int, thing: str) -> str:
    """Return `1 clip`, `2 clips`, `1,000 clips` of a `thing` whose plural ends with s."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
