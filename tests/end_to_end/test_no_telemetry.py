"""No command tells anybody anything: every connection and every name that is asked for is watched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_models import music, tiny_model

from splitstrument.audio import write

ROOT = Path(__file__).resolve().parents[2]
WATCH = """
import json, os, sys
def watch(event, args, log=os.environ["SOCKET_LOG"]):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"):
        target = args[1] if event in ("socket.connect", "socket.sendto", "socket.sendmsg") else args[0]
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, (json.dumps([event, str(target)]) + "\\n").encode())
        os.close(handle)
sys.addaudithook(watch)
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A home of its own, a song, a model, and a hook that every Python process loads at its start."""
    folder, rng = tmp_path_factory.mktemp("quiet"), np.random.default_rng(5)
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(WATCH)
    (folder / "home").mkdir()
    tiny_model(folder / "model")
    for name in ("one.wav", "references/a/instrument.wav", "references/a/rest.wav"):
        write(folder / name, music(rng, 30_000), 22050, "PCM_16")
    shutil.copytree(folder / "references", folder / "estimates")
    return folder


def run(work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, "HOME": str(work / "home"), "SOCKET_LOG": str(work / "sockets"),
        "PYTHONPATH": f"{work / 'hook'}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "splitstrument", *arguments]
    return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=120)


def strangers(work: Path) -> list[list[str]]:
    log = work / "sockets"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [line for line in lines if "127.0.0.1" not in line[1] and "localhost" not in line[1]]


SEPARATE = ("separate", "one.wav", "--model", "model", "--overwrite", "--quiet", "-o", "stems", "--engine")
COMMANDS = {
    "separate": (*SEPARATE, "onnxruntime"),
    "separate with OpenVINO": (*SEPARATE, "openvino"),
    "score": ("score", "references", "estimates", "-o", "scores", "--no-v4", "--quiet"),
    "loudness": ("loudness", "one.wav"),
    "remix": ("remix", "one.wav", "--model", "model", "--gain", "instrument=-6", "-o", "mix.wav"),
    "models": ("models", "list"),
    "info": ("info", str(ROOT / "trainings" / "quickstart.yaml")),
    "words": ("words",),
    "dataset": ("dataset", "sources"),
}


def test_the_watch_sees_what_it_is_for(work):
    code = "import socket\ntry: socket.create_connection(('192.0.2.1', 9), 0.01)\nexcept OSError: pass"
    environment = {**os.environ, "SOCKET_LOG": str(work / "seen"), "PYTHONPATH": str(work / "hook")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert "192.0.2.1" in (work / "seen").read_text()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "info" else []) for name in COMMANDS]
)
def test_no_command_reaches_the_network_or_writes_into_the_home(work, name):
    if "OpenVINO" in name:
        pytest.importorskip("openvino")
    done = run(work, *COMMANDS[name])
    assert "Traceback" not in done.stderr and done.returncode in (0, 1, 2), done.stderr
    assert strangers(work) == []
    assert not (work / "home" / "intel").exists()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs the program strace")
def test_openvino_opens_no_socket_that_the_system_sees(work):
    """Below Python, too: what native libraries do."""
    pytest.importorskip("openvino")
    trace = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(work / "trace")]
    command = [*trace, sys.executable, "-m", "splitstrument", *SEPARATE, "openvino"]
    environment = {**os.environ, "HOME": str(work / "home")}
    subprocess.run(command, cwd=work, env=environment, check=True, capture_output=True, timeout=300)
    assert [line for line in (work / "trace").read_text().splitlines() if "AF_INET" in line] == []
    assert not (work / "home" / "intel").exists()
