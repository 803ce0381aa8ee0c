"""Settings of every command: a preset, a YAML file, options and single words, one over the other.

Whatever is wrong with them is said in one way: a line for each setting, with its full path.
"""

import difflib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic.fields import FieldInfo

from vexpress.schemas.errors import ConfigError

log = logging.getLogger(__name__)
Kind = type[BaseModel]
Settings = TypeVar("Settings", bound=BaseModel)
Tree = dict[str, Any]
"""Settings by name, groups in groups, as in a YAML file."""
LONGEST = 80
"""Characters of a wrong value that are shown."""


def load_settings(
    kind: type[Settings],
    preset: Callable[[Tree], Tree] = lambda given: {},
    file: Path | None = None,
    options: Tree | None = None,
    single: Sequence[str] = (),
) -> Settings:
    """Return a preset, overlaid by a YAML file, by `options`, by `group.key=value` words.

    `preset` gets all that was given and returns the settings below it. Raises ConfigError.
    """
    given = collect(kind, file, options, single)
    return check(kind, overlay(preset(given), given))


def collect(
    kind: Kind, file: Path | None = None, options: Tree | None = None, single: Sequence[str] = ()
) -> Tree:
    """Return all that was given, the later over the earlier, by today's names.

    Raises ConfigError where a file or a word cannot be read; nothing else is checked.
    """
    layers = [read_yaml(file, kind)] if file else []
    layers += [options or {}, *(parse_setting(word, kind) for word in single)]
    tree: Tree = {}
    for layer in layers:
        tree = overlay(tree, rename(layer, kind))
    return tree


def check(kind: type[Settings], tree: Mapping[str, Any]) -> Settings:
    """Return the settings of a tree. Raises ConfigError that names every wrong one."""
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("\n".join(problems(error, kind, tree))) from error


def overlay(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """Return `base` with the values of `over`, group by group."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = overlay(merged[key], value) if both else value
    return merged


def rename(tree: Mapping[str, Any], kind: Kind, path: str = "") -> Tree:
    """Return `tree` with names of version 0.1 replaced by today's; each is logged."""
    renamed: Tree = {}
    former = {old: name for name, field in kind.model_fields.items() for old in _former(field)}
    for key, value in tree.items():
        name = former.get(key, key)
        if name != key:
            log.warning("setting `%s%s` is called `%s%s` now", path, key, path, name)
        group = group_of(kind, name)
        if group and isinstance(value, Mapping):
            value = rename(value, group, f"{path}{name}.")
        renamed = overlay(renamed, {name: value})
    return renamed


def _former(field: FieldInfo) -> list[Any]:
    names = field.validation_alias
    return names.choices[1:] if isinstance(names, AliasChoices) else []


def group_of(kind: Kind, name: Any) -> Kind | None:
    """Return the model of the group of settings `name`; None where it is a single setting."""
    field = kind.model_fields.get(name)
    return _model_in(field.annotation) if field else None


def _model_in(annotation: Any) -> Kind | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def leaves(kind: Kind, path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the path and the field of every single setting."""
    for name, field in kind.model_fields.items():
        group = group_of(kind, name)
        if group:
            yield from leaves(group, f"{path}{name}.")
        else:
            yield f"{path}{name}", field


def choices(annotation: Any) -> list[Any]:
    """Return the values that a Literal or an enumeration allows, also beside None; else none."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [member.value for member in annotation]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        return [choice for part in get_args(annotation) for choice in choices(part)]
    return []


def read_yaml(file: Path, kind: Kind) -> Tree:
    """Return the settings of a YAML file; raise ConfigError where it has none."""
    try:
        tree = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: expected a YAML file, it cannot be read: {error}") from error
    if not isinstance(tree, dict):
        group = _example(kind).partition(".")[0]
        raise ConfigError(f"{file}: expected groups of settings such as `{group}:`, found {tree!r}")
    return tree


def parse_setting(setting: str, kind: Kind) -> Tree:
    """Return `key=value` or `group.key=value` as a tree; raise ConfigError where it is none."""
    name, equals, value = setting.partition("=")
    keys = [key.strip() for key in name.split(".")]
    if not equals or not all(keys):
        raise ConfigError(f"--set {setting}: expected group.key=value, such as {_example(kind)}")
    try:
        tree: Any = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {setting}: the value cannot be read: {error}") from error
    for key in reversed(keys):
        tree = {key: tree}
    return dict(tree)


def _example(kind: Kind) -> str:
    """A setting in a group, with a number as its value: what a user can type."""
    numbers = (
        f"{path}={field.default}"
        for path, field in leaves(kind)
        if "." in path and type(field.default) in (int, float)
    )
    return next(numbers, "group.key=value")


def problems(error: ValidationError, kind: Kind, tree: Mapping[str, Any]) -> list[str]:
    """Return a line for each wrong setting of `tree`, a `kind`: path, what was expected and found.

    An unknown name comes with the known ones of its group and the nearest.
    """
    lines: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    for problem in error.errors(include_url=False):
        path = _path(problem["loc"], tree)
        said = lines.setdefault(path, [])
        if problem["type"] == "extra_forbidden":
            said.append(_unknown(path, kind))
        else:
            said.append(_expected(problem, kind, path))
            found[path] = _found(problem, said[-1])
    # A setting that may be of several types has a problem for each of them.
    texts = {path: " or ".join(dict.fromkeys(said)) for path, said in lines.items()}
    return [
        f"{path}: {text}{found.get(path, '')}".removeprefix(": ") for path, text in texts.items()
    ]


def _path(place: tuple[int | str, ...], tree: Any) -> str:
    """Where a problem is, without the types that pydantic names in between."""
    path = []
    for key in place:
        if isinstance(tree, Mapping):
            tree = tree.get(key)
        elif isinstance(tree, list | tuple) and isinstance(key, int):
            tree = tree[key] if key < len(tree) else None
        else:
            continue
        path.append(str(key))
    return ".".join(path)


def _unknown(path: str, kind: Kind) -> str:
    *groups, name = path.split(".")
    group = kind
    for key in groups:
        group = group_of(group, key) or group
    known = sorted(group.model_fields)
    near = [".".join([*groups, key]) for key in difflib.get_close_matches(name, known, 1)]
    if not near:  # perhaps the group was forgotten, or another one is meant
        paths = {path.rpartition(".")[2]: path for path, _ in leaves(kind)}
        near = [paths[key] for key in difflib.get_close_matches(name, paths, 1, 0.8)]
    guess = f" Did you mean `{near[0]}`?" if near else ""
    return f"no such setting.{guess} Known here: {', '.join(known)}"


def _expected(problem: Any, kind: Kind, path: str) -> str:
    if problem["type"] == "missing":
        return "expected a value, found none"
    if problem["type"] == "model_type":
        group = kind
        for key in path.split("."):
            group = group_of(group, key) or group
        return f"expected a group of settings ({', '.join(sorted(group.model_fields))})"
    message: str = problem["msg"].removeprefix("Value error, ")
    words = message.removeprefix("Input should be ")
    return message if words == message else f"expected {words}"


def _found(problem: Any, said: str) -> str:
    """The wrong value, where the message does not say it and it is no whole group."""
    if "found " in said or isinstance(problem["input"], Mapping | BaseModel):
        return ""
    text = repr(problem["input"])
    return f", found {text if len(text) <= LONGEST else text[: LONGEST - 1] + '…'}"
