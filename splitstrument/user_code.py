"""Functions that a recipe names as ``module:function``: from a file beside it, or from an installed module.

Such code may do anything, so it is run only on somebody's word. Who trains a recipe gives it for the code beside the
recipe; a run folder keeps that code in ``code/`` with its SHA-256, and this machine remembers that it is allowed. Code
in a model folder from elsewhere is refused until `splitstrument models allow-code` allows it, function by function.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import importlib.util
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from splitstrument.errors import ModelError, SettingsError, SplitstrumentError
from splitstrument.files import sha256_of, user_folder, write_text
from splitstrument.registry import Registry

CODE_FOLDER = "code"
REFERENCE = re.compile(r"(?P<module>[A-Za-z_]\w*(\.[A-Za-z_]\w*)*):(?P<name>[A-Za-z_]\w*)", re.ASCII)


def is_reference(name: str) -> bool:
    """Tell whether a name is ``module:function`` instead of a member of a registry."""
    return REFERENCE.fullmatch(name) is not None


@dataclass(frozen=True)
class UserCode:
    """Source of a user's functions, and who allowed them.

    Attributes
    ----------
    folders
        Searched for ``module.py`` first, in this order; then comes what is installed.
    hashes
        The SHA-256 of each function's file; one that is not listed has none to keep.
    allowed
        Whether the user has asked for this code to be run. Otherwise it must be on this machine's list.
    owner, remedy
        For messages: whose code it is, and how to allow it.
    """

    folders: tuple[Path, ...] = ()
    hashes: Mapping[str, str] = field(default_factory=dict)
    allowed: bool = False
    owner: str = "This model"
    remedy: str = "run `splitstrument models allow-code` with the model's folder"

    def load(self, reference: str) -> Callable[..., Any]:
        """Load the function that `reference` names.

        Raises
        ------
        ModelError
            If it is not allowed, or its file is another than the recorded one.
        SettingsError
            If there is no such file or function, or it cannot be loaded.
        """
        path = self.file_of(reference)
        source = path.read_bytes()  # once: what is hashed is what is run
        digest = hashlib.sha256(source).hexdigest()
        if self.hashes.get(reference, digest) != digest:
            raise ModelError(
                f"{path} is not the code that {self.owner} was trained with (its SHA-256 differs): bring that back."
            )
        if not (self.allowed or is_allowed(reference, digest)):
            raise ModelError(
                f"{self.owner} needs Python code of its own, {reference}, which may do anything on this machine: read "
                f"{path}, and if you trust it, {self.remedy}."
            )
        module = self._module(reference, path, source, digest)
        function = getattr(module, _name(reference), None)
        if not callable(function):
            raise SettingsError(f"{path} has no function {_name(reference)!r}{_nearest(reference, module)}.")
        return function

    def file_of(self, reference: str) -> Path:
        """The Python file of `reference`; nothing of it is run.

        Raises
        ------
        SettingsError
            If there is none.
        """
        path = self._beside(reference) or _installed(_module_name(reference))
        if path is None:
            module, searched = _module_name(reference), " or ".join(map(str, self.folders))
            raise SettingsError(
                f"There is no {module.replace('.', '/')}.py{f' in {searched}' if searched else ''} and no installed "
                f"module {module!r}, which {reference} names: put the file beside the recipe, or install its package."
            )
        return path

    def _beside(self, reference: str) -> Path | None:
        """The function's file in our folders."""
        files = (_in_folder(reference, folder) for folder in self.folders)
        return next((path for path in files if path.is_file()), None)

    def digest(self, reference: str) -> str:
        """SHA-256 of the function's file."""
        return sha256_of(self.file_of(reference))

    def _module(self, reference: str, path: Path, source: bytes, digest: str) -> ModuleType:
        """Run the file's `source`, once for each content, or import the module."""
        module = _module_name(reference)
        try:
            if self._beside(reference) is None:
                return importlib.import_module(module)
            name = f"splitstrument_user_code_{digest[:16]}_{module.replace('.', '_')}"
            return sys.modules.get(name) or _executed(name, path, source)
        except (Exception, SystemExit) as error:  # the user's code may fail in any way
            raise SettingsError(f"{path} cannot be loaded ({_failure(error, path)}): mend it.") from error

    def keep(self, references: Iterable[str], folder: Path) -> None:
        """Copy the files of `references` that lie in our folders to ``code/`` in `folder`."""
        for reference in references:
            path, target = self._beside(reference), _in_folder(reference, folder / CODE_FOLDER)
            if path and not (target.exists() and target.samefile(path)):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


@contextlib.contextmanager
def blaming(paths: Iterable[Path]) -> Iterator[None]:
    """Turn an error that comes from the user's own Python files into one sentence with the file and the line.

    Raises
    ------
    SettingsError
        Instead of any error but one of ours whose traceback passes through one of `paths`.
    """
    try:
        yield
    except SplitstrumentError:
        raise
    except Exception as error:  # the user's code may fail in any way
        for path in paths:
            if _line_of(error, path):
                raise SettingsError(f"{path} failed ({_failure(error, path)}): mend it.") from error
        raise


def plugin_files(registry: Registry[Any]) -> dict[str, Path]:
    """The Python file of each member of a registry that comes from another package, found without importing it."""
    files = {name: _installed(points[0].module) for name, points in registry.plugins.items()}
    return {name: file for name, file in files.items() if file}


def _in_folder(reference: str, folder: Path) -> Path:
    return folder.joinpath(*_module_name(reference).split(".")).with_suffix(".py")


def _installed(module: str) -> Path | None:
    """The file of a module that can be imported, found without importing the packages that it lies in."""
    first, *others = module.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        return None
    if not spec or not others:
        return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None
    places = [Path(place, *others) for place in spec.submodule_search_locations or ()]
    files = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")]
    return next((file for file in files if file.is_file()), None)


def _nearest(reference: str, module: ModuleType) -> str:
    names = [name for name in vars(module) if not name.startswith("_")]
    close = difflib.get_close_matches(_name(reference), names, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


class _GivenSource(SourceFileLoader):
    """Runs the bytes that were hashed: not the file as it is by now, nor a .pyc, which may hold anything."""

    def __init__(self, name: str, path: Path, source: bytes) -> None:
        super().__init__(name, str(path))
        self.source = source

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.source, self.path)


def _executed(name: str, path: Path, source: bytes) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path, loader=_GivenSource(name, path, source))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and Keras look their classes up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _failure(error: BaseException, path: Path) -> str:
    """Kind and message of an error in one line, with the line of `path` that it comes from."""
    line = error.lineno if isinstance(error, SyntaxError) else _line_of(error, path)
    where = f"line {line}, " if line else ""
    message = error.msg if isinstance(error, SyntaxError) else (str(error).strip().splitlines() or ["no message"])[0]
    return f"{where}{type(error).__name__}: {message[:200]}"


def _line_of(error: BaseException, path: Path) -> int | None:
    """The last line of `path` that an error passed through."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None


def _module_name(reference: str) -> str:
    return reference.partition(":")[0]


def _name(reference: str) -> str:
    return reference.partition(":")[2]


def allowed_file() -> Path:
    """Return the file that lists the code allowed on this machine: a line ``SHA-256 module:function`` each."""
    return user_folder() / "allowed_code.txt"


def is_allowed(reference: str, digest: str) -> bool:
    """Tell whether the function, in a file with this SHA-256, is on this machine's list."""
    return f"{digest} {reference}" in _allowed_lines()


def allow(reference: str, digest: str) -> None:
    """Put a function, in a file with this SHA-256, on this machine's list."""
    if not is_allowed(reference, digest):
        write_text(allowed_file(), "\n".join([*_allowed_lines(), f"{digest} {reference}"]) + "\n")


def _allowed_lines() -> list[str]:
    try:
        return allowed_file().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
