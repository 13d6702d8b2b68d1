"""The consumers under recipes/, each against a broker of its own that is killed in between: every event is worked on once."""

import base64
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest

from brokers import jetstream, rabbit  # noqa: F401 (fixtures)
from conftest import ROOT, until
from test_queues import RESTART_S, RETRY, node

RECIPES = ROOT / "recipes"
BUILT = ROOT / "target" / "recipes"


def built_typescript():
    folder = BUILT / "typescript"
    shutil.copytree(RECIPES / "typescript", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
    if not (folder / "node_modules/.package-lock.json").exists():
        subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=True)
    subprocess.run(["npm", "run", "--silent", "build"], cwd=folder, check=True)
    return ["node", folder / "rabbitmq.js"]


def built_rust():
    command = ["cargo", "build", "--quiet", "--locked", "--manifest-path", RECIPES / "rust/Cargo.toml", "--target-dir", BUILT / "rust"]
    subprocess.run(command, check=True)
    return [BUILT / "rust/debug/doorbell-recipe"]


def sqlite_rows(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT event, body FROM orders").fetchall()


def lines(path):
    rows = [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
    return [(row["event"], base64.b64decode(row["body"])) for row in rows]


RABBIT = {
    "python": (lambda: [sys.executable, RECIPES / "python/rabbitmq.py"], sqlite_rows),
    "typescript": (built_typescript, lines),
    "rust": (built_rust, lines),
}


class Worker:
    """A consumer that runs."""

    def __init__(self, command, folder, **environment):
        self.log = folder / "worker.log"
        self.command, self.environment, self.folder = command, {**os.environ, **environment, "PYTHONDONTWRITEBYTECODE": "1"}, folder
        self.start()

    def start(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        until(f"the worker is ready: {self.log}", lambda: b"ready" in self.log.read_bytes())

    def kill(self):
        self.process.kill()
        self.process.wait()


def posts(doorbell, numbers):
    for number in numbers:
        assert doorbell.post("shop", [("content-type", "application/json")], b'{"n": %d}' % number).status < 300


@pytest.mark.parametrize("language", RABBIT)
def test_rabbitmq(tmp_path, rabbit, language):
    build, rows = RABBIT[language]
    command = build()
    channel = rabbit.connect().channel()
    channel.queue_declare("orders.dead", durable=True)
    channel.queue_declare("orders", durable=True, arguments={
        "x-queue-type": "quorum", "x-delivery-limit": 20, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "orders.dead"})
    doorbell = node(tmp_path / "node", rabbit=rabbit.url)
    doorbell.source("shop", provider="none")
    made = doorbell.endpoint("orders", "queue://rabbit/orders", retry=RETRY)
    database = tmp_path / "database"
    worker = Worker(command, tmp_path, AMQP_URL=rabbit.url, QUEUE="orders", WEBHOOK_SECRET=made["secret"], DATABASE=str(database))
    try:
        posts(doorbell, range(10))
        until("ten are done", lambda: len(rows(database)) == 10)
        # What nobody signed is put aside.
        channel.basic_publish("", "orders", b"forged")
        until("it is put aside", lambda: channel.queue_declare("orders.dead", passive=True).method.message_count == 1)
        # The same event twice is one.
        doorbell.api("POST", "/v1/replays", {"choice": {"endpoint": made["id"]}, "rate_per_second": 1000})
        doorbell.settled(20)
        worker.kill()
        posts(doorbell, range(10, 15))
        worker.start()
        rabbit.kill()
        posts(doorbell, range(15, 20))
        rabbit.run()
        until("all are done", lambda: len(rows(database)) == 20, RESTART_S)
        found = rows(database)
        assert sorted(bytes(body) for _, body in found) == sorted(b'{"n": %d}' % number for number in range(20))
        channel = rabbit.connect().channel()
        until("nothing waits", lambda: channel.queue_declare("orders", passive=True).method.message_count == 0, RESTART_S)
        assert len(rows(database)) == 20
    finally:
        worker.kill()
    assert doorbell.stop() == 0


def test_jetstream(tmp_path, jetstream):
    jetstream.do(lambda stream: stream.add_stream(name="ORDERS", subjects=["orders.>"]))
    doorbell = node(tmp_path / "node", nats=jetstream.url)
    doorbell.source("shop", provider="none")
    made = doorbell.endpoint("orders", "queue://nats/orders.{source}", retry=RETRY)
    database = tmp_path / "database"
    worker = Worker([sys.executable, RECIPES / "python/jetstream.py"], tmp_path, NATS_URL=jetstream.url, QUEUE="ORDERS", SUBJECT="orders.>",
                    WEBHOOK_SECRET=made["secret"], DATABASE=str(database))
    try:
        posts(doorbell, range(10))
        until("ten are done", lambda: len(sqlite_rows(database)) == 10)
        jetstream.do(lambda stream: stream.publish("orders.forged", b"forged"))
        jetstream.kill()
        posts(doorbell, range(10, 20))
        jetstream.run()
        until("all are done", lambda: len(sqlite_rows(database)) == 20, RESTART_S)
        assert sorted(body for _, body in sqlite_rows(database)) == sorted(b'{"n": %d}' % number for number in range(20))
    finally:
        worker.kill()
    assert doorbell.stop() == 0
