"""The intake's page in a real Chromium: ``tox -e browser``.

With ``--screenshots`` the pictures of the docs are made anew.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sample_data import SAMPLES

from livedebug_sender import Sender, Track, generate_tags
from livedebug_sender.demo import sample_payloads
from livedebug_sender.intake.server import Intake

pytestmark = pytest.mark.browser
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.remote.webelement import WebElement  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

PATIENCE = 20
IMAGES = Path(__file__).parents[2] / "docs" / "images"
HOSTILE = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium with its chromedriver (apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--window-size=1360,1000",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


class Page:
    """The page, as somebody who looks at it would speak of it."""

    def __init__(self, browser: Any, url: str) -> None:
        self.browser = browser
        browser.get(url)

    def until(self, test: Callable[[], Any]) -> Any:
        """What the test gives, once it is true; whatever the page redraws meanwhile."""
        ignored = (Exception,)
        return WebDriverWait(self.browser, PATIENCE, 0.05, ignored).until(lambda _: test())

    def all(self, selector: str, inside: Any = None) -> list[WebElement]:
        found = (inside or self.browser).find_elements(By.CSS_SELECTOR, selector)
        return [element for element in found if element.is_displayed()]

    def text(self, selector: str) -> str:
        return str(self.browser.find_element(By.CSS_SELECTOR, selector).text)

    def rows(self) -> list[WebElement]:
        return self.all("details.request")

    def row(self, text: str) -> WebElement:
        """The row of the list with this text in it."""

        def find() -> WebElement | None:
            return next((row for row in self.rows() if text in row.text), None)

        return self.until(find)  # type: ignore[no-any-return]

    def unfold(self, text: str, inside: WebElement) -> WebElement:
        """Open what has this text in its heading."""

        def find() -> WebElement | None:
            found = self.all("summary", inside)
            return next((summary for summary in found if text in summary.text), None)

        summary = self.until(find)
        details = summary.find_element(By.XPATH, "..")
        if details.get_attribute("open") is None:
            summary.click()
        return details  # type: ignore[no-any-return]

    def choose(self, name: str, value: str) -> None:
        """Choose in a filter, once it offers that."""

        def select() -> bool:
            Select(self.browser.find_element(By.ID, name)).select_by_visible_text(value)
            return True

        self.until(select)

    def tracks(self) -> set[str]:
        """The tracks of the rows."""
        return {row.find_element(By.CSS_SELECTOR, ".badge").text for row in self.rows()}


@pytest.fixture
def page(browser: Any, livedebug_intake: Intake) -> Iterator[Page]:
    yield Page(browser, livedebug_intake.url)
    complaints = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    browser.get("about:blank")  # before the intake goes
    assert complaints == []


@pytest.fixture
def sent(
    livedebug_intake: Intake, make_sender: Callable[..., Sender], page: Page
) -> dict[Track, Any]:
    """The samples of a real tracer, sent by this library while the page is open."""
    tags = generate_tags("0.1", "demo", "1.0", "demo-runtime", ("team:shop",))
    sender = make_sender(livedebug_intake.url, tags=tags)
    content_type = (SAMPLES / "symdb.content_type").read_text().strip()
    payloads = sample_payloads()
    for track, some in payloads.items():
        for payload in some:
            sender.enqueue(
                track, payload, content_type=content_type if track is Track.SYMDB else None
            )
    assert sender.flush(15.0)
    page.until(lambda: page.text("#total-diagnostics") == "19" and page.rows())
    return payloads


def test_an_empty_page_says_where_to_point_a_tracer(page: Page, livedebug_intake: Intake) -> None:
    page.until(lambda: f"DD_TRACE_AGENT_URL={livedebug_intake.url}" in page.text("#empty"))
    page.until(lambda: page.text("#state") == "live")


@pytest.mark.usefixtures("sent")
def test_what_arrives_is_listed_and_counted_while_the_page_is_open(page: Page) -> None:
    page.until(lambda: page.text("#total-symdb") == "1")
    totals = {track: page.text(f"#total-{track}") for track in map(str, Track)}
    assert totals == {"diagnostics": "19", "snapshots": "9", "logs": "12", "symdb": "1"}
    row = page.row("snapshots")
    for text in ("agent", "202", "KiB", "team:shop"):
        assert text in row.text


@pytest.mark.usefixtures("sent")
def test_a_snapshot_shows_its_stack_and_its_variables_unfold(page: Page) -> None:
    row = page.row("snapshots")
    row.find_element(By.TAG_NAME, "summary").click()
    snapshot = page.unfold("checkout-total", row)
    page.until(lambda: "/app/shop.py:43" in snapshot.text)
    assert page.all(".stack li", snapshot)[0].text.startswith("checkout")
    order = page.unfold("order Order", snapshot)
    customer = page.unfold("customer dict", order)
    page.until(lambda: "'Zoë Ångström'" in customer.text)
    assert "not captured: redactedIdent" in snapshot.text
    assert "Decimal('209.90')" in snapshot.text


@pytest.mark.usefixtures("sent")
def test_a_thrown_exception_is_shown(page: Page) -> None:
    page.browser.find_element(By.ID, "text").send_keys("out of stock")
    page.until(lambda: len(page.rows()) == 1 and "snapshots" in page.rows()[0].text)
    page.rows()[0].find_element(By.TAG_NAME, "summary").click()
    page.until(lambda: "1 of 9 payloads fit" in page.rows()[0].text)
    page.until(lambda: "throwable RuntimeError" in page.rows()[0].text)


@pytest.mark.usefixtures("sent")
def test_the_large_snapshot_unfolds_to_its_depth(page: Page) -> None:
    page.choose("probe", "report-call")
    page.until(lambda: page.tracks() == {"snapshots", "diagnostics"})
    row = page.row("snapshots")
    row.find_element(By.TAG_NAME, "summary").click()
    branch = page.unfold("locals", row)
    depth = 0
    while closed := page.all("details:not([open]) > summary", branch):
        closed[0].click()
        branch, depth = closed[0].find_element(By.XPATH, ".."), depth + 1
    assert depth >= 2


@pytest.mark.usefixtures("sent")
def test_logs_and_symbols_are_shown_as_what_they_are(page: Page) -> None:
    logs = page.row("logs")
    logs.find_element(By.TAG_NAME, "summary").click()
    page.until(lambda: len(page.all(".payload", logs)) == 12)
    line = page.unfold("reserving 'KB-101'", logs.find_element(By.CSS_SELECTOR, ".inside"))
    page.until(lambda: "/app/shop.py:30" in line.text)
    symbols = page.row("symdb")
    symbols.find_element(By.TAG_NAME, "summary").click()
    module = page.unfold("MODULE shop", symbols)
    order = page.unfold("CLASS shop.Order", module)
    page.until(lambda: "customer" in order.text)


@pytest.mark.usefixtures("sent")
def test_each_probe_has_the_history_of_its_statuses(page: Page) -> None:
    probes = page.browser.find_element(By.ID, "probes")
    broken = page.unfold("no-such-file", probes)
    page.until(lambda: "ERROR" in broken.text)
    fine = page.unfold("checkout-total", probes)
    history = page.until(lambda: [one.text for one in page.all(".history .badge", fine)])
    assert (history[0], history[-1]) == ("RECEIVED", "EMITTING")
    assert "INSTALLED" in history


@pytest.mark.usefixtures("sent")
def test_filters_leave_what_fits_and_reset_brings_all_back(page: Page) -> None:
    before = len(page.rows())
    page.choose("track", "logs")
    page.until(lambda: page.tracks() == {"logs"})
    page.choose("probe", "checkout-total")
    page.until(lambda: page.rows() == [] and "fits the filters" in page.text("#empty"))
    page.browser.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
    page.until(lambda: len(page.rows()) == before)
    page.choose("service", "shop")
    page.until(lambda: len(page.rows()) == before)
    page.browser.find_element(By.ID, "text").send_keys("ångström")
    page.until(
        lambda: (
            {row.find_element(By.CSS_SELECTOR, ".badge").text for row in page.rows()}
            == {"snapshots"}
        )
    )


@pytest.mark.usefixtures("sent")
def test_the_rate_is_drawn(page: Page) -> None:
    bars = page.until(lambda: page.all("#rate rect"))
    assert all(float(bar.get_attribute("height")) > 0 for bar in bars)
    kinds = {str(bar.get_attribute("class")) for bar in bars}
    assert kinds == {"b-diagnostics", "b-snapshots", "b-logs", "b-symdb"}
    assert "peak" in page.text("#rate-words")


def test_a_payload_with_markup_in_it_stays_text(
    page: Page, livedebug_intake: Intake, make_sender: Callable[..., Sender]
) -> None:
    probe = {"id": HOSTILE, "version": HOSTILE, "location": {"file": HOSTILE, "lines": [HOSTILE]}}
    captured = {HOSTILE: {"type": HOSTILE, "value": HOSTILE, "notCapturedReason": HOSTILE}}
    snapshot = {
        "probe": probe,
        "stack": [{"function": HOSTILE, "fileName": HOSTILE, "lineNumber": HOSTILE}],
        "captures": {"lines": {HOSTILE: {HOSTILE: captured}}},
        "evaluationErrors": [{"expr": HOSTILE, "message": HOSTILE}],
    }
    status = {"probeId": HOSTILE, "status": HOSTILE, "exception": {"message": HOSTILE}}
    common = {"service": HOSTILE, "message": HOSTILE}
    sender = make_sender(livedebug_intake.url, tags=f"a:{HOSTILE}")
    sender.enqueue("snapshots", {**common, "debugger": {"snapshot": snapshot}})
    sender.enqueue("diagnostics", {**common, "debugger": {"diagnostics": status}})
    sender.enqueue("symdb", json.dumps(common | {"x": HOSTILE}).encode(), content_type="a/b")
    sender.enqueue("symdb", b"--" + HOSTILE.encode(), content_type="a/b")
    assert sender.flush(15.0) in (True, False)
    page.until(lambda: len(page.rows()) == 4)
    for row in page.rows():
        row.find_element(By.TAG_NAME, "summary").click()
    page.until(lambda: len(page.all(".payload")) == 3)
    for _ in range(4):  # level by level, all that can be opened
        for summary in page.all("details:not([open]) > summary"):
            summary.click()
    assert page.text("body").count(HOSTILE) > 20
    assert page.all("main script, main img") == []
    assert page.browser.title == "Local intake"


@pytest.mark.usefixtures("sent")
def test_it_can_be_used_by_keyboard(page: Page) -> None:
    body = page.browser.find_element(By.TAG_NAME, "body")
    body.send_keys("/")
    page.browser.switch_to.active_element.send_keys("symdb/v1")
    page.until(lambda: len(page.rows()) == 1)
    for _ in range(20):
        page.browser.switch_to.active_element.send_keys(Keys.TAB)
        if page.browser.switch_to.active_element.tag_name == "summary":
            break
    page.browser.switch_to.active_element.send_keys(Keys.ENTER)
    page.until(lambda: "MODULE" in page.rows()[0].text)


@pytest.mark.usefixtures("sent")
def test_what_is_open_stays_open_when_more_arrives(
    page: Page, livedebug_intake: Intake, make_sender: Callable[..., Sender]
) -> None:
    row = page.row("logs")
    row.find_element(By.TAG_NAME, "summary").click()
    page.until(lambda: page.all(".payload", row))
    rows = len(page.rows())
    sender = make_sender(livedebug_intake.url)
    sender.enqueue("logs", {"debugger": {"snapshot": {}}, "message": "one more"})
    page.row("one more")
    assert len(page.rows()) == rows + 1
    assert page.all(".payload", row)


@pytest.mark.usefixtures("sent")
def test_pause_and_clear_do_what_they_say(
    page: Page, livedebug_intake: Intake, make_sender: Callable[..., Sender]
) -> None:
    page.browser.find_element(By.ID, "clear").click()
    page.until(lambda: page.rows() == [] and page.text("#total-requests") == "0")
    assert livedebug_intake.requests == []
    page.browser.find_element(By.ID, "pause").click()
    page.until(lambda: page.text("#state") == "paused")
    sender = make_sender(livedebug_intake.url)
    sender.enqueue("logs", {"debugger": {"snapshot": {}}, "message": "meanwhile"})
    livedebug_intake.wait_for(1)
    assert page.rows() == []
    page.browser.find_element(By.ID, "pause").click()
    page.row("meanwhile")


def test_a_page_whose_intake_has_gone_says_so(browser: Any) -> None:
    with Intake() as intake:
        page = Page(browser, intake.url)
        page.until(lambda: page.text("#state") == "live")
    page.until(lambda: "does not answer" in page.text("#state"))
    browser.get_log("browser")  # it complains, rightly


@pytest.mark.usefixtures("sent")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_looks_as_the_reader_prefers(
    scheme: str, page: Page, request: pytest.FixtureRequest
) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    row = page.row("snapshots")
    row.find_element(By.TAG_NAME, "summary").click()
    snapshot = page.unfold("checkout-total", row)
    page.unfold("order Order", snapshot)
    page.unfold("customer dict", snapshot)
    page.unfold("no-such-file", page.browser.find_element(By.ID, "probes"))
    ground = page.browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in ground.strip("rgb()").split(","))
    assert (brightness > 600) == (scheme == "light")
    if request.config.getoption("--screenshots"):
        IMAGES.mkdir(exist_ok=True)
        page.browser.execute_script("scrollTo(0, 0)")
        page.browser.save_screenshot(str(IMAGES / f"intake_{scheme}.png"))
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
