"""Chromium without a window, told what to do by the DevTools protocol over a pipe."""

import base64
import json
import os
import shutil
import subprocess
import time

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--remote-debugging-pipe",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


class Browser:
    """A browser with one page.

    Attributes:
      requests: addresses that the page has asked for.
      messages: what it has written to its console.
    """

    def __init__(self, folder, *flags, most_seconds=300):
        """Starts it with a fresh profile in the folder; waits `most_seconds` for an answer."""
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", *flags]
        shell = f'exec "$@" 3<&{to_read} 4>&{to_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command],
            pass_fds=(to_read, to_write),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._left, self._count, self._session = b"", 0, None
        self._deadline = lambda: time.monotonic() + most_seconds
        self.requests, self.messages = [], []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "DOM", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)

    def call(self, method, **parameters):
        """What a method of the protocol gives."""
        self._count += 1
        asked = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._to, json.dumps(asked).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self._count:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']['message']}")
                return told["result"]

    def _next(self):
        while b"\0" not in self._left:
            read = os.read(self._from, 2**20)
            if not read:
                raise RuntimeError("The browser has ended.")
            self._left += read
        line, self._left = self._left.split(b"\0", 1)
        told = json.loads(line)
        given = told.get("params", {})
        if told.get("method") == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])
        elif told.get("method") == "Runtime.consoleAPICalled":
            self.messages += [str(x.get("value", x.get("description"))) for x in given["args"]]
        elif told.get("method") == "Runtime.exceptionThrown":
            self.messages.append(json.dumps(given["exceptionDetails"]))
        elif told.get("method") == "Log.entryAdded":
            self.messages.append(given["entry"]["text"] + " " + given["entry"].get("url", ""))
        return told

    def run(self, script):
        """The value of an expression in the page, promises awaited."""
        done = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in done:
            raise RuntimeError(json.dumps(done["exceptionDetails"])[:1000])
        return done["result"].get("value")

    def until(self, condition):
        """Waits until an expression is true, however often the page loads anew."""
        deadline = self._deadline()
        while True:
            try:
                if self.run(condition):
                    return
            except RuntimeError:
                pass  # between two pages
            if time.monotonic() > deadline:
                raise TimeoutError(f"{condition}: {self.messages}")
            time.sleep(0.2)

    def open(self, url):
        """Goes to an address."""
        self.call("Page.navigate", url=url)

    def choose_file(self, selector, file):
        """Gives a file to an input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(file)], nodeId=node)

    def screenshot(self):
        """PNG of what is seen."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
