"""Delivers batches to the primary endpoint: tries, retries, splits and settles them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import urlsplit

from ..protocol.endpoint import Endpoint, path_of
from ..protocol.outcome import Outcome, hints_at_crash, outcome_of, speaks_of_payload
from ..protocol.payload import Item
from ..protocol.retry_after import parse_retry_after
from ..protocol.tracks import V2_PATH, V2_TRACKS, Track
from ..runtime import lazy_import
from ..runtime.clock import wall_clock
from ..runtime.host_signals import reraise_of_signal_handler
from ..runtime.log_reporter import LogReporter
from ..transport.response import NoResponse
from .backoff import wait_before_retry
from .downgrade import AgentCapabilities, DowngradableEndpoints
from .dual_shipping import DualShipping
from .ledger import Batch, Ledger
from .outages import Outages
from .work_deadline import OutOfTime, WorkDeadline

if TYPE_CHECKING:
    from ..protocol.request import Request
    from ..transport.response import Response
    from ..transport.transport import Transport


class RequestFactory(Protocol):
    """Encodes the payloads of an engine, and builds its requests."""

    def item(self, track: Track, payload: object, content_type: object) -> Item:
        """The item to queue for a payload; `InvalidPayload` if it can't be sent."""

    def request(self, track: Track, items: Sequence[Item], endpoint: Endpoint) -> Request:
        """The request that sends items to an endpoint."""


class AttemptResult(NamedTuple):
    """The result of one attempt.

    Attributes:
        detail: human-readable.
        retry_after: seconds, from the response's ``Retry-After``.
        crash: whether the request may have crashed the server.
    """

    outcome: Outcome
    detail: str
    retry_after: float | None = None
    crash: bool = False


class BatchDelivery:
    """Delivers the batches of one track to the primary endpoint, one after the other.

    They stay in the `Ledger` until they are settled, so that another thread can continue where
    one was killed.
    """

    def __init__(
        self,
        track: Track,
        ledger: Ledger,
        deadline: WorkDeadline,
        *,
        endpoints: DowngradableEndpoints,
        requests: RequestFactory,
        new_transport: Callable[[], Transport],
        retry_for: float,
        capabilities: AgentCapabilities,
        dual_shipping: DualShipping,
        outages: Outages,
        log: LogReporter,
        clock: Callable[[], float],
    ) -> None:
        self._track = track
        self._ledger = ledger
        self._deadline = deadline
        self._endpoints = endpoints
        self._requests = requests
        self._new_transport = new_transport
        self._retry_for = retry_for
        self._capabilities = capabilities
        self._dual_shipping = dual_shipping
        self._outages = outages
        self._log = log
        self._clock = clock
        self._transport: Transport | None = None
        #: Consecutive failures of the halves of a suspect batch.
        self._failures = 0

    def run(self) -> None:
        """Deliver all batches of the ledger. `OutOfTime` leaves the rest there."""
        ledger = self._ledger
        while ledger.state.batches:
            batch = ledger.state.batches[-1]
            if batch.is_suspect and not self._has_time_left(batch):
                result = AttemptResult(
                    Outcome.RETRY, "retry_for passed while its payloads were sent in halves"
                )
            else:
                result = self._try_or_fault(batch)
            if ledger.abandoned:
                return
            if result.outcome is Outcome.RETRY and batch.is_suspect and self._has_time_left(batch):
                self._retry_in_halves(batch, result)
            elif result.outcome is Outcome.SPLIT:
                ledger.split(batch)
            else:
                self._failures = 0
                ledger.settle(batch, self._drop_reason(result.outcome), result.detail)
                if result.outcome is Outcome.RETRY:
                    self._outages.gave_up(self._host(), self._track.value)

    def reserve_threads(self) -> None:
        """Start the reserve threads of the additional endpoints while threads can be started."""
        for endpoint in self._endpoints.endpoints_for(self._track)[1:]:
            self._dual_shipping.worker(endpoint).reserve_thread()

    def abort(self) -> None:
        """Abort the request in flight, so that its thread returns."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    # ---- attempts ----

    def _try_or_fault(self, batch: Batch) -> AttemptResult:
        try:
            return self._try_batch(batch)
        except OutOfTime:
            raise
        except Exception as error:  # a bug of ours must not stop the worker
            return self._fault(error)

    def _try_batch(self, batch: Batch) -> AttemptResult:
        """Try until a response settles or splits the batch, or `retry_for` is over."""
        if batch.tried_at is None:
            batch.tried_at = self._clock()
        attempts = 0

        def attempt() -> AttemptResult:
            nonlocal attempts
            attempts += 1
            result = self._attempt_or_fault(batch, retry=attempts > 1 or batch.crashes > 0)
            if not batch.copied:
                self._copy_to_additional(batch)
                batch.copied = True
            batch.crashes += result.crash
            return result

        if batch.is_suspect:
            return attempt()
        retry_until: Callable[..., AttemptResult] = lazy_import.load(
            "livedebug_sender.delivery.retry", "retry_until"
        )
        return retry_until(
            attempt,
            should_retry=lambda result: result.outcome is Outcome.RETRY and not batch.is_suspect,
            retry_after=lambda result: result.retry_after,
            give_up_at=batch.tried_at + self._retry_for,
            shutdown_deadline=self._deadline.of_retries,
            wait=self._deadline.wait,
            clock=self._clock,
        )

    def _retry_in_halves(self, batch: Batch, result: AttemptResult) -> None:
        """Retry a batch in which one payload may crash the intake, so that it delays no others.

        Its halves are put after the other parts of the batch.
        """
        self._failures += 1
        wait = wait_before_retry(self._failures, result.retry_after)
        seconds = min(wait, self._seconds_left(batch))
        end = self._deadline.of_retries()
        if end is not None and self._clock() + seconds >= end:
            self._ledger.settle(batch, "shutdown", result.detail)
            return
        self._ledger.put_behind(batch)
        self._deadline.wait(seconds)

    def _seconds_left(self, batch: Batch) -> float:
        tried_at = self._clock() if batch.tried_at is None else batch.tried_at
        return max(0.0, tried_at + self._retry_for - self._clock())

    def _has_time_left(self, batch: Batch) -> bool:
        return self._seconds_left(batch) > 0

    def _attempt_or_fault(self, batch: Batch, *, retry: bool) -> AttemptResult:
        if self._ledger.abandoned:
            return AttemptResult(Outcome.RETRY, "the sender was closed")
        try:
            return self._attempt(batch, retry=retry)
        except OutOfTime:
            raise
        except Exception as error:  # no file descriptor for an import, a bug of ours, ...
            return self._fault(error)

    def _fault(self, error: Exception) -> AttemptResult:
        reraise_of_signal_handler(error)  # in `flush` or `close`, on the host's thread
        detail = f"{type(error).__name__}: {error}"
        kind = ("fault", type(error).__name__)
        self._log.note(kind, f"an attempt failed, trying again: {detail}")
        return AttemptResult(Outcome.RETRY, detail)

    def _attempt(self, batch: Batch, *, retry: bool) -> AttemptResult:
        """One request, or two if the first shows that the agent lacks v2."""
        endpoints = self._endpoints.endpoints_for(self._track)
        if not endpoints:
            return AttemptResult(Outcome.REJECTED, "its endpoint was taken out of the config")
        agent_v2 = path_of(endpoints[0], self._track) == V2_PATH
        if not agent_v2 and self._endpoints.downgraded and self._track in V2_TRACKS:
            self._capabilities.recheck(self._connected(), endpoints[0], self._deadline.of_request())
            endpoints = self._endpoints.endpoints_for(self._track)
            agent_v2 = path_of(endpoints[0], self._track) == V2_PATH
        result = self._post(batch, endpoints[0], agent_v2, retry)
        if not agent_v2 or not self._is_downgrade(result, endpoints[0]):
            return result
        # The host may have changed its endpoints meanwhile: the result is not that of the new one.
        if self._endpoints.endpoints_for(self._track)[0] == endpoints[0]:
            self._capabilities.downgrade(_host_of(endpoints[0]))
        endpoints = self._endpoints.endpoints_for(self._track)
        agent_v2 = path_of(endpoints[0], self._track) == V2_PATH
        result = self._post(batch, endpoints[0], agent_v2, True)
        if result.outcome is Outcome.DOWNGRADE:
            return result._replace(outcome=Outcome.RETRY)
        return result

    def _is_downgrade(self, result: AttemptResult, agent: Endpoint) -> bool:
        if result.outcome is Outcome.DOWNGRADE:
            return True
        # Another rejection may also come from an old agent, for example behind a proxy: ask it.
        return result.outcome in (Outcome.REJECTED, Outcome.KEY_REFUSED) and (
            self._capabilities.lacks_v2(self._connected(), agent, self._deadline.of_request())
        )

    # ---- one request ----

    def _post(self, batch: Batch, endpoint: Endpoint, agent_v2: bool, retry: bool) -> AttemptResult:
        request = self._requests.request(self._track, batch.items, endpoint)
        host, track = _host_of(endpoint), self._track.value
        bytes_sent = 0
        try:
            with self._outages.watching(host, track, request):
                response = self._connected().post(request, deadline=self._deadline.of_request())
            bytes_sent = response.bytes_sent
        except NoResponse as error:
            bytes_sent = error.bytes_sent
            self._log.debug("%s: %s gives no answer: %s", track, host, error.reason)
            self._outages.failed(host, track, f"gives no answer: {error.reason}")
            detail = f"no answer from {host}: {error.reason}"
            return AttemptResult(Outcome.RETRY, detail, crash=error.cut_after_body)
        finally:
            self._ledger.count_request(retry=retry, bytes_sent=bytes_sent)
        outcome = outcome_of(response.status, payloads=len(batch.items), agent_v2=agent_v2)
        self._log.debug("%s: %s answered %s", track, host, response.status)
        return self._result_of(outcome, response, endpoint)

    def _result_of(self, outcome: Outcome, response: Response, endpoint: Endpoint) -> AttemptResult:
        host, track = _host_of(endpoint), self._track.value
        how = f"answered {response.status}"
        if outcome is Outcome.RETRY:
            self._outages.failed(host, track, how)
        elif outcome is Outcome.KEY_REFUSED:
            if endpoint.api_key is not None:
                how = f"refused the API key ({response.status})"
            self._outages.failed(host, track, how, final=True)
        else:
            self._outages.answered(host, track)
            # It may accept one path and refuse another, such as an agent without symbol uploads.
            route = host + path_of(endpoint, self._track)
            if outcome is Outcome.REJECTED and not speaks_of_payload(response.status):
                self._outages.failed(route, track, how, final=True)
            elif outcome is Outcome.DELIVERED:
                self._outages.answered(route, track)
        retry_after = parse_retry_after(response.retry_after, wall_clock(), response.date)
        return AttemptResult(
            outcome, f"{host} {how}", retry_after, crash=hints_at_crash(response.status)
        )

    def _drop_reason(self, outcome: Outcome) -> str | None:
        if outcome is Outcome.DELIVERED:
            return None
        if outcome is Outcome.RETRY:
            return "undeliverable" if self._deadline.of_retries() is None else "shutdown"
        return "rejected"

    def _copy_to_additional(self, batch: Batch) -> None:
        """Send a copy to the additional endpoints, once, after the primary's first attempt."""
        for endpoint in self._endpoints.endpoints_for(self._track)[1:]:
            request = self._requests.request(self._track, batch.items, endpoint)
            self._dual_shipping.worker(endpoint).put(request, batch.size)

    def _host(self) -> str:
        endpoints = self._endpoints.endpoints_for(self._track)
        return _host_of(endpoints[0]) if endpoints else ""

    def _connected(self) -> Transport:
        if self._transport is None:
            self._transport = self._new_transport()
        return self._transport


def _host_of(endpoint: Endpoint) -> str:
    return urlsplit(endpoint.url).netloc or endpoint.url
