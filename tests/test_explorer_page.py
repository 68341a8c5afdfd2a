"""The explorer's server by plain HTTP: what it finds, refuses and never serves."""

import concurrent.futures
import http.client
import json
import time
import urllib.parse

import pytest
from explorer_world import (  # noqa: F401
    LIVELY,
    make_explorer,
    planted,
    serving,
    workdir,
    world,
)

pytest.importorskip("gradio")

from page_parsing import Grouped, Page

from crossmodal.ndcg import DIRECTIONS

SEARCH = "visual_to_audio"


class Client:
    """What a page does: upload, ask, wait for the answer."""

    def __init__(self, address):
        self.address = urllib.parse.urlsplit(address).netloc
        self.number = 0

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content.decode(errors="replace"), answer.headers

    def upload(self, name, content, **headers):
        body = (b'--X\r\nContent-Disposition: form-data; name="files"; filename="'
                + name.encode() + b'"\r\n\r\n' + content + b"\r\n--X--\r\n")
        kind = "multipart/form-data; boundary=X"
        return self.ask("POST", "/gradio_api/upload", body, Content_Type=kind, **headers)

    def join(self, path, direction=SEARCH, seconds="", session="s", **more):
        functions = json.loads(self.ask("GET", "/config")[1])["dependencies"]
        number = next(f["id"] for f in functions if f["api_name"] == "search")
        file = path and {"path": path, "meta": {"_type": "gradio.FileData"}, **more}
        body = {"data": [file, direction, seconds, False], "fn_index": number,
                "session_hash": session}
        return self.ask("POST", "/gradio_api/queue/join", json.dumps(body),
                        Content_Type="application/json")

    def search(self, path, direction=SEARCH, seconds="", session="s"):
        """The page's answer, as HTML."""
        status, reason, _ = self.join(path, direction, seconds, session)
        assert status == 200, reason
        told = self.ask("GET", f"/gradio_api/queue/data?session_hash={session}")[1]
        events = [json.loads(line[5:]) for line in told.splitlines() if line.startswith("data:")]
        done = next(e for e in events if e["msg"] == "process_completed")
        assert done["success"], done
        return done["output"]["data"][0]


@pytest.fixture(scope="module")
def made(world, planted, workdir):  # noqa: F811
    return make_explorer(world, planted, workdir)


@pytest.fixture(scope="module")
def served(made):
    with serving(made) as (address, uploads):
        yield Client(address), uploads


def put(served, world, name):  # noqa: F811
    status, told, _ = served[0].upload(name, (world / name).read_bytes())
    assert status == 200
    return json.loads(told)[0]


def test_files_are_searched_for_in_all_directions(served, world):  # noqa: F811
    path, seen = put(served, world, "v.mp4"), set()
    for direction in DIRECTIONS:
        found = served[0].search(path, direction)
        page = Page(found)
        assert all(address.startswith("data:") for address in page.addresses())
        groups = Grouped(found).groups
        assert len(groups[0].cards) == 4 and len(groups) == 1 + (direction == SEARCH)
        assert all("audio" in card and "map" in card for card in groups[0].cards)
        assert "v.mp4" in groups[0].title and not page.all("script")
        assert not [a for _, a, _ in page.elements if any(n.startswith("on") for n in a)]
        seen |= {text for text, _ in page.texts}
    assert LIVELY in seen


def test_refusals_are_one_line_in_the_page(served, world):  # noqa: F811
    cases = [
        ("p.png", "audio_to_visual", "", "a picture has no sound"),
        ("silent.mp4", "audio_to_visual", "", "silent.mp4: no audio stream"),
        ("broken.mp4", SEARCH, "", "broken.mp4: cut off or damaged"),
        ("empty.wav", "audio_to_visual", "", "empty.wav: empty file"),
        ("text.png", SEARCH, "", "text.png: is not a picture"),
        ("huge.png", SEARCH, "", "60000 x 60000"),
        ("v.mp4", SEARCH, "soon", "moment soon: type seconds"),
        ("v.mp4", SEARCH, "99", "v.mp4 has moments from"),
    ]
    for name, direction, seconds, message in cases:
        found = served[0].search(put(served, world, name), direction, seconds)
        (line,) = [t for t, within in Page(found).texts if within[-1] == "p"]
        assert message in line and str(served[1]) not in found and "Traceback" not in found
        assert Page(found).all("p", "refused")[0]["role"] == "alert"
    assert "drop a file first" in served[0].search(None)


def test_what_breaks_inside_is_one_line_too(served, world, monkeypatch, caplog):  # noqa: F811
    def breaks(*_):
        raise RuntimeError("inside")

    monkeypatch.setattr("avc.explorer.Explorer.explore", breaks)
    found = served[0].search(put(served, world, "p.png"))
    assert "could not be searched for" in found and "inside" not in found
    assert "RuntimeError: inside" in caplog.text


@pytest.mark.parametrize("prefix", [
    "/file=", "/gradio_api/file=", "/gradio_api/file/", "/file/", "/static/", "/assets/",
    "/gradio_api/proxy=", "/", "/gradio_api/stream/", "/svelte/", "/custom_component/",
    "/gradio_api/custom_component/", "/theme.css/../", "/static/../", "/assets/%2e%2e/",
])
def test_no_file_of_the_disk_is_served(served, world, planted, workdir, prefix):  # noqa: F811
    client, uploads = served
    (uploads / "secret").write_text("root:x:0:0: version network ids crossmodal")
    names = [
        "/etc/passwd", "etc/passwd", "../../../../../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2fetc%2fpasswd", "README.md", "./README.md", "setup.py", "file:///etc/passwd",
        f"{workdir}/configuration.json", f"{world}/items.npz", f"{planted}/clips.tfrecord",
        f"{uploads}/secret", "http://127.0.0.1/", "/proc/self/environ",
    ]
    for name in names:
        if prefix + name in ("/", "/theme.css/../"):
            continue
        for method in ("GET", "HEAD", "POST"):
            status, content, _ = client.ask(method, prefix + name)
            assert status in (403, 404, 405), (method, prefix + name, status)
            assert len(content) < 100, content


def test_only_uploads_can_be_searched_for(served, world, tmp_path):  # noqa: F811
    client, uploads = served
    outside = str(world / "p.png")
    (uploads / "link.png").symlink_to(outside)
    for path in (outside, "/etc/passwd", "http://127.0.0.1:1/x.png", "https://example.com/x.png",
                 "p.png", f"{uploads}/../x.png", str(uploads / "link.png"), f"{uploads}", "\0"):
        assert client.join(path)[:2] == (403, "no such upload"), path
    status, told, _ = client.upload("../../../evil.png", b"x")
    assert status == 200 and json.loads(told)[0].startswith(f"{uploads}/")
    assert not list(uploads.parent.glob("evil.png"))
    own = put(served, world, "p.png")
    assert client.ask("GET", f"/gradio_api/file={own}")[0] == 404
    assert "cards" in client.search(own)
    assert str(uploads) not in client.ask("GET", "/config")[1]


def test_requests_that_are_not_the_page_s_own(served):
    client, _ = served
    assert client.ask("GET", "/", Host="elsewhere.example")[0] == 421
    assert client.upload("x.png", b"x", Origin="http://elsewhere.example")[0] == 403
    assert client.upload("x.png", b"x", Origin=f"http://{client.address}")[0] == 200
    status, reason, _ = client.upload("x.mp4", bytes(1_300_000))
    assert (status, reason) == (413, "the file is larger than 1 MB")
    assert client.upload("x.mp4", bytes(1_060_000))[0] == 413
    assert client.ask("POST", "/gradio_api/queue/join", "x" * 200_000)[0] == 413
    assert client.ask("POST", "/gradio_api/queue/join", "[" * 90_000)[0] == 403
    status, content, headers = client.ask("GET", "/")
    assert status == 200 and "connect-src 'self'" in headers["Content-Security-Policy"]
    assert "fonts.googleapis" not in content + client.ask("GET", "/theme.css")[1]
    config = json.loads(client.ask("GET", "/config")[1])
    assert config["analytics_enabled"] is False and not config.get("is_space")


def test_several_people_at_once(served, world):  # noqa: F811
    client, _ = served
    paths = [put(served, world, name) for name in ("p.png", "s.wav", "text.png")]
    ways = (SEARCH, "audio_to_visual", SEARCH)
    jobs = [(*job, f"{n}") for n, job in enumerate(2 * list(zip(paths, ways, strict=True)))]
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        found = list(pool.map(lambda job: client.search(job[0], job[1], "", job[2]), jobs))
    assert found[:3] == found[3:] == [client.search(*job[:2]) for job in jobs[:3]]
    assert ["refused" in each for each in found[:3]] == [False, False, True]


def test_old_uploads_are_removed(made, world, monkeypatch):  # noqa: F811
    monkeypatch.setattr("avc.explorer_page._LOOK_SECONDS", 1)
    monkeypatch.setattr("avc.explorer_page._OLD_SECONDS", 1)
    with serving(made) as (address, uploads):
        client = Client(address)
        path = put((client, uploads), world, "p.png")
        assert [p.name for p in uploads.rglob("p.png")] == ["p.png"]
        end = time.monotonic() + 30
        while list(uploads.rglob("p.png")):
            assert time.monotonic() < end
            time.sleep(0.2)
        assert "p.png: is no longer there: drop it again" in client.search(path)
