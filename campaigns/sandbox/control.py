"""The calls that read the sandbox's ledger and change its faults while it runs."""

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

from aiohttp import web

from campaigns.sandbox.faults import FaultsError
from campaigns.sandbox.gateway import Gateway

LINES_AT_ONCE: Final = 1_000


async def stats(gateway: Gateway, request: web.BaseRequest) -> web.StreamResponse:
    """`GET /stats`: the counts."""
    return web.json_response(gateway.ledger.stats())


async def clear(gateway: Gateway, request: web.BaseRequest) -> web.StreamResponse:
    """`DELETE /stats`: delete all messages and counts."""
    gateway.ledger.clear()
    return await stats(gateway, request)


async def accepted(gateway: Gateway, request: web.BaseRequest) -> web.StreamResponse:
    """`GET /accepted`: one JSON line for each message accepted, in the order of their first acceptance."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    rows = iter(list(gateway.ledger.messages.items()))
    while some := list(islice(rows, LINES_AT_ONCE)):
        lines = [json.dumps({"id": msg_id, **row._asdict(), "digest": row.digest.hex()}) for msg_id, row in some]
        await response.write("\n".join([*lines, ""]).encode())
    return response


async def faults(gateway: Gateway, request: web.BaseRequest) -> web.StreamResponse:
    """`GET /faults`: every setting."""
    return web.json_response(gateway.faults.as_dict())


async def change_faults(gateway: Gateway, request: web.BaseRequest) -> web.StreamResponse:
    """`PUT /faults` with the settings to change; 422 lists errors by name."""
    return _change(gateway, await _json_object(request))


async def switch_outage(gateway: Gateway, request: web.BaseRequest) -> web.StreamResponse:
    """`POST /outage` with `{"on": true}` or `{"on": false}`."""
    return _change(gateway, {"outage": (await _json_object(request)).get("on")})


def _change(gateway: Gateway, changes: Mapping[str, object]) -> web.Response:
    try:
        gateway.faults = gateway.faults.updated(changes)
    except FaultsError as error:
        return web.json_response({"detail": error.errors}, status=422)
    return web.json_response(gateway.faults.as_dict())


async def _json_object(request: web.BaseRequest) -> dict[str, Any]:
    """The body, if it is a JSON object; else HTTP 400."""
    try:
        body = json.loads((await request.read()).decode())
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        detail = json.dumps({"detail": "The body must be a JSON object"})
        raise web.HTTPBadRequest(text=detail, content_type="application/json")
    return body
