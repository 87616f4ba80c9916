"""One process of a team: ``python -m splitstrument.training.worker`` trains what its parent writes to it.

The parent (`splitstrument.training.launch`) writes one line of JSON and then holds the pipe: when it ends, so does the
worker. The worker answers with one line of JSON, ``{"result": ...}`` or ``{"error": ..., "kind": ...}``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from splitstrument.errors import SplitstrumentError, TrainingError
from splitstrument.training.backend import choose_backend
from splitstrument.training.settings import TrainingSettings
from splitstrument.training.team import Member, end_with

ORPHANED_STATUS = 3


def main() -> None:
    """Read the task, train, answer."""
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        end_with(work(task))
    except SplitstrumentError as error:
        end_with(error)


def work(task: dict[str, Any]) -> dict[str, Any]:
    """Train as a member of the team."""
    settings = TrainingSettings.model_validate(task["settings"])
    if choose_backend(start=False, deterministic=settings.compute.deterministic) != "tensorflow":
        raise TrainingError("Several processes train together with TensorFlow only: unset KERAS_BACKEND, or use one.")
    from splitstrument.training.run import train

    result = train(
        settings,
        task["folder"],
        task["resume"],
        Path(task["recipe_folder"]) if task["recipe_folder"] else None,
        task["quiet"],
        Member.parse(task["member"]),
    )
    return {**vars(result), "folder": str(result.folder)}


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(ORPHANED_STATUS)


if __name__ == "__main__":
    main()
