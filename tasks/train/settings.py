"""Training settings from a preset and what differs from it."""

from collections.abc import Mapping
from typing import Any

from vexpress.schemas.settings import Tree, check, overlay
from vexpress.training.presets import PRESETS
from vexpress.training.settings import TrainSettings


def preset_tree(given: Any) -> Tree:
    """Return all settings of the preset that `given` names as `preset`, else of `full`."""
    name = given.get("preset") if isinstance(given, Mapping) else None
    preset = PRESETS.get(name, PRESETS["full"]) if isinstance(name, str) else PRESETS["full"]
    return preset().model_dump()


def make_settings(preset: str, changes: Mapping[str, Any]) -> TrainSettings:
    """Return a preset with changes: nested keys, as in a YAML file.

    Raises ConfigError that names every wrong key and value.
    """
    given = {"preset": preset, **changes}
    return check(TrainSettings, overlay(preset_tree(given), given))
