"""GPP strings of the IAB's Global Privacy Platform: the opt-outs of its sections for US states.

https://github.com/InteractiveAdvertisingBureau/Global-Privacy-Platform
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from gateway.ingest.answers import Unreadable, noted
from gateway.ingest.bits import Bits
from gateway.ingest.gpc import with_gpc
from gateway.model.consent import Basis, Category, Choice, Evidence, SignalState

_MOST_CHARS: Final = 4096
_MOST_SECTIONS: Final = 64
_OPTED_OUT: Final = 1
_USP: Final = 6  # a US Privacy string as it is: `1YYN`
_GPC_SUBSECTION: Final = 1

Refused = tuple[Category, ...]
_SALE: Final = (Category.SALE_OF_DATA,)
_SHARING: Final = (Category.SALE_OF_DATA, Category.MARKETING)  # to share is to advertise across sites, and to sell
_TARGETED: Final = (Category.MARKETING,)

_AT_12: Final = {12: _SALE, 14: _TARGETED}
_AT_14: Final = {14: _SALE, 16: _TARGETED}
_AT_16: Final = {16: _SALE, 18: _TARGETED}

# Section -> where its core holds two-bit opt-outs, and what they refuse.
_OPT_OUTS: Final[Mapping[int, Mapping[int, Refused]]] = {
    7: {18: _SALE, 20: _SHARING, 22: _TARGETED},
    8: {12: _SALE, 14: _SHARING},
    **dict.fromkeys((9, 10, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 23), _AT_12),
    **dict.fromkeys((11, 18), _AT_14),
    **dict.fromkeys((24, 25, 26, 27), _AT_16),
}
# Utah, Virginia and Florida have no second segment; that of Indiana, Kentucky and Rhode Island is not about GPC.
_WITHOUT_GPC: Final = frozenset((9, 11, 13, 25, 26, 27))


def read_gpp(text: str) -> Evidence:
    """Read the opt-outs; a GPP string refuses, it never grants. Sections of other kinds are noted and say nothing."""
    evidence = Evidence(state=SignalState.PENDING, basis=Basis.OPT_OUT_DEFAULT, cmp="gpp", entry="gpp")
    try:
        sections = _sections(text)
    except Unreadable as why:
        return replace(evidence, note=str(why), unreadable=True)
    for section_id, section in sections:
        evidence = _with_section(evidence, section_id, section)
    return evidence


def _with_section(evidence: Evidence, section_id: int, section: str) -> Evidence:
    if section_id == _USP:
        return _refused(evidence, _SHARING) if section[2:3] in ("Y", "y") else evidence
    if section_id not in _OPT_OUTS:
        return noted(evidence, f"section {section_id}: not read")
    core, *others = section.split(".")
    try:  # what was refused before a section breaks off stays refused
        for position, categories in _OPT_OUTS[section_id].items():
            bits = Bits(core)
            bits.skip_to(position)
            evidence = _refused(evidence, categories) if bits.read(2) == _OPTED_OUT else evidence
        has_gpc = section_id not in _WITHOUT_GPC and any(map(_is_gpc, others))
    except Unreadable as why:
        return noted(evidence, f"section {section_id}: {why}")
    return replace(with_gpc(evidence), state=SignalState.ANSWERED) if has_gpc else evidence


def _refused(evidence: Evidence, categories: Refused) -> Evidence:
    choices = evidence.choices
    for category in categories:
        choices = choices.with_choice(category, Choice.DENIED)
    return replace(evidence, choices=choices, state=SignalState.ANSWERED)


def _is_gpc(segment: str) -> bool:
    bits = Bits(segment)
    return bits.read(2) == _GPC_SUBSECTION and bits.read(1) == 1


def _sections(text: str) -> list[tuple[int, str]]:
    if len(text) > _MOST_CHARS:
        raise Unreadable("too long")
    header, *sections = text.split("~")
    bits = Bits(header)
    if (bits.read(6), bits.read(6)) != (3, 1):
        raise Unreadable("no GPP header of version 1")
    ids = _section_ids(bits)
    if len(ids) != len(sections):
        raise Unreadable("not as many sections as its header names")
    return list(zip(ids, sections, strict=True))


def _section_ids(bits: Bits) -> list[int]:
    ids, last = list[int](), 0
    for _ in range(bits.read(12)):
        is_group = bits.read(1)
        first = last + bits.read_fibonacci()
        last = first + bits.read_fibonacci() if is_group else first
        ids.extend(range(first, min(last, first + _MOST_SECTIONS) + 1))
        if len(ids) > _MOST_SECTIONS:
            raise Unreadable("too many sections")
    return ids
