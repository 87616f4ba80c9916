"""Names that visitors and sites choose: in titles, headers, zip members and the log."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from demonstrator_site import Client, inline_server, make_model, settings_for, song_bytes

BAD = [
    "../../../evil",
    "a\u202egnp.exe",
    "half \ud800 character",
    "bell\x07 and \x1b[31m red",
    "line\nbreak",
    "x" * 5000,
    "\x85\u2028",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    with inline_server(settings_for(folder, [make_model(folder / "guitar", "guitar")], jobs_per_visitor=50)) as server:
        client = Client(server.url)
        path = client.send(song_bytes(0.3))
        client.wait(path)
        yield server, client, path


@pytest.mark.parametrize("title", BAD, ids=range(len(BAD)))
def test_titles_that_a_link_gave_are_harmless_everywhere(title, site):
    """As if the link had this title: it goes through the dispatcher's own naming."""
    server, client, path = site
    job = server.site.store.get(path[7:])
    server.dispatcher.finished(job, {**(job.result or {}), "title": title})
    assert client.get(path).status == 200
    shown = client.status(path)["title"]
    assert not set(shown) & set("/\\\0\x07\x1b\n\x85\u2028\u202e") and len(shown.encode()) <= 80
    answer = client.get(f"{path}/zip")
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        names = archive.namelist()
    assert len(names) == 3
    assert not [name for name in names if set(name) & set("/\\\0\x07\x1b\n\u202e") or name.startswith(".")]
    disposition = client.get(f"{path}/instrument").headers["content-disposition"]
    assert disposition.isascii() and ".." not in disposition.partition("filename*")[0].partition('"')[2][:2]


def test_titles_of_an_older_database_are_harmless_in_a_zip(site):
    server, client, path = site
    server.site.store.rename(path[7:], "../../../old")
    with zipfile.ZipFile(io.BytesIO(client.get(f"{path}/zip").body)) as archive:
        assert not [name for name in archive.namelist() if "/" in name or name.startswith(".")]


@pytest.mark.parametrize(
    "name", ["\u202ea.wav", "a\x7f\x80\x9f.wav", "é\ud800.wav".encode("utf-8", "surrogatepass").decode("latin-1")]
)
def test_names_of_uploads_are_harmless(name, site):
    _, client, _ = site
    path = client.send(song_bytes(0.2), name)
    title = client.wait(path)["title"]
    assert not [letter for letter in title if not (letter.isprintable() or letter == "\u00a0")]


def test_the_log_has_one_line_of_ascii_per_event_whatever_comes(site, capfd):
    server, client, _ = site
    client.get("/%0a%1b%5b31m%e2%80%ae%7f")
    server.site.store.report("x", 0.5, "\ud800")
    lines = capfd.readouterr().err.splitlines()
    assert lines and all(json.loads(line) and line.isascii() and line.isprintable() for line in lines)
