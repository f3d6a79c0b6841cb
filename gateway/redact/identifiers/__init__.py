"""Identifier rules: what names and values give away. A new rule is one file here and one line in `VALUE_RULES`."""

from collections.abc import Callable

from gateway.redact.identifiers import contact, network, opaque, tags
from gateway.redact.identifiers.keys import KeyVerdict, Use, is_page_opener, is_stamp, judge_key
from gateway.redact.verdict import Finding

__all__ = ["SHAPE_RULES", "VALUE_RULES", "KeyVerdict", "Use", "is_page_opener", "is_stamp", "judge_key"]

# What a value is, whatever its key says; the stricter of the two counts.
VALUE_RULES: tuple[Callable[[str], list[Finding]], ...] = (contact.find, tags.find, network.find)
# What only has the shape of an identifier; counts where the key does not say which.
SHAPE_RULES: tuple[Callable[[str], list[Finding]], ...] = (opaque.find,)
