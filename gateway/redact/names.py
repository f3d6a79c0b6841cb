"""A person's whole name in the ways in which people and codes write it."""

from collections.abc import Iterator
from unicodedata import category, normalize

from gateway.redact.spellings import FIRST_MARK, needle_of

NAME_JOINTS = (" ", "-", "_", ".", "")
UMLAUTS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ø": "o", "ł": "l"}
)


def full_names(first: str, last: str) -> list[tuple[str, list[str]]]:
    """Return a person's name as people and codes write it: `Jan Novák`, `NOVAK-JAN`, `jannovak`.

    They come by what the needles of all of them have in them, "" where that is not certain.
    """
    spelled = dict.fromkeys((*_plain_spellings(first, last), (first, last)))
    is_simple = _is_simple(first) and _is_simple(last)
    names: list[tuple[str, list[str]]] = []
    for one, other in spelled:
        written = [one + between + other for between in NAME_JOINTS]
        written += [other + between + one for between in NAME_JOINTS]
        names.append((needle_of(other) if is_simple else "", written))
    names[-1][1].append(f"{last}, {first}")
    return names


def _is_simple(name: str) -> bool:
    """Whether a name is folded in a longer text as it is alone: none of its letters joins the one before it."""
    return "%" not in name and max(name, default="") < FIRST_MARK


def _plain_spellings(first: str, last: str) -> Iterator[tuple[str, str]]:
    """The name without accents, in the ways in which shops make codes and addresses of it."""
    if first.isascii() and last.isascii():
        return
    written = first.translate(UMLAUTS), last.translate(UMLAUTS)
    if written != (first, last):
        yield _without_accents(written[0]), _without_accents(written[1])
    yield _without_accents(first), _without_accents(last)


def _without_accents(name: str) -> str:
    if name.isascii():
        return name
    return "".join([char for char in normalize("NFKD", name) if char < FIRST_MARK or category(char) != "Mn"])
