"""Headless Chromium through its DevTools protocol over two pipes: no driver is needed."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find():
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """One page.

    Attributes:
      messages: what the console was told, and errors.
    """

    def __init__(self, pipe_in, pipe_out):
        self.write, self.read, self.number = pipe_in, pipe_out, 0
        self.buffer, self.messages, self.session, self.loaded = b"", [], None, False
        self.own = "file:"
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        found = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.session = found["sessionId"]
        for domain in ("Runtime", "Log", "Page", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != self.number:
            self.note(answer)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def receive(self, seconds=120):
        end = time.monotonic() + seconds
        while b"\0" not in self.buffer:
            assert time.monotonic() < end, "the browser does not answer"
            if select.select([self.read], [], [], 1)[0]:
                part = os.read(self.read, 1 << 20)
                assert part, "the browser ended"
                self.buffer += part
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def note(self, event):
        method, about = event.get("method"), event.get("params", {})
        if method == "Runtime.consoleAPICalled":
            self.messages.append(str([arg.get("value") for arg in about["args"]]))
        elif method == "Runtime.exceptionThrown":
            self.messages.append(str(about["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.messages.append(about["entry"]["text"])
        elif method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Network.requestWillBeSent":
            address = about["request"]["url"]
            if not address.startswith(("data:", "blob:", self.own)):
                self.messages.append(f"asked for {address}")

    def open(self, path):
        """A file, or an address of a server, whose own requests are no messages."""
        self.loaded = False
        path = str(path)
        self.own = path if path.startswith("http") else "file:"
        self.ask("Page.navigate", url=path if path.startswith("http") else f"file://{path}")
        while not self.loaded:
            self.note(self.receive())

    def run(self, script):
        found = self.ask("Runtime.evaluate", expression=script, awaitPromise=True,
                         returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, script, seconds=60):
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, script
            time.sleep(0.1)

    def upload(self, selector, path):
        """Gives a file to an input, as a file dialogue does."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def press(self, key, code, text=""):
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key if key != " " else
                     "Space", windowsVirtualKeyCode=code, text=text if kind == "keyDown" else "")

    def resize(self, width, height, phone=False):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=phone)

    def picture(self, path):
        shown = self.ask("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shown["data"]))


@contextlib.contextmanager
def browse(folder):
    """A browser whose profile is in a folder."""
    to_read, to_write = os.pipe()
    answers, answer = os.pipe()

    def connect():
        # Through higher numbers, which the two that it wants cannot be.
        source, sink = os.dup(to_read), os.dup(answer)
        high = [os.dup2(source, 60), os.dup2(sink, 61)]
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--remote-debugging-pipe", "--disable-background-networking", "--no-first-run",
             "--disable-component-update", f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        [find(), *flags], preexec_fn=connect, close_fds=False,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    os.close(to_read)
    os.close(answer)
    try:
        yield Browser(to_write, answers)
    finally:
        os.close(to_write)
        os.close(answers)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
