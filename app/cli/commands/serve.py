"""`enel serve`: the service itself."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; otherwise HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; otherwise PORT.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder for everything embedded; otherwise DATA_DIR.")
    ] = None,
) -> None:
    """Start the service. All other settings are environment variables (docs/settings.md)."""
    from app.run import run  # the service's own packages take a moment; other commands do without

    said = {"host": host, "port": port, "data_dir": data_dir}
    raise typer.Exit(run(**{name: value for name, value in said.items() if value is not None}))
