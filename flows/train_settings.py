"""Training settings from a preset, a file and single settings, one laid over the other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from flows.config import overlay
from schemas.errors import ConfigError
from vexpress.training.presets import make_settings
from vexpress.training.settings import TrainSettings


def load_settings(
    preset: str,
    file: Path | None,
    single: list[str],
    given: Mapping[str, Any],
    workers: int | None,
) -> TrainSettings:
    """Return preset, overlaid by a YAML file, by `group.key=value`, by options that are given.

    Raises ConfigError or SettingsError that names the key.
    """
    tree: dict[str, Any] = _read(file) if file else {}
    for setting in single:
        tree = overlay(tree, _parse(setting))
    tree = overlay(tree, {key: value for key, value in given.items() if value})
    if workers:
        tree = overlay(tree, {"engine": {"workers": workers}})
    return make_settings(preset, tree)


def parse_stages(text: str) -> list[int]:
    """Return the stages of `1,2,3`."""
    parts = [part.strip() for part in text.split(",")]
    if not parts or not all(part in {"1", "2", "3"} for part in parts):
        raise ConfigError(f"--stages {text}: expected some of 1, 2 and 3, such as 1,2,3")
    return [int(part) for part in parts]


def _read(file: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: expected a YAML file, it cannot be read: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{file}: expected groups of settings such as `stage_1:`, found {tree!r}")
    return tree


def _parse(setting: str) -> dict[str, Any]:
    name, equals, value = setting.partition("=")
    keys = [key.strip() for key in name.split(".")]
    if not equals or not all(keys):
        raise ConfigError(f"--set {setting}: expected group.key=value, such as stage_2.steps=500")
    tree: Any = yaml.safe_load(value)
    for key in reversed(keys):
        tree = {key: tree}
    return tree
