"""Models of several instruments in the demonstrator: a lane, a picture, a download for each; earlier results."""

from __future__ import annotations

import html
import io
import json
import re
import zipfile

import numpy as np
import pytest
import soundfile
from demonstrator_site import RATE, Client, make_model, make_song, running_server, settings_for, song_bytes
from tiny_models import band_kernel, band_settings, tiny_model

STEMS = ("guitar", "piano", "bass")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    settings = band_settings(STEMS)
    tiny_model(folder / "band", settings, band_kernel(settings))
    models = [folder / "band", make_model(folder / "alone", "guitar")]
    with running_server(settings_for(folder, models)) as server:
        yield server


@pytest.fixture(scope="module")
def done(server):
    client = Client(server.url)
    path = client.send(song_bytes(2.0), "Band.wav", model="tiny")
    client.wait(path)
    return client, path


def read_audio(data: bytes) -> np.ndarray:
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0]


def config_of(page: str) -> dict:
    return json.loads(html.unescape(re.search('data-config="([^"]+)"', page)[1]))


def test_every_stem_has_a_lane_a_picture_a_sound_and_a_download(done):
    client, path = done
    page = client.get(path).text
    config = config_of(page)
    assert list(config["lanes"]) == ["mixture", *STEMS, "rest"]
    assert [lane["stems"] for lane in config["lanes"].values()] == [[0, 1, 2, 3], [0], [1], [2], [3]]
    total = np.zeros((2 * RATE, 2), np.float32)
    view = client.get(f"{path}/view").json()
    for stem in (*STEMS, "rest"):
        total += read_audio(client.get(f"{path}/{stem}").body)
        assert f'data-file="{stem}"' in page and client.get(f"{path}/{stem}.png").body[1:4] == b"PNG"
        assert client.get(f"{path}/sound/{stem}/0.ogg").status == 200
        assert len(view["activity"][f"{stem}_dbfs"]) == 20 and max(view["peaks"][stem]) > 0
    assert np.abs(total - make_song(2.0)).max() < 3 / 32768
    assert all(client.get(f"{path}/mask-{stem}.png").status == 200 for stem in STEMS)
    assert client.get(f"{path}/instrument").status == client.get(f"{path}/mask.png").status == 404


def test_all_lanes_together_stay_below_three_megabytes_a_minute(done):
    client, path = done
    sizes = [len(client.get(f"{path}/sound/{stem}/0.ogg").body) for stem in (*STEMS, "rest")]
    assert sum(sizes) / 4 * 60 < 3e6


def test_zip_strength_and_another_model(done):
    client, path = done
    with zipfile.ZipFile(io.BytesIO(client.get(f"{path}/zip").body)) as archive:
        assert archive.namelist() == [f"Band - {stem}.wav" for stem in (*STEMS, "rest")] + ["Band - separation.json"]
    weaker = client.post(f"{path}/strength", {"strength": "200"}).headers["location"]
    client.wait(weaker)
    loud = [np.mean(read_audio(client.get(f"{one}/bass").body) ** 2) for one in (path, weaker)]
    assert 0 < loud[1] < loud[0]
    other = client.post(f"{path}/again", {"model": "alone"}).headers["location"]
    client.wait(other)
    pair = f"/compare/{path.split('/')[2]}/{other.split('/')[2]}"
    lanes = config_of(client.get(pair).text)["lanes"]
    assert list(lanes) == ["a-guitar", "b-instrument", "a-rest", "b-rest"]
    assert "guitar (tiny)" in client.get(pair).text.lower()


def test_a_result_of_an_earlier_version_still_opens(server, done):
    client, path = done
    job = server.site.store.get(path.split("/")[2])
    alone = client.send(song_bytes(1.0), "Old.wav", model="alone")
    client.wait(alone)
    old = server.site.store.get(alone.split("/")[2])
    kept = {key: value for key, value in old.result.items() if key not in ("stems", "pictures", "gain", "audible")}
    server.site.store.finish(old.id, "done", result=kept | {"audible_share": 1.0})
    page = client.get(alone)
    assert page.status == 200 and list(config_of(page.text)["lanes"]) == ["mixture", "instrument", "rest"]
    assert [client.get(f"{alone}/{name}").status for name in ("instrument", "mask.png", "sound/rest/0.ogg", "zip")] == [
        200
    ] * 4
    assert job.stems == [*STEMS, "rest"]


NO_SOUNDS = ("guitar/1.ogg", "guitar/99999.flac", "guitar/-1.ogg", "guitar/0.wav", "guitar/000000.ogg", "voice/0.ogg")


@pytest.mark.parametrize("address", [*NO_SOUNDS, "sidecar/0.ogg"])
def test_sounds_that_do_not_exist_are_not_there(done, address):
    client, path = done
    assert client.get(f"{path}/sound/{address}").status == 404
