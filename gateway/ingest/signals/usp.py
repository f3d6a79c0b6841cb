"""The IAB's US Privacy string (https://github.com/InteractiveAdvertisingBureau/USPrivacy), version 1."""

import re
from typing import Final

from gateway.model.consent import Basis, Choice, Choices, Evidence, SignalState

_USP: Final = re.compile(r"1[YN-]([YN-])[YN-]", re.IGNORECASE)


def read_usp(text: str) -> Evidence:
    """Read whether the sale of data was refused; to California, advertising across sites is such a sale."""
    found = _USP.fullmatch(text)
    if found is None:
        return Evidence(state=SignalState.PENDING, entry="usp", note="not of its known form", unreadable=True)
    if found[1].upper() != "Y":
        return Evidence(state=SignalState.PENDING, basis=Basis.OPT_OUT_DEFAULT, entry="usp")
    return Evidence(choices=Choices(marketing=Choice.DENIED, sale_of_data=Choice.DENIED), entry="usp")
