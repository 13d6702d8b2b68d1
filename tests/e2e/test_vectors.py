"""The signature vectors, through the HTTP ingest of a node whose clock stands where the vector says."""

import base64
import json
import os
import time

import pytest
from conftest import TESTDATA, Doorbell

PROVIDERS = {"github": "github", "stripe": "stripe", "standard-webhooks": "standard-webhooks"}


def cases():
    for file in PROVIDERS:
        for vector in json.loads((TESTDATA / "vectors" / f"{file}.json").read_text()):
            yield pytest.param(file, vector, id=f"{file}-{vector['name']}")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """One node for each point in time."""
    running = {}

    def at(now):
        if now not in running:
            shim = {"LD_PRELOAD": os.environ["CLOCK_SHIM"], "CLOCK_OFFSET_S": str(now - int(time.time()))}
            running[now] = Doorbell(tmp_path_factory.mktemp(f"clock-{now}"), shim)
        return running[now]

    yield at
    for node in running.values():
        assert node.stop() == 0


@pytest.mark.parametrize(("file", "vector"), list(cases()))
def test_vector(file, vector, nodes):
    node = nodes(vector["now"])
    name = f"{file}-{vector['name']}"
    node.source(name, provider=PROVIDERS[file], secrets=[vector["secret"]])
    answer = node.post(name, list(vector["headers"].items()), base64.b64decode(vector["body_base64"]))
    assert (200 <= answer.status < 300) == vector["valid"], (answer.status, answer.body)


def test_a_vector_is_refused_when_it_is_too_old(nodes):
    vector = next(v for v in json.loads((TESTDATA / "vectors" / "stripe.json").read_text()) if v["valid"])
    node = nodes(vector["now"] + 3600)
    node.source("late", provider="stripe", secrets=[vector["secret"]])
    answer = node.post("late", list(vector["headers"].items()), base64.b64decode(vector["body_base64"]))
    assert 400 <= answer.status < 500
