"""The limit on the size of requests, as they announce it and counted while they arrive."""

import json
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """ASGI middleware that answers 413 when a body has more than `most_bytes` bytes, without reading it to its end."""

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        """Wrap `app`."""
        self._app, self._most_bytes = app, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, with its body counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self._most_bytes:
            await self._refuse(send)
            return
        received, started = 0, False

        async def count() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most_bytes:
                raise _TooLarge
            return message

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, count, watch)
        except _TooLarge:
            if not started:
                await self._refuse(send)
        except ClientDisconnect:
            # The client has gone before it had sent its whole request: nobody waits for an answer.
            return

    async def _refuse(self, send: Send) -> None:
        detail = f"the request has more than {self._most_bytes:,} bytes. Send fewer or smaller images."
        await _answer(send, 413, {"detail": detail})


class _TooLarge(Exception):  # noqa: N818  It becomes an answer.
    """The body is larger than the limit."""


async def _answer(send: Send, status: int, content: dict[str, Any]) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
