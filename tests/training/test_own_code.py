"""Losses and networks that a recipe names as ``module:function``: used everywhere a run goes, and never unasked."""

from __future__ import annotations

import importlib.util
import json
import py_compile
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from training_data import RATE_HZ, TINY_MODEL, make_pairs, tiny_settings

from splitstrument import audio
from splitstrument.cli import cli
from splitstrument.errors import ModelError, SettingsError, TrainingError
from splitstrument.files import sha256_of
from splitstrument.model_folder import read_model_folder
from splitstrument.settings import read_yaml
from splitstrument.training.own_code import code_of
from splitstrument.user_code import UserCode, allow, allowed_file, is_allowed

CODE = '''
"""A loss and a network of my own."""
from dataclasses import dataclass
from keras import Input, Model, layers, ops

@dataclass
class Shape:
    width: int

def tilted(options, model):
    weight = ops.reshape(ops.convert_to_tensor(options["weights"], "float32"), (1, 1, 1, -1))
    assert options["how"] == {"kind": "l1", "clip": None} and options["on"] is True
    return lambda batch, mask: ops.sum(weight * ops.abs(batch["target"] - batch["mixture"] * mask))

def build(settings, input_shape, seed):
    shape = Shape(settings.options["width"])
    inputs = Input(input_shape)
    conv = layers.Conv2D(settings.outputs, shape.width, padding="same", activation="sigmoid", name="only")
    return Model(inputs, conv(inputs))
'''
LOSS = {"name": "mine:tilted", "options": {"weights": [1.5], "how": {"kind": "l1", "clip": None}, "on": True}}
NETWORK = {"kind": "mine:build", "options": {"width": 3}}


def call(*arguments):
    """One command of the real command line, in this process; its `return_value` is 1 where songs failed."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], standalone_mode=False)


@pytest.fixture(scope="module", autouse=True)
def own_home(tmp_path_factory):
    """A list of allowed code of this module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A recipe with its code beside it."""
    folder = tmp_path_factory.mktemp("mine")
    pairs = make_pairs(folder / "d", ["a", "b", "c"], np.random.default_rng(3))
    settings = tiny_settings(pairs, epochs=1, loss=LOSS, model=TINY_MODEL | {"network": NETWORK})
    (folder / "mine.py").write_text(CODE)
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_none=True)))
    return path


@pytest.fixture(scope="module")
def run(recipe):
    """What was trained by it."""
    pytest.importorskip("keras")
    done = call("train", recipe, "-o", recipe.parent / "run", "--no-export")
    assert done.exit_code == 0, done.exception
    return recipe.parent / "run"


@pytest.fixture
def foreign(run, tmp_path, monkeypatch):
    """The same run as somebody else would have sent it: nothing of it is allowed here."""
    shutil.copytree(run, tmp_path / "foreign")
    (tmp_path / "d").symlink_to(run.parent / "d")  # a run names its data from its own folder
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "foreign"


def test_the_run_folder_keeps_code_hash_and_options(recipe, run):
    digest = sha256_of(recipe.parent / "mine.py")
    assert (run / "code" / "mine.py").read_text() == CODE
    assert json.loads((run / "provenance.json").read_text())["code"] == {"mine:tilted": digest, "mine:build": digest}
    assert read_yaml(run / "model.yaml")["code"] == {"mine:build": digest}
    assert read_yaml(run / "settings.yaml")["loss"] == LOSS, "options of any type, null included"
    assert is_allowed("mine:build", digest) and is_allowed("mine:tilted", digest)


def test_resumption_takes_the_code_of_the_run_and_no_other(recipe, run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "d").symlink_to(run.parent / "d")
    (tmp_path / "recipe.yaml").write_text(recipe.read_text())
    (tmp_path / "mine.py").write_text(CODE + "# changed\n")
    gone_on = call("train", tmp_path / "recipe.yaml", "--resume", "-o", tmp_path / "run", "--epochs", 2, "--no-export")
    assert gone_on.exit_code == 0 and "2 epochs" in gone_on.stdout
    assert "the recipe has another file of mine:tilted, file of mine:build" in gone_on.stderr
    (tmp_path / "run" / "code" / "mine.py").write_text(CODE + "# changed\n")
    changed = call("train", "--resume", "-o", tmp_path / "run", "--epochs", 3, "--no-export")
    assert isinstance(changed.exception, TrainingError)
    assert "was trained with another file of mine:build, mine:tilted" in str(changed.exception)


def test_check_and_info_of_the_recipe(recipe):
    assert json.loads(call("info", recipe, "--json", "--allow-code").stdout)["model"]["trainable_parameters"] == 10
    checked = call("train", recipe, "--check")
    assert "steps tried" in checked.stdout


def test_separate_and_evaluate_last_weights_with_keras(run, recipe, tmp_path):
    audio.write(tmp_path / "song.wav", np.zeros((RATE_HZ, 1), np.float32) + 0.1, RATE_HZ)
    done = call("separate", tmp_path / "song.wav", "-m", run, "--engine", "keras", "-o", tmp_path / "stems")
    assert done.return_value == 0 and (tmp_path / "stems" / "song" / "instrument.wav").is_file()
    scored = call("evaluate", run, "--tracks", recipe.parent / "d", "--weights", "last", "--track", "a", "--json")
    assert scored.exit_code == 0, scored.exception


def test_code_from_elsewhere_is_refused_until_it_is_allowed(foreign, tmp_path):
    audio.write(tmp_path / "song.wav", np.zeros((RATE_HZ, 1), np.float32) + 0.1, RATE_HZ)
    separation = ["separate", tmp_path / "song.wav", "-m", foreign, "-o", tmp_path / "stems"]
    refused = call(*separation)
    assert "needs Python code of its own, mine:build" in refused.output + str(refused.exception)
    for command in (
        ["info", foreign],
        ["models", "export", foreign],
        ["train", "--resume", "-o", foreign, "--epochs", 3],
        ["train", "--resume", "-o", foreign, "--check"],
    ):
        assert "models allow-code" in str(call(*command).exception), command
    assert not allowed_file().exists() and not (tmp_path / "stems" / "song").exists()
    assert "mine:build: " in call("models", "allow-code", foreign).stdout
    assert call(*separation).return_value == 0
    (foreign / "code" / "mine.py").write_text(CODE.replace("sigmoid", "tanh"))
    with pytest.raises(ModelError, match=r"its SHA-256 differs"):
        read_model_folder(foreign).code.load("mine:build")


def test_a_check_runs_no_code_that_lies_beside_the_settings_of_a_run(foreign):
    """It asks for the run's code, which no word allows, and not for a recipe's."""
    marker = foreign / "was_run"
    shutil.rmtree(foreign / "code")
    (foreign / "mine.py").write_text(f"open({str(marker)!r}, 'w')\n" + CODE)
    for recipe in ([], [foreign / "settings.yaml"]):
        checked = call("train", *recipe, "--resume", "-o", foreign, "--check")
        assert "There is no mine.py in" in str(checked.exception) and str(foreign / "code") in str(checked.exception)
    assert not marker.exists()


def test_the_bytes_that_are_allowed_are_run_and_no_compiled_file(tmp_path, monkeypatch):
    """Python itself would take the .pyc: one of this kind is never compared with its source."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    run = tmp_path / "run"
    (run / "code").mkdir(parents=True)
    source = run / "code" / "mine.py"
    source.write_text("def build(): return 'what was read'")
    (tmp_path / "other.py").write_text("def build(): return 'what was hidden'")
    compiled = importlib.util.cache_from_source(str(source))
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(str(tmp_path / "other.py"), cfile=compiled, doraise=True, invalidation_mode=unchecked)
    allow("mine:build", sha256_of(source))
    assert code_of(run, is_run=True).load("mine:build")() == "what was read"


def test_nothing_compiled_is_left_beside_the_code(tmp_path):
    (tmp_path / "lean.py").write_text("def build(): return 'lean'")
    assert code_of(tmp_path).load("lean:build")() == "lean"
    assert [path.name for path in tmp_path.iterdir()] == ["lean.py"]


@pytest.mark.parametrize("record", [None, "model.yaml", "provenance.json", "state/state.npz"])
def test_a_folder_code_is_looked_into_in_run_folders_alone(tmp_path, record):
    (tmp_path / "code").mkdir()
    (tmp_path / "state").mkdir()  # a training's lock lies there before anything else does
    if record:
        (tmp_path / record).touch()
    code = code_of(tmp_path)
    assert (code.folders, code.allowed) == (((tmp_path / "code",), False) if record else ((tmp_path,), True))


def test_an_exported_model_needs_its_code_no_more(foreign, run, tmp_path, monkeypatch):
    """ONNX Runtime reads the network from its own file."""
    with monkeypatch.context() as at_home:
        at_home.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
        call("models", "allow-code", foreign)
        assert call("models", "export", foreign).exit_code == 0
    audio.write(tmp_path / "song.wav", np.zeros((RATE_HZ, 1), np.float32) + 0.1, RATE_HZ)
    assert call("separate", tmp_path / "song.wav", "-m", foreign, "-o", tmp_path / "stems").return_value == 0


@pytest.mark.slow
def test_workers_load_it_too(recipe, run, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "splitstrument",
            "train",
            recipe,
            "-o",
            tmp_path / "run",
            "--processes",
            "2",
            "--no-export",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert sha256_of(tmp_path / "run" / "code" / "mine.py") == sha256_of(run / "code" / "mine.py")


def test_a_queue_trains_it(recipe, tmp_path):
    (recipe.parent / "queue.yaml").write_text(yaml.safe_dump({"name": "q", "trainings": [{"recipe": "recipe.yaml"}]}))
    done = call("queue", recipe.parent / "queue.yaml", "-o", tmp_path, "--no-export", "--json")
    assert json.loads(done.stdout)[0]["state"] == "finished"


@pytest.mark.parametrize(
    ("source", "reference", "said"),
    [
        ("def loss(): pass", "ours:los", r"ours\.py has no function 'los'; did you mean 'loss'\?"),
        ("x = 1\ny = x / 0", "ours:loss", r"cannot be loaded \(line 2, ZeroDivisionError: division by zero\)"),
        ("def loss(:", "ours:loss", r"cannot be loaded \(line 1, SyntaxError"),
        ("import absent_module", "ours:loss", r"ModuleNotFoundError: No module named 'absent_module'"),
        ("raise SystemExit(1)", "ours:loss", r"SystemExit: 1"),
        ("", "theirs:loss", r"There is no theirs\.py in .* and no installed module 'theirs'"),
        ("", "sys:exit", r"There is no sys\.py in .* and no installed module 'sys'"),
    ],
)
def test_what_is_wrong_with_code_is_one_sentence(tmp_path, source, reference, said):
    (tmp_path / "ours.py").write_text(source)
    with pytest.raises(SettingsError, match=said) as caught:
        UserCode((tmp_path,), allowed=True).load(reference)
    assert "\n" not in str(caught.value)


def test_an_installed_module_is_found_without_being_run(tmp_path, monkeypatch):
    """Also one in a package, whose ``__init__`` would run first."""
    (tmp_path / "package_of_mine").mkdir()
    (tmp_path / "package_of_mine" / "__init__.py").write_text("raise RuntimeError('was run')")
    (tmp_path / "package_of_mine" / "nets.py").write_text("def build(): pass")
    monkeypatch.syspath_prepend(tmp_path)
    reference = "package_of_mine.nets:build"
    assert UserCode().file_of(reference) == tmp_path / "package_of_mine" / "nets.py"
    with pytest.raises(ModelError, match="needs Python code of its own"):
        UserCode().load(reference)
    (tmp_path / "package_of_mine" / "__init__.py").write_text("")
    assert UserCode(allowed=True).load(reference).__name__ == "build"


def test_info_of_somebody_elses_recipe_runs_nothing_unasked(recipe, tmp_path):
    shutil.copyfile(recipe, tmp_path / "settings.yaml")
    (tmp_path / "mine.py").write_text(CODE + f"\nopen({str(tmp_path / 'ran')!r}, 'w')\n")
    refused = str(call("info", tmp_path / "settings.yaml").exception)
    assert "needs Python code of its own, mine:build" in refused and "add --allow-code" in refused
    assert not (tmp_path / "ran").exists()
    assert "trainable parameters   10" in call("info", tmp_path / "settings.yaml", "--allow-code").stdout


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("return lambda batch, mask: batch['no such key']", r"mine\.py failed \(line 13, KeyError: 'no such key'\)"),
        ("return lambda batch, mask: 1 / 0", r"mine\.py failed \(line 13, ZeroDivisionError"),
    ],
)
def test_a_loss_that_fails_is_one_sentence_with_its_line(recipe, tmp_path, broken, message):
    old = 'return lambda batch, mask: ops.sum(weight * ops.abs(batch["target"] - batch["mixture"] * mask))'
    assert old in CODE
    (tmp_path / "mine.py").write_text(CODE.replace(old, broken).replace("assert options", "# assert options"))
    shutil.copyfile(recipe, tmp_path / "recipe.yaml")
    error = call("train", tmp_path / "recipe.yaml", "-o", tmp_path / "run", "--no-export", "--quiet").exception
    assert isinstance(error, SettingsError)
    assert re.search(message, str(error)), error
