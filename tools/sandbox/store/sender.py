"""Delivers webhooks over HTTP, and again as BigCommerce does."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import aiohttp

from sandbox.store.hooks import Hooks
from sandbox.store.messages import Clock
from sandbox.store.webhooks import Attempt, Delivery, tries_seconds


class Sender:
    """Sends deliveries from the event loop it was opened in."""

    def __init__(self, clock: Clock, hooks: Callable[[Delivery], AbstractContextManager[Hooks]]) -> None:
        self._clock = clock
        self._hooks = hooks
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), auto_decompress=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def send(self, delivery: Delivery) -> None:
        """Try until it is acknowledged, or given up: then a hook is deactivated."""
        options = delivery.options
        try:
            await asyncio.sleep(options.delay_seconds)
            for wait in tries_seconds(options.time_compression, options.retries):
                await asyncio.sleep(wait)
                if delivery.hook and not delivery.hook.is_active:
                    return
                delivery.attempts.append(await self._attempt(delivery))
                delivery.tried.set()
                if delivery.acknowledged:
                    return
            if delivery.hook:
                delivery.hook.is_active = False
        finally:
            delivery.tried.set()
            delivery.finished.set()

    async def _attempt(self, delivery: Delivery) -> Attempt:
        at, started = self._clock(), time.monotonic()
        headers = delivery.request_headers(at)
        status, error = None, ""
        with self._hooks(delivery) as hooks:
            blocked = hooks.blocked_seconds(delivery.url) > 0
        if blocked:
            error = "the destination is blocked"
        else:
            try:
                status = await self._post(delivery, headers)
            except (aiohttp.ClientError, TimeoutError, ValueError) as failure:
                error = repr(failure)
        attempt = Attempt(
            at=at,
            headers=headers,
            body=delivery.content,
            status=status,
            seconds=time.monotonic() - started,
            error=error,
        )
        if not blocked:
            with self._hooks(delivery) as hooks:
                compression = delivery.options.time_compression
                hooks.attempted(delivery.url, success=attempt.acknowledged, time_compression=compression)
        return attempt

    async def _post(self, delivery: Delivery, headers: dict[str, str]) -> int:
        timeout = aiohttp.ClientTimeout(total=delivery.options.timeout_seconds)
        async with self._session.post(
            delivery.url, data=delivery.content, headers=headers, timeout=timeout, allow_redirects=False
        ) as response:
            await response.read()
            return response.status
