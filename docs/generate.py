"""Write `docs/data-set.md` from the row types, views, rules and presets: `python docs/generate.py`.

The text around the tables is in `docs/data-set.md.jinja`.
"""

import inspect
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vexpress.schemas.columns import describe
from vexpress.schemas.manifest import TABLES
from vexpress.schemas.video import Video
from vexpress.schemas.views import VIEWS
from vexpress.tasks.curate import presets
from vexpress.tasks.curate.config import load_config
from vexpress.tasks.curate.filter import RULES
from vexpress.tasks.engine import reasons

FOLDER = Path(__file__).parent
PAGE = FOLDER / "data-set.md"
PRESETS = {name: Path(inspect.getfile(presets)).parent / f"{name}.yaml" for name in presets.PRESETS}
SOURCE = re.compile(r"^  (\w+): .*?# (.*)$", re.MULTILINE)
"""A setting of a preset and the comment behind it."""


@dataclass(frozen=True)
class Threshold:
    """A rule with its thresholds."""

    reason: str
    setting: str
    column: str
    asks: str
    values: list[str]
    """Threshold of each preset."""
    sources: str


def page() -> str:
    """Return the page."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = cell
    return environment.get_template("data-set.md.jinja").render(
        tables=[describe(row_type) for row_type in sorted(TABLES, key=lambda t: t is not Video)],
        views=[view for view in VIEWS if not view.formerly],
        renamed_views=[view for view in VIEWS if view.formerly],
        renamed_columns=renamed_columns(),
        reasons=reasons,
        rules={rule.reason: rule.means for rule in RULES if rule.means},
        presets=list(PRESETS),
        thresholds=thresholds(),
    )


def cell(text: str) -> str:
    """Return a text for one cell of a table in Markdown."""
    return " ".join(text.split()).replace("|", "\\|")


def renamed_columns() -> dict[tuple[str, str], list[str]]:
    """Return new and old name of each renamed column, and the tables that have it."""
    found: dict[tuple[str, str], list[str]] = {}
    for row_type in TABLES:
        for new, old in row_type.former_columns().items():
            found.setdefault((old, new), []).append(row_type.TABLE)
    return found


def thresholds() -> list[Threshold]:
    """Return the thresholds of every rule in all presets, and where they come from."""
    keep = {name: load_config(name).keep for name in PRESETS}
    comments = {name: dict(SOURCE.findall(file.read_text())) for name, file in PRESETS.items()}
    return [
        Threshold(
            rule.reason,
            rule.setting,
            rule.column,
            asks=rule.words.format("…"),
            values=[said(getattr(rules, rule.setting)) for rules in keep.values()],
            sources="; ".join(
                f"{name}: {found[rule.setting]}"
                for name, found in comments.items()
                if rule.setting in found
            ),
        )
        for rule in RULES
    ]


def said(value: Any) -> str:
    """Return a threshold as it is written in a preset; `–` asks for nothing."""
    asks_nothing = value is None or value is False
    return "–" if asks_nothing else json.dumps(value).removesuffix(".0")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
