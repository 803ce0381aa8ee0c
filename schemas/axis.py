"""How a column is shown to people: the heading it stands under, its title, unit and range."""

from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from vexpress.schemas.model import UNITS

ENDINGS = UNITS | {
    "seconds": "seconds",
    "hours": "hours",
    "frames": "frames",
    "fps": "frames/s",
    "bytes": "bytes",
    "rate": "Hz",
    "width": "px",
    "height": "px",
    "x1": "px",
    "y1": "px",
    "x2": "px",
    "y2": "px",
}
"""Units by the last word of a column's name."""


@dataclass(frozen=True)
class Axis:
    """Annotation of a field whose distribution is drawn in the report."""

    heading: str
    """Which charts it stands among."""
    title: str
    unit: str = ""
    """Where the column's name does not end with it."""
    low: float | None = 0
    """Where the axis starts (None: at the least value); the first bin takes what is lower."""
    high: float | None = None
    """Where it ends (None: at the greatest value); the last bin takes what is higher."""


def axis_of(field: FieldInfo) -> Axis | None:
    """Return how the field is drawn, or None where it is not."""
    return next((item for item in field.metadata if isinstance(item, Axis)), None)


def unit_of(name: str, field: FieldInfo) -> str:
    """Return the unit of a column of numbers; empty where it has none."""
    axis = axis_of(field)
    if axis and axis.unit:
        return axis.unit
    return ENDINGS.get(name.rpartition("_")[2], "") if _is_number(field.annotation) else ""


def _is_number(kind: Any) -> bool:
    return any(kind == number or kind == number | None for number in (int, float))
