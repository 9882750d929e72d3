from __future__ import annotations

import random

import pytest
from fleet.simulation import Outage, draw, simulate


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("every", [1.0, 5.0])
def test_an_intake_that_returns_is_not_flooded(every: float, told: bool) -> None:
    random.seed(2)
    outage = Outage(starts=60, ends=200, until=300, told=told)
    curve = simulate(300, every, outage)
    assert curve.steady == pytest.approx(300 / every, rel=0.2)
    assert curve.ratio <= 3
    assert draw(curve).count("<polyline") == 1
