"""What the demo shows, on terminals of any width and where there is none."""

import os
import pty
import re
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

from tests.cli.places import ROOT, Place


def on_a_terminal(columns: int, *arguments: str) -> list[str]:
    """The lines that a command prints to a terminal, without their colours."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment |= {"PYTHONPATH": str(ROOT), "TERM": "xterm"}
    command = [sys.executable, "-m", "gateway", *arguments]
    with subprocess.Popen(command, stdout=theirs, stdin=subprocess.DEVNULL, env=environment):
        os.close(theirs)
        printed = b""
        with suppress(OSError):  # the other side is closed
            while piece := os.read(ours, 65_536):
                printed += piece
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", printed.decode()).splitlines()


def test_demo_shows_every_order_and_what_became_of_it(tmp_path: Path) -> None:
    done = Place(folder=tmp_path, port=0).run_alone("demo", "--once")

    assert (done.code, done.err) == (0, "")
    assert "\x1b" not in done.out
    rows = [line for line in done.out.splitlines() if re.search(r"│ 5\d{3} ", line)]
    assert len(rows) == 16
    assert sum("suppressed" in row and "nothing" in row for row in rows) == 4
    assert sum("delivered" in row and "no e-mail" in row for row in rows) >= 4
    assert sum("delivered: all_granted" in row for row in rows) == 4
    assert "Order pages: http://127.0.0.1:" in done.out


def test_demo_breaks_no_word_on_a_narrow_terminal() -> None:
    lines = on_a_terminal(80, "demo", "--once")

    words = [word for line in lines for word in line.split()]
    assert sum(bool(re.match(r"5\d{3} ", line)) for line in lines) == 16
    for whole, times in (("all_purposes_denied", 4), ("jan.novak@example.com", 2), ("woocommerce", 8)):
        assert words.count(whole) == times
    table = lines[: next(at for at, line in enumerate(lines) if line.startswith("Consents sent"))]
    assert max(len(line) for line in table) <= 80
