"""A real Chromium on the intake's page, as somebody who looks at it would speak of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

PATIENCE = 20
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--hide-scrollbars",
)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser with a profile of its own; the test is skipped where there is none."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no chromium with its chromedriver (apt install chromium chromium-driver)")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = binary
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        try:
            yield started
        finally:
            started.quit()


def set_size(browser: Any, width: int, height: int) -> None:
    """Of what the page is shown in, in pixels."""
    shape = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", shape)


class Page:
    """The page at a URL."""

    def __init__(self, browser: Any, url: str) -> None:
        self.browser = browser
        self.url = url
        self.size(1360, 900)
        # Away from the list, where a page before left it: over it, it would be reading there.
        self.cdp("Input.dispatchMouseEvent", type="mouseMoved", x=0, y=0)
        self.open()

    def cdp(self, command: str, **arguments: Any) -> Any:
        """Of the Chrome DevTools Protocol."""
        return self.browser.execute_cdp_cmd(command, arguments)

    def open(self, address: str = "/") -> None:
        self.browser.get(self.url + address)

    def until(self, test: Callable[[], Any]) -> Any:
        """What the test gives, once it is true; whatever the page redraws meanwhile."""
        wait = WebDriverWait(self.browser, PATIENCE, 0.03, (Exception,))
        return wait.until(lambda _: test())

    def all(self, selector: str, inside: Any = None) -> list[WebElement]:
        found = (inside or self.browser).find_elements(By.CSS_SELECTOR, selector)
        return [element for element in found if element.is_displayed()]

    def one(self, selector: str) -> WebElement:
        """The first that is seen, once there is one."""
        return self.until(lambda: self.all(selector)[0])  # type: ignore[no-any-return]

    def text(self, selector: str) -> str:
        return str(self.browser.find_element(By.CSS_SELECTOR, selector).text)

    def click(self, selector: str, text: str = "") -> None:
        """Click on the first that has this text in it."""

        def click() -> bool:
            next(found for found in self.all(selector) if text in found.text).click()
            return True

        self.until(click)

    def hover(self, selector: str) -> None:
        """Move the pointer there."""
        ActionChains(self.browser).move_to_element(self.one(selector)).perform()

    def press(self, *keys: str) -> None:
        """Press keys wherever the focus is."""
        self.browser.switch_to.active_element.send_keys(*keys)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def rows(self) -> list[str]:
        """The texts of the rows in sight, from the top."""
        return list(
            self.run("return [...document.querySelectorAll('#list .row')].map(r => r.innerText)")
        )

    def choose(self, name: str, value: str) -> None:
        """Choose in a filter, once it offers that."""

        def select() -> bool:
            Select(self.browser.find_element(By.ID, name)).select_by_visible_text(value)
            return True

        self.until(select)

    def has_tracks(self, **sums: int) -> bool:
        """Do the chips of the tracks say so many?"""
        chips = {chip.get_attribute("data-track"): chip.text for chip in self.all("#tracks button")}
        return all(chips[track].endswith(f" {count}") for track, count in sums.items())

    def copied(self) -> str:
        """What is in the clipboard."""
        return str(
            self.browser.execute_async_script(
                "navigator.clipboard.readText().then(arguments[arguments.length - 1])"
            )
        )

    def size(self, width: int, height: int) -> None:
        set_size(self.browser, width, height)

    def prefer(self, **features: str) -> None:
        """What the reader prefers: ``color_scheme="dark"``."""
        given = [
            {"name": f"prefers-{k.replace('_', '-')}", "value": v} for k, v in features.items()
        ]
        self.cdp("Emulation.setEmulatedMedia", features=given)

    def busy_seconds(self) -> float:
        """Of a processor, that the page's main thread has used since it was loaded."""
        found = self.cdp("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in found if one["name"] == "TaskDuration"))
