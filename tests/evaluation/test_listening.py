"""The listening test: stimuli, hidden orders, statistics, and the pages in process and in a real browser."""

from __future__ import annotations

import csv
import io
import re
import threading
from dataclasses import replace

import numpy as np
import pyloudnorm
import pytest
import soundfile
from evaluation_helpers import good_estimates, make_references, write_estimates, write_pair

from demonstrator.listening_test import Test, application, make_server
from splitstrument.errors import DatasetError
from splitstrument.evaluation import listening
from splitstrument.evaluation.listening import ANCHOR, REFERENCE, Ratings
from splitstrument.evaluation.report.data import load_evaluations
from splitstrument.evaluation.run import EvaluationSettings, score_files

Test.__test__ = False  # a class of ours, not of pytest's
HOST = "127.0.0.1:8090"


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory):
    """Two systems on two tracks."""
    rng, folder = np.random.default_rng(3), tmp_path_factory.mktemp("listening")
    settings = EvaluationSettings(baselines=(), ceilings=(), framewise=False)
    for name in ("a", "b"):
        references = make_references(rng, 3.0)
        write_pair(folder / "data", name, references)
        for system, level in (("alpha", 0.1), ("beta", 0.5)):
            write_estimates(folder / system, name, good_estimates(references, rng, level))
    for system in ("alpha", "beta"):
        score_files(folder / "data", folder / system, folder / f"out_{system}", settings)
    return load_evaluations([folder / "out_alpha", folder / "out_beta"])


@pytest.fixture
def test(evaluations, tmp_path):
    return Test(listening.make_trials(evaluations, "mushra"), "mushra", tmp_path, "guitar")


def ask(test, path, method="GET", form=None, **headers):
    """Call the application in this process."""
    env = {"REMOTE_ADDR": "127.0.0.1", **headers}
    host = env.pop("HTTP_HOST", HOST)
    return application(test).request(path, method=method, data=form, host=host, env=env)


def start(test):
    answer = ask(test, "/", "POST", {"token": test.token, "listener": "Ada"})
    return re.search(r"/([0-9a-f]{24})/0", answer.headers["Location"]).group(1)


def test_all_stimuli_of_a_trial_are_equally_loud_and_none_clips(test):
    sounds = listening.matched_stimuli(test.trials[0])
    assert set(sounds) == {"reference", "alpha", "beta", REFERENCE, ANCHOR}
    signals = {name: soundfile.read(io.BytesIO(data)) for name, data in sounds.items()}
    loudness = [pyloudnorm.Meter(rate).integrated_loudness(signal) for signal, rate in signals.values()]
    assert max(loudness) - min(loudness) < 0.1
    assert max(np.abs(signal).max() for signal, _ in signals.values()) < 1
    assert sounds["reference"] == sounds[REFERENCE] != sounds["alpha"]


def test_orders_are_hidden_stable_and_differ_between_sessions():
    systems = ["x", "y", "z", "w"]
    orders = {tuple(listening.hidden_order(f"session{i}", 0, systems)) for i in range(40)}
    assert len(orders) > 12
    assert listening.hidden_order("s", 1, systems) == listening.hidden_order("s", 1, systems[::-1])
    assert sorted(listening.trial_order("s", 7)) == list(range(7))


def test_an_ab_test_has_every_pair(evaluations):
    trials = listening.make_trials(evaluations, "ab")
    assert [sorted(trial.stimuli) for trial in trials] == [["alpha", "beta"]] * 2
    with pytest.raises(DatasetError, match="at least two"):
        listening.make_trials(evaluations[:1], "ab")


def test_different_stems_of_the_same_tracks_are_refused(evaluations):
    def of(index, **about):
        return replace(evaluations[index], record={**evaluations[index].record, **about})

    for other in ({"stem": "piano", "target": "piano"}, {"stem": "piano"}, {"target": "piano"}):
        with pytest.raises(DatasetError, match=r"different stems \(guitar, piano\): name the folder of one stem"):
            listening.make_trials([of(0, stem="guitar"), of(1, **other)], "mushra")
    assert len(listening.make_trials([of(0, stem="guitar"), of(1, target="guitar")], "mushra")) == 2
    assert len(listening.make_trials([of(0, target="guitar"), evaluations[1]], "mushra")) == 2  # one of `score`


def test_results_leave_out_listeners_who_miss_the_reference():
    def row(session, trial, system, rating):
        return {"session": session, "trial": str(trial), "kind": "mushra", "system": system, "rating": str(rating)}

    rows = [row("careful", t, REFERENCE, 95) for t in range(4)] + [row("careful", t, "model", 40 + t) for t in range(4)]
    rows += [row("careless", t, REFERENCE, 30) for t in range(4)] + [row("careless", t, "model", 99) for t in range(4)]
    assert listening.unreliable_sessions(rows) == {"careless"}
    best, second = listening.mushra_results(rows)
    assert (best["system"], best["mean"], second["system"], second["mean"], second["n"]) == (
        REFERENCE, 95, "model", 41.5, 4,
    )  # fmt: skip
    assert second["low"] <= 41.5 <= second["high"]


def test_preferences_are_counted_whichever_way_round_they_were_shown():
    row = {"kind": "ab", "session": "s"}
    rows = [{**row, "system": "a", "other": "b", "rating": "1"}] * 7 + [
        {**row, "system": "b", "other": "a", "rating": "1"}
    ]
    rows += [{**row, "system": "b", "other": "a", "rating": "0"}] * 2
    (result,) = listening.ab_results(rows)
    assert (result["first_preferred"], result["second_preferred"], result["no_difference"]) == (7, 1, 2)
    assert result["p"] == pytest.approx(2 * (1 + 8) / 2**8)  # two-sided binomial test of 7 in 8


def test_a_session_from_start_to_results(test):
    session = start(test)
    page = ask(test, f"/{session}/0").data.decode()
    assert "alpha" not in page.split("<form")[1] and "anchor" not in page  # nothing tells which is which
    _, _, letters = test.trial(session, 0)
    form = {"token": test.token, "seconds": "12"} | {
        f"rating_{letter}": str(10 * i) for i, letter in enumerate(letters)
    }
    answer = ask(test, f"/{session}/0", "POST", form)
    assert answer.headers["Location"].endswith(f"/{session}/1")
    assert ask(test, f"/{session}/1", "POST", form).headers["Location"].endswith("/results")
    ask(test, f"/{session}/1", "POST", form)  # answering again replaces
    rows = list(csv.DictReader(io.StringIO(ask(test, "/results.csv").data.decode())))
    assert len(rows) == 2 * 4 and {row["listener"] for row in rows} == {"Ada"}
    by_letter = {row["system"]: row["rating"] for row in rows if row["track"] == test.trial(session, 0)[1].track}
    assert [by_letter[letters[letter]] for letter in letters] == ["0", "10", "20", "30"]


def test_answers_survive_a_restart(test, tmp_path):
    session = start(test)
    form = {"token": test.token} | {f"rating_{letter}": "50" for letter in "ABCD"}
    ask(test, f"/{session}/0", "POST", form)
    again = Test(test.trials, "mushra", tmp_path)
    assert again.next_trial(session) == 1
    assert again.trial(session, 1)[2] == test.trial(session, 1)[2]
    assert len(Ratings(tmp_path / "ratings.csv").rows) == 4


def test_sounds_are_sent_in_ranges(test):
    session = start(test)
    whole = ask(test, f"/{session}/0/A.wav")
    part = ask(test, f"/{session}/0/A.wav", HTTP_RANGE="bytes=10-19")
    assert part.status.startswith("206") and part.data == whole.data[10:20]
    assert soundfile.info(io.BytesIO(whole.data)).duration == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("path", "method", "form", "headers", "status"),
    [
        ("/", "POST", {"listener": "x"}, {}, 403),  # no token
        ("/", "POST", {"token": "TOKEN"}, {"HTTP_ORIGIN": "http://evil.example"}, 403),
        ("/", "POST", {"token": "TOKEN"}, {"HTTP_SEC_FETCH_SITE": "cross-site"}, 403),
        ("/", "POST", {"token": "TOKEN"}, {"CONTENT_LENGTH": "99999999"}, 413),
        ("/", "GET", {}, {"HTTP_HOST": "evil.example"}, 421),
        (f"/{'0' * 24}/0", "GET", {}, {}, 404),
        ("/SESSION/99", "GET", {}, {}, 404),
        ("/SESSION/0/Z.wav", "GET", {}, {}, 404),
        ("/SESSION/0/../../etc/passwd", "GET", {}, {}, 404),
        ("/static/passwd", "GET", {}, {}, 404),
        ("/SESSION/0/A.wav", "GET", {}, {"HTTP_RANGE": "bytes=99999999-"}, 416),
    ],
)
def test_hostile_requests_are_refused(test, path, method, form, headers, status):
    session = start(test)
    form = {key: value.replace("TOKEN", test.token) for key, value in form.items()}
    answer = ask(test, path.replace("SESSION", session), method, form, **headers)
    assert answer.status.startswith(str(status)), answer.data


def test_ratings_out_of_range_are_asked_for_again(test):
    session = start(test)
    form = {"token": test.token} | {f"rating_{letter}": "50" for letter in "ABCD"} | {"rating_B": "101"}
    answer = ask(test, f"/{session}/0", "POST", form)
    assert answer.status.startswith("200") and "Rate B from 0 to 100" in answer.data.decode()
    assert not test.ratings.rows


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["mushra", "ab"])
def test_a_listener_in_a_real_browser(browser, evaluations, tmp_path, kind):
    test = Test(listening.make_trials(evaluations, kind), kind, tmp_path, "guitar")
    server = make_server(test, 0)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        tab, messages = browser.new_page(viewport={"width": 360, "height": 700}), []
        tab.on("console", lambda message: messages.append(message.text))
        tab.goto(f"http://127.0.0.1:{server.bind_addr[1]}/")
        tab.fill("#listener", "Ada")
        tab.click("text=Start")
        for _ in test.trials:
            tab.wait_for_selector("text=Choose a sound")
            tab.keyboard.press("1")
            tab.wait_for_selector("[data-sound=A][aria-pressed=true]")
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
            if kind == "ab":
                tab.click("label:has-text('no difference')")
            else:
                tab.locator("#rating_A").fill("77")
                assert tab.locator("output[for=rating_A]").inner_text() == "77"
            tab.click("text=Next")
        tab.wait_for_url("**/results")
        assert messages == []
    finally:
        server.stop()
        thread.join()
    ratings = {row["rating"] for row in test.ratings.rows}
    assert ratings == ({"0"} if kind == "ab" else {"77", "50"})
