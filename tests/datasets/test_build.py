"""`dataset build` from end to end: real music, resume after a kill, unchanged steps, a real cluster, hostile input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from stem_data import hide_folder, make_medleydb, make_rockband, make_slakh, tone, write_tone

from splitstrument import audio
from splitstrument.cli import cli
from splitstrument.datasets import build as build_module
from splitstrument.datasets.build import build
from splitstrument.datasets.marks import set_mark
from splitstrument.datasets.organise import OrganiseSettings, organise
from splitstrument.datasets.passport import write_passport
from splitstrument.datasets.recipe import DatasetRecipe, read_recipe
from splitstrument.errors import DatasetError, SettingsError
from splitstrument.executor import InlineExecutor, track_executor
from splitstrument.pairs import check_pair, find_pairs

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT / "datasets" / "sample" / "real"
RATE = 8000


def recipe_of(folder: Path, *sources: tuple[str, Path], **changes) -> DatasetRecipe:
    """A small recipe; tracks need no marks."""
    data = {
        "name": "small",
        "target": "guitar",
        "output": folder / "set",
        "sources": [{"source": name, "root": root} for name, root in sources],
        "mix": {"require_checked": False, "sample_rates_hz": [RATE], "channels": "mono"},
    }
    return DatasetRecipe.model_validate({**data, **changes})


def run(recipe: DatasetRecipe):
    built = build(recipe, InlineExecutor(), quiet=True)
    return built, write_passport(built)


@pytest.fixture
def game_songs(tmp_path):
    """The four real songs' excerpts in the layout of Frets on Fire, with levels that clip when summed."""
    for pair in find_pairs(REAL):
        for source, name in ((pair.instrument, "guitar"), (pair.rest, "song")):
            samples, rate = audio.read(source, n_samples=4 * 22050)
            peak = np.abs(samples).max()
            audio.write(tmp_path / "raw" / pair.name / f"{name}.ogg", samples / peak * 0.9, rate)
    return tmp_path / "raw"


def test_real_songs_slakh_and_medleydb_end_in_pairs_that_sum_to_the_mixture(tmp_path, game_songs, shared_data):
    medley = medleydb_with_audio(tmp_path / "medley", shared_data)
    sources = (("rockband", game_songs), ("medleydb", medley))
    slakh = shared_data / "slakh" / "slakh2100_flac_redux"
    built, passport = run(recipe_of(tmp_path, *sources, ("slakh", slakh), mix={"require_checked": False}))
    assert not built.failures
    assert {source["name"]: source["n_tracks"] for source in passport["sources"]} == {
        "medleydb": 3, "rockband": 4, "slakh": 1}  # fmt: skip
    for rate in (44100, 22050):
        for pair in find_pairs(tmp_path / "set", rate):
            check_pair(pair)
    for pair in find_pairs(tmp_path / "set", 44100):
        assert_sums_to_mixture(pair, tmp_path / "set" / "stems" / pair.name, passport["tracks"][pair.name]["gain_db"])


def assert_sums_to_mixture(pair, folder: Path, gain_db: float) -> None:
    """Instrument + rest against a slow sum of all stems, resampled one by one."""
    mixture = audio.read(pair.instrument)[0] + audio.read(pair.rest)[0]
    expected = np.zeros_like(mixture)
    rates = set()
    for path in sorted(folder.glob("*/*")):
        if path.parent.name in ("mix", "excluded") or not audio.is_audio_name(path):
            continue
        samples, rate = audio.read(path)
        rates.add(rate)
        samples = np.repeat(samples.mean(axis=1, keepdims=True), 2, axis=1) if samples.shape[1] != 2 else samples
        expected += audio.fit_length(audio.resample(samples, rate, 44100), len(expected))
    tolerance = 2**-22 if rates == {44100} else 2e-5  # soxr in blocks differs from soxr at once by its rounding
    np.testing.assert_allclose(mixture, 10 ** (gain_db / 20) * expected, atol=tolerance)


def medleydb_with_audio(root: Path, shared_data: Path) -> Path:
    """Real metadata of three songs with guitar, and a second of sound for each of their stems."""
    for name in ("AimeeNorwich_Child", "AClassicEducation_NightOwl", "AlexanderRoss_VelvetCurtain"):
        text = (shared_data / "medleydb" / "Metadata" / f"{name}_METADATA.yaml").read_text()
        (root / "Metadata").mkdir(parents=True, exist_ok=True)
        (root / "Metadata" / f"{name}_METADATA.yaml").write_text(text)
        data = yaml.safe_load(text)
        for number, stem in enumerate(data["stems"].values(), 1):
            path = root / "Audio" / name / data["stem_dir"] / stem["filename"]
            audio.write(path, tone(50 * number, 1.0, 0.2, 44100, 2), 44100, "PCM_16")
    return root


def test_second_run_does_nothing_and_a_change_redoes_only_its_track(tmp_path):
    recipe = recipe_of(tmp_path, ("rockband", make_rockband(tmp_path / "raw")))
    first, passport = run(recipe)
    again, same = run(recipe)
    assert (first.n_fresh, again.n_fresh) == (4, 0)
    assert same["sha256"] == passport["sha256"]
    before = (tmp_path / "set" / "passport.yaml").read_bytes()
    write_tone(tmp_path / "raw" / "r" / "Band - Song" / "guitar.ogg", 333.0, channels=2)
    changed, other = run(recipe)
    assert changed.n_fresh == 2  # organise and mix of this one track
    assert other["sha256"] != passport["sha256"]
    assert (tmp_path / "set" / "passport.yaml").read_bytes() != before


def test_touching_a_file_mixes_nothing_again_and_damage_is_repaired(tmp_path):
    recipe = recipe_of(tmp_path, ("rockband", make_rockband(tmp_path / "raw")))
    _, passport = run(recipe)
    os.utime(tmp_path / "raw" / "r" / "Band - Song" / "guitar.ogg", (1, 1))
    touched, _ = run(recipe)
    assert touched.n_fresh == 1
    victim = find_pairs(tmp_path / "set")[0].instrument
    victim.write_bytes(b"damaged")
    repaired, same = run(recipe)
    assert repaired.n_fresh == 1
    assert same["sha256"] == passport["sha256"]
    assert audio.probe(victim).sample_rate_hz == RATE


def test_marks_and_removed_songs_take_their_pairs_away(tmp_path):
    raw = make_rockband(tmp_path / "raw")
    recipe = recipe_of(tmp_path, ("rockband", raw))
    run(recipe)
    set_mark(tmp_path / "set" / "stems" / "Band - Song", "guitar", "bleed")
    _, passport = run(recipe)
    assert passport["left_out"] == {"Band - Song": "marked bleed"}
    assert [pair.name for pair in find_pairs(tmp_path / "set")] == ["Other - Song"]
    write_tone(raw / "New" / "guitar.wav")
    write_tone(raw / "New" / "drums.wav")
    kept = tmp_path / "set" / "stems" / ".checks" / "of another tool.json"
    kept.parent.mkdir()
    kept.touch()
    for path in (raw / "Other - Song").iterdir():
        path.unlink()
    run(recipe)
    assert [pair.name for pair in find_pairs(tmp_path / "set")] == ["New"]
    assert not (tmp_path / "set" / "stems" / "Other - Song").exists()
    assert kept.is_file()


def test_what_no_build_made_stays(tmp_path):
    recipe = recipe_of(tmp_path, ("rockband", make_rockband(tmp_path / "raw")), silence={"to": 0.7})
    output = recipe.output
    mine = [
        write_tone(output / "stems" / "my_song" / "guitar" / "a.wav"),
        write_tone(output / "tracks_8000hz" / "mine" / "instrument_mine.wav"),
        write_tone(output / "tracks_8000hz" / "mine" / "rest_mine.wav"),
        write_tone(output / "mixed" / "tracks_8000hz" / "mine" / "instrument_mine.wav"),
        write_tone(output / "mixed" / "tracks_8000hz" / "mine" / "rest_mine.wav"),
        output / ".my.part.txt",
    ]
    mine[-1].write_text("notes")
    (output / ".x.partdir").mkdir()
    (output / ".a.12345678.part").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (output / "stems" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    leftover = output / "stems" / ".guitar.abcd_123.part.flac"
    leftover.touch()
    for _ in range(2):
        _, passport = run(recipe)
        assert list(passport["tracks"]) == ["Band - Song", "Other - Song"]
    assert all(path.is_file() for path in mine)
    assert (output / ".x.partdir").is_dir() and (output / ".a.12345678.part").is_dir()
    assert (output / "stems" / "linked").is_symlink()
    assert not leftover.exists()


def test_of_a_song_that_left_only_what_people_made_stays(tmp_path):
    raw = make_rockband(tmp_path / "raw")
    recipe = recipe_of(tmp_path, sources=[{"source": "rockband", "root": raw, "place": "copy"}])
    run(recipe)
    track = recipe.output / "stems" / "Other - Song"
    set_mark(track, "guitar", "checked")
    (track / "guitar" / "notes.txt").write_text("a fine song")
    write_tone(track / "drums" / "01 - Kick Drum.wav", 77.0)  # somebody's own instead of the copy
    shutil.rmtree(raw / "Other - Song")
    run(recipe)
    assert sorted(path.name for path in track.rglob("*")) == [
        "01 - Kick Drum.wav",
        "drums",
        "guitar",
        "guitar_checked",
        "notes.txt",
    ]
    assert [pair.name for pair in find_pairs(recipe.output)] == ["Band - Song"]


def test_a_track_that_fails_keeps_its_stems_and_marks_and_is_not_mixed(tmp_path):
    raw = make_rockband(tmp_path / "raw")
    recipe = recipe_of(tmp_path, ("rockband", raw))
    run(recipe)
    track = recipe.output / "stems" / "Other - Song"
    set_mark(track, "guitar", "checked")
    whole = (raw / "Other - Song" / "05 - Guitar.wav").read_bytes()
    (raw / "Other - Song" / "05 - Guitar.wav").write_bytes(b"")
    built, _ = run(recipe)
    assert list(built.failures) == ["Other - Song"]
    assert (track / "guitar_checked").is_file()
    assert [pair.name for pair in find_pairs(recipe.output)] == ["Band - Song"]
    (raw / "Other - Song" / "05 - Guitar.wav").write_bytes(whole)
    assert not run(recipe)[0].failures
    assert {pair.name for pair in find_pairs(recipe.output)} == {"Band - Song", "Other - Song"}


@pytest.mark.parametrize("source", ["rockband", "folders"])
def test_songs_out_of_sight_are_not_taken_for_removed(tmp_path, monkeypatch, source):
    raw = tmp_path / "raw"
    for song in ("One", "Two"):
        for number, name in enumerate(("guitar", "bass")):
            write_tone(raw / song / f"{name}.wav", 100.0 * (number + 1) + len(song))
    recipe = recipe_of(tmp_path, (source, raw))
    run(recipe)
    track = recipe.output / "stems" / "Two"
    set_mark(track, "guitar", "checked")
    hide_folder(monkeypatch, raw / "Two")
    try:
        assert "cannot be read" in run(recipe)[0].failures["Two"]
    except DatasetError as error:
        assert "cannot be read" in str(error)
    assert (track / "guitar_checked").is_file()
    assert (track / "guitar" / "guitar.wav").is_file()


def test_pairs_of_a_rate_or_a_step_that_left_the_recipe_are_removed(tmp_path):
    raw = make_rockband(tmp_path / "raw")
    mix = {"require_checked": False, "channels": "mono"}
    run(recipe_of(tmp_path, ("rockband", raw), silence={"to": 0.7}, mix={**mix, "sample_rates_hz": [RATE, 4000]}))
    recipe = recipe_of(tmp_path, ("rockband", raw), mix={**mix, "sample_rates_hz": [RATE]})
    for _ in range(2):
        built, _ = run(recipe)
        files = {path.relative_to(recipe.output).as_posix() for path in recipe.output.rglob("*.flac")}
        assert files == set(built.files)
    assert built.n_fresh == 0


def test_marks_of_a_file_are_imported_once(tmp_path):
    marks = tmp_path / "marks.yaml"
    marks.write_text(
        "Band - Song: {checked: true}\nOther - Song: {checked: true, bleed: true}\nAbsent: {checked: true}\n"
    )
    options = {"marks": marks, "mix": {"sample_rates_hz": [RATE], "channels": "mono"}}
    recipe = recipe_of(tmp_path, ("rockband", make_rockband(tmp_path / "raw")), **options)
    _, passport = run(recipe)
    assert passport["left_out"] == {"Other - Song": "marked bleed"}
    set_mark(tmp_path / "set" / "stems" / "Other - Song", "guitar", "bleed", present=False)
    _, passport = run(recipe)
    assert passport["left_out"] == {}


def test_silence_step_and_a_dataset_that_takes_its_pairs_from_another(tmp_path):
    raw = tmp_path / "raw" / "Sparse"
    samples = np.concatenate([tone(200, 2.0), tone(200, 6.0) * 0, tone(200, 1.0)])
    audio.write(raw / "guitar.wav", samples, RATE)
    audio.write(raw / "song.wav", tone(90, 9.0), RATE)
    options = {"mix": {"require_checked": False, "sample_rates_hz": [RATE, 4000], "channels": "mono"}}
    recipe = recipe_of(tmp_path, ("rockband", raw.parent), silence={"to": 0.7}, **options)
    _, passport = run(recipe)
    assert passport["silence_histogram"]["before"][6] == 1
    assert passport["silence_histogram"]["after"][0] == 1
    plain = {
        **recipe.model_dump(mode="json", exclude_defaults=True),
        "name": "plain",
        "output": str(tmp_path / "plain"),
    }
    del plain["silence"]
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(plain))
    data = {"name": "less", "target": "guitar", "output": str(tmp_path / "less"), "pairs_from": "plain.yaml"}
    (tmp_path / "less.yaml").write_text(yaml.safe_dump({**data, "silence": {"to": 0.7}}))
    built, derived = run(read_recipe(tmp_path / "less.yaml"))
    assert derived["files"] == passport["files"]
    assert built.n_fresh == 1
    again, _ = run(read_recipe(tmp_path / "less.yaml"))
    assert again.n_fresh == 0


def test_an_output_that_would_replace_its_origin_is_refused(tmp_path):
    write_recipe(tmp_path)
    make_rockband(tmp_path / "raw")
    data = {"name": "less", "target": "guitar", "output": str(tmp_path / "set"), "pairs_from": "recipe.yaml"}
    (tmp_path / "less.yaml").write_text(yaml.safe_dump(data))
    data |= {"name": "least", "pairs_from": "middle.yaml"}
    (tmp_path / "least.yaml").write_text(yaml.safe_dump(data))
    data |= {"name": "middle", "pairs_from": "recipe.yaml", "output": str(tmp_path / "middle")}
    (tmp_path / "middle.yaml").write_text(yaml.safe_dump(data))
    for name in ("less", "least"):
        with pytest.raises(DatasetError, match="whose pairs it would replace: choose another output"):
            run(read_recipe(tmp_path / f"{name}.yaml"))
    assert not (tmp_path / "set").exists()
    assert not (tmp_path / "middle").exists()


@pytest.mark.parametrize("inner", ["", "set"])
def test_an_output_in_a_raw_dataset_is_refused(tmp_path, inner):
    raw = make_rockband(tmp_path / "raw")
    before = sorted(raw.rglob("*"))
    with pytest.raises(DatasetError, match="lies in the raw dataset"):
        run(recipe_of(tmp_path, ("rockband", raw), output=raw / inner))
    with pytest.raises(DatasetError, match="lies in the raw dataset"):
        organise(raw, raw / inner, OrganiseSettings(source="rockband"), InlineExecutor(), quiet=True)
    assert sorted(raw.rglob("*")) == before


def test_planted_leaks_are_found(tmp_path):
    raw = make_slakh(tmp_path / "raw")
    with pytest.raises(DatasetError, match="'Track00001' is held out and 'Track00002' is not.*declared the same song"):
        run(recipe_of(tmp_path, ("slakh", raw), evaluation=["Track00001"]))
    passport = yaml.safe_load((tmp_path / "set" / "passport.yaml").read_text())
    leaks = {check["check"]: check["found"] for check in passport["leakage"]}
    assert leaks["declared the same song"] == [["Track00001", "Track00002"]]
    assert leaks["same audio file"] == []
    both, _ = run(recipe_of(tmp_path, ("slakh", raw), evaluation=["Track00001", "Track00002"]))
    assert yaml.safe_load((tmp_path / "set" / "evaluation.yaml").read_text()) == ["Track00001", "Track00002"]
    assert both.n_fresh == 0


def test_tracks_held_out_by_hand_stay_held_out_and_are_inherited(tmp_path):
    recipe = recipe_of(tmp_path, ("slakh", make_slakh(tmp_path / "raw")))
    run(recipe)
    held_out = tmp_path / "set" / "evaluation.yaml"
    held_out.write_text("[Track00001, Track00002]\n")
    _, passport = run(recipe)
    assert passport["evaluation"] == ["Track00001", "Track00002"]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json", exclude_defaults=True)))
    less = {"name": "less", "target": "guitar", "output": tmp_path / "less", "pairs_from": tmp_path / "recipe.yaml"}
    _, derived = run(DatasetRecipe.model_validate(less))
    assert (
        yaml.safe_load((tmp_path / "less" / "evaluation.yaml").read_text())
        == derived["evaluation"]
        == passport["evaluation"]
    )
    held_out.write_text("[Track00001]\n")
    with pytest.raises(DatasetError, match="declared the same song"):
        run(recipe)


def test_the_same_file_under_two_names_is_a_leak(tmp_path):
    raw = make_rockband(tmp_path / "raw")
    for name in ("guitar", "song"):
        (raw / "Copy").mkdir(exist_ok=True)
        (raw / "Copy" / f"{name}.ogg").write_bytes((raw / "r" / "Band - Song" / f"{name}.ogg").read_bytes())
    with pytest.raises(DatasetError, match="'Copy' is held out and 'Band - Song' is not.*same audio file"):
        run(recipe_of(tmp_path, ("rockband", raw), evaluation=["Copy"]))


def test_choice_of_tracks(tmp_path):
    raw = make_slakh(tmp_path / "raw")

    def names(**choice):
        source = {"source": "slakh", "root": raw, **choice}
        return list(run(recipe_of(tmp_path, sources=[source]))[1]["tracks"])

    assert names(splits=["test"]) == ["Track00002"]
    assert names(only=["Track00001"]) == ["Track00001"]
    assert names(leave_out=["Track00001"]) == ["Track00002"]
    assert len(names(limit=1)) == 1
    with pytest.raises(DatasetError, match="has no track 'Track9'"):
        names(only=["Track9"])
    with pytest.raises(DatasetError, match="no track of Slakh2100.* is left"):
        names(splits=["validation"])


# --- killed, in parallel, on a cluster ---

KILLED_AT = ("organise", "mix", "silence", "record")


@pytest.mark.parametrize("step", KILLED_AT)
def test_a_kill_at_any_step_leaves_no_half_file_and_the_next_run_ends_the_same(tmp_path, step):
    raw = make_rockband(tmp_path / "raw")
    options = {"silence": {"to": 0.7}}
    expected = run(recipe_of(tmp_path, ("rockband", raw), **options))[1]["sha256"]
    (tmp_path / "killed").mkdir()
    code = subprocess.run(
        [sys.executable, __file__, str(tmp_path), str(raw), step], capture_output=True, timeout=120, text=True
    )
    assert code.returncode == -signal.SIGKILL, code.stderr
    half = tmp_path / "killed" / "set"
    for path in half.rglob("*"):
        if path.is_file() and not path.name.startswith(".") and audio.is_audio_name(path):
            assert audio.read(path)[0].size  # whatever has its final name is whole
    built, passport = run(recipe_of(tmp_path / "killed", ("rockband", raw), **options))
    assert passport["sha256"] == expected
    assert 0 < built.n_fresh < 6  # what was finished before the kill was not done again
    assert not list(half.rglob(".*.part*"))


def _kill_at(folder: Path, raw: Path, step: str) -> None:
    """In a process of its own: build, and die in the middle of a step."""
    from splitstrument.datasets import steps

    # where, at which call, and whether before or after the call
    module, name, number, after = {
        "organise": (build_module, "organise_track", 2, False),
        "mix": (audio.AudioWriter, "write", 4, True),
        "silence": (build_module, "cut_track", 2, True),
        "record": (steps, "write_json", 4, False),  # of two for each track
    }[step]
    function, calls = getattr(module, name), []

    def dying(*args, **kwargs):
        calls.append(name)
        result = function(*args, **kwargs) if after or len(calls) != number else None
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(module, name, dying)
    run(recipe_of(folder / "killed", ("rockband", raw), silence={"to": 0.7}))


def test_ctrl_c_ends_with_130_and_leaves_no_temporary_file(tmp_path, capsys, monkeypatch):
    make_rockband(tmp_path / "raw")
    write, calls = audio.AudioWriter.write, []

    def interrupted(self, samples):
        write(self, samples)
        calls.append(self.path)
        if len(calls) == 6:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(audio.AudioWriter, "write", interrupted)
    status, errors = call(capsys, "build", write_recipe(tmp_path), "--quiet")
    assert status == 130
    assert "Interrupted" in errors
    assert not list((tmp_path / "set").rglob("*.part*"))


def test_two_processes_make_the_same_bytes_as_one(tmp_path):
    raw = make_medleydb(tmp_path / "raw")
    one = run(recipe_of(tmp_path / "one", ("medleydb", raw)))[1]
    with track_executor(jobs=2) as executor:
        built = build(recipe_of(tmp_path / "two", ("medleydb", raw)), executor, quiet=True)
    assert write_passport(built)["files"] == one["files"]


@pytest.mark.slow
def test_a_real_dask_scheduler_with_two_workers(tmp_path):
    distributed = pytest.importorskip("distributed")
    raw = make_rockband(tmp_path / "raw")
    one = run(recipe_of(tmp_path / "one", ("rockband", raw)))[1]
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        (tmp_path / "recipe.yaml").write_text(
            yaml.safe_dump(
                recipe_of(tmp_path / "two", ("rockband", raw)).model_dump(mode="json", exclude_defaults=True)
            )
        )
        command = [sys.executable, "-m", "splitstrument", "dataset", "build", str(tmp_path / "recipe.yaml"), "--json"]
        done = subprocess.run(
            [*command, "--scheduler", cluster.scheduler_address], capture_output=True, text=True, timeout=180
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"] == one["files"]


def test_two_builds_of_one_folder_do_not_meet(tmp_path):
    recipe = recipe_of(tmp_path, ("rockband", make_rockband(tmp_path / "raw")))
    with build_module.building(recipe.output), pytest.raises(DatasetError, match="being built by another process"):
        build(recipe, InlineExecutor(), quiet=True)


# --- mistakes and hostile input ---


def call(capsys, *arguments: str) -> tuple[int, str]:
    from splitstrument.cli import main

    with pytest.raises(SystemExit) as end:
        main(["dataset", *arguments])
    return end.value.code, capsys.readouterr().err


def write_recipe(folder: Path, **changes) -> str:
    data = {"name": "x", "target": "guitar", "output": str(folder / "set"), "mix": {"require_checked": False}}
    data["sources"] = [{"source": "rockband", "root": str(folder / "raw")}]
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**data, **changes}, sort_keys=False))
    return str(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"taget": "guitar"}, "unknown key 'taget'; did you mean 'target'?"),
        ({"name": "../evil"}, "'name'"),
        (
            {"sources": [{"source": "rokband", "root": "raw"}]},
            "There is no source 'rokband' (did you mean 'rockband'?)",
        ),
        ({"sources": []}, "give either sources or pairs_from"),
        ({"pairs_from": "x.yaml"}, "give either sources or pairs_from"),
        ({"sources": [], "pairs_from": "recipe.yaml"}, "takes its pairs from itself"),
        ({"evaluation": ["a", "a"]}, "named twice"),
        ({"mix": {"sample_rates_hz": []}}, "sample_rates_hz"),
        ({"silence": {"to": 2}}, "silence.to"),
    ],
)
def test_wrong_recipes(tmp_path, capsys, changes, message):
    status, errors = call(capsys, "build", write_recipe(tmp_path, **changes))
    assert status == 1
    assert message in errors
    assert len(errors.strip().splitlines()) == 1


def test_a_yaml_bomb_is_refused(tmp_path, capsys):
    bomb = "a: &a [x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 20)}]\n" for i in range(8)
    )
    (tmp_path / "bomb.yaml").write_text(bomb)
    status, errors = call(capsys, "build", str(tmp_path / "bomb.yaml"))
    assert status == 1
    assert "aliases" in errors


def test_one_hostile_song_fails_alone_and_is_named(tmp_path, capsys):
    make_rockband(tmp_path / "raw")
    broken = tone(200)
    broken[7] = np.inf
    audio.write(tmp_path / "raw" / "Infinite" / "guitar.wav", broken, RATE, "FLOAT")
    write_tone(tmp_path / "raw" / "Infinite" / "drums.wav")
    (tmp_path / "raw" / "Text").mkdir()
    (tmp_path / "raw" / "Text" / "guitar.wav").write_text("no audio")
    (tmp_path / "raw" / "Empty").mkdir()
    (tmp_path / "raw" / "Empty" / "guitar.wav").touch()
    (tmp_path / "raw" / "Linked").mkdir()
    (tmp_path / "raw" / "Linked" / "guitar.wav").symlink_to("/etc/hostname")
    status, errors = call(capsys, "build", write_recipe(tmp_path), "--quiet")
    assert status == 1
    for name, reason in (
        ("Infinite", "NaN or infinity"),
        ("Text", "read as audio"),
        ("Empty", "0 bytes"),
        ("Linked", "leads out"),
    ):
        assert name in errors
        assert reason in errors
    assert len(find_pairs(tmp_path / "set", 22050)) == 2


def test_read_only_output_says_so(tmp_path, capsys):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    make_rockband(tmp_path / "raw")
    (tmp_path / "set").mkdir(mode=0o500)
    status, errors = call(capsys, "build", write_recipe(tmp_path))
    assert status == 1
    assert "Permission denied" in errors


def test_an_output_that_is_a_file_says_so(tmp_path, capsys):
    make_rockband(tmp_path / "raw")
    (tmp_path / "set").write_text("in the way")
    status, errors = call(capsys, "build", write_recipe(tmp_path))
    assert status == 1
    assert "set" in errors


def test_missing_raw_data_says_where_to_get_it(tmp_path, capsys):
    status, errors = call(capsys, "build", write_recipe(tmp_path))
    assert status == 1
    assert "get songs in the layout of Rock Band" in errors
    assert not (tmp_path / "set").exists()


def test_a_corpus_recipe_points_to_the_other_command(capsys):
    status, errors = call(capsys, "build", str(ROOT / "datasets" / "corpus.yaml"))
    assert status == 1
    assert "dataset render" in errors


def test_dry_run_writes_nothing(tmp_path):
    from click.testing import CliRunner

    make_rockband(tmp_path / "raw")
    result = CliRunner().invoke(cli, ["dataset", "build", write_recipe(tmp_path), "--dry-run"])
    assert "2 tracks of rockband" in result.output
    assert not (tmp_path / "set").exists()


RECIPES = {path: path.read_text() for path in sorted((ROOT / "datasets").glob("*.yaml"))}
EXCERPTS = [path for path, text in RECIPES.items() if "start_s:" in text]
BUILDABLE = [path for path, text in RECIPES.items() if "\nhours:" not in text and path not in EXCERPTS]


@pytest.mark.parametrize("path", EXCERPTS, ids=lambda path: path.stem)
def test_shipped_excerpt_recipes_are_valid(path):
    from splitstrument.datasets.excerpts import ExcerptRecipe
    from splitstrument.settings import load_settings

    recipe = load_settings(path, ExcerptRecipe).settings
    assert recipe.target in path.stem and recipe.tracks


@pytest.mark.parametrize("path", BUILDABLE, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid(path):
    recipe = read_recipe(path)
    assert recipe.name == path.stem
    assert recipe.pairs_from is None or read_recipe(recipe.pairs_from).target == recipe.target


def test_the_seven_datasets_of_the_thesis_are_there():
    names = {path.stem for path in BUILDABLE}
    assert names >= {f"recorded_{what}" for what in ("guitar", "guitar_less_silence", "piano", "piano_less_silence")}
    assert names >= {"synthesized_piano", "pure_guitar", "pure_piano"}


def test_unknown_key_error_class():
    with pytest.raises(SettingsError):
        read_recipe(Path("nowhere.yaml"))


if __name__ == "__main__":
    _kill_at(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
