"""Message brokers of one's own: each in a temporary folder, on a free port. They can be killed and started again."""

import asyncio
import contextlib
import logging
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import time

import nats
import pika
import pytest

START_S = 90

# It tells of each connection that is refused, at length, and while a broker starts there are many.
logging.getLogger("pika").setLevel(logging.CRITICAL)


def free_ports(count):
    """Ports that nobody listens on, all different. Below those that the system gives to who calls: while a broker is away
    somebody calls its port all the time, and would sooner or later get that very port for himself and keep it."""
    ports = []
    while len(ports) < count:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as one:
            with contextlib.suppress(OSError):
                one.bind(("127.0.0.1", port))
                ports.append(port)
    return ports


class Broker:
    """A server that was started; `ready` says when it answers."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = None
        self.run()

    def run(self):
        command, environment = self.command()
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        env={**os.environ, **environment}, start_new_session=True)
        log.close()
        end = time.monotonic() + START_S
        while not self.ready():
            assert self.process.poll() is None and time.monotonic() < end, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.05)

    def kill(self):
        """SIGKILL, for all of its own processes and nobody else's."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.is_gone()

    def is_gone(self):
        """Only what was started here was waited for: what that has started takes connections until it is gone, too, and who finds
        it would take it for the next one."""
        end = time.monotonic() + START_S
        with contextlib.suppress(OSError):
            while True:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                assert time.monotonic() < end, "it was killed and still takes connections"
                time.sleep(0.01)

    def end(self):
        self.kill()


class Rabbit(Broker):
    PROGRAM = "/usr/lib/rabbitmq/bin/rabbitmq-server"

    def __init__(self, folder):
        self.port, self.register, self.distribution = free_ports(3)
        self.epmd = subprocess.Popen(["epmd", "-port", str(self.register), "-address", "127.0.0.1"],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}"
        super().__init__(folder)

    def command(self):
        (self.folder / "plugins").write_text("[].")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nlog.console = true\nlog.console.level = warning\n"
            "vm_memory_high_watermark.relative = 0.6\ndisk_free_limit.absolute = 50MB\n")
        return [self.PROGRAM], {
            "HOME": str(self.folder), "ERL_EPMD_PORT": str(self.register), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"doorbell-{self.port}@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port), "RABBITMQ_DIST_PORT": str(self.distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"), "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_LOGS": "-", "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"), "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins")}

    def ready(self):
        try:
            self.connect().close()
            return True
        except (pika.exceptions.AMQPError, OSError):
            return False

    def connect(self):
        return pika.BlockingConnection(pika.URLParameters(self.url))

    def has_written_down(self, queue):
        """Waits until a new quorum queue is in RabbitMQ's register of them, which it writes to disk some 3 s after the queue
        was declared (seen on 3.10.8). Killed before, it starts the queue as one that was never there: without what it had
        confirmed, and without ever choosing a leader, so that it confirms nothing any more."""
        register = lambda: b"".join(path.read_bytes() for path in self.folder.glob("data/*/quorum/*/names.dets"))
        end = time.monotonic() + START_S
        while f"_{queue}".encode() not in register():
            assert time.monotonic() < end, f"RabbitMQ does not write down that there is {queue}"
            time.sleep(0.05)

    def end(self):
        self.kill()
        self.epmd.kill()
        self.epmd.wait()


class Nats(Broker):
    PROGRAM = "nats-server"

    def __init__(self, folder):
        (self.port,) = free_ports(1)
        self.url = f"nats://127.0.0.1:{self.port}"
        super().__init__(folder)

    def command(self):
        (self.folder / "nats.conf").write_text(
            f'listen: "127.0.0.1:{self.port}"\njetstream {{ store_dir: "{self.folder / "data"}" }}\n')
        return [self.program(), "-c", str(self.folder / "nats.conf")], {}

    def program(self):
        return shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/sbin")

    def ready(self):
        try:
            self.do(lambda stream: stream.account_info())
            return True
        except Exception:  # Whatever a client that is cut off says.
            return False

    def do(self, what):
        """What comes of one thing done with JetStream."""
        async def doing():
            client = await nats.connect(self.url, connect_timeout=2, allow_reconnect=False)
            try:
                return await what(client.jetstream())
            finally:
                await client.close()
        return asyncio.run(doing())


def started(kind, folder, package):
    """A broker, or a skip that says what to install."""
    if not shutil.which(kind.PROGRAM, path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin"):
        pytest.skip(f"there is no {kind.PROGRAM}: install {package}")
    return kind(folder)


@pytest.fixture
def rabbit(tmp_path):
    broker = started(Rabbit, tmp_path / "rabbit", "rabbitmq-server")
    yield broker
    broker.end()


@pytest.fixture
def jetstream(tmp_path):
    broker = started(Nats, tmp_path / "nats", "nats-server")
    yield broker
    broker.end()
