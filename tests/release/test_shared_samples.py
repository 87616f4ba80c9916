"""Recordings that two SoundFonts share, found in SoundFonts written here."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from splitstrument.errors import DatasetError
from splitstrument.release import shared_samples


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def recording(seed: int, n_samples: int = 20_000) -> np.ndarray:
    """Coloured noise, as no two recordings are alike."""
    noise = np.convolve(np.random.default_rng(seed).standard_normal(n_samples), np.hanning(40), "same")
    return (3000 * noise / np.abs(noise).max()).astype("<i2")


def write_bank(path: Path, samples: dict[str, np.ndarray], programs: dict[int, list[str]]) -> Path:
    """A SoundFont with one instrument for each program; `programs` name the samples that it plays."""
    order, headers, sound = list(samples), b"", b""
    for name, sample in samples.items():
        start = len(sound) // 2
        sound += sample.tobytes()
        headers += struct.pack("<20sII18x", name.encode(), start, start + len(sample))
    headers += struct.pack("<20sII18x", b"EOS", 0, 0)
    phdr = pbag = pgen = inst = ibag = igen = b""
    n_zones = 0
    for index, (program, names) in enumerate(programs.items()):
        phdr += struct.pack("<20sHHH12x", b"p", program, 0, index)
        pbag += struct.pack("<HH", index, 0)
        pgen += struct.pack("<HH", 41, index)
        inst += struct.pack("<20sH", b"i", n_zones)
        for name in names:
            ibag += struct.pack("<HH", n_zones, 0)
            igen += struct.pack("<HH", 53, order.index(name))
            n_zones += 1
    phdr += struct.pack("<20sHHH12x", b"EOP", 0, 0, len(programs))
    pbag, pgen = pbag + struct.pack("<HH", len(programs), 0), pgen + b"\0" * 4
    inst, igen = inst + struct.pack("<20sH", b"EOI", n_zones), igen + b"\0" * 4
    ibag += struct.pack("<HH", n_zones, 0)
    parts = {b"phdr": phdr, b"pbag": pbag, b"pgen": pgen, b"inst": inst, b"ibag": ibag, b"igen": igen, b"shdr": headers}
    body = b"sfbk" + chunk(b"LIST", b"sdta" + chunk(b"smpl", sound))
    body += chunk(b"LIST", b"pdta" + b"".join(chunk(name, data) for name, data in parts.items()))
    path.write_bytes(chunk(b"RIFF", body))
    return path


@pytest.fixture
def banks(tmp_path: Path) -> list[Path]:
    one, other = recording(1), recording(2)
    louder_and_cut = (other[3000:].astype(float) * 1.7).astype("<i2")
    first = write_bank(tmp_path / "a.sf2", {"guitar": one, "piano": other}, {24: ["guitar"], 0: ["piano"]})
    second = write_bank(
        tmp_path / "b.sf2", {"own": recording(3), "grand": louder_and_cut}, {25: ["own"], 1: ["own", "grand"]}
    )
    return [first, second]


def test_a_copy_that_was_cut_and_made_louder_is_found_and_others_are_not(banks):
    known = [shared_samples.samples_of(path) for path in banks]
    shared = known[0].keys() & known[1].keys()
    names = [set().union(*(found[key] for key in shared)) for found in known]
    assert names == [{"piano"}, {"grand"}]


def test_programs_say_which_samples_they_play(banks):
    assert shared_samples.programs_of(banks[0]) == {24: {"guitar"}, 0: {"piano"}}
    assert shared_samples.programs_of(banks[1]) == {25: {"own"}, 1: {"own", "grand"}}


def test_two_sine_waves_are_not_the_same_recording(tmp_path):
    waves = [(9000 * np.sin(np.arange(20_000) * 0.03 + phase)).astype("<i2") for phase in (0.0, 1.0)]
    paths = [write_bank(tmp_path / f"{i}.sf2", {"sine": wave}, {0: ["sine"]}) for i, wave in enumerate(waves)]
    known = [shared_samples.samples_of(path) for path in paths]
    assert not known[0].keys() & known[1].keys()


def test_what_is_no_soundfont_is_refused(tmp_path):
    path = tmp_path / "x.sf2"
    path.write_bytes(b"RIFF")
    with pytest.raises(DatasetError, match="is no SoundFont"):
        shared_samples.samples_of(path)
