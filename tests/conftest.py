from __future__ import annotations

import gc
import json
import signal
import ssl
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from sample_data import SAMPLES

from livedebug_sender import Endpoint, Sender, SenderConfig

if TYPE_CHECKING:
    import trustme

# See setup.cfg, `addopts`.
pytest_plugins = ["livedebug_sender.pytest_plugin"]


# No example is timed: a busy machine would fail it. Others are drawn in each run, of which
# there is one for each Python.
hypothesis.settings.register_profile(
    "untimed",
    deadline=None,
    max_examples=40,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("untimed")

# In a shell's background job it is ignored, and the programs that tests start would inherit
# that and never see the signal that they are sent.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--screenshots", action="store_true", help="make the pictures of the docs (tox -e browser)"
    )
    parser.addoption(
        "--write-docs", action="store_true", help="put the commands' real output into the docs"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let half of the workers (`-n`) begin with the tests that wait, while the others compute.

    With `--dist worksteal` each worker begins with an equal part of the list, one after the
    other, and takes from the ends of the others' parts later.
    """
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    waiting = [item for item in items if item.get_closest_marker("waits")]
    others = [item for item in items if not item.get_closest_marker("waits")]
    half = max(1, workers // 2)
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        part = (len(items) - len(ordered)) // (workers - worker)
        first = waiting[worker::half] if worker < half else []
        rest = max(0, part - len(first))
        ordered += first + others[:rest]
        others = others[rest:]
    items[:] = ordered + others


def pytest_collection_finish(session: pytest.Session) -> None:
    # 150,000 objects that stay: no collection of garbage has to look at them again. Since 3.14
    # hypothesis asks the collector who refers to an object, and is not told of frozen ones.
    if sys.version_info < (3, 14):
        gc.freeze()


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "DD_EXTERNAL_ENV"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def samples() -> dict[str, list[Any]]:
    """The elements of the sample files, by track."""
    tracks = ("diagnostics", "snapshots", "logs")
    return {track: json.loads((SAMPLES / f"{track}.json").read_bytes()) for track in tracks}


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    # It needs cffi, which does not run on every build of Python (free-threaded 3.13).
    return pytest.importorskip("trustme").CA()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real Chromium, for all tests of a process: each leaves it at an empty page."""
    pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    from browsing import chromium

    with chromium() as started:
        yield started


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))


@pytest.fixture
def short_dir() -> Iterator[str]:
    """A directory with a name short enough for a Unix socket in it."""
    with tempfile.TemporaryDirectory(prefix="s") as path:
        yield path


@pytest.fixture
def make_sender() -> Iterator[Callable[..., Sender]]:
    """Makes senders to a URL, closed at the end of the test."""
    made: list[Sender] = []

    def make(
        url: str,
        *,
        key: str | None = None,
        additional: tuple[Endpoint, ...] = (),
        symdb: str | None = None,
        timeout: float = 3.0,
        **options: Any,
    ) -> Sender:
        options.setdefault("linger", 0.02)
        config = SenderConfig()
        config.set_endpoint(Endpoint(url, key, timeout))
        config.set_symdb_endpoint(Endpoint(symdb or url, key, timeout))
        for endpoint in additional:
            config.add_additional_debugger_endpoint(endpoint)
            config.add_additional_symdb_endpoint(endpoint)
        sender = Sender(config, **options)
        made.append(sender)
        return sender

    yield make
    for sender in made:
        sender.close(0.2)
