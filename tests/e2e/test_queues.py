"""Queues as endpoints and as sources, against real brokers that are killed in between."""

import json
import os

import pika
import pytest
import standardwebhooks

from brokers import jetstream, rabbit  # noqa: F401 (fixtures)
from conftest import Doorbell, until


def node(folder, **queues):
    """A Doorbell with these connections to brokers."""
    folder.mkdir()
    tables = "".join(f'[queues.{name}]\nurl = "{url}"\ntenants = ["*"]\n' for name, url in queues.items())
    return Doorbell(folder, settings=tables)


# A broker that was killed takes its time on a machine that is busy, and an open circuit breaker waits too.
RESTART_S = 120
RETRY = {"schedule": ["0s"] + ["1s"] * 45}


def test_rabbitmq_gets_all_although_it_is_killed(tmp_path, rabbit):
    channel = rabbit.connect().channel()
    channel.exchange_declare("events", "topic", durable=True)
    channel.queue_declare("orders", durable=True, arguments={"x-queue-type": "quorum"})
    channel.queue_bind("orders", "events", "hooks.order.*")
    rabbit.has_written_down("orders")
    doorbell = node(tmp_path / "node", rabbit=rabbit.url)
    doorbell.source("shop", provider="none", type_rule={"header": "x-type"})
    made = doorbell.endpoint("orders", "queue://rabbit/events?routing_key=hooks.{type}", retry=RETRY)
    assert (made["kind"], made["url"]) == ("queue", "queue://rabbit/events?routing_key=hooks.{type}")

    def post(number):
        body = b'{ "n":%d, "e": 1e2 }' % number
        headers = [("x-type", "order.paid"), ("content-type", "text/odd"), ("BCC", "elsewhere"), ("nats-rollup", "all")]
        assert 200 <= doorbell.post("shop", headers, body).status < 300

    for number in range(20):
        post(number)
    doorbell.settled(20)
    rabbit.kill()
    for number in range(20, 40):
        post(number)
    until("a try that fails", lambda: any(row.get("last_error") == "queue_unreachable" for row in doorbell.deliveries()))
    failed = next(row for row in doorbell.deliveries() if row.get("last_error"))
    tries = doorbell.api("GET", f"/v1/deliveries/{failed['id']}/attempts")["data"]
    assert "could not be reached" in tries[0]["explanation"] and "response" not in tries[0]
    rabbit.run()
    until("all delivered", lambda: sum(row["state"] == "delivered" for row in doorbell.deliveries(limit=100)) == 40, RESTART_S)

    channel = rabbit.connect().channel()
    got = {}
    while True:
        method, properties, body = channel.basic_get("orders", auto_ack=True)
        if method is None:
            break
        assert method.routing_key == "hooks.order.paid"
        headers = {name: value for name, value in properties.headers.items() if name.startswith("webhook-")}
        standardwebhooks.Webhook(made["secret"]).verify(body, headers)
        assert properties.content_type == "text/odd" and properties.message_id.startswith("dlv_")
        assert properties.headers["doorbell-event-type"] == "order.paid" and properties.headers["x-type"] == "order.paid"
        assert not {"bcc", "nats-rollup"} & {name.lower() for name in properties.headers}
        got[headers["webhook-id"]] = body
    assert sorted(got.values()) == sorted(b'{ "n":%d, "e": 1e2 }' % number for number in range(40))

    # What nothing is bound to is a failure that says so.
    lost = doorbell.endpoint("lost", "queue://rabbit/not-there", retry={"schedule": ["0s"]})
    doorbell.api("POST", "/v1/endpoints/lost/test")
    row = until("it failed", lambda: [row for row in doorbell.deliveries(endpoint=lost["id"]) if row["state"] == "failed"])[0]
    assert row["last_error"] == "queue_missing"
    assert doorbell.stop() == 0


def test_nats_gets_all_although_it_is_killed(tmp_path, jetstream):
    jetstream.do(lambda stream: stream.add_stream(name="HOOKS", subjects=["hooks.>"]))
    doorbell = node(tmp_path / "node", nats=jetstream.url)
    doorbell.source("shop", provider="none", type_rule={"header": "x-type"})
    # Two into one stream: neither is taken for a repeat of the other.
    doorbell.endpoint("raw", "queue://nats/hooks.raw.{source}.{type}", retry=RETRY)
    doorbell.endpoint("cloud", "queue://nats/hooks.cloud.{type}?format=cloudevents", retry=RETRY)

    def post(number):
        headers = [("x-type", "order.paid"), ("content-type", "application/json"), ("nats-rollup", "all")]
        assert 200 <= doorbell.post("shop", headers, b'{"n": %d}' % number).status < 300

    for number in range(10):
        post(number)
    doorbell.settled(20)
    jetstream.kill()
    for number in range(10, 20):
        post(number)
    until("a try that fails", lambda: any(row.get("last_error") for row in doorbell.deliveries()))
    jetstream.run()
    until("all delivered", lambda: sum(row["state"] == "delivered" for row in doorbell.deliveries(limit=100)) == 40, RESTART_S)

    async def read(stream):
        info = await stream.stream_info("HOOKS")
        return [await stream.get_msg("HOOKS", seq) for seq in range(1, info.state.last_seq + 1)]

    messages = jetstream.do(read)
    bodies = sorted(b'{"n": %d}' % number for number in range(20))
    raw = [message for message in messages if message.subject == "hooks.raw.shop.order.paid"]
    cloud = [message for message in messages if message.subject == "hooks.cloud.order.paid"]
    assert sorted({message.data for message in raw}) == bodies == sorted({message.data for message in cloud})
    head = cloud[0].headers
    assert (head["ce-specversion"], head["ce-type"], head["ce-source"]) == ("1.0", "order.paid", "/sources/shop")
    assert head["ce-id"] == head["webhook-id"] and "x-type" not in head
    assert all("nats-rollup" not in {name.lower() for name in message.headers} for message in messages)
    assert doorbell.stop() == 0


def test_a_source_takes_from_rabbitmq(tmp_path, rabbit, receiver):
    channel = rabbit.connect().channel()
    channel.queue_declare("incoming", durable=True)
    channel.confirm_delivery()
    doorbell = node(tmp_path / "node", rabbit=rabbit.url)
    made = doorbell.source("incoming", provider="none", type_rule={"header": "doorbell-queue-key"},
                           **{"from": "queue://rabbit/incoming"})
    assert made["from"] == "queue://rabbit/incoming"
    doorbell.endpoint("app", receiver.url)

    def put(channel, number, id):
        properties = pika.BasicProperties(message_id=id, content_type="application/json", delivery_mode=2, headers={"x-one": "1"})
        def taken():
            try:
                channel.basic_publish("", "incoming", b'{"n": %d}' % number, properties, mandatory=True)
                return True
            except (pika.exceptions.NackError, pika.exceptions.UnroutableError):
                # After a restart the queue has no leader yet, or is not there yet.
                return False
        until("the queue takes it", taken, RESTART_S)

    for number in range(10):
        put(channel, number, f"m{number}")
        put(channel, number, f"m{number}")
    first = receiver.wait(10)[0]
    assert (first.method, first.header("x-one"), first.header("doorbell-event-type")) == ("POST", "1", "incoming")
    rabbit.kill()
    rabbit.run()
    channel = rabbit.connect().channel()
    channel.confirm_delivery()
    for number in range(10, 20):
        put(channel, number, f"m{number}")
    until("all came", lambda: len(receiver.got) >= 20, RESTART_S)
    assert sorted(item.body for item in receiver.got) == sorted(b'{"n": %d}' % number for number in range(20))
    waiting = lambda: channel.queue_declare("incoming", passive=True).method.message_count
    until("all are acknowledged", lambda: waiting() == 0)

    # A source that believes only what is signed keeps what it rejects, and is done with it.
    channel.queue_declare("signed", durable=True)
    doorbell.source("signed", provider="standard-webhooks", secrets=["whsec_" + "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"],
                    **{"from": "queue://rabbit/signed"})
    channel.basic_publish("", "signed", b"nobody signed this")
    rejected = until("it is kept", lambda: doorbell.api("GET", "/v1/requests?source=signed&fate=rejected")["data"])
    assert len(rejected) == 1
    # Switched off, nothing is taken; switched on, it goes on.
    doorbell.api("PATCH", "/v1/sources/incoming", {"enabled": False})
    until("nobody consumes", lambda: channel.queue_declare("incoming", passive=True).method.consumer_count == 0)
    put(channel, 20, "m20")
    doorbell.api("PATCH", "/v1/sources/incoming", {"enabled": True})
    receiver.wait(21)
    assert doorbell.stop() == 0


ENGINES = {
    "amqp": ("hooks", "hooks"),
    "sqs": ("tests.fifo", "tests.fifo"),
    "redis": ("hooks?maxlen=1000", "hooks"),
    "mqtt": ("hooks/{source}", "hooks/+"),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("form", ["raw", "cloudevents"])
def test_round_every_engine(tmp_path, receiver, engine, form):
    """From a source through a queue into another source: bytes stay what they are."""
    url = os.environ.get(f"DOORBELL_TEST_{engine.upper()}")
    if not url:
        pytest.skip(f"DOORBELL_TEST_{engine.upper()} says no broker: cargo xtask brokers -- cargo xtask e2e")
    to, taken = ENGINES[engine]
    if (engine, form) == ("sqs", "cloudevents"):
        # Another queue: who asked for messages and went away may have got some of the first one, for half a minute.
        to, taken = "tests", "tests"
    if engine == "amqp":
        pika.BlockingConnection(pika.URLParameters(url + "%2F")).channel().queue_declare("hooks", durable=True)
    doorbell = node(tmp_path / "node", broker=url)
    doorbell.source("first", provider="none")
    doorbell.source("second", provider="none", **{"from": f"queue://broker/{taken}"})
    mark = "&" if "?" in to else "?"
    queue = doorbell.endpoint("queue", f"queue://broker/{to}{mark}format={form}", sources=["first"], retry=RETRY)
    doorbell.endpoint("app", receiver.url, sources=["second"])
    bodies = [b'{"n": 1,  "big": 1e2}', b"\xff\x00odd\r\n", b'{"n": 2}']
    kinds = ["application/json", "application/octet-stream", "application/json"]
    for body, kind in zip(bodies, kinds):
        assert doorbell.post("first", [("content-type", kind)], body).status < 300
    got = receiver.wait(3)[:3]
    structured = form == "cloudevents" and engine in ("redis", "sqs")
    seen = sorted(item.body for item in got)
    if structured:
        documents = [json.loads(item.body) for item in got]
        assert {document["specversion"] for document in documents} == {"1.0"}
        assert sum("data_base64" in document for document in documents) == 1
        assert any(b'"data":{"n": 1,  "big": 1e2}}' in body for body in seen)
        assert {item.header("content-type") for item in got} == {"application/cloudevents+json"}
    else:
        assert seen == sorted(bodies)
    for item in (item for item in got if b"\xff" not in item.body):
        names = {name: item.header(f"doorbell-original-{name}") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        standardwebhooks.Webhook(queue["secret"]).verify(item.body, names)
    assert doorbell.stop() == 0


def test_who_may_use_what(tmp_path):
    """Nobody reaches a broker that was not named for him, and no address does more than it says."""
    doorbell = node(tmp_path / "node", nats="nats://me:s3cret@127.0.0.1:1")
    for url, pointer in [("queue://other/x", "/url"), ("queue://nats/$JS.API.STREAM.DELETE.X", "/url"),
                         ("queue://nats/a.{body}", "/url"), ("queue://nats/a%0d%0aPUB%20b", "/url")]:
        answer = doorbell.ask("POST", "/v1/endpoints", {"name": "bad", "url": url})
        assert answer.status == 422 and pointer in answer.body.decode(), answer.body
    answer = doorbell.ask("POST", "/v1/sources", {"name": "bad", "provider": "none", "from": "queue://other/x"})
    assert answer.status == 422 and "/from" in answer.body.decode(), answer.body
    shown = doorbell.command("config", "show", "--config", str(doorbell.folder / "doorbell.toml")).stdout
    assert "queues.nats" in shown and "s3cret" not in shown
    assert b"s3cret" not in (doorbell.folder / "node.log").read_bytes()
    assert doorbell.stop() == 0
