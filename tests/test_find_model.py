"""Models by name and by path, and those that are refused."""

from __future__ import annotations

import pytest
from tiny_models import tiny_model, tiny_settings

from splitstrument import model_folder
from splitstrument.errors import ModelError
from splitstrument.model_folder import find_model, list_models
from splitstrument.separation.engines import open_engine


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(model_folder, "SHIPPED", tmp_path / "shipped")
    tiny_model(tmp_path / "shipped" / "guitar")
    tiny_model(tmp_path / "shipped" / "piano", tiny_settings(target="piano"))
    return tmp_path / "shipped"


def test_names_and_paths(shipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_model(tmp_path / "runs" / "mine")
    tiny_model(tmp_path / "guitar")
    assert find_model("guitar").path == shipped / "guitar"
    assert find_model("./guitar").path.resolve() == tmp_path / "guitar"
    assert find_model("runs/mine").description.files == find_model("mine").description.files
    assert find_model("runs/mine/model.yaml").path.name == "mine"
    assert find_model(find_model("piano")).settings.target == "piano"
    assert [model.path.name for model in list_models()] == ["guitar", "piano", "mine"]


def test_unknown_models(shipped, tmp_path):
    with pytest.raises(ModelError, match="There is no folder .*nowhere"):
        list_models(tmp_path / "nowhere")
    with pytest.raises(ModelError, match="did you mean 'piano'"):
        find_model("pianoo")
    with pytest.raises(ModelError, match="the shipped models are guitar, piano"):
        find_model("xylophone")
    with pytest.raises(ModelError, match=r"it has no model\.yaml"):
        find_model(tmp_path)


def _refused(folder, match):
    with pytest.raises(ModelError, match=match) as caught:
        open_engine(find_model(folder))
    assert "\n" not in str(caught.value)


def test_damaged_and_foreign_weights_are_refused(tmp_path):
    model = tiny_model(tmp_path / "m")
    content = (model.path / "model.onnx").read_bytes()
    (model.path / "model.onnx").write_bytes(content[:-1])
    _refused(model.path, "damaged or was changed")
    (model.path / "model.onnx").unlink()
    _refused(model.path, "lacks its file")


def test_a_file_that_is_no_network_is_refused(tmp_path):
    from splitstrument.model_folder import ModelDescription, write_model_folder

    for name, content in (("text", b"hello"), ("empty", b""), ("pickle", b"\x80\x04\x95cos\nsystem\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.onnx").write_bytes(content)
        description = ModelDescription(name=name, model=tiny_settings())
        write_model_folder(tmp_path / name, description, ["model.onnx"])
        _refused(tmp_path / name, "cannot be read as a network")


def test_weights_of_another_shape_are_refused(tmp_path):
    from splitstrument.model_folder import ModelDescription, write_model_folder

    tiny_model(tmp_path / "m", tiny_settings(n_fft=512))
    description = ModelDescription(name="m", model=tiny_settings(n_fft=1024))
    write_model_folder(tmp_path / "m", description, ["model.onnx"])
    _refused(tmp_path / "m", "they belong to another model")


def test_a_model_without_weights_says_what_to_do(tmp_path):
    from splitstrument.model_folder import ModelDescription, write_model_folder

    (tmp_path / "m").mkdir()
    write_model_folder(tmp_path / "m", ModelDescription(name="m", model=tiny_settings()), [])
    _refused(tmp_path / "m", "lists no weights")


def test_a_file_name_that_leaves_the_folder_is_refused(tmp_path):
    model = tiny_model(tmp_path / "m")
    text = (model.path / "model.yaml").read_text().replace("model.onnx:", "../m/model.onnx:")
    (model.path / "model.yaml").write_text(text)
    with pytest.raises(ModelError, match="lacks its file"):
        find_model(model.path).file("../m/model.onnx")
