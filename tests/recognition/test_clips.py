"""Loaders of IRMAS, OpenMIC-2018 and MedleyDB on miniatures in their makers' layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from splitstrument import audio
from splitstrument.errors import DatasetError
from splitstrument.recognition.classes import all_classes
from splitstrument.recognition.features import chunk_samples
from splitstrument.recognition.learning.clips import examples_of, read_clips, sounds
from splitstrument.recognition.learning.recipe import Clips

# as the makers list them: https://www.upf.edu/web/mtg/irmas, and class-map.json of OpenMIC-2018
IRMAS = ["cel", "cla", "flu", "gac", "gel", "org", "pia", "sax", "tru", "vio", "voi"]
OPENMIC = {
    *("accordion", "banjo", "bass", "cello", "clarinet", "cymbals", "drums", "flute", "guitar", "mallet_percussion"),
    *("mandolin", "organ", "piano", "saxophone", "synthesizer", "trombone", "trumpet", "ukulele", "violin", "voice"),
}


def write_noise(path: Path, seconds: float = 3.0, rate: int = 44_100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).normal(0, 0.1, (int(seconds * rate), 2)).astype(np.float32)
    audio.write(path, noise, rate)


@pytest.fixture(scope="module")
def irmas(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("irmas")
    for name in (
        "gac/[gac][dru][cou_fol]0001__1.wav",
        "gel/[gel][nod][pop_roc]0002__1.wav",
        "pia/[pia][cla]0003__2.wav",
    ):
        write_noise(root / "IRMAS-TrainingData" / name)
    for name, labels in (("(02) dont kill the whale-1", "gel\nvoi\t\n"), ("01 - Allegro-4", "vio\npia\n")):
        write_noise(root / "IRMAS-TestingData-Part1" / "Part1" / f"{name}.wav", 7.0)
        (root / "IRMAS-TestingData-Part1" / "Part1" / f"{name}.txt").write_text(labels)
    return root


@pytest.fixture(scope="module")
def openmic(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("openmic-2018")
    for key in ("000046_3840", "000135_483840"):
        write_noise(root / "audio" / "000" / f"{key}.ogg", 10.0, 22_050)
    rows = ["000046_3840,flute,0.00000,3", "000046_3840,guitar,0.82,3", "000135_483840,cello,0.1,3"]
    rows += ["000135_483840,violin,0.2,3", "000135_483840,trumpet,0.1,4", "999999_1,piano,1.0,3"]
    text = "\n".join(["sample_key,instrument,relevance,num_responses", *rows]) + "\n"
    (root / "openmic-2018-aggregated-labels.csv").write_text(text)
    (root / "partitions").mkdir()
    (root / "partitions" / "split01_train.csv").write_text("000046_3840\n000135_483840\n")
    (root / "partitions" / "split01_test.csv").write_text("999999_1\n")
    return root


@pytest.fixture(scope="module")
def medleydb(tmp_path_factory) -> Path:
    root, track = tmp_path_factory.mktemp("medleydb"), "LizNelson_Rainfall"
    write_noise(root / "Audio" / track / f"{track}_MIX.wav", 10.0)
    stems = {"S01": "male singer", "S02": "acoustic guitar", "S03": "gong"}
    data = {"title": "Rainfall", "stems": {key: {"instrument": name} for key, name in stems.items()}}
    (root / "Audio" / track / f"{track}_METADATA.yaml").write_text(yaml.safe_dump(data))
    folder = root / "Annotations" / "Instrument_Activations" / "ACTIVATION_CONF"
    folder.mkdir(parents=True)
    rows = [f"{time:.4f},{0.9 * (time < 4)},{0.8 * (time > 3.5)},0.0" for time in np.arange(0, 10, 0.0464)]
    (folder / f"{track}_ACTIVATION_CONF.lab").write_text("\n".join(["time,S01,S02,S03", *rows]) + "\n")
    return root


def test_every_class_of_the_collections_is_one_of_ours():
    for name, theirs in (("irmas", IRMAS), ("openmic", OPENMIC)):
        ours = [label for one in all_classes().values() if not one.of for label in getattr(one, name)]
        assert sorted(ours) == sorted(theirs)


def test_irmas_training(irmas):
    by_name = {clip.path.parent.name: clip.truth for clip in read_clips(Clips(kind="irmas", path=irmas))}
    assert by_name["gac"].is_ == {"guitar", "guitar_acoustic", "drums"}
    assert by_name["gel"].is_ == {"guitar"} and "drums" not in by_name["gel"].may_be
    assert by_name["gel"].may_be == {"bass", "guitar_clean", "guitar_distorted"}
    assert by_name["pia"].is_ == {"piano"} and "drums" in by_name["pia"].may_be


def test_irmas_test_has_several_labels_a_clip(irmas):
    clips = read_clips(Clips(kind="irmas", path=irmas, part="test"))
    assert [clip.truth.is_ for clip in clips] == [{"guitar", "voice"}, {"strings", "piano"}]
    assert {"drums", "bass"} <= clips[0].truth.may_be and "organ" not in clips[0].truth.may_be
    assert clips[0].duration_s == pytest.approx(7)


def test_openmic_knows_only_what_people_were_asked(openmic):
    first, second = (clip.truth for clip in read_clips(Clips(kind="openmic", path=openmic)))
    assert first.is_ == {"guitar"} and {"piano", "winds"} <= first.may_be
    assert "strings" not in second.is_ | second.may_be  # neither cello nor violin
    assert "brass" in second.may_be  # nobody was asked about trombones


def test_medleydb_activations_become_clips(medleydb):
    clips = read_clips(Clips(kind="medleydb", path=medleydb, part="all"))
    assert [clip.truth.is_ for clip in clips] == [
        {"voice"},
        {"voice", "guitar", "guitar_acoustic"},
        {"guitar", "guitar_acoustic"},
    ]


def test_clips_become_sounds_to_learn_and_examples_to_score(irmas, openmic):
    learned = list(sounds(Clips(kind="irmas", path=irmas)))
    assert [len(sound.samples) for sound in learned] == [chunk_samples()] * 3
    examples = examples_of(Clips(kind="openmic", path=openmic))
    assert len(examples) == 6 and set(examples.song) == {"000046_3840", "000135_483840"}
    guitar = list(all_classes()).index("guitar")
    assert examples.labels[0, guitar] == 1 and np.isnan(examples.labels[3, guitar])


def test_a_folder_without_the_collection_is_one_sentence(tmp_path):
    with pytest.raises(DatasetError, match="holds no part 'train' of openmic"):
        read_clips(Clips(kind="openmic", path=tmp_path))
