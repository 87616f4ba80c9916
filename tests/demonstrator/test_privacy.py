"""What is for this machine, this user or this connection only."""

from __future__ import annotations

import os

import pytest
from demonstrator_site import Client, inline_server, settings_for, song_bytes

from demonstrator.guards import Tokens
from demonstrator.server import Server
from splitstrument.errors import SettingsError


@pytest.fixture
def dataset(tmp_path):
    for stem_class in ("guitar", "drums"):
        (tmp_path / "dataset" / "one song" / stem_class).mkdir(parents=True)
        (tmp_path / "dataset" / "one song" / stem_class / "a.wav").write_bytes(song_bytes(1))
    return tmp_path / "dataset"


@pytest.mark.parametrize("header", ["X_Forwarded_For", "X_Real_IP", "Forwarded", "Via", "X_Forwarded_Host"])
def test_the_quality_page_is_closed_to_what_came_through_a_proxy(tmp_path, model, dataset, header):
    with inline_server(settings_for(tmp_path, [model], quality_dataset=dataset)) as server:
        client = Client(server.url)
        assert client.get("/quality/").status == 200
        assert client.get("/quality/", **{header: "203.0.113.9"}).status == 403


def test_the_quality_page_and_a_proxy_exclude_each_other(tmp_path, model, dataset):
    """nginx's default Host is this server's own address, and every visitor seems to come from it."""
    with pytest.raises(SettingsError, match="exclude each other"):
        Server(settings_for(tmp_path, [model], quality_dataset=dataset, trust_proxy=True), "127.0.0.1", 0)
    with inline_server(settings_for(tmp_path, [model])):
        pass  # the folder is free again


@pytest.mark.parametrize(
    ("trust_proxy", "scheme", "secure"), [(True, "https", True), (True, "http", False), (False, "https", False)]
)
def test_cookies_are_secure_behind_tls(tmp_path, model, trust_proxy, scheme, secure):
    with inline_server(settings_for(tmp_path, [model], trust_proxy=trust_proxy)) as server:
        answer = Client(server.url).get("/", X_Forwarded_Proto=scheme)
        assert ("secure" in answer.cookies[0].lower()) is secure and "httponly" in answer.cookies[0].lower()


def test_an_address_that_a_proxy_makes_up_is_not_taken(tmp_path, model):
    with inline_server(settings_for(tmp_path, [model], trust_proxy=True, requests_per_minute=40)) as server:
        client = Client(server.url)
        answers = [client.get("/models", X_Forwarded_For=f"nonsense {n}").status for n in range(14)]
        assert answers[-1] == 429


@pytest.mark.parametrize("data", [b"", b"short", bytes(32), b"a" * 32, b"x" * 1000], ids=range(5))
def test_a_key_that_is_no_key_is_refused(tmp_path, data):
    (tmp_path / "key").write_bytes(data)
    with pytest.raises(SettingsError, match="delete it"):
        Tokens(tmp_path / "key")


def test_a_key_behind_a_link_or_open_to_others_is_refused(tmp_path):
    Tokens(tmp_path / "key")
    (tmp_path / "link").symlink_to(tmp_path / "key")
    with pytest.raises(SettingsError, match="delete it"):
        Tokens(tmp_path / "link")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="delete it"):
        Tokens(tmp_path / "dangling")
    (tmp_path / "key").chmod(0o666)
    with pytest.raises(SettingsError, match="delete it"):
        Tokens(tmp_path / "key")


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_songs_database_and_key_are_for_one_user(tmp_path, model):
    settings = settings_for(tmp_path, [model])
    before = os.umask(0o022)
    try:
        (settings.data_folder / "jobs" / "old").mkdir(parents=True)
        (settings.data_folder / "jobs" / "old" / "song.wav").write_bytes(b"x")
        with inline_server(settings) as server:
            client = Client(server.url)
            path = client.send(song_bytes(0.5))
            client.wait(path)
            client.wait(client.post(f"{path}/strength", {"strength": "50"}).headers["location"])
            open_to_others = [
                f"{file.relative_to(tmp_path)} {file.stat().st_mode:o}"
                for file in (settings.data_folder, *settings.data_folder.rglob("*"))
                if file.stat().st_mode & 0o077
            ]
        assert os.umask(0o022) == 0o022  # as it was
    finally:
        os.umask(before)
    assert open_to_others == []


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_other_things_in_the_data_folder_stay_as_they_are(tmp_path, model):
    settings = settings_for(tmp_path, [model])
    settings.data_folder.mkdir()
    (settings.data_folder / "letter.txt").write_text("x")
    for path in (settings.data_folder, settings.data_folder / "letter.txt"):
        path.chmod(0o755)
    with inline_server(settings):
        assert settings.data_folder.stat().st_mode & 0o777 == 0o755
        assert (settings.data_folder / "letter.txt").stat().st_mode & 0o777 == 0o755
