"""Every page in docs/providers/: what it says under "Try it" is run as it stands there, and is believed.

Only the port differs, since that of a test's node is not known before.
"""

import os
import re
import subprocess

import pytest
from conftest import BINARY, ROOT, Doorbell, until

PAGES = sorted(path for path in (ROOT / "docs" / "providers").glob("*.md") if path.name != "README.md")
# Nothing here can sign as these do: their pages say so and have no command to try.
NOT_SIGNED = {"postal"}


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    node = Doorbell(tmp_path_factory.mktemp("pages"))
    yield node
    assert node.stop() == 0


@pytest.fixture(scope="module")
def shell(node, tmp_path_factory):
    """Runs a page's lines as its reader would, with the binary by its name."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "doorbell").symlink_to(BINARY)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}",
                   "DOORBELL_TOKEN": node.token, "DOORBELL_URL": node.admin}

    def run(text):
        return subprocess.run(["bash", "-euc", text], capture_output=True, text=True, timeout=60, env=environment)

    return run


def section(path, title):
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", path.read_text(), re.M | re.S)
    return found and found[1]


def command(text):
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    assert len(blocks) == 1, text
    return blocks[0]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_what_the_page_says_to_try_is_believed(path, node, shell):
    name, text = path.stem, section(path, "Try it")
    if name in NOT_SIGNED:
        assert "cannot sign" in text and "```" not in text
        return
    lines = command(text)
    assert len(re.findall("^doorbell ", lines, re.M)) == 2, lines
    ran = shell(lines.replace("http://127.0.0.1:8080", node.ingest))
    assert ran.returncode == 0, (lines, ran.stdout, ran.stderr)
    # What was taken into an inbox is in the store a moment later.
    rows = until("it is kept", lambda: node.api("GET", f"/v1/requests?source=try-{name}")["data"])
    assert [row["event"] is not None for row in rows] == [True], rows
    source = node.api("GET", f"/v1/sources/try-{name}")
    assert source["provider"] == name
    # An event is there, and it is the check that let it in.
    explained = node.api("POST", f"/v1/sources/try-{name}/explain", {"request": rows[0]["id"]})
    assert explained["verified"] is True, explained


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_how_the_page_says_to_set_it_up_is_taken(path, node, shell):
    """The source is made as the page says, with a secret of the form that the page names."""
    wanted = section(path, "Set it up")
    made = re.search(r"^SECRET=.*$", section(path, "Try it"), re.M)
    lines = command(wanted)
    if "$SECRET" in lines:
        lines = (made[0] if made else 'SECRET="$(openssl genpkey -quiet -algorithm RSA)"') + "\n" + lines
    ran = shell(lines)
    assert ran.returncode == 0, (lines, ran.stdout, ran.stderr)
    assert node.api("GET", f"/v1/sources/{path.stem}")["provider"] == path.stem
