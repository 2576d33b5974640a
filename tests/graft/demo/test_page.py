"""The page of `graft demo` in a real browser, beside `Classifier` on the same pictures."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from graft import Classifier
from graft.demo.server import make_server
from tests.tasks.pages.browsing import colours, read_log, requests_of, scrolls_sideways

SECONDS = 60
# A picture in the clipboard, or dropped: the browser gives its events to no other program.
HAND_OVER = """
const [kind, name, type] = arguments;
const data = new DataTransfer();
if (name) data.items.add(new File([new Uint8Array(16)], name, { type }));
document.dispatchEvent(kind === "paste"
  ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
  : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
"""
STOP_BY_PASTING = f"document.querySelector('.explain').click(); {HAND_OVER}"
MANY_CLASSES = """
const done = arguments[0];
import("/card.js").then(({ Card }) => {
  const card = new Card("seven");
  const facts = { classes: [..."abcdefg"], threshold: null };
  card.showAnswer({ probabilities: Float32Array.of(0, 0.0004, 0.1, 0.05, 0.6496, 0.15, 0.05) }, { facts });
  document.getElementById("results").prepend(card.element);
  done();
});
"""
VEIL_BY_HALVES = """
const heat = document.querySelector(".heat");
const mean = (x) => {
  const { data } = heat.getContext("2d").getImageData(x, 0, heat.width / 2, heat.height);
  return data.reduce((sum, value, place) => sum + (place % 4 === 3 ? value : 0), 0) / (data.length / 4);
};
return [mean(0), mean(heat.width / 2)];
"""


FALSIFY_PIXELS = """
const context = OffscreenCanvasRenderingContext2D.prototype;
const read = context.getImageData;
context.getImageData = function (...area) {
  const image = read.apply(this, area);
  image.data[0] ^= 1;
  return image;
};
"""


@pytest.fixture
def page(browser: Chrome, address: str) -> Iterator[Chrome]:
    """Open the page, or take the answers off it if it is open: loading it anew takes half a second."""
    if browser.current_url == address:
        browser.execute_script("document.getElementById('results').replaceChildren()")
    else:
        open_page(browser, address)
    set_up(browser, 1200, "light")
    yield browser
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def open_page(browser: Chrome, address: str) -> None:
    for log in ("browser", "performance"):
        read_log(browser, log)
    browser.get(address)
    wait(browser, "return ['ready', 'failed'].includes(document.body.dataset.state)")


def set_up(browser: Chrome, width: int, scheme: str) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)


def wait(browser: Chrome, script: str) -> None:
    WebDriverWait(browser, SECONDS, poll_frequency=0.02).until(lambda _: browser.execute_script(script))


def show(browser: Chrome, *pictures: Path) -> list[WebElement]:
    """Choose pictures, and return their finished cards in the same order."""
    before = len(browser.find_elements(By.CLASS_NAME, "card"))
    browser.find_element(By.ID, "choose").send_keys("\n".join(map(str, pictures)))
    finished = f"document.querySelectorAll('.card[aria-busy=false]').length === {before + len(pictures)}"
    wait(browser, f"return {finished}")
    return browser.find_elements(By.CLASS_NAME, "card")[: len(pictures)][::-1]


def part(card: WebElement, name: str) -> WebElement:
    return card.find_element(By.CLASS_NAME, name)


def test_the_page_answers_as_the_library_does_and_asks_nobody_else(page: Chrome, address: str, folder: Path) -> None:
    names = ("red.png", "grey.png", "see through.png", "one channel.png", "tiny.png")
    pictures = [folder / "pictures" / name for name in names]
    cards = show(page, *pictures)
    expected = Classifier(folder / "model.onnx").predict(pictures)
    for card, prediction in zip(cards, expected, strict=True):
        assert prediction.probabilities is not None
        ours = json.loads(card.get_attribute("data-probabilities") or "")
        np.testing.assert_allclose(ours, prediction.probabilities, atol=1e-5)
        assert float(card.get_attribute("data-known") or "nan") == pytest.approx(prediction.known, abs=1e-5)
        assert (part(card, "verdict").text == "Unknown") == (not prediction.is_known)
    assert [prediction.is_known for prediction in expected] == [True, False, True, False, True]
    assert {request.startswith(address) for request in requests_of(page)} == {True}
    assert read_log(page, "browser") == []


def test_an_unknown_picture_is_explained(page: Chrome, folder: Path) -> None:
    card = show(page, folder / "pictures" / "grey.png")[0]
    assert part(card, "explanation").text.startswith(
        "This picture is unlike those that the model was trained on: its resemblance to them is 0.01, and counts as "
        "known from 0.50 on. The model would guess "
    )


def test_texts_of_the_model_and_names_of_files_stay_text(page: Chrome, folder: Path) -> None:
    picture = folder / "pictures" / "<i onclick=alert(1)>.png"
    shutil.copy(folder / "pictures" / "red.png", picture)
    card = show(page, picture)[0]
    labels = {label.text for label in card.find_elements(By.CLASS_NAME, "label")}
    assert labels == {"red", "<img src=x onerror=alert(1)>", "blue\\n\\x1b[31m"}
    assert part(card, "name").text == "<i onclick=alert(1)>.png"
    assert "<img src=x onerror=alert(1)>" in page.find_element(By.ID, "facts").text
    assert page.find_elements(By.CSS_SELECTOR, "img, i, b") == []


def test_the_most_similar_training_images_are_shown_with_their_class(page: Chrome, folder: Path) -> None:
    items = show(page, folder / "pictures" / "red.png")[0].find_elements(By.CSS_SELECTOR, ".similar li")
    assert [item.text for item in items] == ["<b>reds"] * 4 + ["blues"] * 2
    name = items[0].find_element(By.TAG_NAME, "canvas").get_attribute("title") or ""
    assert name.startswith("<b>reds/")  # and not the path on the machine that made the page
    colour = "return [...arguments[0].querySelector('canvas').getContext('2d').getImageData(48, 48, 1, 1).data]"
    red, green, blue, _ = page.execute_script(colour, items[0])
    assert red > 150 > max(green, blue)


def test_the_heatmap_shows_the_places_that_speak_for_the_class(page: Chrome, folder: Path) -> None:
    pixels = np.full((64, 64, 3), 128, np.uint8)
    pixels[:, :32] = 250, 0, 0
    Image.fromarray(pixels).save(folder / "pictures" / "left.png")
    older = show(page, folder / "pictures" / "left.png")[0]
    assert not part(older, "heat").is_displayed()
    part(older, "explain").send_keys(Keys.ENTER)
    wait(page, "return !document.querySelector('.heat').hidden")
    left, right = page.execute_script(VEIL_BY_HALVES)
    assert left < 60
    assert right > 180
    assert part(older, "legend").text == (
        "Clear: places that speak for red. Veiled: places that the answer can do without."
    )
    part(older, "explain").click()
    assert not part(older, "heat").is_displayed()


def test_an_older_picture_has_a_heatmap_too(page: Chrome, folder: Path) -> None:
    pictures = [folder / "pictures" / name for name in ("red.png", "grey.png")]
    older, newer = show(page, *pictures)
    part(older, "explain").click()
    wait(page, "return !document.querySelectorAll('.heat')[1].hidden")
    part(newer, "explain").click()
    wait(page, "return document.querySelector('.legend').textContent")
    expected = "No single place decides: with any part of the picture covered, the answer stays the same."
    assert part(newer, "legend").text == expected


def test_a_new_picture_stops_the_heatmap(page: Chrome, folder: Path) -> None:
    card = show(page, folder / "pictures" / "red.png")[0]
    page.execute_script(STOP_BY_PASTING, "paste", "other.png", "image/png")
    WebDriverWait(page, SECONDS).until(lambda _: part(card, "legend").text == "Stopped.")
    assert part(card, "explain").text == "Where does it look?"
    assert not part(card, "heat").is_displayed()


def test_a_file_that_is_no_picture_gets_its_reason_and_the_others_their_answer(page: Chrome, folder: Path) -> None:
    failed, answered = show(page, folder / "pictures" / "no picture.png", folder / "pictures" / "red.png")
    assert failed.text == "No answer\nno picture.png: this browser cannot read it as an image."
    assert part(answered, "verdict").text == "red"


@pytest.mark.parametrize(("kind", "word"), [("paste", "pasted"), ("drop", "dropped")])
def test_pictures_can_be_pasted_and_dropped(page: Chrome, kind: str, word: str) -> None:
    page.execute_script(HAND_OVER, kind, "", "")
    assert page.find_element(By.ID, "message").text == f"There is no picture in what you {word}."
    page.execute_script(HAND_OVER, kind, "damaged.png", "image/png")
    wait(page, "return document.querySelector('.card.failed')")
    assert page.find_element(By.CLASS_NAME, "card").text.endswith(
        "damaged.png: this browser cannot read it as an image."
    )
    assert page.find_element(By.ID, "message").text == ""


def test_photographs_are_turned_upright_and_large_ones_are_reduced(page: Chrome, folder: Path) -> None:
    turned, large = folder / "pictures" / "turned.jpg", folder / "pictures" / "large.png"
    exif = Image.Exif()
    exif[274] = 6  # orientation: turned by 90 degrees
    Image.new("RGB", (60, 40), "red").save(turned, exif=exif)
    Image.new("L", (5000, 10), 90).save(large)
    cards = show(page, turned, large)
    assert [part(card, "size").text for card in cards] == ["40 × 60 pixels", "4096 × 8 pixels, reduced to fit"]


def test_five_classes_are_shown_and_all_on_request(page: Chrome) -> None:
    page.execute_async_script(MANY_CLASSES)
    card = page.find_element(By.CLASS_NAME, "card")
    bars = [bar.text for bar in card.find_elements(By.CSS_SELECTOR, ".bars li")]
    assert bars == ["e\n65.0%", "f\n15.0%", "c\n10.0%", "d\n5.0%", "g\n5.0%"]
    part(card, "more").click()
    bars = [bar.text for bar in card.find_elements(By.CSS_SELECTOR, ".bars li")]
    assert bars[5:] == ["b\n< 0.1%", "a\n< 0.1%"]
    assert part(card, "more").text == "The first 5 classes"


def test_the_page_fits_laptops_and_phones_in_light_and_dark(page: Chrome, folder: Path) -> None:
    show(page, *[folder / "pictures" / name for name in ("grey.png", "red.png")])
    for scheme, background in {"light": "rgb(251, 250, 248)", "dark": "rgb(19, 20, 22)"}.items():
        for width in (1280, 390):
            set_up(page, width, scheme)
            assert not scrolls_sideways(page)
            assert colours(page, folder / f"{width}-{scheme}.png") > 100
            assert page.execute_script("return getComputedStyle(document.body).backgroundColor") == background


def test_the_buttons_are_reached_by_keyboard_in_order(page: Chrome, folder: Path) -> None:
    show(page, folder / "pictures" / "red.png")
    page.find_element(By.TAG_NAME, "h1").click()  # from there on, the Tab key moves
    reached = []
    for _ in range(3):
        ActionChains(page).send_keys(Keys.TAB).perform()
        focused = page.switch_to.active_element
        reached.append(focused.get_attribute("id") or focused.get_attribute("class"))
    assert [name for name in reached if name != "photograph"][:2] == ["choose", "explain"]


def test_a_browser_that_falsifies_pixels_is_noticed(browser: Chrome, page: Chrome, address: str) -> None:
    assert not page.find_element(By.ID, "notice").is_displayed()
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": FALSIFY_PIXELS})
    open_page(browser, address)
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
    notice = browser.find_element(By.ID, "notice").text
    assert notice.startswith("This browser changes the pixels that pages read")
    browser.get("about:blank")


def cut(site: Path) -> None:
    model = site / "model.onnx"
    model.write_bytes(model.read_bytes()[:500])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(cut, "model.onnx is damaged, or this browser is too old for it (", id="model cut"),
        pytest.param(
            lambda site: (site / "model.onnx").unlink(),
            "model.onnx is missing (404); copy the whole folder again.",
            id="model missing",
        ),
        pytest.param(
            lambda site: shutil.rmtree(site / "runtime"),
            "a script of the folder is missing; copy it again.",
            id="runtime missing",
        ),
    ],
)
def test_a_damaged_folder_is_explained(
    browser: Chrome, folder: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    site = shutil.copytree(folder / "site", tmp_path / "site")
    damage(site)
    with make_server(site, 0) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        open_page(browser, f"http://127.0.0.1:{server.server_address[1]}/")
        server.shutdown()
        thread.join()
    assert browser.find_element(By.ID, "summary").text.startswith(f"The model cannot be loaded: {message}")


def test_a_page_that_is_opened_as_a_file_says_that_it_needs_a_server(browser: Chrome, folder: Path) -> None:
    browser.get((folder / "site" / "index.html").as_uri())
    assert "it does not work when it is opened as a file" in str(
        browser.execute_script("return document.getElementById('hint').textContent")
    )
    assert browser.execute_script("return document.body.dataset.state") is None
    assert browser.execute_script("return document.getElementById('hint').getAnimations().length") == 1
