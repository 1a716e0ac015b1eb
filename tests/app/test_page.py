"""The page in a real browser that reaches nothing but this machine.

It needs the Python package playwright and Debian's chromium (``apt-get install chromium``).
"""

import re
import shutil

import numpy as np
import pytest

from bnnjax import Recipe, assets, images
from bnnjax.nst.files import Writer
from bnnjax.nst.prepare import prepare
from tests.app.conftest import Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SOON = 60_000  # ms

sync_api = pytest.importorskip("playwright.sync_api", reason="the browser's test needs playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def visit(browser):
    """A function (address, size of the window) → the page with lists ``outside`` and ``faults``."""
    contexts = []

    def open_page(url, size=DESKTOP):
        context = browser.new_context(viewport=size)
        contexts.append(context)
        page = context.new_page()
        page.outside, page.faults = [], []

        def route(asked):
            if re.match(rf"{re.escape(url)}/|data:|blob:", asked.request.url):
                asked.continue_()
            else:
                page.outside.append(asked.request.url)
                asked.abort()

        context.route("**/*", route)
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("console", lambda m: m.type == "error" and page.faults.append(m.text))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def recipe(toy_file, known, tmp_path):
    """A picture that says it was made in very many steps at 32 px."""
    options = {"size": 32, "steps": 10**6, "strength": 0.85, "style_weight": 7.5}
    (photograph, _), (_, painting) = assets.samples()
    work = prepare(photograph, painting, model=toy_file, **options)
    path = tmp_path / "made_before.png"
    Writer(work, [path]).write(0, work.photographs[0].cropped)
    return path


def expect(page, selector):
    return sync_api.expect(page.locator(selector))


def looks(page, key):
    """The picture [H, W, 3] after a key has moved the slider."""
    page.keyboard.press(key)
    return images.load_bytes(page.locator("#compare").screenshot(), "screenshot")


def test_a_visit_from_the_first_look_to_the_download(serve, visit, recipe, tmp_path, encoded):
    url = serve()
    page = visit(url)

    # Settings come from a picture made before, and stay what they are beside the controls.
    page.set_input_files("#recipe input", recipe)
    expect(page, "#settings").to_contain_text("These are the settings of made_before.png.")
    expect(page, "#settings").to_contain_text("Also: style weight 7.5.")
    expect(page, "#steps").to_have_value("1000000")
    expect(page, "output[for=strength]").to_have_text("0.85")
    expect(page, "input[value=town]").to_be_checked()

    # It is painted before one's eyes, until it is stopped; all by keyboard.
    page.focus("#paint")
    page.keyboard.press("Enter")
    expect(page, "#status").to_have_text(re.compile(r"Painting: \d+ %, about"), timeout=SOON)
    live = page.locator("#compare .after")
    first = live.get_attribute("src")
    sync_api.expect(live).not_to_have_attribute("src", first, timeout=SOON)
    expect(page, "#paint").to_be_disabled()
    page.focus("#stop")
    page.keyboard.press("Enter")
    expect(page, "#status").to_have_text("Stopped. The picture so far is kept.", timeout=SOON)
    expect(page, "#caption").to_contain_text("lake in the manner of town 43 × 32 px")

    # Before and after.
    expect(page, "#compare .after").to_have_attribute("src", re.compile("^works/"))
    page.focus("#compare input")
    views = {key: looks(page, key) for key in ("Home", "End")}
    assert np.abs(views["Home"] - views["End"]).mean() > 0.05

    # The file has the recipe inside.
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.suggested_filename == "lake__town.png"
    download.value.save_as(tmp_path / "mine.png")
    config = Recipe.read(tmp_path / "mine.png").config
    assert (config.strength, config.style_weight) == (0.85, 7.5)

    # One's own picture, dropped; it waits behind another visitor's, and is chosen at once.
    other = Page(url)
    other.order(steps=10**6)
    other.until(lambda report: report["job"] and report["job"]["state"] == "painting")
    photograph = {"name": "boat.png", "mimeType": "image/png", "buffer": encoded(0)}
    page.set_input_files("#add-photograph", photograph)
    expect(page, ".well[data-kind=photograph] .tile:has-text('boat.png') input").to_be_checked()
    page.click("#paint")
    expect(page, "#status").to_have_text("Waiting in line: one picture comes before yours.")
    page.click("#stop")
    expect(page, "#status").to_have_text("Stopped.")
    expect(page, "#history li").to_have_count(1)

    # A reload keeps what is there; nobody else has it.
    page.reload()
    expect(page, "#history li").to_have_count(1)
    expect(page, ".tile .close").to_have_attribute("aria-label", "Remove boat.png")
    stranger = visit(url)
    expect(stranger, "#compare").to_be_hidden()
    expect(stranger, "#history").to_be_hidden()
    assert page.outside == page.faults == stranger.outside == stranger.faults == []


def test_what_is_wrong_is_said_on_the_page(serve, visit, tmp_path):
    page = visit(serve(upload_mib=1))
    (tmp_path / "note.png").write_bytes(b"hello")
    page.set_input_files("#add-painting", tmp_path / "note.png")
    expect(page, "#fault").to_have_text("note.png: needs to be a JPEG, PNG or WebP picture")
    (tmp_path / "huge.png").write_bytes(bytes(2**20 + 1))
    page.set_input_files("#add-painting", tmp_path / "huge.png")
    expect(page, "#fault").to_have_text("huge.png: is larger than 1 MiB")
    assert page.outside == []


def test_a_phone_shows_everything_in_its_width(serve, visit):
    page = visit(serve(), PHONE)
    expect(page, ".tile >> nth=3").to_be_visible()
    metrics = page.context.new_cdp_session(page).send("Page.getLayoutMetrics")
    assert metrics["cssContentSize"]["width"] == PHONE["width"]
    paint = page.locator("#paint").bounding_box()
    assert paint["y"] + paint["height"] <= PHONE["height"], "the button is in sight"
    assert paint["height"] >= 44
    assert page.outside == page.faults == []
