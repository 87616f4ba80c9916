"""Damaged files of every format: none crashes, hangs or leaves a file.

Every case is drawn from its seed, so a failure can be repeated by its number. The default run tries a few of each
format; ``-m slow`` tries 500 of each.
"""

from __future__ import annotations

import io
import signal
import warnings

import numpy as np
import pytest
import soundfile
from odd_inputs import media
from tiny_models import music, tiny_model

from splitstrument.errors import SplitstrumentError
from splitstrument.separation.options import SeparationOptions
from splitstrument.separation.pipeline import load_model
from splitstrument.separation.result import read_sidecar
from splitstrument.separation.songs import reprocess_file, separate_file

FORMATS = {
    "wav": ("WAV", "PCM_16"), "float.wav": ("WAV", "FLOAT"), "adpcm.wav": ("WAV", "IMA_ADPCM"),
    "w64": ("W64", "PCM_24"), "rf64": ("RF64", "PCM_16"), "flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III"), "aiff": ("AIFF", "PCM_24"), "au": ("AU", "PCM_16"),
    "caf": ("CAF", "ALAC_16"),
}  # fmt: skip
MEDIA = {"m4a": ("ipod", "aac"), "alac.m4a": ("ipod", "alac"), "mkv": ("matroska", "flac"), "wma": ("asf", "wmav2")}
HANG_S = 120
HEADER_BYTES = 120


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """One to four random injuries: bytes of the header or the body changed, numbers made huge, parts cut or doubled."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        if not data:
            break
        where = int(rng.integers(0, min(len(data), HEADER_BYTES if rng.random() < 0.6 else len(data))))
        kind = rng.integers(0, 6)
        if kind == 0:
            data[where] ^= int(rng.integers(1, 256))
        elif kind == 1:
            data[where : where + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\x80"])
        elif kind == 2:
            data = data[: max(1, where)]
        elif kind == 3:
            data[where:where] = rng.integers(0, 256, int(rng.integers(1, 64)), np.uint8).tobytes()
        elif kind == 4:
            del data[where : where + int(rng.integers(1, 64))]
        else:
            data[where:where] = data[where : where + 200]
    return bytes(data)


@pytest.fixture
def watchdog():
    """Turns a hang into a failure."""

    def hang(*_):
        raise TimeoutError(f"no answer after {HANG_S} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(HANG_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _content(name):
    """A whole song of a third of a second."""
    if name in MEDIA:
        pytest.importorskip("av", reason="needs PyAV: pip install 'splitstrument[media]'")
        return media(*MEDIA[name], seconds=0.3)
    container, subtype = FORMATS[name]
    file = io.BytesIO()
    sound = music(np.random.default_rng(0), 12000)
    soundfile.write(file, sound, 48000 if subtype == "OPUS" else 44100, subtype=subtype, format=container)
    return file.getvalue()


def try_songs(tmp_path, name, n_cases):
    """Separate `n_cases` damaged songs; returns how many still gave stems."""
    model = load_model(tiny_model(tmp_path / "model"), threads=1)
    song, out = tmp_path / f"song.{name}", tmp_path / "out"
    song.write_bytes(_content(name))
    content, n_good = song.read_bytes(), 0
    separate_file(song, tmp_path / "whole", model)
    for case in range(n_cases):
        song.write_bytes(mutate(content, np.random.default_rng([case, len(name)])))
        try:
            done = separate_file(song, out, model)
        except SplitstrumentError as error:
            assert "\n" not in str(error) and str(song) in str(error), f"case {case}: {error}"
            assert not out.exists(), f"case {case} left {list(out.rglob('*'))}"
            continue
        n_good += 1
        stems = [soundfile.info(path) for path in (done.instrument, done.rest)]
        assert [stem.frames for stem in stems] == [done.n_samples] * 2, f"case {case}"
        for path in (done.instrument, done.rest, done.sidecar):
            path.unlink()
        done.sidecar.parent.rmdir()
        out.rmdir()
    return n_good


@pytest.mark.parametrize("name", [*FORMATS, *MEDIA])
def test_damaged_songs(tmp_path, watchdog, name):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # no arithmetic on nonsense
        n_good = try_songs(tmp_path, name, 25)
    assert n_good < 25


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FORMATS, *MEDIA])
def test_500_damaged_songs(tmp_path, name):
    assert try_songs(tmp_path, name, 500) < 500


def test_damaged_masks_and_sidecars(tmp_path, watchdog):
    model = load_model(tiny_model(tmp_path / "model"), threads=1)
    soundfile.write(tmp_path / "song.wav", music(np.random.default_rng(0), 12000), 44100)
    done = separate_file(tmp_path / "song.wav", tmp_path / "whole", model, SeparationOptions(keep_mask=True))
    for case in range(60):
        rng = np.random.default_rng(case)
        (tmp_path / "mask.zip").write_bytes(mutate(done.mask.read_bytes(), rng))
        (tmp_path / "separation.json").write_bytes(mutate(done.sidecar.read_bytes(), rng))
        try:
            reprocess_file(tmp_path / "song.wav", tmp_path / "mask.zip", tmp_path / "out" / str(case))
        except SplitstrumentError as error:
            assert "\n" not in str(error)
            assert not (tmp_path / "out" / str(case)).exists()
        try:
            read_sidecar(tmp_path / "separation.json")
        except SplitstrumentError as error:
            assert "\n" not in str(error)


def test_damaged_models(tmp_path, watchdog):
    """A changed model file never gets as far as the engine: its hash is wrong."""
    model = tiny_model(tmp_path / "model")
    for case in range(40):
        name = ("model.onnx", "model.yaml")[case % 2]
        content = (model.path / name).read_bytes()
        damaged = mutate(content, np.random.default_rng(case))
        (model.path / name).write_bytes(damaged)
        try:
            load_model(model.path, threads=1)
            assert name == "model.yaml"
        except SplitstrumentError as error:
            assert "\n" not in str(error)
        (model.path / name).write_bytes(content)
