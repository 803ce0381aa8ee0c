"""Features are wav2vec2's own, or honestly absent. The model here is tiny and random."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import Wav2Vec2Model

from tests.helpers.steps import candidates
from tests.helpers.tiny_wav2vec2 import HIDDEN, save_model
from tests.tasks.conftest import Rendered
from vexpress.schemas.errors import ConfigError
from vexpress.tasks.curate.features import (
    ExtractFeatures,
    FeatureConfig,
    pretrained_files,
    read_wav,
)
from vexpress.tasks.curate.sound import SoundConfig, TakeSound
from vexpress.tasks.engine.ledger import Ledger
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.units import Candidate


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model's folder."""
    return save_model(tmp_path_factory.mktemp("weights") / "tiny", seed=0)


@pytest.fixture
def spoken(four_shots: Rendered, tmp_path: Path, context: Context) -> Candidate:
    """The clip of the first shot with its sound written."""
    candidate = candidates(four_shots.detected_video, tmp_path)[0]
    return next(TakeSound(SoundConfig(), context)(candidate))


def extract(candidate: Candidate, context: Context, model: Path | None) -> Candidate:
    """The candidate with its features, by way of a ledger."""
    step = ExtractFeatures(FeatureConfig(model=str(model) if model else None), context)
    ledger = Ledger(context.dataset.ledger_path)
    (made,) = step.run(candidate, ledger)
    ledger.close()
    assert isinstance(made, Candidate)
    return made


def test_features_are_what_the_model_answers(
    spoken: Candidate, context: Context, model: Path
) -> None:
    clip = extract(spoken, context, model).clip
    assert clip.features_path == f"features/{clip.clip_id}.safetensors"
    found = load_file(context.dataset.fetch(str(clip.features_path)))
    assert set(found) == {"global_embeds"}
    features = found["global_embeds"]
    seconds = clip.frames / clip.fps
    assert features.shape == (pytest.approx(50 * seconds, abs=1), 1, HIDDEN)
    assert features.dtype == np.float32

    sound = read_wav(context.dataset.fetch(str(clip.audio_path)))
    normal = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
    with torch.no_grad():
        network = Wav2Vec2Model.from_pretrained(model).eval()
        expected = network(torch.from_numpy(normal)[None]).last_hidden_state[0]
    np.testing.assert_allclose(features[:, 0], expected.numpy(), atol=1e-4)
    assert features.std() > 0.1, "no constants"
    assert str(clip.features_note).startswith("tiny ")


def test_without_weights_the_clip_says_so(spoken: Candidate, context: Context) -> None:
    clip = extract(spoken, context, None).clip
    assert clip.features_path is None
    assert clip.features_note == "skipped: no wav2vec2 weights"
    assert clip.status == "kept"
    assert not context.dataset.names("features/*")


def test_without_sound_the_clip_says_so(spoken: Candidate, context: Context, model: Path) -> None:
    clip = extract(spoken.update(audio_path=None), context, model).clip
    assert clip.features_note == "skipped: no sound"
    assert clip.features_path is None


def test_other_weights_are_other_features_and_the_same_elsewhere_are_not(
    spoken: Candidate, context: Context, model: Path, tmp_path: Path
) -> None:
    first = extract(spoken, context, model).clip
    path = Path(context.dataset.fetch(str(first.features_path)))
    before = path.stat().st_mtime_ns
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for file in model.iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    extract(spoken, context, moved)
    assert path.stat().st_mtime_ns == before, "found in the ledger"
    path.unlink()
    extract(spoken, context, moved)
    assert path.exists(), "a file that is gone is made again"
    old = load_file(path)["global_embeds"]
    other = extract(spoken, context, save_model(tmp_path / "other", seed=1)).clip
    assert not np.allclose(load_file(path)["global_embeds"], old)
    assert other.features_note != first.features_note


def test_the_default_model_is_looked_for_and_otherwise_left_out(
    model: Path, tmp_path: Path
) -> None:
    config, note = ExtractFeatures.resolve(FeatureConfig(), tmp_path)
    assert config.model is None
    assert note == "features: skipped, no wav2vec2-base-960h under the weights"
    (tmp_path / "model_ckpts").mkdir()
    (tmp_path / "model_ckpts/wav2vec2-base-960h").symlink_to(model)
    config, note = ExtractFeatures.resolve(FeatureConfig(), tmp_path)
    assert config.model == str(model.resolve())
    assert note.startswith("features: ") and "wav2vec2-base-960h" in note


def test_a_model_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a transformers folder .* found none"):
        ExtractFeatures.resolve(FeatureConfig(model="hubert"), tmp_path)
    (tmp_path / "half").mkdir()
    (tmp_path / "half/config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"features\.model=null to go without"):
        ExtractFeatures.resolve(FeatureConfig(model=str(tmp_path / "half")), None)
    assert pretrained_files(tmp_path / "half") == []


def test_none_asked_for_is_none(tmp_path: Path) -> None:
    assert (
        ExtractFeatures.resolve(FeatureConfig(model=None), tmp_path)[1]
        == "features: none asked for"
    )
