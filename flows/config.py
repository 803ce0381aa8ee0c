"""Configuration from presets, a file and single settings, one laid over the other."""

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from schemas.errors import ConfigError
from tasks.curate_config import CurateConfig

Preset = Literal["default", "strict", "permissive"]


def load_config(
    preset: Preset = "default", file: Path | None = None, settings: list[str] | None = None
) -> CurateConfig:
    """Return preset, overlaid by a YAML file, overlaid by `step.key=value` settings.

    Raises ConfigError that names the key, what it expects and what it found.
    """
    tree = yaml.safe_load(files("flows").joinpath(f"presets/{preset}.yaml").read_text())
    if file:
        tree = overlay(tree, _read_yaml(file))
    for setting in settings or []:
        tree = overlay(tree, _parse_setting(setting))
    try:
        return CurateConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(explain(error)) from error


def overlay(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `over`, group by group."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = overlay(merged[key], value) if both else value
    return merged


def explain(error: ValidationError) -> str:
    """Return one line a problem: where, what was expected, what was found."""
    lines = []
    for problem in error.errors():
        place = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            known = ", ".join(_siblings(problem["loc"]))
            lines.append(f"{place}: no such setting. Known here: {known}")
        else:
            lines.append(f"{place}: {problem['msg']}, found {problem['input']!r}")
    return "\n".join(lines)


def _siblings(place: tuple[int | str, ...]) -> list[str]:
    model: Any = CurateConfig
    for key in place[:-1]:
        model = model.model_fields[key].annotation
    return sorted(model.model_fields)


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: expected a YAML file, it cannot be read: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{file}: expected groups of settings such as `keep:`, found {tree!r}")
    return tree


def _parse_setting(setting: str) -> dict[str, Any]:
    name, equals, value = setting.partition("=")
    group, dot, key = name.strip().partition(".")
    if not (equals and dot and group and key):
        raise ConfigError(f"--set {setting}: expected step.key=value, such as crop.size=256")
    return {group: {key: yaml.safe_load(value)}}
