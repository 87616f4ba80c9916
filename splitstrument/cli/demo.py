"""``splitstrument demo``: start the demonstrator and open it in the browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Any

import click

from splitstrument.cli.common import scheduler_option
from splitstrument.errors import missing_extra
from splitstrument.settings import load_settings, validate


@click.command(
    epilog="Examples: splitstrument demo   |   splitstrument demo --port 9000 --no-browser --config demo.yaml"
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 opens it to others."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes any free one.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option("--config", type=click.Path(path_type=Path), help="YAML file of settings (see docs/demonstrator.md).")
@click.option("--model", "models", multiple=True, metavar="NAME|FOLDER", help="Offer this model; may be repeated.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder for jobs and results.")
@click.option("--workers", type=click.IntRange(1, 64), help="Songs at the same time.")
@scheduler_option
def demo(
    host: str,
    port: int,
    no_browser: bool,
    config: Path | None,
    models: tuple[str, ...],
    data: Path | None,
    workers: int | None,
    scheduler: str | None,
) -> None:
    """Start the demonstrator: a page that takes songs apart and plays the result.

    Ctrl-C stops it; songs that were waiting go on at the next start.
    """
    try:
        from demonstrator.server import Server
        from demonstrator.settings import DemonstratorSettings
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "demonstrator":
            raise
        raise missing_extra("The demonstrator", "all") from None

    overrides: dict[str, Any] = {"workers": workers, "data_folder": data}
    overrides["models"] = [{"model": model} for model in models] or None
    overrides = {key: value for key, value in overrides.items() if value is not None}
    if config:
        settings = load_settings(config, DemonstratorSettings, overrides).settings
    else:
        settings = validate(overrides, DemonstratorSettings, "The options")
    folder = config.parent if config and not models else Path()
    server = Server(settings, host, port, scheduler, folder)
    server.start()
    click.echo(f"The demonstrator runs at {server.url} (Ctrl-C stops it).")
    if not no_browser:
        webbrowser.open(server.url)
    server.wait()
