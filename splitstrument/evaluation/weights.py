"""Which weights of a run are evaluated: those of the lowest validation loss, or those of the last epoch.

The thesis evaluated the last epoch's; what ships are the best.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from splitstrument.errors import ModelError
from splitstrument.evaluation.splits import PROVENANCE
from splitstrument.modelfolder import ModelFolder, write_model_folder

BEST, LAST = "best", "last"
LAST_FILE, LAST_SUFFIX = "last.weights.h5", " (last weights)"


@contextlib.contextmanager
def model_with(model: ModelFolder, weights: str) -> Iterator[Path]:
    """Give the folder of a model that has just the weights asked for.

    The model itself has the best ones; with its last ones a folder stands beside them while the block runs, whose name
    and summary say so.

    Raises
    ------
    ModelError
        If the model has no last weights.
    """
    if weights == BEST:
        yield model.path
        return
    if LAST_FILE not in model.description.files:
        raise ModelError(f"{model.path} has no {LAST_FILE}: only a run folder keeps the last weights beside the best.")
    file = model.file(LAST_FILE).resolve()
    with tempfile.TemporaryDirectory(prefix=".last-", dir=model.path) as temporary:
        folder = Path(temporary)
        (folder / LAST_FILE).symlink_to(file)
        if (model.path / PROVENANCE).is_file():
            (folder / PROVENANCE).symlink_to((model.path / PROVENANCE).resolve())
        described = model.description.model_copy(update={"name": model.description.name + LAST_SUFFIX})
        write_model_folder(folder, described, [LAST_FILE])
        yield folder
