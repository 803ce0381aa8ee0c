"""Settings from presets, files and single words, one laid over the other."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from vexpress.schemas.errors import ConfigError


def overlay(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `over`, group by group."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = overlay(merged[key], value) if both else value
    return merged


def explain(error: ValidationError, kind: Any) -> str:
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
