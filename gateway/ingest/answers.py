"""The words in which people write consent down, and how several statements become one."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import reduce
from typing import Final

import orjson

from gateway.ingest.body import says_twice
from gateway.model.consent import Basis, Category, Choice, Choices, Evidence, SignalState, strictest

MAX_ENTRY_CHARS: Final = 4096
SESSION_ID: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")

# `statistics-anonymous` is no analytics: it stands for counting without identifiers.
CATEGORY_NAMES: Final[Mapping[str, Category]] = {**{c.value: c for c in Category}, "statistics": Category.ANALYTICS}

_WORDS: Final = {
    **dict.fromkeys(("granted", "allow", "yes"), Choice.GRANTED),
    **dict.fromkeys(("denied", "deny", "no"), Choice.DENIED),
    "": Choice.UNKNOWN,
}
_BASES: Final = {
    "explicit": Basis.EXPLICIT,
    "implied": Basis.IMPLIED,
    "opt_out_default": Basis.OPT_OUT_DEFAULT,
    "gpc": Basis.GPC,
    "inherited": Basis.IMPLIED,  # only the gateway says whose consent is inherited
    "none": Basis.NONE,
}


class Unreadable(ValueError):
    """A consent entry has no shape that we know; the message says what is wrong, and holds no value."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a set of category answers says, and what was wrong with it."""

    choices: Choices
    notes: tuple[str, ...]


def entry_object(value: object) -> dict[str, object]:
    """Read a metadata value, JSON in a text or an object, as an object; raises `Unreadable`."""
    if isinstance(value, str):
        if len(value) > MAX_ENTRY_CHARS:
            raise Unreadable(f"longer than {MAX_ENTRY_CHARS} characters")
        try:
            text, value = value, orjson.loads(value)
            is_twofold = says_twice(text)
        except (orjson.JSONDecodeError, RecursionError) as error:
            raise Unreadable("not JSON") from error
        if is_twofold:
            raise Unreadable("a key is there twice")
    if not isinstance(value, dict):
        raise Unreadable("not a JSON object")
    return value


def readable_object(text: str) -> dict[str, object]:
    """Read a cookie's JSON object; what cannot be read says nothing."""
    try:
        return entry_object(text)
    except Unreadable:
        return {}


def choice_of(value: object) -> Choice | None:
    """Read a boolean, granted/denied, allow/deny, yes/no, or no answer; None for anything else."""
    if value is None or isinstance(value, bool):
        return Choice.of_json(value)
    return _WORDS.get(value.strip().lower()) if isinstance(value, str) else None


def answers_of(given: Mapping[str, object], names: Mapping[str, Category] = CATEGORY_NAMES) -> Answers:
    """Read categories by name: what cannot be read is no answer, what contradicts itself is denied."""
    found: dict[str, Choice] = {}
    notes = []
    for name in sorted(given.keys() & names.keys()):
        category, choice = names[name], choice_of(given[name])
        if choice is None:
            notes.append(f"categories.{name}: not an answer")
            choice = Choice.UNKNOWN
        if found.get(category, choice) is not choice:
            notes.append(f"categories.{category}: given twice, differently")
            choice = Choice.DENIED
        found[category] = choice
    for name in sorted(given.keys() - names.keys()):
        meant = names.get(name.strip().lower())
        if meant is not None and choice_of(given[name]) is Choice.DENIED:  # no grant is read from such a name
            notes.append(f"categories.{meant}: denied by a name that is spelled otherwise")
            found[meant] = Choice.DENIED
    return Answers(Choices(**found), tuple(notes))


def basis_of(word: object) -> Basis | None:
    """Read a basis; none given is explicit, an unknown word None."""
    if word is None:
        return Basis.EXPLICIT
    return _BASES.get(word.strip().lower()) if isinstance(word, str) else None


def without_grants(choices: Choices) -> Choices:
    """Keep refusals only: what stood preset in a banner that nobody answered is no choice."""
    return Choices(**{f.name: _refusal(getattr(choices, f.name)) for f in fields(choices)})


def settled(evidence: Evidence) -> Evidence:
    """Take back grants that nobody gave: those of an unanswered banner, or without any basis."""
    resolved = evidence.state is SignalState.ANSWERED or evidence.basis is Basis.OPT_OUT_DEFAULT
    if resolved and evidence.basis is not Basis.NONE:
        return evidence
    return replace(evidence, choices=without_grants(evidence.choices))


def unreadable(entry: str, why: str) -> Evidence:
    """Count an entry that cannot be read as denied, and say what is wrong."""
    choices = Choices(analytics=Choice.DENIED, marketing=Choice.DENIED)
    return Evidence(choices=choices, basis=Basis.IMPLIED, entry=entry, note=why, unreadable=True)


def noted(evidence: Evidence, *notes: str) -> Evidence:
    """Add what was wrong."""
    if not any(notes):
        return evidence
    return replace(evidence, note="; ".join(dict.fromkeys(filter(None, (evidence.note, *notes)))))


def most_restrictive(several: Iterable[Evidence]) -> Evidence:
    """Combine entries that should say the same: of two answers the stricter, no answer before a grant."""
    return reduce(_stricter, several)


def _stricter(one: Evidence, other: Evidence) -> Evidence:
    if one == other:
        return one
    names = [f.name for f in fields(Choices)]
    choices = Choices(**{n: strictest(getattr(one.choices, n), getattr(other.choices, n)) for n in names})
    notes = () if one.choices == other.choices else ("several entries disagree",)
    combined = replace(
        one,
        choices=choices,
        state=SignalState.PENDING if SignalState.PENDING in (one.state, other.state) else SignalState.ANSWERED,
        basis=one.basis if one.basis is other.basis else Basis.IMPLIED,
        captured_at=_earlier(one.captured_at, other.captured_at),
        gpc=one.gpc or other.gpc,
        session_id=one.session_id if one.session_id == other.session_id else None,
        unreadable=one.unreadable or other.unreadable,
    )
    return noted(combined, other.note, *notes)


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min(filter(None, (one, other)), default=None)


def _refusal(choice: Choice) -> Choice:
    return choice if choice is Choice.DENIED else Choice.UNKNOWN
