"""The main job: a provider's webhook comes in, is verified, kept and delivered, byte for byte, signed."""

import json

import pytest
import standardwebhooks
import stripe
import svix
from conftest import GITHUB_SECRET, TESTDATA, Doorbell, github_headers, payload, sha256, until

# What a connection needs and a request does not keep, and what Doorbell adds.
TRANSPORT = {"host", "content-length", "connection", "transfer-encoding"}


def github(doorbell, receiver, **policy):
    doorbell.source("gh", provider="github", secrets=[GITHUB_SECRET])
    return doorbell.endpoint("app", receiver.url + "/hook", **policy)


def assert_verifies(received, secret, npm):
    """All four official libraries take it."""
    headers = received.webhook_headers()
    standardwebhooks.Webhook(secret).verify(received.body, headers)
    svix.Webhook(secret).verify(received.body, headers)
    assert npm.ask("standardwebhooks", "verify", secret, received.body, headers) is True
    assert npm.ask("svix", "verify", secret, received.body, headers) is True


def test_a_github_push_reaches_the_receiver_byte_for_byte(doorbell, receiver, npm):
    endpoint = github(doorbell, receiver)
    body = payload("github/push.00.json")
    headers = github_headers(npm, body, "72d3162e-cc78-11e3-81ab-4c9367dc0958")
    headers += [("X-Twice", "one"), ("X-Twice", "two, three"), ("X-Latin", "caf\xe9")]
    assert 200 <= doorbell.post("gh", headers, body).status < 300
    got = receiver.wait()[0]
    assert (got.method, got.path) == ("POST", "/hook")
    assert sha256(got.body) == sha256(body)
    sent = [(name.lower(), value) for name, value in headers]
    came = [line for line in got.lines if line[0] not in TRANSPORT and not line[0].startswith(("webhook-", "doorbell-"))]
    assert came == sent
    assert got.header("webhook-id").startswith("evt_")
    assert_verifies(got, endpoint["secret"], npm)
    assert npm.ask("octokit", "verify", GITHUB_SECRET, got.body, dict(got.lines)) is True


@pytest.mark.parametrize("path", sorted((TESTDATA / "payloads" / "github").iterdir()), ids=lambda path: path.stem)
def test_every_github_payload_arrives_with_its_type(path, doorbell, receiver, npm):
    github(doorbell, receiver)
    body, event = path.read_bytes(), path.name.split(".")[0]
    assert 200 <= doorbell.post("gh", github_headers(npm, body, path.stem, event), body).status < 300
    assert sha256(receiver.wait()[0].body) == sha256(body)
    row = doorbell.api("GET", "/v1/events")["data"][0]
    action = json.loads(body).get("action")
    assert row["type"] == (f"{event}.{action}" if action else event)


def test_stripe_events_signed_by_stripes_own_libraries(doorbell, receiver, npm):
    secret = "whsec_test_4f3e2d1c0b9a8d7e6f5a"
    doorbell.source("pay", provider="stripe", secrets=[secret])
    endpoint = doorbell.endpoint("app", receiver.url)
    for count, name in enumerate(["invoice.paid", "charge.succeeded"], start=1):
        body = payload(f"stripe/{name}.json")
        if count == 1:
            signature = stripe.WebhookSignature.generate_signature_header(body.decode(), secret)
        else:
            signature = npm.ask("stripe", "sign", secret, body)["stripe-signature"]
        headers = [("Content-Type", "application/json"), ("Stripe-Signature", signature)]
        answer = doorbell.post("pay", headers, body)
        assert 200 <= answer.status < 300, answer.body
        got = receiver.wait(count)[-1]
        assert sha256(got.body) == sha256(body)
        assert_verifies(got, endpoint["secret"], npm)
        stripe.Webhook.construct_event(got.body, got.header("stripe-signature"), secret)


def test_a_standard_webhook_in_is_a_standard_webhook_out(doorbell, receiver, npm):
    secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    doorbell.source("std", provider="standard-webhooks", secrets=[secret])
    endpoint = doorbell.endpoint("app", receiver.url)
    import datetime
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    body = b'{"type":"user.created","data":{"name":"\xc3\xa9"}}'
    signature = standardwebhooks.Webhook(secret).sign("msg_1", now, body.decode())
    headers = [("Content-Type", "application/json"), ("webhook-id", "msg_1"),
               ("webhook-timestamp", str(int(now.timestamp()))), ("webhook-signature", signature)]
    answer = doorbell.post("std", headers, body)
    assert 200 <= answer.status < 300, answer.body
    got = receiver.wait()[0]
    assert got.body == body
    assert_verifies(got, endpoint["secret"], npm)


def test_a_wrong_secret_is_refused_and_told_to_the_operator_only(doorbell, receiver, npm):
    github(doorbell, receiver)
    body = payload("github/push.01.json")
    wrong = doorbell.post("gh", github_headers(npm, body, "d-1", secret="another secret, but long enough"), body)
    missing = doorbell.post("gh", [("Content-Type", "application/json"), ("X-GitHub-Event", "push")], body)
    assert 400 <= wrong.status < 500
    assert (wrong.status, wrong.body) == (missing.status, missing.body), "the answer does not say which check failed"
    for word in (b"signature", b"secret", b"hmac"):
        assert word not in wrong.body.lower()
    rows = until("both requests listed as rejected", lambda: [
        row for row in doorbell.api("GET", "/v1/requests")["data"] if row["fate"] == "rejected"][1:] and
        doorbell.api("GET", "/v1/requests")["data"])
    assert all(row["rejection"]["reason"] == "verification_failed" for row in rows), rows
    assert doorbell.api("GET", "/v1/events")["data"] == []
    assert 200 <= doorbell.post("gh", github_headers(npm, body, "d-2"), body).status < 300
    receiver.wait(1)
    receiver.stays(1)


def test_a_duplicate_is_acknowledged_and_not_delivered_again(doorbell, receiver, npm):
    github(doorbell, receiver)
    body = payload("github/issues.opened.15.json")
    for _ in range(3):
        assert 200 <= doorbell.post("gh", github_headers(npm, body, "same-id", "issues"), body).status < 300
    assert 200 <= doorbell.post("gh", github_headers(npm, body, "other-id", "issues"), body).status < 300
    receiver.wait(2)
    assert len(doorbell.settled(2)) == 2
    receiver.stays(2)
    fates = sorted(row["fate"] for row in doorbell.api("GET", "/v1/requests")["data"])
    assert fates == ["accepted", "accepted", "duplicate", "duplicate"]


def test_apply_declares_sources_and_endpoints(doorbell, receiver, npm, tmp_path):
    file = tmp_path / "world.toml"
    file.write_text(f"""
[[sources]]
name = "gh"
provider = "github"
secrets = ["{GITHUB_SECRET}"]

[[endpoints]]
name = "app"
url = "{receiver.url}"
sources = ["gh"]
""")
    first = doorbell.command("apply", str(file))
    assert first.returncode == 0, first.stderr
    second = doorbell.command("apply", str(file))
    assert second.returncode == 0, second.stderr
    assert len(doorbell.api("GET", "/v1/endpoints")["data"]) == 1, "applying twice changes nothing"
    body = payload("github/star.created.00.json")
    assert 200 <= doorbell.post("gh", github_headers(npm, body, "d", "star"), body).status < 300
    assert receiver.wait()[0].body == body


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_keeps_everything(end, doorbell, receiver, npm):
    github(doorbell, receiver)
    body = payload("github/release.published.00.json")
    assert 200 <= doorbell.post("gh", github_headers(npm, body, "d-1", "release"), body).status < 300
    receiver.wait(1)
    doorbell.settled(1)
    before = [doorbell.api("GET", path) for path in ("/v1/sources", "/v1/endpoints", "/v1/events", "/v1/requests")]
    if end == "stop":
        assert doorbell.stop() == 0
    else:
        doorbell.kill()
    doorbell.start()
    assert [doorbell.api("GET", path) for path in ("/v1/sources", "/v1/endpoints", "/v1/events", "/v1/requests")] == before
    event = before[2]["data"][0]["id"]
    assert sha256(doorbell.ask("GET", f"/v1/events/{event}/body").body) == sha256(body)
    # The dedupe window holds across the restart.
    assert 200 <= doorbell.post("gh", github_headers(npm, body, "d-1", "release"), body).status < 300
    assert 200 <= doorbell.post("gh", github_headers(npm, body, "d-2", "release"), body).status < 300
    receiver.wait(2)
    doorbell.settled(2)
    assert len({got.header("webhook-id") for got in receiver.got}) == 2


def test_a_first_start_prints_what_one_needs(tmp_path):
    node = Doorbell(tmp_path)
    assert node.ready["ready"] is True and node.ready["token"].startswith("db_")
    assert node.ready["source"].endswith("/in/inbox")
    assert node.ready["login"].startswith(node.admin + "/login?code=")
    from conftest import send
    assert send(node.ingest, "GET", "/healthz").status == 200
    assert send(node.admin, "GET", "/v1/events").status == 401
    assert node.stop() == 0
