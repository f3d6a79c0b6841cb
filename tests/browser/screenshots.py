"""The screenshots of docs and README, from the demo's data: `python -m tests.browser.screenshots`."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import requests
from playwright.sync_api import Browser, Page

from tests.browser.conftest import launched

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
STORE, NUMBER = "woocommerce-suppress", "5002"
ORDER = f"/admin/orders/{STORE}/{NUMBER}"
DESK, PHONE = (1240, 860), (390, 844)


@dataclass(frozen=True)
class Demo:
    """Where the demo is, and who may see it."""

    base: str
    name: str
    password: str


@contextmanager
def demo() -> Iterator[Demo]:
    """Run the demo until the pictures are taken."""
    command = [sys.executable, "-m", "gateway", "demo"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _announced(process)
        finally:
            process.terminate()


def _announced(process: "subprocess.Popen[str]") -> Demo:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        found = re.search(r"(http://\S+?)/admin/\s+\(user (\S+), password (\S+)\)", said)
        if found and "Ctrl-C" in line:
            return Demo(*found.groups())
    raise SystemExit(f"the demo said nothing of its pages:\n{said}")


def change_a_mind(where: Demo) -> None:
    """Deny analytics as the order's shopper does in the shop later on; the page shows what was and what counts."""
    said = {"order_id": NUMBER, "order_key": f"wc_order_demo{NUMBER}", "categories": {"analytics": False}}
    requests.post(f"{where.base}/consent/{STORE}", json=said, timeout=5).raise_for_status()


def take(browser: Browser, where: Demo) -> None:
    """Take every picture."""
    for scheme in ("light", "dark"):
        page = _signed_in(browser, where, DESK, scheme)
        _shoot(page, where, ORDER, f"order-{scheme}")
        page.goto(where.base + ORDER)
        page.locator("details.delivery summary").first.click()
        page.locator("details.delivery table.diff").first.wait_for()
        page.locator("#left").evaluate("heading => heading.scrollIntoView()")
        page.screenshot(path=FOLDER / f"what-left-{scheme}.png")
        page.context.close()
    page = _signed_in(browser, where, PHONE, "light")
    _shoot(page, where, ORDER, "order-phone")
    page.context.close()
    page = _signed_in(browser, where, DESK, "light")
    _shoot(page, where, "/admin/orders", "orders-light")
    page.goto(f"{where.base}/admin/policy/{STORE}")
    page.get_by_role("radio", name="Anonymize").check()
    page.get_by_role("button", name="What if?").click()
    page.get_by_text("Which orders change").click()
    page.screenshot(path=FOLDER / "what-if-light.png")
    page.context.close()


def _signed_in(browser: Browser, where: Demo, size: tuple[int, int], scheme: Literal["light", "dark"]) -> Page:
    page = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, timezone_id="Europe/Berlin"
    ).new_page()
    page.goto(f"{where.base}/admin/")
    page.get_by_label("Name").fill(where.name)
    page.get_by_label("Password").fill(where.password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Orders", exact=True).wait_for()
    return page


def _shoot(page: Page, where: Demo, path: str, name: str) -> None:
    page.goto(where.base + path)
    page.screenshot(path=FOLDER / f"{name}.png")


def main() -> None:
    """Replace the pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with demo() as where, launched() as browser:
        change_a_mind(where)
        take(browser, where)


if __name__ == "__main__":
    main()
