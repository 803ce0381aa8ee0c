"""Weight files: nothing runs, every difference is named, published names in and out."""

import os
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from vexpress import AudioProjection, DenoisingUNet, ReferenceNet, VKpsGuider
from vexpress.errors import CheckpointError, MissingWeightsError
from vexpress.inference.loading import load_pipeline
from vexpress.inference.random_model import TINY_VAE
from vexpress.weights.catalogue import NETWORKS, Places, locate, network_files
from vexpress.weights.checkpoint import load_state, read_state, write_state
from vexpress.weights.published import Networks, load_networks, load_vae, save_networks

SMALL = {"block_out_channels": (32, 64), "layers_per_block": 1}


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks(
        ReferenceNet.from_config(SMALL),
        DenoisingUNet.from_config(SMALL),
        VKpsGuider(out_channels=32),
        AudioProjection(audio_dim=32, depth=1),
    )


@pytest.mark.parametrize("suffix", [".bin", ".pth", ".safetensors"])
def test_networks_come_back_from_the_published_files(
    networks: Networks, tmp_path: Path, suffix: str
) -> None:
    save_networks(tmp_path, networks, suffix)
    motion = read_state(tmp_path / f"motion_module{suffix}")
    assert motion and all("motion_modules" in key for key in motion)
    places = Places(network_files(tmp_path), tmp_path, tmp_path, None)
    again = load_networks(places)
    for name, network in vars(networks).items():
        found = getattr(again, name).state_dict()
        assert found.keys() == network.state_dict().keys()
        assert all(torch.equal(found[key], value) for key, value in network.state_dict().items())


def test_missing_unexpected_and_misshapen_keys_are_named() -> None:
    guider = VKpsGuider(out_channels=32)
    state = guider.state_dict()
    state["stray"] = state.pop("conv_in.bias")
    state["conv_out.bias"] = torch.zeros(7)
    with pytest.raises(CheckpointError) as error:
        load_state(guider, state, "guider.bin")
    for part in ("1 missing: conv_in.bias", "1 unexpected: stray", "conv_out.bias (7,)"):
        assert part in str(error.value)


def test_an_autoencoder_of_another_kind_or_with_gaps_is_refused(tmp_path: Path) -> None:
    levels = len(TINY_VAE["block_out_channels"])
    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
        **TINY_VAE,
    )
    vae.save_pretrained(tmp_path)
    assert load_vae(tmp_path).config.layers_per_block == 1
    with pytest.raises(CheckpointError, match=r"does not fit AutoencoderTiny: \d\d+ missing"):
        load_pipeline("tiny", devices=["cpu"], preview=tmp_path)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    lost = {f"{part}.conv_in.weight" for part in ("decoder", "encoder")}
    write_state(weights, {k: v for k, v in vae.state_dict().items() if k not in lost})
    with pytest.raises(CheckpointError, match=f"2 missing: {', '.join(sorted(lost))}"):
        load_vae(tmp_path)


class Runs:
    """A pickle that would create a file when loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_would_run_something_is_refused_and_does_not_run(tmp_path: Path) -> None:
    torch.save({"conv_in.weight": Runs(tmp_path / "ran")}, tmp_path / "bad.bin")
    with pytest.raises(CheckpointError, match="nothing of it was run"):
        read_state(tmp_path / "bad.bin")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_a_file_cut_short_is_refused(networks: Networks, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"guider{suffix}"
    write_state(path, networks.v_kps_guider.state_dict())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="cut short"):
        read_state(path)


def test_a_training_checkpoint_is_refused_with_its_keys(tmp_path: Path) -> None:
    torch.save({"step": 3, "model": {}}, tmp_path / "whole.pth")
    with pytest.raises(CheckpointError, match="flat dictionary of tensors"):
        read_state(tmp_path / "whole.pth")


def test_the_checkpoint_of_another_network_is_refused(networks: Networks, tmp_path: Path) -> None:
    write_state(tmp_path / "reference_net.bin", networks.v_kps_guider.state_dict())
    places = Places(network_files(tmp_path), tmp_path, tmp_path, None)
    with pytest.raises(CheckpointError, match="another model"):
        load_networks(places)


def test_missing_weights_are_listed_with_the_way_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError) as error:
        locate(tmp_path)
    for part in ("reference_net", "sd-vae-ft-mse", "weights fetch vexpress", "preset tiny"):
        assert part in str(error.value)


def test_weights_given_part_by_part_need_no_folder_and_go_before_one(
    networks: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VEXPRESS_WEIGHTS", raising=False)
    save_networks(tmp_path / "a", networks)
    parts = {name: tmp_path / f"a/{name}.bin" for name in NETWORKS}
    parts |= {"vae": tmp_path / "a", "audio_encoder": tmp_path / "a"}
    assert locate(None, parts).networks["v_kps_guider"] == parts["v_kps_guider"]
    save_networks(tmp_path / "b", networks)
    for name in ("sd-vae-ft-mse", "wav2vec2-base-960h"):
        (tmp_path / "b" / name).mkdir()
        (tmp_path / "b" / name / "config.json").write_text("{}")
    places = locate(tmp_path / "b", {"vae": tmp_path / "a"})
    assert places.vae == tmp_path / "a"
    assert places.audio_encoder == tmp_path / "b/wav2vec2-base-960h"
    assert places.networks["motion_module"] == tmp_path / "b/motion_module.bin"
    with pytest.raises(MissingWeightsError, match="weights of vae: expected them at"):
        locate(tmp_path / "b", {"vae": tmp_path / "nowhere"})


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    class Broken(dict[str, torch.Tensor]):
        pass

    with pytest.raises(ValueError, match="suffix"):
        write_state(tmp_path / "x.txt", Broken())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_others_may_read_what_is_written(tmp_path: Path, suffix: str) -> None:
    write_state(tmp_path / f"x{suffix}", {"a": torch.zeros(1)})
    assert (tmp_path / f"x{suffix}").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_equal_weights_are_equal_files_whoever_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """A digest of the file stands for the weights: another would have everything made again."""
    state = {"a": torch.arange(4.0), "b": torch.ones(2, 3)}
    for name, process in (("one", 11), ("other", 4242)):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        write_state(tmp_path / f"{name}{suffix}", state)
    one, other = (tmp_path / f"{name}{suffix}" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
