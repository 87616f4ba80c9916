"""The player's engine, rendered in a real Chromium faster than it plays, and measured here: tempo, pitch, loops."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from demonstrator_site import make_model, running_server, settings_for

pytestmark = pytest.mark.browser
RATE = 48_000

RENDER = """async ({ signal, duration_s, seconds, messages }) => {
  const { Engine } = await import("/static/engine.js");
  const { RATE, SEGMENT, BLEND } = await import("/static/mixer.js");
  const heard = [];
  const engine = new Engine((event) => heard.push(event));
  const at = new Function("t", `return ${signal};`);
  engine.take({ type: "stems", n_stems: 1, duration_s });
  for (let index = 0; index * SEGMENT < duration_s * RATE; index++) {
    const wave = Float32Array.from({ length: SEGMENT + BLEND }, (_, k) => at((index * SEGMENT + k) / RATE));
    engine.take({ type: "segment", index, stems: [[wave, wave]] });
  }
  engine.take({ type: "levels", levels: [{ left: 1, right: 1 }] });
  const timed = messages.map((message) => [message.at || 0, message]);
  const blocks = Math.round((seconds * RATE) / 128);
  const left = new Float32Array(blocks * 128);
  const right = new Float32Array(128);
  for (let block = 0; block < blocks; block++) {
    while (timed.length && timed[0][0] * RATE <= block * 128) engine.take(timed.shift()[1]);
    engine.process(left.subarray(block * 128, (block + 1) * 128), right);
  }
  let text = "";
  const bytes = new Uint8Array(left.buffer);
  for (let k = 0; k < bytes.length; k += 8192) text += String.fromCharCode(...bytes.subarray(k, k + 8192));
  return { sound: btoa(text), events: heard };
}"""


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    with running_server(settings_for(folder, [make_model(folder / "guitar", "guitar")])) as server:
        page = browser.new_page(bypass_csp=True)  # the signals are made by `new Function`
        page.goto(server.url)
        yield page
        page.close()


def render(page, signal: str, seconds: float, *messages: dict, duration_s: float = 12) -> tuple[np.ndarray, list[dict]]:
    """What is heard of a song, JavaScript of `t` in seconds, and what the engine reports."""
    asked = {"signal": signal, "duration_s": duration_s, "seconds": seconds, "messages": list(messages)}
    answer = page.evaluate(RENDER, asked)
    return np.frombuffer(base64.b64decode(answer["sound"]), np.float32).astype(np.float64), answer["events"]


PLAY = {"type": "play"}


def tempo(speed: float, semitones: float) -> dict:
    return {"type": "tempo", "speed": speed, "ratio": 2 ** (semitones / 12)}


def seek(position: float) -> dict:
    return {"type": "seek", "position": position}


@pytest.mark.parametrize(("speed", "semitones"), [(1, 0), (0.25, 0), (1.5, 0), (1, 3), (1, -5.2), (0.5, 7), (0.8, -12)])
def test_a_tone_stays_a_tone_at_any_speed_and_key(page, speed, semitones):
    sound, _ = render(page, "0.3 * Math.sin(2 * Math.PI * 440 * t)", 2.5, tempo(speed, semitones), seek(1), PLAY)
    sound = sound[4800:]
    phase = 2 * np.pi * 440 * 2 ** (semitones / 12) * np.arange(len(sound)) / RATE
    basis = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    weights = np.linalg.lstsq(basis, sound, rcond=None)[0]
    left = sound - basis @ weights
    assert np.hypot(*weights) == pytest.approx(0.3, rel=0.005)
    assert 10 * np.log10(np.mean(left**2) / np.mean(sound**2)) < -60


@pytest.mark.parametrize(("speed", "semitones"), [(0.5, 0), (1.5, 0), (1, 4), (0.7, -3)])
def test_a_sweep_keeps_its_level_its_pitch_and_its_time(page, speed, semitones):
    """From 200 Hz to 4 kHz in 12 s: instantaneous amplitude and frequency by the analytic signal."""
    sweep = "0.3 * Math.sin(2 * Math.PI * (200 * t + 3800 / 24 * t * t))"
    sound, _ = render(page, sweep, 4, tempo(speed, semitones), seek(1), PLAY)
    spectrum = np.fft.fft(sound)
    spectrum[len(sound) // 2 :] = 0
    analytic = 2 * np.fft.ifft(spectrum)
    inside = slice(RATE // 4, -RATE // 4)
    level = 20 * np.log10(np.abs(analytic[inside]) / 0.3)
    assert np.abs(level).max() < 0.5
    heard_hz = np.diff(np.unwrap(np.angle(analytic))) * RATE / (2 * np.pi)
    song_s = 1 + speed * np.arange(len(heard_hz)) / RATE
    wanted_hz = (200 + 3800 / 12 * song_s) * 2 ** (semitones / 12)
    late_s = (wanted_hz - heard_hz)[inside] / (3800 / 12 * 2 ** (semitones / 12))
    assert np.abs(late_s).max() < 0.015 and np.abs(np.median(late_s)) < 0.008


def test_a_drum_stays_short(page):
    drum = "(t % 0.5 < 0.01 ? 0.5 * Math.sin(2 * Math.PI * 3000 * t) : 0)"
    sound, _ = render(page, drum, 3, tempo(0.8, 0), seek(1.2), PLAY)
    power = np.convolve(sound**2, np.hanning(2400) / 1200, "same")
    beats = [start + np.argmax(power[start : start + 30_000]) for start in range(0, len(power) - 30_000, 30_000)]
    assert np.diff(beats) / RATE == pytest.approx(0.625, abs=0.02)
    assert np.mean(power > 0.1 * power.max()) < 0.12  # of 10 ms in 500; a vocoder without attacks smears it over 85


def test_a_loop_is_as_long_as_it_says_to_the_sample(page):
    tooth = "(t * 1000 % 1000) / 2000"  # falls at every whole second
    loop = {"type": "loop", "loop": [1.9, 2.4]}
    sound, events = render(page, tooth, 4, loop, seek(1.9), PLAY)
    falls = np.flatnonzero(np.diff(sound) < -0.2)
    assert np.diff(falls).tolist() == [24_000] * (len(falls) - 1) and len(falls) == 8
    assert np.array_equal(sound[24_000 + 480 : 47_000], sound[48_000 + 480 : 71_000])
    assert max(event["position"] for event in events) < 2.4


def test_leaving_a_loop_behind_its_end_and_the_end_of_the_song(page):
    loop = {"type": "loop", "loop": [1, 2]}
    _, events = render(page, "0.1", 2.5, loop, seek(2.5), PLAY, duration_s=4)
    assert [event["type"] for event in events].count("ended") == 1
    assert min(event["position"] for event in events if event["type"] == "state" and event["position"] < 4) >= 2.5


def test_what_is_missing_is_waited_for(page):
    sound, events = render(page, "0.1", 1, {"type": "keep", "indexes": [1, 2]}, seek(3.9), PLAY)
    assert not sound.any() and events[-1]["missing"] == 0 and events[-1]["position"] == pytest.approx(3.9)


def test_levels_and_quiet_ranges_change_without_a_click(page):
    quiet = {"type": "levels", "levels": [{"left": 1, "right": 1, "quiet": [[1.5, 2]]}]}
    sound, _ = render(page, "0.5", 2, quiet, seek(1), PLAY)
    assert (
        sound[int(0.3 * RATE)] == pytest.approx(0.5) and np.abs(sound[int(0.55 * RATE) : int(0.95 * RATE)]).max() < 1e-3
    )
    assert sound[int(1.2 * RATE)] == pytest.approx(0.5)
    assert np.abs(np.diff(sound)).max() < 0.005


@pytest.mark.parametrize("speed", [1, 0.5])
def test_clicks_fall_on_the_beats_and_keep_their_pitch(page, speed):
    beats = {"type": "grid", "beats": [[k * 0.25, k % 4 == 0] for k in range(48)]}
    click = {"type": "click", "level": 1}
    sound, _ = render(page, "0", 2, beats, click, tempo(speed, 0), seek(1.1), PLAY)
    loud = np.flatnonzero(np.abs(sound) > 0.02)
    starts = loud[np.diff(loud, prepend=-RATE) > 2400]
    wanted = [(1.25 + 0.25 * k - 1.1) / speed for k in range(len(starts))]
    assert len(starts) == int((2 * speed - 0.15) / 0.25) + 1
    assert starts / RATE == pytest.approx(wanted, abs=0.003)


def test_a_count_in_comes_before_the_song(page):
    play = {"type": "play", "count": {"n": 4, "period_s": 0.25}}
    sound, events = render(page, "0.5", 1.5, seek(2), play)
    assert np.abs(sound[: RATE - 10]).max() < 0.5 and sound[RATE + 600 :] == pytest.approx(0.5, abs=1e-3)
    assert [event["position"] for event in events][:20] == pytest.approx([2] * 20)
    for beat in range(4):
        assert (
            np.abs(sound[int(beat * 0.25 * RATE) :][:1000]).max()
            > 0.2
            > np.abs(sound[int((beat * 0.25 + 0.1) * RATE) :][:1000]).max()
        )


ANOTHER_SONG = """async () => {
  const { Engine } = await import("/static/engine.js");
  const { SEGMENT, BLEND } = await import("/static/mixer.js");
  const engine = new Engine();
  let serial = 0;
  const load = (value) => {
    const wave = new Float32Array(SEGMENT + BLEND).fill(value);
    engine.take({ type: "stems", n_stems: 1, duration_s: 4, serial: ++serial });
    engine.take({ type: "segment", index: 0, stems: [[wave, wave]] });
    engine.take({ type: "levels", levels: [{ left: 1, right: 1 }] });
  };
  const last = () => {
    const [left, right] = [new Float32Array(2048), new Float32Array(2048)];
    for (let k = 0; k < 2; k++) engine.process(left, right);
    return left[2047];
  };
  load(0.25);
  engine.take({ type: "play", serial: ++serial });
  const before = last();
  load(0.5);
  return [before, last()];
}"""


def test_other_stems_are_heard_at_the_levels_that_come_with_them(page):
    assert page.evaluate(ANOTHER_SONG) == [0.25, 0.5]
