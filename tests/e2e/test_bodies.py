"""Large bodies in an object store, which moto plays beside SQS: nodes on PostgreSQL only."""

import boto3
from conftest import INBOX, Doorbell, until

LARGE, OTHER = bytes(range(256)) * 4096, b"another" * 10_000


def test_large_bodies_lie_in_the_object_store(tmp_path, receiver):
    host = INBOX.split("@")[1].split("/")[0]
    s3 = boto3.client("s3", endpoint_url=f"http://{host}", region_name="us-east-1", aws_access_key_id="test",
                      aws_secret_access_key="test")
    s3.create_bucket(Bucket="bodies")
    doorbell = Doorbell(tmp_path, {"DOORBELL_STORE_BODIES_URL": f"s3+http://test:test@{host}/bodies/of/doorbell",
                                   "DOORBELL_STORE_BODIES_OVER": "4KiB"})
    doorbell.source("shop", provider="none")
    doorbell.endpoint("all", receiver.url)
    for body in (LARGE, b"small"):
        assert 200 <= doorbell.post("shop", [], body).status < 300
    assert sorted(item.body for item in receiver.wait(2)) == sorted([LARGE, b"small"])
    [kept] = s3.list_objects_v2(Bucket="bodies")["Contents"]
    assert kept["Key"].startswith("of/doorbell/") and kept["Size"] == len(LARGE)
    event = next(row["id"] for row in doorbell.api("GET", "/v1/events")["data"] if row["body_len"] == len(LARGE))
    assert doorbell.ask("GET", f"/v1/events/{event}/body").body == LARGE
    assert "test:test" not in (tmp_path / "node.log").read_text()

    # Without a bucket nothing can be put there: it stays in the database, and nobody is refused.
    s3.delete_object(Bucket="bodies", Key=kept["Key"])
    s3.delete_bucket(Bucket="bodies")
    assert 200 <= doorbell.post("shop", [], OTHER).status < 300
    assert receiver.wait(3)[2].body == OTHER
    until("a line about it", lambda: "stay in the database" in (tmp_path / "node.log").read_text())
    assert "test:***@" in doorbell.command("config", "show", "--store", "postgres://x/y", "--bodies-url", f"s3+http://test:test@{host}/b").stdout
    lost = doorbell.ask("GET", f"/v1/events/{event}/body")
    assert lost.status >= 500, (lost.status, lost.body)
    assert doorbell.stop() == 0
