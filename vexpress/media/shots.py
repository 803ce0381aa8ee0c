"""Where one shot ends and the next begins: TransNetV2 (Souček and Lokoč, arXiv:2008.04838).

Written from the paper and the published weights; names of modules are those of the weights.
Shapes: B batch, T frames, C channels; pictures are RGB of 27x48 pixels.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from vexpress.weights.checkpoint import load_state, read_state

HEIGHT, WIDTH = 27, 48
WINDOW, STEP = 100, 50
"""Frames that are looked at together, and of which the middle ones are believed."""
BEFORE = (WINDOW - STEP) // 2
FILTERS = (16, 32, 64)
LOOKUP = 101
"""Frames around a frame that it is compared with."""
DILATIONS = (1, 2, 4, 8)


class Separable(nn.Module):
    """A convolution in space, then one in time."""

    def __init__(self, into: int, out: int, dilation: int) -> None:
        super().__init__()
        space = nn.Conv3d(into, 2 * out, (1, 3, 3), padding=(0, 1, 1), bias=False)
        time = nn.Conv3d(
            2 * out, out, (3, 1, 1), padding=(dilation, 0, 0), dilation=(dilation, 1, 1), bias=False
        )
        self.layers = nn.Sequential(space, time)

    def forward(self, x_BCTHW: torch.Tensor) -> torch.Tensor:
        """Return (B, out, T, H, W)."""
        return torch.as_tensor(self.layers(x_BCTHW))


class Dilated(nn.Module):
    """Four ranges of time side by side."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        for dilation in DILATIONS:
            self.add_module(f"Conv3D_{dilation}", Separable(into, out, dilation))
        self.bn = nn.BatchNorm3d(len(DILATIONS) * out, eps=0.001)

    def forward(self, x_BCTHW: torch.Tensor) -> torch.Tensor:
        """Return (B, 4 out, T, H, W)."""
        found = [self.get_submodule(f"Conv3D_{dilation}")(x_BCTHW) for dilation in DILATIONS]
        return torch.as_tensor(self.bn(torch.cat(found, dim=1)))


class Stacked(nn.Module):
    """Two of them with a shortcut; halves the picture."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        self.DDCNN = nn.ModuleList([Dilated(into, out), Dilated(len(DILATIONS) * out, out)])

    def forward(self, x_BCTHW: torch.Tensor) -> torch.Tensor:
        """Return (B, 4 out, T, H / 2, W / 2)."""
        first = self.DDCNN[0](x_BCTHW).relu()
        return F.avg_pool3d(self.DDCNN[1](first).relu() + first, (1, 2, 2))


def around(vectors_BTC: torch.Tensor) -> torch.Tensor:
    """Return the products of each vector with those around it, (B, T, `LOOKUP`), 0 beyond."""
    edge = LOOKUP // 2
    products = F.pad(vectors_BTC @ vectors_BTC.transpose(1, 2), (edge, edge))
    count = vectors_BTC.shape[1]
    places = torch.arange(LOOKUP)[None] + torch.arange(count)[:, None]
    return products.gather(2, places.to(products.device).expand(len(products), -1, -1))


class Similarity(nn.Module):
    """How alike what was found in the frames is."""

    def __init__(self, into: int) -> None:
        super().__init__()
        self.projection = nn.Linear(into, 128)
        self.fc = nn.Linear(LOOKUP, 128)

    def forward(self, blocks: list[torch.Tensor]) -> torch.Tensor:
        """Return (B, T, 128) of (B, C, T, H, W) of every block."""
        means = torch.cat([block.mean(dim=(3, 4)) for block in blocks], dim=1).transpose(1, 2)
        return torch.as_tensor(self.fc(around(F.normalize(self.projection(means), dim=2))).relu())


class Histograms(nn.Module):
    """How alike the colours of the frames are."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(LOOKUP, 128)

    def forward(self, frames_BTHWC: torch.Tensor) -> torch.Tensor:
        """Return (B, T, 128) of RGB uint8."""
        red, green, blue = (frames_BTHWC.flatten(2, 3).long() >> 5).unbind(dim=3)
        bins = (red << 6) + (green << 3) + blue
        counts = torch.zeros(*bins.shape[:2], 512, device=bins.device)
        counts.scatter_add_(2, bins, torch.ones_like(bins, dtype=counts.dtype))
        return torch.as_tensor(self.fc(around(F.normalize(counts, dim=2))).relu())


class TransNetV2(nn.Module):
    """Says of each frame how likely the shot ends with it."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3, *(len(DILATIONS) * filters for filters in FILTERS)]
        self.SDDCNN = nn.ModuleList(
            [Stacked(into, out) for into, out in zip(widths, FILTERS, strict=False)]
        )
        self.frame_sim_layer = Similarity(sum(widths[1:]))
        self.color_hist_layer = Histograms()
        self.fc1 = nn.Linear(widths[-1] * 3 * 6 + 256, 1024)
        self.cls_layer1 = nn.Linear(1024, 1)
        self.cls_layer2 = nn.Linear(1024, 1)

    def forward(self, frames_BTHWC: torch.Tensor) -> torch.Tensor:
        """Return the probability, (B, T), of RGB uint8 frames (B, T, 27, 48, 3)."""
        x = frames_BTHWC.permute(0, 4, 1, 2, 3).float() / 255
        blocks = []
        for block in self.SDDCNN:
            x = block(x)
            blocks.append(x)
        seen = x.permute(0, 2, 3, 4, 1).flatten(2)
        alike = self.color_hist_layer(frames_BTHWC), self.frame_sim_layer(blocks)
        hidden = self.fc1(torch.cat([*alike, seen], dim=2)).relu()
        return torch.as_tensor(self.cls_layer1(hidden)[..., 0].sigmoid())


def as_frame(image_bgr: np.ndarray) -> torch.Tensor:
    """Return a BGR picture, uint8 (27, 48, 3), as the network takes it."""
    return torch.from_numpy(np.ascontiguousarray(image_bgr[..., ::-1]))


class ShotDetector:
    """Feed it every frame in order, then ask; memory does not grow with the video."""

    def __init__(self, network: TransNetV2) -> None:
        self._network = network
        self._waiting: list[torch.Tensor] = []
        self._found: list[torch.Tensor] = []
        self._count = 0

    def see(self, frame_HWC: torch.Tensor) -> None:
        """Take a frame, RGB uint8 (27, 48, 3)."""
        if not self._waiting:
            self._waiting = [frame_HWC] * BEFORE
        self._waiting.append(frame_HWC)
        self._count += 1
        self._run()

    def probabilities(self) -> torch.Tensor:
        """Return float32 (F,): how likely a shot ends with each frame, or is in transition."""
        while len(self._found) * STEP < self._count:
            self._waiting.append(self._waiting[-1])
            self._run()
        return torch.cat([*self._found, torch.zeros(0)])[: self._count]

    def _run(self) -> None:
        if len(self._waiting) < WINDOW:
            return
        frames = torch.stack(self._waiting)[None]
        with torch.inference_mode():
            found = self._network(frames.to(self._network.fc1.weight.device))[0]
        self._found.append(found[BEFORE : BEFORE + STEP].cpu())
        self._waiting = self._waiting[STEP:]


def load_transnet(path: Path) -> TransNetV2:
    """Load the published weights. Raises CheckpointError that names what does not fit."""
    network = TransNetV2()
    load_state(network, read_state(path), str(path))
    return network.eval().requires_grad_(False)
