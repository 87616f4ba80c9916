"""The dataset commands as a user runs them, one after another on one folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from stem_data import RATE, make_cambridge, make_medleydb, make_rockband, tone, write_tone

from splitstrument import audio
from splitstrument.cli import cli, main
from splitstrument.pairs import find_pairs


def run(*arguments, ok=True) -> str:
    result = CliRunner().invoke(cli, ["dataset", *map(str, arguments)])
    assert (result.exit_code == 0) == ok, result.output
    return result.stdout


def errors(capsys, *arguments) -> str:
    with pytest.raises(SystemExit) as end:
        main(["dataset", *map(str, arguments)])
    assert end.value.code == 1
    text = capsys.readouterr().err
    assert len(text.strip().splitlines()) == 1
    return text


def test_every_command_has_help_with_an_example():
    for name in ("sources", "organise", "names", "marks", "mix", "silence", "build"):
        assert f"splitstrument dataset {name}" in run(name, "--help")


def test_from_raw_stems_to_pairs_by_hand(tmp_path):
    raw, stems, pairs = make_rockband(tmp_path / "raw"), tmp_path / "stems", tmp_path / "pairs"
    assert "Band - Song" in run("organise", "rockband", raw, "-o", stems, "--dry-run")
    assert not stems.exists()
    assert json.loads(run("organise", "rockband", raw, "-o", stems, "--json"))["tracks"] == 2
    marks = tmp_path / "marks.yaml"
    marks.write_text("Band - Song: {checked: true}\nNot here: {checked: true}\n")
    assert "not there: Not here" in run("marks", "import", stems, marks, "--class", "guitar")
    preview = json.loads(run("mix", stems, "--target", "guitar", "-o", pairs, "--dry-run", "--json"))
    assert preview == {"Band - Song": "would be mixed", "Other - Song": "guitar is not marked checked"}
    assert not pairs.exists()
    run("mix", stems, "--target", "guitar", "-o", pairs, "--rate", "8000", "--format", "wav")
    (pair,) = find_pairs(pairs)
    assert audio.probe(pair.rest).subtype == "FLOAT"
    run("marks", "export", stems, tmp_path / "again.yaml", "--class", "guitar")
    assert yaml.safe_load((tmp_path / "again.yaml").read_text())["Band - Song"]["checked"] is True
    counts = json.loads(run("marks", "count", tmp_path / "again.yaml", "--json"))
    assert (counts["n_usable"], counts["n_tracks"]) == (1, 1)


def test_silence_prints_both_histograms_and_draws_them(tmp_path):
    pytest.importorskip("matplotlib")
    samples = np.concatenate([tone(200, 1.0), 0 * tone(200, 4.0)])
    for name, stem in (("instrument", samples), ("rest", tone(90, 5.0))):
        audio.write(tmp_path / "pairs" / "song" / f"{name}_song.wav", stem, 8000)
    text = run("silence", tmp_path / "pairs", "-o", tmp_path / "less", "--plot", tmp_path / "plot.png")
    rows = [line.split()[:6] for line in text.splitlines()[1:11]]
    assert rows[8][4:6] == ["1", "0"]  # 80 - 90 % silent before
    assert rows[0][4:6] == ["0", "1"]
    assert (tmp_path / "plot.png").stat().st_size > 5000
    (pair,) = find_pairs(tmp_path / "less")
    assert audio.probe(pair.instrument).n_samples == audio.probe(pair.rest).n_samples == 8000 + 160
    again = run("silence", tmp_path / "pairs", "-o", tmp_path / "unused", "--dry-run", "--json")
    assert json.loads(again)["tracks"]["song"]["n_cuts"] == 1
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize("name", ["plot.txt", "plot"])
@pytest.mark.parametrize("command", [("stats", "{pairs}"), ("silence", "{pairs}", "-o", "{out}")])
def test_a_plot_that_is_no_picture_is_refused_before_any_work(tmp_path, name, command):
    for part in ("instrument", "rest"):
        audio.write(tmp_path / "pairs" / "song" / f"{part}_song.wav", tone(90, 1.0), 8000)
    places = {"pairs": tmp_path / "pairs", "out": tmp_path / "out"}
    arguments = [argument.format(**places) for argument in command]
    result = CliRunner().invoke(cli, ["dataset", *arguments, "--plot", str(tmp_path / name)])
    assert result.exit_code == 2 and f"{name}' names no picture: end it in .png or .svg or .pdf" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs"]


def test_names_proposes_for_a_folder(tmp_path):
    guesses = json.loads(run("names", make_cambridge(tmp_path) / "Band_Tune_Full", "--json"))
    assert [guess["stem_class"] for guess in guesses] == ["drums", "guitar", "piano", "vocals"]


def test_sources_lists_describes_and_looks(tmp_path):
    assert "Slakh2100" in run("sources")
    assert json.loads(run("sources", "medleydb", "--json"))[0]["licence"] == "CC BY-NC-SA 4.0"
    text = run("sources", "medleydb", make_medleydb(tmp_path))
    assert "2 tracks, 2 of them whole" in text
    assert "guitar: 1" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mix", "{stems}", "--target", "piano", "-o", "{out}"), "No stem has the class 'piano'"),
        (("mix", "{stems}", "--target", "guitar", "-o", "{out}"), "--unchecked takes tracks without marks"),
        (("mix", "{empty}", "--target", "guitar", "-o", "{out}"), "holds no organised track"),
        (("mix", "{stems}", "--target", "guitar", "--unchecked", "--rate", "0", "-o", "{out}"), "equal to 1000"),
        (("silence", "{empty}", "-o", "{out}"), "holds no pairs"),
        (("silence", "{empty}", "--to", "3", "-o", "{out}"), "'to'"),
        (("marks", "export", "{empty}", "{out}", "--class", "guitar"), "holds no organised track"),
        (("marks", "export", "{stems}", "{out}", "--class", "guitarr"), "did you mean 'guitar'?"),
        (("marks", "import", "{stems}", "{out}", "--class", "guitarr"), "did you mean 'guitar'?"),
        (("check", "{stems}", "--target", "gitar"), "'gitar': the classes here are"),
        (("check", "{stems}", "--target", "gitar", "--dry-run"), "did you mean 'guitar'?"),
        (("silence", "{empty}", "-o", "{out}", "--min-silence", "inf"), "finite number (received inf)"),
        (("organise", "nothing", "{empty}", "-o", "{out}"), "There is no source 'nothing'"),
        (("organise", "rockband", "{empty}", "-o", "{out}"), "expected <any folders>/<song>"),
        (("build", "no_such_recipe"), "There is no recipe 'no_such_recipe'"),
    ],
)
def test_mistakes_get_one_sentence(tmp_path, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    run("organise", "rockband", make_rockband(tmp_path / "raw"), "-o", tmp_path / "stems")
    places = {name: str(tmp_path / name) for name in ("stems", "empty", "out")}
    assert message in errors(capsys, *(argument.format(**places) for argument in arguments))


def test_organise_says_what_stems_of_unknown_names_sound_like(tmp_path):
    write_tone(tmp_path / "raw" / "Song" / "guitar.wav", 220.0)
    for name, samples in (("xyzzy", np.zeros((RATE, 1))), ("plugh", tone(110.0, 3.0))):
        audio.write(tmp_path / "raw" / "Song" / f"{name}.wav", samples.astype(np.float32), RATE, "FLOAT")
    arguments = ("organise", "folders", tmp_path / "raw", "-o", tmp_path / "stems", "--json")
    assert "by_content" not in json.loads(run(*arguments))
    sounds = json.loads(run(*arguments, "--by-content"))["by_content"]
    assert sounds.keys() == {"Song/excluded/plugh.wav", "Song/excluded/xyzzy.wav"}
    assert sounds["Song/excluded/xyzzy.wav"] == "holds nothing that is recognised"
    assert re.fullmatch(r"sounds like .+ \(\d+%\): .+ move it to Song/\w+", sounds["Song/excluded/plugh.wav"])
    assert (tmp_path / "stems" / "Song" / "excluded" / "plugh.wav").is_file()


def test_organise_fails_when_a_track_is_left_out_and_mix_does_not_take_it(tmp_path, capsys):
    raw = make_rockband(tmp_path / "raw")
    (raw / "Other - Song" / "06 - Vocals.wav").write_text("no audio")
    text = errors(capsys, "organise", "rockband", raw, "-o", tmp_path / "stems", "--quiet")
    assert "Tracks left out: 1, the first of them Other - Song" in text
    assert "get their files again" in text
    assert json.loads(run("organise", "rockband", raw, "-o", tmp_path / "stems", "--json", ok=False))["tracks"] == 1
    run("mix", tmp_path / "stems", "--target", "guitar", "--unchecked", "--rate", "8000", "-o", tmp_path / "pairs")
    assert [pair.name for pair in find_pairs(tmp_path / "pairs")] == ["Band - Song"]


@pytest.mark.slow
def test_memory_is_flat_for_a_track_of_three_hours(tmp_path):
    """Mixing and cutting three hours takes hardly more memory than three minutes."""
    peaks = []
    for minutes in (3, 180):
        folder = tmp_path / f"{minutes}" / "stems" / "song"
        for name in ("guitar/a.flac", "other/b.flac"):
            with audio.AudioWriter(folder / name, 8000, 1, "PCM_16") as writer:
                for minute in range(minutes):
                    writer.write(tone(300, 60.0) * (minute % 2 or name.startswith("other")))
        script = Path(__file__).parents[2] / "benchmarks" / "datasets.py"
        command = [sys.executable, str(script), "--one", str(tmp_path / f"{minutes}")]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
        (pair,) = find_pairs(tmp_path / f"{minutes}" / "out", 22050)
        assert audio.probe(pair.instrument).duration_s == audio.probe(pair.rest).duration_s
    assert peaks[1] < 1.3 * peaks[0]


def test_unwritable_output_is_one_sentence(tmp_path, capsys):
    write_tone(tmp_path / "raw" / "Song" / "guitar.wav")
    write_tone(tmp_path / "raw" / "Song" / "song.wav")
    (tmp_path / "file").write_text("in the way")
    assert "file" in errors(capsys, "organise", "rockband", tmp_path / "raw", "-o", tmp_path / "file" / "stems")
