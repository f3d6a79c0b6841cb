"""Work done apart, in a process that gives back all the memory it took."""

import multiprocessing
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection as Line
from typing import Any, Final

from gateway.errors import StartRefused

PROCESS: Final = (multiprocessing.get_context("fork") if sys.platform == "linux" else multiprocessing).Process


def apart(call: Callable[..., None], *given: Any) -> None:
    """Call in a process of its own and wait; raises what it raised. For a process with one thread."""
    line, far = multiprocessing.Pipe(duplex=False)
    process = PROCESS(target=_call, args=(far, call, given))
    process.start()
    far.close()
    try:
        error = line.recv()
    except EOFError:
        error = StartRefused(f"{call.__name__} ended before it was done")
    finally:
        process.join()
    if error is not None:
        raise error


def _call(line: Line, call: Callable[..., None], given: tuple[Any, ...]) -> None:
    try:
        call(*given)
    except Exception as error:  # noqa: BLE001 - raised again where it was called from
        line.send(error)
    else:
        line.send(None)
