"""Links: hostile sites on loopback. A second server, on an address that is not allowed, must never be asked."""

from __future__ import annotations

import contextlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from demonstrator_site import Client, make_model, running_server, settings_for, song_bytes
from waiting import wait_until

from demonstrator.guards import is_public_address
from demonstrator.links import FetchRequest, LinkError, check_link, fetch, refuse_private_host

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("yt_dlp", reason="needs the extra [youtube]")
ENDLESS = -1


class Site(http.server.BaseHTTPRequestHandler):
    """Answers from `server.pages`: path -> (type, body) or (type, ENDLESS); what was asked for is in `server.seen`."""

    protocol_version = "HTTP/1.0"

    def do_GET(self):
        self.server.seen.append(self.path)
        kind, body = self.server.pages.get(self.path.partition("?")[0], ("text/plain", None))
        if kind == "redirect":
            self.send_response(302)
            self.send_header("Location", body)
            self.end_headers()
            return
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", kind)
        if isinstance(body, bytes):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            if body == ENDLESS:
                self._endless()
            else:
                self.wfile.write(body or b"")

    do_HEAD = do_GET

    def _endless(self):
        for _ in range(1000):
            self.wfile.write(b"<p>" + b"x" * 1_000_000)
            self.server.sent += 1_000_000

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(address):
    with http.server.ThreadingHTTPServer((address, 0), Site) as server:
        server.pages, server.seen, server.sent = {}, [], 0
        server.url = f"http://{address}:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def site():
    """A public site, as far as the guard is told."""
    with serving("127.0.0.1") as server:
        server.pages["/song.wav"] = "audio/wav", song_bytes(1)
        yield server


@pytest.fixture
def private():
    """A server on an address that links may not reach; nobody may ask it anything."""
    try:
        with serving("127.0.0.2") as server:
            server.pages["/song.wav"] = "audio/wav", song_bytes(1)
            yield server
    except OSError:
        pytest.skip("this system has one loopback address only")


def request(folder, link, *allowed, **changes):
    folder.mkdir()
    values = {"max_bytes": 2_000_000, "max_seconds": 600, **changes}
    return FetchRequest(link, str(folder), allowed_hosts=allowed or ("127.0.0.1",), **values)


def quietly(share):
    pass


# ---- what may be tried


@pytest.mark.parametrize(
    "link", ["https://example.org/a.mp3", " http://93.184.216.34/x ", "https://xn--bcher-kva.example/"]
)
def test_links_that_may_be_tried(link):
    refuse_private_host(check_link(link), ())


@pytest.mark.parametrize(
    "link",
    ["http://[fec0::1]/", "http://[::7f00:1]/", "http://:@example.org/", "http://@127.0.0.1/", "https://a\u00a0b.org/",
     "https://a\udc80.org/", f"https://{'a' * 300}.org/", "http://example.org:" + "9" * 5000 + "/",
     "rtmp://example.org/a", "data:audio/wav,x", "https:///a", "http://127.1/", "http://0/"],
)  # fmt: skip
def test_links_that_may_not_be_tried(link):
    with pytest.raises(LinkError):
        refuse_private_host(check_link(link), ())


@pytest.mark.parametrize("address", ["fec0::1", "feff::1", "::5db8:d822", "::1.1.1.1", "fec0::7f00:1"])
def test_old_forms_of_addresses_are_private(address):
    assert not is_public_address(address)


# ---- what is fetched


def test_a_link_is_fetched_from_a_host_that_was_allowed(tmp_path, site):
    seen = []
    path, title = fetch(request(tmp_path / "a", f"{site.url}/song.wav"), seen.append)
    assert path.read_bytes() == song_bytes(1) and title == "song" and seen[-1] == 1.0
    assert path.name == "fetched.wav"


def test_a_host_that_was_allowed_by_name_is_reached(tmp_path, site):
    """The resolver is a fake: the name is nowhere else."""
    answer = run_fetcher_with_names(
        tmp_path, {"media.example": "127.0.0.1"}, site.url.replace("127.0.0.1", "media.example")
    )
    assert "fetched.wav" in answer


def test_a_name_that_leads_elsewhere_at_the_second_question_is_not_reached(tmp_path, site, private):
    """A name server of an attacker: public when asked first, private when connected to."""
    link = private.url.replace("127.0.0.2", "evil.example")
    answer = run_fetcher_with_names(tmp_path, {"media.example": "127.0.0.1", "evil.example": "127.0.0.2"}, link)
    assert "private address" in answer and not private.seen


def run_fetcher_with_names(folder, names, link):
    """What the fetcher says where the system's resolver knows `names`; media.example is allowed."""
    (folder / "job").mkdir()
    code = (
        "import socket, sys\n"
        f"names = {names!r}; real = socket.getaddrinfo\n"
        "socket.getaddrinfo = lambda host, *rest, **more: real(names.get(host, host), *rest, **more)\n"
        "from demonstrator.fetcher import fetch_here; from demonstrator.links import FetchRequest\n"
        f"request = FetchRequest({link + '/song.wav'!r}, {str(folder / 'job')!r}, 2_000_000, 600, ('media.example',))\n"
        "try: print(fetch_here(request, lambda share: None)[0].name)\n"
        "except Exception as error: print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60)
    return run.stdout + run.stderr


def playlist(*lines):
    return "\n".join(("#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:5", *lines)).encode()


def hls(key, address):
    return playlist(key, "#EXTINF:5,", f"{address}/song.wav", "#EXT-X-ENDLIST")


HOSTILE = {
    "an HLS playlist with an odd key method": ("/a.m3u8", "application/vnd.apple.mpegurl",
        lambda p: hls('#EXT-X-KEY:METHOD=SAMPLE-AES-ODD,URI="skd://x"', p.url)),
    "an HLS playlist with AES-128": ("/a.m3u8", "application/vnd.apple.mpegurl",
        lambda p: hls(f'#EXT-X-KEY:METHOD=AES-128,URI="{p.url}/key"', p.url)),
    "an HLS playlist without keys": ("/a.m3u8", "application/x-mpegurl", lambda p: hls("", p.url)),
    "a playlist of a local file, sent as sound": ("/song.mp3", "audio/mpeg",
        lambda p: playlist("#EXTINF:5,", "file:///etc/passwd", "#EXT-X-ENDLIST")),
    "a list of files for ffmpeg's concat": ("/song.mp3", "audio/mpeg",
        lambda p: b"ffconcat version 1.0\nfile /etc/passwd\n"),
    "a DASH manifest": ("/a.mpd", "application/dash+xml",
        lambda p: f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><AdaptationSet '
                  f'mimeType="audio/mp4"><Representation id="1" bandwidth="1"><BaseURL>{p.url}/song.wav</BaseURL>'
                  '</Representation></AdaptationSet></Period></MPD>'.encode()),
    "a page that names a private address": ("/a.html", "text/html",
        lambda p: f'<title>x</title><audio src="{p.url}/song.wav"></audio>'.encode()),
    "a page that names a local file": ("/a.html", "text/html",
        lambda p: b'<title>x</title><video><source src="file:///etc/passwd" type="audio/wav"></video>'),
    "a redirect to a private address": ("/to", "redirect", lambda p: f"{p.url}/song.wav"),
    "a redirect to a local file": ("/to", "redirect", lambda p: "file:///etc/passwd"),
    "a picture sent as sound": ("/a.mp3", "audio/mpeg", lambda p: b"\x89PNG\r\n\x1a\n" + bytes(5000)),
    "nothing, sent as sound": ("/a.mp3", "audio/mpeg", lambda p: b""),
    "a file of sound over the limit": ("/a.wav", "audio/wav", lambda p: song_bytes(1) + bytes(3_000_000)),
    "sound without an end": ("/a.wav", "audio/wav", lambda p: ENDLESS),
    "an RSS feed of a private address": ("/a.xml", "application/rss+xml",
        lambda p: f'<rss version="2.0"><channel><title>x</title><item><title>y</title><link>{p.url}/song.wav</link>'
                  f'<enclosure url="{p.url}/song.wav" type="audio/wav"/></item></channel></rss>'.encode()),
    "a SMIL file of a private address": ("/a.smil", "application/smil+xml",
        lambda p: f'<smil><body><switch><audio src="{p.url}/song.wav"/></switch></body></smil>'.encode()),
    "an XSPF playlist of a private address": ("/a.xspf", "application/xspf+xml",
        lambda p: f'<playlist xmlns="http://xspf.org/ns/0/" version="1"><trackList><track><location>{p.url}/song.wav'
                  '</location></track></trackList></playlist>'.encode()),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_link_gives_no_song_and_reaches_nothing_private(name, tmp_path, site, private):
    path, kind, make = HOSTILE[name]
    site.pages[path] = kind, make(private)
    with pytest.raises(LinkError) as caught:
        fetch(request(tmp_path / "a", site.url + path), quietly)
    assert private.seen == []
    assert "root:" not in str(caught.value) and str(tmp_path) not in str(caught.value)
    assert not [file for file in (tmp_path / "a").iterdir() if b"root:" in file.read_bytes()]
    assert len(str(caught.value)) < 400


def test_a_page_of_700_mb_takes_neither_memory_nor_time(tmp_path, site):
    site.pages["/big"] = "text/html", ENDLESS
    with pytest.raises(LinkError, match=r"more than \d+ MB of pages|too large"):
        fetch(request(tmp_path / "a", f"{site.url}/big"), quietly)
    assert site.sent < 120_000_000


def test_fetching_ends_at_its_time(tmp_path, site):
    with silent_server() as link, pytest.raises(LinkError, match="too long"):
        fetch(request(tmp_path / "a", link, fetch_limit_s=1.0), quietly)


@contextlib.contextmanager
def silent_server():
    """A server that accepts and never answers."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/a.mp3"


def fetchers():
    """Process ids of fetchers that run, zombies aside."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (
                b"demonstrator.fetcher" in (folder / "cmdline").read_bytes()
                or b"demonstrator.links" in (folder / "cmdline").read_bytes()
            ):
                found.add(int(folder.name))
    return found


linux = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks at processes through /proc")


@linux
def test_what_progress_raises_ends_the_fetcher_at_once(tmp_path):
    before = fetchers()
    limit = time.monotonic() + 2

    def cancel(share):
        if fetchers() - before and time.monotonic() > limit:
            raise KeyboardInterrupt

    with silent_server() as link, pytest.raises(KeyboardInterrupt):
        fetch(request(tmp_path / "a", link), cancel)
    assert not fetchers() - before


@linux
def test_the_fetcher_ends_with_its_worker_even_if_that_was_killed(tmp_path):
    before = fetchers()
    code = (
        "import sys; from demonstrator.links import *\n"
        "fetch(FetchRequest(sys.argv[1], sys.argv[2], 10**6, 600, ('127.0.0.1',)), lambda share: None)"
    )
    with silent_server() as link:
        worker = subprocess.Popen([sys.executable, "-c", code, link, str(tmp_path)], cwd=ROOT)
        wait_until(lambda: fetchers() - before, 20)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        wait_until(lambda: not fetchers() - before, 20)


@linux
@pytest.mark.parametrize("action", ["cancel", "delete"])
def test_cancel_and_delete_end_the_fetcher(action, tmp_path):
    before = fetchers()
    model = make_model(tmp_path / "guitar", "guitar")
    with silent_server() as link, running_server(settings_for(tmp_path, [model], link_hosts=("127.0.0.1",))) as server:
        client = Client(server.url)
        path = client.send(None, link=link)
        wait_until(lambda: fetchers() - before, 20)
        client.post(f"{path}/{action}")
        wait_until(lambda: not fetchers() - before, 20)


# ---- the guard itself


def test_names_that_resolve_to_loopback_end_at_the_socket(tmp_path):
    """What a name resolves to does not matter before the connection is made."""
    code = (
        "import pathlib, socket, sys; from demonstrator.fetcher import guard\n"
        "server = socket.create_server(('127.0.0.1', 0)); guard(pathlib.Path(sys.argv[1]))\n"
        "import _socket, ssl, urllib.request\n"
        "tls = ssl.create_default_context()\n"
        "for make in (lambda: socket.create_connection(server.getsockname()),\n"
        "             lambda: tls.wrap_socket(socket.socket(), server_hostname='x').connect(server.getsockname()),\n"
        "             lambda: socket.socket().connect_ex(server.getsockname()),\n"
        "             lambda: _socket.socket().connect(server.getsockname()),\n"
        "             lambda: socket.socket(socket.AF_UNIX).connect('/run/x'),\n"
        "             lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', server.getsockname()),\n"
        "             lambda: socket.socket(type=socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, server.getsockname()),\n"
        "             lambda: urllib.request.urlopen('http://127.0.0.1:%d/' % server.getsockname()[1])):\n"
        "    try: make(); print('open')\n"
        "    except OSError as error: print('private' in str(error) or 'internet' in str(error))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.split() == ["True"] * 8


def test_the_guarded_process_starts_no_program_and_writes_nowhere_else(tmp_path):
    (tmp_path / "job").mkdir()
    code = (
        "import os, pathlib, subprocess, sys; from demonstrator.fetcher import guard\n"
        "job = pathlib.Path(sys.argv[1]); guard(job)\n"
        "(job / 'a').write_text('x')\n"
        "os.symlink('..', job / 'up')\n"
        "for make in (lambda: subprocess.run(['true']), lambda: os.system('true'), lambda: os.fork(),\n"
        "             lambda: os.posix_spawn('/bin/true', ['true'], {}), lambda: os.execv('/bin/true', ['true']),\n"
        "             lambda: open(job / '..' / 'b', 'w'), lambda: (job.parent / 'b').touch(),\n"
        "             lambda: open(job / 'up' / 'b', 'wb'), lambda:\n"
        "             os.open(job.parent / 'b', os.O_CREAT | os.O_WRONLY)):\n"
        "    try: make(); print('done')\n"
        "    except OSError as error: print('refused')\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "job")]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.split() == ["refused"] * 9
    assert [path.name for path in tmp_path.iterdir()] == ["job"]


@linux
def test_the_guarded_process_is_bounded_in_memory(tmp_path):
    code = (
        "from demonstrator.fetcher import limit; from demonstrator.links import FetchRequest\n"
        "limit(FetchRequest('', '', 1000, 1, memory_bytes=800_000_000))\n"
        "try: bytearray(900_000_000); print('taken')\n"
        "except MemoryError: print('refused')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.split() == ["refused"]


def test_titles_of_links_are_names_like_those_of_uploads(tmp_path, site):
    site.pages["/song.wav"] = "audio/wav", song_bytes(1)
    site.pages["/..%2f..%2f..%2fevil%e2%80%ae%00.wav"] = "audio/wav", song_bytes(1)
    _, title = fetch(request(tmp_path / "a", f"{site.url}/..%2f..%2f..%2fevil%e2%80%ae%00.wav"), quietly)
    assert "/" not in title and "\u202e" not in title and "\0" not in title and not title.startswith(".")


def test_without_a_network_the_message_says_so(tmp_path):
    with pytest.raises(LinkError, match=r"internet connection|could not be fetched"):
        fetch(request(tmp_path / "a", "http://nosuchhost.invalid/a.mp3"), quietly)


def test_a_title_of_half_characters_becomes_a_name(tmp_path):
    from demonstrator import fetcher

    assert fetcher._title({"title": "a\ud800\u202e/../b\x07"}) == "a_.._b_"
