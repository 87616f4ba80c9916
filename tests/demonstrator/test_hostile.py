"""Hostile requests: what each of them gets. ``python tests/demonstrator/test_hostile.py`` prints the table for docs/.

Every case is sent to a real server over a socket. After each one the server must still answer, and the job's folder
must hold nothing that a refused song left behind.
"""

from __future__ import annotations

import io
import struct
import sys
import tarfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from demonstrator_site import Answer, Client, make_model, multipart, raw, running_server, settings_for, song_bytes

DOCS = Path(__file__).resolve().parents[2] / "docs" / "demonstrator-hostile.md"
LIMIT_MB, LENGTH_S = 1.0, 30.0


@dataclass
class World:
    """What a case may use."""

    client: Client
    server: object
    done: str  # a finished song of another visitor

    @property
    def host(self) -> str:
        return self.client.netloc

    def raw(self, text: str | bytes) -> int:
        """Status of the answer to raw bytes; 0 if the line was just cut."""
        data = text.encode("latin-1") if isinstance(text, str) else text
        answer = raw(self.host, data)
        return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0

    def get(self, path: str, **headers: str) -> int:
        """Status of a GET whose path is sent as it is."""
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        host = "" if "Host" in headers else f"Host: {self.host}\r\n"
        return self.raw(f"GET {path} HTTP/1.1\r\n{host}{lines}Connection: close\r\n\r\n")

    def upload(self, data: bytes | None, name: str = "song.wav", **fields: str) -> int:
        return self.client.upload(data, name, fields).status

    def job_error(self, data: bytes, name: str = "song.wav") -> str:
        """Upload what is taken in, and return why it failed."""
        answer = self.client.upload(data, name)
        assert answer.status == 303, answer.text
        return self.client.wait(answer.headers["location"], "failed")["error"]

    def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> Answer:
        return self.client.post(path, fields, **headers)


@dataclass(frozen=True)
class Case:
    """One request: what it tries, what it gets, and how it is made."""

    name: str
    gets: str
    send: Callable[[World], object]
    wants: object


CASES: list[Case] = []


def case(name: str, gets: str, wants: object):
    def add(send: Callable[[World], object]) -> Callable[[World], object]:
        CASES.append(Case(name, gets, send, wants))
        return send

    return add


def simple(name: str, gets: str, wants: object, send: Callable[[World], object]) -> None:
    CASES.append(Case(name, gets, send, wants))


# ---- paths
NOT_FOUND = "404"
for path in (
    "/static/../server.py", "/static/..%2fserver.py", "/static/%2e%2e/%2e%2e/setup.cfg", "/static//etc/passwd",
    "/static/..\\server.py", "/static/style.css/../../site.py", "/../../../../etc/passwd", "/static/",
    "/static/.hidden", "/static/style.css%00.png", "/songs/../../key", "/songs/..%2f..%2fjobs.sqlite3",
    "/songs/" + "0" * 31, "/songs/" + "G" * 32, "/songs/" + "f" * 32, "/songs/%27%20OR%201=1--", "/quality/",
):  # fmt: skip
    simple(f"GET `{path[:48]}`", NOT_FOUND, 404, lambda w, path=path: w.get(path))
simple(
    "a file of another name in a song's folder", NOT_FOUND, 404, lambda w: w.get(f"{w.done}/instrument/../../song.wav")
)
simple("the song itself, which is not offered", NOT_FOUND, 404, lambda w: w.get(f"{w.done}/song.wav"))
simple("the mask file by a guessed name", NOT_FOUND, 404, lambda w: w.get(f"{w.done}/mask.zip"))
simple("a path of 60,000 characters", "414", 414, lambda w: w.get("/" + "a" * 60_000))
simple("a path that is no UTF-8", NOT_FOUND, 404, lambda w: w.get("/songs/%ff%fe"))

# ---- names of hosts and other sites
simple("a foreign Host (DNS rebinding)", "421", 421, lambda w: w.get("/", Host="evil.example"))
simple("Host with our name as a prefix", "421", 421, lambda w: w.get("/", Host="127.0.0.1.evil.example"))
simple("Host with user part", "421", 421, lambda w: w.get("/", Host="127.0.0.1@evil.example"))
simple(
    "two Host headers",
    "421",
    421,
    lambda w: w.raw(f"GET / HTTP/1.1\r\nHost: {w.host}\r\nHost: evil\r\nConnection: close\r\n\r\n"),
)
simple("no Host", "421", 421, lambda w: w.raw("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"))
simple("X-Forwarded-Host", "ignored", 200, lambda w: w.get("/", X_Forwarded_Host="evil.example"))
simple(
    "a form from another site (Origin)", "403", 403,
    lambda w: w.post("/songs", {"example": "1"}, Origin="https://evil.example").status,
)  # fmt: skip
simple(
    "a form from another site (Sec-Fetch-Site)", "403", 403,
    lambda w: w.post("/songs", {"example": "1"}, Sec_Fetch_Site="cross-site").status,
)  # fmt: skip
simple("a form without its token", "403", 403, lambda w: w.post("/songs", {"example": "1", "token": ""}).status)
simple(
    "another visitor's token", "403", 403,
    lambda w: w.post("/songs", {"example": "1", "token": Client(f"http://{w.host}/").token()}).status,
)  # fmt: skip


@case("a visitor's cookie made up", "a new one is given", True)
def _(w: World) -> bool:
    answer = w.client.request("GET", "/", Cookie="splitstrument_visitor=admin.0000")
    return bool(answer.cookies) and "admin" not in answer.cookies[0]


# ---- songs of others
for action in ("cancel", "delete", "rename"):
    simple(f"{action} another visitor's song", "403", 403, lambda w, a=action: w.post(f"{w.done}/{a}").status)
simple("bring back what another visitor deleted", "404", 404, lambda w: w.post(f"{w.done}/undelete").status)
simple("delete a song by GET", "405", 405, lambda w: w.get(f"{w.done}/delete"))

# ---- the player's sounds
for part, what in (("sidecar/0.ogg", "a file that is no stem"), ("rest/99999.ogg", "a segment behind the end"),
                   ("rest/0.exe", "another ending"), ("..%2f..%2fsong/0.ogg", "a path")):  # fmt: skip
    simple(f"a sound: {what}", "404", 404, lambda w, part=part: w.get(f"{w.done}/sound/{part}"))


for part, what in (("sidecar.mp3", "a file that is no stem"), ("rest.exe", "another ending")):
    simple(f"a file to keep: {what}", "404", 404, lambda w, part=part: w.get(f"{w.done}/save/{part}"))
simple("a zip of another format", "400", 400, lambda w: w.get(f"{w.done}/zip?form=../../key"))


@case("300 segments at once", "each is made once, two at a time", True)
def _(w: World) -> bool:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: w.get(f"{w.done}/sound/rest/0.ogg"), range(300)))
    return set(answers) == {200}


# ---- forms
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


def post_raw(w: World, headers: str, body: bytes = b"", target: str = "/songs") -> int:
    """POST with exactly these headers; the cookie is the visitor's."""
    w.client.token()
    head = (
        f"POST {target} HTTP/1.1\r\nHost: {w.host}\r\nCookie: {w.client.cookie}\r\nConnection: close\r\n{headers}\r\n"
    )
    return w.raw(head.encode() + body)


simple("no length", "411", 411, lambda w: post_raw(w, FORM))
simple("a length that is no number", "400", 400, lambda w: post_raw(w, FORM + "Content-Length: many\r\n"))
simple("a negative length", "400", 400, lambda w: post_raw(w, FORM + "Content-Length: -1\r\n"))
simple("a length of 10 GB, refused unread", "413", 413, lambda w: post_raw(w, FORM + "Content-Length: 10000000000\r\n"))
simple("JSON in the place of a form", "415", 415, lambda w: post_raw(w, "Content-Length: 2\r\n", b"{}"))
simple(
    "multipart without boundary", "415", 415,
    lambda w: post_raw(w, "Content-Type: multipart/form-data\r\nContent-Length: 4\r\n", b"abcd"),
)  # fmt: skip
simple(
    "multipart with a body that is none", "400", 400,
    lambda w: post_raw(w, "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 20\r\n", b"a" * 20),
)  # fmt: skip
simple(
    "a chunked body", "411", 411,
    lambda w: post_raw(w, FORM + "Transfer-Encoding: chunked\r\n", b"5\r\na=bcd\r\n0\r\n\r\n"),
)  # fmt: skip


@case("an upload cut off half-way", "400, nothing kept", True)
def _(w: World) -> bool:
    body, kind = multipart({"token": w.client.token()}, song_bytes(1), "a.wav")
    import socket

    host, _, port = w.host.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"POST /songs HTTP/1.1\r\nHost: {w.host}\r\nCookie: {w.client.cookie}\r\nContent-Type: {kind}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[: len(body) // 2])
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(100).startswith(b"HTTP/1.1 400")


simple("1,000 fields", "400", 400, lambda w: w.post("/songs", {f"f{i}": "" for i in range(1000)}).status)
simple("a field of 50 kB", "413", 413, lambda w: w.upload(None, link="x" * 50_000))
simple("two files at once", "400", 400, lambda w: two_files(w))
simple("an upload over the limit", "413", 413, lambda w: w.upload(b"RIFF" + bytes(int(LIMIT_MB * 1e6) + 70_000)))


def two_files(w: World) -> int:
    token = w.client.token()
    first, kind = multipart({"token": token}, song_bytes(0.2), "a.wav")
    boundary = kind.partition("boundary=")[2].encode()
    file_part = first[first.rindex(b"--" + boundary, 0, first.index(b'name="file"')) : first.rindex(b"--" + boundary)]
    twice = first[: first.rindex(b"--" + boundary)] + file_part + b"--" + boundary + b"--\r\n"
    return w.client.request("POST", "/songs", twice, Content_Type=kind).status


@case("file names such as `../../etc/cron.d/x` and `CON`", "shown as text, never a path", True)
def _(w: World) -> bool:
    before = set(w.server.site.settings.data_folder.rglob("cron*"))
    answer = w.client.upload(song_bytes(0.2), "../../etc/cron.d/x.wav")
    w.client.wait(answer.headers["location"])
    return answer.status == 303 and set(w.server.site.settings.data_folder.rglob("cron*")) == before


# ---- files that are no songs
def zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("song.wav", bytes(50_000_000))
    return buffer.getvalue()


def tar_of_links() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("song.wav")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return buffer.getvalue()


NO_SONGS = {
    "a zip bomb named song.wav": zip_bomb,
    "a tar with a link to /etc/passwd": tar_of_links,
    "an HTML page named song.mp3": lambda: b"<html><script>alert(1)</script>",
    "a picture": lambda: b"\x89PNG\r\n\x1a\n" + bytes(100),
    "a program": lambda: b"\x7fELF" + bytes(200),
    "a pickle": lambda: b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    "an M3U playlist with a private address": lambda: b"#EXTM3U\nhttp://127.0.0.1/x\n",
}
for title, data in NO_SONGS.items():
    simple(title, "415", 415, lambda w, data=data: w.upload(data(), "song.wav"))
simple("an empty file", "400", 400, lambda w: w.upload(b""))


def flac_of_silence(seconds: float) -> bytes:
    """A decompression bomb: hours of zeros in a few kilobytes."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros((int(seconds * 8000), 1), np.int16), 8000, format="FLAC")
    return buffer.getvalue()


def lying_wav() -> bytes:
    """A header that promises 2 GB."""
    data = bytearray(song_bytes(0.5))
    data[data.index(b"data") + 4 : data.index(b"data") + 8] = struct.pack("<I", 2_000_000_000)
    return bytes(data)


def nan_wav() -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.full((4000, 1), np.nan, np.float32), 22050, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


simple(
    "a decompression bomb: FLAC of an hour in 200 kB", "the job fails: too long", "minutes long",
    lambda w: w.job_error(flac_of_silence(3600), "a.flac"),
)  # fmt: skip
simple("a WAV cut to its header", "the job fails: unreadable", "song", lambda w: w.job_error(song_bytes(1)[:40]))
simple("noise behind a FLAC signature", "the job fails: unreadable", "audio",
       lambda w: w.job_error(b"fLaC" + np.random.default_rng(1).bytes(5000), "a.flac"))  # fmt: skip
simple("noise behind an MP3 frame", "the job fails: unreadable", "audio",
       lambda w: w.job_error(b"\xff\xfb\x90\x00" + bytes(3000), "a.mp3"))  # fmt: skip
simple(
    "values that are not numbers (NaN)", "the job fails: not numbers", "not numbers", lambda w: w.job_error(nan_wav())
)


simple("a WAV whose header promises 2 GB", "the job fails: cut off", "cut off", lambda w: w.job_error(lying_wav()))


# ---- links
LINKS = (
    "file:///etc/passwd", "ftp://example.org/a.mp3", "javascript:alert(1)", "http://127.0.0.1/a.mp3",
    "http://localhost:22/", "http://[::1]/a.mp3", "http://10.0.0.1/a", "http://192.168.1.1/a", "http://169.254.169.254/",
    "http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://[::ffff:10.0.0.1]/", "http://intranet/",
    "http://printer.local/", "http://user:secret@example.org/", "http://127.0.0.1.:80/", "https://exa mple.org/",
    "http://example.org:99999/", "--exec=id",
)  # fmt: skip
for link in LINKS:
    simple(f"the link `{link}`", "400", 400, lambda w, link=link: w.upload(None, link=link))


# ---- values
simple("a strength that is no number", "400", 400, lambda w: w.post(f"{w.done}/strength", {"strength": "1e9"}).status)
simple("a strength off the scale", "400", 400, lambda w: w.post(f"{w.done}/strength", {"strength": "100000"}).status)
for field, value in (
    ("gain_rest", "1e9"), ("gain_rest", "nan"), ("gain_rest", "13"), ("gain_instrument", "-61"),
    ("gain_rest", "9" * 5000), ("eq_rest", "<script>"), ("eq_rest", "warm:99"), ("loudness", "99"),
    ("format", "../x"), ("format", "wav;"),
):  # fmt: skip
    shown = value if len(value) < 20 else f"{value[:4]}..., {len(value):,} digits"
    simple(f"a mix with {field} `{shown}`", "400", 400,
           lambda w, field=field, value=value: w.post(f"{w.done}/mix", {field: value}).status)  # fmt: skip
simple("a mix whose room is no JSON", "400", 400, lambda w: w.post(f"{w.done}/mix", {"room": "{" * 4000}).status)
simple("a mix of 50 repetitions at quarter speed", "400", 400, lambda w: w.post(
    f"{w.done}/mix", {"room": '{"practice": {"times": 50, "speed": 0.25}}'}).status)  # fmt: skip
simple("a mix of a song that does not exist", NOT_FOUND, 404, lambda w: w.post(f"/songs/{'a' * 32}/mix").status)
simple("the mix of a song that is none", NOT_FOUND, 404, lambda w: w.get(f"{w.done}/mix"))
simple("another model that does not exist", "400", 400, lambda w: w.post(f"{w.done}/again", {"model": "../x"}).status)
simple("comparing a song with a job that does not exist", NOT_FOUND, 404,
       lambda w: w.get(f"/compare/{w.done[7:]}/{'a' * 32}"))  # fmt: skip
simple("a range of 10,000 parts", "200, the whole file once", 200,
       lambda w: w.get(f"{w.done}/sidecar", Range="bytes=" + ",".join(["0-0"] * 5000)))  # fmt: skip
simple(
    "methods that do not exist",
    "405",
    405,
    lambda w: w.raw(f"TRACE / HTTP/1.1\r\nHost: {w.host}\r\nConnection: close\r\n\r\n"),
)
simple("a header of 100 kB", "413", 413, lambda w: w.get("/", X_Long="x" * 100_000))
simple(
    "a header with a line break",
    "400",
    400,
    lambda w: w.raw(f"GET / HTTP/1.1\r\nHost: {w.host}\r\nbroken header\r\n\r\n"),
)
simple(
    "TLS bytes on the plain port",
    "400",
    400,
    lambda w: w.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60) + b"\r\n\r\n"),
)
simple("HTTP/3.9", "505", 505, lambda w: w.raw("GET / HTTP/3.9\r\nHost: x\r\n\r\n"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    model = make_model(folder / "guitar", "guitar")
    settings = settings_for(folder, [model], upload_limit_mb=LIMIT_MB, length_limit_s=LENGTH_S)
    with running_server(settings) as server:
        owner = Client(server.url)
        done = owner.send(song_bytes(0.5))
        owner.wait(done)
        yield World(Client(server.url), server, done)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_hostile_request_gets_what_the_table_says(case: Case, world: World):
    got = case.send(world)
    if isinstance(case.wants, str):
        assert case.wants in got
        assert str(world.server.site.settings.data_folder) not in got  # our paths are not the visitor's business
    else:
        assert got == case.wants
    assert world.client.get("/health").status == 200
    known = world.server.site.store.ids()
    assert {path.name for path in (world.server.site.settings.data_folder / "jobs").iterdir()} <= known


# ---- what takes a site, a full disk or a process of its own: told here, tried in other files
LINKS_FILE, QUEUE, LOAD = "test_links.py", "test_queue.py", "test_load.py"
PRIVACY, NAMES, MODELS = "test_privacy.py", "test_names.py", "../separation/test_hostile_models.py"
LEFTOVERS, TELEMETRY = "../test_leftovers.py", "../end_to_end/test_no_telemetry.py"
NO_SONG = "no song; nothing private is asked"
LINK_TEST = "test_a_hostile_link_gives_no_song_and_reaches_nothing_private"
MODEL_TEST = "test_a_hostile_model_ends_at_once_in_one_sentence"
NO_MODEL = "one sentence, at once"
ELSEWHERE = [
    *(
        (f"a link to {what}", NO_SONG, LINKS_FILE, LINK_TEST)
        for what in (
            "an HLS playlist with an odd key method", "an HLS playlist with AES-128", "an HLS playlist without keys",
            "a playlist of a local file, sent as sound", "a list of files for ffmpeg's concat", "a DASH manifest",
            "a page that names a private address", "a page that names a local file", "a redirect to a private address",
            "a redirect to a local file", "a picture sent as sound", "nothing, sent as sound",
            "a file of sound over the limit", "sound without an end", "an RSS feed of a private address",
            "a SMIL file of a private address", "an XSPF playlist of a private address",
        )
    ),
    *(
        (f"the link `{link}`", "400", LINKS_FILE, "test_links_that_may_not_be_tried")
        for link in (
            "http://[fec0::1]/", "http://[::7f00:1]/", "http://:@example.org/", "http://@127.0.0.1/",
            "rtmp://example.org/a", "data:audio/wav,x", "https:///a", "http://127.1/", "http://0/",
        )
    ),
    ("a link with a port of 5,000 digits", "400", LINKS_FILE, "test_links_that_may_not_be_tried"),
    ("a link with half a character", "400", LINKS_FILE, "test_links_that_may_not_be_tried"),
    ("a link to a page of 700 MB", "no song, within 120 MB", LINKS_FILE,
     "test_a_page_of_700_mb_takes_neither_memory_nor_time"),
    ("a link to a server that never answers", "no song, in time", LINKS_FILE, "test_fetching_ends_at_its_time"),
    ("a name that is public when asked first and private when connected to", NO_SONG, LINKS_FILE,
     "test_a_name_that_leads_elsewhere_at_the_second_question_is_not_reached"),
    ("cancel while a link is fetched", "the fetcher ends", LINKS_FILE, "test_cancel_and_delete_end_the_fetcher"),
    ("delete while a link is fetched", "the fetcher ends", LINKS_FILE, "test_cancel_and_delete_end_the_fetcher"),
    ("kill -9 of the worker while a link is fetched", "the fetcher ends", LINKS_FILE,
     "test_the_fetcher_ends_with_its_worker_even_if_that_was_killed"),
    ("an extractor that starts a program", "refused", LINKS_FILE,
     "test_the_guarded_process_starts_no_program_and_writes_nowhere_else"),
    ("an extractor that writes elsewhere, also through a link", "refused", LINKS_FILE,
     "test_the_guarded_process_starts_no_program_and_writes_nowhere_else"),
    ("an extractor that takes 900 MB at a limit of 800", "refused", LINKS_FILE,
     "test_the_guarded_process_is_bounded_in_memory"),
    ("a link whose title is `../../../evil` with marks that turn the writing", "a name", LINKS_FILE,
     "test_titles_of_links_are_names_like_those_of_uploads"),
    ("a title of half characters", "a name", LINKS_FILE, "test_a_title_of_half_characters_becomes_a_name"),
    ("a title `../../../evil` in a zip", "a plain member", NAMES,
     "test_titles_that_a_link_gave_are_harmless_everywhere"),
    ("a title of an older database in a zip", "a plain member", NAMES,
     "test_titles_of_an_older_database_are_harmless_in_a_zip"),
    ("an upload named with control characters", "a title without", NAMES, "test_names_of_uploads_are_harmless"),
    ("a path with a line break, an escape sequence and U+202E", "one line of ASCII in the log", NAMES,
     "test_the_log_has_one_line_of_ascii_per_event_whatever_comes"),
    ("a disk that is full when a song is done", "failed; the next song is done", QUEUE,
     "test_the_next_song_is_done_after_one_whose_end_cannot_be_written_down"),
    ("a database that fails for a while", "503 at /health, then done", QUEUE,
     "test_how_a_song_ended_is_written_down_as_soon_as_the_database_lets"),
    ("half characters in every text of a job", "failed; the next song is done", QUEUE,
     "test_half_characters_anywhere_end_nothing"),
    ("a row of the database that is damaged", "failed; the next song is done", QUEUE,
     "test_a_broken_row_is_no_other_songs_trouble"),
    ("an upload onto a full disk", "507, nothing kept", QUEUE,
     "test_an_upload_onto_a_full_disk_gets_507_and_leaves_nothing"),
    ("folders that vanish during a sweep", "the sweep goes on", QUEUE,
     "test_files_that_vanish_during_a_sweep_end_nothing"),
    ("a log that cannot be written", "songs are done", QUEUE, "test_a_log_that_cannot_be_written_ends_nothing"),
    *(
        (f"a database that is {what}", "one sentence at the start", QUEUE,
         "test_a_database_that_cannot_be_used_is_one_sentence_with_a_way_out")
        for what in ("noise", "another program's", "an old one's", "torn", "a folder")
    ),
    ("fifteen uploads at once at a limit of three", "three", QUEUE,
     "test_fifteen_uploads_at_once_do_not_pass_a_limit_of_three"),
    ("eight uploads at once at a limit of the disk", "what fits", QUEUE,
     "test_uploads_at_once_do_not_pass_the_disk_limit_together"),
    ("170 kB of FLAC that would become 600 MB", "failed before it starts", QUEUE,
     "test_what_a_song_may_become_is_reserved_before_it_starts"),
    ("HEAD of every page", "nothing is written", QUEUE, "test_head_writes_nothing_and_what_is_made_on_request_counts"),
    ("a sound for which there is no room", "503", QUEUE, "test_head_writes_nothing_and_what_is_made_on_request_counts"),
    ("`/scores` over and over", "made once, then 304", LOAD,
     "test_a_page_for_everybody_is_made_once_and_then_not_even_sent"),
    ("a card of 400,000 brackets", "the first 40,000, once", LOAD,
     "test_a_card_of_brackets_is_rendered_once_and_within_bounds"),
    ("too many requests with a foreign Host", "429 before 421", LOAD, "test_the_rate_is_checked_before_anything_else"),
    ("sixty requests over the rate", "a line in the log", LOAD,
     "test_a_visitor_over_the_rate_writes_a_line_a_minute"),
    ("forty connections that say nothing", "others are answered", LOAD, "test_silent_connections_hold_no_thread"),
    ("heads of requests that never end", "cut after ten seconds", LOAD, "test_slow_heads_are_cut"),
    ("twelve downloads that are not read", "others are answered", LOAD,
     "test_one_address_does_not_hold_all_threads"),
    ("more connections than one address may have", "closed", LOAD,
     "test_connections_have_a_budget_and_are_counted_back"),
    ("more connections than there are descriptors", "a line in the log", LOAD,
     "test_descriptors_that_run_out_write_a_line_a_minute"),
    ("numbers of 5,000 digits in headers", "400, 413 or 421", LOAD, "test_numbers_in_headers_have_a_length"),
    ("numbers of 5,000 digits, or of another alphabet, in forms", "400", LOAD,
     "test_numbers_in_forms_have_a_length_and_are_ascii"),
    ("`/quality/` through a proxy", "403", PRIVACY,
     "test_the_quality_page_is_closed_to_what_came_through_a_proxy"),
    ("`quality_dataset` with `trust_proxy`", "one sentence at the start", PRIVACY,
     "test_the_quality_page_and_a_proxy_exclude_each_other"),
    ("X-Forwarded-For that is no address", "counts as the proxy's", PRIVACY,
     "test_an_address_that_a_proxy_makes_up_is_not_taken"),
    ("a key file that is empty, short, constant or a link", "one sentence at the start", PRIVACY,
     "test_a_key_that_is_no_key_is_refused"),
    ("another user of the machine who looks for songs", "0600 in 0700", PRIVACY,
     "test_songs_database_and_key_are_for_one_user"),
    *(
        (f"a model with {what}", NO_MODEL, MODELS, MODEL_TEST)
        for what in (
            "an endless loop", "an endless loop in a condition", "an endless loop in a function",
            "conditions twelve deep", "two inputs", "no input", "weights that are not numbers",
            "a constant that is no number", "weights in another file", "bytes that are no network",
        )
    ),
    ("a mask of 260 kB that unpacks to 250 MB", "one sentence, within 150 MB", MODELS,
     "test_a_small_mask_does_not_become_large_in_memory"),
    ("kill -9 while a file is written", "the next run removes the part", LEFTOVERS,
     "test_the_next_run_removes_what_a_killed_one_was_writing"),
    ("two processes that write to one folder", "one does, one says so", LEFTOVERS,
     "test_a_claim_is_one_processs_until_it_ends"),
    ("telemetry of a library", "off in every command", TELEMETRY,
     "test_no_command_reaches_the_network_or_writes_into_the_home"),
]  # fmt: skip


def table() -> str:
    """The page of docs/."""
    rows = [(case.name, case.gets, "") for case in CASES]
    rows += [(name, gets, f"`{file.rpartition('/')[2]}`") for name, gets, file, _ in ELSEWHERE]
    lines = "\n".join(
        f"| {number} | {name.replace('|', '&#124;')} | {gets} | {file} |"
        for number, (name, gets, file) in enumerate(rows, 1)
    )
    about = (
        "Requests, sites, files and circumstances that mean harm, and what becomes of each. Those without a file of",
        "their own are requests that `tests/demonstrator/test_hostile.py` sends to a real server; it also prints this",
        "table (`python tests/demonstrator/test_hostile.py`). The others are tried in the file beside them.",
    )
    head = ("", "| | what | gets | tried in |", "|---|---|---|---|")
    return "\n".join(("# Hostile requests", "", *about, *head, lines, ""))


def test_table_in_docs_is_this_one_and_long_enough():
    assert len(CASES) >= 94 and len(ELSEWHERE) >= 60
    assert DOCS.read_text(encoding="utf-8") == table()


def test_what_is_tried_elsewhere_is_tried_there():
    for name, _, file, test in ELSEWHERE:
        source = (Path(__file__).parent / file).read_text(encoding="utf-8")
        assert f"def {test}(" in source, name


if __name__ == "__main__":
    sys.stdout.write(table())
