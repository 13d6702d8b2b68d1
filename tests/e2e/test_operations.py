"""What whoever runs a node sees of it: metrics, alerts, traces, logs, health. Prometheus' and OpenTelemetry's own code judges."""

import base64
import contextlib
import http.server
import json
import pathlib
import shutil
import signal
import subprocess
import threading

import pytest
from conftest import BINARY, DATABASE, ROOT, Doorbell, send, until
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from prometheus_client.parser import text_string_to_metric_families

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNRECORDED = "00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b8-00"
JSON = ("content-type", "application/json")


@contextlib.contextmanager
def node(folder, **environment):
    folder.mkdir(exist_ok=True)
    running = Doorbell(folder, environment)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            assert running.stop() == 0


def promtool():
    tool = shutil.which("promtool")
    if not tool:
        pytest.skip("promtool is in Debian's package prometheus")
    return tool


def scrape(doorbell, token=None):
    answer = send(doorbell.admin, "GET", "/metrics", [("authorization", f"Bearer {token or doorbell.token}")])
    assert answer.status == 200
    return answer.body.decode()


def value(text, name, **labels):
    """The sum of the samples that have these labels."""
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples if s.name == name]
    fitting = [s.value for s in samples if all(s.labels.get(key) == word for key, word in labels.items())]
    return sum(fitting) if fitting else None


def test_metrics_say_what_happened(doorbell, receiver):
    doorbell.source("in", provider="none")
    app = doorbell.endpoint("app", receiver.url, retry={"schedule": ["0s", "1h"]})
    receiver.script = [500]
    for number in range(3):
        assert doorbell.post("in", [JSON], b'{"n":%d}' % number).status == 202
    until("all were tried", lambda: len(receiver.got) >= 3)
    until("two are delivered", lambda: value(scrape(doorbell), "doorbell_deliveries_settled_total", state="delivered") == 2)
    # What is in the store is counted now and then.
    counted = lambda: (t := scrape(doorbell)) and value(t, "doorbell_endpoint_waiting", endpoint=app["id"]) == 1 and t
    text = until("one waits in the store", counted)
    assert value(text, "doorbell_requests_total", fate="accepted") == 3
    assert value(text, "doorbell_attempts_total", outcome="failed") == 1
    assert value(text, "doorbell_endpoint_attempts_total", endpoint=app["id"], outcome="failed") == 1
    assert value(text, "doorbell_store_deliveries", state="waiting") == 1
    written = "doorbell_database_commit_seconds_count" if DATABASE else "doorbell_journal_sync_seconds_count"
    for name in (written, "doorbell_ack_seconds_count", "doorbell_accept_seconds_count", "doorbell_attempt_seconds_count",
                 "process_resident_memory_bytes", "process_start_time_seconds"):
        assert value(text, name) > 0, name
    if DATABASE:
        assert (value(text, "doorbell_database_up"), value(text, "doorbell_nodes_alive")) == (1, 1)


def test_promtool_likes_the_metrics(doorbell):
    checked = subprocess.run([promtool(), "check", "metrics"], input=scrape(doorbell), capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_a_tenant_sees_no_endpoints_of_others(doorbell, receiver):
    doorbell.source("in", provider="none")
    doorbell.endpoint("app", receiver.url)
    receiver.script = [500]
    doorbell.post("in", [JSON], b"{}")
    until("it has failed", lambda: "ep_" in scrape(doorbell))
    doorbell.api("POST", "/v1/tenants", {"uid": "other"})
    headers = [("authorization", f"Bearer {doorbell.token}"), JSON, ("doorbell-tenant", "other")]
    answer = send(doorbell.admin, "POST", "/v1/tokens", headers, json.dumps({"name": "t", "scopes": ["read"]}).encode())
    assert answer.status == 201, answer.body
    assert "ep_" not in scrape(doorbell, answer.json()["token"])


def test_alerts_fire_when_they_should_and_only_then():
    folder = ROOT / "deploy/prometheus"
    for words in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run([promtool(), *words], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_understands_what_the_dashboard_asks(tmp_path):
    dashboard = json.loads((ROOT / "deploy/grafana/doorbell.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len(asked) > 30
    known = {"$__rate_interval": "5m", "$job": ".*", "$instance": ".*"}
    for name, word in known.items():
        asked = [expr.replace(name, word) for expr in asked]
    rules = [{"record": f"panel:q{number}", "expr": expr} for number, expr in enumerate(asked)]
    # JSON is YAML.
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run([promtool(), "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


class Collector:
    """Takes OTLP/HTTP in JSON as a collector does: what its schema does not know is refused."""

    def __init__(self):
        self.spans, self.resources, self.raw, self.headers, self.faults = [], [], [], [], []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                try:
                    collector.take(self.path, self.headers, body)
                except Exception as fault:
                    collector.faults.append(repr(fault))
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path, headers, body):
        assert (path, headers["content-type"]) == ("/v1/traces", "application/json")
        self.headers.append(dict(headers))
        self.raw.append(body.decode())
        document = json.loads(body)
        # OTLP's JSON writes ids in hexadecimal, that of other protocol buffers in base64.
        for resource in document["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    for name in ("traceId", "spanId", "parentSpanId"):
                        if name in span:
                            span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
        request = json_format.ParseDict(document, ExportTraceServiceRequest())
        for resource in request.resource_spans:
            self.resources.append({a.key: a.value.string_value for a in resource.resource.attributes})
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)


def attributes(span):
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


def test_a_request_and_its_attempts_are_one_trace(tmp_path, receiver):
    collector = Collector()
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20collectors-own-secret",
        "OTEL_SERVICE_NAME": "bell",
    }
    with node(tmp_path / "node", **variables) as doorbell:
        doorbell.source("in", provider="none")
        endpoint = doorbell.endpoint("app", receiver.url + "/hook?key=endpoints-own-secret", retry={"schedule": ["0s", "0s"]})
        receiver.script = [503]
        assert doorbell.post("in", [JSON, ("traceparent", PARENT)], b"{}").status == 202
        doorbell.settled(1)
        assert doorbell.post("in", [JSON, ("traceparent", UNRECORDED)], b"{}").status == 202
        doorbell.settled(2)
        headers = [("authorization", f"Bearer {doorbell.token}"), JSON, ("doorbell-event-type", "a.b"), ("tracestate", "x=y"),
                   ("traceparent", PARENT.replace("4736", "4738"))]
        assert send(doorbell.admin, "POST", "/v1/events", headers, b"{}").status == 202
        doorbell.settled(3)
        assert doorbell.post("in", [JSON], b"{}").status == 202
        doorbell.settled(4)
    # A stop takes along what waits.
    assert not collector.faults
    spans = [span for span in collector.spans if span.trace_id.hex() == PARENT.split("-")[1]]
    received = [span for span in spans if span.name == "doorbell receive"]
    tries = sorted((span for span in spans if span.name == "doorbell deliver"), key=lambda span: span.start_time_unix_nano)
    assert (len(received), len(tries)) == (1, 2)
    assert received[0].parent_span_id.hex() == PARENT.split("-")[2], "the sender's span is the parent"
    assert received[0].kind == Span.SPAN_KIND_SERVER and attributes(received[0])["doorbell.fate"] == "accepted"
    assert {span.parent_span_id for span in tries} == {received[0].span_id}
    assert [attributes(span)["http.response.status_code"] for span in tries] == [503, 200]
    assert [span.status.code for span in tries] == [Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET]
    assert [attributes(span)["doorbell.attempt.number"] for span in tries] == [1, 2]
    assert attributes(tries[0])["doorbell.endpoint.id"] == endpoint["id"]
    assert all(span.end_time_unix_nano >= span.start_time_unix_nano for span in collector.spans)
    told = [item.header("traceparent") for item in receiver.got]
    assert told[:2] == [f"00-{PARENT.split('-')[1]}-{span.span_id.hex()}-01" for span in tries]
    assert told[2] == UNRECORDED, "what is not recorded passes as it came"
    assert "4738-" in told[3] and receiver.got[3].header("tracestate") == "x=y"
    assert [span.name for span in collector.spans].count("doorbell publish") == 1
    assert all(span.trace_id.hex() != UNRECORDED.split("-")[1] for span in collector.spans)
    own = [span for span in collector.spans if span.trace_id.hex() in told[4]]
    assert len(own) == 2 and len({span.trace_id for span in collector.spans}) == 3, "without a parent it begins a trace"
    assert all(resource["service.name"] == "bell" for resource in collector.resources)
    assert all(headers["authorization"] == "Bearer collectors-own-secret" for headers in collector.headers)
    assert "own-secret" not in "".join(collector.raw)


def test_without_a_collector_a_traceparent_passes_through(doorbell, receiver):
    doorbell.source("in", provider="none")
    doorbell.endpoint("app", receiver.url)
    assert doorbell.post("in", [JSON, ("traceparent", PARENT), ("tracestate", "a=b")], b"{}").status == 202
    got = receiver.wait()[0]
    assert (got.header("traceparent"), got.header("tracestate")) == (PARENT, "a=b")


def test_a_collector_that_is_away_costs_nothing_but_spans(tmp_path, receiver):
    with node(tmp_path / "node", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9") as doorbell:
        doorbell.source("in", provider="none")
        doorbell.endpoint("app", receiver.url)
        for _ in range(20):
            assert doorbell.post("in", [JSON], b"{}").status == 202
        doorbell.settled(20)
    assert "spans were lost" in (tmp_path / "node/node.log").read_text()


def test_no_secret_reaches_a_log_line(tmp_path, receiver):
    secrets = {
        "source": "sources-own-secret-0123456789", "header": "callers-own-authorization", "endpoint": "endpoints-own-header",
        "query": "endpoints-own-query", "signing": "whsec_" + base64.b64encode(b"endpoints-own-signing-secret").decode(),
        "collector": "collectors-own-secret", "body": "bodys-own-words",
    }
    variables = {"DOORBELL_LOG_FORMAT": "json", "DOORBELL_LOG_LEVEL": "trace",
                 "OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:collectors-own-secret@127.0.0.1:9",
                 "OTEL_EXPORTER_OTLP_HEADERS": "authorization=collectors-own-secret"}
    with node(tmp_path / "node", **variables) as doorbell:
        doorbell.source("in", provider="none")
        doorbell.source("github", provider="github", secrets=[secrets["source"]])
        doorbell.endpoint("app", f"{receiver.url}/?key={secrets['query']}", secret=secrets["signing"],
                          headers=[{"name": "authorization", "value": secrets["endpoint"]}], retry={"schedule": ["0s"]})
        receiver.script = [500, 410]
        lines = [JSON, ("authorization", secrets["header"]), ("cookie", secrets["header"])]
        body = json.dumps({"word": secrets["body"]}).encode()
        for source in ("in", "github", "in"):
            doorbell.post(source, lines, body)
        doorbell.settled(2)
        secrets["token"] = doorbell.token
        send(doorbell.admin, "GET", "/v1/events", [("authorization", "Bearer wrong-" + secrets["header"])])
        login = doorbell.command("login", "--json")
        assert login.returncode == 0, login.stderr
        secrets["login"] = doorbell.ready["login"].rsplit("/", 1)[-1].rsplit("=", 1)[-1]
        assert len(secrets["login"]) > 8
    lines = (tmp_path / "node/node.log").read_text().splitlines()
    assert len(lines) > 3
    for line in lines:
        json.loads(line)
        for what, secret in secrets.items():
            assert secret not in line, f"the {what} is in {line[:500]}"


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_start_is_told_to_a_log_without_a_key(tmp_path, form):
    words = [BINARY, "serve", "--data-dir", "data", "--log-format", form, "--ingest-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"]
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(words, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT)
    told = (tmp_path / "log").read_text
    until("it is ready", lambda: "ready" in told() and "data" in told())
    process.terminate()
    assert process.wait(timeout=20) == 0
    assert "code=" not in told() and (tmp_path / "data/admin-token").read_text().strip() not in told()
    if form == "json":
        assert [line for line in told().splitlines() if not json.loads(line)] == []


def test_a_node_that_leaves_says_so_and_goes_on(tmp_path, receiver):
    with node(tmp_path / "node", DOORBELL_DRAIN_DELAY="3s") as doorbell:
        doorbell.source("in", provider="none")
        assert doorbell.command("health").stdout == "ready\n"
        doorbell.process.send_signal(signal.SIGTERM)
        ready = lambda: send(doorbell.ingest, "GET", "/readyz")
        assert until("it says so", lambda: (answer := ready()).status == 503 and answer).body == b"leaving\n"
        health = doorbell.command("health")
        assert (health.returncode, health.stdout) == (1, "leaving\n")
        assert doorbell.command("health", "--alive").returncode == 0
        assert doorbell.post("in", [JSON], b"{}").status == 202, "who has not noticed is answered as before"
        assert doorbell.process.wait(timeout=20) == 0
        gone = doorbell.command("health")
        assert gone.returncode == 1 and "no server answers" in gone.stderr
