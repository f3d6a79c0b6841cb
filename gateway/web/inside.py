"""The inside of the server, where requests begin: it has no other place for what begins them without a task."""

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import granian.server.mp
import granian.server.mt
from granian._loops import loops

from gateway.web.direct import Arrival, Direct
from gateway.web.front import Front

_futures: Any = import_module("granian._futures")  # all releases that are allowed have what is taken from it
_Base: Any = _futures._BaseCBScheduler  # noqa: SLF001
_with_task: Any = _futures._cbsched_aioschedule  # noqa: SLF001
_MAKER: Final = "_new_cbscheduler"


def begin_directly(front: Front) -> None:
    """Have servers that start in this process from now on begin requests by Direct."""

    def make(loop: asyncio.AbstractEventLoop, callback: Callable[..., Any], **_: Any) -> Any:
        scheduler = _Scheduler(loop, callback, None, None, None)
        scheduler.begin_by(Direct(front, loop, _with_task(loop, scheduler._ctx, callback)))  # noqa: SLF001
        return scheduler

    for module in (granian.server.mp, granian.server.mt):
        setattr(module, _MAKER, make)


class _Scheduler(_Base):  # type: ignore[misc]  # its types are not known
    """Is told of every request."""

    def __init__(self, *_: Any) -> None:
        super().__init__()

    def begin_by(self, begin: Callable[[Any], None]) -> None:
        self._schedule_fn = begin


class _Loop(asyncio.SelectorEventLoop):
    """Has arrivals heard in the thread in which they arrive; everything else waits for its turn."""

    def call_soon_threadsafe(self, callback: Any, *given: Any, **more: Any) -> Any:  # type: ignore[override]
        return callback(*given) if type(callback) is Arrival else super().call_soon_threadsafe(callback, *given, **more)

    def call_soon(self, callback: Any, *given: Any, **more: Any) -> Any:  # type: ignore[override]
        return callback(*given) if type(callback) is Arrival else super().call_soon(callback, *given, **more)


@loops.register("asyncio")
def _make_loop() -> asyncio.AbstractEventLoop:
    loop = _Loop()
    asyncio.set_event_loop(loop)
    return loop
