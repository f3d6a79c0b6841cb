"""The same work as a flow in Node-RED, from npm: verify, strip, attach the consent, answer, and forward."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from tests.bench.relay import ANALYTICS, CLICK_IDS, CONTACT, FLAT, SECRET

VERSION: Final = "4"
_SETTINGS: Final = """
module.exports = {
    uiHost: "127.0.0.1", uiPort: %d, httpAdminRoot: false, flowFile: "flows.json", credentialSecret: false,
    functionGlobalContext: { crypto: require("crypto") },
    logging: { console: { level: "error", metrics: false, audit: false } },
}
"""
_FUNCTION: Final = """
const body = msg.payload, given = Buffer.from(msg.req.headers["x-wc-webhook-signature"] || "", "base64")
const own = global.get("crypto").createHmac("sha256", %(secret)s).update(body).digest()
if (given.length !== own.length || !global.get("crypto").timingSafeEqual(given, own)) {
    msg.statusCode = 401; msg.payload = ""; return [msg, null]
}
const order = JSON.parse(body), rows = order.meta_data || []
const entry = rows.find(row => row.key === "_consent_gateway")
const categories = entry ? JSON.parse(entry.value).categories : {}
const consent = { marketing: !!categories.marketing, analytics: !!categories.analytics }
const denied = new Set(["_consent_gateway"])
if (!consent.marketing) {
    for (const part of ["billing", "shipping"]) for (const key of %(contact)s) delete order[part][key]
    for (const key of %(flat)s) delete order[key]
    for (const key of %(clicks)s) denied.add(key)
}
if (!consent.analytics) for (const key of %(analytics)s) denied.add(key)
order.meta_data = rows.filter(row => !denied.has(row.key))
order.consent = { categories: consent }
const forward = { payload: JSON.stringify(order), headers: { "content-type": "application/json" } }
msg.statusCode = 200; msg.payload = ""
return [msg, forward]
"""


def install(folder: Path) -> Path:
    """Install Node-RED into `folder`, once, and return its program."""
    program = folder / "node_modules" / "node-red" / "red.js"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        options = ("--silent", "--no-audit", "--no-fund")
        subprocess.run(["npm", "install", *options, f"node-red@{VERSION}"], cwd=folder, check=True)
    return program


def is_possible() -> bool:
    """Whether Node and npm are there."""
    return bool(shutil.which("node") and shutil.which("npm"))


def write_flow(folder: Path, *, port: int, sink_url: str) -> None:
    """Write the settings and the flow of one instance."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.js").write_text(_SETTINGS % port, encoding="utf-8")
    (folder / "flows.json").write_text(json.dumps(_flow(sink_url)), encoding="utf-8")


def _flow(sink_url: str) -> list[dict[str, Any]]:
    words = {"secret": SECRET.decode(), "contact": CONTACT, "flat": FLAT, "clicks": CLICK_IDS, "analytics": ANALYTICS}
    code = _FUNCTION % {name: json.dumps(word) for name, word in words.items()}
    tab = {"id": "tab", "type": "tab", "label": "relay"}
    taken: dict[str, Any] = {"id": "in", "type": "http in", "z": "tab", "url": "/webhooks/acme", "method": "post"}
    taken |= {"skipBodyParsing": True, "wires": [["strip"]]}
    strip = {"id": "strip", "type": "function", "z": "tab", "func": code, "outputs": 2, "wires": [["out"], ["send"]]}
    answer = {"id": "out", "type": "http response", "z": "tab", "wires": []}
    send = {"id": "send", "type": "http request", "z": "tab", "method": "POST", "url": sink_url, "persist": True}
    return [tab, taken, strip, answer, send | {"ret": "txt", "wires": [[]]}]
