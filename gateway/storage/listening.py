"""Waking: an event in one process, a pipe between two."""

import contextlib
import os
import threading
from multiprocessing import Pipe


class Bell:
    """Rings in this process; one ring before a wait is remembered."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ring(self) -> None:
        """Wake whoever waits, in any process."""
        self.ring_here()

    def ring_here(self) -> None:
        """Wake whoever waits in this process."""
        self._event.set()

    def wait(self, timeout_seconds: float) -> bool:
        """Return True when it rang, False when the time ran out."""
        rang = self._event.wait(timeout_seconds)
        self._event.clear()
        return rang

    def close(self) -> None:
        """Wake whoever waits for the last time."""
        self.ring_here()


class SharedBell(Bell):
    """Rings in two processes of which one began the other, by a pipe that both hold."""

    def __init__(self) -> None:
        self._heard, self._rope = Pipe(duplex=False)
        for end in (self._heard, self._rope):
            os.set_blocking(end.fileno(), False)

    def ring_here(self) -> None:
        """Wake whoever waits, in either process."""
        with contextlib.suppress(OSError):  # it rings already, or nobody is left to hear it
            os.write(self._rope.fileno(), b"!")

    def wait(self, timeout_seconds: float) -> bool:
        rang = self._heard.poll(timeout_seconds)
        if rang:
            with contextlib.suppress(BlockingIOError):
                os.read(self._heard.fileno(), 65_536)
        return rang
