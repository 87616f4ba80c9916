"""The command line: joins the stages. Each command lives in a module of its own, imported only when it is called."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import sys
from collections.abc import Iterator

import click

from splitstrument.cli.lazy_group import LazyGroup
from splitstrument.cli.standard_streams import patient_streams
from splitstrument.errors import CancelledError, SplitstrumentError, file_error_text
from splitstrument.version import __version__

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes are no answers to a command

MOST_CHARACTERS = 4000  # of an error line
NO_MEMORY = "There is not enough memory: close other programs, raise the limit (ulimit -v), or run fewer jobs at once."
NO_ROOM_FOR_LIBRARY = ("failed to map segment", "Cannot allocate memory", "cannot allocate memory")
# name -> (module:object, help in one line); the table keeps `--help` from importing any command
COMMANDS: dict[str, tuple[str, str]] = {
    "separate": ("splitstrument.cli.separate:separate", "Take songs apart: one instrument and the rest."),
    "rerun": ("splitstrument.cli.separate:rerun", "Repeat a separation from its sidecar, byte for byte."),
    "recognise": ("splitstrument.cli.recognise:recognise", "Tell which instruments play, and when."),
    "train": ("splitstrument.cli.train:train", "Train a network by a recipe."),
    "train-recogniser": ("splitstrument.cli.recognise:train_recogniser", "Train a recogniser by a recipe."),
    "queue": ("splitstrument.cli.queue:queue", "Run several trainings one after another."),
    "evaluate": ("splitstrument.cli.evaluate:evaluate", "Separate and score evaluation tracks with a model."),
    "score": ("splitstrument.cli.score:score", "Score the estimates of any tool against references."),
    "report": ("splitstrument.cli.report:report", "Make a report of one or more evaluated runs."),
    "compare": ("splitstrument.cli.compare:compare", "Show in what runs differ: settings, data, scores."),
    "listen": ("splitstrument.cli.listen:listen", "Run a blind listening test in the browser."),
    "dataset": ("splitstrument.cli.dataset:dataset", "Make, check, render and describe datasets."),
    "remix": ("splitstrument.cli.remix:remix", "Make a new mix of a song: levels, equalizers, places, loudness."),
    "automix": ("splitstrument.cli.automix:automix", "Mix a folder of stems by rules: a lead against its backing."),
    "words": ("splitstrument.cli.words:list_words", "Show which equalizer a word stands for."),
    "loudness": ("splitstrument.cli.loudness:loudness", "Measure loudness, its range and true peaks (R 128)."),
    "models": ("splitstrument.cli.models:models", "List, show, export and import models."),
    "info": ("splitstrument.cli.info:info", "Print what a recipe would train or a run has trained."),
    "demo": ("splitstrument.cli.demo:demo", "Start the demonstrator in the browser."),
}


@click.command(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: splitstrument demo",
)
@click.version_option(__version__, prog_name="splitstrument")
def cli() -> None:
    """Splitstrument takes a song and gives back one instrument and the rest.

    \b
    splitstrument separate song.mp3 --model guitar -o stems
    splitstrument train trainings/quickstart.yaml
    splitstrument evaluate runs/quickstart --tracks datasets/sample/real
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit with 0 on success only, 1 on an error to mend, 2 on wrong usage, 130 on Ctrl-C."""
    with patient_streams() as output, logged_to_stderr():
        status = _status(home_expanded(sys.argv[1:] if arguments is None else arguments))
        output.flush()
        if output.error and output.error.errno != errno.EPIPE:
            status = fail(f"Standard output could not be written ({output.error.strerror}): print it elsewhere.", 1)
    sys.exit(status)


@contextlib.contextmanager
def logged_to_stderr() -> Iterator[None]:
    """Print the package's own warnings as the commands print theirs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("splitstrument: %(message)s"))
    logger = logging.getLogger(__name__.partition(".")[0])
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def home_expanded(arguments: list[str]) -> list[str]:
    """Replace ``~`` at the start of arguments and of values behind a ``=``, where no shell does."""
    expanded = []
    for argument in arguments:
        before, equals, path = argument.rpartition("=")
        if path.startswith("~") and not os.path.lexists(argument) and not os.path.lexists(path):
            path = os.path.expanduser(path)  # noqa: PTH111 - keeps the name of an unknown user as it is
        expanded.append(before + equals + path)
    return expanded


def _status(arguments: list[str]) -> int:
    """Run one command and turn whatever ends it into an exit status, with one sentence."""
    try:
        return cli.main(arguments, standalone_mode=False, obj=main) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return fail("Interrupted; nothing half-written was left.", 130)
    except CancelledError as error:
        return fail(str(error), 130)
    except SplitstrumentError as error:
        return fail(str(error), 1)
    except BrokenPipeError:
        return 1
    except MemoryError:
        return fail(NO_MEMORY, 1)
    except ImportError as error:
        if not any(words in str(error) for words in NO_ROOM_FOR_LIBRARY):
            raise
        return fail(NO_MEMORY, 1)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        return fail(file_error_text(error), 1)


def fail(message: str, status: int) -> int:
    """Print one error line, whatever characters a file has put into it; returns the exit status."""
    line = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", message)
    print(f"splitstrument: {line[:MOST_CHARACTERS]}", file=sys.stderr)
    return status
