"""The error families; each docstring is the default message, and no message holds a person's data."""

from http import HTTPStatus
from typing import ClassVar


class GatewayError(Exception):
    """Something went wrong in the gateway."""

    def __init__(self, message: str | None = None) -> None:
        """Say `message`, or the docstring of the class."""
        super().__init__(message or (self.__doc__ or "").strip())


class WebhookRejected(GatewayError):
    """The webhook is refused for good; sending it again changes nothing."""

    status: ClassVar[str] = "malformed"
    code: ClassVar[int] = HTTPStatus.BAD_REQUEST


class SignatureInvalid(WebhookRejected):
    """The signature is missing or does not fit any of the store's secrets."""

    status = "signature"
    code = HTTPStatus.UNAUTHORIZED


class BodyMalformed(WebhookRejected):
    """The body is signed, but is not a JSON object of a known shape."""


class StoreUnknown(WebhookRejected):
    """There is no such store."""

    status = "store"
    code = HTTPStatus.NOT_FOUND


class BodyTooLarge(WebhookRejected):
    """The body is larger than is taken here."""

    status = "too_large"
    code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class NotRecorded(GatewayError):
    """The database did not take it; nothing was kept, send it again."""

    reason: ClassVar[str] = "database"


class Overloaded(NotRecorded):
    """Too much waits to be delivered; send it again later."""

    reason = "overload"


class RequestInvalid(GatewayError):
    """A request's fields are wrong; `errors` maps each field to what is wrong with it."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        """Keep every mistake, so that the caller can mend them at once."""
        super().__init__("; ".join(f"{field}: {' '.join(texts)}" for field, texts in sorted(errors.items())))
        self.errors = errors


class SettingsInvalid(GatewayError):
    """The settings hold mistakes; `errors` maps the path of each key to what is wrong with it."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        """Keep every mistake, so that all are shown at once."""
        super().__init__("\n".join(f"{path}: {' '.join(texts)}" for path, texts in sorted(errors.items())))
        self.errors = errors


class StartRefused(GatewayError):
    """The gateway cannot start as things are; the message says what to do."""


class DeliveryFailed(GatewayError):
    """One attempt failed; `permanent` decides between another attempt and the end, `word` names the cause."""

    def __init__(self, word: str, *, permanent: bool = False) -> None:
        """Keep the cause as one word that an operator can read."""
        super().__init__(word)
        self.word = word
        self.permanent = permanent
