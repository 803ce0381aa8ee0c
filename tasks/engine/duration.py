"""Lengths of time in words."""

THIN = "\N{NARROW NO-BREAK SPACE}"
"""Keeps a number and its unit on one line."""


def span(seconds: float | None) -> str:
    """Return a length of time as a person says it: 8.4 s, 1 min 37 s, 12.40 h."""
    if not seconds:
        return f"0{THIN}s"
    if seconds < 60:
        return f"{seconds:.1f}{THIN}s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}{THIN}min{THIN}{rest:02}{THIN}s"
    return f"{seconds / 3600:,.2f}{THIN}h"
