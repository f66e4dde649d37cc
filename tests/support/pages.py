"""Pages in a headless Chromium that records its console and its requests."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from outside_tools import need, need_module


@contextmanager
def chromium() -> Iterator[Any]:
    """Give a selenium driver, and end the browser afterwards."""
    selenium = need_module("selenium.webdriver")
    options = selenium.ChromeOptions()
    options.binary_location = need("chromium", "chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = selenium.Chrome(options, selenium.ChromeService(need("chromedriver", "chromium-driver")))
    try:
        yield driver
    finally:
        driver.quit()


def open_page(browser: Any, page: Path) -> None:
    """Open a page, what was recorded before forgotten."""
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page.as_uri())


def requests(browser: Any) -> set[str]:
    """Return the addresses that the page asked for, its own included, data within it left out."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    return {url for url in asked if not url.startswith("data:")}
