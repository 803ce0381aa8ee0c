"""Which back end finds faces, and when its model is downloaded."""

from pathlib import Path

import pytest

from vexpress.inference.loading import detector_for
from vexpress.schemas.errors import ConfigError
from vexpress.tasks.curate.faces import FaceConfig, FaceScorer


def test_a_face_model_is_downloaded_only_where_insightface_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HOME", str(tmp_path))  # where insightface keeps what it fetched
    monkeypatch.setattr("vexpress.faces.points._online", lambda: asked.append("github.com"))
    config, said = FaceScorer.resolve(FaceConfig(), tmp_path)
    assert config.backend == "dlib" and "no insightface model" in str(said)
    assert detector_for("buffalo_l", tmp_path).name == "dlib/hog-68"
    with pytest.raises(ConfigError, match="weights fetch buffalo_l --accept"):
        FaceScorer.resolve(FaceConfig(model="buffalo_l"), tmp_path)
    assert asked == []
    with pytest.raises(ConfigError, match="found none"):
        FaceScorer.resolve(FaceConfig(backend="insightface"), tmp_path)
    assert asked == ["github.com"]
