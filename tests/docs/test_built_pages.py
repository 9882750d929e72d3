"""The docs as they are built: ``tox -e docs``, and in a real Chromium ``tox -e browser``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sphinx", reason="Sphinx is not installed")
pytest.importorskip("furo", reason="the docs' theme is not installed")

DOCS = Path(__file__).parents[2] / "docs"
SECRET = "no-value-of-the-environment-is-in-the-docs"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from nothing; tox -e docs keeps them."""
    kept = os.environ.get("LIVEDEBUG_TEST_DOCS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("html")
    strictly = ("-q", "-E", "-a", "-W", "--keep-going")
    command = [sys.executable, "-m", "sphinx", *strictly, "-b", "html", str(DOCS), str(folder)]
    environ = {**os.environ, "SOME_SECRET": SECRET, "PYTHONPATH": str(DOCS.parent)}
    subprocess.run(command, check=True, env=environ, timeout=300)
    return folder


def test_no_value_of_the_environment_is_in_any_page(pages: Path) -> None:
    found = [page.name for page in pages.rglob("*.html") if SECRET in page.read_text("utf-8")]
    assert found == []


def test_every_result_in_the_api_has_a_type_and_not_a_sentence(pages: Path) -> None:
    """A docstring's "Returns: True: ..." would be taken for a type named True."""
    page = re.sub(r"<[^>]+>", " ", (pages / "api.html").read_text("utf-8"))
    types = re.findall(r"Return type\s*:\s+([\w.]+)", page)
    assert len(types) > 15
    assert set(types) <= {"bool", "str", "int", "None", "tuple", "Sender", "SenderConfig", "Stats",
                          "Endpoint", "Track", "Callable", "list"}  # fmt: skip


def test_the_api_shows_each_default_as_a_value(pages: Path) -> None:
    page = re.sub(r"<[^>]+>", "", (pages / "api.html").read_text("utf-8"))
    for default in ("max_queue_items=5000", "linger=0.1", "oversize='drop'", "timeout=3.0"):
        assert default in page


def test_the_changelog_and_every_page_are_in_the_index(pages: Path) -> None:
    index = (pages / "index.html").read_text("utf-8")
    missing = [
        source.name
        for source in (*DOCS.glob("*.rst"), *DOCS.glob("*.md"))
        if f'href="{source.stem}.html"' not in index and source.stem != "index"
    ]
    assert missing == []
    for group in ("Start", "Use", "Understand", "Operate", "Reference"):
        assert f'<span class="caption-text">{group}</span>' in index


#: Tables and pictures that reach beyond the screen, or have to be scrolled sideways.
CUT_OFF = """
return [...document.querySelectorAll('article table, article img, article svg')].filter(one => {
    const frame = one.closest('.table-wrapper') || document.documentElement;
    return one.getBoundingClientRect().right > document.documentElement.clientWidth + 1
        || frame.scrollWidth > frame.clientWidth + 1;
}).map(one => one.tagName + ' ' + one.textContent.trim().slice(0, 60));
"""


@pytest.mark.browser
def test_no_table_and_no_picture_is_cut_off_at_a_screens_width(browser: Any, pages: Path) -> None:
    from browsing import set_size

    cut = {}
    for source in (*DOCS.rglob("*.rst"), *DOCS.glob("*.md")):
        page = pages / source.relative_to(DOCS).with_suffix(".html")
        browser.get(page.as_uri())
        for width in (390, 768, 1280):
            set_size(browser, width, 900)
            if found := browser.execute_script(CUT_OFF):
                cut[page.name, width] = found
    browser.get("about:blank")
    assert cut == {}
