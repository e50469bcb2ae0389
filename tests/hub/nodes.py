"""The nodes of these tests, as a user runs them, and an environment in which the clients find nothing else.

Imported before any client: they read their environment once.
"""

import atexit
import base64
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

BINARY = os.environ["MODELSWARM_BIN"]
REAL_MODEL = Path(os.environ["MODELSWARM_REAL_MODEL"])
NODE = os.environ.get("NODE", "node")
RUST = os.environ["HUB_RUST"]
HERE = Path(__file__).parent

# Seconds until a test calls something hung.
PATIENCE = 120

SCRATCH = Path(tempfile.mkdtemp(prefix="ms-hub-"))
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)
# A run that is stopped from outside leaves nothing behind either.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

OTHERS = ("MODELSWARM_", "HF_", "HUGGINGFACE_", "HUGGING_FACE_", "TRANSFORMERS_", "XDG_")
for name in list(os.environ):
    if name.startswith(OTHERS) or name.lower().endswith("_proxy"):
        del os.environ[name]
os.environ.update(
    HOME=str(SCRATCH / "user"),
    HF_HOME=str(SCRATCH / "huggingface"),
    NO_PROXY="127.0.0.1,localhost",
    # Calls that go elsewhere, whatever HF_ENDPOINT says.
    HF_HUB_DISABLE_UPDATE_CHECK="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_UPDATE_DOWNLOAD_COUNTS="0",
    DISABLE_SAFETENSORS_CONVERSION="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    TRANSFORMERS_NO_ADVISORY_WARNINGS="1",
    TOKENIZERS_PARALLELISM="false",
    # The same sums in the same order each time.
    OPENBLAS_NUM_THREADS="1",
)


class Answer(NamedTuple):
    """What an endpoint says to a request; `whole`: whether the body has the length that its head states."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    whole: bool

    @property
    def json(self):
        return json.loads(self.body)


class Node:
    """A home, and its daemon once it is started."""

    def __init__(self, name: str, *settings: str) -> None:
        # Tests in several files may call theirs the same.
        self.folder = Path(tempfile.mkdtemp(dir=SCRATCH)) / name
        self.home = self.folder / "home"
        self.folder.mkdir()
        self.settings = [option for setting in settings for option in ("--set", setting)]
        self.daemon: subprocess.Popen | None = None

    def command(self, *arguments: str | Path) -> list:
        return [BINARY, "--home", self.home, "--network", "isolated", "--json", *arguments]

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess:
        return run(self.command(*arguments))

    def ask(self, *arguments: str | Path) -> dict:
        """The answer of a command that must succeed."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def start(self, *more: str, http: str = "127.0.0.1:0") -> None:
        """Starts the daemon on free ports of loopback, and waits until it serves."""
        command = self.command("daemon", "--listen", "/ip4/127.0.0.1/tcp/0", "--http", http)
        with open(self.folder / "log", "wb") as log:
            self.daemon = subprocess.Popen(
                [*command, *self.settings, *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        atexit.register(self.kill)
        hung = threading.Timer(PATIENCE, self.daemon.kill)
        hung.start()
        line = self.daemon.stdout.readline()
        hung.cancel()
        assert line, f"the daemon never was ready: {self.log()}"
        ready = json.loads(line)
        assert ready["event"] == "ready", ready
        self.address = next(address for address in ready["addrs"] if "/ip4/127.0.0.1/tcp/" in address)
        self.http = ready["http"]

    def stop(self) -> None:
        """Ends the daemon as Ctrl-C does, and sees it end well."""
        daemon, self.daemon = self.daemon, None
        daemon.terminate()
        try:
            code = daemon.wait(PATIENCE)
        finally:
            daemon.kill()
            daemon.wait()
            daemon.stdout.close()
        assert code == 0, f"the daemon ended with {code}: {self.log()}"

    def kill(self) -> None:
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait()

    def connect(self) -> socket.socket:
        """A connection to the endpoint, for what no client would send."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def request(
        self, method: str, path: str | bytes, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None
    ) -> Answer:
        """Sends this and no more, byte for byte: with a body its length, with no `Host` the usual one. An answer may
        come before all is sent."""
        headers = list(headers)
        if not any(name.lower() == "host" for name, _ in headers):
            headers.append(("Host", f"127.0.0.1:{self.port}"))
        if body is not None and not any(name.lower() == "content-length" for name, _ in headers):
            headers.append(("Content-Length", str(len(body))))
        path = path.encode() if isinstance(path, str) else path
        lines = [method.encode() + b" " + path + b" HTTP/1.1", *(f"{name}: {value}".encode() for name, value in headers)]
        with self.connect() as connection:
            try:
                connection.sendall(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + (body or b""))
            except (BrokenPipeError, ConnectionResetError):
                pass
            return answer(connection, method)

    @property
    def port(self) -> int:
        return int(self.http.rsplit(":", 1)[1])

    def log(self) -> str:
        """The end of what the daemon said."""
        return (self.folder / "log").read_text(errors="replace")[-10_000:]

    @property
    def publisher(self) -> str:
        return self.ask("id")["publisher"]

    @property
    def token(self) -> str:
        return self.ask("token")["token"]


def answer(connection: socket.socket, method: str = "GET") -> Answer:
    """Reads an answer to its end, or to where it is cut off."""
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    try:
        body, whole = response.read(), True
    except http.client.IncompleteRead as cut:
        body, whole = cut.partial, False
    except ConnectionResetError:
        body, whole = b"", False
    return Answer(response.status, response.headers, body, whole)


def run(command: list, **environment: str) -> subprocess.CompletedProcess:
    """Runs a program to its end, with these variables besides."""
    return subprocess.run(
        command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE * 2,
    )


def succeed(command: list, **environment: str) -> str:
    """What a program that must succeed prints."""
    done = run(command, **environment)
    assert done.returncode == 0, f"{command}: {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def until(what: str, ask: Callable):
    """Asks until the answer is true."""
    end = time.monotonic() + PATIENCE
    while not (answer := ask()):
        assert time.monotonic() < end, f"waited {PATIENCE} s in vain for {what}"
        time.sleep(0.1)
    return answer


def published(publisher: Node, reader: Node, names: set[str]) -> None:
    """Waits until the reader finds these repos under the publisher's key."""
    until("a peer that takes the publisher's record", lambda: [
        name for name in publisher.ask("name", "publish")["names"] if name["peers"] > 0
    ])

    def found() -> bool:
        done = reader.run("name", "resolve", publisher.publisher)
        return done.returncode == 0 and names <= {repo["name"] for repo in json.loads(done.stdout)["repos"]}

    until(f"{names} in the publisher's index", found)


def commit_id(root: str) -> str:
    """What clients know a tree by: of its CID's bytes the SHA-256, of that the first 40 digits."""
    digits = root.removeprefix("b").upper()
    return sha256(base64.b32decode(digits + "=" * (-len(digits) % 8)))[:40]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def files(folder: str | Path) -> dict[str, str]:
    """The files of a folder, each with its SHA-256; what a client keeps for itself beside them is not among them."""
    folder = Path(folder)
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(".cache/"):
            with open(path, "rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def javascript(endpoint: str, call: str, **parameters):
    """What a function of the JavaScript client gives."""
    return json.loads(succeed([NODE, HERE / "client.mjs", call, json.dumps(parameters)], HF_ENDPOINT=endpoint))
