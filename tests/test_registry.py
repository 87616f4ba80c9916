"""Members by name: ours, those of other packages, and what is said of those that are broken."""

from __future__ import annotations

import subprocess
import sys

import pytest
from plugin_package import install_package

from splitstrument.errors import SettingsError
from splitstrument.registry import Registry

GROUP = "splitstrument.test_shapes"


def shapes() -> Registry:
    return Registry("shape", GROUP, {"root": "math:sqrt", "power": pow})


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_own_members_are_there_by_name_and_in_order():
    assert list(shapes()) == ["root", "power"]
    assert shapes().get("root")(9) == 3
    assert shapes().get("power") is pow
    assert "root" in shapes() and "circle" not in shapes() and len(shapes()) == 2


def test_a_package_adds_a_member(site):
    install_package(
        site,
        "my-shapes",
        {"my_shapes.py": "def double(x):\n    return 2 * x\n"},
        {GROUP: {"double": "my_shapes:double"}},
    )
    assert list(shapes()) == ["root", "power", "double"]
    assert shapes().get("double")(21) == 42
    assert set(shapes().members()) == {"root", "power", "double"} and shapes().problems() == []


def test_an_unknown_name_gets_one_sentence_with_the_nearest():
    with pytest.raises(
        SettingsError, match=r"There is no shape 'rot' \(did you mean 'root'\?\): choose one of root, power\.$"
    ):
        shapes().get("rot")
    with pytest.raises(SettingsError, match=r"There is no shape 'zzz': choose one of root, power\.$"):
        shapes().get("zzz")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("def other():\n    pass\n", "AttributeError: module 'broken_shapes' has no attribute 'bent'"),
        ("bent = (", "SyntaxError: '(' was never closed"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise ValueError", "ValueError: no message"),
        ("bent = 7", "is int broken_shapes:bent instead of a function"),
    ],
)
def test_a_broken_plugin_is_one_sentence_and_breaks_no_other(site, monkeypatch, source, said):
    monkeypatch.delitem(sys.modules, "broken_shapes", raising=False)
    install_package(site, "broken-shapes", {"broken_shapes.py": source}, {GROUP: {"bent": "broken_shapes:bent"}})
    with pytest.raises(SettingsError) as caught:
        shapes().get("bent")
    assert said in str(caught.value) and "the package broken-shapes 1.0" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert set(shapes().members()) == {"root", "power"} and shapes().problems() == [str(caught.value)]


def test_a_name_of_ours_stays_ours(site):
    install_package(site, "imitation", {"imitation.py": "root = len"}, {GROUP: {"root": "imitation:root"}})
    assert shapes().get("root")(9) == 3
    assert shapes().problems() == [
        "A shape of the package imitation 1.0 is called 'root', as one of Splitstrument's own: rename it."
    ]


def test_two_packages_with_one_name_are_named(site):
    for name in ("one", "two"):
        install_package(site, name, {f"{name}.py": "bent = len"}, {GROUP: {"bent": f"{name}:bent"}})
    with pytest.raises(SettingsError, match=r"uninstall all but one of the package one 1\.0, the package two 1\.0\."):
        shapes().get("bent")


def test_a_plugin_is_imported_only_when_it_is_asked_for(site):
    """Names are listed, and other members loaded, in a process that never imports it."""
    install_package(site, "late", {"late_shapes.py": "bent = len"}, {GROUP: {"bent": "late_shapes:bent"}})
    code = (
        "import sys; from splitstrument.registry import Registry; "
        f"shapes = Registry('shape', {GROUP!r}, {{'root': 'math:sqrt'}}); shapes.get('root'); "
        "print(*shapes, 'late_shapes' in sys.modules); shapes.get('bent'); print('late_shapes' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(site)}
    )
    assert run.stdout.split() == ["root", "bent", "False", "True"]
