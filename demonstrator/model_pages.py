"""Pages about the models: their cards, what they get wrong, and their scores beside published ones."""

from __future__ import annotations

from collections.abc import Iterator

from demonstrator import scores
from demonstrator.handler import Handler
from demonstrator.markdown import to_html
from demonstrator.sending import send_file


class Models(Handler):
    """The models on offer with their cards."""

    def GET(self) -> bytes:
        cards = [(model, to_html(model.card)) for model in self.site.models.values()]
        return self.page("models", "Models", cards)


class ModelSound(Handler):
    """A sound that a model lists among its failures, and no other file."""

    def GET(self, name: str, file: str) -> Iterator[bytes]:
        model = self.site.models.get(name)
        sounds = {path.name: path for failure in (model.failures if model else ()) for path in failure.sounds.values()}
        if file not in sounds:
            raise self.refuse("404 Not Found", "There is no such sound.")
        return send_file(sounds[file], cache="public, max-age=600")


class Scores(Handler):
    """Published numbers beside ours."""

    def GET(self) -> bytes:
        return self.page("scores", "Scores", scores.published(), scores.measured(self.site.models.values()))
