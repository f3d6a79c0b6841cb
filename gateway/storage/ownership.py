"""An SQLite file has one owner: the process that serves, writes and delivers."""

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from gateway.errors import StartRefused
from gateway.storage.engines import parse_url, sqlite_path, unwritable

_TRY_EVERY_SECONDS: Final = 0.1


class Ownership:
    """Held as long as this process, or a child that it was forked into, lives. PostgreSQL has no owner."""

    def __init__(self, url: str, *, within_seconds: float = 3.0) -> None:
        """Take the file, or raise StartRefused when another process keeps it for longer than `within_seconds`."""
        parsed = parse_url(url)
        self._descriptor: int | None = None
        if parsed.get_backend_name() == "sqlite":
            self._descriptor = _locked(sqlite_path(parsed).absolute(), time.monotonic() + within_seconds)

    @property
    def is_sole(self) -> bool:
        """Whether no other process can be at work in this database."""
        return self._descriptor is not None

    def close(self) -> None:
        """Let go of the file; a forked child keeps it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _locked(path: Path, until: float) -> int:
    descriptor = _opened(path.with_name(path.name + ".lock"))
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                os.close(descriptor)
                raise StartRefused(f"another gateway is running on {path}; stop it first") from None
            time.sleep(_TRY_EVERY_SECONDS)
        else:
            return descriptor


def _opened(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unwritable(path, error) from error
