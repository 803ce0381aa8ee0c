"""A folder as the published checkpoints lie on disk, at tiny sizes: real names, formats, keys.

The networks are `--preset tiny`'s, so what is made with the folder is known. As in the real
files: wav2vec2-base-960h is a Wav2Vec2ForCTC whose convolution has `weight_g` and
`weight_v`; sd-vae-ft-mse has the attention names of old diffusers and no scaling factor.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Wav2Vec2ForCTC

from vexpress.inference.pipeline import VExpressPipeline
from vexpress.inference.random_model import tiny_pipeline
from vexpress.weights.published import Networks, save_networks

State = dict[str, torch.Tensor]
OLD_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
NORM = "parametrizations.weight.original"


def write_published_folder(folder: Path, suffix: str) -> VExpressPipeline:
    """Write `model_ckpts/`, weights as `suffix` (.bin, .pth, .safetensors); returns what it holds.

    The libraries' own folders know .bin and .safetensors only; .pth is V-Express's.
    """
    pipeline = tiny_pipeline()
    parts = ("reference_net", "denoising_unet", "v_kps_guider", "audio_projection")
    networks = Networks(*(getattr(pipeline, part) for part in parts))
    save_networks(folder / "v-express", networks, suffix)
    heads = {"_class_name": "UNet2DConditionModel", "attention_head_dim": 4}
    _write_json(folder / "stable-diffusion-v1-5/unet/config.json", heads)
    plain = suffix == ".safetensors"
    _write_vae(folder / "sd-vae-ft-mse", pipeline, plain)
    _write_wav2vec2(folder / "wav2vec2-base-960h", pipeline, plain)
    return pipeline


def _write_vae(folder: Path, pipeline: VExpressPipeline, plain: bool) -> None:
    config = {k: v for k, v in pipeline.vae.config.items() if not k.startswith("_")}
    config = {"_class_name": "AutoencoderKL", "_diffusers_version": "0.4.2", **config}
    del config["scaling_factor"]
    _write_json(folder / "config.json", config)
    state = {}
    for key, tensor in pipeline.vae.state_dict().items():
        for new, old in OLD_ATTENTION.items():
            key = key.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        state[key] = tensor
    assert any(".query.weight" in key for key in state)
    _write_weights(folder / "diffusion_pytorch_model", state, plain)


def _write_wav2vec2(folder: Path, pipeline: VExpressPipeline, plain: bool) -> None:
    config = pipeline.audio_encoder.config
    config.vocab_size = 32
    with torch.random.fork_rng(devices=[]):
        whole = Wav2Vec2ForCTC(config)
    whole.wav2vec2.load_state_dict(pipeline.audio_encoder.state_dict())
    state = whole.state_dict()
    for number, letter in enumerate("gv"):
        (key,) = (key for key in state if key.endswith(f"{NORM}{number}"))
        state[key.replace(f"{NORM}{number}", f"weight_{letter}")] = state.pop(key)
    described = {**config.to_dict(), "architectures": ["Wav2Vec2ForCTC"]}
    _write_json(folder / "config.json", described)
    pipeline.audio_extractor.save_pretrained(folder)
    _write_weights(folder / ("model" if plain else "pytorch_model"), state, plain)


def _write_weights(stem: Path, state: State, plain: bool) -> None:
    state = {key: tensor.contiguous().clone() for key, tensor in state.items()}
    if plain:
        save_file(state, stem.with_name(f"{stem.name}.safetensors"), {"format": "pt"})
    else:
        torch.save(state, stem.with_name(f"{stem.name}.bin"))


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, default=str))
