"""A real Kafka for tests: from its Maven artefacts, on loopback, on free ports.

One broker, or several that replicate to each other. Nothing is installed: Maven resolves
the jars once into its own repository, and the class path is kept in a cache folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import free_port
from waiting import until

KAFKA = "4.3.0"
ARTEFACTS = (
    ("org.apache.kafka", "kafka_2.13", KAFKA),
    ("org.apache.kafka", "kafka-tools", KAFKA),
    ("org.slf4j", "slf4j-reload4j", "1.7.36"),
)
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "livedebug-sender-tests"
# For a broker that starts quickly rather than one that runs quickly for weeks.
_JAVA = ("java", "-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class KafkaUnavailable(Exception):
    """Kafka can't be started here; says why."""


def class_path() -> str:
    """The class path of Kafka, resolved by Maven once.

    Raises:
        KafkaUnavailable: without Java or Maven, or if Maven can't fetch the artefacts.
    """
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise KafkaUnavailable(f"no {program}: Kafka needs Java 17 and Maven")
    folder = CACHE / f"kafka-{KAFKA}"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "classpath"
    with _locked(folder / "lock"):
        if not kept.exists() or not all(map(os.path.exists, kept.read_text().split(os.pathsep))):
            (folder / "pom.xml").write_text(_pom())
            found = folder / "found"
            goal = ("dependency:build-classpath", f"-Dmdep.outputFile={found}")
            done = subprocess.run(
                ["mvn", "-q", "-B", *goal],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            if done.returncode != 0:
                last = done.stdout.strip().splitlines()[:1]
                raise KafkaUnavailable(f"Maven did not get Kafka {KAFKA}: {' '.join(last)}")
            found.replace(kept)
    return kept.read_text().strip()


def _pom() -> str:
    dependencies = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>"
        f"<version>{version}</version></dependency>"
        for group, name, version in ARTEFACTS
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>tests</groupId><artifactId>kafka</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Broker:
    """One Kafka node, broker and controller in one process, and its folder."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or start it again with what it had on its disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = self.folder / "server.properties"
        lines = [f"{name}={value}\n" for name, value in self.settings.items()]
        properties.write_text("".join(lines))
        (self.folder / "log4j.properties").write_text(_LOG4J)
        if not (self.folder / "data" / "meta.properties").exists():
            # The same id for all nodes of a cluster.
            arguments = ("format", "-t", "AAAAAAAAQACAAAAAAAAAAQ", "-c", str(properties))
            self._java("kafka.tools.StorageTool", *arguments).wait(120)
        self._process = self._java("kafka.Kafka", str(properties))

    def _java(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        log4j = f"-Dlog4j.configuration=file:{self.folder / 'log4j.properties'}"
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*_JAVA, log4j, "-cp", class_path(), name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP and SIGCONT: a broker that hangs, and then goes on."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """``kill -9``."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def has_ended(self) -> bool:
        """By itself."""
        return self._process is not None and not self.running


def _secure(certificate: str) -> dict[str, object]:
    listener = "listener.name.secure."
    return {
        f"{listener}sasl.enabled.mechanisms": "PLAIN",
        f"{listener}plain.sasl.jaas.config": "org.apache.kafka.common.security.plain."
        'PlainLoginModule required user_forwarder="s3cret";',
        f"{listener}ssl.keystore.type": "PEM",
        f"{listener}ssl.keystore.location": certificate,
    }


_LOG4J = """log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %m (%c)%n
"""


class Cluster:
    """Some brokers that make one Kafka; a context manager.

    Args:
        folder: for their data and logs.
        count: of brokers.
        listen: a second address of this machine to listen on, beside loopback.
        certificate: a PEM file of key (PKCS #8) and chain; with it there is a listener for
            SASL over TLS on loopback, for the user "forwarder" with the password "s3cret".
        settings: further ones, of every broker.
    """

    def __init__(
        self,
        folder: Path,
        count: int = 1,
        *,
        listen: str = "",
        certificate: str = "",
        **settings: object,
    ) -> None:
        ports = [free_port() for _ in range(count)]
        controllers = [free_port() for _ in range(count)]
        voters = ",".join(f"{n + 1}@127.0.0.1:{port}" for n, port in enumerate(controllers))
        replicas = str(min(count, 3))
        self.hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        self.far_hosts = ""
        self.secure_hosts = ""
        self.brokers = []
        for n, (port, controller) in enumerate(zip(ports, controllers, strict=True)):
            advertised = f"PLAINTEXT://127.0.0.1:{port}"
            if listen:
                far = free_port()
                advertised += f",FAR://{listen}:{far}"
                self.far_hosts += f"{',' * bool(self.far_hosts)}{listen}:{far}"
            if certificate:
                secure = free_port()
                advertised += f",SECURE://127.0.0.1:{secure}"
                self.secure_hosts += f"{',' * bool(self.secure_hosts)}127.0.0.1:{secure}"
            own: dict[str, object] = {
                "process.roles": "broker,controller",
                "node.id": n + 1,
                "controller.quorum.voters": voters,
                "listeners": f"{advertised},CONTROLLER://127.0.0.1:{controller}",
                "advertised.listeners": advertised,
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,FAR:PLAINTEXT,"
                "CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
                **(_secure(certificate) if certificate else {}),
                "inter.broker.listener.name": "PLAINTEXT",
                "controller.listener.names": "CONTROLLER",
                "log.dirs": folder / f"broker-{n + 1}" / "data",
                "offsets.topic.replication.factor": replicas,
                "offsets.topic.num.partitions": 4,
                "transaction.state.log.replication.factor": replicas,
                "transaction.state.log.min.isr": 1,
                "group.initial.rebalance.delay.ms": 0,
                "group.min.session.timeout.ms": 1000,
                "auto.create.topics.enable": "false",
                "num.network.threads": 2,
                "num.io.threads": 4,
                "log.cleaner.enable": "false",
                # A broker that is gone is noticed soon.
                "broker.session.timeout.ms": 4000,
                "broker.heartbeat.interval.ms": 500,
                **{name.replace("_", "."): value for name, value in settings.items()},
            }
            node = Broker(folder / f"broker-{n + 1}", {k: str(v) for k, v in own.items()})
            self.brokers.append(node)

    def __enter__(self) -> Cluster:
        try:
            for broker in self.brokers:
                broker.start()
            self.wait_until_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for broker in self.brokers:
            broker.kill()

    def wait_until_ready(self, patience: float = 90) -> None:
        """Until all the running brokers know of each other."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": self.hosts, "log_level": 0})
        wanted = sum(broker.running for broker in self.brokers)

        def ready() -> bool:
            assert not any(b.has_ended for b in self.brokers), "a broker ended; see its log"
            try:
                return len(admin.list_topics(timeout=2).brokers) >= wanted
            except KafkaException:
                return False

        assert until(ready, patience), "Kafka did not start"


@contextlib.contextmanager
def shared_broker() -> Iterator[str]:
    """``host:port`` of one broker for all test processes of a run; the first one starts it.

    It ends after the last of them, however that ends: its own process waits for the end of
    a pipe that all of them hold open. Skips the test where there can be no Kafka.
    """
    skip_without_kafka()
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    folder = Path(tempfile.gettempdir()) / f"livedebug-kafka-{run}"
    folder.mkdir(exist_ok=True)
    pipe, hosts = folder / "users", folder / "hosts"
    with _locked(folder / "lock"):
        if not pipe.exists():
            os.mkfifo(pipe)
        try:
            user = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads it: there is no broker yet, or no more
            hosts.unlink(missing_ok=True)
            with (folder / "log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, __file__, str(folder)],
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            user = os.open(pipe, os.O_WRONLY)
            assert until(lambda: hosts.exists() or process.poll() is not None, 120)
            assert hosts.exists(), f"no broker; see {folder}"
    try:
        yield hosts.read_text()
    finally:
        os.close(user)


_kept = contextlib.ExitStack()


@functools.cache
def shared_hosts() -> str:
    """`shared_broker`, until this process ends."""
    return _kept.enter_context(shared_broker())


def new_topic(hosts: str, partitions: int = 12, replicas: int = 1, **settings: str) -> str:
    """The URL of a new topic, and of no group's."""
    from confluent_kafka.admin import AdminClient, NewTopic

    name = f"t-{uuid.uuid4().hex[:12]}"
    config = {key.replace("_", "."): value for key, value in settings.items()}
    admin = AdminClient({"bootstrap.servers": hosts})
    new = NewTopic(name, partitions, replicas, config=config)
    admin.create_topics([new])[name].result(30)
    return f"kafka://{hosts}/{name}"


def _serve_until_unused(folder: Path) -> None:
    with (folder / "users").open("rb") as users:
        try:
            with Cluster(folder / "cluster") as cluster:
                (folder / "hosts.new").write_text(cluster.hosts)
                (folder / "hosts.new").replace(folder / "hosts")
                users.read()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def skip_without_kafka() -> None:
    if os.environ.get("LIVEDEBUG_TEST_KAFKA") == "no":
        pytest.skip("real brokers are started by tox -e kafka")
    pytest.importorskip("confluent_kafka", reason="no confluent-kafka")
    try:
        class_path()
    except KafkaUnavailable as reason:
        pytest.skip(str(reason))


if __name__ == "__main__":
    _serve_until_unused(Path(sys.argv[1]))
