"""All signature vectors, through the HTTP ingest of a node whose clock stands still where the vector says."""

import base64
import json
import os

import pytest
from conftest import ROOT, Doorbell, send, until

FOLDER = ROOT / "crates" / "webhook-signatures" / "tests" / "vectors"
FILES = sorted(FOLDER.glob("*.json"))
VECTORS = [(f"{file.stem}-{number}", vector) for file in FILES
           for number, vector in enumerate(json.loads(file.read_text()))]
ROWS = {path.stem for path in (ROOT / "docs" / "providers").glob("*.md")}


def cases(wanted):
    return [pytest.param(name, vector, id=f"{name}-{vector['name']}") for name, vector in VECTORS if wanted(vector)]


def is_question(vector):
    return bool(vector.get("handshake"))


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """One node for each point in time."""
    running = {}

    def at(now):
        if now not in running:
            shim = {"LD_PRELOAD": os.environ["CLOCK_SHIM"], "CLOCK_AT_S": str(now)}
            running[now] = Doorbell(tmp_path_factory.mktemp(f"clock-{now}"), shim)
        return running[now]

    yield at
    for node in running.values():
        assert node.stop() == 0


def provider(vector):
    return vector["provider"] if vector["provider"] in ROWS else vector["scheme"]


def options(vector):
    """What is to be known of the account beside the secret."""
    expected = vector.get("expected", {})
    known = {"webhook_id": vector.get("webhook_id"), "public_key": vector.get("public_id"),
             "audience": expected.get("audience"), "email": expected.get("email"),
             "topic_arn": "*" if provider(vector).startswith("aws-sns") else None}
    return {name: value for name, value in known.items() if value is not None}


def secrets(vector):
    """The secret; a public key that the provider serves is given in place of being fetched."""
    texts = [vector.get(name) for name in ("secret", "public_key", "certificate")]
    sets = [json.dumps(vector[name]) for name in ("jwks", "jwk") if isinstance(vector.get(name), dict)]
    found = [text for text in texts if isinstance(text, str)] + sets
    # Many questions are answered without one, but a source must have one, unless its provider hands it out.
    handed_out = provider(vector) in ("asana", "notion")
    return found or ([] if handed_out else ["73656372657420746861742073696e6773"])


def post(node, name, vector, **settings):
    """The vector's request at a source that has its account's settings."""
    address, mark, query = vector["url"].partition("?")
    node.source(name, provider=provider(vector), secrets=secrets(vector), public_url=address,
                **{"options": options(vector), **settings})
    lines = [line for line in vector["headers"].items() if line[0].lower() not in ("host", "content-length")]
    return send(node.ingest, vector["method"], f"/in/{name}{mark}{query}", lines, base64.b64decode(vector["body_base64"]))


@pytest.mark.parametrize(("name", "vector"), cases(lambda vector: not is_question(vector)))
def test_vector(name, vector, nodes):
    node = nodes(vector["now"])
    answer = post(node, name, vector)
    if "lenient_ok" in vector or "strict_may_reject" in vector:
        assert answer.status < 500
        return
    assert (200 <= answer.status < 300) == vector["valid"], (answer.status, answer.body)
    if not vector["valid"]:
        assert answer.status == vector.get("must_status", answer.status) and 400 <= answer.status < 500, answer.status
    kept = until("the request is kept", lambda: node.api("GET", f"/v1/requests?source={name}")["data"])
    assert [row["event"] is not None for row in kept] == [vector["valid"]], kept


@pytest.mark.parametrize(("name", "vector"), cases(is_question))
def test_question(name, vector, nodes):
    want = vector["handshake"]
    node = nodes(vector["now"])
    answer = post(node, name, vector)
    if "then_GET" in want:
        # Amazon is not called from here: anybody's topic confirms nothing, and the operator is told the address.
        kept = until("the request is kept", lambda: node.api("GET", f"/v1/requests?source={name}")["data"])
        assert answer.status == 503 and want["then_GET"] in kept[0]["rejection"]["detail"], kept
        return
    assert answer.status == want.get("expect_status", answer.status) and answer.status < 300, answer.body
    if "expect_json" in want:
        assert answer.json() == want["expect_json"]
    if "expect_body" in want:
        assert answer.body.decode() == want["expect_body"]
    assert want.get("expect_body_contains", "").encode() in answer.body
    for header, value in want.get("expect_headers", {}).items():
        assert answer.headers[header.lower()] == value
    for header in want.get("expect_header_present", []):
        assert header.lower() in answer.headers


def test_none_is_left_out():
    assert len(VECTORS) >= 210 and len(FILES) >= 113


def test_a_vector_is_refused_when_it_is_too_old(nodes):
    vector = next(v for v in json.loads((FOLDER / "stripe.json").read_text()) if v["valid"])
    answer = post(nodes(vector["now"] + 3600), "late", vector)
    assert 400 <= answer.status < 500
