"""The machine of the tests is small and shared."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small networks are fastest on one thread."""
    torch.set_num_threads(1)
