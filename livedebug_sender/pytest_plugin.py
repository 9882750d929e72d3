"""A pytest plugin: the fixture `livedebug_intake`.

pytest loads it by itself wherever the package is installed, so it loads nothing but
pytest: the intake, and what it needs, come with the first use of the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .intake.server import Intake


@pytest.fixture
def livedebug_intake() -> Iterator[Intake]:
    """A local intake on a free port: an agent and the intake itself, for one test.

    ``.url``; ``.payloads(track, ...)``, decoded, of the requests that were taken;
    ``.wait_for(n, timeout, track, probe=..., match={...})``, which waits for `n` payloads
    that match and gives them; ``.requests`` with ``path``, ``headers``, ``tags``,
    ``status``, ...; ``.inject("503 twice, then good")``; ``.findings()``.
    """
    try:
        from .intake.server import Intake
    except ModuleNotFoundError as missing:
        pytest.fail(
            f"the fixture livedebug_intake needs {missing.name}, which is not installed; "
            'do: pip install "livedebug-sender[intake]"',
            pytrace=False,
        )
    with Intake() as intake:
        yield intake
