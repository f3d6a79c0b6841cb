"""What came in beside what left: one body, line by line, with the removed parts marked and personal values masked."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import orjson

from gateway.model.decision import Strip
from gateway.redact.apply import Rules, Shape, redact
from gateway.redact.cut import OWN_ENTRY
from gateway.redact.ledger import SHORTEST_WORD, WORDS, known_key

MASK = "••••••"
_MISSING = object()
_EVERYTHING = Strip(marketing=True, analytics=True, either=True, stale=True, secrets=True)


class Fate(StrEnum):
    """What became of one line."""

    KEPT = "kept"
    REMOVED = "removed"
    CHANGED = "changed"  # part of the value went: of a URL, or of a text
    ADDED = "added"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a body; `note` says which part of a changed value went."""

    depth: int
    key: str
    text: str = field(repr=False)
    fate: Fate = Fate.KEPT
    is_masked: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What is stored of a decision: the removed paths, and the `consent` object that went along."""

    removed: Sequence[str] = ()
    consent: Mapping[str, Any] | None = None
    is_as_it_came: bool = False  # mode off: the store's own bytes
    is_sent: bool = True


@dataclass(frozen=True, slots=True)
class _View:
    removed: frozenset[str]
    removable: frozenset[str]  # with everything denied
    values: frozenset[str]  # the words of all that could be denied
    delivered: Delivered
    is_revealed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """One value on its way to lines; `harmless` is what is left of it when everything is denied."""

    key: str = field(default="", repr=False)
    value: Any = field(repr=False)
    harmless: Any = field(repr=False)
    path: str
    depth: int
    is_gone: bool
    is_name_personal: bool = False

    @property
    def fate(self) -> Fate:
        return Fate.REMOVED if self.is_gone else Fate.KEPT


def compare(
    payload: Mapping[str, Any], shape: Shape, rules: Rules, delivered: Delivered, *, is_revealed: bool
) -> list[Line]:
    """Return the body that came in, each line with its fate; personal values are masked unless revealed.

    A value is personal unless the redaction that denies everything would let it pass.
    """
    denied = redact(payload, shape=shape, strip=_EVERYTHING, rules=rules)
    values = _words(" ".join(one.value for one in denied.denied))
    view = _View(frozenset(delivered.removed), frozenset(denied.removed), values, delivered, is_revealed)
    root = _Node(value=payload, harmless=denied.payload, path="", depth=-1, is_gone=False)
    lines = [line for child in _fields(view, root) for line in _lines(view, child)]
    if delivered.consent is not None and delivered.is_sent:
        lines += _added(delivered.consent)
    return lines


def _lines(view: _View, node: _Node) -> Iterator[Line]:
    if isinstance(node.value, Mapping) and node.value:
        yield from _branch(view, node, _fields(view, node), "{}")
    elif isinstance(node.value, list) and node.value:
        yield from _branch(view, node, _entries(view, node), "[]")
    else:
        yield _leaf(view, node)


def _branch(view: _View, node: _Node, children: Iterator[_Node], brackets: str) -> Iterator[Line]:
    yield Line(depth=node.depth, key=_key(view, node), text=brackets[0], fate=node.fate)
    for child in children:
        yield from _lines(view, child)
    yield Line(depth=node.depth, key="", text=brackets[1], fate=node.fate)


def _fields(view: _View, node: _Node) -> Iterator[_Node]:
    for key, value in node.value.items():
        harmless = node.harmless.get(key, _MISSING) if isinstance(node.harmless, Mapping) else _MISSING
        is_personal = _is_name_personal(view, node.path, key, harmless)
        # Where a path was masked as a whole, nothing but a star is left of it.
        names = (*_paths(node.path, "*"), "[*]") if is_personal else _paths(node.path, key)
        here = next((name for name in names if name in view.removed), None)
        yield _Node(
            key=key,
            value=value,
            harmless=harmless,
            path=here or names[0],
            depth=node.depth + 1,
            is_gone=node.is_gone or here is not None or _is_replaced(view, key, node.path),
            is_name_personal=is_personal,
        )


def _paths(parent: str, name: str) -> tuple[str, str]:
    """The two ways in which a field of an object is named."""
    return (f"{parent}.{name}" if parent else name, f"{parent}[{name}]")


def _is_name_personal(view: _View, parent: str, name: str, harmless: Any) -> bool:
    """Whether a name could be somebody's: then it is stored as a star, and masked here."""
    if known_key(name).is_personal:
        return True
    if harmless is not _MISSING or not view.removable.isdisjoint(_paths(parent, name)):
        return False
    return not view.removable.isdisjoint((*_paths(parent, "*"), "[*]")) or not view.values.isdisjoint(_words(name))


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in WORDS.split(text.casefold()) if len(word) >= SHORTEST_WORD and not word.isdigit())


def _entries(view: _View, node: _Node) -> Iterator[_Node]:
    for at, item in enumerate(node.value):
        name = _name(item)
        harmless = _counterpart(item, name, node.harmless, at, len(node.value))
        gone = f"{node.path}[]" in view.removed
        if name is not None:
            is_personal = _is_name_personal(view, node.path, name, harmless)
            shown = "*" if is_personal else name
            gone = gone or f"{node.path}[{shown}]" in view.removed or _is_own(view, name)
            harmless = _labelled(item, harmless, is_personal=is_personal)
        yield _Node(
            value=item,
            harmless=harmless,
            path=f"{node.path}[]",
            depth=node.depth + 1,
            is_gone=node.is_gone or gone,
        )


def _labelled(item: Mapping[str, Any], harmless: Any, *, is_personal: bool) -> Any:
    """What is left of an entry of metadata; of one that went, its name and number may still be read."""
    if harmless is not _MISSING:
        return harmless
    labels = ("id",) if is_personal else ("id", "key", "name")
    return {name: item[name] for name in labels if isinstance(item.get(name), int if name == "id" else str)}


def _name(item: Any) -> str | None:
    """The name of an entry of metadata; other objects have none."""
    if not isinstance(item, Mapping) or "value" not in item:
        return None
    name = item.get("key", item.get("name"))
    return name if isinstance(name, str) else None


def _counterpart(item: Any, name: str | None, harmless: Any, at: int, length: int) -> Any:
    """Find what is left of an entry when everything is denied."""
    if not isinstance(harmless, Sequence) or isinstance(harmless, str):
        return _MISSING
    if name is not None:
        return next((one for one in harmless if _name(one) == name), _MISSING)
    if isinstance(item, Mapping):
        return harmless[at] if len(harmless) == length else _MISSING
    return item if item in harmless else _MISSING


def _leaf(view: _View, node: _Node) -> Line:
    marks = tuple(f"{node.path}{mark}" for mark in "?/#")
    parts = sorted(name.removeprefix(node.path) for name in view.removed if name.startswith(marks))
    is_personal = node.value not in (None, "", True, False) and node.harmless != node.value
    is_masked = is_personal and not view.is_revealed
    return Line(
        depth=node.depth,
        key=_key(view, node),
        text=f'"{MASK}"' if is_masked else _written(node.value),
        fate=Fate.CHANGED if parts and not node.is_gone else node.fate,
        is_masked=is_masked,
        note=", ".join(parts),
    )


def _key(view: _View, node: _Node) -> str:
    return MASK if node.is_name_personal and not view.is_revealed else node.key


def _is_own(view: _View, name: str) -> bool:
    return name == OWN_ENTRY and not view.delivered.is_as_it_came


def _is_replaced(view: _View, key: str, path: str) -> bool:
    return key == "consent" and not path and not view.delivered.is_as_it_came


def _added(consent: Mapping[str, Any], key: str = "consent", depth: int = 0) -> Iterator[Line]:
    yield Line(depth=depth, key=key, text="{", fate=Fate.ADDED)
    for name, value in consent.items():
        if isinstance(value, Mapping) and value:
            yield from _added(value, name, depth + 1)
        else:
            yield Line(depth=depth + 1, key=name, text=_written(value), fate=Fate.ADDED)
    yield Line(depth=depth, key="", text="}", fate=Fate.ADDED)


def _written(value: Any) -> str:
    """A value as JSON; numbers keep the text that the store gave them."""
    return str(value) if isinstance(value, float) else orjson.dumps(value).decode()
