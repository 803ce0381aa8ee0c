"""The networks: published names, gradients, dropping, gradient checkpointing."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.helpers.golden import KEYS, Golden, fill, goldens, published_keys
from vexpress import AudioProjection, Conditions, DenoisingUNet, ReferenceNet, VKpsGuider

SMALL = {"block_out_channels": (32, 64), "layers_per_block": 1, "attention_heads": 4}
NETWORKS = {
    "reference_net": ReferenceNet,
    "denoising_unet": DenoisingUNet,
    "v_kps_guider": VKpsGuider,
    "audio_projection": AudioProjection,
}


@pytest.fixture(scope="module")
def reference_net() -> ReferenceNet:
    return fill(ReferenceNet.from_config(SMALL), "reference_net")


@pytest.fixture(scope="module")
def unet() -> DenoisingUNet:
    return fill(DenoisingUNet.from_config(SMALL), "denoising_unet")


@pytest.fixture()
def conditions(reference_net: ReferenceNet) -> Conditions:
    """Two windows of three frames at 8x8 latents."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        reference = reference_net(torch.randn(2, 4, 8, 8, generator=generator))
    audio = torch.randn(2, 3, 5, 768, generator=generator)
    return Conditions(reference, audio, torch.randn(2, 32, 3, 8, 8, generator=generator))


@pytest.fixture()
def noisy() -> torch.Tensor:
    return torch.randn(2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(2))


TIMESTEPS = torch.tensor([999, 20])


@pytest.mark.assets
@pytest.mark.skipif(not KEYS.is_dir(), reason=f"no published keys at {KEYS}")
@pytest.mark.parametrize("name", NETWORKS)
def test_full_size_networks_have_exactly_the_published_names_and_shapes(name: str) -> None:
    with torch.device("meta"):
        network = NETWORKS[name].from_config({})
    found = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    assert found == published_keys(name)


@pytest.mark.assets
@pytest.mark.skipif(not KEYS.is_dir(), reason=f"no published keys at {KEYS}")
@pytest.mark.parametrize("name", NETWORKS)
def test_tiny_networks_have_exactly_the_published_names_and_shapes(name: str) -> None:
    tiny = next(golden for golden in goldens() if golden.name == "tiny")
    builders: dict[str, Callable[[Golden], nn.Module]] = {n: getattr(Golden, n) for n in NETWORKS}
    found = {k: tuple(t.shape) for k, t in builders[name](tiny).state_dict().items()}
    assert found == published_keys(f"tiny_{name}")


def test_a_dropped_frame_is_the_same_as_a_reference_of_zeros(
    unet: DenoisingUNet, conditions: Conditions, noisy: torch.Tensor
) -> None:
    zeros = {name: torch.zeros_like(x) for name, x in conditions.reference.items()}
    none = replace(conditions, reference_keep=torch.zeros(2, 3))
    with torch.no_grad():
        dropped = unet(noisy, TIMESTEPS, none)
        torch.testing.assert_close(
            dropped, unet(noisy, TIMESTEPS, replace(conditions, reference=zeros))
        )
        kept = unet(noisy, TIMESTEPS, replace(conditions, reference_keep=torch.ones(2, 3)))
        torch.testing.assert_close(kept, unet(noisy, TIMESTEPS, conditions))
        assert (dropped - kept).abs().max() > 1e-3


def test_dropping_one_frame_leaves_the_reference_of_the_others(
    unet: DenoisingUNet, conditions: Conditions
) -> None:
    name, block = unet.denoising_blocks()[0]
    hidden = torch.randn(6, conditions.reference[name].shape[1], 32)
    keep = torch.tensor([[1, 0, 1], [1, 1, 1]])
    with torch.no_grad():
        seen = block._see(hidden, replace(conditions, reference_keep=keep), 3)
        full = block._see(hidden, conditions, 3)
    changed = (seen - full).abs().amax(dim=(1, 2)) > 1e-6
    assert changed.tolist() == [False, True, False, False, False, False]


def test_a_fully_dropped_batch_still_gives_every_parameter_a_gradient(
    unet: DenoisingUNet, conditions: Conditions, noisy: torch.Tensor
) -> None:
    unet.zero_grad()
    unet(noisy, TIMESTEPS, conditions.dropped()).square().mean().backward()
    without = [name for name, p in unet.named_parameters() if p.grad is None]
    assert without == []


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.95, 3.0)])
def test_no_conditions_is_the_same_as_dropping_all(
    unet: DenoisingUNet, conditions: Conditions, noisy: torch.Tensor, weights: tuple[float, float]
) -> None:
    with torch.no_grad():
        short = unet(noisy, TIMESTEPS, None, *weights)
        torch.testing.assert_close(short, unet(noisy, TIMESTEPS, conditions.dropped(), *weights))


def test_one_reference_serves_several_windows(
    unet: DenoisingUNet, conditions: Conditions, noisy: torch.Tensor
) -> None:
    one = {name: x[:1] for name, x in conditions.reference.items()}
    repeated = {name: x.repeat(2, 1, 1) for name, x in one.items()}
    with torch.no_grad():
        shared = unet(noisy, TIMESTEPS, replace(conditions, reference=one))
        apart = unet(noisy, TIMESTEPS, replace(conditions, reference=repeated))
    torch.testing.assert_close(shared, apart)


def test_gradient_checkpointing_changes_neither_result_nor_gradients(
    unet: DenoisingUNet, reference_net: ReferenceNet, conditions: Conditions, noisy: torch.Tensor
) -> None:
    networks = nn.ModuleList([unet, reference_net])
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))

    def gradients() -> dict[str, torch.Tensor]:
        networks.zero_grad()
        seen = replace(conditions, reference=reference_net(latents))
        unet(noisy, TIMESTEPS, seen).square().mean().backward()
        return {n: p.grad.clone() for n, p in networks.named_parameters() if p.grad is not None}

    plain = gradients()
    for network in (unet, reference_net):
        network.enable_gradient_checkpointing()
    again = gradients()
    for network in (unet, reference_net):
        network.disable_gradient_checkpointing()
    assert plain.keys() == again.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient, msg=lambda text, n=name: f"{n}: {text}")


def test_feature_parameters_are_exactly_those_that_get_a_gradient(
    unet: DenoisingUNet, reference_net: ReferenceNet, conditions: Conditions, noisy: torch.Tensor
) -> None:
    reference_net.zero_grad()
    seen = replace(conditions, reference=reference_net(torch.randn(2, 4, 8, 8)))
    unet(noisy, TIMESTEPS, seen).square().mean().backward()
    used = {name for name, p in reference_net.named_parameters() if p.grad is not None}
    assert used == {name for name, _ in reference_net.feature_parameters()}


def test_parts_of_training_cover_the_published_names() -> None:
    with torch.device("meta"):
        unet = DenoisingUNet.from_config({})
    parts: dict[str, list[str]] = {"spatial": [], "audio": [], "motion": []}
    for name, _ in unet.named_parameters():
        parts[unet.part_of(name)].append(name)
    assert all("motion_modules" in name for name in parts["motion"])
    assert len(parts["audio"]) == 16 * 7  # q, k, v, out weight and bias, norm weight and bias
    assert all("attentions" in name for name in parts["audio"])
    assert any(name.endswith("resnets.0.norm2.weight") for name in parts["spatial"])


def test_a_window_longer_than_the_motion_positions_is_refused(unet: DenoisingUNet) -> None:
    with pytest.raises(ValueError, match="at most 32"):
        unet(torch.zeros(1, 4, 33, 8, 8), torch.tensor(0))


def test_motion_modules_and_guider_start_as_nothing() -> None:
    unet = DenoisingUNet.from_config(SMALL)
    ends = [p for name, p in unet.named_parameters() if "temporal_transformer.proj_out" in name]
    assert ends and not any(p.any() for p in ends)
    assert not VKpsGuider()(torch.rand(1, 3, 1, 16, 16)).any()


def test_the_unet_is_one_graph_for_torch_compile(
    conditions: Conditions, noisy: torch.Tensor
) -> None:
    """Traced whole, with and without conditions; which code is made of it is torch's part."""
    unet = fill(DenoisingUNet.from_config(SMALL), "denoising_unet")
    with torch.no_grad():
        plain = [unet(noisy, TIMESTEPS, seen, 0.95, 3.0) for seen in (conditions, None)]
        unet.compile(backend="eager", fullgraph=True)
        traced = [unet(noisy, TIMESTEPS, seen, 0.95, 3.0) for seen in (conditions, None)]
    torch.testing.assert_close(traced, plain)


def test_odd_latent_sizes_work(unet: DenoisingUNet, reference_net: ReferenceNet) -> None:
    with torch.no_grad():
        reference = reference_net(torch.randn(1, 4, 7, 9))
        seen = Conditions(reference, torch.randn(1, 2, 5, 768), torch.zeros(1, 32, 2, 7, 9))
        assert unet(torch.randn(1, 4, 2, 7, 9), torch.tensor(5), seen).shape == (1, 4, 2, 7, 9)
