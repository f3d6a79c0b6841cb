"""What is sealed opens with its own key and purpose only; keyed hashes survive rotation."""

import os

import pytest

from gateway.errors import StartRefused
from gateway.storage.database import Database
from gateway.storage.keys import open_keyring, rewrap
from gateway.storage.sealing import CannotOpen, Keyring

OLD, NEW = b"o" * 32, b"n" * 32


def test_what_is_sealed_opens_again() -> None:
    ring = Keyring(OLD)
    sealed = ring.seal(b"order", purpose="body")
    assert ring.open(sealed, key_id=ring.key_id, purpose="body") == b"order"
    assert b"order" not in sealed


def test_sealing_twice_gives_different_bytes() -> None:
    ring = Keyring(OLD)
    assert ring.seal(b"order", purpose="body") != ring.seal(b"order", purpose="body")


def test_another_purpose_does_not_open() -> None:
    ring = Keyring(OLD)
    with pytest.raises(CannotOpen):
        ring.open(ring.seal(b"order", purpose="body"), key_id=ring.key_id, purpose="evidence")


@pytest.mark.parametrize("position", [0, 11, 12, -1])
def test_one_changed_bit_does_not_open(position: int) -> None:
    ring = Keyring(OLD)
    sealed = bytearray(ring.seal(b"order", purpose="body"))
    sealed[position] ^= 1
    with pytest.raises(CannotOpen):
        ring.open(bytes(sealed), key_id=ring.key_id, purpose="body")


@pytest.mark.parametrize("sealed", [b"", b"short", bytes(12), bytes(27)])
def test_what_was_never_sealed_does_not_open(sealed: bytes) -> None:
    ring = Keyring(OLD)
    with pytest.raises(CannotOpen):
        ring.open(sealed, key_id=ring.key_id, purpose="body")


def test_previous_keys_still_open_and_unknown_ones_do_not() -> None:
    old, rotated, other = Keyring(OLD), Keyring(NEW, [OLD]), Keyring(NEW)
    sealed = old.seal(b"order", purpose="body")
    assert rotated.open(sealed, key_id=old.key_id, purpose="body") == b"order"
    with pytest.raises(CannotOpen, match=old.key_id):
        other.open(sealed, key_id=old.key_id, purpose="body")


def test_key_ids_tell_keys_apart_and_show_nothing_of_them() -> None:
    assert Keyring(OLD).key_id == Keyring(OLD, [NEW]).key_id != Keyring(NEW).key_id
    assert Keyring(OLD).key_id.encode() not in OLD.hex().encode()


@pytest.mark.parametrize("key", [b"", b"k" * 31, b"k" * 33])
def test_keys_of_another_length_are_refused(key: bytes) -> None:
    with pytest.raises(StartRefused):
        Keyring(key)
    with pytest.raises(StartRefused):
        Keyring(OLD, [key])


def test_subkeys_differ_by_purpose_and_previous_ones_are_known() -> None:
    rotated = Keyring(NEW, [OLD])
    assert len({rotated.subkey("cookie"), rotated.subkey("form"), NEW}) == 3
    assert rotated.previous_subkeys("cookie") == [Keyring(OLD).subkey("cookie")]


def test_digests_need_the_lookup_key() -> None:
    with pytest.raises(StartRefused):
        Keyring(OLD).digest("email", "a@example.org")


def test_digests_differ_by_purpose_and_value_and_stay_the_same(any_database: Database) -> None:
    ring = open_keyring(any_database, OLD)
    digests = {ring.digest("email", "a"), ring.digest("email", "b"), ring.digest("session", "a")}
    assert {len(digest) for digest in digests} == {32}
    assert len(digests) == 3
    assert open_keyring(any_database, OLD).digest("email", "a") in digests


def test_digests_survive_rotation(any_database: Database) -> None:
    before = open_keyring(any_database, OLD).digest("email", "a")
    rotated = open_keyring(any_database, NEW, [OLD])
    assert rewrap(any_database, rotated)
    assert not rewrap(any_database, rotated)
    assert open_keyring(any_database, NEW).digest("email", "a") == before


def test_a_foreign_key_is_refused_at_the_start(any_database: Database) -> None:
    open_keyring(any_database, OLD)
    with pytest.raises(StartRefused, match="previous_keys"):
        open_keyring(any_database, NEW)


def test_every_database_has_a_lookup_key_of_its_own(any_database: Database) -> None:
    ring = open_keyring(any_database, OLD)
    assert ring.digest("email", "a") != Keyring(OLD, lookup=os.urandom(32)).digest("email", "a")


def test_what_earlier_releases_stored_is_opened_and_found() -> None:
    """Nothing could seal or hash it anew: whoever changes this has to look for both."""
    ring = Keyring(OLD, lookup=b"l" * 32)
    sealed = bytes.fromhex("d458d78fec85d8d6cae2518010fbb00b0bc8a56162c8941efef5ba9f8398283f64")
    assert ring.open(sealed, key_id="993364d0", purpose="body") == b"order"
    assert ring.digest("email", "zo\u00eb@xn--bcher-kva.example") == "aa25bf7e4ab9d998521ffed81bf08985"
    wrapped = (
        "e9a2807e5291a1eb966b0bea34660e7643efdc3633e07e4dead61a76f65b90ae436e6e647eca9d70629ec7f1ed60033a1386af548ebf711b"
        "1bc172a0"
    )
    assert Keyring(OLD).with_lookup(f"993364d0:{wrapped}").digest("a", "b") == ring.digest("a", "b")
