"""Addresses behind trusted proxies."""

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flask import Flask

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def trust_proxies(app: Flask, trusted: Sequence[str]) -> None:
    """Let X-Forwarded-For and -Proto count where the request came from a trusted proxy, and nowhere else."""
    networks = [ipaddress.ip_network(one, strict=False) for one in trusted]
    app.wsgi_app = _Forwarded(app.wsgi_app, networks)  # type: ignore[method-assign]  # Flask documents this hook


class _Forwarded:
    """Replaces REMOTE_ADDR by the right-most address that is no trusted proxy's."""

    def __init__(self, wrapped: Callable[..., Iterable[bytes]], networks: Sequence[Network]) -> None:
        self._wrapped = wrapped
        self._networks = networks

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        peer = environ.get("REMOTE_ADDR", "")
        if self._is_trusted(peer):
            hops = [hop.strip() for hop in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
            environ["REMOTE_ADDR"] = next((hop for hop in reversed(hops) if not self._is_trusted(hop)), peer)
            if environ.get("HTTP_X_FORWARDED_PROTO", "").strip().lower() == "https":
                environ["wsgi.url_scheme"] = "https"
        return self._wrapped(environ, start_response)

    def _is_trusted(self, address: str) -> bool:
        try:
            known = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(known in network for network in self._networks)
