"""A pytest plugin: the fixture `livedebug_intake`.

pytest loads every installed plugin, so this one imports only pytest: the intake and its
dependencies are imported by the first use of the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .intake.server import Intake


@pytest.fixture
def livedebug_intake() -> Iterator[Intake]:
    """A local intake on a free port, for one test; it acts as an agent and as the intake.

    ``.url``; ``.payloads(track, ...)``, the decoded payloads of accepted requests;
    ``.wait_for(n, timeout, track, probe=..., match={...})``, which waits until `n` payloads
    match and returns them; ``.requests`` with ``path``, ``headers``, ``tags``,
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
