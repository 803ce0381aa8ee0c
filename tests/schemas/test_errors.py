"""One tree of errors."""

import pickle

import pytest

from vexpress import errors as base
from vexpress.faces.points import FaceModelError
from vexpress.schemas import errors
from vexpress.training.clips import ClipError
from vexpress.training.stage_run import TrainingDiverged


def tree(kind: type[BaseException]) -> set[type[BaseException]]:
    return {kind}.union(*map(tree, kind.__subclasses__()))


def test_errors_of_all_rooms_are_of_one_tree_which_is_drawn() -> None:
    named = [errors.ConfigError, errors.FullDisk, FaceModelError, ClipError, TrainingDiverged]
    known = tree(base.VExpressError)
    assert known >= set(named)
    ours = [k for k in known if k.__module__.startswith(("vexpress.errors", "vexpress.schemas"))]
    for kind in (*ours, *named):
        assert kind.__name__ in (base.__doc__ or ""), "the tree drawn in vexpress.errors"


def test_what_is_wrong_with_one_input_does_not_stop_a_run() -> None:
    assert not tree(base.RunError) & tree(base.InputError)
    assert issubclass(FaceModelError, base.WeightsError)


def test_errors_reach_another_process_as_they_are() -> None:
    there = pickle.loads(pickle.dumps(errors.FullDisk("no room")))
    assert type(there) is errors.FullDisk and str(there) == "no room"


def test_the_base_class_of_version_0_1_is_still_found() -> None:
    with pytest.warns(DeprecationWarning, match=r"vexpress\.errors\.RunError"):
        former = errors.VexpressDataError
    assert issubclass(errors.ConfigError, former)
