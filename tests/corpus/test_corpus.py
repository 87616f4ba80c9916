"""Whole corpora through the real fluidsynth and MMA, and the excerpts that ship."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from click.testing import CliRunner
from corpus_data import cli, needs_fluidsynth, needs_mma, write_recipe

from splitstrument.corpus import catalogue, charts, mma, parts
from splitstrument.corpus.draws import stream
from splitstrument.errors import SettingsError
from splitstrument.pairs import check_pair, find_pairs

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "datasets" / "sample" / "rendered"


def hashes(folder: Path) -> dict[str, str]:
    (path,) = (folder / "records").glob("*.json")
    return json.loads(path.read_text())["files"]


@needs_fluidsynth
def test_render_is_deterministic_resumable_and_sums(tmp_path, ingredients):
    recipe = write_recipe(tmp_path / "tiny.yaml")
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        done = cli("dataset", "render", recipe, "-o", folder, "--ingredients", ingredients, "--quiet", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["made"] == 1
    assert hashes(folders[0]) == hashes(folders[1])

    again = cli("dataset", "render", recipe, "-o", folders[0], "--ingredients", ingredients, "--quiet", "--json")
    assert json.loads(again.stdout)["kept"] == 1
    before = hashes(folders[0])
    flags = ("-o", folders[1], "--ingredients", ingredients, "--quiet", "--json")
    other = cli("dataset", "render", recipe, "--without", "space", *flags)
    assert json.loads(other.stdout)["made"] == 1  # another recipe: not the same track
    assert hashes(folders[1]).keys() == before.keys()
    assert hashes(folders[1]) != before

    stems = [soundfile.read(path, dtype="int16")[0].astype(int) for path in (folders[0] / "stems").rglob("*.flac")]
    for target in ("guitar", "piano"):
        (pair,) = find_pairs(folders[0] / target)
        assert check_pair(pair).sample_rate_hz == 22_050
        halves = [soundfile.read(path, dtype="int16")[0].astype(int) for path in (pair.instrument, pair.rest)]
        assert np.array_equal(sum(halves), sum(stems))
        assert np.abs(halves[0]).max() > 500
        assert yaml.safe_load((folders[0] / target / "passport.yaml").read_text())["target"] == target


@needs_fluidsynth
@pytest.mark.parametrize(
    "step", ["amplifiers", "humanise", "equaliser", "space", "levels", "master", "plucked_strings"]
)
def test_a_step_that_is_switched_off_changes_the_sound_and_nothing_else(tmp_path, ingredients, step):
    from splitstrument.corpus import arrange, track
    from splitstrument.corpus.recipe import CorpusRecipe
    from splitstrument.settings import load_settings

    def band(settings: CorpusRecipe):
        (plan,) = arrange.plan_tracks(settings, ingredients, 1)
        return plan, arrange.arrange(plan, settings, ingredients)

    def mix(settings: CorpusRecipe) -> np.ndarray:
        plan, players = band(settings)
        sounds = [track.player_sound(player, plan, settings, ingredients) for player in players]
        return sum(stem.astype(int) for stem in track.mix_down(players, sounds, plan, settings))

    recipe = load_settings(write_recipe(tmp_path / "tiny.yaml"), CorpusRecipe).settings
    # a seed that gives the guitar an amplifier and strings of our own, so that every step has something to do
    candidates = (recipe.model_copy(update={"seed": seed}) for seed in range(100))
    recipe = next(r for r in candidates if any(p.amplifier and p.kind == "strings" for p in band(r)[1]))
    without = recipe.model_copy(update={"realism": recipe.realism.model_copy(update={step: False})})
    assert [(p.name, p.takes) for p in band(recipe)[1]] == [(p.name, p.takes) for p in band(without)[1]]
    full, plain = mix(recipe), mix(without)
    size = min(len(full), len(plain))
    assert not np.array_equal(full[:size], plain[:size])


@needs_fluidsynth
def test_the_dataset_tools_make_the_same_pairs_from_the_stems(tmp_path, ingredients):
    recipe = write_recipe(tmp_path / "tiny.yaml")
    cli("dataset", "render", recipe, "-o", tmp_path / "out", "--ingredients", ingredients, "--quiet")
    made = cli(
        "dataset", "mix", tmp_path / "out" / "stems", "--target", "guitar", "-o", tmp_path / "mixed",
        "--rate", "22050", "--channels", "mono", "--unchecked",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    (ours,), (theirs,) = find_pairs(tmp_path / "out" / "guitar"), find_pairs(tmp_path / "mixed")
    sounds = [
        tuple(soundfile.read(path)[0] for path in files)
        for files in ((ours.instrument, theirs.instrument), (ours.rest, theirs.rest))
    ]
    gain = np.dot(*sounds[0]) / np.dot(sounds[0][0], sounds[0][0])  # the guard against clipping: one for both files
    assert 0.5 < gain < 1.01
    assert all(np.abs(gain * one - other).max() < 1e-4 for one, other in sounds)


@needs_fluidsynth
def test_one_bad_song_does_not_stop_the_others(tmp_path, ingredients):
    (ingredients / "freedoom" / "broken.mid").write_bytes(b"no midi")
    recipe = write_recipe(tmp_path / "tiny.yaml", excerpts={"broken": 0.0, "song": 0.0}, keep_stems=False)
    done = cli("dataset", "render", recipe, "-o", tmp_path / "out", "--ingredients", ingredients, "--quiet")
    assert done.returncode == 0
    assert "broken is no readable MIDI file" in done.stderr
    assert len(find_pairs(tmp_path / "out" / "guitar")) == 1


def test_dry_run_states_disk_and_packages_and_writes_nothing(tmp_path):
    out = tmp_path / "out"
    done = cli("dataset", "render", ROOT / "datasets" / "corpus.yaml", "-o", out, "--dry-run", "--json", "--hours", "1")
    said = json.loads(done.stdout)
    assert done.returncode == 0
    assert said["tracks"] == 22
    assert said["disk_mb"] > 100
    assert "freedoom" in said["packages"]
    assert not out.exists()


def test_without_refuses_unknown_steps(tmp_path):
    done = cli("dataset", "render", ROOT / "datasets" / "corpus.yaml", "--without", "magic", "--dry-run")
    assert done.returncode == 1
    assert "--without magic is no step" in done.stderr


@pytest.mark.parametrize("scale", ["inf", "nan", "0", "-1", "1e9"])
def test_hours_have_limits_however_they_are_given(scale):
    from splitstrument.cli.dataset_render import render

    result = CliRunner().invoke(render, [str(ROOT / "datasets" / "corpus.yaml"), "--dry-run", "--scale", scale])
    assert result.exit_code == 2 or (isinstance(result.exception, SettingsError) and "'hours'" in str(result.exception))


@pytest.mark.parametrize("flag", ["--scale", "--track-s", "--seed"])
@pytest.mark.parametrize("value", ["inf", "nan", "-1", "-5"])
def test_a_dry_run_refuses_stand_ins_that_cannot_be_made(flag, value):
    from splitstrument.cli.dataset_render import stand_ins

    result = CliRunner().invoke(stand_ins, ["--dry-run", flag, value])
    assert result.exit_code == 2 and f"Invalid value for '{flag}'" in result.output


@needs_mma
def test_every_fortieth_groove_file_plays_our_charts():
    for index, grooves in enumerate(mma.groove_files()[::40]):
        rng = stream(index, "chart")
        chart = charts.compose_chart("song", rng, 60.0)
        score = mma.play(mma.chart_text(chart, grooves, rng), grooves.name)
        beats = score.end_s * chart.tempo / 60 / chart.n_bars
        assert score.parts
        assert abs(beats - round(beats)) < 0.15 or beats > 2  # where our own parts find their bars
        assert parts.Grid(chart, max(2, round(beats))).bar_s(1) > 0


@needs_mma
def test_no_groove_file_is_in_two_parts():
    by_part = {part: {f.name for f in mma.groove_files() if catalogue.part_of(f.name) == part} for part in
               ("train", "validation", "test")}  # fmt: skip
    assert sum(map(len, by_part.values())) == len(mma.groove_files())
    assert min(map(len, by_part.values())) > 10


def test_the_excerpts_that_ship_are_small_whole_and_licensed():
    size = sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file())
    assert size < 3_000_000
    text = (SAMPLE / "LICENSES.txt").read_text()
    assert "Freedoom" in text
    assert "Frank Wen" in text
    for target in ("guitar", "piano"):
        pairs = find_pairs(SAMPLE / target)
        assert len(pairs) == 2
        mixes = [sum(soundfile.read(path)[0] for path in (pair.instrument, pair.rest)) for pair in pairs]
        assert all(np.abs(mix).max() <= 1.0 and 10 < len(mix) / 22_050 < 16 for mix in mixes)


def test_guitar_and_piano_pairs_of_a_song_are_the_same_mixture():
    for guitar, piano in zip(find_pairs(SAMPLE / "guitar"), find_pairs(SAMPLE / "piano"), strict=True):
        mixes = [
            sum(soundfile.read(path, dtype="int16")[0].astype(int) for path in (pair.instrument, pair.rest))
            for pair in (guitar, piano)
        ]
        assert np.array_equal(*mixes)


@needs_fluidsynth
def test_a_pure_rendering_has_a_silent_rest(tmp_path, ingredients):
    recipe = write_recipe(tmp_path / "tiny.yaml", pure=True, targets=["piano"], keep_stems=False)
    out = tmp_path / "out"
    done = cli("dataset", "render", recipe, "-o", out, "--ingredients", ingredients, "--quiet")
    assert done.returncode == 0, done.stderr
    (pair,) = find_pairs(out / "piano")
    assert not soundfile.read(pair.rest)[0].any()
    assert np.abs(soundfile.read(pair.instrument)[0]).max() > 0.05


def test_stand_ins_have_the_shape_of_the_published_datasets():
    done = cli("dataset", "stand-ins", "--scale", "0.1", "--dry-run", "--json")
    assert json.loads(done.stdout) == {
        "recorded_guitar": 71, "recorded_guitar_less_silence": 71,
        "recorded_piano": 17, "recorded_piano_less_silence": 16,
        "synthesized_piano": 30, "pure_guitar": 7, "pure_piano": 8,
    }  # fmt: skip
    wrong = cli("dataset", "stand-ins", "recorded_drums")
    assert wrong.returncode == 1
    assert "is no dataset of the thesis" in wrong.stderr


def test_silence_is_cut_and_held_out_tracks_follow(tmp_path):
    from splitstrument.files import write_yaml
    from splitstrument.reproduction import rendered_stand_ins

    rng = np.random.default_rng(3)
    source = tmp_path / "recorded_piano"
    for name, silent_s in (("full", 0), ("half", 5), ("empty", 10)):
        sound = rng.normal(0, 0.1, (10 * 22_050, 1))
        sound[: silent_s * 22_050] = 0
        folder = source / "tracks_22050hz" / name
        folder.mkdir(parents=True)
        for role, audio in (("instrument", sound), ("rest", rng.normal(0, 0.1, sound.shape))):
            soundfile.write(folder / f"{role}_{name}.flac", audio, 22_050)
    write_yaml(source / "evaluation.yaml", ["empty", "half"])
    (piano,) = [s for s in rendered_stand_ins.STAND_INS if s.name == "recorded_piano_less_silence"]
    names = rendered_stand_ins.build_stand_in(piano, 0.1, 10.0, 0, tmp_path, tmp_path)
    assert names == ["full", "half"]
    folder = tmp_path / "recorded_piano_less_silence"
    assert yaml.safe_load((folder / "evaluation.yaml").read_text()) == ["half"]
    lengths = {pair.name: soundfile.info(pair.instrument).duration for pair in find_pairs(folder)}
    assert lengths["full"] == 10
    assert lengths["half"] < 7.5


@needs_fluidsynth
def test_a_run_that_is_interrupted_goes_on_to_the_same_hashes(tmp_path, ingredients):
    from splitstrument.corpus.corpus import render_corpus
    from splitstrument.corpus.recipe import CorpusRecipe
    from splitstrument.settings import load_settings

    shutil.copy(ingredients / "freedoom" / "song.mid", ingredients / "freedoom" / "tune.mid")
    with (ingredients / "freedoom" / "tune.mid").open("ab") as file:
        file.write(b"\0")  # another song in the eyes of the catalogue, which counts equal files once
    excerpts = {"song": 0.0, "tune": 0.0}
    recipe = load_settings(write_recipe(tmp_path / "tiny.yaml", excerpts=excerpts), CorpusRecipe).settings

    def stop(amount: int = 1, note: str = "") -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_corpus(recipe, ingredients, tmp_path / "broken", advance=stop)
    assert len(list((tmp_path / "broken" / "records").iterdir())) == 1
    # a stem that a killed run left behind is written again
    (tmp_path / "broken" / "stems" / "freedoom_tune" / "bass").mkdir(parents=True, exist_ok=True)
    resumed = render_corpus(recipe, ingredients, tmp_path / "broken")
    assert (len(resumed.kept), len(resumed.made)) == (1, 1)
    render_corpus(recipe, ingredients, tmp_path / "whole")
    files = [
        sorted(p.relative_to(root) for p in root.rglob("*") if p.is_file())
        for root in (tmp_path / "broken", tmp_path / "whole")
    ]
    assert files[0] == files[1]
    assert not [path for path in files[0] if ".part" in path.name]
    for path in files[0]:
        assert (tmp_path / "broken" / path).read_bytes() == (tmp_path / "whole" / path).read_bytes()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """A real dask scheduler and two workers in processes of their own, with another working folder; the address."""
    distributed = pytest.importorskip("distributed")
    elsewhere, about = tmp_path / "elsewhere", tmp_path / "scheduler.json"
    elsewhere.mkdir()
    command = [sys.executable, "-m", "dask"]
    place = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(about)]
    roles = (["scheduler", *place, "--port", "0"], *[["worker", *place, "--nthreads", "1", "--nworkers", "1"]] * 2)
    started = [subprocess.Popen([*command, *role], cwd=elsewhere, stderr=subprocess.DEVNULL) for role in roles]
    try:
        with distributed.Client(scheduler_file=str(about), timeout="60s", set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
            address = client.scheduler.address
        yield address
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)


@pytest.mark.slow
@needs_fluidsynth
def test_two_workers_of_a_dask_scheduler_make_the_same_bytes_as_one_job(tmp_path, ingredients, cluster, monkeypatch):
    for index in range(3):  # other songs in the eyes of the catalogue, which counts equal files once
        data = (ingredients / "freedoom" / "song.mid").read_bytes() + bytes(index + 1)
        (ingredients / "freedoom" / f"song{index}.mid").write_bytes(data)
    excerpts = dict.fromkeys(("song", "song0", "song1", "song2"), 0.0)
    recipe = write_recipe(tmp_path / "tiny.yaml", excerpts=excerpts)
    monkeypatch.chdir(tmp_path)
    files = []
    for name, how in (("one", ("--jobs", "1")), ("two", ("--scheduler", cluster))):
        done = cli("dataset", "render", recipe, "-o", name, "--ingredients", "ingredients", *how, "--quiet", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["made"] == 4
        files.append(yaml.safe_load((tmp_path / name / "passport.yaml").read_text())["files"])
    assert files[0] == files[1]
    assert not list((tmp_path / "elsewhere").rglob("*.flac"))
    for path in files[0]:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()
