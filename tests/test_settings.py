"""Settings: inheritance, origins, suggestions, hostile YAML."""

from __future__ import annotations

import pytest
from pydantic import Field

from splitstrument.errors import SettingsError
from splitstrument.settings import Settings, load_settings, read_yaml


class Optimizer(Settings):
    learning_rate: float = Field(1e-4, gt=0)


class Training(Settings):
    name: str
    epochs: int = 36
    datasets: tuple[str, ...] = ()
    optimizer: Optimizer = Optimizer()


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def test_base_chain_merges_mappings_and_remembers_origins(tmp_path):
    write(
        tmp_path,
        base="name: base\nepochs: 10\noptimizer: {learning_rate: 0.1}\ndatasets: [a, b]",
        middle="base: base.yaml\nepochs: 20",
        leaf="base: middle.yaml\nname: leaf\ndatasets: [c]",
    )
    loaded = load_settings(tmp_path / "leaf.yaml", Training, {"optimizer.learning_rate": 0.5})
    assert loaded.settings == Training(name="leaf", epochs=20, datasets=("c",), optimizer=Optimizer(learning_rate=0.5))
    assert [loaded.origin(key) for key in ("name", "epochs", "optimizer.learning_rate", "seed")] == [
        "leaf.yaml", "middle.yaml", "command line", "default",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nepochz: 3", "unknown key 'epochz'; did you mean 'epochs'?"),
        ("name: x\noptimizer: {learnin_rate: 3}", "did you mean 'learning_rate'?"),
        ("epochs: 3", "the key 'name' is missing"),
        ("name: x\nepochs: many", "'epochs': .*received 'many'"),
        ("name: x\noptimizer: {learning_rate: -1}", "'optimizer.learning_rate': .*greater than 0.*received -1"),
        ("- a\n- b", "should hold keys and values, but holds list"),
        ("name: [x", "is not valid YAML"),
        ("name: !!python/object/apply:os.system ['true']", "is not valid YAML"),
        ("base: leaf.yaml", "is its own base"),
        ("base: nowhere.yaml\nname: x", "There is no file .*nowhere.yaml"),
    ],
)
def test_mistakes_get_one_sentence(tmp_path, text, message):
    write(tmp_path, leaf=text)
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings(tmp_path / "leaf.yaml", Training)
    assert "\n" not in str(caught.value)


def test_yaml_bomb_is_refused(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 12)}]" for i in range(1, 12)]
    write(tmp_path, bomb="\n".join(lines))
    with pytest.raises(SettingsError, match="YAML aliases"):
        read_yaml(tmp_path / "bomb.yaml")


def test_deep_nesting_and_huge_files_are_refused(tmp_path):
    write(tmp_path, deep="a: " + "[" * 5_000)
    with pytest.raises(SettingsError, match="not valid YAML"):
        read_yaml(tmp_path / "deep.yaml")
    write(tmp_path, huge="#" * 2000)
    with pytest.raises(SettingsError, match="larger than 1000 bytes"):
        read_yaml(tmp_path / "huge.yaml", max_bytes=1000)


def test_not_utf8_is_refused(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("name: Stück".encode("latin-1"))
    with pytest.raises(SettingsError, match="cannot be read as text"):
        read_yaml(tmp_path / "latin.yaml")
