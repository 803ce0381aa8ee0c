"""Who of the faces in a picture speaks: LR-ASD (Junhua-Liao/LR-ASD @1b6dcd2).

Written from the facts of the published network; names of modules are those of its weights.
Shapes: B batch, T frames (25 a second), S 10 ms steps of sound, C channels.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from vexpress.sync.mfcc import mfcc
from vexpress.sync.syncnet import SIDE as CROPPED
from vexpress.sync.syncnet import face_crop
from vexpress.weights.checkpoint import load_state, read_state

SIDE = 112
"""Side of the faces that the network sees, pixels."""
CHANNELS = (32, 64, 128)
STEPS = 4
"""Rows of MFCC to a frame."""
MEAN, DEVIATION = 0.4161, 0.1688
NORM_EPS = 0.001
SMOOTHED = 13
"""Frames over which the place of a face is smoothed."""
AROUND = 9
"""Frames before and after a frame that its vector depends on: three blocks of ±3."""
AT_ONCE = 50
"""Frames whose vectors are computed together, so that memory does not grow with length."""


class VisualBlock(nn.Module):
    """Space, then time; without bias, each with batch norm and ReLU."""

    def __init__(self, into: int, out: int, stride: int = 1) -> None:
        super().__init__()
        step, half = (1, stride, stride), out // 2
        self.s_1 = nn.Conv3d(into, half, (1, 5, 5), step, (0, 2, 2), bias=False)
        self.s_norm_1 = nn.BatchNorm3d(half, eps=NORM_EPS)
        self.s_2 = nn.Conv3d(half, out, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.s_norm_2 = nn.BatchNorm3d(out, eps=NORM_EPS)
        self.t_1 = nn.Conv3d(out, out, (5, 1, 1), padding=(2, 0, 0), bias=False)
        self.t_norm_1 = nn.BatchNorm3d(out, eps=NORM_EPS)
        self.t_2 = nn.Conv3d(out, out, (3, 1, 1), padding=(1, 0, 0), bias=False)
        self.t_norm_2 = nn.BatchNorm3d(out, eps=NORM_EPS)

    def forward(self, x_BCTHW: torch.Tensor) -> torch.Tensor:
        """Return (B, out, T, H / stride, W / stride)."""
        x = self.s_norm_1(self.s_1(x_BCTHW)).relu()
        x = self.s_norm_2(self.s_2(x)).relu()
        x = self.t_norm_1(self.t_1(x)).relu()
        return torch.as_tensor(self.t_norm_2(self.t_2(x)).relu())


class AudioBlock(nn.Module):
    """Coefficients, then time; without bias, each with batch norm and ReLU."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        half = out // 2
        self.m_1 = nn.Conv2d(into, half, (5, 1), padding=(2, 0), bias=False)
        self.m_norm_1 = nn.BatchNorm2d(half, eps=NORM_EPS)
        self.m_2 = nn.Conv2d(half, out, (3, 1), padding=(1, 0), bias=False)
        self.m_norm_2 = nn.BatchNorm2d(out, eps=NORM_EPS)
        self.t_1 = nn.Conv2d(out, out, (1, 5), padding=(0, 2), bias=False)
        self.t_norm_1 = nn.BatchNorm2d(out, eps=NORM_EPS)
        self.t_2 = nn.Conv2d(out, out, (1, 3), padding=(0, 1), bias=False)
        self.t_norm_2 = nn.BatchNorm2d(out, eps=NORM_EPS)

    def forward(self, x_BCMS: torch.Tensor) -> torch.Tensor:
        """Return (B, out, coefficients, S)."""
        x = self.m_norm_1(self.m_1(x_BCMS)).relu()
        x = self.m_norm_2(self.m_2(x)).relu()
        x = self.t_norm_1(self.t_1(x)).relu()
        return torch.as_tensor(self.t_norm_2(self.t_2(x)).relu())


class VisualEncoder(nn.Module):
    """Faces to vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.block1 = VisualBlock(1, CHANNELS[0], stride=2)
        self.block2 = VisualBlock(CHANNELS[0], CHANNELS[1])
        self.block3 = VisualBlock(CHANNELS[1], CHANNELS[2])
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))

    def forward(self, faces_BTHW: torch.Tensor) -> torch.Tensor:
        """Return (B, T, 128) of faces in grey, scaled."""
        x = self.pool(self.block1(faces_BTHW[:, None]))
        x = self.block3(self.pool(self.block2(x)))
        return torch.as_tensor(x.amax(dim=(3, 4)).transpose(1, 2))


class AudioEncoder(nn.Module):
    """Sound to vectors, one a frame."""

    def __init__(self) -> None:
        super().__init__()
        self.block1 = AudioBlock(1, CHANNELS[0])
        self.block2 = AudioBlock(CHANNELS[0], CHANNELS[1])
        self.block3 = AudioBlock(CHANNELS[1], CHANNELS[2])
        self.pool = nn.MaxPool2d((1, 3), (1, 2), (0, 1))

    def forward(self, mfcc_BSM: torch.Tensor) -> torch.Tensor:
        """Return (B, S / 4, 128) of MFCC (B, S, 13)."""
        x = self.pool(self.block1(mfcc_BSM.transpose(1, 2)[:, None]))
        x = self.block3(self.pool(self.block2(x)))
        return torch.as_tensor(x.mean(dim=2).transpose(1, 2))


class Gate(nn.Module):
    """Lets through as much of each value as all of them say."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attention = nn.Conv1d(channels, channels, 1, bias=False)
        self.bn = nn.BatchNorm1d(channels, eps=NORM_EPS)

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        """Return (B, T, C)."""
        said = self.bn(self.attention(x_BTC.transpose(1, 2))).sigmoid()
        return x_BTC * said.transpose(1, 2)


class Detector(nn.Module):
    """What was and what will be, at each frame."""

    def __init__(self, into: int, hidden: int) -> None:
        super().__init__()
        self.gru_forward = nn.GRU(into, hidden, batch_first=True)
        self.gru_backward = nn.GRU(into, hidden, batch_first=True)
        self.attention = Gate(2 * hidden)

    def forward(self, x_BTC: torch.Tensor) -> torch.Tensor:
        """Return (B, T, 2 hidden)."""
        forward, _ = self.gru_forward(x_BTC)
        backward, _ = self.gru_backward(x_BTC.flip(1))
        return torch.as_tensor(self.attention(torch.cat([forward, backward.flip(1)], dim=2)))


class Model(nn.Module):
    """Both encoders, their fusion, and the detector."""

    def __init__(self) -> None:
        super().__init__()
        self.visualEncoder = VisualEncoder()
        self.audioEncoder = AudioEncoder()
        self.fusion = Gate(2 * CHANNELS[2])
        self.detector = Detector(2 * CHANNELS[2], 64)


class ActiveSpeaker(nn.Module):
    """LR-ASD: a score a frame, above 0 where the face speaks."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.lossAV = nn.ModuleDict({"FC": nn.Linear(128, 2)})

    def see(self, faces_BTHW: torch.Tensor) -> torch.Tensor:
        """Return (B, T, 128) of grey faces uint8 (B, T, 112, 112)."""
        return torch.as_tensor(
            self.model.visualEncoder((faces_BTHW.float() / 255 - MEAN) / DEVIATION)
        )

    def hear(self, mfcc_BSM: torch.Tensor) -> torch.Tensor:
        """Return (B, S / 4, 128) of MFCC float32 (B, S, 13)."""
        return torch.as_tensor(self.model.audioEncoder(mfcc_BSM))

    def fuse(self, seen_BTC: torch.Tensor, heard_BTC: torch.Tensor) -> torch.Tensor:
        """Return (B, T, 128) of what is seen and heard, each (B, T, 128)."""
        both = self.model.fusion(torch.cat([heard_BTC, seen_BTC], dim=2))
        return torch.as_tensor(self.model.detector(both))

    def score(self, seen_BTC: torch.Tensor, heard_BTC: torch.Tensor) -> torch.Tensor:
        """Return the score of each frame, (B, T)."""
        return torch.as_tensor(self.lossAV["FC"](self.fuse(seen_BTC, heard_BTC))[..., 1])


def load_active_speaker(path: Path, *, gpu: bool = False) -> ActiveSpeaker:
    """Load the published weights. Raises CheckpointError that names what does not fit."""
    state = {k: v for k, v in read_state(path).items() if not k.startswith("lossV.")}
    network = ActiveSpeaker()
    load_state(network, state, str(path))
    return network.eval().requires_grad_(False).to("cuda" if gpu else "cpu")


def speaking_scores(network: ActiveSpeaker, faces: np.ndarray, sound: np.ndarray) -> np.ndarray:
    """Return float32 (T,), above 0 where the face speaks.

    `faces` uint8 (T, 112, 112) as `mouth_picture` gives them, 25 a second; `sound` 16 kHz float
    (samples,) in -1 … 1 from the first frame on.
    """
    if not len(faces):
        return np.zeros(0, np.float32)
    device = next(network.parameters()).device
    rows = mfcc(np.round(np.clip(sound, -1, 1) * 32767))[: STEPS * len(faces)]
    rows = np.pad(rows, ((0, STEPS * len(faces) - len(rows)), (0, 0)), mode="edge")
    with torch.inference_mode():
        heard = network.hear(torch.from_numpy(rows).float()[None].to(device))
        seen = see_in_parts(network, torch.from_numpy(faces).to(device))
        return network.score(seen, heard)[0].float().cpu().numpy()


def see_in_parts(network: ActiveSpeaker, faces_THW: torch.Tensor) -> torch.Tensor:
    """Return (1, T, 128), the same as of all frames at once."""
    parts = []
    for first in range(0, len(faces_THW), AT_ONCE):
        begin, end = max(first - AROUND, 0), first + AT_ONCE + AROUND
        seen = network.see(faces_THW[None, begin:end])
        parts.append(seen[:, first - begin : first - begin + AT_ONCE])
    return torch.cat(parts, dim=1)


def mouth_picture(image_bgr: np.ndarray, five_points: np.ndarray) -> np.ndarray:
    """Return the lower face as LR-ASD wants it, grey uint8 (112, 112), of a BGR picture.

    The middle of SyncNet's crop: both were published with the same one.
    """
    edge = (CROPPED - SIDE) // 2
    face = face_crop(image_bgr, five_points)[edge : edge + SIDE, edge : edge + SIDE]
    return np.asarray(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY))


def steady(points: np.ndarray) -> np.ndarray:
    """Return points (T, 5, 2), each a median over time, so that the crop does not tremble."""
    edge = SMOOTHED // 2
    padded = np.pad(points, ((edge, edge), (0, 0), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, SMOOTHED, axis=0)
    return np.asarray(np.median(windows, axis=-1), np.float32)
