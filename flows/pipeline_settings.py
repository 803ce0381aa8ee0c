"""Settings of a pipeline: those of its steps, in groups."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from flows.config import Preset, overlay, parse_setting, read_yaml, settle
from flows.pipeline import DataGate
from schemas.errors import ConfigError
from schemas.row import Model
from tasks.generate_config import GenerateConfig
from vexpress.training.presets import make_settings

Group = TypeVar("Group", bound=Model)
GROUPS = ("curate", "train", "gate", "generate")
EXAMPLE = "group.key=value, such as gate.min_kept_minutes=1"


def load_groups(rules: Preset, preset: str, file: Path | None, single: list[str]) -> dict[str, Any]:
    """Return the groups: presets, overlaid by a YAML file, overlaid by single settings.

    Raises ConfigError or SettingsError that names the key.
    """
    tree: dict[str, Any] = read_yaml(file, "train:") if file else {}
    for setting in single:
        tree = overlay(tree, parse_setting(setting, EXAMPLE))
    unknown = sorted(tree.keys() - set(GROUPS))
    if unknown:
        raise ConfigError(f"{', '.join(unknown)}: expected groups {', '.join(GROUPS)}")
    return {
        "curate": settle(rules, tree.get("curate", {})),
        "train": make_settings(preset, tree.get("train", {})),
        "gate": check(DataGate, "gate", tree),
        "generate": check(GenerateConfig, "generate", tree),
    }


def check(kind: type[Group], name: str, tree: dict[str, Any]) -> Group:
    """Return a group of the tree. Raises ConfigError that names each wrong key."""
    try:
        return kind.model_validate(tree.get(name, {}))
    except ValidationError as error:
        lines = [f"{name}.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ConfigError("\n".join(lines)) from error
