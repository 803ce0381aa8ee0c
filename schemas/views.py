"""The views of `views.sql`: their names, and what the comments before them say."""

import re
from dataclasses import dataclass
from importlib.resources import files

VIEW = re.compile(r"((?:^-- .*\n)*)^CREATE OR REPLACE VIEW (\w+) AS\s([^;]*);", re.MULTILINE)
RENAMED = re.compile(r"FROM (\w+)")


@dataclass(frozen=True)
class View:
    """One view over the manifests."""

    name: str
    comment: str
    """What it answers."""
    formerly: str = ""
    """Today's name of the view, where this is its name of version 0.1."""


def read_views(text: str) -> list[View]:
    """Return the views that the SQL `text` makes, in its order."""
    views = []
    for comment, name, body in VIEW.findall(text):
        lines = [line.removeprefix("-- ") for line in comment.splitlines()]
        renamed = RENAMED.fullmatch(body.strip())
        views.append(View(name, " ".join(lines), renamed[1] if renamed else ""))
    return views


VIEWS = read_views(files("vexpress.schemas").joinpath("views.sql").read_text())
