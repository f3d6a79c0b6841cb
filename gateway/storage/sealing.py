"""Encryption at rest: what is stored sealed, and the keyed hashes that stand for what is never stored."""

import hmac
import os
from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import GatewayError, StartRefused

KEY_BYTES = 32
_NONCE_BYTES = 12  # AES-GCM takes 96 random bits
_WRAP = "lookup"


class CannotOpen(GatewayError):
    """What is sealed cannot be opened with the keys at hand."""


class Keyring:
    """The current key, the previous ones that still open, and the lookup key that survives their rotation."""

    def __init__(self, key: bytes, previous: Sequence[bytes] = (), *, lookup: bytes | None = None) -> None:
        """Take keys of 32 bytes each; without `lookup` nothing can be hashed yet."""
        if any(len(one) != KEY_BYTES for one in (key, *previous)):
            raise StartRefused(f"every key must be {KEY_BYTES} bytes")
        self._keys = {_id_of(one): one for one in (*reversed(previous), key)}
        self.key_id = _id_of(key)
        self._lookup = lookup
        self._keyed = hmac.new(lookup, digestmod=sha256) if lookup else None
        self._ciphers: dict[tuple[str, str], AESGCM] = {}

    @property
    def key_ids(self) -> list[str]:
        """The ids of the keys that open anything."""
        return list(self._keys)

    def seal(self, data: bytes, *, purpose: str) -> bytes:
        """Encrypt `data` under the current key: a random nonce, then ciphertext and tag."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher(self.key_id, purpose).encrypt(nonce, data, purpose.encode())

    def open(self, sealed: bytes, *, key_id: str, purpose: str) -> bytes:
        """Return what `seal` was given, or raise CannotOpen."""
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher(key_id, purpose).decrypt(nonce, ciphertext, purpose.encode())
        except (InvalidTag, ValueError) as error:
            raise CannotOpen(f"what was sealed as {purpose} under key {key_id} was changed") from error

    def digest(self, purpose: str, value: str) -> str:
        """Return the keyed hash of `value`: 32 hex characters that stay the same when keys are rotated."""
        if self._keyed is None:
            raise StartRefused("the lookup key has not been loaded from the database")
        keyed = self._keyed.copy()
        keyed.update(f"{purpose}\0{value}".encode())
        return keyed.hexdigest()[:32]

    def subkey(self, purpose: str) -> bytes:
        """Derive a key for `purpose` (cookies, forms) from the current key."""
        return _derive(self._keys[self.key_id], purpose)

    def previous_subkeys(self, purpose: str) -> list[bytes]:
        """Derive what `subkey` gave before the last rotations, for reading what is still around."""
        return [_derive(key, purpose) for key_id, key in self._keys.items() if key_id != self.key_id]

    def wrap_lookup(self, lookup: bytes) -> str:
        """Seal a lookup key for storage, with the id of the key that opens it."""
        return f"{self.key_id}:{self.seal(lookup, purpose=_WRAP).hex()}"

    def wrapped_lookup(self) -> str:
        """Seal the lookup key that is loaded under the current key."""
        if self._lookup is None:
            raise StartRefused("the lookup key has not been loaded from the database")
        return self.wrap_lookup(self._lookup)

    def with_lookup(self, wrapped: str) -> "Keyring":
        """Return this keyring with the lookup key that `wrap_lookup` sealed."""
        key_id, _, sealed = wrapped.partition(":")
        lookup = self.open(bytes.fromhex(sealed), key_id=key_id, purpose=_WRAP)
        previous = [key for known, key in self._keys.items() if known != self.key_id]
        return Keyring(self._keys[self.key_id], previous[::-1], lookup=lookup)

    def _cipher(self, key_id: str, purpose: str) -> AESGCM:
        cipher = self._ciphers.get((key_id, purpose))
        if cipher is None:
            if key_id not in self._keys:
                raise CannotOpen(f"key {key_id} is neither security.key nor one of security.previous_keys")
            cipher = self._ciphers[key_id, purpose] = AESGCM(_derive(self._keys[key_id], f"seal:{purpose}"))
        return cipher


def _derive(key: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"consent-gateway:" + purpose.encode()).derive(
        key
    )


def _id_of(key: bytes) -> str:
    return _derive(key, "id").hex()[:8]
