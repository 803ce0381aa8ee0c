"""What goes wrong with a row is a rejection; what stops the run is not."""

import pytest

from vexpress.tasks.engine.step import failure


def test_an_error_that_came_of_ctrl_c_is_no_failure_of_the_row() -> None:
    def interrupted() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise ImportError("initialization failed") from error  # as pybind11 does

    with pytest.raises(ImportError) as caught:
        interrupted()
    with pytest.raises(KeyboardInterrupt):
        failure("faces", caught.value)
    assert failure("faces", ImportError("no file")).reason == "failed"
