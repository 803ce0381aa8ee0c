"""Configuration from presets, a file and single settings, one laid over the other."""

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import ValidationError

from schemas.errors import ConfigError
from tasks.curate_config import CurateConfig

Preset = Literal["permissive", "default", "strict"]
PRESETS: tuple[Preset, ...] = get_args(Preset)
"""From loose to tight."""


def load_config(
    preset: Preset = "default", file: Path | None = None, settings: list[str] | None = None
) -> CurateConfig:
    """Return preset, overlaid by a YAML file, overlaid by `step.key=value` settings.

    Raises ConfigError that names the key, what it expects and what it found.
    """
    over: dict[str, Any] = read_yaml(file, "keep:") if file else {}
    for setting in settings or []:
        over = overlay(over, parse_setting(setting, "step.key=value, such as crop.size=256"))
    return settle(preset, over)


def settle(preset: Preset, over: dict[str, Any]) -> CurateConfig:
    """Return a preset overlaid by some settings. Raises ConfigError as `load_config` does."""
    tree = yaml.safe_load(files("flows").joinpath(f"presets/{preset}.yaml").read_text())
    tree = overlay(tree, over)
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


def explain(error: ValidationError, kind: Any = CurateConfig) -> str:
    """Return one line a problem of a `kind` of settings: where, what was expected and found."""
    lines = []
    for problem in error.errors():
        place = ".".join(map(str, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            known = ", ".join(_siblings(problem["loc"], kind))
            lines.append(f"{place}: no such setting. Known here: {known}")
        else:
            lines.append(f"{place}: {problem['msg']}, found {problem['input']!r}")
    return "\n".join(lines)


def _siblings(place: tuple[int | str, ...], kind: Any) -> list[str]:
    model = kind
    for key in place[:-1]:
        model = model.model_fields[key].annotation
    return sorted(model.model_fields)


def read_yaml(file: Path, example: str) -> dict[str, Any]:
    """Return the groups of settings of a YAML file; raise ConfigError where it has none."""
    try:
        tree = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: expected a YAML file, it cannot be read: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{file}: expected groups of settings such as `{example}`, found {tree!r}"
        )
    return tree


def parse_setting(setting: str, example: str) -> dict[str, Any]:
    """Return `key=value` or `group.key=value` as a tree; raise ConfigError where it is none."""
    name, equals, value = setting.partition("=")
    keys = [key.strip() for key in name.split(".")]
    if not equals or not all(keys):
        raise ConfigError(f"--set {setting}: expected {example}")
    try:
        tree: Any = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {setting}: the value cannot be read: {error}") from error
    for key in reversed(keys):
        tree = {key: tree}
    return dict(tree)
