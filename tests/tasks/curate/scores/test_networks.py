"""Scores of networks that packages carry: they follow damage that is exactly known."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.signal import resample_poly
from scipy.stats import spearmanr
from skimage import data

from tests.talking_heads.voice import speak
from vexpress.schemas.errors import ConfigError
from vexpress.tasks.curate.scores import burnt_in_text, speech_quality
from vexpress.tasks.curate.scores.speech_quality import SpeechQualityScorer
from vexpress.tasks.engine.network import NetworkConfig, open_onnx

SENTENCE = "By noon the wind had turned, so the fishermen carried their nets back up the hill."


def test_noise_over_speech_is_heard(carried: Path) -> None:
    file = carried / "dnsmos/sig_bak_ovr.onnx"
    session = open_onnx(file, (1, speech_quality.WINDOW), gpu=False)
    said = speak(SENTENCE, "en-us+m3")
    sound = resample_poly(said.samples, 16000, said.rate).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 1, len(sound)).astype(np.float32)
    noise *= np.sqrt((sound**2).mean())
    levels = [40, 25, 20, 15, 10, 5, 0]
    found = [
        speech_quality.speech_quality(session, sound + noise * np.float32(10 ** (-db / 20)))
        for db in levels
    ]
    assert spearmanr(levels, [scores["overall_mos"] for scores in found])[0] >= 0.9
    assert spearmanr(levels, [scores["background_mos"] for scores in found])[0] >= 0.9
    assert all(0.9 <= value <= 5 for scores in found for value in scores.values())
    assert speech_quality.speech_quality(session, sound[:0]) == {}


def test_drawn_text_is_found_and_none_where_there_is_none(carried: Path) -> None:
    file = carried / "ppocr/ch_PP-OCRv4_det_infer.onnx"
    session = open_onnx(file, (1, 3, 480, 480), gpu=False)
    plain = np.ascontiguousarray(data.astronaut()[..., ::-1])
    shares = []
    for lines in range(5):
        picture = plain.copy()
        for line in range(lines):
            place = (20, 480 - 40 * line)
            cv2.putText(picture, "Where the ferry goes", place, 0, 1.2, (0, 0, 0), 6)
            cv2.putText(picture, "Where the ferry goes", place, 0, 1.2, (255, 255, 255), 2)
        shares.append(burnt_in_text.text_share(session, picture))
    assert spearmanr(range(5), shares)[0] >= 0.9
    assert shares[0] < 0.003 < 0.01 < shares[1], shares


def test_another_network_in_its_place_stops_the_run(carried: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected an ONNX network that takes float32 \(1, 3"):
        open_onnx(carried / "dnsmos/sig_bak_ovr.onnx", (1, 3, 8, 8), gpu=False)
    (tmp_path / "broken.onnx").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="expected an ONNX network"):
        open_onnx(tmp_path / "broken.onnx", (1,), gpu=False)


def test_a_network_that_is_not_here_is_said_and_changes_nothing(tmp_path: Path) -> None:
    config, note = SpeechQualityScorer.resolve(NetworkConfig(), tmp_path)
    assert config.model is None and "vexpress weights fetch dnsmos" in str(note)
    assert SpeechQualityScorer.versions(config) == SpeechQualityScorer.weights(config) == []
    with pytest.raises(ConfigError, match="expected the file of dnsmos"):
        SpeechQualityScorer.resolve(NetworkConfig(model="/nowhere"), tmp_path)
    place = tmp_path / "dnsmos/sig_bak_ovr.onnx"
    place.parent.mkdir()
    place.write_bytes(b"a network")
    config, note = SpeechQualityScorer.resolve(NetworkConfig(), tmp_path)
    assert (config.model, note) == (str(place), None)
    assert [w.licence for w in SpeechQualityScorer.weights(config)] == ["MIT"]
