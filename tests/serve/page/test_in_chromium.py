"""What people do with the page, in a real browser against a real service."""

import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frugalseg import Segmenter
from frugalseg.imaging.resize import labels_at, resize_image
from frugalseg.serve.keys import make_key
from frugalseg.serve.static import write_static

pytestmark = pytest.mark.slow

Open = Callable[..., Any]
AGREED = 0.999  # of the pixels, between the page and the runtime
JS = "text/javascript"


@pytest.fixture(scope="module")
def segmenter(golden: Path) -> Segmenter:
    return Segmenter.open(golden)


@pytest.fixture(scope="module")
def static(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page without a service, in a folder of the plainest of hosts."""
    folder = tmp_path_factory.mktemp("host") / "site"
    write_static([golden], folder)
    handler = partial(_Silent, directory=str(folder.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{folder.name}/"
        server.shutdown()


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def shares_of(segmenter: Segmenter, picture: Path) -> list[str]:
    """The shares of a picture as the legend writes them."""
    shares = segmenter.segment(picture).shares.values()
    return [f"{100 * s:.{2 if 0 < s < 0.001 else 1}f} %" for s in shares]


def painted(visit: Any) -> NDArray[np.uint8]:
    """The pixels of the mask that lies over the picture, (H, W, 4)."""
    size, values = visit.page.evaluate(
        """() => {
            const canvas = document.getElementById("mask");
            const { data, width, height } =
                canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return [[height, width, 4], Array.from(data)];
        }"""
    )
    return np.array(values, np.uint8).reshape(size)


def test_a_dropped_picture_is_shown_with_its_classes(
    visit: Open, address: str, picture: Path, segmenter: Segmenter, tmp_path: Path
) -> None:
    seen = visit(address)
    seen.drop(picture)
    seen.wait_for(".card .state", "ms")
    assert seen.shares() == shares_of(segmenter, picture)
    expected_HW = segmenter.segment(picture).labels_HW
    mask = Image.open(seen.save("mask", tmp_path / "mask.png"))
    assert mask.mode == "L"
    np.testing.assert_array_equal(np.array(mask), expected_HW)

    # The background is hidden at first; a class that is switched off goes too.
    np.testing.assert_array_equal(painted(seen)[..., 3] > 0, expected_HW != 0)
    label = int(np.bincount(expected_HW[expected_HW > 0]).argmax())
    seen.page.locator("#legend input").nth(label).uncheck()
    wanted_HW = (expected_HW != 0) & (expected_HW != label)
    np.testing.assert_array_equal(painted(seen)[..., 3] > 0, wanted_HW)
    assert seen.complaints == []
    assert [url for url in seen.asked if not url.startswith((address, "blob:"))] == []


def test_pointer_and_arrow_keys_name_the_class_at_a_place(
    visit: Open, address: str, picture: Path, segmenter: Segmenter
) -> None:
    seen = visit(address)
    seen.drop(picture)
    seen.wait_for(".card .state", "ms")
    labels_HW = segmenter.segment(picture).labels_HW
    sheet = seen.page.locator("#picture-sheet")
    box = sheet.bounding_box()
    sheet.hover(position={"x": box["width"] * 0.25, "y": box["height"] * 0.5})
    height, width = labels_HW.shape
    names = segmenter.labels.names
    assert seen.page.locator("#probe").inner_text() == names[labels_HW[height // 2, width // 4]]
    seen.page.locator("#stage").focus()
    for _ in range(10):
        seen.page.keyboard.press("ArrowRight")  # a quarter of the width
    spoken = seen.page.locator("#spoken").inner_text()
    assert spoken == names[labels_HW[height // 2, width // 2]]


@pytest.mark.parametrize("build", ["litert_wasm_internal", "litert_wasm_compat_internal"])
def test_the_browser_computes_the_ids_of_the_runtime(
    visit: Open, address: str, page_folder: Path, segmenter: Segmenter, tmp_path: Path, build: str
) -> None:
    samples = sorted((page_folder / "samples").glob("*.jpg"))
    old = "compat" in build  # a browser without relaxed SIMD
    seen = visit(address, service_workers="block" if old else "allow")
    if old:
        chosen = f'const ENGINE = "engine/{build}";'
        seen.context.route(
            "**/assets/build.js", lambda route: route.fulfill(body=chosen, content_type=JS)
        )
    seen.compute("browser")
    before = len(seen.asked)
    seen.drop(*samples)
    seen.wait_for("#progress-text", f"{len(samples)} of {len(samples)} done")
    assert [url for url in seen.asked[before:] if "/v1/segment" in url] == []
    for number, sample in enumerate(samples):
        seen.page.locator(".card .open").nth(number).click()
        seen.wait_for(".card .open[aria-current=true] .name", sample.name)
        mask_HW = np.array(Image.open(seen.save("mask", tmp_path / f"{number}.png")))
        assert (mask_HW == segmenter.segment(sample).labels_HW).mean() >= AGREED
    assert [url for url in seen.asked if url.endswith(f"/{build}.wasm")] != []
    assert "in this browser" in seen.page.locator("#timing").inner_text()
    seen.compute("server")
    seen.wait_for("#timing", "on the server")
    assert seen.shares() == shares_of(segmenter, samples[-1])
    assert seen.complaints == []


SIZES = [(60, 80), (37, 53), (50, 64), (48, 300), (333, 66), (300, 64)]


def test_pictures_and_scores_are_resized_to_the_bit(visit: Open, address: str) -> None:
    seen = visit(address)
    rng = np.random.default_rng(0)
    size = (48, 64)
    for height, width in SIZES:
        image_HWC = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        opaque_HWC = np.dstack([image_HWC, np.full((height, width), 255, np.uint8)])
        given = seen.page.evaluate(
            """async ([values, width, height, toWidth, toHeight]) => {
                const { resizePicture } = await import("./assets/pixels.js");
                const pixels = Uint8ClampedArray.from(values);
                return Array.from(resizePicture(pixels, width, height, toWidth, toHeight));
            }""",
            [opaque_HWC.ravel().tolist(), width, height, size[1], size[0]],
        )
        expected_HWC = resize_image(image_HWC, size)
        np.testing.assert_array_equal(np.reshape(given, expected_HWC.shape), expected_HWC)
    scores_hwC = rng.normal(size=(6, 8, 5)).astype(np.float32)
    given = seen.page.evaluate(
        """async (values) => {
            const { labelsAt } = await import("./assets/pixels.js");
            const size = { width: 8, height: 6, classes: 5 };
            return Array.from(labelsAt(Float32Array.from(values), size, 53, 37));
        }""",
        scores_hwC.ravel().tolist(),
    )
    expected_HW = labels_at(scores_hwC, (37, 53))
    assert (np.reshape(given, (37, 53)) == expected_HW).mean() >= AGREED


@pytest.mark.parametrize("place", ["server", "browser"])
def test_a_broken_file_is_told_and_the_others_go_on(
    visit: Open, address: str, picture: Path, tmp_path: Path, place: str
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture.read_bytes()[:400])
    seen = visit(address)
    seen.compute(place)
    seen.drop(broken, picture)
    seen.wait_for("#progress-text", "2 of 2 done, 1 failed")
    note = seen.page.locator("#stage-note").inner_text()
    assert note.startswith("broken.png: ")
    assert "damaged" in note
    seen.page.locator(".card .open").nth(1).click()
    seen.page.locator("#stage-note").wait_for(state="hidden")


@pytest.mark.parametrize("place", ["server", "browser"])
def test_the_camera_is_segmented_live(visit: Open, address: str, place: str) -> None:
    seen = visit(address)
    seen.compute(place)
    seen.page.locator(".welcome [data-do=camera]").click()
    seen.wait_for("#rate", "frames per second")
    assert float(seen.page.locator("#rate").inner_text().split()[0]) > 0
    seen.page.locator("[data-do=keep]").click()
    seen.wait_for(".card .state", "ms")
    seen.page.locator("[data-do=stop]").click()
    seen.page.locator("#camera-bar").wait_for(state="hidden")
    assert seen.complaints == []


def test_pictures_come_by_paste_choice_and_sample_too(
    visit: Open, address: str, picture: Path
) -> None:
    seen = visit(address)
    seen.page.locator("#sample-list button").first.click()
    seen.page.set_input_files("#files", picture)
    seen.page.evaluate(
        """async () => {
            const carried = new DataTransfer();
            const blob = await (await fetch("samples/belt2.jpg")).blob();
            carried.items.add(new File([blob], "pasted.jpg"));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried }));
        }"""
    )
    seen.wait_for("#progress-text", "3 of 3 done")
    names = sorted(seen.page.locator(".card .name").all_inner_texts())
    assert names == ["belt1.jpg", "pasted.jpg", "picture.png"]
    seen.page.locator("[data-do=clear]").click()
    assert seen.page.locator("#welcome").is_visible()


def test_pictures_are_compared_side_by_side_and_by_swiping(
    visit: Open, address: str, picture: Path
) -> None:
    seen = visit(address)
    seen.drop(picture)
    seen.wait_for(".card .state", "ms")
    assert not seen.page.locator("#map").is_visible()
    seen.page.locator("#mode input[value=side]").check(force=True)
    assert seen.page.locator("#map").is_visible()
    seen.page.locator("#mode input[value=swipe]").check(force=True)
    seen.page.locator("#swipe").fill("20")
    clip = "getComputedStyle(document.getElementById('mask')).clipPath"
    assert seen.page.evaluate(clip) == "inset(0px 0px 0px 20%)"


def test_a_phone_has_it_all_in_its_width(visit: Open, address: str, picture: Path) -> None:
    seen = visit(address, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    seen.drop(picture)
    seen.wait_for(".card .state", "ms")
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 360


def test_one_of_several_networks_is_chosen(
    visit: Open, service: Callable[..., Any], golden: Path, picture: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(golden, tmp_path / "other"))
    manifest = json.loads((other / "manifest.json").read_text(encoding="utf-8"))
    manifest["name"] = "the other one"
    (other / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with service(golden, other) as address:
        seen = visit(address)
        seen.drop(picture)
        seen.wait_for(".card .state", "ms")
        with seen.page.expect_request(lambda request: "model=the+other+one" in request.url):
            seen.page.locator("#model").select_option("the other one")
        seen.wait_for("#facts", "the other one")


def test_a_service_with_keys_is_asked_with_one(
    visit: Open, service: Callable[..., Any], golden: Path, picture: Path, tmp_path: Path
) -> None:
    key, line = make_key("page")
    (tmp_path / "keys").write_text(line + "\n", encoding="utf-8")
    with service(golden, "--keys", tmp_path / "keys") as address:
        seen = visit(address, key=key)
        seen.drop(picture)
        seen.wait_for(".card .state", "ms")
        seen.compute("browser")
        seen.wait_for("#timing", "in this browser")
        with seen.page.expect_download() as card:
            seen.page.locator("#links a", has_text="Model card").click()
        assert Path(card.value.path()).read_text(encoding="utf-8").startswith("# frugalnet")


def test_an_exported_page_works_on_a_plain_host_without_a_connection(
    visit: Open, static: str, picture: Path, segmenter: Segmenter
) -> None:
    seen = visit(static)
    kept = "caches.open('frugalseg-2').then((c) => c.keys()).then((k) => k.map((r) => r.url))"
    while not any(url.endswith(".tflite") for url in seen.page.evaluate(kept)):
        seen.page.wait_for_timeout(100)
    seen.context.set_offline(True)
    seen.page.reload()
    seen.page.locator("#sample-list li").nth(3).wait_for()
    seen.drop(picture)
    seen.wait_for(".card .state", "ms")
    shares = [float(text.removesuffix(" %")) for text in seen.shares()]
    expected = [100 * share for share in segmenter.segment(picture).shares.values()]
    assert shares == pytest.approx(expected, abs=100 * (1 - AGREED) + 0.05)  # which it rounds by
    assert not seen.page.locator("#place").is_visible()
