"""A model folder is trusted only as far as its hashes go."""

from __future__ import annotations

import pytest

from splitstrument.errors import ModelError
from splitstrument.model_folder import ModelDescription, read_model_folder, write_model_folder
from splitstrument.network.settings import ModelSettings


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "best.weights.h5").write_bytes(b"weights")
    write_model_folder(
        tmp_path, ModelDescription(name="tiny", model=ModelSettings(target="piano")), ["best.weights.h5"]
    )
    return tmp_path


def test_round_trip(folder):
    model = read_model_folder(folder)
    assert model.settings == ModelSettings(target="piano")
    assert model.file("model.onnx", "best.weights.h5").read_bytes() == b"weights"


def test_a_changed_file_is_refused(folder):
    (folder / "best.weights.h5").write_bytes(b"weightz")
    with pytest.raises(ModelError, match="damaged or was changed"):
        read_model_folder(folder).file("best.weights.h5")


def test_a_missing_file_and_a_missing_form_are_named(folder):
    model = read_model_folder(folder)
    with pytest.raises(ModelError, match=r"has none of model\.onnx.*models export"):
        model.file("model.onnx")
    (folder / "best.weights.h5").unlink()
    with pytest.raises(ModelError, match="lacks its file"):
        model.file("best.weights.h5")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format: 2\nname: x\nmodel: {}", "format"),
        ("name: x\nmodel: {network: {kind: transformer}}", "transformer"),
        ("name: x", "'model' is missing"),
        ("name: x\nmodel: {}\nfiles: {../secret: abc}", "lacks its file"),
    ],
)
def test_foreign_descriptions_are_refused(tmp_path, text, message):
    (tmp_path / "model.yaml").write_text(text)
    with pytest.raises(ModelError, match=message):
        read_model_folder(tmp_path).file("../secret")


def test_any_other_folder_is_no_model(tmp_path):
    with pytest.raises(ModelError, match=r"no model or run folder: it has no model\.yaml"):
        read_model_folder(tmp_path)
