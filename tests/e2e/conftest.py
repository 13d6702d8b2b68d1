"""What the end-to-end tests stand on: the real binary, a receiver, and the judges from PyPI and npm.

`cargo xtask e2e` builds the binary, installs the judges and sets the variables that are read here.
"""

import base64
import contextlib
import hashlib
import http.client
import http.server
import itertools
import json
import os
import pathlib
import signal
import subprocess
import threading
import time

import pytest

# Run when they are named: `cargo xtask e2e -- test_recipes.py` builds in three languages and restarts brokers,
# `cargo xtask e2e --store postgres --inbox sqs -- test_bodies.py` wants both, and `cargo xtask e2e -- test_boot.py` boots
# systemd, which not every machine allows.
collect_ignore = ["test_recipes.py", "test_bodies.py", "test_boot.py"]

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTDATA = ROOT / "testdata"
BINARY = os.environ["DOORBELL"]
CONFIGURATION = os.environ["DOORBELL_CONFIGURATION"]
PATIENCE_S = 20

GITHUB_SECRET = "It's a Secret to Everybody"


def payload(name):
    return (TESTDATA / "payloads" / name).read_bytes()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def until(what, condition, patience_s=PATIENCE_S):
    """Waits until the condition gives something, and gives that."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {patience_s} s: {what}")


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


def send(base, method, path, headers=(), body=b""):
    """One request with exactly these header lines, in this order."""
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=PATIENCE_S)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    connection.putheader("content-length", str(len(body)))
    connection.endheaders(body)
    with contextlib.closing(connection):
        return Answer(connection.getresponse())


class Received:
    """One request that the receiver got."""

    def __init__(self, method, path, headers, body):
        self.method, self.path, self.lines, self.body = method, path, headers, body

    def header(self, name):
        return next((value for key, value in self.lines if key == name), None)

    def webhook_headers(self):
        return {name: value for name, value in self.lines if name.startswith("webhook-")}


class Receiver:
    """A server on loopback that keeps what it gets; `script` gives the statuses of the next answers, then 200."""

    def __init__(self):
        self.got, self.script, self.lock = [], [], threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def any_method(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                lines = [(name.lower(), value) for name, value in self.headers.items()]
                with receiver.lock:
                    receiver.got.append(Received(self.command, self.path, lines, body))
                    status = receiver.script.pop(0) if receiver.script else 200
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            do_POST = do_PUT = do_GET = do_PATCH = do_DELETE = any_method

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count=1):
        until(f"{count} requests at the receiver", lambda: len(self.got) >= count)
        return self.got

    def stays(self, count):
        """Nothing more comes: called after something later has already gone the same way."""
        assert len(self.got) == count, [item.header("webhook-id") for item in self.got]


# Where nodes are to keep their events: a PostgreSQL, or, when there is none, each in its own folder.
DATABASE, PSQL = os.environ.get("DOORBELL_E2E_DATABASE"), os.environ.get("DOORBELL_E2E_PSQL")
NUMBERS = itertools.count()


def own_database():
    """The flags for a database of one's own."""
    if not DATABASE:
        return []
    name = f"e2e_{next(NUMBERS)}"
    subprocess.run([PSQL, "--quiet", "--command", f"CREATE DATABASE {name}", DATABASE], check=True)
    return ["--store", DATABASE.rsplit("/", 1)[0] + "/" + name]


# A broker that stands before the store, if any.
INBOX = os.environ.get("DOORBELL_E2E_INBOX")


def own_inbox():
    """The flags for a queue of one's own."""
    if not INBOX:
        return []
    name, scheme = f"inbox-{next(NUMBERS)}", INBOX.split(":")[0]
    if scheme == "amqp":
        return ["--inbox", f"{INBOX}?queue={name}"]
    if scheme == "nats":
        return ["--inbox", f"{INBOX}{name}?stream={name}"]
    import boto3
    address = "http://" + INBOX.split("@")[1].split("/")[0]
    sqs = boto3.client("sqs", endpoint_url=address, region_name="us-east-1", aws_access_key_id="test",
                       aws_secret_access_key="test")
    sqs.create_queue(QueueName=f"{name}.fifo", Attributes={"FifoQueue": "true"})
    return ["--inbox", f"{INBOX}/{name}.fifo"]


class Doorbell:
    """A running `doorbell serve`."""

    def __init__(self, folder, environment=None, settings=""):
        self.folder, self.token, self.environment = pathlib.Path(folder), None, environment or {}
        self.store = own_database() + own_inbox()
        (self.folder / "doorbell.toml").write_text(CONFIGURATION + settings)
        self.start()

    def start(self):
        self.log = open(self.folder / "node.log", "ab")
        self.process = subprocess.Popen(
            [BINARY, "serve", "--json", "--data", self.folder / "data", "--config", self.folder / "doorbell.toml",
             "--ingest-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", *self.store],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, env={**os.environ, **self.environment})
        line = self.process.stdout.readline()
        assert line, f"the node ended at its start: {(self.folder / 'node.log').read_text()[-2000:]}"
        self.ready = json.loads(line)
        self.token = self.ready.get("token") or self.token
        self.ingest, self.admin = self.ready["ingest"], self.ready["admin"]

    def stop(self):
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=PATIENCE_S)
        self.process.stdout.close()
        self.log.close()
        return status

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()

    def command(self, *words):
        """Another verb of the binary, against this node."""
        environment = {**os.environ, "DOORBELL_TOKEN": self.token, "DOORBELL_URL": self.admin}
        return subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=60, env=environment)

    def ask(self, method, path, body=None):
        """An API call, whatever its answer."""
        headers = [("authorization", f"Bearer {self.token}"), ("content-type", "application/json")]
        data = b"" if body is None else json.dumps(body).encode()
        return send(self.admin, method, path, headers, data)

    def api(self, method, path, body=None):
        """An API call that must succeed; its JSON."""
        answer = self.ask(method, path, body)
        assert 200 <= answer.status < 300, (method, path, answer.status, answer.body)
        return answer.json() if answer.body else None

    def source(self, name, **settings):
        return self.api("POST", "/v1/sources", {"name": name, **settings})

    def endpoint(self, name, url, **settings):
        return self.api("POST", "/v1/endpoints", {"name": name, "url": url, **settings})

    def post(self, source, headers, body, rest="", method="POST"):
        """One request to a source."""
        return send(self.ingest, method, f"/in/{source}{rest}", headers, body)

    def deliveries(self, **filters):
        query = "&".join(f"{name}={value}" for name, value in filters.items())
        return self.api("GET", f"/v1/deliveries?{query}")["data"]

    def settled(self, count, **filters):
        """Waits until so many deliveries are settled, and gives all."""
        done = ("delivered", "failed", "discarded")
        def condition():
            rows = self.deliveries(**filters)
            return rows if sum(row["state"] in done for row in rows) >= count else None
        return until(f"{count} settled deliveries", condition)


class Judges:
    """The libraries from npm, behind one process."""

    def __init__(self):
        script = pathlib.Path(__file__).with_name("judges.mjs")
        self.process = subprocess.Popen(["node", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, judge, op, secret, body, headers=None):
        asked = {"judge": judge, "op": op, "secret": secret, "body": base64.b64encode(body).decode(), "headers": headers or {}}
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "fault" not in answer, answer
        return answer["value"]


@pytest.fixture(scope="session")
def npm():
    judges = Judges()
    yield judges
    judges.process.stdin.close()
    judges.process.wait(timeout=PATIENCE_S)


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture
def doorbell(tmp_path):
    node = Doorbell(tmp_path)
    yield node
    if node.process.poll() is None:
        assert node.stop() == 0, "SIGTERM ends the node with success"


def github_headers(npm, body, delivery, event="push", secret=GITHUB_SECRET):
    """The header lines of a GitHub delivery, signed by GitHub's own library."""
    signature = npm.ask("octokit", "sign", secret, body)["x-hub-signature-256"]
    return [
        ("Accept", "*/*"),
        ("Content-Type", "application/json"),
        ("User-Agent", "GitHub-Hookshot/044aadd"),
        ("X-GitHub-Delivery", delivery),
        ("X-GitHub-Event", event),
        ("X-GitHub-Hook-ID", "292430182"),
        ("X-Hub-Signature-256", signature),
    ]
