"""Fixtures shared by all tests: one seeded generator, small real-looking audio, the optional folder of real files."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import SHARED

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# programs that tests start find what is in tests/support too
SUPPORT = str(Path(__file__).parent / "support")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (SUPPORT, os.environ.get("PYTHONPATH"))))

# A suite that a script runs in the background inherits an ignored Ctrl-C, and so would every program that it starts;
# with a handler of its own, children start with the default again.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng() -> np.random.Generator:
    """The one source of randomness."""
    return np.random.default_rng(20210611)


@pytest.fixture
def shared_data() -> Path:
    """Real files of the field, outside the repository; tests that need them skip where they are absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("needs the folder shared/data beside the checkout")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium (Playwright's `Browser`); tests that need it skip where there is none."""
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not program:
        pytest.skip("needs Chromium: apt-get install chromium, or set CHROMIUM to its path")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()
