"""The demonstrator as a plain client sees it: a real server on loopback, a real worker process, real files."""

from __future__ import annotations

import html
import io
import json
import re
import time
import zipfile
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import soundfile
from demonstrator_site import RATE, Client, make_model, raw, running_server, settings_for, song_bytes
from waiting import wait_until

from demonstrator import saving
from demonstrator.handler import Handler
from demonstrator.routes import ROUTES
from demonstrator.sending import parse_range
from demonstrator.site import HERE, UNDO_S
from splitstrument import segments
from splitstrument.audio.resampling import resample
from splitstrument.mixing.remix import remix_files
from splitstrument.mixing.remix_settings import RemixSettings, StemMix, WordStep
from splitstrument.separation.songs import separate_file


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    made = {
        "guitar": make_model(folder / "guitar", "guitar"),
        "piano": make_model(folder / "piano", "piano", 0.6),
        "slow": make_model(folder / "slow", "guitar", work=4),
    }
    for name in ("failure_1_song.ogg", "unlisted.ogg"):
        soundfile.write(made["guitar"] / name, np.zeros(2000), 22050)
    listed = {"title": "Feelings, from 8 s", "sounds": {"song": "failure_1_song.ogg", "gone": "failure_1_gone.ogg"}}
    (made["guitar"] / "failures.yaml").write_text(json.dumps({"failures": [listed]}))
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory, models):
    with running_server(settings_for(tmp_path_factory.mktemp("site"), list(models.values()))) as server:
        yield server


@pytest.fixture
def client(server):
    return Client(server.url)


@pytest.fixture(scope="module")
def done(server):
    """A finished song, shared by the tests that only look at it."""
    client = Client(server.url)
    path = client.send(song_bytes(2.5), "Ma chanson é.wav")
    client.wait(path)
    return client, path


def read_audio(data: bytes) -> np.ndarray:
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]


# ---- the way of a song


def test_example_from_click_to_stems_that_sum_to_the_song(client, server):
    path = client.send(None, example="1")
    client.wait(path)
    page = client.get(path)
    assert page.status == 200 and "Example" in page.text
    song, _ = soundfile.read(server.site.example, dtype="float32", always_2d=True)
    stems = [read_audio(client.get(f"{path}/{name}").body) for name in ("instrument", "rest")]
    assert stems[0].shape == song.shape
    assert np.abs(stems[0] + stems[1] - song).max() < 2 / 32768
    assert np.sqrt(np.mean(stems[0] ** 2)) > 1e-3


@pytest.mark.parametrize(("form", "subtype"), [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("FLAC", "PCM_16"), ("OGG", None)])
def test_downloads_are_the_bytes_of_the_command_line(client, models, tmp_path, form, subtype):
    data = song_bytes(1.0, form, subtype, seed=3)
    song = tmp_path / f"song.{form.lower()}"
    song.write_bytes(data)
    ours = separate_file(song, tmp_path / "out", models["guitar"])
    path = client.send(data, f"x.{form.lower()}", model="guitar")
    client.wait(path)
    assert client.get(f"{path}/instrument").body == ours.instrument.read_bytes()
    assert client.get(f"{path}/rest").body == ours.rest.read_bytes()


def test_zip_holds_the_stems_and_the_sidecar(done):
    client, path = done
    answer = client.get(f"{path}/zip")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names == ["Ma chanson é - guitar.wav", "Ma chanson é - rest.wav", "Ma chanson é - separation.json"]
        assert archive.read(names[0]) == client.get(f"{path}/instrument").body
        sidecar = archive.read(names[2]).decode()
    record = json.loads(sidecar)
    assert record["song"]["path"] == "song.wav" and record["model"]["path"] is record["provenance"]["command"] is None
    assert ".." not in sidecar and str(Path(__file__).parents[2]) not in sidecar and "/tmp" not in sidecar


def test_stems_are_saved_as_mp3_flac_or_wav_with_tags(done):
    client, path = done
    wav = read_audio(client.get(f"{path}/instrument").body)
    assert client.get(f"{path}/save/instrument.wav").body == client.get(f"{path}/instrument").body
    flac, mp3 = (client.get(f"{path}/save/instrument.{form}") for form in ("flac", "mp3"))
    assert np.array_equal(read_audio(flac.body), wav)
    assert quote("Ma chanson é - guitar.mp3") in mp3.headers["content-disposition"]
    with soundfile.SoundFile(io.BytesIO(mp3.body)) as file:
        assert file.title == "Ma chanson é (guitar)" and len(file) == len(wav)
        assert np.sqrt(np.mean((file.read(dtype="float32") - wav) ** 2)) < 0.1 * np.sqrt(np.mean(wav**2))
    with zipfile.ZipFile(io.BytesIO(client.get(f"{path}/zip?form=mp3").body)) as archive:
        assert [Path(name).suffix for name in archive.namelist()] == [".mp3", ".mp3", ".json"]
        assert archive.read(archive.namelist()[0]) == mp3.body
    page = client.get(path).text
    assert f'aria-label="Guitar as MP3, {len(mp3.body) / 1e6:.1f} MB"' in page
    for wrong in ("save/instrument.exe", "save/sidecar.mp3", "save/voice.flac"):
        assert client.get(f"{path}/{wrong}").status == 404
    assert client.get(f"{path}/zip?form=exe").status == 400


def test_a_song_of_a_sample_more_has_a_segment_more(client):
    path = client.send(song_bytes(8 + 1 / RATE))
    client.wait(path)
    assert [client.get(f"{path}/sound/rest/{index}.flac").status for index in (2, 3)] == [200, 404]


def test_few_requests_wait_for_the_converter_and_the_others_are_told(client):
    path = client.send(song_bytes(1, "WAV", "FLOAT"))
    client.wait(path)
    page = client.get(path).text
    assert "WAV without loss; FLAC in 24 bits" in page and "WAV gives the song back" in page
    for _ in range(saving.AT_MOST):
        assert saving._at_most.acquire(timeout=60)
    try:
        for address in ("save/rest.flac", "zip?form=mp3"):
            answer = client.get(f"{path}/{address}")
            assert answer.status == 503 and answer.headers["retry-after"] == "10"
        assert client.get(f"{path}/zip").status == 200
    finally:
        for _ in range(saving.AT_MOST):
            saving._at_most.release()
    assert client.get(f"{path}/save/rest.flac").status == 200


def test_view_has_peaks_of_every_stem_and_the_activity(done):
    client, path = done
    view = client.get(f"{path}/view").json()
    mixture = view["peaks"]["mixture"]
    assert view["duration_s"] == pytest.approx(2.5)
    assert max(mixture) == pytest.approx(0.46, abs=0.03)
    assert len(view["activity"]["instrument_dbfs"]) == 25
    assert max(view["peaks"]["instrument"]) < max(mixture)


@pytest.mark.parametrize(("form", "tolerance"), [("flac", 1.5 / 32768), ("ogg", 0.15)])
def test_segments_of_the_sound_are_the_stems_in_step(done, form, tolerance):
    client, path = done
    for name in ("instrument", "rest"):
        answer = client.get(f"{path}/sound/{name}/0.{form}")
        assert answer.status == 200 and answer.headers["content-type"] == f"audio/{form}"
        heard = read_audio(answer.body)
        whole = resample(read_audio(client.get(f"{path}/{name}").body), RATE, segments.RATE_HZ)
        assert heard.shape == (segments.SEGMENT_SAMPLES, whole.shape[1])
        error = heard[segments.MARGIN :][: len(whole)] - whole
        assert np.sqrt(np.mean(error[500:-500] ** 2)) < tolerance * np.sqrt(np.mean(whole**2)) + 1 / 32768
    assert client.get(f"{path}/sound/rest/0.{form}").body == answer.body


def test_pictures_are_png_of_the_stated_size(done):
    client, path = done
    for name in ("mixture", "mask", "instrument", "rest"):
        body = client.get(f"{path}/{name}.png").body
        assert body[:8] == b"\x89PNG\r\n\x1a\n" and body[16:24] == (1200).to_bytes(4) + (192).to_bytes(4)


def test_strength_uses_the_stored_mask_and_is_found_again(done):
    client, path = done
    first = client.post(f"{path}/strength", {"strength": "200"})
    variant = first.headers["location"]
    client.wait(variant)
    weaker, plain = (read_audio(client.get(f"{one}/instrument").body) for one in (variant, path))
    assert 0 < np.mean(weaker**2) < np.mean(plain**2)
    assert client.post(f"{path}/strength", {"strength": "200"}).headers["location"] == variant
    assert client.post(f"{variant}/strength", {"strength": "100"}).headers["location"] == path


def test_two_models_on_one_song_can_be_compared(done):
    client, path = done
    other = client.post(f"{path}/again", {"model": "piano"}).headers["location"]
    client.wait(other)
    compare = f"/compare/{path[7:]}/{other[7:]}"
    assert client.get(compare).status == 200
    view = client.get(f"{compare}/view").json()
    assert [song["peaks"] for song in view["songs"]] == [
        client.get(f"{one}/view").json()["peaks"] for one in (path, other)
    ]
    config = json.loads(html.unescape(re.search('data-config="([^"]+)"', client.get(compare).text)[1]))
    folders = [stem["folder"] for stem in config["stems"]]
    assert folders == [f"{one}/sound/{stem}" for one in (path, other) for stem in ("instrument", "rest")]
    stranger = client.send(song_bytes(0.5))
    client.wait(stranger)
    assert client.get(f"/compare/{path[7:]}/{stranger[7:]}").status == 400


def test_another_model_can_be_asked_for_on_the_page_of_another_strength(client):
    path = client.send(song_bytes(1), model="guitar")
    client.wait(path)
    variant = client.post(f"{path}/strength", {"strength": "200"}).headers["location"]
    client.wait(variant)
    other = client.post(f"{variant}/again", {"model": "piano"}).headers["location"]
    assert client.wait(other)["state"] == "done"


def test_a_mix_is_what_the_command_line_would_write(done, tmp_path):
    client, path = done
    fields = {"gain_instrument": "-12", "gain_rest": "3.5", "eq_rest": "warm", "loudness": "-23", "format": "flac"}
    mix = client.post(f"{path}/mix", fields).headers["location"]
    client.wait(mix)
    page = client.get(mix).text
    assert "Guitar: -12.0 dB" in page and "Rest: +3.5 dB, warm" in page and "3.5 dB louder" in page
    stems = {name: tmp_path / f"{name}.wav" for name in ("instrument", "rest")}
    for name, file in stems.items():
        file.write_bytes(client.get(f"{path}/{name}").body)
    asked = {"instrument": StemMix(gain_db=-12), "rest": StemMix(gain_db=3.5, equalizer=(WordStep(word="warm"),))}
    remix_files(stems, tmp_path / "mix.flac", RemixSettings(stems=asked, loudness=-23))
    assert client.get(f"{mix}/mix").body == (tmp_path / "mix.flac").read_bytes()
    sidecar = client.get(f"{mix}/sidecar")
    assert sidecar.json()["settings"]["loudness"] == -23 and "/tmp" not in sidecar.text
    assert client.post(f"{path}/mix", fields).headers["location"] == mix
    page = client.get(path).text
    assert f'href="{mix}"' in page and "Ma chanson é, FLAC" in page and "Guitar: -12.0 dB; Rest: +3.5 dB, warm" in page
    assert "WAV and FLAC without loss" in page and mix not in Client(f"http://{client.netloc}/").get(path).text


def test_a_mix_is_written_as_one_practises(done):
    client, path = done
    practice = {"start_s": 0.5, "end_s": 1.5, "times": 2, "speed": 0.8, "semitones": 2, "count_in": 2, "beat_s": 0.5}
    room = {"stems": {"rest": {"pan": -1, "quiet": [[0.5, 1]]}}, "practice": practice}
    mix = client.post(f"{path}/mix", {"format": "wav", "room": json.dumps(room)}).headers["location"]
    client.wait(mix)
    assert len(read_audio(client.get(f"{mix}/mix").body)) == round(3.5 * RATE)
    page = client.get(mix).text
    assert "From 0:00 to 0:01" in page and "Transposed by +2 semitones" in page and "Speed 80 %" in page


ROOMS = (
    '{"practice": {"start_s": 60}}', '{"practice": {"start_s": 60, "speed": 0.5}}', "[", "[]",
    '{"practice": {"speed": 9}}', '{"practice": {"times": 50, "speed": 0.25, "beat_s": 8}}',
    '{"stems": {"rest": {"pan": 7}}}', '{"stems": {"voice": {"pan": 1}}, "else": 1}', "[" * 5000,
)  # fmt: skip


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_that_cannot_be_is_refused(done, server, room):
    client, path = done
    server.site.settings = server.site.settings.model_copy(update={"length_limit_s": 300.0})
    assert client.post(f"{path}/mix", {"room": room}).status == 400


def test_a_mix_with_nothing_changed_is_the_song(client):
    song = song_bytes(1.0, "WAV", "PCM_16", seed=5)
    path = client.send(song)
    client.wait(path)
    mix = client.post(f"{path}/mix", {"format": "wav"}).headers["location"]
    client.wait(mix)
    np.testing.assert_array_equal(read_audio(client.get(f"{mix}/mix").body), read_audio(song))
    assert client.get(f"{path}/mix").status == 404  # a song is no mix
    for address in (f"{mix}/view", f"{mix}/play", f"{mix}/instrument", f"/compare/{path[7:]}/{mix[7:]}"):
        assert client.get(address).status == 409
    for action, fields in (("mix", {}), ("strength", {"strength": "200"}), ("again", {"model": "piano"})):
        assert client.post(f"{mix}/{action}", fields).status == 409
    client.post(f"{path}/delete")
    assert client.get(mix).status == 404


def test_a_song_without_the_instrument_gets_a_plain_warning(client):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros((44_100, 2), np.float32), 44_100, format="WAV")
    path = client.send(buffer.getvalue())
    client.wait(path)
    page = client.get(path).text
    assert 'class="warning"' in page and "The song is silent." in page
    assert max(client.get(f"{path}/view").json()["peaks"]["mixture"]) == 0


# ---- what the demonstrator of the thesis got wrong (ORIGINAL.md), one test each


def test_thesis_defect_engine_is_built_once_not_for_every_request(models, tmp_path, monkeypatch):
    from demonstrator import work
    from splitstrument.separation import pipeline

    opened = []
    load = pipeline.load_model
    monkeypatch.setattr(pipeline, "load_model", lambda *args: opened.append(args) or load(*args))
    monkeypatch.setattr(work, "_models", {})
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "song.wav").write_bytes(song_bytes(0.5))
        task = work.Task("separate", str(tmp_path / name), str(models["guitar"]), song="song.wav")
        work.run_task(task, lambda share, stage: None)
    assert len(opened) == 1


def test_thesis_defect_there_is_progress(client):
    path = client.send(song_bytes(8), model="slow")
    seen = []

    def done() -> bool:
        status = client.status(path)
        assert status["state"] in ("queued", "running", "done"), status
        if status["state"] == "running":
            seen.append(status)
        return status["state"] == "done"

    wait_until(done)
    shares = [status["progress"] for status in seen]
    assert len(set(shares)) >= 3 and shares == sorted(shares)
    assert {"separating"} <= {status["stage"] for status in seen}
    assert any(status["left_s"] for status in seen)


def test_thesis_defect_results_can_be_downloaded_under_the_songs_name(done):
    client, path = done
    answer = client.get(f"{path}/instrument")
    assert "attachment" in answer.headers["content-disposition"]
    assert "Ma%20chanson%20%C3%A9%20-%20guitar.wav" in answer.headers["content-disposition"]


def test_thesis_defect_results_stay_after_the_first_get(done):
    client, path = done
    first = client.get(f"{path}/instrument?show=1").body
    assert client.get(f"{path}/instrument?show=1").body == first
    assert client.get(path).status == client.get(path).status == 200


def test_thesis_defect_seeking_works_by_ranges(done):
    client, path = done
    whole = client.get(f"{path}/rest").body
    part = client.get(f"{path}/rest", Range="bytes=1000-1999")
    assert part.status == 206 and part.body == whole[1000:2000]
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(whole)}"


@pytest.mark.parametrize(
    "name", ["../guitar", "/etc/passwd", "guitar/../../x", "..%2f..", "nosuch", "Guitar", "guitar\x00"]
)
def test_thesis_defect_model_names_are_looked_up_and_never_joined_to_a_path(client, name):
    answer = client.upload(song_bytes(0.2), fields={"model": name})
    assert answer.status == 400 and "There is no model" in answer.text


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_thesis_defect_channels_are_kept(client, channels):
    data = song_bytes(0.5, channels=channels)
    path = client.send(data)
    client.wait(path)
    stems = [read_audio(client.get(f"{path}/{name}").body) for name in ("instrument", "rest")]
    assert stems[0].shape[1] == channels
    assert np.abs(sum(stems) - read_audio(data)).max() < 1e-6


def test_thesis_habit_kept_the_link_wins_over_the_file(client):
    answer = client.upload(song_bytes(0.2), fields={"link": "ftp://example.org/a.mp3"})
    assert answer.status == 400 and "http" in answer.text  # refused as a link: the file was not looked at


# ---- ranges, caching, methods


def test_parse_range_against_a_slow_reference():
    size = 10
    for first in ("", *range(12)):
        for last in ("", *range(12)):
            header = f"bytes={first}-{last}"
            if first == "" and last == "":
                assert parse_range(header, size) is None
                continue
            wanted = (
                list(range(size))[-last:] if first == "" and last else [] if first == "" else
                [i for i in range(size) if i >= first and (last == "" or i <= last)]
            )  # fmt: skip
            if wanted:
                assert parse_range(header, size) == (wanted[0], wanted[-1]), header
            else:
                with pytest.raises(ValueError):
                    parse_range(header, size)
    for header in ("", "bytes=a-b", "bytes=1-2,4-5", "items=0-1", "bytes=-", "bytes=--1", "bytes= 1-2"):
        assert parse_range(header, size) is None


def test_range_answers(done):
    client, path = done
    whole = client.get(f"{path}/instrument").body
    assert client.get(f"{path}/instrument", Range="bytes=-100").body == whole[-100:]
    beyond = client.get(f"{path}/instrument", Range=f"bytes={len(whole)}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(whole)}")
    several = client.get(f"{path}/instrument", Range="bytes=0-1,5-6")
    assert (several.status, several.body) == (200, whole)
    changed = client.get(f"{path}/instrument", Range="bytes=0-9", If_Range='"other"')
    assert (changed.status, changed.body) == (200, whole)


def test_unchanged_files_are_not_sent_again(done):
    client, path = done
    tag = client.get(f"{path}/rest").headers["etag"]
    again = client.get(f"{path}/rest", If_None_Match=tag)
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("address", ["/", "/models", "/health", "/static/style.css"])
def test_head_has_the_headers_of_get_and_no_body(client, server, address):
    host = server.url.split("/")[2]
    answer = raw(host, f"HEAD {address} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and body == b""


def test_every_page_carries_the_security_headers(done):
    client, path = done
    for address in ("/", path, "/models", "/scores", "/health", "/static/player.js", "/nosuch", f"{path}/rest"):
        headers = client.get(address).headers
        assert "default-src 'none'" in headers["content-security-policy"], address
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_pages_hold_no_inline_script_or_style(done):
    client, path = done
    for address in ("/", path, "/models", "/scores"):
        text = client.get(address).text
        assert "style=" not in text and "onclick" not in text and "<style" not in text
        assert all("src=" in tag for tag in text.split("<script")[1:])


def test_scores_page_shows_the_published_numbers(client):
    text = client.get("/scores").text
    for number in ("0.73", "-13.62", "16.82"):  # tables 6, 7 and 11 of the thesis
        assert number in text


def test_models_page_shows_the_cards(client):
    text = client.get("/models").text
    assert "A test model." in text and "<table>" in text


def test_models_page_plays_what_a_model_gets_wrong_and_nothing_else(client, models):
    text = client.get("/models").text
    assert "Feelings, from 8 s" in text
    sound = client.get(re.search(r'src="(/models/[^"]*failure_1_song.ogg)"', text).group(1))
    assert sound.status == 200 and sound.body == (models["guitar"] / "failure_1_song.ogg").read_bytes()
    name = text.split("/models/")[1].split("/")[0]
    for path in (f"/models/{name}/unlisted.ogg", f"/models/{name}/model.yaml", "/models/nosuch/failure_1_song.ogg"):
        assert client.get(path).status == 404


def test_health_counts(client):
    health = client.get("/health").json()
    assert health["status"] == "ok" and health["accepting"] and health["queue_limit"] == 40


# ---- whose song it is


def test_ids_of_others_can_be_seen_but_not_stopped_or_deleted(done, server):
    owner, path = done
    stranger = Client(server.url)
    assert stranger.get(path).status == 200  # the link can be shared
    assert "Delete this song" not in stranger.get(path).text
    for action in ("cancel", "delete"):
        assert stranger.post(f"{path}/{action}").status == 403
    assert owner.get(path).status == 200


def test_delete_can_be_undone_and_then_removes_the_files(client, server):
    path = client.send(song_bytes(0.3), "Gone.wav")
    client.wait(path)
    weaker = client.post(f"{path}/strength", {"strength": "200"}).headers["location"]
    client.wait(weaker)
    folder = server.site.store.job_folder(path[7:])
    home = client.post(f"{path}/delete").headers["location"]
    assert client.get(path).status == client.get(weaker).status == client.get(f"{path}/rest").status == 404
    assert "“Gone” is deleted." in client.get(home).text and "is deleted." not in Client(server.url).get(home).text
    assert Client(server.url).post(f"{path}/undelete").status == 404
    server.site.purge()  # nothing is old enough
    assert client.post(f"{path}/undelete").headers["location"] == path
    assert client.get(path).status == client.get(weaker).status == 200
    client.post(f"{path}/delete")
    server.site.purge(time.time() + UNDO_S + 1)
    assert not folder.exists() and client.post(f"{path}/undelete").status == 404


def test_the_first_seconds_are_heard_while_the_song_is_separated(client, server):
    path = client.send(song_bytes(60), model="slow")
    wait_until(lambda: client.status(path)["state"] == "running" and client.status(path)["previews"])
    previews = client.status(path)["previews"]
    assert [one["name"] for one in previews] == ["Guitar", "Rest"]
    heard = [read_audio(client.get(one["address"]).body) for one in previews]
    assert [len(one) for one in heard] == [12 * RATE] * 2 and client.status(path)["state"] == "running"
    assert client.get(f"{path}/preview/sidecar").status == client.get(f"{path}/preview/../song").status == 404
    client.post(f"{path}/cancel")
    client.wait(path, "cancelled")
    assert client.get(previews[0]["address"]).status == 404
    wait_until(lambda: not (server.site.store.job_folder(path[7:]) / "preview").exists())


def test_cancel_of_a_running_and_of_a_waiting_song(client, server):
    running, waiting = client.send(song_bytes(40), model="slow"), client.send(song_bytes(1))
    client.wait(running, "running")
    assert client.status(waiting)["position"] >= 1
    assert client.post(f"{waiting}/cancel").status == 303
    assert client.status(waiting)["state"] == "cancelled"
    client.post(f"{running}/cancel")
    client.wait(running, "cancelled")
    assert not list((server.site.store.job_folder(running[7:]) / "result").rglob("*.wav"))
    after = client.send(song_bytes(0.3))
    client.wait(after)  # the worker lives on


def test_the_page_of_a_song_that_is_being_cancelled_says_so_without_scripts(client, server, monkeypatch):
    path = client.send(song_bytes(40), model="slow")
    client.wait(path, "running")
    assert "Cancelling" not in client.get(path).text
    with monkeypatch.context() as patch:
        patch.setattr(server.site.store, "cancel_requested", lambda job_id: False)  # the worker looks later
        client.post(f"{path}/cancel")
        text, status = client.get(path).text, client.status(path)
    assert status["state"] == "running" and status["cancelling"] is True
    assert "Cancelling…" in text and re.search(r"<button[^>]* disabled>Cancel</button>", text)
    client.wait(path, "cancelled")
    assert client.status(path)["cancelling"] is False


def test_titles_are_shown_escaped_and_never_paths(client):
    path = client.send(song_bytes(0.3), "..\\..\\<b>x</b>&.wav")
    client.wait(path)
    text = client.get(path).text
    assert "<b>x" not in text and "/b" not in text.split("<h1")[1].split("</h1>")[0].replace("&lt;/b", "")


# ---- the table of pages


def test_every_route_keeps_the_contract():
    """One address, one handler with a docstring, which answers GET, POST or both; no template that no page uses."""
    addresses = [route.address for route in ROUTES]
    assert len(set(addresses)) == len(addresses)
    for route in ROUTES:
        assert issubclass(route.handler, Handler) and route.handler.__doc__, route.address
        assert {name for name in ("GET", "POST") if hasattr(route.handler, name)}, route.address
    sources = "".join(path.read_text() for path in HERE.glob("*.py"))
    pages = {path.stem for path in (HERE / "templates").glob("*.html")}
    assert all(re.search(rf'"{name}"|\b{name}\(', sources) for name in pages - {"layout", "transport"}), pages


@pytest.mark.parametrize("route", [each for each in ROUTES if "(" not in each.address], ids=lambda each: each.address)
def test_every_page_without_a_song_answers(client, route):
    answer = client.get(route.address)
    assert answer.status in (200, 301, 303) and answer.headers["content-security-policy"]
    if answer.status == 200 and answer.headers["content-type"].startswith("text/html"):
        assert "<h1" in answer.text
        assert all(f'<a href="{each.address}">{each.menu}</a>' in answer.text for each in ROUTES if each.menu)
