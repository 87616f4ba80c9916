"""The exercises of docs/extending.md, done as the page says: its code is read from there.

The package is built and installed by pip into a folder of its own, and used through the real command line. Changes of
this tree are made in a copy, of which the files that are not touched are links.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny_models import music, tiny_model
from training_data import RATE_HZ, TINY_MODEL, make_pairs, tiny_settings

from splitstrument import audio

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(
    r"^```\w+\n# (?P<place>[\w/.]+)(?:: (?P<anchor>[^\n]*))?\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE
)
BLOCKS = [match.groupdict() for match in BLOCK.finditer((ROOT / "docs" / "extending.md").read_text(encoding="utf-8"))]
# runs several commands in one process, which imports the framework once
DRIVER = """
import json, sys
from splitstrument.cli import main
for arguments in json.load(sys.stdin):
    try:
        main(arguments)
    except SystemExit as end:
        print(f"\\n--- {end.code}", flush=True)
"""


def commands(site: Path, *each: list) -> list[tuple[int, str]]:
    """Run command lines with `site` on the path: status and standard output of each."""
    arguments = json.dumps([[str(word) for word in words] for words in each])
    environment = os.environ | {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1", "XDG_CONFIG_HOME": str(site / "home")}
    run = subprocess.run(
        [sys.executable, "-c", DRIVER], input=arguments, capture_output=True, text=True, env=environment, cwd=site
    )
    parts = re.split(r"\n--- (\d+)\n", run.stdout)
    assert len(parts) == 2 * len(each) + 1, run.stderr
    assert all(status == "0" for status in parts[1::2]), run.stderr
    return [(int(status), text) for text, status in zip(parts[::2], parts[1::2], strict=False)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Where the package of the page is installed."""
    folder = tmp_path_factory.mktemp("extending")
    for block in BLOCKS:
        if block["place"] == "pyproject.toml" or block["place"].startswith("my_music/"):
            path = folder / "source" / block["place"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["text"])
    (folder / "source" / "my_music" / "__init__.py").write_text("")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--no-build-isolation"]
    run = subprocess.run(
        [*pip, "--no-index", "--quiet", "--target", folder / "site", folder / "source"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return folder / "site"


def test_each_exercise_touches_two_files_at_most():
    touched: dict[str, set[str]] = {}
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    for section in page.split("\n## ")[1:]:
        title = section.partition("\n")[0]
        touched[title] = {match["place"] for match in BLOCK.finditer(section)}
    titles = {"A loss", "A network", "A dataset source", "A metric", "An engine", "A page of the demonstrator"}
    assert titles | {"A flag of `separate`"} < set(touched)
    assert all(0 < len(places) <= 2 for title, places in touched.items() if "A loss or" not in title)


def test_a_package_of_ones_own_organises_trains_separates_and_evaluates(site, tmp_path):
    pytest.importorskip("keras")
    rng = np.random.default_rng(11)
    pairs = make_pairs(tmp_path / "pairs", ["a", "b", "c"], rng)
    for stem in ("guitar", "vocals"):
        audio.write(tmp_path / "raw" / "Song" / f"{stem}.wav", music(rng, RATE_HZ, 1), RATE_HZ)
    audio.write(tmp_path / "song.wav", music(rng, RATE_HZ), RATE_HZ)
    loss = {"name": "capped_l1", "options": {"cap": 0.5}}
    recipe = tiny_settings(pairs, epochs=1, loss=loss).model_dump(mode="json", exclude_none=True)
    recipe["model"] = TINY_MODEL | {"network": {"kind": "one_layer", "width": 5}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    run, model = tmp_path / "run", tmp_path / "tiny"
    tiny_model(model)
    separation = ["separate", tmp_path / "song.wav", "--engine", "coarse", "--json", "-o"]
    sources, _, organised, info, _, ours, theirs, scored = commands(
        site,
        ["dataset", "sources", "--json"],
        ["dataset", "organise", "duets", tmp_path / "raw", "-o", tmp_path / "stems"],
        ["dataset", "sources", "duets", tmp_path / "raw", "--json"],
        ["info", tmp_path / "mine.yaml", "--json"],
        ["train", tmp_path / "mine.yaml", "-o", run, "--quiet"],
        [*separation, tmp_path / "ours", "--model", run],
        [*separation, tmp_path / "theirs", "--model", model],
        ["evaluate", run, "--tracks", pairs, "--track", "a", "--json"],
    )
    assert "duets" in {source["name"] for source in json.loads(sources[1])}
    assert (tmp_path / "stems" / "Song" / "vocals").is_dir()
    assert [track["name"] for track in json.loads(organised[1])] == ["Song"]
    assert json.loads(info[1])["model"]["trainable_parameters"] == 26
    assert yaml.safe_load((run / "settings.yaml").read_text())["loss"] == loss
    assert (run / "model.onnx").is_file()
    for said, folder in ((ours, "ours"), (theirs, "theirs")):
        (song,) = json.loads(said[1])["songs"]
        assert Path(song["instrument"]).is_relative_to(tmp_path / folder)
        assert json.loads((tmp_path / folder / "song" / "separation.json").read_text())["model"]["engine"] == "coarse"
    assert "peak_error" in scored[1]


@pytest.fixture
def changed_tree(tmp_path):
    """A copy of this tree with the page's changes, the other files as links; and which files those are."""
    touched: set[str] = set()
    for package in ("splitstrument", "demonstrator"):
        (tmp_path / package).symlink_to(ROOT / package)
    for block in BLOCKS:
        if block["place"].startswith(("splitstrument/", "demonstrator/")):
            touched.add(block["place"])
            path = _own_copy(tmp_path, block["place"])
            text = path.read_text() if block["anchor"] else ""
            path.write_text(_inserted(text, block["anchor"], block["text"]) if text else block["text"])
    return tmp_path, touched


def _own_copy(tree: Path, place: str) -> Path:
    """Turn the links on the way to a file into folders of links, and the file into a copy."""
    path = tree
    for part in Path(place).parts:
        path = path / part
        if path.is_symlink() and path.is_dir():
            entries = list(path.resolve().iterdir())
            path.unlink()
            path.mkdir()
            for entry in entries:
                (path / entry.name).symlink_to(entry)
        elif path.is_symlink():
            text = path.read_text()
            path.unlink()
            path.write_text(text)
    return path


def _inserted(text: str, anchor: str, addition: str) -> str:
    """Put lines before a class, into a class after its docstring, or behind any other line."""
    line = next(line for line in text.splitlines() if line.strip() == anchor)
    if addition.startswith("class "):
        return text.replace(line, f"{addition}\n\n{line}", 1)
    before, _, after = text.partition(line)
    if line.startswith("class "):
        start, end = after.split('"""', 2)[:2], after.split('"""', 2)[2]
        return f'{before}{line}{start[0]}"""{start[1]}"""\n\n{addition}{end.lstrip(chr(10))}'
    return f"{before}{line}\n{addition}{after.lstrip(chr(10))}"


def test_a_flag_of_separate(changed_tree, tmp_path_factory):
    tree, touched = changed_tree
    assert sum(place.startswith("splitstrument") for place in touched) == 2
    folder = tmp_path_factory.mktemp("flag")
    audio.write(folder / "song.wav", music(np.random.default_rng(1), RATE_HZ), RATE_HZ)
    tiny_model(folder / "model")
    separation = ["separate", folder / "song.wav", "--model", folder / "model", "--format", "wav", "-o"]
    helped, _, _ = commands(
        tree, ["separate", "--help"], [*separation, folder / "all"], [*separation, folder / "less", "--ceiling", "0.1"]
    )
    assert "--ceiling FLOAT" in helped[1] and "[default: 1.0]" in helped[1]
    sidecar = json.loads((folder / "less" / "song" / "separation.json").read_text())
    assert sidecar["options"]["mask"]["ceiling"] == 0.1
    more, less = (np.std(audio.read(folder / name / "song" / "instrument.wav")[0]) for name in ("all", "less"))
    assert 0 < less < 0.5 * more


def test_a_page_of_the_demonstrator(changed_tree, tmp_path_factory):
    tree, touched = changed_tree
    assert sum(place.startswith("demonstrator") for place in touched) == 2
    folder = tmp_path_factory.mktemp("page")
    code = """
import sys, urllib.request
from pathlib import Path
from demonstrator_site import make_model, running_server, settings_for
folder = Path(sys.argv[1])
with running_server(settings_for(folder, [make_model(folder / "guitar", "guitar")])) as server:
    print(urllib.request.urlopen(server.url + "mine").read().decode())
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tree), str(ROOT / "tests" / "support")])}
    run = subprocess.run(
        [sys.executable, "-c", code, folder], capture_output=True, text=True, env=environment, cwd=folder
    )
    assert run.returncode == 0, run.stderr
    assert "There are 1 models here." in run.stdout and '<a href="/mine">Mine</a>' in run.stdout
