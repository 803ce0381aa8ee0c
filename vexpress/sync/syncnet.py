"""SyncNet: are sound and lips in time? (Chung & Zisserman, "Out of time", 2016)

The network and its keys are those of github.com/joonson/syncnet_python (`SyncNetModel.py`,
weights `syncnet_v2.model`); distances, offset and confidence as in its
`SyncNetInstance.evaluate`, with one difference of sign: there a positive offset means early
sound, here, as everywhere in this project, late sound.

The picture tower looks at five frames at once, but only its first layer spans time; so it is
run over many frames in one go, which gives the same numbers as window by window.
"""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from vexpress.sync.estimate import MOST_LAG, SyncEstimate, estimate_from
from vexpress.sync.mfcc import mfcc
from vexpress.weights.checkpoint import load_state, read_state

SIDE = 224
WINDOW = 5
"""Frames that the picture tower sees at once."""
STEPS = 4
"""MFCC rows in a frame: 20 in a window."""
TOGETHER = 16
"""Windows that are computed together."""
CROP_SCALE = 0.4
"""Margin around the face (`run_pipeline.py`)."""
FACE_SIDE, FACE_ABOVE = 2.99, 0.07
"""Side of a detector's face box over the geometric mean of eye distance and eye-to-mouth
distance, and how far its centre lies above theirs, in sides (SCRFD; 53 tracks of real videos)."""


class SyncNet(nn.Module):
    """Two towers that map five frames and 0.2 s of sound to 1024 numbers each."""

    def __init__(self, features: int = 1024) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_conv2d(1, 64, (3, 3), padding=(1, 1)),
            nn.MaxPool2d((1, 1), stride=(1, 1)),
            *_conv2d(64, 192, (3, 3), padding=(1, 1)),
            nn.MaxPool2d((3, 3), stride=(1, 2)),
            *_conv2d(192, 384, (3, 3), padding=(1, 1)),
            *_conv2d(384, 256, (3, 3), padding=(1, 1)),
            *_conv2d(256, 256, (3, 3), padding=(1, 1)),
            nn.MaxPool2d((3, 3), stride=(2, 2)),
            *_conv2d(256, 512, (5, 4)),
        )
        self.netfcaud = _head(features)
        self.netfclip = _head(features)
        self.netcnnlip = nn.Sequential(
            *_conv3d(3, 96, (5, 7, 7), stride=(1, 2, 2)),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
            *_conv3d(96, 256, (1, 5, 5), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
            *_conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            *_conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2)),
            *_conv3d(256, 512, (1, 6, 6)),
        )

    def see(self, frames_CFHW: torch.Tensor) -> torch.Tensor:
        """Return (F - 4, features) of BGR frames float32 (3, F, 224, 224), 0 … 255."""
        found = self.netcnnlip(frames_CFHW[None])[0, :, :, 0, 0]
        return torch.as_tensor(self.netfclip(found.T))

    def hear(self, sound_NTC: torch.Tensor) -> torch.Tensor:
        """Return (N, features) of windows of MFCC float32 (N, 20, 13)."""
        found = self.netcnnaud(sound_NTC.transpose(1, 2)[:, None])
        return torch.as_tensor(self.netfcaud(found.flatten(1)))


class FrameTower:
    """Takes frames one by one and keeps their features; memory does not grow with pictures."""

    def __init__(self, network: SyncNet) -> None:
        self._network = network
        self._waiting: list[np.ndarray] = []
        self._found: list[torch.Tensor] = []

    def see(self, face_bgr: np.ndarray) -> None:
        """Take a face, uint8 (224, 224, 3)."""
        self._waiting.append(face_bgr)
        if len(self._waiting) == TOGETHER + WINDOW - 1:
            self._run()

    def features(self) -> torch.Tensor:
        """Return float32 (F - 4, features) of all frames taken."""
        if len(self._waiting) >= WINDOW:
            self._run()
        return torch.cat(self._found) if self._found else torch.zeros(0, 1)

    def _run(self) -> None:
        device = next(self._network.parameters()).device
        frames = torch.from_numpy(np.stack(self._waiting)).to(device).float()
        with torch.inference_mode():
            self._found.append(self._network.see(frames.permute(3, 0, 1, 2)).cpu())
        self._waiting = self._waiting[-(WINDOW - 1) :]


def load_syncnet(path: Path, *, gpu: bool = False) -> SyncNet:
    """Load the published weights. Raises CheckpointError that names what does not fit."""
    state = read_state(path)
    network = SyncNet()
    for key, value in network.state_dict().items():
        # Weights saved before PyTorch 0.4.1 do not count batches; nothing here needs it.
        if key.endswith("num_batches_tracked"):
            state.setdefault(key, value)
    load_state(network, state, str(path))
    return network.eval().requires_grad_(False).to("cuda" if gpu else "cpu")


def estimate_sync(
    network: SyncNet, faces_bgr: Iterable[np.ndarray], sound: np.ndarray
) -> SyncEstimate:
    """Return the offset of faces, uint8 (224, 224, 3) at 25 fps, and their 16 kHz sound.

    `sound` float (samples,) in -1 … 1, from the first frame on. The confidence is
    SyncNet's: median less least mean distance.
    """
    tower = FrameTower(network)
    for face in faces_bgr:
        tower.see(face)
    return estimate_from(distances(network, tower.features(), sound))


def distances(network: SyncNet, seen: torch.Tensor, sound: np.ndarray) -> np.ndarray:
    """Return float32 (31,), the mean distance at each lag from -15 to 15; empty if too short."""
    rows = mfcc(np.round(np.clip(sound, -1, 1) * 32767))
    count = min(len(seen), len(sound) // 640 - WINDOW, (len(rows) - WINDOW * STEPS) // STEPS + 1)
    if count < 1:
        return np.zeros(0, np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(rows, WINDOW * STEPS, axis=0)[::STEPS]
    device = next(network.parameters()).device
    mfcc_NTC = torch.from_numpy(windows[:count].transpose(0, 2, 1).copy()).float().to(device)
    with torch.inference_mode():
        heard = torch.cat([network.hear(part).cpu() for part in mfcc_NTC.split(64)])
    padded = nn.functional.pad(heard, (0, 0, MOST_LAG, MOST_LAG))
    means = [
        nn.functional.pairwise_distance(seen[:count], padded[lag : lag + count]).mean()
        for lag in range(2 * MOST_LAG + 1)
    ]
    return torch.stack(means).numpy()


def face_crop(image_bgr: np.ndarray, five_points: np.ndarray) -> np.ndarray:
    """Return the face as SyncNet wants it, uint8 (224, 224, 3), of uint8 (height, width, 3).

    The published crop: 1.4 times the face box wide and high, lowered by 0.2 of the box, so
    that it reaches below the chin; what lies outside the picture is grey 110.
    """
    eyes, mouth = five_points[:2].mean(axis=0), five_points[3:].mean(axis=0)
    apart, below = five_points[1] - five_points[0], mouth - eyes
    side = FACE_SIDE * float(np.hypot(*apart) * np.hypot(*below)) ** 0.5
    centre = (eyes + mouth) / 2 + np.array([0, (CROP_SCALE / 2 - FACE_ABOVE) * side])
    scale = SIDE / max((1 + CROP_SCALE) * side, 1.0)
    shift = SIDE / 2 - scale * centre
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return np.asarray(
        cv2.warpAffine(
            image_bgr, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderValue=(110, 110, 110)
        )
    )


def _conv2d(into: int, out: int, kernel: tuple[int, int], **options: object) -> list[nn.Module]:
    convolution = nn.Conv2d(into, out, kernel, **options)  # type: ignore[arg-type]
    return [convolution, nn.BatchNorm2d(out), nn.ReLU()]


def _conv3d(
    into: int, out: int, kernel: tuple[int, int, int], **options: object
) -> list[nn.Module]:
    convolution = nn.Conv3d(into, out, kernel, **options)  # type: ignore[arg-type]
    return [convolution, nn.BatchNorm3d(out), nn.ReLU()]


def _head(features: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, features)
    )
