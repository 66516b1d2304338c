"""A real browser for the tests of pages: Debian's Chromium, driven by Playwright.

Where it is missing, a test is skipped and says so; with ROOTSTOCK_REQUIRE_SERVERS=1 it fails.
"""

import shutil
from contextlib import contextmanager

import pytest

from tests.support.servers import REQUIRED

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium():
    """Give the browser's program; skip, or fail where nothing may skip."""
    found = shutil.which("chromium")
    if found:
        return found
    reason = "Chromium is not installed (apt-get install chromium)"
    if REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def browser_page(*, dark=False, width=1100, height=760):
    """Open an empty tab; gives it and the list of what its pages complained about."""
    program = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=_FLAGS)
        try:
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if dark else "light",
            )
            complaints = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "console",
                lambda message: (
                    complaints.append(message.text)
                    if message.type in ("error", "warning")
                    else None
                ),
            )
            yield page, complaints
        finally:
            browser.close()
