"""Nouns of the gateway: frozen values that know nothing of storage, network or time."""
