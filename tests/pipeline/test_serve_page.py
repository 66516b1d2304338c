"""The page on which a person tries a model, in a real browser."""

import base64
import io
import re

import pytest
from PIL import Image

from tests.support.browser import browser_page
from tests.support.closure import ROOT
from tests.support.published import RESULTS, Project, use_real_model
from tests.support.serving import predictions, serving

pytestmark = pytest.mark.slow

SHOWN = "#result:not([hidden])"
TROUBLE = "#trouble:not([hidden])"
LOCKED = "#locked:not([hidden])"
TOKEN = "0123456789abcdef"
EXPLAINED = "#explained:not([hidden])"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return use_real_model(Project(tmp_path_factory.mktemp("page")))


@pytest.fixture(scope="module")
def server(project):
    with serving(
        "artifacts/train", "--decoders", "1", cwd=project.folder, env={"ROOTSTOCK_TOKEN": TOKEN}
    ) as running:
        yield running


@pytest.fixture(scope="module")
def tab(server):
    with browser_page() as (page, complaints):
        # The first listener has the browser hand choosers over, which takes it a moment that
        # nothing waits for: one who listens only when Enter is pressed may come too late.
        page.on("filechooser", lambda _: None)
        page.goto(server.url)
        page.set_default_timeout(60_000)
        give_token(page, "another-token-of-24-letters")
        give_token(page, TOKEN)
        page.wait_for_selector(LOCKED, state="hidden")
        yield page
        # The browser itself tells of answers that are refusals.
        assert [each for each in complaints if "status of 4" not in each] == []


def give_token(page, token):
    page.wait_for_selector(LOCKED)
    page.fill("#token", token)
    with page.expect_response("**/model"):
        page.press("#token", "Enter")


@pytest.fixture
def picture(project):
    path = project.folder / RESULTS.raw / "images/0.png"
    return path, predictions(project.folder, [path.read_bytes()])[0]


def assert_shown(tab, row):
    tab.wait_for_selector(SHOWN)
    assert tab.inner_text("#label") == row["label"]
    names = tab.locator("#bars .row span:first-child").all_inner_texts()
    shares = tab.locator("#bars .row span:last-child").all_inner_texts()
    bars = sorted(((row["p_a/b"], "a/b"), (row["p_c"], "c")), reverse=True)
    assert list(zip(shares, names, strict=True)) == [(f"{100 * p:.1f} %", name) for p, name in bars]
    width = tab.locator("#bars .fill").first.evaluate("each => each.style.width")
    assert float(width.rstrip("%")) == pytest.approx(100 * bars[0][0], abs=0.01)


def test_it_names_the_model(tab, server):
    version = server.client.get("/ready").json()["version"]
    # Not `wait_for_function`: where it has to wait it evaluates a text, which the page forbids.
    tab.wait_for_selector("h1:text-is('local')")
    assert tab.title() == f"local {version}"
    assert version in tab.inner_text("#about")


def test_it_shows_how_programs_ask(tab, server):
    tab.click("#code summary")
    for name in ("#curl", "#python", "#script"):
        assert f"{server.url}/predict" in tab.inner_text(name)
    tab.click("#code summary")


def test_what_is_drawn_on_a_canvas_is_predicted_as_the_documentation_shows(tab):
    page = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```browser\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    text = text.replace("http://127.0.0.1:8000", "")
    text = text.replace("headers: {", f'headers: {{ Authorization: "Bearer {TOKEN}",')
    row = tab.evaluate(f"(async () => {{ {text} }})()")
    assert row["label"] in ("a/b", "c"), row


def test_a_chosen_picture_is_shown_predicted_and_explained(tab, picture):
    path, row = picture
    tab.set_input_files("#file", path)
    assert_shown(tab, row)
    assert "0.png" in tab.inner_text("#name")
    tab.wait_for_selector(EXPLAINED)
    heat, shown = (tab.locator(each).bounding_box() for each in ("#heat", "#shown"))
    assert heat["height"] == pytest.approx(shown["height"], abs=1)
    assert heat["width"] == pytest.approx(heat["height"] * 50 / 60, abs=1), "over the picture"
    tab.uncheck("#where")
    assert tab.is_hidden("#over")
    tab.check("#where")
    assert tab.is_visible("#over")


def test_what_is_wrong_is_told_in_words(tab, project, picture):
    text = project.folder / "page.html"
    text.write_text("<html>404")
    tab.set_input_files("#file", text)
    tab.wait_for_selector(TROUBLE)
    assert tab.inner_text("#what") == "This is not a picture"
    assert tab.inner_text("#why") == "It is an HTML page."
    assert tab.is_hidden("#result")
    assert tab.is_visible("#unseen")
    tab.set_input_files("#file", picture[0])
    assert_shown(tab, picture[1])
    assert tab.is_hidden("#trouble")


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_dropped_and_a_pasted_picture(tab, picture, event):
    tab.reload()
    encoded = base64.b64encode(picture[0].read_bytes()).decode()
    tab.evaluate(
        """([kind, encoded]) => {
          const bytes = Uint8Array.from(atob(encoded), (each) => each.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
          const event = kind === "drop"
            ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
            : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
          document.getElementById("drop").dispatchEvent(event);
        }""",
        [event, encoded],
    )
    assert_shown(tab, picture[1])


def test_the_keyboard_is_enough(tab, picture):
    tab.reload()
    tab.wait_for_selector("#empty")
    for _ in range(3):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.id") == "file":
            break
    assert tab.evaluate("document.activeElement.id") == "file"
    with tab.expect_file_chooser() as chooser:
        tab.keyboard.press("Enter")
    chooser.value.set_files(picture[0])
    assert_shown(tab, picture[1])
    tab.wait_for_selector(EXPLAINED)
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.id") == "where"
    tab.keyboard.press("Space")
    assert tab.is_hidden("#over")


def test_nothing_is_loaded_from_elsewhere(tab, server):
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.reload()
    tab.wait_for_selector("#empty")
    assert all(each.startswith((server.url, "data:")) for each in asked)


def test_no_script_runs_but_its_own(tab, server):
    other = tab.context.browser.new_page()
    complaints = []
    other.on("console", lambda message: complaints.append(message.text))
    other.goto(server.url)
    ran = other.evaluate("""() => {
      const script = document.createElement("script");
      script.textContent = "window.injected = 1";
      document.body.append(script);
      return window.injected;
    }""")
    assert ran is None
    assert "Content Security Policy" in complaints[-1]
    other.close()


def test_a_picture_that_the_browser_cannot_show_is_predicted(tab, picture, tmp_path):
    path = tmp_path / "cell.tiff"
    stream = io.BytesIO()
    Image.open(picture[0]).save(stream, "TIFF")
    path.write_bytes(stream.getvalue())
    tab.set_input_files("#file", path)
    assert_shown(tab, picture[1])
    assert tab.is_visible("#unseen")
