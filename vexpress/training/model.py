"""The four networks as one module, so that one forward pass is all that training wraps.

Shapes: B samples, F frames, E audio channels, h and w latent height and width.
"""

import torch
from torch import nn

from vexpress.networks.audio_projection import AudioProjection
from vexpress.networks.conditions import Conditions
from vexpress.networks.denoising_unet import DenoisingUNet
from vexpress.networks.reference_net import ReferenceNet
from vexpress.networks.v_kps_guider import VKpsGuider
from vexpress.weights.published import Networks


class TrainingModel(nn.Module):
    """Noisy latents and raw conditions in, velocities out. Parameter names start with the
    name of the published file they belong to."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.reference_net: ReferenceNet = networks.reference_net
        self.denoising_unet: DenoisingUNet = networks.denoising_unet
        self.v_kps_guider: VKpsGuider = networks.v_kps_guider
        self.audio_projection: AudioProjection = networks.audio_projection

    @property
    def networks(self) -> Networks:
        """The four networks."""
        return Networks(
            self.reference_net, self.denoising_unet, self.v_kps_guider, self.audio_projection
        )

    def forward(
        self,
        noisy_BCFhw: torch.Tensor,
        timesteps_B: torch.Tensor,
        reference_BChw: torch.Tensor,
        v_kps_BCFHW: torch.Tensor,
        audio_BFSE: torch.Tensor,
        reference_keep_BF: torch.Tensor | None = None,
        kps_keep_B: torch.Tensor | None = None,
        unconditional: bool = False,
    ) -> torch.Tensor:
        """Predict velocities (B, 4, F, h, w).

        `v_kps_BCFHW` pictures 0..1; `audio_BFSE` ten vectors a frame. Where a keep is 0 the
        condition counts as zeros. Unconditional passes still touch every parameter, with
        gradient zero, so that all workers have the same gradients to exchange.
        """
        kps = self._run(self.v_kps_guider, v_kps_BCFHW)
        if kps_keep_B is not None:
            kps = kps * kps_keep_B.view(-1, 1, 1, 1, 1).to(kps.dtype)
        tokens = self._run(self.audio_projection, audio_BFSE.flatten(0, 1))
        conditions = Conditions(
            reference=self._run(self.reference_net, reference_BChw),
            audio=tokens.unflatten(0, audio_BFSE.shape[:2]),
            kps_features=kps,
            reference_keep=reference_keep_BF,
        )
        if unconditional:
            conditions = conditions.dropped()
        return self.denoising_unet(noisy_BCFhw, timesteps_B, conditions)

    def _run(self, network: nn.Module, given: torch.Tensor):  # type: ignore[no-untyped-def]
        """Run a network; without a graph where none of it learns."""
        learns = any(parameter.requires_grad for parameter in network.parameters())
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            return network(given)


def empty_like(model: TrainingModel) -> TrainingModel:
    """A model of the same sizes on the meta device, for weights to be assigned to."""
    with torch.device("meta"):
        networks = Networks(
            ReferenceNet.from_config(model.reference_net.config),
            DenoisingUNet.from_config(model.denoising_unet.config),
            VKpsGuider.from_config(model.v_kps_guider.config),
            AudioProjection.from_config(model.audio_projection.config),
        )
    return TrainingModel(networks)
