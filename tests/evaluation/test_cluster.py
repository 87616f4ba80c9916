"""Evaluation on a real dask cluster of two workers, one of which is killed at its work."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import numpy as np
import pytest
from click.testing import CliRunner
from evaluation_helpers import good_estimates, make_references, write_estimates, write_pair

from splitstrument.cli import cli

NAMES = tuple("abcd")
TIMES = ("elapsed_s", "peak_memory_mb")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("cluster"), np.random.default_rng(5)
    for name in NAMES:
        signals = make_references(rng, 4.0)
        write_pair(folder / "references", name, signals)
        write_estimates(folder / "estimates", name, good_estimates(signals, rng))
    return folder


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster


def score(folder, output, *flags):
    """Run the command; its record."""
    places = [str(folder / "references"), str(folder / "estimates"), "-o", str(output)]
    result = CliRunner().invoke(cli, ["score", *places, "--no-v4", "--no-baselines", "--json", *flags])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def scores(record):
    """What must not depend on where it was computed."""
    return [{key: value for key, value in track.items() if key not in TIMES} for track in record["tracks"]]


def kill_a_busy_worker(client, processes, killed):
    """Wait until a worker has begun a track, and kill its process."""
    while not (busy := [address for address, keys in client.processing().items() if keys]):
        time.sleep(0.02)
    killed.append(processes[busy[0]])
    os.kill(killed[0], signal.SIGKILL)


def test_two_workers_give_the_scores_of_this_process_and_a_dead_one_loses_nothing(folders, cluster, tmp_path):
    from distributed import Client

    here, killed = score(folders, tmp_path / "here"), []
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        processes = client.run(os.getpid)
        killer = threading.Thread(target=kill_a_busy_worker, args=(client, processes, killed), daemon=True)
        killer.start()
        there = score(folders, tmp_path / "there", "--scheduler", cluster.scheduler_address)
        killer.join(10)
    assert len(processes) == 2 and killed
    assert [track["track"] for track in there["tracks"]] == list(NAMES) and there["failed"] == {}
    assert scores(there) == scores(here)
    assert (tmp_path / "there" / "evaluation.csv").read_bytes() == (tmp_path / "here" / "evaluation.csv").read_bytes()
