"""Nothing that was confirmed is lost, whatever is killed or cut off. Long: tox -e kafka."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("confluent_kafka", reason="no confluent-kafka")

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from kafka_broker import Cluster, new_topic, skip_without_kafka
from kafka_load import Clients, ForwarderProcess, Intake, forwarder_processes
from queue_kinds import ROUTE, QueueMaker, a_request, queue_options
from waiting import until

from livedebug_sender import ConfigError
from livedebug_sender.forwarder.queue.opening import open_queue
from livedebug_sender.forwarder.queue.request_queue import QueueUnavailable

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(
        not os.environ.get("LIVEDEBUG_TEST_KAFKA"), reason="takes minutes: tox -e kafka"
    ),
]

MiB = 2**20
#: Seconds for a put, and for the answer around it.
PUT_TIMEOUT = 10.0
SLACK = 5.0


@pytest.fixture
def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One broker, or as many as the test's parameter says."""
    skip_without_kafka()
    with Cluster(tmp_path / "kafka", getattr(request, "param", 1)) as started:
        yield started


def test_forwarders_that_are_killed_lose_nothing(cluster, tmp_path):
    url = new_topic(cluster.hosts)
    with Intake() as intake, forwarder_processes(2, intake.url, url, tmp_path) as forwarders:
        with Clients(forwarders) as clients:
            for n in range(6):
                intake.down = n % 2 == 0
                clients.wait_for(100)
                arrived = len(intake.arrived)
                # In the middle of deliveries, where there are any.
                assert intake.down or until(lambda: len(intake.arrived) > arrived + 50, 90)  # noqa: B023
                victim = forwarders[n % 2]
                victim.kill()
                clients.wait_for(30)
                victim.start()
        intake.down = False
        print(intake.check(clients))


def test_a_broker_that_is_killed_and_comes_back_loses_nothing(cluster, tmp_path):
    url = new_topic(cluster.hosts)
    (broker,) = cluster.brokers
    with Intake() as intake, forwarder_processes(1, intake.url, url, tmp_path) as forwarders:
        with Clients(forwarders) as clients:
            for n in range(3):
                intake.down = n == 1
                clients.wait_for(150)
                broker.kill()
                refused = clients.answers[503]
                assert until(lambda: clients.answers[503] > refused + 20, 60)  # noqa: B023
                broker.start()
                clients.wait_for(150)
        intake.down = False
        print(intake.check(clients))
        assert set(clients.answers) <= {202, 503}
        assert clients.slowest < PUT_TIMEOUT + SLACK
        assert forwarders[0].stop() == 0


def test_a_stop_while_the_broker_is_away_ends_in_time_and_loses_nothing(cluster, tmp_path):
    url = new_topic(cluster.hosts)
    (broker,) = cluster.brokers
    with Intake() as intake, contextlib.ExitStack() as stack:
        forwarders = forwarder_processes(1, intake.url, url, tmp_path, "--grace", "4")
        (forwarder,) = stack.enter_context(forwarders)
        intake.down = True
        with Clients([forwarder], count=2) as clients:
            clients.wait_for(100)
        broker.kill()
        begun = time.monotonic()
        assert forwarder.stop() == 0
        assert time.monotonic() - begun < 4 + SLACK
        intake.down = False
        broker.start()
        cluster.wait_until_ready()
        forwarder.start()
        print(intake.check(clients))


@pytest.mark.parametrize("cluster", [3], indirect=True)
def test_one_of_three_brokers_that_is_killed_loses_nothing_and_stops_nothing(cluster, tmp_path):
    url = new_topic(cluster.hosts, replicas=3, min_insync_replicas="2")
    options = ("--kafka-min-replicas", "3")
    with Intake() as intake:
        processes = forwarder_processes(2, intake.url, url, tmp_path, *options)
        with processes as forwarders, Clients(forwarders) as clients:
            for broker in cluster.brokers:
                clients.wait_for(200)
                broker.kill()
                clients.wait_for(400)
                broker.start()
                cluster.wait_until_ready()
            clients.stop()
            print(intake.check(clients))
            assert clients.slowest < PUT_TIMEOUT + SLACK


def test_a_broker_that_hangs_is_a_503_in_bounded_time(cluster):
    url = new_topic(cluster.hosts)
    (broker,) = cluster.brokers
    queue = open_queue(url, queue_options(put_timeout=3.0))
    try:
        queue.put(a_request(b"before"))
        broker.signal(signal.SIGSTOP)
        times = []

        def is_refused(_: int) -> None:
            begun = time.monotonic()
            with pytest.raises(QueueUnavailable) as refused:
                queue.put(a_request())
            times.append(time.monotonic() - begun)
            assert refused.value.retry_after > 0

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(is_refused, range(300)))
        assert max(times) < 3.0 + 2.0
        # Once that is known, they are refused at once, but for one that tries.
        assert sum(seconds > 0.5 for seconds in times) < 60
        broker.signal(signal.SIGCONT)

        def confirmed() -> bool:
            try:
                queue.put(a_request(b"after"))
            except QueueUnavailable:
                return False
            return True

        assert until(confirmed, 60)
        bodies = set()
        while bodies < {b"before", b"after"}:
            taken = queue.take(ROUTE, 60)
            bodies.add(taken.request.body)
            queue.acknowledge(taken)
    finally:
        broker.signal(signal.SIGCONT)
        queue.close(5.0)


def test_the_largest_bodies_survive_kills_in_bounded_memory(cluster, tmp_path):
    url = new_topic(cluster.hosts)
    sizes = (25 * MiB - 100, 5 * MiB)
    with Intake() as intake, forwarder_processes(1, intake.url, url, tmp_path) as forwarders:
        intake.down = True
        with Clients(forwarders, count=3, sizes=sizes, pause=0.1) as clients:
            clients.wait_for(15)
            forwarders[0].kill()
            forwarders[0].start()
            clients.wait_for(15)
        intake.down = False
        figures = intake.check(clients)
        peak = forwarders[0].peak_memory()
        print(figures, f"peak memory {peak / MiB:.0f} MiB")
        assert max(intake.sizes.values()) > 25 * MiB - 200
        assert peak < 1000 * MiB


def test_while_nobody_takes_the_group_keeps_its_member(cluster, tmp_path, caplog):
    path = tmp_path / "properties"
    path.write_text("max.poll.interval.ms=6000\nsession.timeout.ms=6000\n")
    path.chmod(0o600)
    caplog.set_level("INFO")
    maker = QueueMaker(new_topic(cluster.hosts))
    try:
        queue = maker(kafka_config=str(path))
        queue.put(a_request(b"x" * MiB))
        first = queue.take(ROUTE, 30)
        for _ in range(60):
            queue.put(a_request(b"x" * MiB))
        time.sleep(15)  # more than twice both of its limits: that is what is tested
        queue.acknowledge(first)
        for _ in range(60):
            queue.acknowledge(queue.take(ROUTE, 30))
        assert until(lambda: queue.stats().items == 0)
        assert caplog.text.count("assigned partitions") == 1
        assert queue.stats().redelivered == 0
    finally:
        maker.close()


def test_tls_and_sasl_come_from_the_properties_and_a_wrong_password_is_not_shown(
    tmp_path, authority: trustme.CA, caplog
):
    skip_without_kafka()
    issued = authority.issue_cert("127.0.0.1")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    certificate = tmp_path / "broker.pem"
    certificate.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + b"".join(one.bytes() for one in issued.cert_chain_pems)
    )
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    properties = tmp_path / "properties"

    def config(password: str) -> str:
        properties.write_text(
            "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.username=forwarder\n"
            f"sasl.password={password}\nssl.ca.location={tmp_path / 'ca.pem'}\n"
        )
        properties.chmod(0o600)
        return str(properties)

    with Cluster(tmp_path / "kafka", certificate=str(certificate)) as cluster:
        url = f"kafka://{cluster.secure_hosts}/secured"
        queue = open_queue(url, queue_options(kafka_config=config("s3cret")))
        queue.put(a_request(b"secured"))
        assert queue.take(ROUTE, 30).request.body == b"secured"
        queue.close(5.0)
        with pytest.raises(ConfigError) as refused:
            open_queue(url, queue_options(kafka_config=config("hunter2")))
    assert "hunter2" not in str(refused.value) + caplog.text


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def namespace() -> Iterator[tuple[str, str, str, str]]:
    """A network namespace with two cables to here.

    Its name; its address; ours on the same cable; ours on the other one, which is the
    interface ``NAME-b`` here.
    """
    name = f"ldq{os.getpid() % 100_000}"
    net = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
    addresses = {"a": (f"{net}.1", f"{net}.2"), "b": (f"{net}.5", f"{net}.6")}
    try:
        ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no network namespaces here (needs root and iproute2)")
    try:
        for cable, (here, there) in addresses.items():
            ends = (f"{name}-{cable}", f"{name}-{cable}n")
            ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", name)
            ip("addr", "add", f"{here}/30", "dev", ends[0])
            ip("link", "set", ends[0], "up")
            ip("-n", name, "addr", "add", f"{there}/30", "dev", ends[1])
            ip("-n", name, "link", "set", ends[1], "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield name, addresses["a"][1], addresses["a"][0], addresses["b"][0]
    finally:
        ip("netns", "del", name)


def test_a_forwarder_that_is_cut_off_from_the_broker_loses_nothing(tmp_path):
    skip_without_kafka()
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("no network namespaces here (needs root and iproute2)")
    with contextlib.ExitStack() as stack:
        name, there, here, to_broker = stack.enter_context(namespace())
        cluster = stack.enter_context(Cluster(tmp_path / "kafka", listen=to_broker))
        with Intake(here) as intake:
            topic = new_topic(cluster.hosts).rpartition("/")[2]
            forwarder = ForwarderProcess(
                intake.url,
                f"kafka://{cluster.far_hosts}/{topic}",
                tmp_path / "log",
                host=there,
                within=("ip", "netns", "exec", name),
            )
            try:
                forwarder.start()
                with Clients([forwarder]) as clients:
                    for n in range(3):
                        intake.down = n == 1
                        clients.wait_for(150)
                        ip("link", "set", f"{name}-b", "down")
                        refused = clients.answers[503]
                        assert until(lambda: clients.answers[503] > refused + 20, 60)  # noqa: B023
                        ip("link", "set", f"{name}-b", "up")
                        clients.wait_for(150)
                intake.down = False
                print(intake.check(clients))
                assert set(clients.answers) <= {202, 503}
                assert clients.slowest < PUT_TIMEOUT + SLACK
            finally:
                if forwarder.process is not None:
                    forwarder.kill()
