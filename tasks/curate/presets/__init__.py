"""Presets of `curate`: `<name>.yaml` beside this file, each threshold with its source."""

from importlib.resources import files
from typing import Literal, get_args

import yaml

from vexpress.schemas.errors import ConfigError
from vexpress.schemas.settings import Tree

Preset = Literal["permissive", "default", "strict"]
PRESETS: tuple[Preset, ...] = get_args(Preset)
"""From loose to tight."""
USUAL: Preset = "default"
"""The one that is taken where none is named; its values are those of the models."""


def read_preset(name: str) -> Tree:
    """Return the settings that a preset names; all others are at their defaults.

    Raises ConfigError for a name that is no preset's.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset: expected one of {', '.join(PRESETS)}, found {name!r}")
    tree: Tree = yaml.safe_load(files(__name__).joinpath(f"{name}.yaml").read_text())
    return tree
