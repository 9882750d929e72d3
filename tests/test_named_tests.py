"""The pages that say which test shows what don't name tests that are not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


@pytest.mark.parametrize("page", ["faults.rst", "security.md"])
def test_every_test_that_a_page_names_exists(page: str) -> None:
    named = NAMED.findall((DOCS / page).read_text(encoding="utf-8"))
    assert len(named) > 10
    for file, test in named:
        source = (TESTS / file).read_text(encoding="utf-8")
        assert f"def {test}(" in source, f"{page} names {file}::{test}, which isn't there"
