"""SIGTERM as the first process of a container sees it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.places import wait_until

_FIRST = ("unshare", "--fork", "--pid", "--kill-child")


def _may_be_first() -> bool:
    return bool(shutil.which("unshare")) and subprocess.run([*_FIRST, "true"], check=False).returncode == 0


@pytest.mark.skipif(not _may_be_first(), reason="no process namespaces may be made here")
def test_a_container_that_is_still_starting_ends_when_it_is_told_to(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    os.mkfifo(settings)  # whoever reads it waits for what is never written
    words = [*_FIRST, sys.executable, "-m", "gateway", "run", "--settings", str(settings)]
    with subprocess.Popen(words) as outer:
        try:
            wait_until(lambda: _is_read(settings), "the settings are being read")
            os.kill(_child(outer.pid), signal.SIGTERM)
            assert outer.wait(10) == 128 + signal.SIGTERM
        finally:
            outer.kill()


def _is_read(pipe: Path) -> bool:
    """Whether somebody reads it; from then on there is one who might write."""
    try:
        os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    return True


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8"))
