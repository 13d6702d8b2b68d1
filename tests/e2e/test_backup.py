"""A copy of a running node becomes a node of its own, with all that the first one had when it was made."""

import os
import stat
import subprocess
import tarfile

import pytest
from conftest import BINARY, DATABASE, Doorbell, until


def ring(doorbell, number):
    body = b'{"number":%d}' % number
    answer = doorbell.post("in", [("Content-Type", "application/json"), ("x-id", str(number))], body)
    assert answer.status == 202, answer.body


def world(doorbell, receiver):
    doorbell.source("in", provider="none", dedupe={"key": {"header": "x-id"}})
    doorbell.endpoint("app", receiver.url, retry={"schedule": ["0s", "1h"]})


def restore(file, folder, *flags):
    words = [BINARY, "restore", file, "--data-dir", folder / "data", *flags]
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(bool(DATABASE), reason="a database is backed up with its own tools, which the other test says")
def test_a_backup_of_a_running_node_becomes_a_node(doorbell, receiver, tmp_path):
    world(doorbell, receiver)
    for number in range(30):
        ring(doorbell, number)
    doorbell.settled(30)
    receiver.script = [500]
    ring(doorbell, 30)
    until("the last one waits for its retry", lambda: [row for row in doorbell.deliveries(state="waiting") if row["attempts"] == 1])
    file = tmp_path / "copy.tar"
    made = doorbell.command("backup", str(file))
    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert tarfile.open(file).getnames()[-1] == "complete", "any tar reads it"
    again = doorbell.command("backup", str(file))
    assert again.returncode == 1 and "is there already" in again.stderr
    ring(doorbell, 31)

    second = tmp_path / "second"
    second.mkdir()
    done = restore(file, second, "--pause")
    assert done.returncode == 0 and "1 endpoint paused" in done.stdout, (done.stdout, done.stderr)
    assert restore(file, second).returncode == 1, "what is there is not overwritten"
    node = Doorbell(second)
    try:
        assert len(node.api("GET", "/v1/events?limit=100")["data"]) == 31
        rows = node.deliveries(limit=100)
        assert [row["state"] for row in rows].count("delivered") == 30
        assert node.api("GET", "/v1/endpoints/app")["status"] == "paused"
        ring(node, 3)
        assert len(node.api("GET", "/v1/events?limit=100")["data"]) == 31, "a repeat is known as one"
        before = len(receiver.got)
        waits = next(row for row in rows if row["state"] != "delivered")
        assert node.command("endpoint", "enable", "app").returncode == 0
        assert node.command("delivery", "retry", waits["id"]).returncode == 0
        node.settled(31, limit=100)
        assert len(receiver.wait(before + 1)) == before + 1
    finally:
        assert node.stop() == 0


@pytest.mark.skipif(bool(DATABASE), reason="as above")
def test_what_is_no_whole_backup_is_refused(doorbell, tmp_path):
    file, cut = tmp_path / "copy.tar", tmp_path / "cut.tar"
    assert doorbell.command("backup", str(file)).returncode == 0
    cut.write_bytes(file.read_bytes()[:-2000])
    (tmp_path / "text").write_text("no archive\n" * 100)
    for name, word in [("cut.tar", "cut short"), ("text", "no backup of Doorbell"), ("none", "cannot be read")]:
        place = tmp_path / f"of-{name}"
        place.mkdir()
        done = restore(tmp_path / name, place)
        assert done.returncode == 1 and word in done.stderr, done.stderr
        assert list(place.iterdir()) == []
    token = doorbell.api("POST", "/v1/tokens", {"name": "reader", "scopes": ["read"]})["token"]
    doorbell.token = token
    refused = doorbell.command("backup", str(tmp_path / "mine.tar"))
    assert refused.returncode == 1 and "scope" in refused.stderr, refused.stderr
    assert not (tmp_path / "mine.tar").exists() and not (tmp_path / "mine.tar.part").exists()


@pytest.mark.skipif(not DATABASE, reason="is for a database")
def test_a_database_says_what_to_do_instead(doorbell, tmp_path):
    refused = doorbell.command("backup", str(tmp_path / "copy.tar"))
    assert refused.returncode == 1 and "pg_dump" in refused.stderr, refused.stderr
