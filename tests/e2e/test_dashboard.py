"""The dashboard in a real browser: signing in with the printed address, and what comes from outside is only text."""

import json
import re
import shutil

import pytest
from browser import Browser
from conftest import until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = [
    "<img/src=x/onerror=alert(1)>",
    "<script>alert(1)</script>",
    "</summary></details><svg/onload=alert(1)>",
    "'\"><iframe/src=javascript:alert(1)>",
    "javascript:alert(1)",
    "{{7*7}}${7*7}",
]


@pytest.fixture
def browser(tmp_path):
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    browser = Browser(CHROMIUM, tmp_path / "profile")
    yield browser
    browser.close()


def shown(browser):
    return browser.evaluate("document.body.innerText")


def is_shown(browser, text):
    until(f"the page shows {text!r}", lambda: text in shown(browser))


def opened(browser):
    """Opens everything that can be opened, and what is in there too."""
    script = "[...document.querySelectorAll('details')].filter((one) => !one.open).map((one) => { one.open = true; }).length"
    while browser.evaluate(script):
        short = "[...document.querySelectorAll('details[open] > .inside')].map((one) => one.innerText).filter((text) => text.length <= 20)"
        try:
            until("what was opened is filled", lambda: browser.evaluate(short) == [])
        except AssertionError as late:
            raise AssertionError(f"still short: {browser.evaluate(short)}") from late


def press(browser, text):
    """Presses the first button that says so."""
    found = f"[...document.querySelectorAll('button')].find((one) => one.textContent === {json.dumps(text)})"
    until(f"a button says {text!r}", lambda: browser.evaluate(f"{found} !== undefined"))
    browser.evaluate(f"{found}.click()")


def rejected(doorbell):
    """A request that is not believed."""
    doorbell.source("gh", provider="github", secrets=["right"])
    headers = [("Content-Type", "application/json"), ("X-Hub-Signature-256", "sha256=" + 64 * "0")]
    assert doorbell.post("gh", headers, b"{}").status == 401


def test_the_printed_address_opens_the_dashboard_once(doorbell, browser):
    browser.open(doorbell.admin)
    is_shown(browser, "You are not signed in")
    browser.open(doorbell.ready["login"])
    is_shown(browser, "inbox")
    is_shown(browser, doorbell.ready["source"])
    assert browser.evaluate("location.pathname + location.search") == "/"
    assert browser.evaluate("document.cookie") == "", "no script can read it"
    browser.evaluate("document.getElementById('sign-out').click()")
    is_shown(browser, "You are not signed in")
    browser.open(doorbell.ready["login"])
    is_shown(browser, "A good login code is needed")
    browser.open(doorbell.command("login").stdout.split()[0])
    is_shown(browser, "inbox")


def test_what_comes_from_outside_is_only_text(doorbell, receiver, browser):
    receiver.script = [500] * 100
    doorbell.endpoint("app", receiver.url, retry={"schedule": ["0s", "1h"]})
    for hostile in HOSTILE:
        doorbell.api("POST", "/v1/events", {"type": hostile, "data": hostile})
    receiver.wait(len(HOSTILE))
    browser.open(doorbell.ready["login"])
    for hostile in HOSTILE:
        is_shown(browser, hostile)
    browser.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    is_shown(browser, "The receiver failed")
    is_shown(browser, "Download it whole")
    count = "document.querySelectorAll('%s').length"
    assert [browser.evaluate(count % tag) for tag in ["img", "script", "iframe", "svg"]] == [1, 2, 0, 0]
    links = browser.evaluate("[...document.querySelectorAll('a')].map((link) => link.getAttribute('href'))")
    assert all(re.fullmatch("/v1/requests/req_[0-9a-z]{26}/body", link) for link in links), links
    wrong = browser.happened("Page.javascriptDialogOpening", "Runtime.exceptionThrown", "Log.entryAdded")
    assert wrong == [], "no dialog, no fault, nothing that the policy had to stop"


def test_what_happens_is_shown_as_it_happens(doorbell, browser):
    browser.open(doorbell.ready["login"])
    is_shown(browser, "live")
    doorbell.api("POST", "/v1/events", {"type": "invoice.paid", "data": 1})
    is_shown(browser, "invoice.paid")
    width = browser.evaluate("innerWidth")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    browser.call("Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=1, mobile=False)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360


def test_an_open_breaker_is_shown_with_its_reason(doorbell, receiver, browser):
    receiver.script = [500] * 1000
    doorbell.endpoint("app", receiver.url, retry={"schedule": ["0s", "1h"]})
    for _ in range(30):
        doorbell.api("POST", "/v1/events", {"type": "invoice.paid", "data": 1})
    browser.open(doorbell.ready["login"])
    is_shown(browser, "breaker open")
    is_shown(browser, "tries in a row failed, the last one with status 500")
    browser.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    is_shown(browser, "Its endpoint's circuit breaker is open")
    browser.call("Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=1, mobile=False)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_request_is_shown_as_it_came(doorbell, browser):
    body = '{"id": 12345678901234567890, "amount": 1.50, "names": ["\u00e9", []]}'.encode()
    headers = [("X-Twice", "one"), ("Content-Type", "application/json"), ("X-Twice", "two, three")]
    assert doorbell.post("inbox", headers, body, "/a%2Fb?x=1&y=%20").status == 202
    browser.open(doorbell.ready["login"])
    is_shown(browser, "inbox")
    opened(browser)
    is_shown(browser, "POST …/inbox/a%2Fb?x=1&y=%20")
    text = shown(browser)
    lines = ["x-twice: one", "content-type: application/json", "x-twice: two, three"]
    assert [text.index(line) for line in lines] == sorted(text.index(line) for line in lines)
    panes = "[...document.querySelectorAll('pre.pane')].map((pane) => [pane.getAttribute('aria-label'), pane.textContent])"
    panes = dict(browser.evaluate(panes))
    assert panes["As it came"] == body.decode()
    formatted = '{\n  "id": 12345678901234567890,\n  "amount": 1.50,\n  "names": [\n    "\u00e9",\n    []\n  ]\n}'
    assert panes["Formatted"] == formatted, "numbers stay as they were written"
    link = "document.querySelector('a[download]').href"
    assert browser.evaluate(f"fetch({link}).then((answer) => answer.text())") == body.decode()


def test_bytes_are_shown_in_hex_and_cut(doorbell, browser):
    assert doorbell.post("inbox", [], bytes(range(256)) * 20).status == 202
    browser.open(doorbell.ready["login"])
    is_shown(browser, "5120 bytes")
    opened(browser)
    is_shown(browser, "the first 4096 are shown")
    rows = browser.evaluate("[...document.querySelectorAll('pre.pane')].at(-1).textContent").splitlines()
    assert (len(rows), rows[6]) == (256, "000060  60 61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f  `abcdefghijklmno")


def test_a_rejected_request_says_why(doorbell, browser):
    rejected(doorbell)
    browser.open(doorbell.ready["login"])
    is_shown(browser, "rejected")
    opened(browser)
    is_shown(browser, "As its source is set up now, it does not verify")
    is_shown(browser, "the header x-hub-signature-256")


def test_a_delivery_is_followed_and_steered(doorbell, receiver, browser):
    receiver.script = [500]
    doorbell.endpoint("app", receiver.url, sources=["inbox"], retry={"schedule": ["0s", "1h"]})
    doorbell.endpoint("other", receiver.url, sources=["inbox"], event_types=["never"])
    assert doorbell.post("inbox", [], b"hello").status == 202
    browser.open(doorbell.ready["login"])
    is_shown(browser, "all events from inbox")
    is_shown(browser, "never from inbox")
    is_shown(browser, "1 delivery waits")
    opened(browser)
    is_shown(browser, "The receiver failed")
    is_shown(browser, "ms in all")
    opened(browser)
    is_shown(browser, "content-length: 0")
    press(browser, "Try again now")
    is_shown(browser, "Try 2")
    is_shown(browser, "1 delivered")
    assert len(receiver.wait(2)) == 2
    browser.evaluate("document.querySelector('select').value = 'other'")
    press(browser, "Deliver it again")
    is_shown(browser, "It is being replayed: rpl_")
    receiver.wait(3)
    is_shown(browser, "2 delivered")


def test_a_delivery_is_cancelled(doorbell, browser):
    doorbell.endpoint("gone", "http://127.0.0.1:50999/", retry={"schedule": ["0s", "1h"]})
    doorbell.api("POST", "/v1/events", {"type": "a.b", "data": 1})
    browser.open(doorbell.ready["login"])
    is_shown(browser, "1 waiting")
    opened(browser)
    is_shown(browser, "connection refused")
    press(browser, "Cancel")
    is_shown(browser, "1 discarded")
    assert doorbell.deliveries()[0]["last_error"] == "connection_refused"


def test_it_fits_and_everything_has_a_name(doorbell, receiver, browser):
    rejected(doorbell)
    receiver.script = [500] * 9
    doorbell.endpoint("app", receiver.url, retry={"schedule": ["0s", "1h"]})
    doorbell.post("inbox", [("X-Long", "x" * 3000)], bytes(range(256)) * 4)
    doorbell.post("inbox", [("Content-Type", "application/json")], json.dumps({"k" * 300: "v" * 3000}).encode())
    receiver.wait(2)
    browser.open(doorbell.ready["login"])
    is_shown(browser, "rejected")
    opened(browser)
    is_shown(browser, "The receiver failed")
    opened(browser)
    for width in [1400, 390]:
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = {"button", "combobox", "link", "region", "DisclosureTriangle"}
    nameless = [node["role"] for node in nodes if not node["ignored"] and node["role"]["value"] in named and not node["name"]["value"]]
    assert nameless == []
