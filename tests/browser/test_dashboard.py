"""The dashboard as a person uses it, on a real emulator."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from emulator import Emulator, Function
from emulator.client import Client
from emulator.report import make_report, run_of
from tests.browser.conftest import FUNCTIONS, HERE, Open
from tests.support import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ECHOING = Function(name="echoing", code=FUNCTIONS / "anything", memory=1769)
NASTY = "<img src=x onerror=\"window.pwned = 1; alert('pwned')\"><script>window.pwned = 1</script>"


def live(page: Page) -> Page:
    page.wait_for_selector("#connection[data-state=live]")
    return page


def expect(what: Locator, text: str | re.Pattern[str]) -> None:
    """It says this, now or soon."""
    what.filter(has_text=text).first.wait_for()


def rows(page: Page, table: str = "environments") -> Locator:
    return page.locator(f"#{table} tbody tr:not(.spacer)")


def figure(page: Page, name: str) -> Locator:
    return page.locator(f"#figure-{name} dd").first


def started(port: int = 0) -> Emulator:
    """One for a test alone."""
    return Emulator({"emulator": {"sandbox": "process", "port": port}, "database": {"server": "none"}})


def test_nothing_yet(open_page: Open) -> None:
    """An empty page says what an environment is, and has the button that makes the first one."""
    with started() as emulator:
        page = live(open_page(f"{emulator.endpoint_url}/_emulator/"))
        expect(page.locator("#no-function"), "describe one in lambda-freezer.toml")
        emulator.add(ECHOING)
        emulator.add(replace(ECHOING, name="another"))
        expect(page.locator("#lanes-empty"), "No environment yet.")
        page.select_option("#function", "another")
        page.get_by_role("button", name="Invoke another").wait_for()
        page.select_option("#function", "echoing")
        expect(page.locator("#sessions-empty"), "The server holds no session.")
        page.get_by_role("button", name="Invoke echoing").click()
        expect(rows(page), re.compile("echoing.*frozen"))
        assert page.locator("#lanes-empty").is_hidden()
        page.close()


def test_the_way_there(open_page: Open, emulator: Emulator) -> None:
    """Whoever opens the emulator's address finds the dashboard."""
    page = live(open_page(emulator.endpoint_url))
    assert page.url == f"{emulator.endpoint_url}/_emulator/"


def test_invoke_with_a_payload(open_page: Open, dashboard: str) -> None:
    """The payload is what was typed; what is no JSON is refused before it is sent; a failure is told as one."""
    page = live(open_page(dashboard))
    page.select_option("#function", "anything")
    page.fill("#payload", '{"do": "echo", "n": 17}')
    page.press("#payload", "Enter")
    expect(page.locator("#outcome code"), re.compile('"n": ?17'))
    page.fill("#payload", "{no")
    page.click("#invoke")
    expect(page.locator("#outcome.bad"), "The payload is not JSON")
    page.fill("#payload", '{"do": "fail", "message": "as asked"}')
    page.click("#invoke")
    expect(page.locator("#outcome.bad"), re.compile("anything failed.*as asked"))


def test_burst_recycle_zombies_and_time(open_page: Open, dashboard: str, emulator: Emulator) -> None:
    """Several at once start several environments; ended silently they leave zombies; in eight hours those are gone."""
    for name in ("orders", "invoices"):
        emulator.recycle(name, reclaim="graceful")
    emulator.fast_forward(hours=8)
    page = live(open_page(dashboard))
    page.select_option("#function", "orders")
    page.fill("#payload", '{"seconds": 0.2}')
    page.fill("#times", "3")
    page.click("#burst")
    expect(page.locator("#outcome"), "3 at once: 3 answered")
    page.select_option("#filter", "orders")
    expect(rows(page, "sessions"), re.compile("asleep, frozen.*orders"))
    page.wait_for_function("document.querySelectorAll('#environments tbody tr:not(.spacer)').length === 3")
    page.select_option("#reclaim", "silent")
    page.click("#recycle")
    expect(page.locator("#outcome"), "3 environments recycled")
    expect(figure(page, "zombies"), re.compile("^3$"))
    expect(rows(page, "sessions"), "zombie")
    expect(page.locator("#environments-empty"), "None is there now.")
    page.get_by_label("with those that are gone").check()
    expect(rows(page), re.compile("orders.*gone"))
    expect(page.locator("#chart-caption"), "3 zombies")
    page.get_by_role("button", name="8 h").click()
    expect(page.locator("#outcome"), "8 h skipped: it caused")
    expect(figure(page, "zombies"), re.compile("^0$"))


def test_reasons_and_the_log(open_page: Open, dashboard: str) -> None:
    """Pointing at a lane tells why it changed; choosing it shows all its changes, and its log as it is written."""
    page = live(open_page(dashboard))
    page.select_option("#function", "anything")
    page.fill("#payload", '{"do": "say", "lines": ["hello from inside"]}')
    page.click("#invoke")
    expect(page.locator("#outcome"), "anything answered")
    page.select_option("#filter", "anything")
    expect(rows(page), "anything")
    box = page.locator("#lanes").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 72)
    expect(page.locator("#tip"), re.compile("anything .* invocation"))
    rows(page).first.locator("button").click()
    expect(page.locator("#inspector-changes"), re.compile(r"starting.*cold start for request"))
    page.click("#tab-log")
    expect(page.locator("#inspector-log"), "hello from inside")
    page.fill("#payload", '{"do": "say", "lines": ["and once more"]}')
    page.click("#invoke")
    expect(page.locator("#inspector-log"), "and once more")


def test_keyboard_alone(open_page: Open, dashboard: str, emulator: Emulator) -> None:
    """From the top of the page to a reason, to the chosen environment, and to an invocation, without a mouse."""
    emulator.invoke("anything", {"do": "nothing"})
    page = live(open_page(dashboard))
    expect(rows(page), "anything")
    page.keyboard.press("Tab")
    expect(page.locator(".skip:focus"), "Skip to the timeline")
    page.keyboard.press("Enter")
    page.keyboard.press("PageDown")
    expect(page.locator("#spoken"), re.compile("[a-z]+, [0-9a-f]{8}, "))
    page.keyboard.press("Home")
    expect(page.locator("#spoken"), re.compile("starting for .*, cold start for request"))
    expect(page.locator("#tip"), "cold start for request")
    page.keyboard.press("Enter")
    expect(page.locator("#inspector-changes"), "cold start for request")
    page.focus("#function")
    page.keyboard.type("any")
    page.keyboard.press("Tab")
    page.keyboard.type('{"do": "echo", "by": "keyboard"}')  # what stood there was selected by the step into it
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#outcome code"), "keyboard")


@pytest.mark.parametrize("look", ["light", "dark", "large"])
def test_axe_finds_nothing_serious(open_page: Open, dashboard: str, emulator: Emulator, look: str) -> None:
    """Names, roles, contrast and order, by the rules of WCAG 2.2 AA and of good practice."""
    emulator.invoke("orders", {})
    page = live(open_page(dashboard, color_scheme="dark" if look == "dark" else "light"))
    if look == "large":
        page.get_by_label("Large").check()
    rows(page).first.locator("button").click()
    expect(page.locator("#inspector-changes"), "starting")
    page.evaluate((HERE / "vendor" / "axe.min.js").read_text())
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    told = [
        f"{each['impact']}: {each['id']}: {each['help']}: {[node['html'][:120] for node in each['nodes'][:3]]}"
        for each in found["violations"]
    ]
    assert told == []


def test_scripts_are_shown_as_text(open_page: Open, dashboard: str, emulator: Emulator, tmp_path: Path) -> None:
    """In a payload, in an answer and in a log; in a report also in the names of things."""
    page = live(open_page(dashboard))
    page.select_option("#function", "anything")
    for payload in ({"do": "echo", "text": NASTY}, {"do": "say", "lines": [NASTY]}):
        page.fill("#payload", json.dumps(payload))
        page.click("#invoke")
        expect(page.locator("#outcome"), "anything answered")
    page.select_option("#filter", "anything")
    rows(page).first.locator("button").click()
    page.click("#tab-log")
    expect(page.locator("#inspector-log"), "<img src=x")
    assert page.evaluate("window.pwned") is None

    run = run_of(Client(emulator.endpoint_url))
    run.events = [{**event, "function": NASTY, "reason": NASTY} for event in run.events]
    run.functions = [NASTY]
    report = tmp_path / "report.html"
    report.write_text(make_report(run))
    page = open_page(report.as_uri())
    expect(page.locator("#environments tbody"), "<img src=x")
    assert page.evaluate("window.pwned") is None


def test_a_page_of_another_site(open_page: Open, dashboard: str, emulator: Emulator, tmp_path: Path) -> None:
    """It can neither read nor trigger anything: by script, by form, by image, or in a frame."""
    (tmp_path / "page.html").write_text("<!doctype html><title>another site</title>")
    before = [event for event in emulator.timeline() if event.function == "anything"]
    page = open_page((tmp_path / "page.html").as_uri(), expect_complaints=True)
    invoke = f"{emulator.endpoint_url}/2015-03-31/functions/anything/invocations"
    statuses: list[int] = []  # of what the page may not even look at there is none
    page.on("response", lambda answer: statuses.append(answer.status))
    told = page.evaluate(
        """async ([dashboard, invoke]) => {
            const tries = [
                fetch(`${dashboard}api/status`),
                fetch(invoke, { method: "POST", body: '{"do": "count"}' }),
                fetch(invoke, { method: "POST", mode: "no-cors", body: '{"do": "count"}' }),
                fetch(`${dashboard}api/functions/anything/recycle`, { method: "POST", mode: "no-cors", body: "{}" }),
                new Promise((good, bad) => Object.assign(new Image(), { onload: good, onerror: bad, src: dashboard })),
            ];
            const form = document.createElement("form");
            form.action = invoke;
            form.method = "post";
            form.enctype = "text/plain";
            form.target = "frame";
            const frame = document.createElement("iframe");
            frame.name = "frame";
            document.body.append(frame, form);
            const loaded = new Promise((done) => (frame.onload = done));
            form.submit();
            await loaded;
            const ends = await Promise.allSettled(tries);
            return Promise.all(ends.map(async ({ value }) => (value instanceof Response ? await value.text() : "")));
        }""",
        [dashboard, invoke],
    )
    assert told == [""] * 5
    assert set(statuses) == {403}
    assert [event for event in emulator.timeline() if event.function == "anything"] == before


def test_the_emulator_comes_back(open_page: Open) -> None:
    """The page waits for it, sees that it is another run, and begins anew."""
    with started() as first:
        first.add(ECHOING).invoke({"do": "nothing"})
        url = first.endpoint_url
        page = live(open_page(f"{url}/_emulator/", expect_complaints=True))
        expect(rows(page), "echoing")
        old = rows(page).first.locator("button").inner_text()
    page.wait_for_selector("#connection[data-state=away]")
    expect(page.locator("#connection"), "Waiting for the emulator")
    page.click("#burst")
    expect(page.locator("#outcome.bad"), "The emulator does not answer")
    with started(int(url.rpartition(":")[2])) as second:
        second.add(ECHOING).invoke({"do": "nothing"})
        live(page)
        eventually(lambda: rows(page).count() == 1, "one environment is shown", 10)
        assert rows(page).first.locator("button").inner_text() != old
        assert page.locator("#outcome").is_hidden()
        second.invoke("echoing", {"do": "nothing"})
        expect(figure(page, "invocations"), re.compile("^2$"))


def test_a_report_opens_offline(open_page: Open, emulator: Emulator, tmp_path: Path) -> None:
    """One file, which asks for nothing: the same lanes, tables and logs, and what it all comes to."""
    emulator.invoke("orders", {})
    emulator.recycle("orders", reclaim="silent")
    report = tmp_path / "report.html"
    report.write_text(make_report(run_of(Client(emulator.endpoint_url))))
    asked: list[str] = []
    page = open_page("about:blank", offline=True)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    expect(page.locator("#verdicts"), re.compile("sessions? w[a-z]+ left behind by environments that ended"))
    page.get_by_label("Show the function").select_option("orders")
    expect(rows(page), re.compile("orders.*gone"))
    rows(page).first.locator("button").click()
    page.click("#tab-log")
    expect(page.locator("#inspector-log"), "REPORT RequestId")
    assert page.locator("#actions").is_hidden()
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]


def test_what_was_refused_was_never_a_session(open_page: Open, dashboard: str) -> None:
    """It is told as a trouble, and is neither a session nor part of the peak; nor is one that was seen twice."""
    page = live(open_page(dashboard))
    told = page.evaluate(
        """async () => {
            const { Model } = await import("/_emulator/model.js");
            const model = new Model();
            let seq = 0;
            const tell = (kind, at, port, reason = "") =>
                model.apply([{ seq: ++seq, at, kind, environment: "e", function: "f", request_id: "r", reason,
                               detail: port ? { source: ["10.0.0.2", port] } : null }]);
            const row = { id: 7, environment: "e", function: "f", client_address: "10.0.0.2:1", command: "Sleep" };
            tell("environment.starting", 1);
            model.reconcile([row], 2); // a look at the server comes before the relay's word, or after its last one
            tell("connection.opened", 1.9, 1);
            tell("connection.opened", 3, 2);
            tell("connection.refused", 3.1, 2, "the server refused it: Too many connections (1040)");
            tell("connection.closed", 3.1, 2);
            const first = [model.sessions.size, model.peak, model.troubles.refused, [...model.sessions][0].opened];
            tell("connection.closed", 4, 1);
            model.reconcile([row], 4.5);
            const [{ sessions, marks, open }] = model.environments.values();
            return [...first, model.sessions.size, sessions.length, open, marks.map((mark) => mark.kind)];
        }"""
    )
    assert told == [1, 1, 1, 1.9, 0, 1, 0, ["connection.refused"]]


def test_quiet_time_that_goes_on_is_folded(open_page: Open, dashboard: str) -> None:
    """It is a band that grows in seconds and not in width; places and moments are each other's inverse all along."""
    page = live(open_page(dashboard))
    told = page.evaluate(
        """async () => {
            const { Axis } = await import("/_emulator/axis.js");
            const axis = new Axis();
            axis.update([100, 101, 200, 201], 4, 301);
            const around = [100.5, 150, 200.5, 201, 251, 301].map((at) => axis.moment(axis.place(at)));
            const late = axis.ticks(0, 1000, 1000).found.filter(({ at }) => at > 301);
            return { around, now: axis.place(301), folds: axis.folds(0, 100).map((fold) => fold.seconds), late };
        }"""
    )
    assert told["around"] == pytest.approx([100.5, 150, 200.5, 201, 251, 301])
    assert told["now"] == 10  # 1 + 4 + 1 + 4
    assert told["folds"] == [99, 100]
    assert told["late"] == []
