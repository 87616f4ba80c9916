"""The passport's reading of what people write by hand."""

from __future__ import annotations

import pytest

from splitstrument.datasets.passport import read_evaluation
from splitstrument.errors import DatasetError


@pytest.mark.parametrize("text", ["- {a: b}", "[[a]]", "a: b", "Song", "- 1979", "- Song\n-"])
def test_an_evaluation_that_is_no_list_of_names_is_refused(tmp_path, text):
    (tmp_path / "evaluation.yaml").write_text(text)
    with pytest.raises(DatasetError, match="evaluation.yaml should be a list of track names") as caught:
        read_evaluation(tmp_path / "evaluation.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "names"), [("- Song\n- '1979'", ["Song", "1979"]), ("", []), ("[]", [])])
def test_names_are_read_as_they_are(tmp_path, text, names):
    (tmp_path / "evaluation.yaml").write_text(text)
    assert read_evaluation(tmp_path / "evaluation.yaml") == names
