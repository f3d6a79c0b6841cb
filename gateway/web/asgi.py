"""What the server hands over and takes back (https://asgi.readthedocs.io/): requests read within bounds, answers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from werkzeug.exceptions import ClientDisconnected, RequestTimeout

from gateway.errors import BodyTooLarge, Overloaded

Scope = dict[str, Any]
Pairs = Sequence[tuple[bytes, bytes]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

TOO_MUCH: Final = "Too much comes in at once; send it again later."
LARGE: Final = 262_144  # bytes; of larger bodies only so many are held at a time
SILENCE_SECONDS: Final = 30.0  # after which a sender in the middle of its body is given up
_GIVEN_UP: Final = float("inf")


class Answer(NamedTuple):
    """What goes back."""

    code: int
    headers: Pairs
    body: bytes

    async def send(self, send: Send) -> None:
        """Hand it to the server."""
        for message in self._messages:
            await send(message)

    def send_now(self, send: Callable[[dict[str, Any]], object]) -> None:
        """Hand it to a server that takes it at once, without waiting for it to have gone."""
        for message in self._messages:
            send(message)

    @property
    def _messages(self) -> Iterator[dict[str, Any]]:
        yield {"type": "http.response.start", "status": self.code, "headers": self.headers}
        yield {"type": "http.response.body", "body": self.body}


class Headers(Mapping[str, str]):
    """The headers of a request, read where they lie: of dozens two or three are asked for."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Pairs) -> None:
        """Take them as the server gives them, in lower case; what comes twice is joined."""
        self._values = dict(pairs)
        if len(self._values) != len(pairs):
            self._values = _joined(pairs)

    def __getitem__(self, name: str) -> str:
        return _text(self._values[_key(name)])

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def pairs(self) -> Iterator[tuple[str, str]]:
        """All of them."""
        return ((name.decode("latin-1"), _text(value)) for name, value in self._values.items())

    @property
    def length(self) -> int | None:
        """How many bytes are announced; None where they come in chunks, or until the end."""
        length = self._values.get(b"content-length", b"")
        return int(length) if length.isdigit() and b"transfer-encoding" not in self._values else None


class Patience:
    """Gives up senders that fall silent; one timer for all of them, as one for each would cost more than reading."""

    def __init__(self, seconds: float = SILENCE_SECONDS) -> None:
        """Give them up after `seconds`, or twice as many at most."""
        self._seconds = seconds
        self._since: dict[asyncio.Task[Any], float] = {}
        self._is_watching = False

    async def wait(self, receive: Receive) -> dict[str, Any]:
        """Return what comes; raises RequestTimeout when nothing does."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is None:
            return await receive()
        self._since[task] = loop.time()
        if not self._is_watching:
            self._watch(loop)
        try:
            return await receive()
        except asyncio.CancelledError:
            if self._since[task] != _GIVEN_UP:
                raise
            task.uncancel()
            raise RequestTimeout from None
        finally:
            del self._since[task]

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        for task, since in self._since.items():
            if loop.time() - since >= self._seconds:
                self._since[task] = _GIVEN_UP
                task.cancel()
        self._is_watching = bool(self._since)
        if self._is_watching:
            loop.call_later(self._seconds, self._watch, loop)


class Room:
    """How many large bodies may be held at a time: thousands of senders together must not fill the memory."""

    def __init__(self, places: int, patience: Patience) -> None:
        """Begin empty."""
        self.places = places
        self.patience = patience


class Body:
    """One body, which has its place in a room for as long as this is entered."""

    __slots__ = ("_has_place", "_room")

    def __init__(self, room: Room) -> None:
        """Take no place yet; small ones never do."""
        self._room = room
        self._has_place = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._room.places += self._has_place

    async def read(self, headers: Headers, receive: Receive, *, most_bytes: int) -> bytes:
        """Return what is sent; raises BodyTooLarge, of which no more is read, and Overloaded where there is no room.

        Raises what werkzeug has for a sender that goes away, or says nothing for long.
        """
        length = headers.length
        self._bound(length or 0, most_bytes)
        chunk, has_more = await self._next(receive)
        chunks, size = [chunk], len(chunk)
        while has_more and size != length:
            self._bound(size, most_bytes)
            chunk, has_more = await self._next(receive)
            chunks.append(chunk)
            size += len(chunk)
        self._bound(size, most_bytes)
        return b"".join(chunks)

    async def _next(self, receive: Receive) -> tuple[bytes, bool]:
        message = await self._room.patience.wait(receive)
        if message["type"] != "http.request":
            raise ClientDisconnected
        return message.get("body", b""), message.get("more_body", False)

    def _bound(self, size: int, most_bytes: int) -> None:
        if size > most_bytes:
            raise BodyTooLarge
        if size > LARGE and not self._has_place:
            if not self._room.places:
                raise Overloaded(TOO_MUCH)
            self._room.places -= 1
            self._has_place = True


def _joined(pairs: Pairs) -> dict[bytes, bytes]:
    values: dict[bytes, bytes] = {}
    for name, value in pairs:
        between = b"; " if name == b"cookie" else b","
        values[name] = values[name] + between + value if name in values else value
    return values


@lru_cache(maxsize=256)
def _key(name: str) -> bytes:
    return name.lower().encode()


def _text(value: bytes) -> str:
    return value.decode() if value.isascii() else ""
