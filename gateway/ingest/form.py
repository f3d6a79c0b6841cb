"""A posted object read field by field: every mistake is kept, so that the sender can mend them at once."""

from collections.abc import Mapping
from typing import Final

from gateway.errors import RequestInvalid
from gateway.ingest.answers import SESSION_ID
from gateway.ingest.fields import MOST_SECRET_CHARS, id_of

_INTEGERS_TO: Final = 2**53


class Form:
    """Reads fields by type; null and an empty text count as absent, fields that nobody asks for are ignored."""

    def __init__(self, body: Mapping[str, object]) -> None:
        """Read the fields of `body`."""
        self._body = body
        self._errors: dict[str, list[str]] = {}

    def wrong(self, name: str, why: str) -> None:
        """Keep a mistake."""
        texts = self._errors.setdefault(name, [])
        if why not in texts:
            texts.append(why)

    def finish(self) -> None:
        """Raise `RequestInvalid` if there were mistakes."""
        if self._errors:
            raise RequestInvalid(self._errors)

    def has(self, name: str) -> bool:
        """Whether the field is there, and neither null nor an empty text."""
        return self._body.get(name) not in (None, "")

    def text(self, name: str) -> str:
        """Read a text; an empty one when absent."""
        value = self._body.get(name)
        if value is not None and not isinstance(value, str):
            self.wrong(name, "Must be a text.")
        return value if isinstance(value, str) else ""

    def flag(self, name: str) -> bool:
        """Read a boolean; false when absent."""
        value = self._body.get(name)
        if value is not None and not isinstance(value, bool):
            self.wrong(name, "Must be true or false.")
        return value is True

    def object(self, name: str) -> Mapping[str, object]:
        """Read an object; an empty one when absent."""
        value = self._body.get(name)
        if value is not None and not isinstance(value, dict):
            self.wrong(name, "Must be an object.")
        return value if isinstance(value, dict) else {}

    def integer(self, name: str) -> int | None:
        """Read a whole number that every JSON reader can keep."""
        value = self._body.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _INTEGERS_TO:
            self.wrong(name, "Must be a whole number from 0 to 2^53 - 1.")
            return None
        return value

    def id(self, name: str) -> str | None:
        """Read an id."""
        found = id_of(self._body.get(name))
        if found is None and self.has(name):
            self.wrong(name, "Must be an id.")
        return found

    def session_id(self) -> str | None:
        """Read the id of a session."""
        text = self.text("session_id")
        if self.has("session_id") and not SESSION_ID.fullmatch(text):
            self.wrong("session_id", "Must be 22 to 64 of A-Z, a-z, 0-9, _ and -.")
        return text or None

    def secret(self, name: str) -> str | None:
        """Read a key or a token."""
        text = self.text(name)
        if len(text) > MOST_SECRET_CHARS:
            self.wrong(name, f"Must have at most {MOST_SECRET_CHARS} characters.")
        return text or None

    def word(self, name: str, *words: str) -> str:
        """Read one of a few words; an empty text when absent."""
        text = self.text(name)
        if text and text not in words:
            self.wrong(name, f"Must be one of: {', '.join(words)}.")
        return text if text in words else ""
