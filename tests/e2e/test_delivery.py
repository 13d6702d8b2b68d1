"""What becomes of a delivery when its endpoint fails, and how it is made again on purpose."""

import socket

from conftest import until


def world(doorbell, receiver, schedule=("0s", "50ms", "50ms"), **settings):
    doorbell.source("in", provider="none")
    return doorbell.endpoint("app", receiver.url, retry={"schedule": list(schedule)}, **settings)


def ring(doorbell, body=b'{"hello":1}'):
    answer = doorbell.post("in", [("Content-Type", "application/json")], body)
    assert 200 <= answer.status < 300, answer.body


def only_delivery(doorbell):
    rows = doorbell.settled(1)
    assert len(rows) == 1
    return rows[0]


def test_a_failed_delivery_is_tried_again_under_the_same_id(doorbell, receiver):
    world(doorbell, receiver)
    receiver.script = [500, 503]
    ring(doorbell)
    got = receiver.wait(3)
    assert len({item.header("webhook-id") for item in got}) == 1
    assert all(item.body == b'{"hello":1}' for item in got)
    delivery = only_delivery(doorbell)
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 3)
    attempts = doorbell.api("GET", f"/v1/deliveries/{delivery['id']}/attempts")["data"]
    assert [attempt["response"]["status"] for attempt in attempts] == [500, 503, 200]
    assert all(attempt["explanation"] for attempt in attempts[:2])


def test_after_its_schedule_a_delivery_is_a_dead_letter(doorbell, receiver):
    world(doorbell, receiver, schedule=("0s", "50ms", "50ms", "50ms"))
    receiver.script = [500, 500, 500, 500]
    ring(doorbell)
    delivery = only_delivery(doorbell)
    assert (delivery["state"], delivery["attempts"]) == ("failed", 4), "given up after the schedule"


def test_an_open_breaker_says_why_and_a_retry_is_its_probe(doorbell, receiver):
    endpoint = world(doorbell, receiver, schedule=("0s", "1h"))
    receiver.script = [503] * 1000
    for _ in range(40):
        ring(doorbell)
    def opened():
        standing = doorbell.api("GET", f"/v1/endpoints/{endpoint['id']}")["standing"]
        return standing if standing["breaker"] == "open" and standing["in_flight"] == 0 else None
    standing = until("the breaker is open", opened)
    assert "tries in a row failed, the last one with status 503" in standing["breaker_because"]
    held = [row for row in doorbell.deliveries(state="waiting") if row.get("waits_for") == "breaker"]
    assert held and standing["breaker_because"] in held[0]["waits_because"]
    receiver.script = []
    assert doorbell.command("delivery", "retry", held[0]["id"]).returncode == 0
    def attempts():
        return doorbell.api("GET", f"/v1/deliveries/{held[0]['id']}/attempts")["data"]
    until("it is delivered", attempts)
    assert [(attempt["trigger"], attempt["succeeded"]) for attempt in attempts()] == [("manual", True)]
    until("the others follow", lambda: not [row for row in doorbell.deliveries(state="waiting") if row.get("waits_for") != "due"])
    assert doorbell.api("GET", f"/v1/endpoints/{endpoint['id']}")["standing"]["breaker"] == "closed"
    log = (doorbell.folder / "node.log").read_text()
    assert "a circuit breaker has opened" in log and "a circuit breaker has closed" in log


def test_gone_disables_the_endpoint(doorbell, receiver):
    endpoint = world(doorbell, receiver)
    receiver.script = [410]
    ring(doorbell)
    only_delivery(doorbell)
    shown = until("the endpoint is disabled", lambda: (
        lambda row: row if row["status"] == "disabled" else None)(doorbell.api("GET", f"/v1/endpoints/{endpoint['id']}")))
    assert "410" in shown["disabled_because"]
    ring(doorbell, b"second")
    until("the second event is listed", lambda: len(doorbell.api("GET", "/v1/events")["data"]) == 2)
    rows = doorbell.settled(2)
    assert rows[0]["state"] == "discarded" and rows[0]["discarded_because"] == "endpoint_disabled"
    receiver.stays(1)


def test_a_redirect_is_not_followed(doorbell, receiver):
    world(doorbell, receiver, schedule=("0s",))
    receiver.script = [302]
    ring(doorbell)
    assert only_delivery(doorbell)["state"] == "failed"
    receiver.stays(1)


def test_a_refused_connection_explains_itself(doorbell):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        doorbell.source("in", provider="none")
        doorbell.endpoint("app", "http://127.0.0.1:%d" % closed.getsockname()[1], retry={"schedule": ["0s"]})
        ring(doorbell)
        delivery = only_delivery(doorbell)
    attempt = doorbell.api("GET", f"/v1/deliveries/{delivery['id']}/attempts")["data"][0]
    assert delivery["state"] == "failed" and "refused" in attempt["explanation"].lower()


def test_a_dead_letter_is_retried_by_hand(doorbell, receiver):
    world(doorbell, receiver, schedule=("0s",))
    receiver.script = [500]
    ring(doorbell)
    delivery = only_delivery(doorbell)
    assert delivery["state"] == "failed"
    doorbell.api("POST", f"/v1/deliveries/{delivery['id']}/retry")
    receiver.wait(2)
    until("it is delivered", lambda: doorbell.api("GET", f"/v1/deliveries/{delivery['id']}")["state"] == "delivered")
    attempts = doorbell.api("GET", f"/v1/deliveries/{delivery['id']}/attempts")["data"]
    assert [attempt["trigger"] for attempt in attempts] == ["initial", "manual"]
    again = doorbell.ask("POST", f"/v1/deliveries/{delivery['id']}/retry")
    assert again.status == 409 and f"doorbell replay run --event {delivery['event']}" in again.json()["detail"]
    assert doorbell.api("GET", f"/v1/deliveries/{delivery['id']}")["state"] == "delivered"


def test_tries_by_hand_use_up_nothing_of_the_schedule(doorbell, receiver):
    world(doorbell, receiver, schedule=("0s", "1h"))
    receiver.script = [500] * 5
    ring(doorbell)
    receiver.wait(1)
    path = f"/v1/deliveries/{doorbell.api('GET', '/v1/deliveries')['data'][0]['id']}"
    until("it waits", lambda: doorbell.api("GET", path)["attempts"] == 1)
    for tries in range(2, 6):
        doorbell.api("POST", f"{path}/retry")
        receiver.wait(tries)
        until("it waits again", lambda: doorbell.api("GET", path)["attempts"] == tries)
    delivery = doorbell.api("GET", path)
    assert delivery["state"] == "scheduled" and "Try 2 of 2" in delivery["waits_because"]


def test_a_replay_delivers_the_same_bytes_under_the_same_id(doorbell, receiver):
    endpoint = world(doorbell, receiver)
    for number in range(3):
        ring(doorbell, b'{"n":%d}' % number)
    receiver.wait(3)
    doorbell.settled(3)
    wish = {"choice": {"endpoint": endpoint["id"]}}
    plan = doorbell.api("POST", "/v1/replays/plan", wish)
    assert plan["deliveries"] == 3 and len(receiver.got) == 3
    replay = doorbell.api("POST", "/v1/replays", wish)
    got = receiver.wait(6)
    until("the replay is done", lambda: doorbell.api("GET", f"/v1/replays/{replay['id']}")["state"] == "done")
    assert sorted((item.header("webhook-id"), item.body) for item in got[:3]) == sorted(
        (item.header("webhook-id"), item.body) for item in got[3:])
    doorbell.settled(3, replay=replay["id"])
    for delivery in doorbell.deliveries(replay=replay["id"]):
        attempts = doorbell.api("GET", f"/v1/deliveries/{delivery['id']}/attempts")["data"]
        assert [attempt["trigger"] for attempt in attempts] == ["replay"]


def test_a_paused_endpoint_waits(doorbell, receiver):
    endpoint = world(doorbell, receiver)
    doorbell.api("POST", f"/v1/endpoints/{endpoint['id']}/pause")
    ring(doorbell)
    until("it is listed as paused", lambda: [row["state"] for row in doorbell.deliveries()] == ["paused"])
    receiver.stays(0)
    doorbell.api("POST", f"/v1/endpoints/{endpoint['id']}/enable")
    receiver.wait(1)


def test_an_address_that_is_never_allowed_is_refused_when_saved(doorbell):
    answer = doorbell.ask("POST", "/v1/endpoints", {"name": "meta", "url": "http://169.254.169.254/latest"})
    assert answer.status in (400, 422) and b"169.254" in answer.body
