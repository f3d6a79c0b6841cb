"""The words for attempts that brought no answer."""

from enum import StrEnum


class Failure(StrEnum):
    """Why no answer came. All but an unusable request may end another time, so they are tried again.

    `private_address` is tried again as well: names change their addresses, and a setting that is mended later
    must not have lost what was waiting.
    """

    URL_INVALID = "invalid_url"
    HEADER_INVALID = "invalid_header"
    DNS_FAILED = "dns_failed"
    DNS_TIMEOUT = "dns_timeout"
    PRIVATE_ADDRESS = "private_address"  # loopback, private, link-local or otherwise not public
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECTION_REFUSED = "connection_refused"
    UNREACHABLE = "unreachable"  # no route to the host or its network
    TLS_FAILED = "tls_failed"  # the certificate did not fit, or there was no handshake at all
    WRITE_TIMEOUT = "write_timeout"
    READ_TIMEOUT = "read_timeout"  # nothing of an answer came in time
    TOO_SLOW = "too_slow"  # an answer began, but did not end in time
    CONNECTION_RESET = "connection_reset"  # closed before an answer began
    CUT_OFF = "cut_off"  # closed before the answer's end
    BAD_RESPONSE = "bad_response"  # what came is not HTTP/1.1
    CLOSED = "closed"  # the gateway itself is stopping


PERMANENT_FAILURES = frozenset({Failure.URL_INVALID, Failure.HEADER_INVALID})
