"""No page is dear, no connection holds a thread for nothing, and the log stays short."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import threading
import time

import pytest
from demonstrator_site import Client, inline_server, make_model, raw, settings_for, song_bytes
from waiting import wait_until

from demonstrator import connections, log
from demonstrator.markdown import to_html
from demonstrator.offered_models import MAX_CARD
from demonstrator.scores import published


@pytest.fixture(scope="module")
def server(tmp_path_factory, model):
    with inline_server(settings_for(tmp_path_factory.mktemp("site"), [model], threads=6)) as server:
        yield server


def connect(server):
    return socket.create_connection(server._wsgi.bind_addr, timeout=20)


@pytest.mark.parametrize("page", ["/scores", "/models"])
def test_a_page_for_everybody_is_made_once_and_then_not_even_sent(server, page, monkeypatch):
    made = []
    monkeypatch.setattr("demonstrator.scores.published", lambda: made.append(1) or published())
    client = Client(server.url)
    first = client.get(page)
    for _ in range(20):
        assert client.get(page).body == first.body
    again = client.get(page, If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"") and len(made) <= 1
    assert client.request("HEAD", page).body == b""


def test_a_score_file_that_changes_is_shown(tmp_path, monkeypatch):
    monkeypatch.setattr("demonstrator.kept_pages.LOOK_EVERY_S", 0.0)
    model = make_model(tmp_path / "guitar", "guitar")
    with inline_server(settings_for(tmp_path, [model])) as server:
        client = Client(server.url)
        tag = client.get("/scores").headers["etag"]
        (model / "scores.yaml").write_text("held out: {model: {SI-SDR: 4.56}}\n")
        answer = client.get("/scores", If_None_Match=tag)
        assert answer.status == 200 and "4.56" in answer.text


@pytest.mark.parametrize("text", ["[" * 40_000, "![" * 20_000, "[a][b" * 8_000, "a|\n-|\n" * 7_000, "- a\n " * 8_000])
def test_a_card_of_brackets_is_rendered_once_and_within_bounds(tmp_path, text):
    model = make_model(tmp_path / "guitar", "guitar")
    (model / "card.md").write_text(text * 10)
    with inline_server(settings_for(tmp_path, [model])) as server:
        offered = server.site.models["guitar"]
        before = time.process_time()
        assert Client(server.url).get("/models").status == 200
        assert time.process_time() - before < 5  # of the processor; 200,000 characters took half a minute
        assert offered.card is offered.card and len(to_html("a" * MAX_CARD)) < 2 * MAX_CARD


def test_the_rate_is_checked_before_anything_else(tmp_path, model):
    with inline_server(settings_for(tmp_path, [model], requests_per_minute=10)) as server:
        host = server.url.removeprefix("http://").strip("/")
        line = b"POST /songs HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        seen = [raw(host, line)[9:12] for _ in range(14)]
    assert set(seen) == {b"421", b"429"} and seen[-1] == b"429" and seen.count(b"429") >= 3


def test_a_visitor_over_the_rate_writes_a_line_a_minute(tmp_path, model, capfd, monkeypatch):
    monkeypatch.setattr(log, "_rare", {})
    with inline_server(settings_for(tmp_path, [model], requests_per_minute=10)) as server:
        client = Client(server.url)
        answers = [client.get("/models").status for _ in range(60)]
    lines = capfd.readouterr().err.splitlines()
    assert answers.count(429) >= 45
    assert len([line for line in lines if "too_many_requests" in line]) == 1 and len(lines) < 25


def test_silent_connections_hold_no_thread(server):
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(connect(server))
        before = time.monotonic()
        assert Client(server.url).get("/health").status == 200
        assert time.monotonic() - before < 5  # six threads would have waited for twenty seconds each


def test_slow_heads_are_cut(server, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_S", 0.5)
    monkeypatch.setattr(connections, "WATCH_EVERY_S", 0.1)
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(connect(server)) for _ in range(8)]
        for line in lines:
            line.sendall(b"GET / HTTP/1.1\r\nHost: ")
        before = time.monotonic()
        assert Client(server.url).get("/health").status == 200
        assert time.monotonic() - before < 10
        for line in lines:
            with contextlib.suppress(ConnectionError):
                assert line.recv(1000)[:12] in (b"", b"HTTP/1.1 408", b"HTTP/1.1 400")


def test_one_address_does_not_hold_all_threads(server):
    """Downloads that are not read: the visitor waits for himself, others are answered."""
    client = Client(server.url)
    path = client.send(song_bytes(40))
    client.wait(path)
    with contextlib.ExitStack() as stack:
        for _ in range(12):
            line = stack.enter_context(connect(server))
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.sendall(f"GET {path}/zip HTTP/1.1\r\nHost: {client.netloc}\r\n\r\n".encode())
        wait_until(lambda: server._wsgi._busy["127.0.0.1"] == 4, 10)
        wait_until(lambda: sum(map(len, server._wsgi._lines.values())) <= 8, 10)  # a line of before may just be closing
        other = socket.socket()
        other.bind(("127.0.0.9", 0))
        stack.enter_context(other)
        other.settimeout(10)
        other.connect(server._wsgi.bind_addr)
        other.sendall(f"GET /health HTTP/1.1\r\nHost: {client.netloc}\r\nConnection: close\r\n\r\n".encode())
        assert other.recv(20).startswith(b"HTTP/1.1 200")
    wait_until(lambda: not server._wsgi._busy and not server._wsgi._lines, 30)


def test_connections_have_a_budget_and_are_counted_back(server, monkeypatch):
    monkeypatch.setattr(connections, "MOST_OF_ADDRESS", 10)
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(connect(server)) for _ in range(30)]
        wait_until(lambda: len(server._wsgi._open) == 10, 10)
        lines[-1].settimeout(10)
        assert lines[-1].recv(1) == b""
    wait_until(lambda: not server._wsgi._open, 30)
    assert Client(server.url).get("/health").status == 200


def test_descriptors_that_run_out_write_a_line_a_minute(server, capfd, monkeypatch):
    monkeypatch.setattr(log, "_rare", {})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(socket.socket()) for _ in range(60)]
        used = len(os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 3, hard))
        try:
            for line in lines[:30]:
                line.settimeout(0.2)
                with contextlib.suppress(OSError):
                    line.connect(server._wsgi.bind_addr)
            threading.Event().wait(1.0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert Client(server.url).get("/health").status == 200
    refused = [line for line in capfd.readouterr().err.splitlines() if "connection_refused" in line]
    assert len(refused) == 1 and "Too many open files" in json.loads(refused[0])["reason"]


DIGITS = "9" * 5000


@pytest.mark.parametrize(
    ("line", "statuses"),
    [
        (f"Content-Length: {DIGITS}\r\n", (400, 413)),
        ("Content-Length: ٣\r\n", (400,)),
        (f"Host: 127.0.0.1:{DIGITS}\r\n", (421,)),
        (f"Range: bytes={DIGITS}-\r\n", (403, 411)),
        (f"X-Forwarded-For: {DIGITS}\r\n", (403, 411)),
        (f"If-None-Match: {DIGITS}\r\n", (403, 411)),
    ],
    ids=range(6),
)
def test_numbers_in_headers_have_a_length(server, line, statuses):
    host = server.url.removeprefix("http://").strip("/")
    own = "" if line.startswith("Host") else f"Host: {host}\r\n"
    answer = raw(host, f"POST /songs HTTP/1.1\r\n{own}{line}Connection: close\r\n\r\n".encode())
    assert int(answer[9:12]) in statuses


@pytest.mark.parametrize("number", [DIGITS, "٥٠", "５０", "5_0", "+50", " 50", "50.0", "1e2", "0x32", "-50", "050"])
def test_numbers_in_forms_have_a_length_and_are_ascii(server, number):
    client = Client(server.url)
    path = client.send(song_bytes(0.3))
    client.wait(path)
    assert client.post(f"{path}/strength", {"strength": number}).status == 400


def test_log_rarely_counts_what_it_leaves_out(capfd, monkeypatch):
    monkeypatch.setattr(log, "_rare", {})
    now = [0.0]
    monkeypatch.setattr("demonstrator.log.time.monotonic", lambda: now[0])
    for second in range(130):
        now[0] = float(second)
        log.log_rarely("x", address="a")
        log.log_rarely("x", address="b")
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [one.get("left_out", 0) for one in events if one["address"] == "a"] == [0, 59, 59]
    for number in range(5000):
        log.log_rarely("x", address=str(number))
    assert len(log._rare) <= log.MOST_KINDS
