"""What to do about a database that takes nothing, and about a store or a destination that does not answer."""

from typing import Final

from gateway.errors import GatewayError, NotRecorded

_ADVICE: Final = {
    "the database is locked": "another program keeps it; end that one, or try again",
    "the disk is full": "make room and try again",
    "the database is read-only": "let this user write to the file and to its folder",
    "the disk failed": "look at the disk; a copy from the last back-up may be needed",
    "the database file is damaged": "restore it from a back-up",
    "the database file cannot be opened": "run `gateway migrate` when there is none yet, or look at database.url",
    "the database file is not a database": "look at database.url",
    "the database file has vanished": "look at database.url, or run `gateway migrate` to begin anew",
    "the database cannot be reached": "look at database.url, and whether the server runs",
    "the database has run out of room": "make room on the server and try again",
}
_REFUSED: Final = "the store refuses the credentials of [stores.api]"
_STORE_ADVICE: Final = {
    "http_401": _REFUSED,
    "http_403": _REFUSED,
    "http_404": "there is no such API; look at the address in [stores.api]",
    "unreadable": "it answered with something other than JSON; look at the address in [stores.api]",
    "https_needed": "credentials go by https alone; look at the address in [stores.api]",
    "private_address": "its address is private, and worker.allow_private_destinations is false",
    "not_recorded": "the gateway's own database did not take what was found; ask again",
}
_DESTINATION_ADVICE: Final = {
    "dns_failed": "its host is not known; look at the spelling",
    "private_address": "its address is private, and worker.allow_private_destinations is false",
    "connection_refused": "nothing listens there; look at the port, and whether it runs",
    "connect_timeout": "nothing answers there; look at the address, and at firewalls",
    "unreachable": "there is no way there; look at the address, and at firewalls",
    "tls_failed": "its certificate does not fit, or it speaks no https",
}


def told(error: GatewayError) -> str:
    """Return an error as one line that says what to do."""
    text = str(error)
    advice = _ADVICE.get(text) if isinstance(error, NotRecorded) else None
    return f"{text}; {advice}" if advice else text


def about_destination(word: str) -> str:
    """Return what to do about a destination that cannot be reached, after a semicolon; nothing for a rare word."""
    advice = _DESTINATION_ADVICE.get(word)
    return f"; {advice}" if advice else ""


def about_store(word: str) -> str:
    """Return what to do about a store whose API failed with a word."""
    return _STORE_ADVICE.get(word, "ask again")
