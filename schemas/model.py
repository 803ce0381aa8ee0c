"""What every model of rows and settings shares. It imports nothing heavy."""

from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

UNITS = {"s": "seconds", "ms": "ms", "px": "px", "deg": "degrees", "db": "dB", "hz": "Hz"}
"""Units at the end of a field's name, as a form shows them."""


def title(name: str, _: Any = None) -> str:
    """Return how a form names a field: `min_face_side_px` is "Min face side (px)"."""
    words = name.split("_")
    unit = UNITS.get(words[-1]) if len(words) > 1 else None
    text = " ".join(words[:-1] if unit else words)
    return f"{text[:1].upper()}{text[1:]} ({unit})" if unit else f"{text[:1].upper()}{text[1:]}"


class Model(BaseModel):
    """Frozen, no unknown keys, the docstring under a field is its description."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        arbitrary_types_allowed=True,
        ser_json_inf_nan="constants",
        field_title_generator=title,
    )


def formerly(old: str, new: str, default: Any, **limits: Any) -> Any:
    """Return a field `new` that was called `old` in version 0.1.

    It is read by both names, and keys in ledgers are still made with the old one
    (`former_names`). `limits`: as of pydantic's `Field`.
    """
    return Field(default, validation_alias=AliasChoices(new, old), **limits)


def added(default: Any, **limits: Any) -> Any:
    """Return a field that version 0.1 did not have.

    At its default it is left out of what ledger keys and fingerprints are made of, so that they
    stay what they were. `limits`: as of pydantic's `Field`.
    """
    return Field(default, exclude_if=lambda value: value == default, **limits)


def former_names(kind: type[BaseModel]) -> dict[str, str]:
    """Return the fields that had another name in version 0.1: new name to old one."""
    fields = kind.model_fields.items()
    choices = {name: info.validation_alias for name, info in fields}
    return {
        name: str(found.choices[1])
        for name, found in choices.items()
        if isinstance(found, AliasChoices)
    }
