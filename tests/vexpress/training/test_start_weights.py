"""Weights that training starts from, and parts that learn, by name."""

import shutil
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

from tests.helpers.small_training import small_settings
from vexpress.errors import CheckpointError, SettingsError
from vexpress.networks.audio_projection import AudioProjection
from vexpress.networks.denoising_unet import DenoisingUNet
from vexpress.networks.reference_net import ReferenceNet
from vexpress.networks.v_kps_guider import VKpsGuider
from vexpress.training.model import TrainingModel
from vexpress.training.presets import full
from vexpress.training.stage_job import StageJob, vae_folder
from vexpress.training.stage_run import StageRun
from vexpress.training.start_weights import MOTION_FILE, random_networks, start_networks
from vexpress.training.trainable_parts import part_of, zero_outputs
from vexpress.weights.catalogue import locate
from vexpress.weights.published import Networks


@pytest.fixture()
def stable_diffusion(tmp_path: Path) -> Path:
    """Stable Diffusion's U-Net, small and random, as diffusers writes it; motion modules beside."""
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        attention_head_dim=2,
        cross_attention_dim=32,
    )
    unet.save_pretrained(tmp_path / "unet")
    sizes = {"block_out_channels": (32, 64), "cross_attention_dim": 32, "attention_heads": 2}
    state = random_networks(9, 32, **sizes).denoising_unet.state_dict()
    motion = {k: v + 0.5 for k, v in state.items() if "motion_modules." in k}
    save_file(motion, tmp_path / f"{MOTION_FILE}.safetensors")
    return tmp_path


def test_from_stable_diffusion_attention_to_the_reference_starts_as_self_attention(
    material: Path, stable_diffusion: Path
) -> None:
    settings = small_settings(material).derive(start=stable_diffusion)
    networks = start_networks(settings, audio_dim=32)
    spatial = UNet2DConditionModel.from_pretrained(stable_diffusion / "unet").state_dict()
    denoising = networks.denoising_unet.state_dict()
    for name, tensor in networks.reference_net.state_dict().items():
        assert torch.equal(tensor, spatial[name]), name
    for name, tensor in spatial.items():
        assert torch.equal(denoising[name], tensor), name
        for old, new in (("attn1.", "attn1_5."), ("norm1.", "norm1_5.")):
            if f"transformer_blocks.0.{old}" in name:
                assert torch.equal(denoising[name.replace(old, new)], tensor), name
    motion = [v for k, v in denoising.items() if k.endswith("temporal_transformer.proj_out.bias")]
    assert motion and all(torch.equal(v, torch.full_like(v, 0.5)) for v in motion)


def test_from_stable_diffusion_in_half_precision_all_weights_are_float32_and_on_their_own(
    material: Path, stable_diffusion: Path
) -> None:
    unet = UNet2DConditionModel.from_pretrained(stable_diffusion / "unet")
    unet.half().save_pretrained(stable_diffusion / "unet")
    settings = small_settings(material).derive(start=stable_diffusion)
    parameters = list(TrainingModel(start_networks(settings, audio_dim=32)).parameters())
    assert {parameter.dtype for parameter in parameters} == {torch.float32}
    assert len({parameter.data_ptr() for parameter in parameters}) == len(parameters)


def test_stage_1_from_stable_diffusion_zeroes_nothing_of_the_reference_net(
    material: Path, stable_diffusion: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(material / "clips.safetensors", run)
    settings = small_settings(material).derive(start=stable_diffusion)
    stage = StageRun(StageJob(run=run, number=1, settings=settings), torch.device("cpu"))
    spatial = UNet2DConditionModel.from_pretrained(stable_diffusion / "unet").state_dict()
    for name, tensor in stage.model.reference_net.state_dict().items():
        assert torch.equal(tensor, spatial[name]), name


def test_a_damaged_motion_file_is_named(material: Path, stable_diffusion: Path) -> None:
    save_file({"stray": torch.ones(1)}, stable_diffusion / f"{MOTION_FILE}.safetensors")
    settings = small_settings(material).derive(start=stable_diffusion)
    with pytest.raises(CheckpointError, match="stray"):
        start_networks(settings, audio_dim=32)


@pytest.mark.parametrize("layout", ["v-express", "model_ckpts/v-express", "."])
def test_training_starts_from_every_layout_that_videos_are_made_with(
    material: Path, tmp_path: Path, layout: str
) -> None:
    """In the last one, a clone of the hub repository, the five files lie at the top."""
    rest = tmp_path if layout == "v-express" else tmp_path / "model_ckpts"
    shutil.copytree(material / "start", rest, dirs_exist_ok=True)
    if layout == ".":
        for file in (rest / "v-express").iterdir():
            shutil.move(file, tmp_path)
    for name in ("sd-vae-ft-mse", "wav2vec2-base-960h"):
        (rest / name).mkdir()
        (rest / name / "config.json").write_text("{}")
    settings = small_settings(material).derive(start=tmp_path, vae=None)
    unet = start_networks(settings, audio_dim=32).denoising_unet
    assert unet.config.attention_heads == 2, "as the configuration beside the files says"
    assert vae_folder(settings) == locate(tmp_path).vae == rest / "sd-vae-ft-mse"


def test_the_full_model_is_not_trained_from_nothing() -> None:
    with pytest.raises(SettingsError, match="expected `start`"):
        start_networks(full(), audio_dim=768)


def test_zeroing_takes_the_outputs_of_motion_and_audio_alone(material: Path) -> None:
    unet = random_networks(2, 32).denoising_unet
    for parameter in unet.parameters():
        torch.nn.init.ones_(parameter)
    zero_outputs(unet)
    zeroed = {name for name, p in unet.named_parameters() if not p.any()}
    ends = (".attn2.to_out.0.weight", ".attn2.to_out.0.bias", "proj_out.weight", "proj_out.bias")
    assert zeroed and all(name.endswith(ends) for name in zeroed)
    outputs = [n for n in zeroed if "proj_out" in n]
    assert outputs and all("motion_modules" in name for name in outputs)


def test_parts_of_the_full_model_are_those_of_the_published_table() -> None:
    with torch.device("meta"):
        kinds = (ReferenceNet, DenoisingUNet, VKpsGuider, AudioProjection)
        model = TrainingModel(Networks(*(kind.from_config({}) for kind in kinds)))
    parts = {name: part_of(model, name) for name, _ in model.named_parameters()}
    never = [name for name, part in parts.items() if part is None]
    assert all(name.startswith("reference_net.") for name in never)
    assert any(name.startswith("reference_net.up_blocks.3") for name in never)
    trained = [name for name, part in parts.items() if part == "reference_net"]
    assert not any("up_blocks.3" in name for name in trained)
    assert any("up_blocks.2" in name for name in trained)
    audio = [name for name, part in parts.items() if part == "denoising_audio"]
    assert len(audio) == 16 * 7 and all(".attn2." in n or ".norm2." in n for n in audio)
    motion = [name for name, part in parts.items() if part == "denoising_motion"]
    assert motion and all("motion_modules" in name for name in motion)
