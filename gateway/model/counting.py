"""Numbers with their nouns."""


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 order`, `1,204 orders`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
