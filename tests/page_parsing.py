"""A page of cards as html.parser reads it: an independent look at what is in it."""

import base64
import html.parser
import io

import av
import numpy as np
import tensorflow as tf

VOID = {"meta", "img", "input", "br", "link"}


class Page(html.parser.HTMLParser):
    """Attributes:
    elements: (tag, attributes, tags it is in), in order.
    texts: (text, tags it is in).
    """

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self.within = [], [], []
        self.feed(text)
        self.close()
        assert not self.within, self.within

    def handle_starttag(self, tag, attributes):
        assert len(dict(attributes)) == len(attributes), attributes
        self.elements.append((tag, dict(attributes), tuple(self.within)))
        if tag not in VOID:
            self.within.append(tag)

    def handle_endtag(self, tag):
        assert self.within and self.within.pop() == tag, (tag, self.within)

    def handle_data(self, data):
        if data.strip():
            self.texts.append((data.strip(), tuple(self.within)))

    def handle_comment(self, data):
        raise AssertionError(data)

    def all(self, tag, style=None):
        return [a for t, a, _ in self.elements
                if t == tag and (style is None or style in a.get("class", "").split())]

    def addresses(self):
        """All that anything refers to."""
        names = ("src", "href", "action", "data", "poster", "srcset", "style", "background")
        return [a[name] for _, a, _ in self.elements for name in names if name in a]


class Group:
    """A section: its attributes, and of each card what it holds."""

    def __init__(self, attributes):
        self.attributes, self.cards, self.title = attributes, [], ""


class Grouped(html.parser.HTMLParser):
    """The sections of a page."""

    def __init__(self, text):
        super().__init__()
        self.groups, self.within = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag == "section":
            self.groups.append(Group(found))
        elif tag == "article":
            self.groups[-1].cards.append({"class": found["class"], "texts": [], "label":
                                          found["aria-label"]})
        elif self.groups and tag == "img":
            self.groups[-1].cards[-1][found["class"]] = found
        elif self.groups and tag == "audio":
            self.groups[-1].cards[-1]["audio"] = found["src"]
        if tag not in VOID:
            self.within.append(tag)

    def handle_endtag(self, tag):
        self.within.pop()

    def handle_data(self, data):
        if "article" in self.within and data.strip():
            self.groups[-1].cards[-1]["texts"].append(data.strip())
        elif "h2" in self.within:
            self.groups[-1].title += data


def content(address):
    kind, data = address.removeprefix("data:").split(";base64,")
    return kind, base64.b64decode(data, validate=True)


def pixels(image):
    kind, data = content(image["src"])
    assert kind == "image/jpeg"
    return tf.io.decode_jpeg(data, channels=3).numpy()


def sound(address):
    """Kind, samples in [-1, 1] and rate, decoded by FFmpeg."""
    kind, data = content(address)
    with av.open(io.BytesIO(data)) as container:
        frames = list(container.decode(audio=0))
    parts = [frame.to_ndarray().reshape(-1) for frame in frames]
    samples = np.concatenate(parts)
    if samples.dtype == np.int16:
        samples = samples / 32768
    return kind, samples, frames[0].sample_rate


def check_is_alone(text):
    """The page refers to nothing outside, and has one script and one style of its own."""
    page = Page(text)
    assert all(address.startswith("data:") for address in page.addresses()), page.addresses()
    assert not page.all("link") and not page.all("iframe") and not page.all("object")
    assert len(page.all("script")) == len(page.all("style")) == 1
    style = next(t for t, within in page.texts if within[-1] == "style")
    assert "url(" not in style and "@import" not in style
    assert not [n for _, a, _ in page.elements for n in a if n.startswith("on")]
    assert all(image.get("alt") for image in page.all("img"))
    assert all(each.get("aria-label") for each in page.all("audio"))
    named = {a["id"] for _, a, _ in page.elements if "id" in a}
    assert {a["aria-labelledby"] for a in page.all("section")} <= named
    return page
