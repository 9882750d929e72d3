"""``livedebug-sender forward``."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfigError
from .options import MODES, OPTIONS, PREFIX
from .settings import Settings

if TYPE_CHECKING:
    from .server import Server, Supervisor

#: What an option's value replaces in the environment.
_OF_THE_AGENT = {"site": "DD_SITE", "env": "DD_ENV", "hostname": "DD_HOSTNAME"}


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """An option for each setting, in their order."""
    for option in reversed(OPTIONS):
        kind: dict[str, Any] = {"is_flag": True} if option.is_flag else {}
        if option.name == "mode":
            kind = {"type": click.Choice(MODES)}
        command = click.option(
            f"--{option.name.replace('_', '-')}",
            option.name,
            default=None,
            help=f"{option.help}  [default: {option.default}; {option.variable}]",
            **kind,
        )(command)
    return command


@click.command()
@click.option(
    "--listen",
    multiple=True,
    help="host:port or unix:/path/to.sock; may be given more than once.  "
    f"[default: 127.0.0.1:8126; {PREFIX}LISTEN, divided by commas]",
)
@click.option("--site", help="The Datadog site.  [default: datadoghq.com; DD_SITE]")
@click.option("--env", help="The default_env of the tags.  [default: none; DD_ENV]")
@click.option("--hostname", help="The host of the tags.  [default: this one's; DD_HOSTNAME]")
@_options
def forward(listen: tuple[str, ...], **given: Any) -> None:
    """Serve the Agent's debugger routes, and forward to the Datadog intake.

    The API key comes from DD_API_KEY. Stops on SIGTERM and SIGINT, once what it holds is
    delivered; exits with 1 if something had to be dropped.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    given = {name: value for name, value in given.items() if value is not None}
    environ = dict(os.environ)
    environ.update(
        {_OF_THE_AGENT[name]: given.pop(name) for name in _OF_THE_AGENT.keys() & given.keys()}
    )
    try:
        delivered = _serve(Settings.from_env(environ, **given), listen)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None
    sys.exit(0 if delivered else 1)


def _serve(settings: Settings, listen: tuple[str, ...]) -> bool:
    from .server import DEFAULT_LISTEN, stopped_by_signals

    named = os.environ.get(f"{PREFIX}LISTEN", "").replace(",", " ").split()
    server = _server(settings, listen or named or [DEFAULT_LISTEN])
    with stopped_by_signals(server):
        logging.getLogger("livedebug_sender").info(
            "forwarding (%s, workers: %d) from %s",
            settings.mode,
            settings.processes,
            ", ".join(server.addresses),
        )
        return server.run()


def _server(settings: Settings, listen: Sequence[str]) -> Server | Supervisor:
    from .application import Forwarder
    from .counters import Column, Counters
    from .metrics import SLOTS
    from .published import Published
    from .server import Server, Supervisor

    workers = settings.processes
    counters = Counters(SLOTS, workers)
    if workers == 1:
        column = counters.column()
        app = Forwarder(settings, column)
        server = Server(app, settings, listen, column)
        app.start()
        return server
    published = Published(workers)
    of_worker = settings.of_worker()

    def new_forwarder(index: int, column: Column) -> Forwarder:
        published.clear(index)  # of one that was here before
        app = Forwarder(of_worker, column, published, index)
        app.start()
        return app

    return Supervisor(new_forwarder, settings, listen, workers, counters)
