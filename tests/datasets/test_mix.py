"""Mixing: the sum of a pair is the mixture, whatever the stems are like; slow recomputation as the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stem_data import tone

from splitstrument import audio
from splitstrument.datasets import mix
from splitstrument.datasets.marks import set_mark
from splitstrument.datasets.mix import MixSettings, mix_track
from splitstrument.errors import AudioFileError, DatasetError
from splitstrument.pairs import check_pair, find_pairs
from splitstrument.streams import reblock, to_channels

RATE = 8000


def settings_of(**changes) -> MixSettings:
    given = {"target": "guitar", "sample_rates_hz": (RATE,), "require_checked": False, "channels": "mono"}
    return MixSettings(**{**given, **changes})


def make_track(folder, stems: dict[str, np.ndarray], rate=RATE, subtype="FLOAT"):
    for name, samples in stems.items():
        audio.write(folder / f"{name}.wav", samples, rate, subtype)
    return folder


def read_pair(output, rate=RATE):
    (pair,) = find_pairs(output, rate)
    return audio.read(pair.instrument)[0], audio.read(pair.rest)[0]


def test_sum_is_the_mixture_of_all_but_mix_and_excluded(tmp_path, rng):
    stems = {name: (0.1 * rng.standard_normal((5000, 1))).astype(np.float32) for name in
             ("guitar/a", "guitar/b", "bass/c", "vocals/d", "mix/e", "excluded/f")}  # fmt: skip
    report = mix_track(make_track(tmp_path / "song", stems), tmp_path / "out", settings_of())
    instrument, rest = read_pair(tmp_path / "out")
    gain = 10 ** (report.gain_db / 20)
    np.testing.assert_allclose(instrument, gain * (stems["guitar/a"] + stems["guitar/b"]), atol=2**-23)
    np.testing.assert_allclose(rest, gain * (stems["bass/c"] + stems["vocals/d"]), atol=2**-23)
    assert report.instrument_stems == ("guitar/a.wav", "guitar/b.wav")


@pytest.mark.parametrize("name", ["drums/d.ra", "guitar/lead.mogg", "drums/loop.wav"])
def test_a_stem_that_cannot_be_taken_refuses_the_track(tmp_path, name):
    folder = make_track(tmp_path / "song", {"guitar/a": tone(200), "bass/c": tone(100), "excluded/e": tone(300)})
    (folder / "excluded" / "take.ra").write_bytes(b"x")  # what is excluded is not needed
    assert mix_track(folder, tmp_path / "out", settings_of()).files
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(path.name) if path.stem == "loop" else path.write_bytes(b"x")
    with pytest.raises(DatasetError, match=f"{path.name} is .*: (convert|mend)"):
        mix_track(folder, tmp_path / "out", settings_of())


def test_also_merges_a_class_into_the_target(tmp_path):
    stems = {"guitar/a": tone(200), "distorted_guitar/b": tone(300), "bass/c": tone(100, level=0.1)}
    mix_track(
        make_track(tmp_path / "song", stems), tmp_path / "out", settings_of(also=("distorted_guitar",), peak_dbfs=0)
    )
    instrument, rest = read_pair(tmp_path / "out")
    np.testing.assert_allclose(instrument, stems["guitar/a"] + stems["distorted_guitar/b"], atol=1e-6)
    np.testing.assert_allclose(rest, stems["bass/c"], atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    levels=st.lists(st.floats(0.01, 3.0), min_size=2, max_size=4),
    rate=st.sampled_from([8000, 11025, 16000, 44100]),
    lengths=st.lists(st.integers(1, 9000), min_size=4, max_size=4),
    length_rule=st.sampled_from(["pad", "cut"]),
)
def test_never_clips_and_one_gain_fits_both_files(tmp_path_factory, levels, rate, lengths, length_rule):
    folder = tmp_path_factory.mktemp("mix")
    rng = np.random.default_rng(len(levels))
    stems = {
        f"{'guitar' if index == 0 else 'other'}/{index}": (level * rng.choice([-1, 1], (lengths[index], 1))).astype(
            np.float32
        )
        for index, level in enumerate(levels)
    }
    make_track(folder / "song", stems, rate)
    options = settings_of(sample_rates_hz=(rate, 22050), length=length_rule)
    report = mix_track(folder / "song", folder / "out", options)
    pairs = {wanted: read_pair(folder / "out" / f"tracks_{wanted}hz", wanted) for wanted in options.sample_rates_hz}
    for instrument, rest in pairs.values():
        assert len(instrument) == len(rest)
        assert max(np.abs(instrument).max(), np.abs(rest).max(), np.abs(instrument + rest).max()) <= 1 + 2**-22
    instrument, _ = pairs[rate]
    n = min(len(instrument), lengths[0])
    if report.gain_db > -60:
        np.testing.assert_allclose(instrument[:n], 10 ** (report.gain_db / 20) * stems["guitar/0"][:n], atol=1e-6)
    expected = (max if length_rule == "pad" else min)(lengths[: len(levels)])
    assert len(instrument) == expected


def test_quiet_pairs_are_not_touched(tmp_path):
    stems = {"guitar/a": tone(200, level=0.2), "bass/b": tone(100, level=0.2)}
    report = mix_track(make_track(tmp_path / "song", stems), tmp_path / "out", settings_of())
    assert report.gain_db == 0


def test_result_does_not_depend_on_the_block_size(tmp_path, rng, monkeypatch):
    noise = (0.1 * rng.standard_normal((30_000, 2))).astype(np.float32)
    track = make_track(tmp_path / "song", {"guitar/a": noise, "bass/b": noise[:20_000]}, 44100)
    options = settings_of(sample_rates_hz=(44100, 22050), channels="stereo", subtype="FLOAT", format="wav")
    results = []
    for block in (1 << 16, 1000, 777):
        monkeypatch.setattr(mix, "BLOCK", block)
        mix_track(track, tmp_path / "out", options)
        results.append(read_pair(tmp_path / "out" / "tracks_22050hz", 22050))
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_stems_of_several_rates_and_widths_stay_aligned(tmp_path):
    """The same sine at three rates, mono and stereo: all add up."""
    for index, (rate, channels) in enumerate(((44100, 2), (22050, 1), (48000, 2))):
        samples = tone(100, seconds=1.0, level=0.1, rate=rate, channels=channels)
        audio.write(tmp_path / "song" / ("guitar" if index == 0 else "other") / f"{index}.wav", samples, rate, "FLOAT")
    mix_track(tmp_path / "song", tmp_path / "out", settings_of(sample_rates_hz=(44100,), channels="stereo"))
    instrument, rest = read_pair(tmp_path / "out", 44100)
    inner = slice(2000, 42000)
    np.testing.assert_allclose(rest[inner], 2 * instrument[inner], atol=2e-4)


def test_length_difference_is_reported_and_can_be_refused(tmp_path):
    track = make_track(tmp_path / "song", {"guitar/a": tone(200, 1.0), "bass/b": tone(100, 0.5)})
    assert mix_track(track, tmp_path / "out", settings_of()).length_difference_s == 0.5
    with pytest.raises(DatasetError, match=r"differ by 0.50 s in length, more than 0.1 s"):
        mix_track(track, tmp_path / "out", settings_of(max_difference_s=0.1))


@pytest.mark.parametrize(
    ("stems", "marks", "options", "reason"),
    [
        (["bass/b"], [], {}, "no guitar"),
        (["guitar/a"], [], {}, "nothing but guitar"),
        (["guitar/a", "mix/m"], [], {}, "nothing but guitar"),
        (["guitar/a", "bass/b"], [], {"require_checked": True}, "guitar is not marked checked"),
        (["guitar/a", "bass/b"], ["checked", "bleed"], {"require_checked": True}, "marked bleed"),
        (["guitar/a", "bass/b"], ["bad_quality"], {}, "marked bad_quality"),
        (["guitar/a", "bass/b"], ["checked", "detailed"], {"require_checked": True}, ""),
        (["guitar/a"], [], {"empty_rest": "silence"}, ""),
    ],
)
def test_marks_and_classes_decide(tmp_path, stems, marks, options, reason):
    track = make_track(tmp_path / "song", {name: tone(200) for name in stems})
    for mark in marks:
        set_mark(track, "guitar", mark)
    report = mix_track(track, tmp_path / "out", settings_of(**options))
    assert report.skipped == reason
    assert bool(list(tmp_path.glob("out/**/*.flac"))) == (not reason)


def test_the_old_pair_of_a_track_that_is_skipped_now_is_removed(tmp_path):
    track = make_track(tmp_path / "a[1]", {"guitar/a": tone(200), "bass/b": tone(100)})
    other = make_track(tmp_path / "a1", {"guitar/a": tone(200), "bass/b": tone(100)})
    for folder in (track, other):
        mix_track(folder, tmp_path / "out", settings_of())
    mine = tmp_path / "out" / f"tracks_{RATE}hz" / "a[1]" / "instrument_a[1].txt"
    mine.write_text("my notes")
    set_mark(track, "guitar", "bleed")
    assert mix_track(track, tmp_path / "out", settings_of()).skipped == "marked bleed"
    assert [pair.name for pair in find_pairs(tmp_path / "out")] == ["a1"]
    assert [path.name for path in mine.parent.iterdir()] == [mine.name]


def test_a_rate_that_is_given_twice_is_made_once(tmp_path):
    track = make_track(tmp_path / "song", {"guitar/a": tone(200), "bass/b": tone(100)})
    report = mix_track(track, tmp_path / "out", settings_of(sample_rates_hz=(RATE, 4000, RATE)))
    assert [path.parent.parent.name for path in report.files[::2]] == [f"tracks_{RATE}hz", "tracks_4000hz"]


def test_a_rest_of_silence(tmp_path):
    track = make_track(tmp_path / "song", {"guitar/a": tone(200)})
    mix_track(track, tmp_path / "out", settings_of(empty_rest="silence"))
    instrument, rest = read_pair(tmp_path / "out")
    assert len(rest) == len(instrument)
    assert not rest.any()


@pytest.mark.parametrize("rate", [8000, 192_000])
@pytest.mark.parametrize("n_samples", [1, 7])
@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_U8"])
def test_odd_files(tmp_path, rate, n_samples, subtype):
    stems = {"guitar/a": tone(200)[:n_samples], "bass/b": tone(100)[: n_samples + 1]}
    mix_track(
        make_track(tmp_path / "söng №1", stems, rate, subtype),
        tmp_path / "out",
        settings_of(sample_rates_hz=(44100, 22050)),
    )
    for wanted in (44100, 22050):
        (pair,) = find_pairs(tmp_path / "out", wanted)
        assert check_pair(pair).n_samples == audio.resampled_length(n_samples + 1, rate, wanted)


def test_nan_names_the_file_and_leaves_nothing(tmp_path):
    broken = tone(200)
    broken[100] = np.nan
    track = make_track(tmp_path / "song", {"guitar/a": broken, "bass/b": tone(100)})
    with pytest.raises(AudioFileError, match=r"a\.wav holds values that are not numbers"):
        mix_track(track, tmp_path / "out", settings_of())
    assert not [path for path in tmp_path.glob("out/**/*") if path.is_file()]


def test_helpers(rng):
    noise = rng.standard_normal((1000, 2)).astype(np.float32)
    pieces = list(reblock(iter(np.split(noise, [3, 4, 400, 401])), 64))
    assert {len(piece) for piece in pieces[:-1]} == {64}
    np.testing.assert_array_equal(np.concatenate(pieces), noise)
    np.testing.assert_allclose(to_channels(noise, 1)[:, 0], noise.mean(axis=1))
    assert to_channels(noise[:, :1], 2).shape == (1000, 2)
