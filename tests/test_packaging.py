"""What travels in the wheel: every package, recipe, model, template and the sample set."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return next(out.glob("*.whl"))


def test_every_locked_version_has_hashes_of_its_files():
    def versions(name: str) -> dict[str, str]:
        lines = re.findall(r"^([A-Za-z0-9._-]+)==([^\s\\]+)", (ROOT / name).read_text(), re.MULTILINE)
        return {re.sub(r"[._-]+", "-", package).lower(): version for package, version in lines}

    assert versions("requirements-hashes.lock") == versions("requirements.lock")
    parts = re.split(r"^(?=[a-z0-9])", (ROOT / "requirements-hashes.lock").read_text(), flags=re.MULTILINE)[1:]
    assert len(parts) == len(versions("requirements.lock")) > 100
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}$", part, re.MULTILINE) for part in parts)


def test_setup_cfg_lists_every_package():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("splitstrument", "demonstrator")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert listed - {"splitstrument._datasets", "splitstrument._trainings"} == found


def tracked(folder: str, *suffixes: str) -> set[str]:
    run = subprocess.run(["git", "-C", str(ROOT), "ls-files", folder], capture_output=True, text=True, check=True)
    return {line for line in run.stdout.splitlines() if line.endswith(suffixes)}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the checkout's list of files")
def test_the_wheel_holds_recipes_models_pages_and_samples(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = tracked("demonstrator", ".html", ".css", ".js", ".py") | tracked(
        "splitstrument", ".py", ".yaml", ".onnx", ".md", ".html", ".css"
    )
    assert wanted <= names
    for kind in ("datasets", "trainings"):
        recipes = {f"splitstrument/_{path}" for path in tracked(kind, ".yaml", ".flac", ".ogg")}
        assert recipes and recipes <= names


@pytest.mark.slow
def test_a_clean_environment_separates_and_knows_its_recipes(wheel, tmp_path):
    """Installs the base wheel from the package index: slow, and the only test that needs one."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    constraints = ["--constraint", str(ROOT / "requirements.lock")]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *constraints, wheel], check=True)
    song = ROOT / "datasets" / "sample" / "example.ogg"
    command = [python, "-m", "splitstrument", "separate", song, "--model", "guitar", "-o", tmp_path / "out"]
    subprocess.run(command, check=True, cwd=tmp_path)
    assert list((tmp_path / "out").rglob("instrument*"))
    code = "from splitstrument.recipes import *; print(find_recipe('quickstart', 'trainings'))"
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    assert "site-packages" in found
