"""Debian's Chromium, driven over the pages as a server serves them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from werkzeug.serving import make_server

from tests.web.browsing import Pages, open_pages
from tests.web.seed import PASSWORD, tell

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"


@dataclass
class Site:
    """The pages, and where they are served."""

    pages: Pages
    base: str


@contextmanager
def served(pages: Pages) -> Iterator[Site]:
    """Serve the pages on a free port of this machine."""
    server = make_server("127.0.0.1", 0, pages.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Site(pages, f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()
    pages.story.gateway.database.close()


@contextmanager
def launched() -> Iterator[Browser]:
    """Start the browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of a file; its event loop must have ended before other tests begin."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: apt-get install chromium")
    with launched() as browser:
        yield browser


@pytest.fixture
def site(sqlite_url: str) -> Iterator[Site]:
    """The pages with a history."""
    pages = open_pages(sqlite_url)
    tell(pages.story)
    with served(pages) as site:
        yield site


@pytest.fixture
def empty_site(sqlite_url: str) -> Iterator[Site]:
    """The pages with nothing to show."""
    with served(open_pages(sqlite_url)) as site:
        yield site


Visit = Callable[..., Page]


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """Sign somebody in and return their page; anything that the browser complains about fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(site: Site, name: str = "olivia", **options: object) -> Page:
        context = chromium.new_context(**options)  # type: ignore[arg-type]  # named by the tests
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        sign_in(page, site, name)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


def sign_in(page: Page, site: Site, name: str) -> None:
    """Sign in by the form."""
    page.goto(f"{site.base}/admin/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Orders", exact=True).wait_for()
