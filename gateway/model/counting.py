"""Nouns that agree with their numbers."""


def noun(number: int, one: str, many: str | None = None) -> str:
    """`order` after 1, `orders` after any other number."""
    return one if number == 1 else many or one + "s"


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 order`, `1204 orders`: programs read what commands print."""
    return f"{number} {noun(number, one, many)}"
