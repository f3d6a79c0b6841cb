"""Requests that are refused are counted by store, door and answer: a script or a server of the shop may be wrong."""

from typing import Final

from flask import Blueprint, Response, request

from gateway.flow.gateway import Gateway

#: That nothing is there, or is over, is an answer; what is shed for coming too often is told where it is shed.
_REFUSED: Final = frozenset({400, 401, 403, 405, 408, 413, 500, 503})


def tell_refusals(door: Blueprint, gateway: Gateway) -> None:
    """Count what this door refuses from here on."""

    @door.after_request
    def tell(response: Response) -> Response:
        if response.status_code in _REFUSED:
            asked = str((request.view_args or {}).get("store_id", ""))
            store_id = asked if gateway.settings.store(asked) else ""  # anybody may ask for others
            gateway.telling.request_refused(store_id, door.name, str((response.json or {}).get("status", "")))
        return response
