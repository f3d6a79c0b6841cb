"""The secret as WooCommerce signs with it."""

import re
from functools import lru_cache
from typing import Final

# https://developer.wordpress.org/reference/functions/wp_specialchars_decode/ with ENT_QUOTES: these entities only,
# in one pass, so that `&amp;lt;` becomes `&lt;`. The secret is not trimmed.
_ENTITY: Final = re.compile("&(?:(?P<name>amp|lt|gt|quot);|#0*(?P<decimal>34|38|39|60|62);|#[xX]0*(?P<hex>22|26|27);)")
_NAMED: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"'}


@lru_cache(maxsize=256)
def decoded(secret: str) -> bytes:
    """Return the key that stands for `secret`."""
    return _ENTITY.sub(_character, secret).encode("utf-8", "surrogateescape")


def _character(entity: re.Match[str]) -> str:
    if name := entity["name"]:
        return _NAMED[name]
    return chr(int(entity["decimal"]) if entity["decimal"] else int(entity["hex"], 16))
