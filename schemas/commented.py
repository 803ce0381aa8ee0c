"""Settings as a whole YAML file, each with its documentation, unit, choices and bounds."""

import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vexpress.schemas.model import UNITS
from vexpress.schemas.settings import choices

WIDTH = 100
BOUNDS = {
    "gt": "above",
    "ge": "at least",
    "lt": "below",
    "le": "at most",
    "multiple_of": "a multiple of",
}


def commented_yaml(settings: BaseModel, indent: str = "") -> str:
    """Return all settings as YAML, which `read_yaml` and the model read back as they are."""
    return "".join(_lines(settings, settings.model_dump(mode="json"), indent))


def _lines(settings: BaseModel, plain: dict[str, Any], indent: str) -> Iterator[str]:
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        comment = textwrap.wrap(_comment(name, field), WIDTH - len(indent) - 2)
        yield "".join(f"{indent}# {line}\n" for line in comment)
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:\n{commented_yaml(value, indent + '  ')}"
        else:
            yield f"{indent}{_setting(name, plain.get(name, value))}"


def _comment(name: str, field: FieldInfo) -> str:
    text = " ".join((field.description or "").split())
    words = choices(field.annotation)
    notes = [f"one of {', '.join(map(str, words))}"] if words else _bounds(field)
    unit = UNITS.get(name.rpartition("_")[2]) if "_" in name else None
    if unit and unit not in text.replace("pixels", "px"):
        notes.append(f"in {unit}")
    return f"{text} ({', '.join(notes)})" if notes else text


def _bounds(field: FieldInfo) -> list[str]:
    return [
        f"{words} {getattr(bound, limit):g}"
        for bound in field.metadata
        for limit, words in BOUNDS.items()
        if getattr(bound, limit, None) is not None
    ]


def _setting(name: str, value: Any) -> str:
    """`name: value` on one line, lists and tables in brackets."""
    text: str = yaml.safe_dump(
        {name: value}, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    if "\n" not in text.rstrip():
        return text
    flow: str = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, width=float("inf")
    )
    return f"{name}: {flow}"
