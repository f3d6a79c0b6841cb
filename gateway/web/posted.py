"""Bodies that are posted to the interfaces, read within a bound."""

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from gateway.errors import BodyTooLarge


def posted_body(most_bytes: int) -> bytes:
    """Return the bytes that were sent; raises BodyTooLarge beyond `most_bytes`, of which no more are read."""
    request.max_content_length = most_bytes + 1  # a body without a length ends here, and so is seen to be longer
    try:
        body = request.get_data(cache=False, parse_form_data=False)
    except RequestEntityTooLarge as error:
        raise BodyTooLarge from error
    if len(body) > most_bytes:
        raise BodyTooLarge
    return body
