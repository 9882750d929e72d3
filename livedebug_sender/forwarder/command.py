"""``livedebug-sender forward``."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from ..errors import ConfigError
from ..protocol.endpoint import check_url
from .options import ONE_CORE, OPTIONS, PREFIX, Option
from .routes import ROUTES
from .settings import Settings

if TYPE_CHECKING:
    from .server import Server, Supervisor

#: An intake on these hosts is a local one, which accepts any key.
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LOCAL_KEY = "local-intake"

#: The variables that these options override.
_OF_THE_AGENT = {"site": "DD_SITE", "env": "DD_ENV", "hostname": "DD_HOSTNAME"}


def _parsed(option: Option, _: click.Context, parameter: click.Parameter, value: object) -> object:
    try:
        return None if value is None else option.parse(parameter.opts[0], value)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """An option for each setting, in their order."""
    for option in reversed(OPTIONS):
        kind: dict[str, Any] = {"is_flag": True} if option.is_flag else {}
        if option.choices:
            kind = {"type": click.Choice(option.choices)}
        command = click.option(
            f"--{option.name.replace('_', '-')}",
            option.name,
            default=None,
            callback=partial(_parsed, option),
            metavar=option.metavar,
            help=f"{option.help}  [default: {option.default}; {option.variable}]",
            **kind,
        )(command)
    return command


# The same as for the group: click keeps the help option with which a command is first used.
@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--listen",
    multiple=True,
    help="host:port or unix:/path/to.sock; may be given more than once.  "
    f"[default: 127.0.0.1:8126; {PREFIX}LISTEN, separated by commas]",
)
@click.option("--site", help="The Datadog site.  [default: datadoghq.com; DD_SITE]")
@click.option(
    "--intake",
    metavar="URL",
    help="Another intake for all routes, such as http://127.0.0.1:8080; a URL with a path is "
    "used unchanged.  [DD_APM_DEBUGGER_DD_URL, ...]",
)
@click.option("--env", help="The default_env of the tags.  [default: none; DD_ENV]")
@click.option("--hostname", help="The host of the tags.  [default: this machine's; DD_HOSTNAME]")
@click.option("--json", "as_json", is_flag=True, help="Print the addresses as JSON.")
@_options
def forward(listen: tuple[str, ...], intake: str | None, as_json: bool, **given: Any) -> None:
    """Serve the Agent's debugger routes, and forward to the Datadog intake.

    The API key comes from DD_API_KEY; an --intake on this machine needs none. Stops on
    SIGTERM and SIGINT, once what it holds is delivered. Exit status: 0: nothing had to be
    dropped; 1: something had to be, or an address or a queue is not available; 2: usage error.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    given = {name: value for name, value in given.items() if value is not None}
    environ = dict(os.environ)
    environ.update(
        {_OF_THE_AGENT[name]: given.pop(name) for name in _OF_THE_AGENT.keys() & given.keys()}
    )
    if intake is not None:
        environ.update(_variables_for(intake, environ))
    try:
        settings = Settings.from_env(environ, **given)
        addresses = _addresses(listen)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    try:
        delivered = _serve(settings, addresses, as_json)
    except ConfigError as error:  # an address or a queue that is not available
        raise click.ClickException(str(error)) from None
    sys.exit(0 if delivered else 1)


def _variables_for(intake: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The Agent's variables that send all routes to one intake."""
    try:
        check_url(intake)
    except ConfigError as error:
        raise click.UsageError(f"--intake: {error}") from None
    parts = urlsplit(intake)
    variables = {}
    for route in ROUTES.values():
        path = parts.path.rstrip("/") or urlsplit(route.intake).path
        variables[f"{route.variable}_DD_URL"] = f"{parts.scheme}://{parts.netloc}{path}"
    if not environ.get("DD_API_KEY") and parts.hostname in _LOOPBACK:
        variables["DD_API_KEY"] = _LOCAL_KEY
    return variables


def _addresses(listen: Sequence[str]) -> Sequence[str]:
    from .server import DEFAULT_LISTEN, check_address

    named = os.environ.get(f"{PREFIX}LISTEN", "").replace(",", " ").split()
    addresses = listen or named or [DEFAULT_LISTEN]
    for address in addresses:
        check_address(address)
    return addresses


def _serve(settings: Settings, addresses: Sequence[str], as_json: bool) -> bool:
    from .server import NotServingYet, stopped_by_signals, use_one_arena

    use_one_arena()

    def say_where() -> None:
        logging.getLogger("livedebug_sender").info(
            "forwarding (%s, workers: %d) from %s",
            settings.mode,
            settings.processes,
            ", ".join(server.addresses),
        )
        if as_json:
            facts = {
                "addresses": list(server.addresses),
                "mode": settings.mode,
                "queue": settings.queue.partition(":")[0],
                "workers": settings.processes,
            }
            click.echo(json.dumps(facts))

    with stopped_by_signals(NotServingYet()):  # opening a queue may take seconds
        server = _server(settings, addresses)
        with stopped_by_signals(server):
            return server.run(say_where)


def _server(settings: Settings, listen: Sequence[str]) -> Server | Supervisor:
    from ..transport.light_environment import environment_of
    from ..transport.routes import Routes
    from .application import Forwarder
    from .counters import Column, Counters
    from .metrics import SLOTS
    from .published import Published
    from .server import Server, Supervisor, cores_of_workers, use_core

    workers = settings.processes
    # Resolved before the fork, so that workers share what it loads, mainly certificates.
    routes = Routes(environment_of)
    for endpoint in chain.from_iterable(settings.destinations.values()):
        with suppress(OSError, ValueError):  # logged when a request is sent there
            routes.to(endpoint)
    counters = Counters(SLOTS, workers)
    cores = cores_of_workers(workers) if settings.worker_cores == ONE_CORE else []
    if workers == 1:
        column = counters.column()
        if cores:
            use_core(cores[0])
        app = Forwarder(settings, column, routes=routes)
        server = Server(app, settings, listen, column)
        server.start()
        return server
    published = Published(workers)
    of_worker = settings.of_worker()

    def new_forwarder(index: int, column: Column) -> Forwarder:
        if cores:
            use_core(cores[index])
        published.clear(index)  # what a previous worker published
        return Forwarder(of_worker, column, published, index, routes)

    return Supervisor(new_forwarder, settings, listen, workers, counters)
