"""Events to a webhook, as CloudEvents batches in the order of the log: at least once, also over restarts.

Position: the cursor of the last batch that was taken, in a file. While the receiver is away nothing is lost that the gateway's event log
still holds (gateway.events_kept); what falls out of it is counted as dropped. A batch that the receiver refuses (4xx but 408 and 429)
is logged, counted and left behind: it would be refused for ever.
"""

import asyncio
import hashlib
import hmac
from pathlib import Path

import httpx
import structlog
from tenacity import AsyncRetrying, retry_if_exception, wait_random_exponential

from fleetpulse.config.settings import Settings
from fleetpulse.gateway.egress.event_log import CursorError, Filter, types_of
from fleetpulse.gateway.egress.streams import Batch, Follower, Streams
from fleetpulse.gateway.notify.shown import place, reason

log = structlog.get_logger()

TIMEOUT_S = 10.0
PAUSE_MAX_S = 30.0
READY_S = 0.2
SIGNATURE = "X-Fleetpulse-Signature"
_AGAIN = (408, 429)


def signature(secret: str, content: bytes) -> str:
    """HMAC of the body, as the receiver computes it again."""
    return "sha256=" + hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


class Webhook:
    """Follows the event log of one gateway.

    sent, refused, dropped  counters of events: taken; refused by the receiver; fallen out of the log before they could be sent
    failed                  attempts that failed
    """

    def __init__(self, settings: Settings, streams: Streams, file: Path) -> None:
        assert settings.notify.webhook_url is not None, "it is made for one"
        self._notify = settings.notify
        self._url = settings.notify.webhook_url
        self._streams = streams
        self._file = file
        self._types = tuple(type_ for name in settings.notify.webhook_types for type_ in types_of(name))
        self.sent = self.refused = self.dropped = self.failed = 0

    async def run(self, ready: asyncio.Event) -> None:
        """Until cancelled or the streams are closed."""
        await ready.wait()
        follower = self._open()
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            async for batch in self._streams.follow(follower):
                if batch.dropped:
                    self.dropped += batch.dropped
                    log.error("events fell out of the log before the webhook took them", events=batch.dropped)
                if batch.events:
                    await self._deliver(client, batch)
                self._keep(batch.cursor)

    def _open(self) -> Follower:
        wanted = Filter(types=self._types)
        cursor = self._file.read_text(encoding="utf-8", errors="replace") if self._file.exists() else None
        try:
            return self._streams.open(wanted, cursor=cursor, transport="webhook", patient=True)
        except CursorError as error:
            log.warning("the webhook's position cannot be read; going on from now", file=str(self._file), error=str(error))
            return self._streams.open(wanted, cursor=None, transport="webhook", patient=True)

    def _keep(self, cursor: str) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(".part")
        part.write_text(cursor, encoding="ascii")
        part.replace(self._file)

    async def _deliver(self, client: httpx.AsyncClient, batch: Batch) -> None:
        content = b"[" + b",".join(kept.body for kept in batch.events) + b"]"
        headers = {"content-type": "application/cloudevents-batch+json"}
        if self._notify.webhook_secret is not None:
            headers[SIGNATURE] = signature(self._notify.webhook_secret.get_secret_value(), content)
        said = False
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_passing), wait=wait_random_exponential(0.2, PAUSE_MAX_S), reraise=True
        ):
            with attempt:
                try:
                    answer = await client.post(str(self._url), content=content, headers=headers)
                    answer.raise_for_status()
                except httpx.HTTPError as error:
                    if not _passing(error):
                        self.refused += len(batch.events)
                        log.error("the webhook refuses events; they are left behind", events=len(batch.events), error=reason(error))
                        return
                    self.failed += 1
                    if not said:
                        log.warning("the webhook does not take events; trying again", url=place(self._url), error=reason(error))
                        said = True
                    raise
        self.sent += len(batch.events)


def _passing(error: BaseException) -> bool:
    """Whether the same request may be taken later."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500 or error.response.status_code in _AGAIN
    return isinstance(error, httpx.TransportError)
