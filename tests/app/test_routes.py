"""The page as browsers ask for it: nobody sees what belongs to others, and nobody does harm."""

import io
import struct
import time
import zlib

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from bnnjax import Recipe, images
from bnnjax.nst.stylize import stylize_batch
from tests.app.conftest import ENDLESS, Page, is_over, is_painting


@pytest.fixture
def page(serve):
    return Page(serve())


def picture_of(answer):
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")) / 255


def fault(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()["fault"]


# --- a picture -----------------------------------------------------------------------------


def test_a_picture_is_painted_before_the_visitors_eyes(page, encoded):
    photograph = page.send(encoded(0)).json()["id"]
    painting = page.send(encoded(1), "wave.png", "painting").json()["id"]
    page.order(photograph=photograph, paintings=[painting], **ENDLESS)
    job = page.until(is_painting)["job"]
    seen = job["previews"]
    page.until(lambda r: r["job"]["previews"] > seen and r["job"]["seconds_left"] is not None)
    live = picture_of(page.http.get(f"job/{job['id']}/preview"))
    before = picture_of(page.http.get(f"job/{job['id']}/before"))
    assert live.shape == before.shape == (32, 38, 3)
    expected = images.fit(images.load_bytes(encoded(0), "boat.png"), size=32)
    assert np.abs(before - expected).mean() < 0.04  # a small JPEG of a grainy picture
    assert np.abs(live - expected).mean() > 0.06

    page.http.delete("job")
    page.until(is_over)
    (work,) = page.report["works"]
    assert work["name"] == "boat__wave"
    assert work["size"] == [38, 32]
    assert "interrupted after step" in work["notes"][0]
    assert picture_of(page.http.get(f"works/{work['id']}/picture")).shape == (32, 38, 3)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "suffix"), [("png", "png"), ("jpeg", "jpg"), ("webp", "webp")])
def test_a_download_has_its_recipe_and_the_recipe_brings_the_settings_back(
    page, encoded, tmp_path, form, suffix
):
    sent = page.send(encoded(0)).json()["id"]
    asked = {"strength": 0.7, "stroke_size": 1.5, "colors": "photograph", "steps": 4}
    asked |= {"photograph": sent, "paintings": ["town", "night"], "shares": [2, 1]}
    work = page.paint(**asked)
    answer = page.http.get(f"works/{work['id']}/download", params={"format": form})
    assert f"boat__town%2Bnight.{suffix}" in answer.headers["content-disposition"]
    path = tmp_path / f"mine.{suffix}"
    path.write_bytes(answer.content)
    recipe = Recipe.read(path)
    assert (recipe.content.name, recipe.style.name) == ("boat.png", "town.jpg")
    assert recipe.content.path is None
    assert recipe.config.strength == 0.7

    settings = page.http.post("recipes", params={"name": path.name}, content=answer.content).json()
    assert {name: settings[name] for name in asked} == asked
    assert settings["network"] == "toy"
    assert settings["notes"] == settings["others"] == []
    again = page.http.get(f"works/{work['id']}/settings").json()
    assert {name: again[name] for name in asked} == asked


@pytest.mark.slow
def test_a_recipe_also_brings_options_that_have_no_control(page, tmp_path, toy_file, encoded):
    pictures = (images.load_bytes(encoded(seed), "x") for seed in (0, 1))
    options = {"size": 32, "steps": 2, "style_weight": 11.5, "progress": False}
    result = stylize_batch(*pictures, model=toy_file, **options)
    (path, *_) = result.save(tmp_path)
    settings = page.http.post("recipes", params={"name": "a.png"}, content=path.read_bytes()).json()
    assert settings["others"] == ["style weight 11.5"]
    assert settings["photograph"] is None
    assert "photograph" in settings["notes"][0]
    work = page.paint(recipe=settings["recipe"], steps=3)
    answer = page.http.get(f"works/{work['id']}/download")
    (tmp_path / "again.png").write_bytes(answer.content)
    config = Recipe.read(tmp_path / "again.png").config
    assert (config.style_weight, config.steps) == (11.5, 3)


# --- others --------------------------------------------------------------------------------


@pytest.mark.slow
def test_nobody_sees_or_touches_what_belongs_to_others(serve, encoded):
    url = serve()
    one, other = Page(url), Page(url)
    sent = one.send(encoded(0)).json()["id"]
    work = one.paint(photograph=sent)["id"]
    job = one.report["job"]["id"]
    settings = one.http.get(f"works/{work}/settings").json()
    addresses = [f"pictures/{sent}/thumbnail", f"job/{job}/preview", f"job/{job}/before"]
    addresses += [f"works/{work}/{view}" for view in ("picture", "before", "thumbnail")]
    addresses += [f"works/{work}/settings", f"works/{work}/download"]
    for address in addresses:
        assert one.http.get(address).status_code in (200, 201), address
        assert other.http.get(address).status_code == 404, address
        assert httpx.get(f"{url}/{address}").status_code == 401, address
    for address in (f"pictures/{sent}", f"works/{work}"):
        assert other.http.delete(address).status_code == 404
    assert "no longer there" in fault(other.order(photograph=sent), 422)
    assert "recipe" in fault(other.order(recipe=settings["recipe"]), 422)
    other.until(lambda report: report["job"] is None)
    assert other.report == {"job": None, "works": [], "pictures": []}
    assert one.http.get(f"works/{work}/picture").status_code == 200


@pytest.mark.slow
def test_jobs_wait_in_line_and_a_stop_is_one_s_own(serve):
    url = serve()
    first, second, third = (Page(url) for _ in range(3))
    first.order(**ENDLESS)
    first.until(is_painting)
    second.order(**ENDLESS)
    third.order()
    second.until(lambda r: r["job"] and r["job"]["state"] == "waiting")
    third.until(lambda r: r["job"] and r["job"]["before_it"] == 2)
    assert "still being painted" in fault(first.order(), 422)
    third.http.delete("job")
    third.until(is_over)
    assert third.report["works"] == []
    assert first.report["job"]["state"] == "painting"
    first.http.delete("job")
    second.until(is_painting)
    assert first.until(is_over)["works"]
    second.http.delete("job")


@pytest.mark.slow
def test_a_page_that_is_closed_ends_its_job_but_a_reload_does_not(serve):
    url = serve(patience_seconds=1)
    gone, there = Page(url), Page(url)
    gone.order(**ENDLESS)
    gone.until(is_painting)
    there.order()
    reloaded = Page(url, cookies=gone.http.cookies)
    gone.close()
    time.sleep(2.5)
    assert reloaded.report["job"]["state"] == "painting"
    reloaded.close()
    assert there.until(lambda r: r["job"] and is_over(r))["job"]["state"] == "done"
    assert Page(url, cookies=gone.http.cookies).until(lambda r: r["job"])["works"] == []


def test_a_job_that_fails_says_why_and_the_line_goes_on(page, encoded, monkeypatch):
    sent = page.send(encoded(0), "gone.png").json()["id"]
    other = page.send(encoded(1), "wave.png", "painting").json()["id"]
    monkeypatch.setattr("bnnjax.images.decode._FITTED", 10**12)  # as if no memory were free
    page.order(photograph=sent, paintings=[other])
    page.until(lambda r: r["job"] and is_over(r))
    assert page.report["job"]["state"] == "failed"
    assert page.report["job"]["fault"].startswith("gone.png: 48×40 px take")
    monkeypatch.undo()


# --- limits --------------------------------------------------------------------------------


def bomb(side):
    """A palette PNG of a single colour: some KB for any size."""
    pixels = zlib.compress(bytes(side // 8 + 1) * side, 9)

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 1, 3, 0, 0, 0)
    parts = ((b"IHDR", header), (b"PLTE", bytes(6)), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.slow
@pytest.mark.parametrize("address", ["pictures", "recipes"])
def test_a_decompression_bomb_is_refused_before_it_takes_memory(page, address):
    data, params = bomb(13000), {"kind": "photograph", "name": "bomb.png"}
    assert len(data) < 30_000
    process = psutil.Process()
    before = process.memory_info().rss
    told = fault(page.http.post(address, params=params, content=data), 422)
    assert told == "bomb.png: has 169 megapixels, at most 50 are allowed"
    assert process.memory_info().rss - before < 64 * 2**20
    larger = bomb(40000)
    assert "more pixels" in fault(page.http.post(address, params=params, content=larger), 422)


def test_what_decoding_takes_is_limited_besides_the_number_of_pixels(page):
    """A palette takes more memory per pixel than RGB."""
    told = fault(page.send(bomb(5000), "small_bomb.png"), 422)
    assert told.startswith("small_bomb.png: 5000×5000 px take 1.5 GiB of memory, 1.0 GiB are")


@pytest.mark.parametrize(
    ("data", "name", "told"),
    [
        (b"hello", "note.png", "note.png: needs to be a JPEG, PNG or WebP picture"),
        (b"", "empty.jpg", "empty.jpg: needs to be a JPEG, PNG or WebP picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a.png", "JPEG, PNG or WebP"),
    ],
)
def test_what_is_not_a_picture_is_refused(page, data, name, told):
    assert told in fault(page.send(data, name), 422)


def test_other_pictures_are_refused(page, encoded, tmp_path):
    assert "JPEG, PNG or WebP" in fault(page.send(encoded(0, "TIFF"), "a.tif"), 422)
    assert "damaged" in fault(page.send(encoded(0)[:900], "half.png"), 422)
    assert "too long" in fault(page.send(encoded(0, height=10, width=48), "thin.png"), 422)
    assert "no recipe" in fault(page.http.post("recipes?name=a.png", content=encoded(0)), 422)
    assert not list((tmp_path / "all").glob("*/uploads/*")), "refused files are deleted"


def test_a_file_that_is_too_large_is_not_read_to_its_end(serve):
    page, sent = Page(serve(upload_mib=1)), 0

    def endless():
        nonlocal sent
        while sent < 2**30:
            sent += 2**16
            yield bytes(2**16)

    try:
        answer = page.send(endless(), "huge.png")
    except httpx.WriteError:  # the connection was closed
        pass
    else:
        assert fault(answer, 413) == "huge.png: is larger than 1 MiB"
    assert sent < 2**26


def test_each_visitor_keeps_so_many_pictures(serve, encoded):
    page = Page(serve(kept=2))
    first = page.send(encoded(0)).json()["id"]
    page.send(encoded(1))
    assert "remove one first" in fault(page.send(encoded(2)), 422)
    assert page.http.delete(f"pictures/{first}").status_code == 204
    assert page.send(encoded(2)).status_code == 201
    works = [page.paint()["id"] for _ in range(3)]
    assert [work["id"] for work in page.report["works"]] == works[1:]
    assert page.http.get(f"works/{works[0]}/picture").status_code == 404


def test_so_many_visitors_are_admitted(serve):
    url = serve(visitors=1)
    page = Page(url)
    assert "Too many people" in fault(httpx.get(url), 503)
    assert page.http.get("/").status_code == 200


# --- safety --------------------------------------------------------------------------------


def test_names_of_files_stay_in_their_folder(page, encoded, tmp_path):
    sent = page.send(encoded(0), "../../../evil\0/..\\<x>.png").json()
    assert sent["name"] == "x.png"
    assert [path.name for path in (tmp_path / "all").glob("*/uploads/*/*")] == ["x.png"]
    assert page.http.get("page/%2e%2e/config.py").status_code == 404


def test_everything_comes_from_here_and_nothing_is_kept_by_the_browser(page):
    for address in ("/", "offer", "page/page.js", "pictures/lake/thumbnail"):
        headers = page.http.get(address).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert headers["cache-control"] == "no-store"


def test_other_websites_are_refused(page):
    strange = {"sec-fetch-site": "cross-site"}
    assert page.http.delete("job", headers=strange).status_code == 403
    assert page.http.get("/", headers={"host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("body", [b"[]", b"{", b"[" * 60_000, b"null"])
def test_a_form_that_is_no_form_is_refused(page, body):
    assert "JSON object" in fault(page.http.post("job", content=body), 422)
    assert "too large" in fault(page.http.post("job", content=body + b" " * 70_000), 413)
