"""A page in headless Chromium, driven over a pipe: what happens to a report when someone clicks through it."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

OPTIONS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1600,1000",
    "--remote-debugging-pipe",
]  # fmt: skip
CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)"
)
SECONDS = 60  # until something that has to appear is missing


class Page:
    """A file in a browser of its own; a context manager.

    Attributes
    ----------
    errors : list of str
        What scripts of the page threw, and what it wrote to the console as an error.
    """

    def __init__(self, path: Path):
        self.errors: list[str] = []
        self._path, self._session, self._n_calls, self._buffer = path, {}, 0, b""

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        # Chromium reads commands from its file 3 and answers in its file 4.
        exec_with_pipes = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", exec_with_pipes, "-", CHROMIUM, *OPTIONS, f"--user-data-dir={self._folder.name}"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Runtime", "Log", "Page"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=self._path.resolve().as_uri())
        self.wait("document.readyState == 'complete'")
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._folder.cleanup()

    def call(self, method: str, **params) -> dict:
        """The result of a command of the DevTools protocol; what the page reports meanwhile goes to `errors`."""
        self._n_calls += 1
        command = {"id": self._n_calls, "method": method, "params": params, **self._session}
        os.write(self._to, json.dumps(command).encode() + b"\0")
        while (message := self._next_message()).get("id") != self._n_calls:
            self._note(message)
        assert "error" not in message, f"{method}: {message.get('error')}"
        return message["result"]

    def evaluate(self, expression: str):
        """The value of a JavaScript expression in the page, promises awaited."""
        options = {"returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in answer, f"{expression}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until a JavaScript expression is true."""
        end = time.monotonic() + SECONDS
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"after {SECONDS} s, not: {condition}; {self.errors}"
            time.sleep(0.02)

    def _next_message(self) -> dict:
        while b"\0" not in self._buffer:
            read = os.read(self._from, 1 << 20)
            assert read, "Chromium has ended"
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, message: dict) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description", details["text"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "assert"):
                self.errors.append(
                    " ".join(str(part.get("value", part.get("description"))) for part in params["args"])
                )
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.errors.append(params["entry"]["text"])


# Clicks on all that a report of Snakemake shows but downloads, and tells what it saw. React draws after a click.
WALK = """
async searches => {
  const seen = {};
  const all = selector => [...document.querySelectorAll(selector)];
  const press = async link => {
    link.click();
    await new Promise(done => setTimeout(done, 0));
    if (!document.querySelector("nav")) throw new Error("a white page");
    for (const image of all("#app img")) await image.decode();
  };
  const pressNamed = text => press(all("nav ul > li > a").find(link => link.textContent.trim() == text));
  const home = () => press(document.querySelector("nav nav a"));

  const openEntries = async (place, show) => {
    await show();
    const rows = () => all("nav tbody tr");
    seen[place] = rows().map(row => row.firstChild.textContent);
    for (const i of seen[place].keys()) {
      const [view, about] = rows()[i].querySelectorAll("a");
      if (!view.hasAttribute("download")) await press(view);
      await press(about);
      await press(all("nav ul li span > a").at(-1));  // its rule
      await show();
    }
  };
  const openPlace = async (category, place, isOnly) => {
    await home();
    await pressNamed(Object.keys(categories).length > 1 ? category : "Results");
    if (!isOnly) await pressNamed(place);
  };
  const search = async words => {
    await home();
    const field = document.querySelector("nav input");
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, words);
    field.dispatchEvent(new Event("input", { bubbles: true }));
    field.dispatchEvent(new KeyboardEvent("keypress", { charCode: 13, bubbles: true }));
    await press(document.body);
  };

  for (const general of ["Statistics", "Workflow", "About"]) await pressNamed(general);
  for (const [category, places] of Object.entries(categories)) {
    const names = Object.keys(places);
    for (const place of names)
      await openEntries(`${category}/${place}`, () => openPlace(category, place, names.length == 1));
  }
  for (const words of searches) await openEntries(`search ${words}`, () => search(words));
  return seen;
}
"""


def click_through(report: Path, searches: list[str]) -> dict[str, list[str]]:
    """Open everything in a report, and search it.

    Parameters
    ----------
    report : Path
        Made by Snakemake.
    searches : list of str

    Returns
    -------
    dict of str to list of str
        Labels of the entries shown per ``category/part`` and per ``search words``.

    Raises
    ------
    AssertionError
        A script failed, the page went white, a figure or a text is broken, or entries are missing from a list.
    """
    with Page(report) as page:
        page.wait("document.querySelector('nav') != null")
        seen = page.evaluate(f"({WALK})({json.dumps(searches)})")
        assert not page.errors, page.errors
        places = page.evaluate("categories")
        paths = page.evaluate("Object.keys(results)")
        words = page.evaluate("[workflow_desc, ...Object.values(results).map(result => result.caption)]")
    assert not [text for text in words if "system-message" in text]  # what docutils could not read
    expected = {
        f"{name}/{part}": len(of_part) for name, parts in places.items() for part, of_part in parts.items()
    }
    expected |= {f"search {words}": sum(words in path for path in paths) for words in searches}
    assert {place: len(labels) for place, labels in seen.items()} == expected
    return seen
