"""Provenance says what made a file, and nothing private."""

from __future__ import annotations

import getpass
import json
import os
import socket

import splitstrument
from splitstrument.provenance import provenance


def test_the_record_names_inputs_versions_and_seed(tmp_path):
    (tmp_path / "song.wav").write_bytes(b"abc")
    record = provenance({"epochs": 3}, [tmp_path / "song.wav"], seed=0)
    assert record["inputs"] == {"song.wav": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
    assert record["settings"] == {"epochs": 3}
    assert record["seed"] == 0
    assert record["splitstrument"] == splitstrument.__version__
    assert record["packages"]["numpy"]


def test_no_environment_no_user_no_host(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2-correct-horse")
    text = json.dumps(provenance())
    assert "hunter2" not in text
    assert os.environ.get("HOME", "/nonexistent/home") not in text
    assert socket.gethostname() not in text
    assert getpass.getuser() != "" and f'"{getpass.getuser()}"' not in text
