"""What a stem holds, by its sound alone: against its name, or where the name says nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from splitstrument.recognition.classes import all_classes, class_names, classes_of_name
from splitstrument.recognition.timeline import Span, Timeline

HEARD = 0.2  # highest probability of any class below which a second says nothing
# class of a dataset that a stem of this sound would be filed under
FILED_UNDER = {"electric_piano": "piano", "voice": "vocals"} | dict.fromkeys(
    ("organ", "strings", "brass", "winds"), "other"
)


@dataclass(frozen=True)
class Content:
    """Classes by their mean probability over the seconds in which anything is recognised."""

    means: dict[str, float]
    timeline: Timeline

    @property
    def best(self) -> str:
        """The most probable class."""
        return max(self.means, key=lambda name: self.means[name])

    @property
    def filed_under(self) -> str:
        """The class of datasets that `best` belongs to."""
        return FILED_UNDER.get(self.best, self.best)


def content_of(timeline: Timeline) -> Content | None:
    """Sum up the recognition of one stem; None if nothing was recognised in it."""
    curves = np.array([timeline.probabilities[name] for name in class_names()])
    heard = curves.max(axis=0, initial=0) >= HEARD
    if not heard.any():
        return None
    means = curves[:, heard].mean(axis=1)
    return Content(dict(zip(class_names(), map(float, means), strict=True)), timeline)


@dataclass(frozen=True)
class Disagreement:
    """A stem that sounds like something else than its name.

    Attributes
    ----------
    score
        Mean probability of the class that is heard, less that of the class that the name says: -1 to 1.
    """

    name: str
    heard: str
    score: float
    content: Content

    @property
    def spans(self) -> list[Span]:
        """Where to listen."""
        return self.content.timeline.spans(self.heard)

    @property
    def message(self) -> str:
        """One sentence for a person."""
        claimed = max(self.content.means[one] for one in classes_of_name(self.name))
        title = all_classes()[self.heard].title
        return f"sounds like {title} ({self.content.means[self.heard]:.0%}) rather than {self.name} ({claimed:.0%})"


def disagreement(timeline: Timeline, name: str) -> Disagreement | None:
    """Compare a stem's sound with its name; None where the name is no class, or nothing was recognised."""
    claimed, content = classes_of_name(name), content_of(timeline)
    if not claimed or content is None:
        return None
    others = [one for one in content.means if one not in claimed]
    heard = max(others, key=lambda one: content.means[one])
    return Disagreement(name, heard, content.means[heard] - max(content.means[one] for one in claimed), content)
