"""A page in a real browser: the files that it asks for, its messages, its width, a picture of it."""

import json
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from selenium.webdriver import Chrome

NARROW = 400
# Pictures inside the page, and parts of the browser's own start page, which may still be loading.
NOT_OF_THE_PAGE = ("data:", "chrome:")


class Visit(NamedTuple):
    """The reaction of a browser to a page: messages in its console, addresses of its requests, thumbnails not shown."""

    messages: list[str]
    requests: list[str]
    broken_images: list[str]


def visit(browser: Chrome, page: Path, width: int = 1200) -> Visit:
    """Open a page from its file, with every fold open."""
    for log in ("browser", "performance"):
        read_log(browser, log)  # empties it
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    browser.get(page.as_uri())
    browser.execute_script("for (const fold of document.querySelectorAll('details')) fold.open = true")
    broken = browser.execute_script("return [...document.images].filter(i => !i.naturalWidth).map(i => i.outerHTML)")
    return Visit(read_log(browser, "browser"), requests_of(browser), broken)


def requests_of(browser: Chrome) -> list[str]:
    """Return the addresses that the page has asked for since the log was emptied."""
    events = [json.loads(message)["message"] for message in read_log(browser, "performance")]
    requests = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [address for address in requests if not address.startswith(NOT_OF_THE_PAGE)]


def scrolls_sideways(browser: Chrome) -> bool:
    """Return whether the page that is open is wider than its window."""
    return bool(browser.execute_script("return document.documentElement.scrollWidth > window.innerWidth"))


def colours(browser: Chrome, file: Path) -> int:
    """Take a screenshot of the page that is open, and return the number of its colours."""
    file.write_bytes(browser.get_screenshot_as_png())
    image = Image.open(file).convert("RGB")
    return len(image.getcolors(image.width * image.height) or [])


def read_log(browser: Chrome, log: str) -> list[str]:
    """Return the messages of a log, `browser` or `performance`, and empty it."""
    return [entry["message"] for entry in browser.get_log(log)]  # type: ignore[no-untyped-call]
