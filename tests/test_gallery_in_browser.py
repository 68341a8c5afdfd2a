"""The gallery in a browser: no errors, sounds play, filters and keys do what they say."""

import pytest
from browser import browse, find
from test_gallery import planted, show  # noqa: F401

pytestmark = pytest.mark.skipif(find() is None, reason="there is no Chromium")

SHOWN = "document.querySelectorAll('.group:not([hidden])').length"
FOCUS = "document.activeElement.id || document.activeElement.className"
PLAYING = "Array.from(document.querySelectorAll('audio')).filter(a => !a.paused).length"


def choose(page, name, value):
    page.run(f"(() => {{ const e = document.getElementById('{name}'); e.value = '{value}';"
             " e.dispatchEvent(new Event('change')); })()")
    return page.run(SHOWN)


@pytest.mark.parametrize("sound", ["aac", "wav"])
def test_a_page_is_used(planted, tmp_path, sound):  # noqa: F811
    path = tmp_path / "g.html"
    assert show(planted, path, sound=sound).status == 0
    with browse(tmp_path / "profile") as page:
        page.resize(1280, 900)
        page.open(path)
        assert page.run("document.title") == "Queries and what is found"
        assert page.run("Array.from(document.images).every(i => i.complete && i.naturalWidth)")
        # By keyboard: both filters, then the sounds, in the order of the page.
        order = []
        for _ in range(4):
            page.press("Tab", 9)
            order.append(page.run(FOCUS))
        assert order == ["label", "kind", "play", "play"]
        page.press(" ", 32, " ")
        page.wait_for(f"{PLAYING} === 1")
        page.wait_for("Array.from(document.querySelectorAll('audio'))[1].currentTime > 0.2")
        assert page.run("document.activeElement.getAttribute('aria-pressed')") == "true"
        page.press("ArrowLeft", 37)
        page.press(" ", 32, " ")
        page.wait_for("!document.querySelectorAll('audio')[0].paused")
        assert page.run(PLAYING) == 1
        page.press(" ", 32, " ")
        page.wait_for(f"{PLAYING} === 0")
        # Every sound can be decoded, and lasts as long as its button says.
        lengths = page.run("""Promise.all(Array.from(document.querySelectorAll('audio'), a =>
            new Promise((done, fail) => { a.onloadedmetadata = () => done(a.duration);
            a.onerror = () => done(-1); a.preload = 'auto'; a.load(); })))""")
        assert len(lengths) == 48 and all(abs(each - 2) < 0.1 for each in lengths)
        assert page.run(SHOWN) == 12
        # Of six clips three are of dogs, and each is asked in both directions.
        assert choose(page, "label", "=dog") == 6
        assert choose(page, "kind", "audio_to_visual") == 3
        assert page.run("document.getElementById('count').textContent") == "3 of 12 shown"
        assert choose(page, "label", "") == 6
        for width, phone in ((1280, False), (360, True)):
            page.resize(width, 800, phone)
            assert page.run("document.documentElement.scrollWidth") <= width
            columns = page.run(
                "getComputedStyle(document.querySelector('.group:not([hidden]) .cards'))"
                ".gridTemplateColumns")
            assert len(columns.split()) == 2 if phone else len(columns.split()) > 4
        assert page.messages == []
        # What a label wrote would run only if it were not text.
        assert page.run("document.scripts.length") == 1
