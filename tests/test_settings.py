"""Settings: inheritance, origins, suggestions, hostile YAML."""

from __future__ import annotations

import pytest
from pydantic import Field

from splitstrument.errors import SettingsError
from splitstrument.files import write_yaml
from splitstrument.settings import Settings, load_settings, parse_yaml, read_yaml


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
        ("name: x\noptimizer: {learning_rate: .inf}", "'optimizer.learning_rate': .*finite number .received inf"),
        ("name: x\noptimizer: {learning_rate: .nan}", "'optimizer.learning_rate': .*finite number .received nan"),
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


@pytest.mark.parametrize(
    "text", ["a: &a [x]\nb: [*a, *a]", "a: &a {b: *a}", "a: &a {x: 1}\nb: {<<: *a}", "a: *nowhere"]
)
def test_aliases_are_refused_before_they_are_expanded(tmp_path, text):
    write(tmp_path, alias=text)
    with pytest.raises(SettingsError, match=r"alias\.yaml uses the YAML alias \*(a|nowhere); .* write the value out"):
        read_yaml(tmp_path / "alias.yaml")


def test_what_is_written_has_no_aliases(tmp_path):
    shared = {"x": [1, 2]}
    write_yaml(tmp_path / "a.yaml", {"one": shared, "other": shared, "third": [shared, shared]})
    assert read_yaml(tmp_path / "a.yaml") == {"one": shared, "other": shared, "third": [shared, shared]}


def test_what_came_is_shown_in_short(tmp_path):
    write(tmp_path, leaf=f"name: [{', '.join(['[1, 2, 3]'] * 50_000)}]")
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path / "leaf.yaml", Training)
    assert "received [[1, 2, 3], " in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "value",
    ["2020-13-45", "2020-02-31", "2020-01-01 25:00:00", "!!int x", "!!bool x", "!!float x", "!!timestamp x"],
)
def test_what_only_looks_like_a_date_or_number_is_bad_yaml(tmp_path, value):
    write(tmp_path, leaf=f"name: {value}")
    with pytest.raises(SettingsError, match="leaf.yaml is not valid YAML"):
        load_settings(tmp_path / "leaf.yaml", Training)


@pytest.mark.parametrize("number", ["1" * 5000, "-" + "1" * 5000, "0x" + "f" * 5000])
def test_endless_numbers_are_refused(number):
    for text in (f"epochs: {number}", f"{number}: 1" if number[0] != "0" else f"? {number}\n: 1"):
        with pytest.raises(SettingsError, match="digits"):
            parse_yaml(text, "x")
    assert parse_yaml(f"name: '{number}'", "x") == {"name": number}


@pytest.mark.parametrize("deep", ["a: " + "[" * 5_000, "- " * 100_000 + "x", "a: " + "{a: " * 101 + "1" + "}" * 101])
def test_deep_nesting_and_huge_files_are_refused(tmp_path, deep):
    write(tmp_path, deep=deep)
    with pytest.raises(SettingsError, match="nested deeper than 100 levels"):
        read_yaml(tmp_path / "deep.yaml")
    write(tmp_path, huge="#" * 2000)
    with pytest.raises(SettingsError, match="larger than 1000 bytes"):
        read_yaml(tmp_path / "huge.yaml", max_bytes=1000)


def test_not_utf8_is_refused(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("name: Stück".encode("latin-1"))
    with pytest.raises(SettingsError, match="cannot be read as text"):
        read_yaml(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    "text",
    ["a: 1\na: 2", "a: 1\n'a': 2", "1: x\n0x1: y", "yes: 1\ntrue: 2", "outer: {b: 1, b: 2}", "- {c: 1, c: 1}",
     "a: 1\n<<: {b: 2}\na: 3"],
)  # fmt: skip
def test_two_values_for_one_key_are_refused(text):
    with pytest.raises(SettingsError, match=r"recipe.yaml: key .* is on line \d and again on line \d: keep one"):
        parse_yaml(text, "recipe.yaml")


def test_merged_keys_may_be_overridden():
    merged = "near: {<<: {<<: {a: 1}, a: 2}, a: 3}\nfar: {<<: [{a: 2}, {a: 5}], b: 4}"
    assert parse_yaml(merged, "x") == {"near": {"a": 3}, "far": {"a": 2, "b": 4}}


def test_the_home_folder_in_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, base="datasets: [~/pairs, a~/b, '~']\n", top="base: ~/base.yaml\nname: ~/x\n")
    loaded = load_settings("~/top.yaml", Training).settings
    assert (loaded.name, loaded.datasets) == (f"{tmp_path}/x", (f"{tmp_path}/pairs", "a~/b", "~"))


def test_a_base_that_is_a_link_to_itself_is_one_sentence(tmp_path):
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    write(tmp_path, top="base: loop.yaml\nname: x\n")
    for name in ("loop.yaml", "top.yaml"):
        with pytest.raises(SettingsError, match=r"loop.yaml cannot be read as text \(.*symbolic links"):
            load_settings(tmp_path / name, Training)
