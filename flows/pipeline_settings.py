"""Settings of a pipeline: those of its steps, in groups."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flows.config import Preset, overlay, parse_setting, read_yaml, settle
from flows.pipeline import DataGate
from schemas.errors import ConfigError
from vexpress.training.presets import make_settings

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
    try:
        gate = DataGate.model_validate(tree.get("gate", {}))
    except ValidationError as error:
        lines = [f"gate.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ConfigError("\n".join(lines)) from error
    return {
        "curate": settle(rules, tree.get("curate", {})),
        "train": make_settings(preset, tree.get("train", {})),
        "gate": gate,
        "generate": tree.get("generate"),
    }
