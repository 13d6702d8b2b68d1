"""The dashboard in a real browser: signing in with the printed address, and what comes from outside is only text."""

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
    count = "document.querySelectorAll('%s').length"
    assert [browser.evaluate(count % tag) for tag in ["img", "script", "iframe", "svg", "a"]] == [1, 1, 0, 0, 0]
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
