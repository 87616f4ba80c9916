"""README and docs tell the truth about names: links, files, commands, options, make targets."""

from __future__ import annotations

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from splitstrument.cli import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/*.md"), *ROOT.glob("splitstrument/models/*/card.md")]
)
NAMES = [*ROOT.glob("trainings/**/*.yaml"), *ROOT.glob("datasets/*.yaml"), *ROOT.glob("splitstrument/**/*.py")]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FILE = re.compile(
    r"(?<![\w/:.-])((?:splitstrument|demonstrator|docs|tests|benchmarks|trainings|datasets)/[\w/.-]+\.\w+)"
)
CODE = re.compile(r"^```\w*\n(.*?)^```|^((?: {4}.*\n)+)|`([^`\n]+)`", re.DOTALL | re.MULTILINE)
WRITTEN = ("datasets/mine", "trainings/mine", "tests/screenshots", "demonstrator/templates/mine")


def anchors(page: Path) -> set[str]:
    """Anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page: Path) -> list[str]:
    """Commands in code blocks and inline code, comments cut off and continued lines joined."""
    blocks = ["".join(found.groups(default="")) for found in CODE.finditer(page.read_text(encoding="utf-8"))]
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [re.sub(r"\s#.*|[;|&]+ .*", "", line) for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{link}: no such file"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_files_that_are_named_exist(page):
    missing = [
        name for name in FILE.findall(page.read_text(encoding="utf-8")) if not (ROOT / name.rstrip(".")).exists()
    ]
    assert [name for name in missing if not name.startswith(WRITTEN)] == []


def test_recipes_and_docstrings_name_pages_that_exist():
    for path in NAMES:
        for name in re.findall(r"docs/[\w-]+\.md", path.read_text(encoding="utf-8")):
            assert (ROOT / name).is_file(), f"{path.relative_to(ROOT)} names {name}"


def our_commands() -> list:
    found = [(page, line) for page in PAGES for line in commands(page)]
    ours = [(page, line) for page, line in found if re.match(r"(\w+=\S+ )*splitstrument [a-z]", line)]
    return [pytest.param(line, id=f"{page.stem}: {line[:60]}") for page, line in dict.fromkeys(ours)]


@pytest.mark.parametrize("line", our_commands())
def test_commands_and_their_options_exist(line):
    words = shlex.split(line.split("splitstrument ", 1)[1], posix=False)
    command: click.Command = cli
    context = click.Context(cli)
    while words and isinstance(command, click.Group):
        name = words.pop(0).strip(",.")
        found = command.get_command(context, name)
        assert found is not None, f"{name} is no command"
        command = found
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"-h", "--help"}
    used = {word.split("=")[0].rstrip(",.") for word in words if re.match(r"--?[a-z]", word)}
    assert used <= known, f"{used - known}: no such option of {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_modules_scripts_and_targets_exist(page):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in commands(page):
        if found := re.match(r"(?:\w+=\S+ )*python -m (splitstrument\S*)", line):
            assert find_spec(found[1]), f"{line}: no such module"
        if found := re.match(r"(?:\w+=\S+ )*python ((?:benchmarks|tests)/\S+)", line):
            assert (ROOT / found[1]).is_file(), f"{line}: no such script"
        if found := re.fullmatch(r"make ([a-z-]+)( ARGS=.*)?", line):
            assert found[1] in targets, f"{line}: no such target"


def test_the_readme_leads_to_every_page():
    links = set(LINK.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    assert {f"docs/{page.name}" for page in ROOT.glob("docs/*.md")} <= links


def test_the_readme_calls_the_command_in_one_way():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert ".venv/bin/splitstrument" not in text and text.count(". .venv/bin/activate") == 1
