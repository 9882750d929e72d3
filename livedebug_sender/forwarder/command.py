"""``livedebug-sender forward``."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from ..errors import ConfigError
from .settings import MODES, OPTIONS, PREFIX, Settings

#: What an option's value replaces in the environment.
_OF_THE_AGENT = {"site": "DD_SITE", "env": "DD_ENV", "hostname": "DD_HOSTNAME"}

_HELP = {
    "mode": "What a tracer gets: the intake's answer, or a 202 at once.",
    "timeout": "Seconds for the intake's answer.",
    "max_body_bytes": "The largest body that is taken.",
    "max_at_once": "Requests in hand at once; more get a 503.",
    "max_at_once_bytes": "Bytes of bodies in hand at once; more get a 503.",
    "receive_timeout": "Seconds a tracer has to send a request.",
    "queue": "Where stored requests wait: memory, disk:/path/to/folder or "
    "kafka://host:port[,host:port...]/topic; any but memory means store-and-forward.",
    "queue_items": "store-and-forward, in memory: requests that may wait; more get a 429.",
    "queue_bytes": "store-and-forward: bytes that may wait; more get a 429.",
    "queue_min_free": "A queue on a disk takes nothing more below so much free space.",
    "kafka_min_replicas": "A queue in Kafka refuses a topic with fewer replicas.",
    "kafka_config": "A file of librdkafka properties (TLS, SASL) for a queue in Kafka.",
    "max_age": "store-and-forward: seconds after which a request is dropped.",
    "connections": "store-and-forward: requests to the intake at once, for each route.",
    "grace": "Seconds to end after SIGTERM.",
}


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """An option for each setting, in their order."""
    kinds = {"int": click.INT, "float": click.FLOAT, "str": click.STRING}
    for option in reversed(OPTIONS):
        command = click.option(
            f"--{option.name.replace('_', '-')}",
            option.name,
            type=click.Choice(MODES) if option.name == "mode" else kinds[str(option.type)],
            help=f"{_HELP[option.name]}  [default: {option.default}; {PREFIX}"
            f"{option.name.upper()}]",
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
    from .application import Forwarder
    from .server import DEFAULT_LISTEN, Server, stopped_by_signals

    named = os.environ.get(f"{PREFIX}LISTEN", "").replace(",", " ").split()
    app = Forwarder(settings)
    server = Server(app, settings, listen or named or [DEFAULT_LISTEN])
    app.start()
    with stopped_by_signals(server):
        logging.getLogger("livedebug_sender").info(
            "forwarding (%s) from %s", settings.mode, ", ".join(server.addresses)
        )
        return server.run()
