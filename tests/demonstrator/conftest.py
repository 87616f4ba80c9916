"""Fixtures that the demonstrator's tests share: small models, and a watched page in a real browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from demonstrator_browser import WAIT_MS
from demonstrator_site import make_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of the guitar."""
    return make_model(tmp_path_factory.mktemp("models") / "guitar", "guitar")


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory):
    """A model whose jobs can be met half-way."""
    return make_model(tmp_path_factory.mktemp("models") / "slow", "guitar", work=4)


@pytest.fixture
def shots(tmp_path):
    """Where screenshots go: the folder that SCREENSHOTS names, or a temporary one."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def context(browser, request):
    """A visitor's browser; a parameter takes the place of the usual window."""
    context = browser.new_context(**getattr(request, "param", {"viewport": {"width": 1200, "height": 900}}))
    context.set_default_timeout(WAIT_MS)
    yield context
    context.close()


@pytest.fixture
def page(context):
    """A page on which an error of a script, or of the content security policy, fails the test."""
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield page
    assert problems == []
