"""Rebuilding a payload from what is allowed, field by field, by the tables of its shape."""

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from gateway.redact.composite import PLAIN, pairs_of
from gateway.redact.identifiers import KeyVerdict, Use, judge_key
from gateway.redact.ledger import Key, Ledger, known_key
from gateway.redact.shapes import IDENTIFIERS, Field, Table
from gateway.redact.texts import GONE, Role, Texts
from gateway.redact.urls import clean_url
from gateway.redact.verdict import Kind, Need

# What a word of the platform never holds; anything else in one is read closely.
SUSPECT = re.compile(
    r"[@%{\\]|\+\d|\bfb\.|\bG[AS]\d\.|\d\.\d+\.\d|\d\.1\d{9}|Mozilla|::|(?:[0-9a-f]{1,4}:){4}|\d{3}[ ).]+\d{3}"
)
MARK = re.compile(r"[@%{\\+.:) M]")  # one of these is in all that is suspect, and it is found many times quicker
PLAIN_CHARS = 5
CARD_DIGITS = re.compile(r"\d{4}|[*•·]{2}")
CONTAINERS = (dict, list)
DISPLAYED = frozenset({"display_key", "display_value"})
KEEP = Field.KEEP
APP, ATTRIBUTION, IDENTIFIER, TEXT, URL, UTM = Kind.APP, Role.ATTRIBUTION, Use.IDENTIFIER, Role.TEXT, Use.URL, Use.UTM
TAKEN_APART = (Use.COMPOSITE, Use.URL)
PAIRS = re.compile(r"[{|=:;&]")
SCALARS = (str, int, float, bool, type(None))

Place = tuple[dict[str, object], str]  # the object that a value is to stand in, and its key there


class Rebuild:
    """One payload on its way through; `ledger` and `texts` keep what is learnt."""

    def __init__(self, ledger: Ledger, texts: Texts, *, keeps_unknown: bool = False) -> None:
        """Start with nothing known; `keeps_unknown` lets stay what no table names and what holds nothing denied."""
        self.ledger = ledger
        self.keeps_unknown = keeps_unknown
        self.texts = texts

    def rebuilt(self, source: Mapping[str, Any], table: Table, path: str) -> dict[str, object]:
        """Return a fresh object with those fields that `table` knows and the strip allows."""
        out: dict[str, object] = {}
        known = table.fields
        for key, item in source.items():
            rule = known.get(key)
            # What the platform writes is plain; only what does not look so is read closely.
            if rule is KEEP and (_is_plain(item) if type(item) is str else type(item) not in CONTAINERS):
                out[key] = item
                continue
            kept = self._field(rule or table.extra, item, path + key, out, key)
            if kept is not GONE:
                out[key] = kept
        if table.is_person and self.ledger.denies_contact():
            self._deny_full_name(source, path)
        return out

    def _field(self, rule: Field | Table | None, item: Any, path: str, out: dict[str, object], key: str) -> object:
        if rule is None:
            return self._unknown_field(item, path, out, key)
        if isinstance(rule, Table):
            return self._branch(item, rule, path)
        if rule in IDENTIFIERS:
            return self._identifier(rule, item, path)
        return self._FIELDS[rule](self, item, path, out, key)

    def _unknown_field(self, item: Any, path: str, out: dict[str, object], key: str) -> object:
        if self.keeps_unknown:
            return self._judge(item, path, out, key)
        shown = _shown_path(path, key)
        self.ledger.went(shown, item)
        self.ledger.collect(shown, {key: item})
        return GONE

    def _branch(self, item: Any, table: Table, path: str) -> object:
        if isinstance(item, dict):
            return self.rebuilt(item, table, path + ".")
        if isinstance(item, list):
            return self._branches(item, table, path)
        return self._misplaced(item, path) if item else item

    def _branches(self, items: list[Any], table: Table, path: str) -> list[object]:
        kept = [self.rebuilt(item, table, path + "[].") for item in items if isinstance(item, dict)]
        for item in items:
            if not isinstance(item, dict):
                self._misplaced(item, path + "[]")
        return list(kept)

    def _misplaced(self, item: Any, path: str) -> object:
        self.ledger.went(path, item)
        self.ledger.collect(path, item)
        return GONE

    def _keep(self, item: Any, path: str, _out: dict[str, object], _key: str) -> object:
        if isinstance(item, list) and all(isinstance(entry, SCALARS) for entry in item):
            kept = [entry for entry in item if not self.ledger.holds_denied(entry, shapes=False)]
            if len(kept) < len(item):
                self._misplaced([entry for entry in item if entry not in kept], path)
            return kept
        if isinstance(item, (dict, list)) or self.ledger.holds_denied(item, shapes=False):
            return [] if item == [] else {} if item == {} else self._misplaced(item, path)
        return item

    def _text(self, item: Any, path: str, out: dict[str, object], key: str) -> object:
        return self._written(item, path, (out, key), TEXT)

    def _item_text(self, item: Any, path: str, out: dict[str, object], key: str) -> object:
        return self._written(item, path, (out, key), Role.ITEM)

    def _payment_title(self, item: Any, path: str, out: dict[str, object], key: str) -> object:
        if isinstance(item, str) and CARD_DIGITS.search(item):
            return self._misplaced(item, path)
        return self._text(item, path, out, key)

    def _judge(self, item: Any, path: str, out: dict[str, object], key: str) -> object:
        return self.judged(key, item, _shown_path(path, key), out, key)

    def _written(self, item: Any, path: str, spot: Place, role: Role) -> object:
        if isinstance(item, str):
            self.texts.add(spot[0], spot[1], path, role, item)
            return item
        if isinstance(item, list):
            items = [entry for entry in item if isinstance(entry, SCALARS)]
            if len(items) < len(item):
                self._misplaced([entry for entry in item if not isinstance(entry, SCALARS)], path)
            self.texts.add_list(items, path + "[]", role)
            return items
        if isinstance(item, dict):
            return self._misplaced(item, path) if item else item
        return item

    def _identifier(self, rule: Field, item: Any, path: str) -> object:
        if item == "":
            return item
        kind, need = IDENTIFIERS[rule]
        if not self.ledger.gate.denies(need, kind):
            return self._allowed(item, path, is_id=True)
        if not item:
            return item
        self.ledger.went(path, item)
        self.ledger.deny(path, kind, item)
        return GONE

    def _deny_full_name(self, source: Mapping[str, Any], path: str) -> None:
        first, last = source.get("first_name"), source.get("last_name")
        if isinstance(first, str) and isinstance(last, str) and first.strip() and last.strip():
            self.ledger.deny_name(f"{path}first_name", first.strip(), last.strip())

    def _hashed(self, item: Any, path: str, _out: dict[str, object], _key: str) -> object:
        if not self.ledger.gate.denies(Need.MARKETING, Kind.HASH):
            return self._pruned(item, path, is_known=True)
        self.ledger.went(path, item)
        self.ledger.deny(path, Kind.HASH, re.findall(r"[0-9a-fA-F]{32,}", item) if isinstance(item, str) else item)
        return GONE

    def _url(self, item: Any, path: str, out: dict[str, object], key: str) -> object:
        if not item:
            return item
        if not isinstance(item, str):
            return self._misplaced(item, path)
        clean = clean_url(item, self.ledger.gate, self.ledger.rules)
        self.ledger.note(path, clean.findings)
        for part in clean.removed:
            self.ledger.went(path + _shown_part(part), part or "url")
        if clean.text is None:
            return GONE
        self.texts.add(out, key, path, ATTRIBUTION, clean.text)
        return clean.text

    def _bearer(self, item: Any, path: str, _out: dict[str, object], _key: str) -> object:
        self.ledger.went(path, item)
        self.ledger.deny(path, Kind.BEARER, item)
        return GONE

    def _free_text(self, item: Any, path: str, _out: dict[str, object], _key: str) -> object:
        return self._misplaced(item, path)

    def _dropped(self, item: Any, path: str, _out: dict[str, object], _key: str) -> object:
        self.ledger.went(path, item)
        return GONE

    def _metadata(self, item: Any, path: str, _out: dict[str, object], _key: str) -> object:
        if isinstance(item, dict):
            return self._judged_pairs(item, path, "[{}]")
        if not isinstance(item, list):
            return self._misplaced(item, path) if item else item
        entries = [kept for entry in item if (kept := self._entry(entry, path)) is not None]
        self.texts.sweep_later(entries)
        return entries

    def _entry(self, entry: Any, path: str) -> dict[str, object] | None:
        if not isinstance(entry, dict):
            self._misplaced(entry, path + "[]")
            return None
        name_field = "key" if "key" in entry else "name"
        name = entry.get(name_field)
        if not isinstance(name, str) or not name:
            self._misplaced(entry, path + "[]")
            return None
        kept: dict[str, object] = {"id": entry["id"]} if isinstance(entry.get("id"), int) else {}
        kept[name_field] = name
        known = known_key(name)
        value = self._judged(known, name, entry.get("value"), f"{path}[{known.shown}]", (kept, "value"))
        if value is GONE:
            if not DISPLAYED.isdisjoint(entry):
                self._collect_rest(entry, path)
            return None
        kept["value"] = value
        return kept

    def _collect_rest(self, entry: dict[str, Any], path: str) -> None:
        for shown in DISPLAYED:
            if shown in entry:
                self.ledger.collect(f"{path}[]", entry[shown])

    def _judged_pairs(self, source: dict[str, Any], path: str, shown: str) -> dict[str, object]:
        out: dict[str, object] = {}
        for key, item in source.items():
            kept = self.judged(key, item, path + shown.format(known_key(key).shown), out, key)
            if kept is not GONE:
                out[key] = kept
        return out

    def judged(self, name: str, item: Any, path: str, out: dict[str, object], key: str) -> object:
        """Return what is left of a value, to stand at `out[key]`, by what its name says and what it says itself."""
        return self._judged(known_key(name), name, item, path, (out, key))

    def _judged(self, known: Key, name: str, item: Any, path: str, spot: Place) -> object:
        verdict, is_personal, is_stamp, _ = known
        if is_stamp and self.ledger.gate.is_stale:
            self.ledger.went(path, item)
            return GONE
        if is_personal and self.ledger.holds_denied(name, shapes=False):
            verdict = None
        elif verdict is None and name in self.ledger.rules.allow_meta_keys:
            return self._kept(item, path, spot, TEXT)
        if verdict is None and self.keeps_unknown and not self.ledger.holds_denied({name: item}, shapes=True):
            return item
        if verdict is None:
            self.ledger.nobody_knows(name, path)
            self.ledger.collect(path, {name: item})
            return GONE
        return self._by_use(verdict, item, path, spot)

    def _by_use(self, verdict: KeyVerdict, item: Any, path: str, spot: Place) -> object:
        use = verdict.use
        if use is IDENTIFIER:
            kept = self._bundle(verdict, item, path) if verdict.kind is APP else self._by_need(verdict, item, path)
            if isinstance(kept, str):  # goes all the same when something denied is in it: a name in a user's id
                self.texts.add(*spot, path, TEXT, kept)
            return kept
        if use is URL and isinstance(item, str):
            return self._url(item, path, *spot)
        if use in TAKEN_APART:
            return self._composite(item, path, spot)
        return self._kept(item, path, spot, ATTRIBUTION if use is UTM else TEXT)

    def _kept(self, item: Any, path: str, spot: Place, role: Role) -> object:
        out, key = spot
        if isinstance(item, str) and not self.ledger.holds_denied(item, shapes=True):
            self.texts.add(out, key, path, role, item)
            return item
        kept = self._pruned(item, path, is_known=False)
        if kept is not GONE:
            out[key] = kept
            self.texts.add_tree(out, key, path, role)
        return kept

    def _bundle(self, verdict: KeyVerdict, item: Any, path: str) -> object:
        """Judge a tracking app's bundle by what is in it, where that can be told apart."""
        if isinstance(item, dict) and self.ledger.gate.denies(verdict.need, verdict.kind):
            return self._judged_pairs(item, path, ".{}") or GONE
        if isinstance(item, str) and _is_told_apart(item) and not self.ledger.holds_denied(item, shapes=True):
            return self._allowed(item, path)
        return self._by_need(verdict, item, path)

    def _by_need(self, verdict: KeyVerdict, item: Any, path: str) -> object:
        if not self.ledger.gate.denies(verdict.need, verdict.kind):
            return self._allowed(item, path)
        self.ledger.went(path, item)
        self.ledger.deny(path, verdict.kind, item)
        return GONE

    def _allowed(self, item: Any, path: str, *, is_id: bool = False) -> object:
        kept = self._pruned(item, path, is_known=True)
        if kept is not GONE:
            self.ledger.allow(kept, is_id=is_id)
        return kept

    def _composite(self, item: Any, path: str, spot: Place) -> object:
        if isinstance(item, dict):
            return self._judged_pairs(item, path, ".{}")
        is_campaign = "utm" in path
        if isinstance(item, str) and not (_is_told_apart(item) or (is_campaign and not PAIRS.search(item))):
            return self._misplaced(item, path)
        return self._kept(item, path, spot, ATTRIBUTION if is_campaign else TEXT)

    def _pruned(self, item: Any, path: str, *, is_known: bool) -> object:
        """Return a value without what is denied inside it; a text goes as a whole."""
        if isinstance(item, dict):
            pairs = {key: self._pruned_pair(key, value, path, is_known=is_known) for key, value in item.items()}
            return {key: value for key, value in pairs.items() if value is not GONE}
        if isinstance(item, list):
            kept = [self._pruned(entry, path, is_known=is_known) for entry in item]
            return [entry for entry in kept if entry is not GONE]
        findings = self.ledger.holds_denied(item, shapes=not is_known)
        if not findings:
            return item
        self.ledger.went(path, item)
        self.ledger.note(path, findings)
        return GONE

    def _pruned_pair(self, key: str, item: Any, path: str, *, is_known: bool) -> object:
        verdict, is_personal, _, name = known_key(key)
        shown = f"{path}.{name}"
        findings = self.ledger.holds_denied(key, shapes=not is_known) if is_personal else []
        if findings:
            self.ledger.went(shown, key)
            self.ledger.note(shown, findings)
            self.ledger.collect(shown, item)
            return GONE
        if verdict and verdict.use is IDENTIFIER:
            return self._by_need(verdict, item, shown)
        return self._pruned(item, shown, is_known=is_known)

    def _user_data(self, item: Any, path: str, _out: dict[str, object], _key: str) -> object:
        """Contact data wherever it stands, whatever its keys are called."""
        if not self.ledger.denies_contact():
            return self._pruned(item, path, is_known=True)
        self.ledger.went(path, item)
        self.ledger.collect(path, item)
        if isinstance(item, dict):
            self.ledger.deny(path, Kind.PERSON_ID, item.get("id"))
            for person in (item, item.get("address")):
                if isinstance(person, dict):
                    self._deny_full_name(person, path + ".")
        return GONE if item else item

    _FIELDS: ClassVar[dict[Field, Callable[[Any, Any, str, dict[str, object], str], object]]] = {
        Field.KEEP: _keep,
        Field.TEXT: _text,
        Field.ITEM_TEXT: _item_text,
        Field.IMAGE: _text,
        Field.PAYMENT_TITLE: _payment_title,
        Field.HASHED: _hashed,
        Field.USER_DATA: _user_data,
        Field.URL: _url,
        Field.BEARER: _bearer,
        Field.FREE_TEXT: _free_text,
        Field.METADATA: _metadata,
        Field.ATTRIBUTES: _metadata,
        Field.JUDGE: _judge,
        Field.LINKS: _dropped,
        Field.TRACKING: _dropped,
        Field.DROP: _dropped,
    }


def _is_told_apart(text: str) -> bool:
    """Whether the catalogue knows every key of JSON or of a list of pairs, and no value needs to be taken apart."""
    pairs = pairs_of(text)
    verdicts = map(judge_key, pairs)
    is_flat = not any(isinstance(value, CONTAINERS) for value in pairs.values())
    return bool(pairs) and is_flat and all(one and one.use not in TAKEN_APART for one in verdicts)


def _is_plain(text: str) -> bool:
    if len(text) <= PLAIN_CHARS or not MARK.search(text):
        return True
    return bool(PLAIN.fullmatch(text)) or not SUSPECT.search(text)


def _shown_path(path: str, key: str) -> str:
    """Return a path that ends with a key as it may be told."""
    return path[: len(path) - len(key)] + known_key(key).shown


def _shown_part(part: str) -> str:
    return part[:1] + known_key(part[1:]).shown if part.startswith("?") else part
