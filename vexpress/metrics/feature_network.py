"""Networks that turn pictures and videos into feature vectors, as TorchScript files by path.

They are what StyleGAN3 and StyleGAN-V measure FID and FVD with, and need no other package:

- `inception-2015-12-05.pt`: pictures uint8 (N, 3, H, W) RGB to (N, 2048);
- `i3d_torchscript.pt`: videos (N, 3, T, H, W) RGB 0..255 to (N, 400).

A TorchScript file is a program in a small language that reaches neither Python nor the
network; take it from its publisher all the same.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from vexpress.errors import CheckpointError

INCEPTION = "inception-2015-12-05.pt"
I3D = "i3d_torchscript.pt"
WINDOW = 16
"""Frames of a video that I3D sees at once, as StyleGAN-V."""


class FeatureNetwork:
    """One network, loaded with its first picture."""

    def __init__(self, file: Path, device: str = "cpu") -> None:
        """Raises CheckpointError for a file that is no TorchScript."""
        self.file, self._device = file, device
        try:
            self._network: Any = torch.jit.load(str(file), map_location=device).eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise CheckpointError(
                f"{file}: expected a TorchScript file, as published for FID and FVD; it cannot "
                f"be read. Fetch it again. ({str(error).splitlines()[0]})"
            ) from error

    @torch.no_grad()
    def of_pictures(self, pictures_bgr: list[np.ndarray]) -> np.ndarray:
        """Return features float32 (N, D) of uint8 (H, W, 3) pictures of one size."""
        features = self._network(self._tensor(pictures_bgr), return_features=True)
        return np.asarray(features.float().cpu())

    @torch.no_grad()
    def of_video(self, frames_bgr: list[np.ndarray]) -> np.ndarray:
        """Return features float32 (1, D) of one window of `WINDOW` frames."""
        video = self._tensor(frames_bgr).float().transpose(0, 1)[None]
        features = self._network(video, rescale=True, resize=True, return_features=True)
        return np.asarray(features.float().cpu())

    def _tensor(self, pictures_bgr: list[np.ndarray]) -> torch.Tensor:
        rgb = np.ascontiguousarray(np.stack(pictures_bgr)[..., ::-1])
        return torch.from_numpy(rgb).permute(0, 3, 1, 2).to(self._device)


def find_network(weights: Path | None, name: str) -> Path | None:
    """Return the file of a network under the weights, or None."""
    file = weights / name if weights else None
    return file if file and file.is_file() else None
