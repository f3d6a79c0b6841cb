"""The application as the server sees it: store webhooks, answered by coroutines, and before everything else.

A webhook waits for its commit and for little else, and thousands may wait: a coroutine each costs less than a thread.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Final

import orjson
from werkzeug.exceptions import HTTPException, RequestTimeout

from gateway.errors import BodyTooLarge, NotRecorded, Overloaded, WebhookRejected
from gateway.flow.gateway import LOOK_SECONDS, Gateway, Receipt
from gateway.telemetry import log_error
from gateway.web.asgi import LARGE, TOO_MUCH, Answer, Body, Headers, Patience, Receive, Room, Scope, Send
from gateway.web.behind import Application, Behind
from gateway.web.errors import Told, http_answer, not_recorded, rejected

MOST_UNDER_WAY: Final = 1024  # webhooks at a time
_PATH: Final = "/webhooks/"
_BARE: Final = ("GET", "HEAD", "OPTIONS")  # a body would mean nothing
_PAGES: Final = "/admin/"  # people wait for them, and some ask for much
_HEALTH: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_HEALTH_THREADS: Final = 8  # made as they are needed
LARGE_WEBHOOKS: Final = 32  # held at a time
_LARGE_OTHERS: Final = 8
LOOK_EVERY_SECONDS: Final = 1.0
# Stores, and whoever asks for health, give up after five; what is recorded later is a duplicate when it comes again.
ANSWER_SECONDS: Final = 4.0
_LATE: Final = "the database does not answer in time; send it again"
_JSON: Final = (b"content-type", b"application/json")


class Front:
    """Answers `POST /webhooks/{store_id}` and hands everything else to the application behind it."""

    def __init__(
        self,
        gateway: Gateway,
        application: Application,
        *,
        threads: int,
        patience: Patience | None = None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """Stand before `application`, which gets so many `threads`; they are made as they are needed."""
        self.gateway = gateway
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="web")
        self._behind = Behind(application, self._threads)
        # Whoever watches the process is answered also where every other thread waits for the database.
        self._health = Behind(application, ThreadPoolExecutor(_HEALTH_THREADS, thread_name_prefix="health"))
        self.answer_seconds = answer_seconds
        self._look = Look(gateway.look_around)
        patience = patience or Patience()
        self._webhooks, self._others = Room(LARGE_WEBHOOKS, patience), Room(_LARGE_OTHERS, patience)
        self.most_bytes = gateway.settings.web.max_body_bytes
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        store_id = store_of(scope)
        headers = Headers(scope["headers"])
        if store_id:
            answer = as_answer(await self._receive(store_id, headers, receive))
        else:
            answer = await self._pass_on(scope, headers, receive)
        await answer.send(send)

    def may_be_direct(self, store_id: str) -> bool:
        """Whether a webhook can be taken in without waiting for anything but its commit; for any thread."""
        gateway = self.gateway
        is_easy = gateway.settings.store(store_id) is not None and not gateway.telling.is_tracing
        return is_easy and self._look.is_fresh and gateway.database.waiting_writes < MOST_UNDER_WAY

    def not_in_time(self, store_id: str) -> NotRecorded:
        """Tell of a webhook that the database takes too long to record, and return what its sender is told."""
        late = NotRecorded(_LATE)
        self.gateway.telling.refused(store_id, late)
        return late

    async def _receive(self, store_id: str, headers: Headers, receive: Receive) -> Told:
        self._under_way += 1
        try:
            with Body(self._webhooks) as body:
                return accepted(await self._receipt(store_id, headers, receive, body))
        except Exception as error:  # noqa: BLE001 - told apart in one place
            return refused(error)
        finally:
            self._under_way -= 1

    async def _receipt(self, store_id: str, headers: Headers, receive: Receive, body: Body) -> Receipt:
        is_known = self.gateway.settings.store(store_id) is not None
        try:
            sent = await self._sent(headers, receive, body) if is_known else b""
        except (BodyTooLarge, NotRecorded) as error:
            self.gateway.telling.refused(store_id, error)
            raise
        except RequestTimeout:
            self.gateway.telling.timed_out(store_id)
            raise
        try:
            async with asyncio.timeout(self.answer_seconds):
                return await self._taken_in(store_id, headers, sent)
        except TimeoutError:
            raise self.not_in_time(store_id) from None

    async def _taken_in(self, store_id: str, headers: Headers, sent: bytes) -> Receipt:
        if len(sent) > LARGE:  # to read it takes so long that others would wait for it
            call = self.gateway.receive_webhook
            return await asyncio.get_running_loop().run_in_executor(self._threads, call, store_id, headers, sent)
        return await self.gateway.await_webhook(store_id, headers, sent, look=self._look)

    async def _sent(self, headers: Headers, receive: Receive, body: Body) -> bytes:
        if self._under_way > MOST_UNDER_WAY:
            raise Overloaded(TOO_MUCH)
        return await body.read(headers, receive, most_bytes=self.most_bytes)

    async def _pass_on(self, scope: Scope, headers: Headers, receive: Receive) -> Answer:
        with Body(self._others) as body:
            try:
                is_bare = scope["method"] in _BARE
                sent = b"" if is_bare else await body.read(headers, receive, most_bytes=self.most_bytes)
            except (BodyTooLarge, NotRecorded, HTTPException) as error:
                return as_answer(refused(error))
            return await self._answered_behind(scope, headers, sent)

    async def _answered_behind(self, scope: Scope, headers: Headers, sent: bytes) -> Answer:
        path: str = scope["path"]
        if path in _HEALTH:
            return await self._health.answer(scope, headers, sent)
        try:
            async with asyncio.timeout(None if path.startswith(_PAGES) else self.answer_seconds):
                return await self._behind.answer(scope, headers, sent)
        except TimeoutError:
            late = not_recorded(NotRecorded(_LATE))
            self.gateway.telling.request_refused("", "front", late[0]["status"])
            return as_answer(late)


class Look:
    """Has something looked at now and then, in a thread of its own, before a coroutine goes on."""

    def __init__(self, look: Callable[[], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Look by `look`, which may wait for long."""
        self._call = look
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="look")
        self._looking: asyncio.Future[None] | None = None
        self._looked_at = float("-inf")

    async def __call__(self) -> None:
        """Go on at once, or where the last look was too long ago, after the next; raises what that raised."""
        age = self._clock() - self._looked_at
        if age < LOOK_EVERY_SECONDS:
            return
        looking = self._looking
        if looking is None:
            looking = self._looking = asyncio.get_running_loop().run_in_executor(self._thread, self._call)
            looking.add_done_callback(self._end)
        if age > LOOK_SECONDS:
            await asyncio.wait((looking,))
            looking.result()

    @property
    def is_fresh(self) -> bool:
        """Whether nobody has to wait, or to begin another look."""
        return self._clock() - self._looked_at < LOOK_EVERY_SECONDS

    def _end(self, looked: "asyncio.Future[None]") -> None:
        self._looking = None
        if not looked.cancelled() and looked.exception() is None:
            self._looked_at = self._clock()


def accepted(receipt: Receipt) -> Told:
    """Return what a store is told of a webhook that was taken; never depends on consent, policy or destinations."""
    return {"status": receipt.status, "reason": receipt.reason}, HTTPStatus.OK, {}


def refused(error: Exception) -> Told:
    """Return what a sender is told of what was not taken."""
    if isinstance(error, WebhookRejected):
        return rejected(error)
    if isinstance(error, HTTPException):  # the sender went away in the middle of the body, or fell silent
        return http_answer(error), error.code or HTTPStatus.BAD_REQUEST, {}
    if isinstance(error, NotRecorded):
        return not_recorded(error)
    log_error("webhook", error)  # nothing was recorded, and the store is told to send it again
    return not_recorded(NotRecorded())


def store_of(scope: Scope) -> str:
    """Return whose webhook this is, or an empty text."""
    path: str = scope["path"]
    if scope["method"] != "POST" or not path.startswith(_PATH):
        return ""
    store_id = path[len(_PATH) :]
    return "" if "/" in store_id else store_id


def as_answer(told: Told) -> Answer:
    """Return it as the server takes it."""
    answer, code, more = told
    body = orjson.dumps(answer)
    pairs = [(name.lower().encode(), value.encode()) for name, value in more.items()]
    return Answer(code, [_JSON, (b"content-length", b"%d" % len(body)), *pairs], body)
