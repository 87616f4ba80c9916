"""``splitstrument separate``, ``rerun`` and ``models`` as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from tiny_models import band_kernel, band_settings, music, tiny_model, tiny_settings

from splitstrument.audio import probe, read, write
from splitstrument.cli import main
from splitstrument.cli import separate as command


@pytest.fixture
def folder(rng, tmp_path, monkeypatch):
    """A working folder with two songs, a text file that claims to be a song, and a model."""
    monkeypatch.chdir(tmp_path)
    tiny_model(tmp_path / "model")
    write(tmp_path / "songs" / "one.wav", music(rng, 30000), 44100, "PCM_16")
    write(tmp_path / "songs" / "live" / "two.flac", music(rng, 20000), 48000)
    (tmp_path / "text.wav").write_text("no sound " * 100)
    return tmp_path


@pytest.fixture
def splitstrument(capfd):
    """Runs the real command line in this process; gives (exit status, output, errors)."""

    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        return (caught.value.code, *capfd.readouterr())

    return run


def test_files_folders_and_patterns(folder, splitstrument):
    status, out, _ = splitstrument("separate", "songs", "songs/*.wav", "--model", "model", "-o", "out", "--quiet")
    assert status == 0
    assert out.count("null exact") == 2
    for track, source in (("one", "songs/one.wav"), ("two", "songs/live/two.flac")):
        total = read(f"out/{track}/instrument.wav")[0] + read(f"out/{track}/rest.wav")[0]
        assert np.array_equal(total, read(source)[0])


def test_one_bad_file_does_not_stop_the_others(folder, splitstrument):
    status, _, errors = splitstrument(
        "separate", "text.wav", "nowhere.mp3", "songs/one.wav", "--model", "model", "-o", "out"
    )
    assert status == 1
    assert "text.wav cannot be read as audio" in errors and "nowhere.mp3 cannot be opened" in errors
    assert "Traceback" not in errors
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["one"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["songs/one.wav", "--model", "nothing"], "There is no model 'nothing'"),
        (["songs/one.wav", "--model", "songs"], "no model"),
        (["songs/one.wav", "--stems", "drums"], "There is no stem 'drums'"),
        (["songs/one.wav", "--stems", ","], "--stems takes names"),
        (["songs/one.wav", "--filename", "{stem}.{ext}"], "lacks {track}"),
        (["songs/one.wav", "--filename", "../{track}/{stem}.{ext}"], "leaves the output folder"),
        (["songs/one.wav", "--filename", "{track.__class__}{stem}.{ext}"], "no field"),
        (["songs/one.wav", "--overlap", "2"], "overlap"),
        (["songs/one.wav", "--engine", "magic"], "There is no engine 'magic'"),
        (["songs/one.wav", "--start", "100"], "nothing is left after --start"),
        (["songs/*.xyz"], "No audio file matches"),
        (["model"], "holds no audio files"),
        (["songs/one.wav", "-o", "text.wav"], "is a file, but outputs need a folder"),
        (["songs/one.wav", "songs", "-o", "-"], "one stem of one song"),
        (["songs/one.wav", "--format", "mp3", "-o", "/dev/null/x"], ""),
    ],
)
def test_mistakes_get_one_sentence(folder, splitstrument, arguments, message):
    if "--model" not in arguments:
        arguments = [*arguments, "--model", "model"]
    status, _, errors = splitstrument("separate", *arguments)
    assert status == 1
    assert message in errors and "Traceback" not in errors
    assert len(errors.strip().splitlines()) == 1
    assert not (folder / "stems").exists()


def test_existing_outputs(folder, splitstrument):
    arguments = ("separate", "songs/one.wav", "--model", "model", "-o", "out", "--quiet")
    assert splitstrument(*arguments)[0] == 0
    before = (folder / "out/one/instrument.wav").stat().st_mtime_ns
    status, _, errors = splitstrument(*arguments)
    assert status == 1 and "exists already" in errors
    status, out, _ = splitstrument(*arguments, "--skip-existing", "--json")
    assert status == 0 and json.loads(out)["skipped"] == ["songs/one.wav"]
    assert (folder / "out/one/instrument.wav").stat().st_mtime_ns == before
    sidecar = (folder / "out/one/separation.json").read_bytes()
    status, _, errors = splitstrument(*arguments, "--skip-existing", "--format", "flac")
    assert status == 1 and "separation.json is that of other outputs" in errors
    assert (folder / "out/one/separation.json").read_bytes() == sidecar
    (folder / "out/one/separation.json").unlink()  # as a run leaves it that is killed just before
    assert splitstrument(*arguments, "--skip-existing")[0] == 0
    assert (folder / "out/one/separation.json").exists()
    assert splitstrument(*arguments, "--overwrite")[0] == 0


def test_stems_that_became_float_are_skipped_too(folder, splitstrument):
    write(folder / "loud.wav", np.tile(np.float32([[1.0], [-1.0]]), (20000, 2)), 44100, "PCM_16")
    arguments = ("separate", "loud.wav", "--model", "model", "-o", "out", "--format", "flac", "--json", "--quiet")
    _, out, _ = splitstrument(*arguments)
    assert json.loads(out)["songs"][0]["instrument"].endswith(".wav")
    status, out, _ = splitstrument(*arguments, "--skip-existing")
    assert status == 0 and json.loads(out)["skipped"] == ["loud.wav"]


def test_a_name_that_is_no_text_does_not_stop_the_others(folder, splitstrument):
    odd = folder / os.fsdecode(b"songs/caf\xe9.wav")
    odd.write_bytes((folder / "songs/one.wav").read_bytes())
    status, out, errors = splitstrument("separate", "songs", "--model", "model", "-o", "out", "--json")
    assert status == 1 and "caf?.wav is not valid text" in errors
    assert len(json.loads(out)["songs"]) == 2 and list(json.loads(out)["errors"]) == ["songs/caf?.wav"]


def test_two_songs_of_one_name_are_not_mixed_up(folder, rng, splitstrument):
    write(folder / "songs" / "live" / "one.wav", music(rng, 9000), 44100)
    assert splitstrument("separate", "songs", "--model", "model", "-o", "out")[0] == 0
    assert (folder / "out/one/rest.wav").is_file() and (folder / "out/live/one/rest.wav").is_file()
    pattern = "{folder}/{track}-{model}-{stem}.{ext}"
    status, _, _ = splitstrument("separate", "songs", "--model", "model", "-o", "all", "--filename", pattern)
    assert status == 0
    assert (folder / "all/live/one-tiny-rest.wav").is_file() and (folder / "all/songs/one-tiny-rest.wav").is_file()


@pytest.fixture
def shelf(folder, rng):
    """Three songs of one name, one of them in another format beside the other."""
    for name in ("a/song.wav", "a/song.flac", "b/song.wav"):
        write(folder / "shelf" / name, music(rng, 5000), 22050, "PCM_16")
    return folder


@pytest.mark.parametrize(
    ("inputs", "tracks"),
    [
        (["shelf"], ["a/song.flac", "a/song.wav", "b/song.wav"]),
        (["shelf/a"], ["song.flac", "song.wav"]),
        (["shelf/a/song.wav", "shelf/b/song.wav"], ["a/song", "b/song"]),
        (["shelf/*/*.wav"], ["a/song", "b/song"]),
        (["shelf/a/song.wav", "shelf/a/song.flac", "shelf/b/song.wav"], ["a/song.flac", "a/song.wav", "b/song.wav"]),
        (["shelf/b", "shelf/./b/song.wav"], ["song"]),
    ],
)
@pytest.mark.parametrize("filename", ["{track}/{stem}.{ext}", "{model}/{track}_{stem}.{ext}"])
def test_songs_of_one_name_find_places_of_their_own(shelf, splitstrument, inputs, tracks, filename):
    flags = ("--model", "model", "-o", "out", "--filename", filename, "--stems", "rest")
    assert splitstrument("separate", *inputs, *flags)[0] == 0
    rests = sorted(str(path.relative_to(shelf / "out")) for path in (shelf / "out").rglob("*rest.wav"))
    if filename.startswith("{track}"):
        assert rests == [f"{track}/rest.wav" for track in tracks]
    else:
        assert rests == sorted(str(Path(t).parent / "tiny" / Path(t).name) + "_rest.wav" for t in tracks)
    status, out, _ = splitstrument("separate", *inputs, *flags, "--skip-existing", "--json")
    assert status == 0 and len(json.loads(out)["skipped"]) == len(tracks) and json.loads(out)["songs"] == []
    for sidecar in (shelf / "out").rglob("*separation.json"):
        assert splitstrument("rerun", sidecar, "-o", "again", "--overwrite")[0] == 0


def test_what_is_skipped_is_what_the_sidecar_says(shelf, splitstrument):
    def run(song, *flags):
        arguments = ("separate", song, "--model", "model", "-o", "out", "--json", "--quiet", "--skip-existing", *flags)
        status, out, errors = splitstrument(*arguments)
        return status, [song["rest"] for song in json.loads(out)["songs"]], errors

    assert run("shelf/a/song.wav")[:2] == (0, ["out/song/rest.wav"])
    assert run("shelf/b/song.wav")[:2] == (0, ["out/b/song/rest.wav"])
    assert run("shelf/a/song.flac")[:2] == (0, ["out/a/song/rest.wav"])
    for song in ("a/song.wav", "b/song.wav", "a/song.flac"):
        assert run(f"shelf/{song}")[:2] == (0, [])
        assert run(f"shelf/{song}", "--threads", 1, "--stems", "rest")[:2] == (0, [])
        for flags in (("--strength", 2), ("--overlap", 0.5), ("--start", 0.1), ("--gate", -20), ("--keep-mask",)):
            status, done, errors = run(f"shelf/{song}", *flags)
            assert (status, done) == (1, []) and "is that of other outputs" in errors
    (shelf / "shelf/a/song.wav").write_bytes((shelf / "songs/one.wav").read_bytes())  # another song of this name
    for made in (["out/song.wav/rest.wav"], []):
        status, done, errors = run("shelf/a/song.wav")
        assert (status, done) == (0, made)
        assert "shelf/a/song.wav was changed since out/song/separation.json was written" in errors
    assert "was changed" not in run("shelf/b/song.wav")[2]


def test_another_model_is_not_skipped(shelf, splitstrument):
    tiny_model(shelf / "other", tiny_settings(n_frames=32))
    flags = ("shelf/b", "-o", "out", "--skip-existing", "--quiet")
    assert splitstrument("separate", *flags, "--model", "model")[0] == 0
    status, _, errors = splitstrument("separate", *flags, "--model", "other")
    assert status == 1 and "is that of other outputs" in errors


@pytest.mark.parametrize("filename", ["{track}/{stem}.{ext}", "{stem}/{track}.{ext}", "{track} ({stem}).{ext}"])
@pytest.mark.parametrize("output", [".", "stems", "live"])
def test_a_folder_does_not_take_its_own_outputs(folder, splitstrument, monkeypatch, filename, output):
    monkeypatch.chdir(folder / "songs")
    flags = ("--model", "../model", "-o", output, "--filename", filename)
    assert splitstrument("separate", ".", *flags, "--quiet")[0] == 0
    before = sorted(Path().rglob("*"))
    status, out, errors = splitstrument("separate", ".", *flags, "--skip-existing", "--json")
    assert status == 0 and len(json.loads(out)["skipped"]) == 2 and sorted(Path().rglob("*")) == before
    assert "4 stems of earlier separations were left out" in errors


def test_outputs_are_taken_where_they_are_named(folder, splitstrument):
    flags = ("--model", "model", "--quiet", "-o")
    assert splitstrument("separate", "songs", *flags, "stems")[0] == 0
    status, _, errors = splitstrument("separate", "stems", *flags, "out")
    assert status == 1 and "no audio files but the outputs of earlier separations: name them" in errors
    assert splitstrument("separate", "stems/one/rest.wav", *flags, "out")[0] == 0
    assert splitstrument("separate", "stems/*/rest.wav", *flags, "all")[0] == 0
    assert (folder / "all/one/rest/rest.wav").is_file() and (folder / "all/two/rest/instrument.wav").is_file()


def test_names_by_tags(folder, rng, splitstrument):
    for name, tags in {
        "a": {"artist": "AC/DC", "album": "Live: 1992", "title": "T.N.T.", "tracknumber": "3/12"},
        "b": {},
    }.items():
        with soundfile.SoundFile(folder / f"{name}.flac", "w", 22050, 1) as file:
            for key, value in tags.items():
                setattr(file, key, value)
            file.write(music(rng, 3000, 1))
    pattern = "{artist}/{album}/{number} {title} - {stem}.{ext}"
    assert splitstrument("separate", "a.flac", "b.flac", "--model", "model", "-o", "out", "--filename", pattern)[0] == 0
    assert (folder / "out/AC_DC/Live_ 1992/03 T.N.T - rest.wav").is_file()
    assert (folder / "out/Unknown artist/Unknown album/00 b - rest.wav").is_file()
    for sidecar in (folder / "out").rglob("*.json"):
        assert splitstrument("rerun", sidecar)[0] == 0


def test_links_that_lead_nowhere_or_round_in_circles(folder, splitstrument, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "three.wav").write_bytes((folder / "songs/one.wav").read_bytes())
    for name, target in {
        "loop.wav": "loop.wav",
        "gone.wav": "nowhere.wav",
        "folder": ".",
        "up": "..",
        "more": elsewhere,
    }.items():
        (folder / "songs" / name).symlink_to(target)
    (folder / "songs" / "take.xyz.mogg").write_bytes(b"x")
    status, out, errors = splitstrument("separate", "songs", "--model", "model", "-o", "out", "--json")
    assert status == 1 and sorted(Path(song["song"]).name for song in json.loads(out)["songs"]) == [
        "one.wav", "three.wav", "two.flac"]  # fmt: skip
    assert sorted(Path(path).name for path in json.loads(out)["errors"]) == ["gone.wav", "loop.wav", "take.xyz.mogg"]
    for song in ("songs/loop.wav", "songs/*.wav"):
        status, _, errors = splitstrument(
            "separate", song, "songs/one.wav", "--model", "model", "-o", "two", "--overwrite"
        )
        assert status == 1 and "loop.wav is a link that leads nowhere" in errors
        assert (folder / "two/one/rest.wav").is_file()
    status, out, _ = splitstrument("separate", "songs/**/*.wav", "--model", "model", "-o", "three", "--json")
    assert len(json.loads(out)["songs"]) == 2  # each once, however many ways lead there


@pytest.mark.parametrize("content", [b"", b"no sound " * 999, None])
def test_standard_input_is_called_so(folder, content):
    audio = (folder / "songs/one.wav").read_bytes() if content is None else content
    command = [sys.executable, "-m", "splitstrument", "separate", "-", "--model", "model", "-o", "out"]
    done = subprocess.run([*command, "--json"], input=audio, capture_output=True, timeout=60)
    text = done.stdout.decode() + done.stderr.decode()
    assert tempfile.gettempdir() + "/splitstrument" not in text and "Standard input" in text
    assert done.returncode == (0 if content is None else 1)
    if content is None:
        sidecar = (folder / "out/stdin/separation.json").read_text()
        assert json.loads(sidecar)["song"]["path"] == "Standard input" and "/splitstrument-" not in sidecar


def test_a_dry_run_does_nothing(folder, splitstrument):
    status, out, _ = splitstrument("separate", "songs", "text.wav", "--model", "model", "--dry-run", "--json")
    plan = json.loads(out)
    assert status == 1 and len(plan["songs"]) == 2 and "text.wav" in plan["errors"]
    assert plan["songs"][0]["outputs"][0].endswith("instrument.wav")
    assert not (folder / "stems").exists()


def test_json_describes_what_was_done(folder, splitstrument):
    status, out, _ = splitstrument("separate", "songs/one.wav", "--model", "model", "-o", "out", "--json", "--quiet")
    (song,) = json.loads(out)["songs"]
    assert status == 0
    assert song["null_db"] == "exact" and song["n_samples"] == 30000 and song["subtype"] == "PCM_16"
    assert set(song["stems"]) == set(song["activity"]) == {"instrument", "rest"}
    assert set(song["activity"]["instrument"]) == {"audible_share", "confidence", "dbfs", "expected_sdr_db"}


def test_parts_stems_and_formats(folder, splitstrument):
    arguments = ("--start", 0.1, "--duration", 0.2, "--format", "flac", "--stems", "rest", "--strength", 2)
    status, _, _ = splitstrument("separate", "songs/one.wav", "--model", "model", "-o", "out", *arguments)
    assert status == 0
    assert sorted(path.name for path in (folder / "out/one").iterdir()) == ["rest.flac", "separation.json"]
    assert probe("out/one/rest.flac").n_samples == 8820


def test_standard_input_and_output(folder):
    arguments = ["separate", "-", "-o", "-", "--stems", "rest", "--model", "model"]
    song = (folder / "songs/one.wav").read_bytes()
    run = subprocess.run([sys.executable, "-m", "splitstrument", *arguments], input=song, capture_output=True)
    assert run.returncode == 0, run.stderr
    (folder / "piped.wav").write_bytes(run.stdout)
    CliRunner().invoke(command.separate, ["songs/one.wav", "--model", "model", "-o", "out"])
    assert run.stdout == (folder / "out/one/rest.wav").read_bytes()
    empty = subprocess.run([sys.executable, "-m", "splitstrument", *arguments], input=b"", capture_output=True)
    assert empty.returncode == 1 and b"empty" in empty.stderr and not empty.stdout


def test_workers_give_the_same_bytes(folder, splitstrument):
    splitstrument("separate", "songs", "--model", "model", "-o", "a", "--quiet")
    status, _, errors = splitstrument("separate", "songs", "text.wav", "--model", "model", "-o", "b", "--jobs", 2)
    assert status == 1 and "text.wav" in errors
    for name in ("one/rest.wav", "two/instrument.wav"):
        assert (folder / "a" / name).read_bytes() == (folder / "b" / name).read_bytes()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interruption_leaves_no_partial_file(folder, splitstrument, monkeypatch, sign):
    monkeypatch.setattr(command._Advance, "__call__", lambda *_: os.kill(os.getpid(), sign))
    status, _, errors = splitstrument("separate", "songs", "--model", "model", "-o", "out")
    assert status == 130 and "nothing half-written" in errors
    assert not (folder / "out").exists()


def test_rerun_gives_the_same_bytes(folder, splitstrument):
    options = ("--overlap", 0.5, "--strength", 1.3, "--floor", -40, "--cleanup", 0.5, "--dry", 0.1, "--keep-mask")
    splitstrument("separate", "songs/one.wav", "--model", "model", "-o", "out", *options)
    sidecar = json.loads((folder / "out/one/separation.json").read_text())
    assert sidecar["song"]["path"] == "../../songs/one.wav"
    assert set(sidecar["outputs"]) == {"instrument", "rest", "mask"}
    assert str(folder) not in json.dumps(sidecar["options"])
    with zipfile.ZipFile(folder / "out/one/mask.zip") as mask:  # a time of day would differ next time
        assert {entry.date_time for entry in mask.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    status, out, _ = splitstrument("rerun", "out/one/separation.json", "-o", "again")
    assert status == 0 and out.count("the same bytes") == 3
    assert (folder / "again/one/rest.wav").read_bytes() == (folder / "out/one/rest.wav").read_bytes()


def test_rerun_replaces_nothing_unasked(folder, splitstrument):
    splitstrument("separate", "songs/one.wav", "--model", "model", "-o", "out")
    splitstrument("separate", "songs/one.wav", "--model", "model", "-o", "strong", "--strength", 2)
    before = (folder / "strong/one/instrument.wav").read_bytes()
    status, _, errors = splitstrument("rerun", "out/one/separation.json", "-o", "strong")
    assert status == 1 and "exists already: give --overwrite" in errors
    assert (folder / "strong/one/instrument.wav").read_bytes() == before
    assert splitstrument("rerun", "out/one/separation.json", "-o", "strong", "--overwrite")[0] == 0
    assert (folder / "strong/one/instrument.wav").read_bytes() == (folder / "out/one/instrument.wav").read_bytes()


def test_rerun_refuses_another_song_or_model(folder, splitstrument):
    splitstrument("separate", "songs/one.wav", "--model", "model", "-o", "out")
    status, _, errors = splitstrument("rerun", "out/one/separation.json", "--song", "songs/live/two.flac")
    assert status == 1 and "is not the file" in errors
    tiny_model(folder / "other", kernel=np.ones((3, 3), np.float32))
    status, _, errors = splitstrument("rerun", "out/one/separation.json", "--model", "other")
    assert status == 1 and "is not the model" in errors
    (folder / "songs/one.wav").unlink()
    status, _, errors = splitstrument("rerun", "out/one/separation.json")
    assert status == 1 and "--song" in errors
    (folder / "bad.json").write_text('{"format": 1')
    status, _, errors = splitstrument("rerun", "bad.json")
    assert status == 1 and "is no JSON" in errors


def test_models_list_and_show(folder, splitstrument):
    tiny_model(folder / "runs" / "mine", tiny_settings(target="piano"))
    status, out, _ = splitstrument("models", "list", "--json")
    assert status == 0 and "piano" in [model["model"]["target"] for model in json.loads(out)]
    status, out, _ = splitstrument("models", "show", "runs/mine")
    assert status == 0 and "piano" in out and "(checked)" in out
    (folder / "runs" / "mine" / "model.onnx").write_bytes(b"damaged")
    status, _, errors = splitstrument("models", "show", "mine")
    assert status == 1 and "damaged or was changed" in errors


def test_help_has_examples_and_loads_no_tensorflow():
    script = (
        "import sys\n"
        "from splitstrument.cli import main\n"
        "try: main(['separate', '--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('tensorflow', 'keras', 'onnxruntime', 'librosa') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Examples:" in run.stdout and run.stdout.strip().endswith("[]")


def test_separating_loads_no_tensorflow(folder):
    script = (
        "import sys\n"
        "from splitstrument.cli import main\n"
        "try: main(['separate', 'songs/one.wav', '--model', 'model'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print([name for name in ('tensorflow', 'keras', 'librosa', 'scipy', 'matplotlib') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip().endswith("[]")


@pytest.mark.parametrize("stems", ["guitar,rest", "rest, Guitar", "instrument,guitar,rest"])
def test_the_instrument_may_be_called_by_its_name(folder, splitstrument, stems):
    flags = ("--model", "model", "--quiet")
    assert splitstrument("separate", "songs/one.wav", *flags, "-o", "a", "--stems", stems)[0] == 0
    assert sorted(path.name for path in (folder / "a/one").iterdir()) == [
        "instrument.wav",
        "rest.wav",
        "separation.json",
    ]
    assert splitstrument("separate", "songs/one.wav", *flags, "-o", "b", "--stems", "guitar")[0] == 0
    assert sorted(path.name for path in (folder / "b/one").iterdir()) == ["instrument.wav", "separation.json"]
    status, _, errors = splitstrument("separate", "songs/one.wav", *flags, "-o", "c", "--stems", "piano,rest")
    assert status == 1 and "instrument (or guitar, which this model takes out) and rest" in errors


def test_several_instruments(folder, splitstrument):
    settings = band_settings(("guitar", "piano", "bass"))
    tiny_model(folder / "band", settings, band_kernel(settings))
    separate = ("separate", "songs/one.wav", "--model", "./band", "-o", "out", "--quiet")
    status, out, _ = splitstrument(*separate)
    assert (
        status == 0
        and "guitar.wav + out/one/piano.wav + out/one/bass.wav + out/one/rest.wav  (PCM_16, null exact" in out
    )
    assert splitstrument("rerun", "out/one/separation.json", "--quiet")[0] == 0
    _, out, _ = splitstrument(*separate, "--stems", "Guitar, rest", "--overwrite", "--json")
    assert list(json.loads(out)["songs"][0]["stems"]) == ["guitar", "rest"]
    total = sum(soundfile.read(f"out/one/{stem}.wav", dtype="int16")[0] for stem in ("guitar", "rest"))
    assert np.array_equal(total, soundfile.read("songs/one.wav", dtype="int16")[0])
    status, _, errors = splitstrument(*separate, "--stems", "instrument")
    assert status == 1 and "There is no stem 'instrument': this model gives guitar, piano, bass and rest" in errors


def test_times_by_the_clock(folder, splitstrument):
    write(folder / "long.wav", np.zeros((22050 * 70, 1), np.float32), 22050, "PCM_16")
    flags = ("--model", "model", "--quiet", "--json")
    for start, seconds in (("1:05", 5), ("0:01:05.5", 4.5), ("65", 5), ("01:05.", 5)):
        _, out, _ = splitstrument("separate", "long.wav", *flags, "-o", f"at {start}", "--start", start)
        assert json.loads(out)["songs"][0]["duration_s"] == pytest.approx(seconds)
    _, out, _ = splitstrument("separate", "long.wav", *flags, "-o", "for", "--duration", "1:01")
    assert json.loads(out)["songs"][0]["duration_s"] == 61
    for wrong in ("1:75", "1:2:3:4", ":30", "1:", "-1:30", "1:-3", "one:30", "nan", "inf", "-1", "1:1e1", "\u0661:30"):
        assert splitstrument("separate", "long.wav", "--model", "model", "--start", wrong)[0] == 2
