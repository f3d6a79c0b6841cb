"""Webhooks whose body comes at once, answered in the server's own thread and the writer's: no event loop between them.

A coroutine costs as much as verifying and parsing: a task, two ways through the loop and the threads that wake it.
What does not fit here - bodies in pieces, large ones, traces, a database not looked at for long - goes to the front.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from werkzeug.exceptions import RequestTimeout

from gateway.flow.gateway import Receipt
from gateway.telemetry import log_error
from gateway.web.asgi import LARGE, SILENCE_SECONDS, Headers, Scope
from gateway.web.front import Front, accepted, as_answer, refused, store_of

Schedule = Callable[[Any], None]

_WATCH_SECONDS: Final = 0.5


class Direct:
    """Takes what the server gives for one request (a watcher: scope, protocol, and who to tell of the end)."""

    def __init__(self, front: Front, loop: asyncio.AbstractEventLoop, otherwise: Schedule) -> None:
        """Hand what is not answered here to `otherwise`."""
        self._front = front
        self._loop = loop
        self._otherwise = otherwise
        self._since: dict[Any, float] = {}
        self._recording: dict[Arrival, float] = {}
        loop.call_soon(self._watch)

    def __call__(self, watcher: Any) -> None:
        """Begin to answer one request; never raises, for nobody is there to hear it."""
        try:
            self._begin(watcher)
        except Exception as error:  # noqa: BLE001 - the server answers 500
            watcher.err(error)

    def _begin(self, watcher: Any) -> None:
        scope: Scope = watcher.scope
        store_id, headers = store_of(scope), Headers(scope["headers"])
        if self._is_easy(store_id, headers.length):
            future = watcher.proto.receive()
            self._since[future] = self._loop.time()
            future.add_done_callback(Arrival(self, watcher, store_id, headers))
        else:
            self._otherwise(watcher)

    def arrived(self, arrival: "Arrival", future: Any) -> None:
        """Take in a body that is whole, and hand over any other; whatever goes wrong is told."""
        self._since.pop(future, None)
        try:
            if future.cancelled():
                self._front.gateway.telling.timed_out(arrival.store_id)
                arrival.answer(RequestTimeout())
                return
            message = future.result()
            body = message.get("body", b"")
            if len(body) == arrival.headers.length:
                self._recording[arrival] = self._loop.time()
                self._front.gateway.hand_over_webhook(arrival.store_id, arrival.headers, body, arrival.tell)
            else:
                self._otherwise(_Begun(arrival.watcher, message))
        except Exception as error:  # noqa: BLE001 - told apart in one place
            arrival.answer(error)

    def may_answer(self, arrival: "Arrival") -> bool:
        """Whether it still waits for an answer, which is to come from whoever asks; once, from any thread."""
        return self._recording.pop(arrival, None) is not None

    def _is_easy(self, store_id: str, length: int | None) -> bool:
        is_small = length is not None and 0 < length <= min(LARGE, self._front.most_bytes)
        return bool(store_id) and is_small and self._front.may_be_direct(store_id)

    def _watch(self) -> None:
        """Give up senders that have fallen silent, and answer those for whom the database takes too long."""
        now = self._loop.time()
        for future, since in self._since.copy().items():
            if now - since > SILENCE_SECONDS:
                future.cancel()
        for arrival, since in self._recording.copy().items():
            if now - since > self._front.answer_seconds - _WATCH_SECONDS and self.may_answer(arrival):
                arrival.answer(self._front.not_in_time(arrival.store_id))
        self._loop.call_later(_WATCH_SECONDS, self._watch)


class Arrival:
    """Waits for the body of one webhook; the loop calls it wherever the body arrives."""

    __slots__ = ("_direct", "headers", "store_id", "watcher")

    def __init__(self, direct: Direct, watcher: Any, store_id: str, headers: Headers) -> None:
        """Answer to `watcher` in the end."""
        self._direct = direct
        self.watcher = watcher
        self.store_id = store_id
        self.headers = headers

    def __call__(self, future: Any) -> None:
        """Hear that something arrived."""
        self._direct.arrived(self, future)

    def tell(self, result: Receipt | Exception) -> None:
        """Answer, unless that was done when it took too long; from any thread."""
        if self._direct.may_answer(self):
            self.answer(result)

    def answer(self, result: Receipt | Exception) -> None:
        """Answer; once, from any thread."""
        try:
            answer = as_answer(accepted(result) if isinstance(result, Receipt) else refused(result))
            answer.send_now(self.watcher.proto.send)
            self.watcher.done()
        except Exception as error:  # noqa: BLE001 - whoever calls has others to tell
            log_error("webhook", error)


class _Begun:
    """A request of which something was received; stands for its watcher, and for its protocol."""

    def __init__(self, watcher: Any, message: dict[str, Any]) -> None:
        self.scope = watcher.scope
        self.proto = self
        self.send = watcher.proto.send
        self.done, self.err, self.taskref = watcher.done, watcher.err, watcher.taskref
        self._receive = watcher.proto.receive
        self._messages = [message]

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = self._messages.pop() if self._messages else await self._receive()
        return message
