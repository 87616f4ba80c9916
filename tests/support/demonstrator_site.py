"""What the demonstrator's tests share: small models, songs, a server that really listens, and a plain client.

The models are ONNX graphs written here, so that no test needs TensorFlow: the mask is a fixed weight per frequency,
times a function of the magnitude. ``slow`` multiplies large matrices on the way, so that a job can be met half-way.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import re
import socket
import urllib.parse
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from waiting import wait_until

from demonstrator.server import Server
from demonstrator.settings import DemonstratorSettings, ModelEntry
from demonstrator.work import run_task
from splitstrument.errors import CancelledError
from splitstrument.model_folder import ModelDescription, write_model_folder
from splitstrument.network.settings import HourglassSettings, ModelSettings, SpectrogramSettings

RATE = 22050
TIMEOUT_S = 180


def make_model(folder: Path, target: str, cutoff: float = 0.3, work: int = 0) -> Path:
    """A model folder whose mask passes bins below `cutoff` (share of the spectrum); `work` makes it slow."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    settings = ModelSettings(
        target=target,
        spectrogram=SpectrogramSettings(sample_rate_hz=RATE, n_fft=512),
        n_frames=16,
        network=HourglassSettings(filters=4, levels=2, initial_widths=(4,), end_width=4),
    )
    n_bins = settings.spectrogram.n_bins
    weight = (np.arange(n_bins) < cutoff * n_bins).astype(np.float32).reshape(1, n_bins, 1, 1) * 0.9 + 0.05
    constants = [numpy_helper.from_array(weight, "weight")]
    nodes = [helper.make_node("Mul", ["magnitudes", "zero"], ["nothing"])]
    constants.append(numpy_helper.from_array(np.float32(0), "zero"))
    last = "nothing"
    if work:
        constants.append(numpy_helper.from_array(np.zeros((1, 1, 1, 200), np.float32), "wide"))
        constants.append(numpy_helper.from_array(np.eye(200, dtype=np.float32), "square"))
        constants.append(numpy_helper.from_array(np.zeros((200, 1), np.float32), "narrow"))
        nodes.append(helper.make_node("Add", [last, "wide"], ["w0"]))
        for index in range(work):
            nodes.append(helper.make_node("MatMul", [f"w{index}", "square"], [f"w{index + 1}"]))
        nodes.append(helper.make_node("MatMul", [f"w{work}", "narrow"], ["worked"]))
        last = "worked"
    nodes.append(helper.make_node("Add", [last, "weight"], ["masks"]))
    shape = ["batch", n_bins, settings.n_frames, 1]
    graph = helper.make_graph(
        nodes,
        "mask",
        [helper.make_tensor_value_info("magnitudes", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("masks", TensorProto.FLOAT, shape)],
        constants,
    )
    folder.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, folder / "model.onnx")
    (folder / "card.md").write_text(f"# {target}\n\nA test model.\n\n| set | SDR |\n|---|---|\n| none | 0 |\n")
    description = ModelDescription(name=folder.name, summary=f"Passes what is low: {target}.", model=settings)
    write_model_folder(folder, description, ["model.onnx"])
    return folder


def make_song(seconds: float = 2.0, channels: int = 2, rate: int = RATE, seed: int = 1) -> np.ndarray:
    """Two tones and some noise."""
    time_s = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(0, 0.02, (len(time_s), channels))
    tones = 0.3 * np.sin(2 * np.pi * 440 * time_s) + 0.1 * np.sin(2 * np.pi * 6000 * time_s)
    return (tones[:, None] + noise).astype(np.float32)


def song_bytes(seconds: float = 2.0, form: str = "WAV", subtype: str | None = None, **options) -> bytes:
    """A song as a file's bytes."""
    buffer = io.BytesIO()
    rate = options.get("rate", RATE)
    soundfile.write(buffer, make_song(seconds, **options), rate, format=form, subtype=subtype)
    return buffer.getvalue()


def settings_for(folder: Path, models: list[Path], **changes) -> DemonstratorSettings:
    """Settings that keep everything in `folder`."""
    entries = tuple(ModelEntry(model=str(path)) for path in models)
    values = {"data_folder": folder / "data", "models": entries, "requests_per_minute": 100_000, **changes}
    return DemonstratorSettings(**values)


@contextlib.contextmanager
def running_server(settings: DemonstratorSettings, port: int = 0) -> Iterator[Server]:
    """A server on a free port of 127.0.0.1."""
    server = Server(settings, "127.0.0.1", port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class InlineRunner:
    """The real work in the dispatcher's own thread: for tests that are not about worker processes."""

    def run(self, task, on_progress, stop):
        def report(share: float, stage: str) -> None:
            if reason := stop():
                raise CancelledError(reason)
            on_progress(share, stage)

        return run_task(task, report)

    def close(self) -> None:
        pass


@contextlib.contextmanager
def inline_server(settings: DemonstratorSettings) -> Iterator[Server]:
    """A server like `running_server` without worker processes."""

    class InlineServer(Server):
        def _runner(self, scheduler):
            return InlineRunner()

    server = InlineServer(settings, "127.0.0.1", 0)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Answer:
    """Status, headers (lower case) and body."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.cookies = response.msg.get_all("Set-Cookie") or []
        self.body = response.read()

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)


class Client:
    """A visitor without a browser: keeps the cookie, fills in the form token."""

    def __init__(self, url: str) -> None:
        self.netloc = urllib.parse.urlsplit(url).netloc
        self.cookie = ""

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self.netloc, timeout=TIMEOUT_S)
        sent = {"Cookie": self.cookie} if self.cookie else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, sent)
            answer = Answer(connection.getresponse())
        finally:
            connection.close()
        for line in answer.cookies:
            self.cookie = line.partition(";")[0]
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def token(self) -> str:
        match = re.search(r'name="token" value="([0-9a-f]+)"', self.get("/").text)
        assert match
        return match.group(1)

    def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> Answer:
        fields = {"token": self.token(), **(fields or {})}
        headers.setdefault("Content_Type", "application/x-www-form-urlencoded")
        return self.request("POST", path, urllib.parse.urlencode(fields).encode(), **headers)

    def upload(
        self, data: bytes | None, name: str = "song.wav", fields: dict[str, str] | None = None, **headers: str
    ) -> Answer:
        """Send the form of the home page."""
        body, kind = multipart({"token": self.token(), **(fields or {})}, data, name)
        return self.request("POST", "/songs", body, Content_Type=kind, **headers)

    def send(self, data: bytes | None, name: str = "song.wav", **fields: str) -> str:
        """Upload and return the job's path."""
        answer = self.upload(data, name, fields)
        assert answer.status == 303, answer.text
        return urllib.parse.urlsplit(answer.headers["location"]).path

    def status(self, path: str) -> dict:
        return self.get(f"{path}/status").json()

    def wait(self, path: str, *states: str) -> dict:
        """Poll until the job is in one of `states` (done, unless said)."""
        wanted = states or ("done",)
        seen: dict = {}

        def there() -> bool:
            seen.update(self.status(path))
            assert seen["state"] in (*wanted, "queued", "running"), seen
            return seen["state"] in wanted

        wait_until(there, TIMEOUT_S)
        return seen


def multipart(fields: dict[str, str], data: bytes | None, name: str) -> tuple[bytes, str]:
    """A multipart form and its content type."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    if data is not None:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        parts.append(head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def raw(netloc: str, data: bytes, timeout_s: float = 10) -> bytes:
    """Send bytes, whatever they are, and return what comes back."""
    host, _, port = netloc.partition(":")
    with socket.create_connection((host, int(port)), timeout=timeout_s) as connection:
        connection.sendall(data)
        answer = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while part := connection.recv(65536):
                answer += part
    return answer
