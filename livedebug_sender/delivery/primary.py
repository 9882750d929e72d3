"""A batch on its way to the primary endpoint: tried, retried, split, resolved."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ..errors import DeliveryError
from ..protocol.endpoint import Endpoint, path_of
from ..protocol.outcome import Outcome, outcome_of
from ..protocol.tracks import V2_PATH, V2_TRACKS, Track
from ..runtime import lazy_import
from .accounting import LaneBooks
from .batch import Batch
from .capacity import FLOODS
from .context import Context

if TYPE_CHECKING:
    from ..transport.transport import Transport


class OutOfTime(Exception):
    """The caller in whose thread a lane works has no time left; nothing is lost."""


class Verdict(NamedTuple):
    """What one attempt came to."""

    outcome: Outcome
    detail: str
    retry_after: str | None = None


class Primary:
    """Takes one lane's batches to the primary endpoint, one after the other."""

    def __init__(
        self,
        track: Track,
        context: Context,
        books: LaneBooks,
        pause: Callable[[float], None],
        deadline: Callable[[], float | None],
        is_over: Callable[[], bool],
        last_call: Callable[[], float | None],
    ) -> None:
        self._track = track
        self._context = context
        self._books = books
        self._pause = pause
        self._deadline = deadline
        self._is_over = is_over
        self._last_call = last_call
        self._transport: Transport | None = None
        #: What is in hand, the next one last: here, and not in a local variable, so
        #: that another thread can go on where one ended.
        self.parts: list[Batch] = []

    def resume(self) -> None:
        """Deliver all that is in hand. `OutOfTime` leaves the rest there."""
        while self.parts and not self._is_over():
            batch = self.parts[-1]
            try:
                verdict = self._try_for_long(batch)
            except OutOfTime:
                raise
            except Exception as error:  # our own bug must not stop the lane
                verdict = Verdict(Outcome.RETRY, f"{type(error).__name__}: {error}")
            if self._is_over():
                return
            self.parts.pop()
            if verdict.outcome is Outcome.SPLIT:
                first, second = batch.halves()
                self.parts += [second, first]
            else:
                self._settle(batch, verdict)

    def abort(self) -> None:
        """Cut the request under way, so that its thread comes back."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _try_for_long(self, batch: Batch) -> Verdict:
        """Try until there is an answer to act on, or the batch's time is over."""
        if batch.tried_at is None:
            batch.tried_at = self._context.clock()
            fresh = True
        else:
            fresh = False
        attempts = 0

        def attempt() -> Verdict:
            nonlocal attempts
            attempts += 1
            verdict = self._attempt_or_fault(batch, retry=attempts > 1)
            if fresh and attempts == 1:
                self._hand_on(batch)
            return verdict

        verdict: Verdict = lazy_import.load("livedebug_sender.delivery.retry", "try_for_long")(
            attempt,
            again=lambda verdict: verdict.outcome is Outcome.RETRY,
            asked_to_wait=lambda verdict: verdict.retry_after,
            give_up_at=batch.tried_at + self._context.options.retry_for,
            last_call=self._last_call,
            pause=self._pause,
            clock=self._context.clock,
        )
        return verdict

    def _attempt_or_fault(self, batch: Batch, *, retry: bool) -> Verdict:
        if self._is_over():
            return Verdict(Outcome.RETRY, "the sender was closed")
        try:
            return self._attempt(batch, retry=retry)
        except OutOfTime:
            raise
        except Exception as error:  # no file descriptor for an import, our own bug, ...
            detail = f"{type(error).__name__}: {error}"
            self._context.problems.note(
                ("fault", type(error).__name__), f"an attempt failed, trying again: {detail}"
            )
            return Verdict(Outcome.RETRY, detail)

    def _attempt(self, batch: Batch, *, retry: bool) -> Verdict:
        """One request, or two where the first shows that the agent lacks v2."""
        endpoints = self._context.config.endpoints_for(self._track)
        if not endpoints:
            return Verdict(Outcome.REJECTED, "its endpoint was taken out of the config")
        agent_v2 = path_of(endpoints[0], self._track) == V2_PATH
        if not agent_v2 and self._context.config.downgraded and self._track in V2_TRACKS:
            self._context.agent_watch.recheck(self._connected(), endpoints[0], self._deadline())
            endpoints = self._context.config.endpoints_for(self._track)
            agent_v2 = path_of(endpoints[0], self._track) == V2_PATH
        verdict = self._post(batch, endpoints[0], agent_v2, retry)
        if agent_v2 and self._is_downgrade(verdict, endpoints[0]):
            self._context.agent_watch.downgrade(_host(endpoints[0]))
            endpoints = self._context.config.endpoints_for(self._track)
            verdict = self._post(batch, endpoints[0], False, True)
        return verdict

    def _is_downgrade(self, verdict: Verdict, agent: Endpoint) -> bool:
        if verdict.outcome is Outcome.DOWNGRADE:
            return True
        # Another refusal may still be an old agent's, behind a proxy, say: ask it.
        return verdict.outcome in (Outcome.REJECTED, Outcome.KEY_REFUSED) and (
            self._context.agent_watch.lacks_v2(self._connected(), agent, self._deadline())
        )

    def _post(self, batch: Batch, endpoint: Endpoint, agent_v2: bool, retry: bool) -> Verdict:
        request = self._context.new_request(self._track, batch, endpoint)
        with self._books as books:
            books.requests += 1
            books.retries += retry
            books.bytes_sent += len(request.body)
        host = _host(endpoint)
        try:
            answer = self._connected().post(request, deadline=self._deadline())
        except DeliveryError as error:
            self._context.problems.note(
                ("no answer", host), f"no answer from {host}, trying again: {error}"
            )
            return Verdict(Outcome.RETRY, str(error))
        outcome = outcome_of(answer.status, payloads=len(batch.items), agent_v2=agent_v2)
        detail = f"{host} answered {answer.status}"
        if outcome is Outcome.RETRY:
            self._context.problems.note(("retry", host, answer.status), f"{detail}, trying again")
        if outcome is Outcome.KEY_REFUSED:
            detail = f"{host} refused the API key ({answer.status})"
        return Verdict(outcome, detail, answer.retry_after)

    def _settle(self, batch: Batch, verdict: Verdict) -> None:
        reason = self._lost_as(verdict.outcome)
        count = len(batch.items)
        with self._books as books:
            if self._is_over():  # whoever closed the sender has counted it already
                return
            self._context.room.give_back(count, batch.size, self._track in FLOODS)
            books.resolve(count, batch.size, reason)
        try:
            if reason is not None:
                self._context.drops.tell(self._track.value, reason, count, verdict.detail)
        finally:
            self._books.settle(count)

    def _lost_as(self, outcome: Outcome) -> str | None:
        if outcome is Outcome.DELIVERED:
            return None
        if outcome is Outcome.RETRY:
            return "undeliverable" if self._last_call() is None else "shutdown"
        return "rejected"

    def _hand_on(self, batch: Batch) -> None:
        """Give the additional endpoints their copy, once, after the primary's first try."""
        for endpoint in self._context.config.endpoints_for(self._track)[1:]:
            request = self._context.new_request(self._track, batch, endpoint)
            self._context.dual_shipping.courier(endpoint).offer(request, batch.size)

    def _connected(self) -> Transport:
        if self._transport is None:
            self._transport = self._context.new_transport()
        return self._transport


def _host(endpoint: Endpoint) -> str:
    return urlsplit(endpoint.url).netloc or endpoint.url
