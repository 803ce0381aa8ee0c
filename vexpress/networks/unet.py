"""The U-Net that both networks share: Stable Diffusion 1.5's plan, from diffusers' blocks.

`ReferenceNet` and `DenoisingUNet` differ in their transformer block, in motion modules
and in what they give back. Names of parameters are the published ones.

Shapes: N images (B windows of F frames), C channels, h and w latent height and width.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.downsampling import Downsample2D
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import nn

from vexpress.networks.motion_module import MotionModule
from vexpress.networks.transformer_block import Pass, SpatialTransformer, TransformerBlock

Skips = list[torch.Tensor]


class UNetPlan:
    """The sizes of a U-Net, and the parts that are built from them."""

    def __init__(
        self,
        block: type[TransformerBlock],
        channels: Sequence[int],
        heads: int,
        cross_channels: int,
        groups: int,
        motion: tuple[int, int] | None,
    ) -> None:
        """`motion`: heads and positions of the motion modules, or None for none."""
        self.block, self.channels, self.heads = block, tuple(channels), heads
        self.cross_channels, self.groups, self.motion = cross_channels, groups, motion
        self.time_channels = 4 * self.channels[0]

    def resnet(self, channels_in: int, channels: int) -> ResnetBlock2D:
        """A residual block with the timestep added between its convolutions."""
        return ResnetBlock2D(
            in_channels=channels_in,
            out_channels=channels,
            temb_channels=self.time_channels,
            groups=self.groups,
            eps=1e-5,
        )

    def attention(self, channels: int) -> SpatialTransformer:
        """A spatial transformer of the network's kind."""
        return SpatialTransformer(
            self.block, channels, self.heads, self.cross_channels, self.groups
        )

    def motion_modules(self, channels: int, count: int) -> nn.ModuleList:
        """Motion modules, or an empty list for a network without them."""
        if self.motion is None:
            return nn.ModuleList()
        heads, positions = self.motion
        modules = (MotionModule(channels, heads, positions, self.groups) for _ in range(count))
        return nn.ModuleList(modules)


class Block(nn.Module):
    """Layers of residual block, spatial transformer and motion module; the last two may lack."""

    gradient_checkpointing = False
    _gradient_checkpointing_func: Callable[..., torch.Tensor]
    """Set by diffusers' `enable_gradient_checkpointing`."""

    def __init__(self, plan: UNetPlan, resnets: list[ResnetBlock2D], attention: bool) -> None:
        super().__init__()
        channels = resnets[-1].out_channels
        self.resnets = nn.ModuleList(resnets)
        count = len(resnets) if attention else 0
        self.attentions = nn.ModuleList(plan.attention(channels) for _ in range(count))
        self.motion_modules = plan.motion_modules(channels, len(resnets))

    def run_layer(self, index: int, x: torch.Tensor, time: torch.Tensor, run: Pass) -> torch.Tensor:
        """Run layer `index`; its activations are recomputed under gradient checkpointing."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(self._layer, index, x, time, run)
        return self._layer(index, x, time, run)

    def _layer(self, index: int, x: torch.Tensor, time: torch.Tensor, run: Pass) -> torch.Tensor:
        x = self.resnets[index](x, time)
        if self.attentions:
            x = self.attentions[index](x, run)
        if self.motion_modules:
            x = self.motion_modules[index](x, run.frames)
        return x


class DownBlock(Block):
    """Layers, then half the size unless it is the last."""

    def __init__(self, plan: UNetPlan, level: int, layers: int) -> None:
        channels = plan.channels
        inputs = [channels[max(level - 1, 0)]] + [channels[level]] * (layers - 1)
        last = level == len(channels) - 1
        resnets = [plan.resnet(width, channels[level]) for width in inputs]
        super().__init__(plan, resnets, attention=not last)
        width = channels[level]
        shrink = [] if last else [Downsample2D(width, use_conv=True, padding=1, name="op")]
        self.downsamplers = nn.ModuleList(shrink)

    def forward(self, x: torch.Tensor, time: torch.Tensor, run: Pass, skips: Skips) -> torch.Tensor:
        """Run the layers; adds every result to `skips`."""
        for index in range(len(self.resnets)):
            x = self.run_layer(index, x, time, run)
            skips.append(x)
        for shrink in self.downsamplers:
            x = shrink(x)
            skips.append(x)
        return x


class MiddleBlock(Block):
    """Residual block, spatial transformer, motion module, residual block."""

    def __init__(self, plan: UNetPlan) -> None:
        channels = plan.channels[-1]
        super().__init__(plan, [plan.resnet(channels, channels)], attention=True)
        self.resnets.append(plan.resnet(channels, channels))

    def forward(self, x: torch.Tensor, time: torch.Tensor, run: Pass) -> torch.Tensor:
        """Run the block."""
        return self.resnets[1](self.run_layer(0, x, time, run), time)


class UpBlock(Block):
    """Layers that take a skip each, then twice the size unless it is the last."""

    def __init__(self, plan: UNetPlan, level: int, layers: int) -> None:
        widths = plan.channels[::-1]
        width, below = widths[level], widths[max(level - 1, 0)]
        deeper = widths[min(level + 1, len(widths) - 1)]
        skips = [width] * (layers - 1) + [deeper]
        inputs = [below] + [width] * (layers - 1)
        resnets = [plan.resnet(a + b, width) for a, b in zip(inputs, skips, strict=True)]
        super().__init__(plan, resnets, attention=level > 0)
        last = level == len(widths) - 1
        self.upsamplers = nn.ModuleList([] if last else [Upsample2D(width, use_conv=True)])

    def forward(self, x: torch.Tensor, time: torch.Tensor, run: Pass, skips: Skips) -> torch.Tensor:
        """Run the layers; takes their skips from the end of `skips`."""
        x = self.run_layers(range(len(self.resnets)), x, time, run, skips)
        for grow in self.upsamplers:
            # The skip that comes next tells the size: odd sizes do not simply double.
            x = grow(x, skips[-1].shape[-2:])
        return x

    def run_layers(
        self, which: range, x: torch.Tensor, time: torch.Tensor, run: Pass, skips: Skips
    ) -> torch.Tensor:
        """Run some of the layers, without growing."""
        for index in which:
            x = torch.cat([x, skips.pop()], dim=1)
            x = self.run_layer(index, x, time, run)
        return x


class UNet(ModelMixin, ConfigMixin):
    """The shared part: `build` makes the blocks, the subclasses run them."""

    _supports_gradient_checkpointing = True

    def build(self, plan: UNetPlan, layers: int, in_channels: int) -> None:
        """Make all parts but the output convolution. Called once, by the constructor."""
        channels, levels = plan.channels, range(len(plan.channels))
        self.conv_in = nn.Conv2d(in_channels, channels[0], 3, padding=1)
        self.time_proj = Timesteps(channels[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(channels[0], plan.time_channels)
        self.down_blocks = nn.ModuleList(DownBlock(plan, level, layers) for level in levels)
        self.mid_block = MiddleBlock(plan)
        self.up_blocks = nn.ModuleList(UpBlock(plan, level, layers + 1) for level in levels)
        for name, block in self.transformer_blocks():
            block.name = name

    def transformer_blocks(self) -> Iterator[tuple[str, TransformerBlock]]:
        """Name and block of every transformer block."""
        for name, module in self.named_modules():
            if isinstance(module, TransformerBlock):
                yield name, module

    def embed_time(self, timesteps_B: torch.Tensor, frames: int = 1) -> torch.Tensor:
        """Timesteps (B,) to (B·F, 4·C0), or (1, 4·C0) for one timestep: it serves all frames."""
        embedded = self.time_embedding(self.time_proj(timesteps_B).to(self.dtype))
        return embedded if len(embedded) == 1 else embedded.repeat_interleave(frames, dim=0)
