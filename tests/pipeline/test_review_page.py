"""The page of `rootstock review` in a real browser, and who may ask its server."""

import csv
import json
import re
import select
import socket
import socketserver
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from pipeline.manifest.review import COLUMNS
from pipeline.reviewing.decisions import Change, Decisions
from tests.support.browser import browser_page
from tests.support.reviewing import HOSTILE, make_project, reviewing

pytestmark = pytest.mark.slow

WORK = "#work:not([hidden])"
END = "#end:not([hidden])"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("review")
    make_project(folder)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    """Run it with a "browser" that notes the file it is given: its mode and its text."""
    seen, program = folder / "seen", folder / "browser"
    program.write_text(
        f"#!/bin/sh\nf=${{1#file://}}\n(stat -c %a $f; cat $f) > {seen}.part\n"
        f"mv {seen}.part {seen}\n"
    )
    program.chmod(0o755)
    screen = {"DISPLAY": ":99", "BROWSER": f"{program} %s"}
    with reviewing(folder, "--by", "eva", env=screen) as running:
        yield running
        running.end()
    assert not (folder / ".rootstock/review.html").exists()


@pytest.fixture(scope="module")
def browser():
    with browser_page() as (page, complaints):
        page.set_default_timeout(10_000)
        yield page, complaints


@pytest.fixture
def page(browser, server, file):
    page, complaints = browser
    complaints.clear()
    page.goto("about:blank")
    page.goto(server.address)
    page.wait_for_selector(WORK)
    yield page
    # The browser itself tells of an answer of 409: somebody decided otherwise.
    assert [each for each in complaints if "status of 409" not in each] == []


@pytest.fixture
def file(folder):
    path = folder / "review" / "pets.csv"
    path.unlink(missing_ok=True)
    return path


def rows(file):
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def is_saved(page, count):
    page.wait_for_selector(f"#counts:text-matches('^{count} of \\\\d+ decided, \\\\d+ left')")
    page.wait_for_selector("#counts:not(:text('being saved'))")


def press(page, key):
    """Press a key when the picture is there: no one decides on what is not shown yet."""
    page.wait_for_selector(f"{WORK}[data-drawn], {END}, dialog[open]")
    page.keyboard.press(key)


def choose(page, title):
    page.click(f"#chips button:has-text('{title}')")
    page.wait_for_selector(f"#reasons span:text-is('{title}')")


def path_shown(page, place=0):
    return page.locator("figcaption div:last-child").nth(place).inner_text()


def test_six_suspects_are_settled_with_six_keys(page, file):
    choose(page, "Wrong label?")
    expected = []
    for key in ("Enter", "k", "d", "1", "2", "Enter"):
        page.wait_for_selector(f"{WORK}[data-drawn]")
        expected.append((path_shown(page), key))
        press(page, key)
    page.wait_for_selector(END)
    is_saved(page, 6)
    found = rows(file)
    assert list(found[0]) == list(COLUMNS)
    texts = {
        "Enter": "relabel:dog",
        "k": "keep",
        "d": "drop",
        "1": f"relabel:{HOSTILE}",
        "2": "keep",
    }
    assert [(row["note"].split(":")[0], row["decision"]) for row in found] == [
        (path, texts[key]) for path, key in expected
    ]
    assert {(row["by"], row["when"]) for row in found} == {("eva", time.strftime("%Y-%m-%d"))}
    assert found[0]["note"].endswith(
        ": label 1, labeled 'cat', expected 'dog'; p(dog) 0.900, p(cat) 0.080"
    )


def test_a_picture_is_shown_with_what_the_model_says(page):
    choose(page, "Wrong label?")
    page.wait_for_selector(".view img:not([hidden])")
    assert page.locator(".view img").first.evaluate("each => each.naturalWidth") == 96
    assert page.locator("#labels dd").all_inner_texts() == ["cat", "dog"]
    assert page.locator("#bars .row").all_inner_texts() == ["dog\n90.0 %", "cat\n8.0 %"]


def test_nothing_is_decided_before_the_picture_is_there(page, server, file):
    held = []
    page.route("**/api/view/**", lambda each: held.append(each))
    page.reload()
    page.wait_for_selector(WORK)
    page.click("#chips button:has-text('Wrong label?')")
    page.keyboard.press("d")
    page.wait_for_selector("#toast.shown:text('still on its way')")
    assert page.is_hidden(".view img")
    while held:
        held.pop().continue_()
    page.unroute("**/api/view/**")
    press(page, "d")
    is_saved(page, 1)
    assert len(rows(file)) == 1


def test_undo_goes_back_and_skip_comes_again(page, file):
    choose(page, "Wrong label?")
    first = path_shown(page)
    press(page, "d")
    press(page, "Control+z")
    is_saved(page, 0)
    assert path_shown(page) == first
    assert rows(file) == []
    press(page, "Space")
    assert path_shown(page) != first
    for _ in range(5):
        press(page, "k")
    page.wait_for_selector(END)
    is_saved(page, 5)
    page.keyboard.press("s")  # as the end says
    assert path_shown(page) == first


def test_a_closed_browser_loses_nothing(page, server, file):
    choose(page, "Wrong label?")
    press(page, "k")
    press(page, "d")
    is_saved(page, 2)
    other = page.context.browser.new_page()
    other.goto(server.address)
    is_saved(other, 2)
    other.select_option("#status", "decided")
    other.wait_for_selector("#decided:text('keep, by eva')")
    press(other, "u")
    is_saved(other, 1)
    other.close(run_before_unload=False)
    assert [row["decision"] for row in rows(file)] == ["drop"]


@pytest.mark.parametrize(("key", "stays"), [("Enter", "drop"), ("o", "keep")])
def test_what_another_person_decided_meanwhile_is_asked_about(page, server, file, key, stays):
    choose(page, "Wrong label?")
    item = server.client.get("/api/queue").json()
    digest = item["items"][str(item["cases"][1]["rows"][0])]["id"]
    tom = Decisions(file, "tom")
    tom.write([Change(digest, "", tom.row("drop", "seen"))])
    press(page, "k")
    page.wait_for_selector("#clash[open]")
    assert "tom: drop. You: keep." in page.inner_text("#clash-what")
    press(page, key)
    page.wait_for_selector("#clash:not([open])", state="attached")
    is_saved(page, 1)
    assert [row["decision"] for row in rows(file)] == [stays]
    assert rows(file)[0]["by"] == ("tom" if stays == "drop" else "eva")


def test_what_another_person_decides_is_seen_without_a_reload(page, server, file):
    queue = server.client.get("/api/queue").json()
    tom = Decisions(file, "tom")
    tom.write(
        [Change(queue["items"][str(queue["cases"][1]["rows"][0])]["id"], "", tom.row("drop", ""))]
    )
    is_saved(page, 1)


def test_a_conflict_is_settled_for_all_its_files_at_once(page, file):
    choose(page, "Conflicting labels")
    assert page.inner_text("#labels dd") == "cat or dog"
    assert page.is_disabled("#keep")
    press(page, "k")  # has no effect, and is not written
    press(page, "3")
    page.wait_for_selector(END)
    is_saved(page, 1)
    assert [row["decision"] for row in rows(file)] == ["relabel:dog", "relabel:dog"]
    press(page, "u")
    is_saved(page, 0)
    assert rows(file) == []


def test_a_pair_is_compared_and_swapped(page, file):
    choose(page, "Near-duplicate, left out")
    left, right = path_shown(page, 0), path_shown(page, 1)
    press(page, "f")
    page.wait_for_selector(".mark:text-matches('difference . 4; mean \\\\d')")
    assert page.is_visible("canvas")
    press(page, "b")
    page.wait_for_selector(".mark:text('the other one')")
    press(page, "x")
    assert (path_shown(page, 0), path_shown(page, 1)) == (right, left)
    press(page, "d")
    is_saved(page, 1)
    assert rows(file)[0]["note"].startswith(f"{right}: near_dropped, labeled 'cat'; ")


def test_typing_finds_a_class(page, file):
    choose(page, "Wrong label?")
    press(page, "r")
    page.keyboard.type("zebra")
    press(page, "Enter")
    assert "No class has this in its name" in page.inner_text("#palette-note")
    page.fill("#word", "DO")
    press(page, "Enter")
    is_saved(page, 1)
    assert rows(file)[0]["decision"] == "relabel:dog"


def test_of_a_test_item_the_model_is_heard_only_when_asked(page):
    press(page, "t")
    page.wait_for_selector("#blind:not([hidden])")
    assert page.is_hidden("#accept")
    assert "dog" not in page.inner_text("#told")
    press(page, "m")
    page.wait_for_selector("#labels dd.other:text-is('dog')")
    assert page.is_visible("#accept")


def test_what_cannot_be_decoded_is_told_with_its_size(page, file):
    choose(page, "Cut off")
    page.wait_for_selector(".none:text('the file has 700 bytes')")
    press(page, "k")
    press(page, "r")
    press(page, "d")
    is_saved(page, 1)
    assert [row["decision"] for row in rows(file)] == ["drop"]


def test_a_mouse_and_filters_are_enough(page, file):
    page.select_option("#class", "cat")
    page.fill("#path", "NEAR8")
    page.wait_for_selector("#place:text('1 / 1')")
    assert path_shown(page) == "cat/near8.png"
    page.click("#keep")
    page.wait_for_selector(END)
    is_saved(page, 1)
    assert rows(file)[0]["decision"] == "keep"


def test_hostile_names_are_text(page):
    assert HOSTILE in page.locator("#class option").all_inner_texts()
    choose(page, "Wrong label?")
    assert HOSTILE in page.locator("#quick button").first.inner_text()
    assert page.evaluate("window.injected") is None
    assert page.locator("#quick img").count() == 0


def test_nothing_is_loaded_from_elsewhere_and_the_address_is_cleared(page, server):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.wait_for_selector(WORK)
    assert page.url == server.url
    assert len(asked) > 3
    assert all(each.startswith((server.url, f"blob:{server.url}", "data:")) for each in asked)


REFUSED = {
    "no token": ({"x-rootstock-token": ""}, "token: open the address"),
    "another token": ({"x-rootstock-token": "x" * 32}, "token: open the address"),
    "a token that is no ASCII": ({"x-rootstock-token": b"\xff\xfe"}, "token: open the address"),
    "a foreign host (DNS rebinding)": ({"host": "evil.example:80"}, "host: only localhost"),
    "a host that begins like ours": ({"host": "localhost.evil.example"}, "host: only localhost"),
    "no host": ({"host": ""}, "host: only localhost"),
    "a foreign origin": ({"origin": "http://evil.example"}, "origin: another page"),
    "another port's page": ({"origin": "http://127.0.0.1:1"}, "origin: another page"),
    "a sandboxed page": ({"origin": "null"}, "origin: another page"),
    "another site, as the browser says": ({"sec-fetch-site": "cross-site"}, "origin: another"),
}


@pytest.mark.parametrize(("headers", "error"), REFUSED.values(), ids=REFUSED)
def test_others_may_neither_read_nor_write(server, file, headers, error):
    body = {"case": 1, "row": 0, "decision": "drop", "seen": {}}
    for answer in (
        server.client.get("/api/queue", headers=headers),
        server.client.post("/api/decide", json=body, headers=headers),
    ):
        assert answer.status_code == 403
        assert answer.json()["error"].startswith(error)
    assert not file.exists()


@contextmanager
def tunnel(port):
    """Forward connections from another port, as `ssh -L` does; gives its number."""

    class Forward(socketserver.BaseRequestHandler):
        def handle(self):
            with socket.create_connection(("127.0.0.1", int(port))) as other:
                ends = {self.request: other, other: self.request}
                while True:
                    for each in select.select(list(ends), [], [])[0]:
                        if not (part := each.recv(65_536)):
                            return
                        ends[each].sendall(part)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Forward) as forwarder:
        forwarder.daemon_threads, forwarder.block_on_close = True, False
        threading.Thread(target=forwarder.serve_forever, daemon=True).start()
        yield forwarder.server_address[1]
        forwarder.shutdown()


def test_it_works_through_a_tunnel_of_another_port(page, server, file):
    with tunnel(server.port) as port:
        page.goto(f"http://localhost:{port}/#token={server.token}")
        choose(page, "Wrong label?")
        press(page, "d")
        is_saved(page, 1)
        page.goto("about:blank")
    assert len(rows(file)) == 1


def test_a_browser_is_led_to_the_page_by_a_file_of_ours_alone(server, folder):
    while not (folder / "seen").exists():
        time.sleep(0.01)
    text = (folder / "seen").read_text()
    assert text.startswith("600\n")
    assert f"url={server.address}" in text


@pytest.mark.parametrize("host", ["localhost:9999", "127.0.0.1:1", "[::1]:8700", "localhost"])
def test_a_tunnel_may_have_any_port(server, host):
    origin = {"host": host, "origin": f"http://{host}"}
    assert server.client.get("/api/queue", headers=origin).status_code == 200


def test_the_bare_page_needs_no_token_and_holds_no_data(server):
    for name in ("", "page.css", "page.js"):
        # A link on another site may lead here; that page has no token.
        answer = httpx.get(server.url + name, headers={"sec-fetch-site": "cross-site"})
        assert answer.status_code == 200
        assert "default-src 'none'; script-src 'self'" in answer.headers["content-security-policy"]
        assert not re.search(r"pets|cat/|http://|https://|//\w", answer.text.replace("//  ", ""))


BODIES = {
    "an unknown class": ({"decision": "relabel:zebra"}, "no label: zebra"),
    "no decision": ({"decision": "perhaps"}, "must be keep, drop or relabel"),
    "an item of another case": ({"row": 10**6}, "there is no such case or item"),
    "no such case": ({"case": 10**6}, "there is no such case or item"),
    "without an effect": ({"decision": "keep", "case": 0}, "keep has no effect"),
    "another shape": ({"decision": ["keep"]}, "no such question"),
    "more than is asked": ({"path": "/etc/passwd"}, "no such question"),
}


@pytest.mark.parametrize(("changes", "error"), BODIES.values(), ids=BODIES)
def test_what_has_no_meaning_is_refused_and_not_written(server, file, changes, error):
    queue = server.client.get("/api/queue").json()
    case = changes.get("case", 1)
    row = queue["cases"][case if case < len(queue["cases"]) else 1]["rows"][0]
    body = {"case": case, "row": row, "decision": "keep", "seen": {}} | changes
    answer = server.client.post("/api/decide", json=body)
    assert answer.status_code == 422
    assert error in answer.json()["error"]
    assert not file.exists()


def test_a_large_body_is_refused(server):
    body = json.dumps({"rows": {"x" * 70_000: None}, "seen": {}})
    assert server.client.post("/api/undo", content=body).status_code == 413


def test_a_file_that_was_broken_by_hand_is_told_on_the_page(page, browser, file):
    file.write_text("id,decision\nab,perhaps\n")
    choose(page, "Wrong label?")
    press(page, "k")
    page.wait_for_selector("#alarm:not([hidden])")
    assert "pets.csv:2: column 'decision': must be keep" in page.inner_text("#alarm-why")
    assert file.read_text() == "id,decision\nab,perhaps\n"
    file.unlink()
    browser[1].clear()  # the browser itself tells of an answer of 500


def test_ctrl_c_ends_with_a_summary(folder, file, browser):
    with reviewing(folder) as server:
        page, complaints = browser
        page.goto(server.address)
        page.wait_for_selector(WORK)
        choose(page, "Wrong label?")
        press(page, "k")
        press(page, "Enter")
        is_saved(page, 2)
        code, text = server.end()
        assert code == 130
        assert "\n2 decided (keep 1, relabel 1), 13 left: run `git add review && dvc repro`" in text
        press(page, "d")
        page.wait_for_selector("#alarm:not([hidden])")
        assert page.inner_text("#alarm-what") == "Not saved yet."
        complaints.clear()
    assert len(rows(file)) == 2
