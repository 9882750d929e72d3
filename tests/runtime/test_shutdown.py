from __future__ import annotations

import multiprocessing.util
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from servers import RawServer, RecordingServer, hang

from livedebug_sender import Endpoint, PayloadRejected, Sender, SenderConfig
from livedebug_sender.runtime import lazy_import as loading
from livedebug_sender.runtime import shutdown as lifecycle

Make = Callable[..., Sender]


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_live", {})


@pytest.mark.usefixtures("own_registry")
def test_at_exit_every_open_sender_is_closed() -> None:
    with RecordingServer() as intake:
        config = SenderConfig()
        config.set_endpoint(Endpoint(intake.url))
        senders = [Sender(config, linger=600) for _ in range(3)]
        for sender in senders:
            sender.enqueue("logs", b"{}")
        lifecycle.close_all()
        assert [sender.stats().delivered for sender in senders] == [1, 1, 1]
        assert not senders[0].enqueue("logs", b"{}")
        assert lifecycle._live == {}


@pytest.mark.usefixtures("own_registry")
def test_a_sender_let_go_of_with_nothing_to_do_is_forgotten() -> None:
    config = SenderConfig()
    config.set_endpoint(Endpoint("http://127.0.0.1:9"))
    sender = Sender(config)
    sender.stats()
    assert len(lifecycle._live) == 1
    del sender
    assert lifecycle._live == {}


@pytest.mark.usefixtures("own_registry")
def test_in_a_child_of_multiprocessing_its_own_exit_hook_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(multiprocessing.process, "parent_process", lambda: SimpleNamespace())
    monkeypatch.setattr(multiprocessing.util, "Finalize", lambda *args, **_: made.append(args))
    config = SenderConfig()
    config.set_endpoint(Endpoint("http://127.0.0.1:9"))
    Sender(config).stats()
    assert made[0][1] is lifecycle.close_all


def test_a_fork_waits_for_an_import_and_lets_go_afterwards() -> None:
    loading._before_fork()
    assert loading._fork_holds == [True]
    loading._after_fork()
    assert loading._fork_holds == []
    loading._after_fork()  # a fork from before the hooks were there


def test_a_child_of_a_closed_sender_is_closed_too(make_sender: Make) -> None:
    sender = make_sender("http://127.0.0.1:9")
    sender.close()
    assert sender._engine is not None
    sender._engine.mark = [0]  # as in a child
    sender._engines.clear()
    assert not sender.enqueue("logs", b"{}")
    assert sender.stats().dropped == {"closed": 1}
    assert "closed" in repr(sender)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_killed_worker_is_replaced_and_nothing_is_lost(make_sender: Make) -> None:
    with RecordingServer() as intake:
        sender = make_sender(intake.url)
        lane = sender._here()._lanes["logs"]  # type: ignore[index]
        real, killed = lane._primary.resume, []

        def die_once() -> None:
            if lane._primary.parts and not killed:
                killed.append(True)
                raise SystemExit
            real()

        lane._primary.resume = die_once  # type: ignore[method-assign]
        sender.enqueue("logs", b'{"n":1}')
        assert sender.flush(10)
        assert killed
        assert intake.elements() == [{"n": 1}]


def test_a_fault_of_our_own_is_retried_and_costs_the_batch_at_most(
    make_sender: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordingServer() as intake:
        sender = make_sender(intake.url, retry_for=0.2)
        lane = sender._here()._lanes["logs"]  # type: ignore[index]
        with monkeypatch.context() as patch:
            patch.setattr(lane._primary, "_attempt", lambda *a, **k: 1 / 0)
            sender.enqueue("logs", b"{}")
            assert sender.flush(10)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        stats = sender.stats()
        assert (stats.delivered, stats.dropped) == (1, {"undeliverable": 1})


def test_an_endpoint_taken_out_of_the_config_rejects_what_waits_for_it(make_sender: Make) -> None:
    with RecordingServer() as intake:
        sender = make_sender(intake.url, linger=600)
        sender.enqueue("logs", b"{}")
        sender._config._endpoints = dict.fromkeys(sender._config._endpoints, ())
        assert sender.flush(10)
        assert sender.stats().dropped == {"rejected": 1}


def test_a_stuck_additional_endpoint_is_left_at_the_timeout(make_sender: Make) -> None:
    with RecordingServer() as intake, RawServer(hang) as stuck:
        sender = make_sender(intake.url, additional=(Endpoint(stuck.url, timeout=0.2),))
        sender.enqueue("logs", b"{}")
        assert sender.close(5)
        assert sender.stats().additional_failed == 1


def test_a_rejection_survives_pickling() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(PayloadRejected(400, "no", "symdb")))
    assert (error.status, error.body, error.kind) == (400, "no", "symdb")


def test_without_wiping_pages_the_process_id_tells_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from livedebug_sender.runtime import fork as module

    monkeypatch.setattr(module, "_WIPE_ON_FORK", -12345)  # a kernel that knows it not
    mark = module.fork_mark()
    assert mark[0]
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert not mark[0]
