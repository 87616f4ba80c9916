"""The report: from real scores to a page, Markdown and CSV; then in a real browser."""

from __future__ import annotations

import csv
import html.parser
import json
import re
import struct
import zlib

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from evaluation_helpers import good_estimates, make_references, write_estimates, write_pair

from splitstrument.cli.report import report as report_command
from splitstrument.evaluation.report.data import load_evaluations, silence_histogram, worst_tracks
from splitstrument.evaluation.report.svg import box_plot, line_chart, scatter
from splitstrument.evaluation.report.tables import paired_tests, published_beside_measured, seeds
from splitstrument.evaluation.report.write import write_report
from splitstrument.evaluation.run import EvaluationSettings, score_files
from splitstrument.model_folder import SHIPPED
from splitstrument.pictures import excerpt_pictures, palette, png

SETTINGS = EvaluationSettings(baselines=("mixture", "eq"), ceilings=("irm",), n_fft=256, framewise=False)
PUBLISHED = {"table": "Table 6", "instrument": {"sdr": 0.73, "sir": 4.26, "sar": 4.4},
             "rest": {"sdr": 8.92, "sir": 11.61, "sar": 13.06}}  # fmt: skip
TRACKS = ("slow <song>", "fast", "loud")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of one recipe, with different seeds, on the same three tracks."""
    rng, folder = np.random.default_rng(7), tmp_path_factory.mktemp("report")
    references = {name: make_references(rng, 3.0) for name in TRACKS}
    for name, signals in references.items():
        write_pair(folder / "data", name, signals)
    for seed, level in ((0, 0.3), (1, 0.1)):
        run = folder / f"run{seed}"
        for name, signals in references.items():
            write_estimates(folder / f"estimates{seed}", name, good_estimates(signals, rng, level))
        score_files(folder / "data", folder / f"estimates{seed}", run / "evaluation" / "data", SETTINGS,
                    folder / "data", name=f"seed{seed}")  # fmt: skip
        settings = {"name": "table_06", "seed": seed, "epochs": 2, "published": PUBLISHED}
        (run / "settings.yaml").write_text(yaml.safe_dump(settings))
        (run / "history.csv").write_text("epoch,loss,val_loss,seconds\n1,4.0,5.0,10\n2,3.0,4.5,10\n")
    return folder


@pytest.fixture(scope="module")
def page(runs):
    """The HTML of the report of both runs."""
    files = write_report([runs / "run0", runs / "run1"], runs / "out", "Two seeds & a title")
    return files[0].read_text()


class Collector(html.parser.HTMLParser):
    """Notes what a page refers to, and that every element is closed."""

    VOID = ("meta", "img", "br", "input", "link")

    def __init__(self):
        super().__init__()
        self.sources, self.open, self.ids, self.tags = [], [], [], []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.sources += [values[key] for key in ("src", "href") if key in values]
        self.ids += [values["id"]] if "id" in values else []
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(page):
    collector = Collector()
    collector.feed(page)
    assert collector.open == []
    assert all(source.startswith(("data:", "#")) for source in collector.sources)
    assert all(source[1:] in collector.ids for source in collector.sources if source.startswith("#"))
    assert "script" not in collector.tags
    assert collector.tags.count("audio") == 2 * 3 * 3  # runs, tracks, and mixture, instrument, estimate
    assert "slow &lt;song&gt;" in page and "<song>" not in page and "Two seeds &amp; a title" in page


def test_published_numbers_stand_in_columns_of_their_own(runs, page):
    table = published_beside_measured(load_evaluations([runs / "run0"]))
    columns = {head: [row[i] for row in table.rows] for i, head in enumerate(table.header)}
    assert columns["published SDR"] == ["0.73", "8.92"]
    measured = load_evaluations([runs / "run0"])[0].record["summary"]["estimate"]["instrument"]["sdr"]["median"]
    assert columns["measured SDR"][0] == f"{measured:.2f}".replace("-", "−")
    assert columns["measured on"] == ["data", "data"]
    assert "must not be subtracted" in page
    assert '<td class="published">0.73</td>' in page


def test_seeds_and_paired_tests(runs):
    evaluations = load_evaluations([runs / "run0", runs / "run1"])
    medians = [e.record["summary"]["estimate"]["instrument"]["si_sdr"]["median"] for e in evaluations]
    spread = seeds(evaluations)
    assert spread.rows[0][2] == "0, 1"
    assert float(spread.rows[0][3].replace("−", "-")) == pytest.approx(np.mean(medians), abs=0.01)
    row = paired_tests(evaluations).rows[0]
    assert row[2:4] == ["instrument", "3"] and row[6:8] == ["0 of 3", "−1.00"]  # the first run is worse everywhere
    assert float(row[8]) == 0.25  # the least that three tracks can show: 2 / 2^3


def test_markdown_and_csv_hold_every_track(runs, page):
    text = (runs / "out" / "report.md").read_text()
    rows = list(csv.DictReader((runs / "out" / "report.csv").open()))
    assert all(text.count(name) >= 2 for name in TRACKS)
    assert len(rows) == 2 * 3 * 4 * 2  # runs, tracks, systems, sources
    assert {row["evaluation"] for row in rows} == {"seed0", "seed1"}


def test_the_worst_track_comes_first(runs):
    evaluation = load_evaluations([runs / "run0"])[0]
    scores = [track["scores"]["estimate"]["instrument"]["si_sdr"] for track in worst_tracks(evaluation, 3)]
    assert scores == sorted(scores)


def test_silence_histogram_counts_tracks(runs):
    evaluation = load_evaluations([runs / "run0"])[0]
    for score in evaluation.record["tracks"][0]["scores"].values():
        score["instrument"]["silent_share"] = 1.0
    counts = silence_histogram(evaluation)
    assert counts[9] == 1 and sum(counts) == 3


def test_excerpts_outside_the_folder_are_not_read(runs, tmp_path):
    source = runs / "run0" / "evaluation" / "data"
    record = yaml.safe_load((source / "evaluation.yaml").read_text())
    record["tracks"][0]["excerpt"]["files"]["estimate"] = "../../../../etc/passwd"
    (tmp_path / "evaluation.yaml").write_text(yaml.safe_dump(record))
    page = write_report([tmp_path], tmp_path / "out", "hostile")[0].read_text()
    assert "lies outside the evaluation" in page and "root:" not in page


def test_command_says_what_is_missing(runs, tmp_path):
    result = CliRunner().invoke(report_command, [str(tmp_path)])
    assert result.exit_code == 1 and "splitstrument evaluate" in str(result.exception)
    result = CliRunner().invoke(report_command, [str(runs / "run0"), "--rosetta"])
    assert result.exit_code == 0
    as_json = CliRunner().invoke(report_command, [str(runs / "run0"), "--rosetta", "--json"])
    assert json.loads(as_json.output)["markdown"].strip() == result.output.strip()
    assert "OTHER DATA" in result.output and re.search(r"Table 6 +\| +guitar .* 0\.73", result.output)


def test_log_frequency_rows_place_a_tone_where_it_belongs():
    time = np.arange(2 * 22050) / 22050
    tone = np.sin(2 * np.pi * 1000 * time)[:, None].astype(np.float32)
    pictures = excerpt_pictures({"mixture": tone, "instrument": tone, "estimate": 0.5 * tone}, 22050)
    assert set(pictures) == {"mixture", "instrument", "estimate", "mask"}
    rows = _pixels(pictures["instrument"])[:, 5]
    frequency = np.geomspace(11025, 50, 193)[int(np.argmax(rows))]
    assert frequency == pytest.approx(1000, rel=0.03)


def test_png_reads_back():
    values = np.random.default_rng(0).integers(0, 256, (5, 7), dtype=np.uint8)
    data = png(values)
    np.testing.assert_array_equal(_pixels(data), values)
    assert palette().tobytes() in data


def _pixels(data: bytes) -> np.ndarray:
    """Decode the palette indices of a PNG without filters."""
    width, height = struct.unpack(">II", data[16:24])
    start = data.index(b"IDAT")
    length = struct.unpack(">I", data[start - 4 : start])[0]
    rows = np.frombuffer(zlib.decompress(data[start + 4 : start + 4 + length]), np.uint8)
    return rows.reshape(height, 1 + width)[:, 1:]


def test_charts_leave_out_what_has_no_place():
    assert box_plot([("a", [None, float("inf")])], "nothing") == ""
    assert scatter([(float("nan"), 1, "x")], "nothing", "x", "y") == ""
    chart = line_chart([("a<b", [(1, 2.0), (2, float("nan")), (3, 4.0)])], "curve", "x", "y")
    assert chart.count("<circle") == 2 and "a&lt;b" in chart
    points = [(float(x), float(y), "t") for x, y in np.random.default_rng(0).normal(size=(9, 2))]
    chart = scatter(points, "title", "x", "y")
    places = [float(value) for value in re.findall(r'c[xy]="([-0-9.]+)"', chart)]
    assert len(places) == 18 and min(places) > 0 and max(places) < 720


@pytest.mark.browser
def test_the_page_in_a_real_browser(browser, runs, page, tmp_path):
    for width in (360, 1100):
        tab = browser.new_page(viewport={"width": width, "height": 800})
        requests, messages = [], []
        tab.on("request", lambda request, seen=requests: seen.append(request.url))
        tab.on("console", lambda message, seen=messages: seen.append(message.text))
        tab.goto((runs / "out" / "report.html").as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert tab.evaluate("[...document.images].every(image => image.naturalWidth > 20)")
        duration = tab.evaluate(
            "() => new Promise(done => { const a = document.querySelector('audio'); a.preload = 'auto';"
            " a.oncanplaythrough = () => done(a.duration); a.load(); })"
        )
        assert duration == pytest.approx(3.0, abs=0.1)
        assert [url for url in requests if not url.startswith(("data:", "file:"))] == [] and messages == []
    assert len(tab.pdf(path=tmp_path / "report.pdf")) > 10_000


@pytest.mark.parametrize("model", ["guitar", "piano"])
def test_evaluations_of_earlier_versions_are_read(model, tmp_path):
    """Those beside the shipped models lack the newer metrics, baselines and statistics: dashes, no error."""
    files = sorted((SHIPPED / model).glob("evaluation_*.yaml"))
    assert files
    write_report(files, tmp_path, "Shipped", examples=0)
    text = (tmp_path / "report.md").read_text()
    assert "bleedless" in text and "the rest, medians" in text
    assert len(list(csv.DictReader((tmp_path / "report.csv").open()))) > 8
