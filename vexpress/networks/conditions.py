"""What a video is made from, as the denoising U-Net takes it.

Shapes: B videos or windows, F frames, T audio tokens a frame, E their channels,
C channels of a block, L its positions, h and w latent height and width.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from vexpress.networks.attention import Source

ByBlock = Mapping[str, Source]
"""A source for every transformer block, by the block's name in the network."""


@dataclass(frozen=True)
class Conditions:
    """The reference, the sound and the V-Kps of a batch of windows.

    The unconditional half of guidance takes None instead: published V-Express feeds zeros
    there, and with zeros every one of these has a constant effect.
    """

    reference: ByBlock
    """Features (B, L, C) of `ReferenceNet`, or their keys and values; B = 1 serves every window."""
    audio: torch.Tensor | ByBlock
    """Tokens (B, F, T, E) of `AudioProjection`, or by block keys and values (B·F, H, T, D)."""
    kps_features: torch.Tensor
    """Output of `VKpsGuider`, (B, C0, F, h, w)."""
    reference_keep: torch.Tensor | None = None
    """(B, F), 0 where a frame sees zeros instead of the reference; None keeps all (training)."""

    def audio_of(self, block: str) -> Source:
        """Tokens (B·F, T, E), or keys and values, for a transformer block."""
        if isinstance(self.audio, torch.Tensor):
            return self.audio.flatten(0, 1)
        return self.audio[block]

    def dropped(self) -> "Conditions":
        """The same conditions with all their values zero.

        Gives what None gives, but every parameter takes part, with gradient zero: what
        distributed training without `find_unused_parameters` needs.
        """
        if not isinstance(self.audio, torch.Tensor):
            raise TypeError("dropped(): expected audio tokens, found projected keys and values")
        keep = self.audio.new_zeros(self.audio.shape[:2])
        return replace(
            self,
            audio=self.audio * 0,
            kps_features=self.kps_features * 0,
            reference_keep=keep,
        )
