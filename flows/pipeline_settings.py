"""Settings of a pipeline: those of its steps, in groups."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from vexpress.schemas.errors import ConfigError
from vexpress.schemas.row import Model
from vexpress.schemas.settings import overlay, parse_setting, read_yaml
from vexpress.tasks.curate.config import Preset, settle
from vexpress.tasks.generate.config import GenerateConfig
from vexpress.tasks.generate.request_table import is_query
from vexpress.tasks.media.source import absolute
from vexpress.tasks.pipeline import DataGate
from vexpress.tasks.train.run import absolute_paths
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


def name_everywhere(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what a pipeline is asked with paths that mean the same in runs that start in another
    folder; URIs and queries stay as they are."""
    names = {name: asked[name] for name in ("source", "dataset", "run", "requests", "weights")}
    paths = {name: text for name, text in names.items() if text and "://" not in text}
    if is_query(paths.get("requests", "")):
        del paths["requests"]
    _, _, train = absolute_paths(asked["dataset"], asked["run"], asked["train"])
    return {**asked, **{name: str(absolute(text)) for name, text in paths.items()}, "train": train}


def check(kind: type[Group], name: str, tree: dict[str, Any]) -> Group:
    """Return a group of the tree. Raises ConfigError that names each wrong key."""
    try:
        return kind.model_validate(tree.get(name, {}))
    except ValidationError as error:
        lines = [f"{name}.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ConfigError("\n".join(lines)) from error
