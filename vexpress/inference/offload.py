"""Where the networks of a pipeline are: on its device, or with low memory there only at work.

Not diffusers' `enable_model_cpu_offload`: its hooks belong to a pipeline, where `memory` is
asked for with each video; they move a network when its `forward` is called, and ours are also
called by other methods; and the last network stays on the device where its work failed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch
from diffusers import DiffusionPipeline
from torch import nn

from vexpress.inference.settings import Memory


class OffloadPipeline(DiffusionPipeline):
    """A pipeline that knows its device also while all its networks wait on the CPU.

    diffusers asks the networks where they are.
    """

    _home: torch.device | None = None

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """As diffusers' `to`; networks work from now on at the device named here."""
        named = [
            one for one in (*args, kwargs.get("device")) if isinstance(one, str | torch.device)
        ]
        self._home = torch.device(named[0]) if named else self._home
        return super().to(*args, **kwargs)

    @property
    def _execution_device(self) -> torch.device:
        found = super()._execution_device
        return self._home if self._home and found.type == "cpu" else found

    def move_to_device(self, *networks: nn.Module) -> None:
        """Put networks, which a video with low memory may have left on the CPU, on the device."""
        device = self._execution_device
        for network in networks:
            network.to(device)

    @contextmanager
    def on_device(self, memory: Memory, *networks: nn.Module) -> Iterator[None]:
        """Have networks on the device; with low memory they leave it afterwards."""
        self.move_to_device(*networks)
        try:
            yield
        finally:
            if memory == "low" and self._execution_device.type != "cpu":
                self._home = self._execution_device
                for network in networks:
                    network.to("cpu")
                torch.cuda.empty_cache()
