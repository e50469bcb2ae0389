"""What the HTTP endpoint refuses, bears and keeps to itself, asked as no well-meaning client would. See `run` beside this file."""

import json
import pickle
import random
import re
import socket
import struct
import threading
import unittest
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import nodes
from nodes import Answer, Node, answer, until

LAB = Node("lab", 'gateway.hosts=["swarm.example"]', "gateway.publish_key=true")
# It trusts the lab, a publisher who goes away, and one whom nobody has ever met.
READER, GONE, NOBODY = Node("reader"), Node("gone"), Node("nobody")
WARY, CURIOUS, OFF = Node("wary"), Node("curious", "gateway.fetch=any", "gateway.repo_max=10000000"), Node("off", "gateway.fetch=off")
BEYOND = Node("beyond", "gateway.publish_key=true")

MIB = 1 << 20
FIVE, TWENTY = random.Random(5).randbytes(5 * MIB + 77), random.Random(20).randbytes(20 * MIB)
# What nobody else has.
LOST = {"big.bin": random.Random(21).randbytes(20 * MIB), "other.bin": random.Random(6).randbytes(5 * MIB)}
CONFIG = b'{"model_type": "bert"}\n'
STRANGER = ("Authorization", "Bearer hf_" + "x" * 40)
# A page that a browser could run.
PAGE = b"<html><script>fetch('/api/models')</script></html>"


class Code:
    def __reduce__(self):
        return (print, ("run",))


REPOS = {
    "page": {
        "index.html": PAGE, "page.xhtml": PAGE, "picture.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "script.js": b"alert(1)", "frame.xml": PAGE, "no-ending": PAGE, "README.md": PAGE, "config.json": CONFIG,
        "five.bin": FIVE, "sub/config.json": CONFIG,
    },
    "big": {"big.bin": TWENTY},
    "shared": {"big.bin": TWENTY[::-1]},
    "secret": {"config.json": CONFIG},
    "code": {"config.json": CONFIG, "data.pkl": pickle.dumps(Code()), "weights.bin": pickle.dumps([Code()] * 9)},
}

POOL = ThreadPoolExecutor()
# What takes long begins at once, and its test waits for it.
LATER: dict[str, Future] = {}


def setUpModule() -> None:
    LAB.ask("init", "--alias", "lab")
    LAB.start("-vv")
    GONE.ask("init", "--alias", "gone")
    GONE.start("--bootstrap", LAB.address, "--max-up", "2MiB")
    for name, contents in REPOS.items():
        LAB.ask("seed", folder(LAB, name, contents), "--visibility", "private" if name == "secret" else "lan")
    GONE.ask("seed", folder(GONE, "cut", LOST))
    for node in (READER, OFF):
        node.ask("trust", "add", "lab", LAB.publisher)
    READER.ask("trust", "add", "gone", GONE.publisher)
    READER.ask("trust", "add", "nobody", NOBODY.publisher)
    READER.start("--bootstrap", LAB.address, "--bootstrap", GONE.address)
    for node in (WARY, CURIOUS, OFF):
        node.start("--bootstrap", LAB.address)
    BEYOND.ask("init", "--alias", "beyond")
    BEYOND.ask("seed", folder(BEYOND, "page", {"config.json": CONFIG}))
    BEYOND.start(http="0.0.0.0:0")
    for node in (LAB, READER, BEYOND):
        node.proof = ("Authorization", f"Bearer {node.token}")
    for node in (READER, WARY, OFF):
        nodes.published(LAB, node, {"page", "big", "shared"})
    nodes.published(GONE, READER, {"cut"})
    lose_the_only_provider()


def tearDownModule() -> None:
    for node in (READER, WARY, CURIOUS, OFF, BEYOND, LAB):
        node.stop()


def folder(node: Node, name: str, contents: dict[str, bytes]) -> Path:
    """A folder with these files."""
    top = node.folder / name
    for path, content in contents.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(content)
    return top


def lose_the_only_provider() -> None:
    """Ends the publisher `gone` in the middle of a body; then asks for that and for more."""
    head = READER.request("HEAD", "/gone/cut/resolve/main/big.bin")
    assert head.status == 200, head
    connection = ask(READER, "/gone/cut/resolve/main/big.bin")
    begun = connection.recv(4096)
    GONE.kill()

    def rest() -> bytes:
        with connection:
            parts = [begun]
            while part := connection.recv(MIB):
                parts.append(part)
            return b"".join(parts).split(b"\r\n\r\n", 1)[1]

    LATER["cut"] = POOL.submit(rest)
    for name, path in [
        ("head", "/gone/cut/resolve/main/other.bin"), ("whole", "/gone/cut/resolve/main/big.bin"),
        ("other", "/gone/cut/resolve/main/other.bin"), ("info", "/api/models/gone/cut"),
        ("unknown", "/gone/unknown/resolve/main/config.json"), ("nobody", "/nobody/model/resolve/main/config.json"),
        ("nobody's info", "/api/models/nobody/model"), ("list", "/api/models"),
    ]:
        LATER[name] = POOL.submit(READER.request, "HEAD" if name == "head" else "GET", path)


def ask(node: Node, path: str, *more: str) -> socket.socket:
    """A connection on which this was asked and nothing is read yet."""
    connection = node.connect()
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{node.port}", "Connection: close", *more, "", ""]
    connection.sendall("\r\n".join(lines).encode())
    return connection


def memory(node: Node, field: str) -> int:
    """Bytes of the daemon's memory, as Linux calls them."""
    status = Path(f"/proc/{node.daemon.pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024


def descriptors(node: Node) -> int:
    return len(list(Path(f"/proc/{node.daemon.pid}/fd").iterdir()))


READS = [
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/api/models"),
    ("GET", "/api/datasets"),
    ("GET", "/api/spaces"),
    ("GET", "/api/models/{}/page"),
    ("GET", "/api/models/{}/page/revision/main"),
    ("GET", "/api/models/{}/page/tree/main"),
    ("POST", "/api/models/{}/page/paths-info/main"),
    ("GET", "/api/models/{}/page/refs"),
    ("GET", "/api/models/{}/page/commits/main"),
    ("GET", "/api/models/{}/page/auth-check"),
    ("GET", "/{}/page/resolve/main/config.json"),
    ("HEAD", "/{}/page/resolve/main/config.json"),
    ("GET", "/{}/page/raw/main/config.json"),
]
NOTHING = [
    ("GET", "/v2/{}/page/manifests/latest"),
    ("GET", "/v2/{}/page/blobs/sha256:" + "0" * 64),
    ("GET", "/ipfs/bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"),
    ("GET", "/"),
    ("OPTIONS", "/api/models"),
]
WHOAMI = ("GET", "/api/whoami-v2")
WRITES = [
    ("POST", "/api/repos/create"),
    ("DELETE", "/api/repos/delete"),
    ("POST", "/api/validate-yaml"),
    ("POST", "/api/models/{}/page/preupload/main"),
    ("POST", "/api/models/{}/page/commit/main"),
    ("POST", "/api/models/{}/page/branch/main"),
    ("POST", "/api/models/{}/page/tag/main"),
    ("GET", "/api/models/{}/page/xet-write-token/main"),
    ("POST", "/{}/page.git/info/lfs/objects/batch"),
]
# The addresses that uploads are sent to: they are guarded as the rest, and bear a proof of their own.
UPLOADS = [
    ("PUT", "/_up/models/page/abc/lfs/" + "0" * 64 + "/1/" + "0" * 64),
    ("POST", "/_up/models/page/abc/v1/xorbs/default/" + "0" * 64),
    ("POST", "/_up/models/page/abc/v1/shards"),
]
ALL = [*READS, *NOTHING, WHOAMI, *WRITES, *UPLOADS]


class Case(unittest.TestCase):
    def file(self, node: Node, repo: str, path: str, *headers: tuple[str, str]) -> Answer:
        return node.request("GET", f"/{repo}/resolve/main/{path}", headers)

    def refused(self, found: Answer, *statuses: int, code: str | None = None, says: str = ".") -> None:
        """It was refused with one of these, in the form that clients read."""
        self.assertIn(found.status, statuses, found.body[:1000])
        self.assertEqual(found.headers["x-error-code"], code, found.body[:1000])
        self.assertRegex(found.headers["x-error-message"], says)
        self.assertEqual(found.headers["content-type"], "application/json")
        self.assertRegex(found.json["error"], says)

    def well(self, node: Node) -> None:
        self.assertEqual(node.request("GET", "/healthz").body, b"ok\n")


class Guard(Case):
    """A page in the user's browser, wherever it comes from, can neither read nor write."""

    def each_route_refuses(self, *heads: list[tuple[str, str]]) -> None:
        for method, path in ALL:
            for head in heads:
                with self.subTest(method=method, path=path, head=head):
                    body = None if method in ("GET", "HEAD", "OPTIONS") else b'{"name": "by-a-page"}'
                    # The token, if a page had it, would not help either.
                    found = LAB.request(method, path.format("lab"), [*head, LAB.proof], body)
                    self.assertEqual(found.status, 403)
                    self.assertRegex(found.headers["x-error-message"], "^(the host|the request names no host|a web page of) ?")
                    self.assertNotIn(b"lab/page", found.body)
        self.refused(LAB.request("GET", "/api/models/lab/by-a-page", [LAB.proof]), 404, code="RepoNotFound")

    def test_every_route_refuses_a_host_that_is_none_of_this_machine(self) -> None:
        port = LAB.port
        self.each_route_refuses(*([("Host", host)] for host in [
            "evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "localhost.", f"localhost.:{port}",
            "user@localhost", f"user:word@127.0.0.1:{port}", f"localhost:{port}@evil.example", "swarm.example.", "",
        ]))

    def test_every_route_refuses_a_host_that_stands_twice(self) -> None:
        ours = ("Host", f"127.0.0.1:{LAB.port}")
        self.each_route_refuses([ours, ours], [ours, ("Host", "evil.example")])

    def test_every_route_refuses_pages_of_another_origin(self) -> None:
        port = LAB.port
        ours = ("Origin", f"http://127.0.0.1:{port}")
        self.each_route_refuses([ours, ours], *([("Origin", origin)] for origin in [
            "http://evil.example", f"http://evil.example:{port}", "null", "", f"http://127.0.0.1:{port + 1}",
            "http://localhost", f"http://localhost.:{port}", f"file://127.0.0.1:{port}", f"127.0.0.1:{port}",
        ]))

    def test_every_route_refuses_what_a_browser_sends_for_another_site(self) -> None:
        none = ("Sec-Fetch-Site", "none")
        self.each_route_refuses([none, none], *([("Sec-Fetch-Site", site)] for site in ["cross-site", "same-site", "other"]))

    def test_a_request_that_names_no_host_or_another_in_its_first_line_is_refused(self) -> None:
        for lines in [["GET /metrics HTTP/1.0"], ["GET /metrics HTTP/1.1"],
                      ["GET http://evil.example/metrics HTTP/1.1", f"Host: 127.0.0.1:{LAB.port}"]]:
            with self.subTest(lines=lines), LAB.connect() as connection:
                connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
                self.refused(answer(connection), 403, says="host")

    def test_addresses_in_an_answer_are_of_the_host_that_the_first_line_names(self) -> None:
        for target, host in [("/api/models?limit=1", "127.0.0.1"), ("http://swarm.example:1/api/models?limit=1", "swarm.example:1")]:
            found = LAB.request("GET", target, [("Host", "127.0.0.1")])
            self.assertEqual(found.status, 200)
            self.assertRegex(found.headers["link"], f"^<http://{re.escape(host)}/api/models[?]")

    def test_names_of_this_machine_and_those_that_are_set_are_answered(self) -> None:
        for host in ["127.0.0.1", f"127.0.0.1:{LAB.port}", "localhost", "LocalHost:1", "[::1]", f"[::1]:{LAB.port}",
                     "swarm.example", "Swarm.Example:9000"]:
            with self.subTest(host=host):
                self.assertEqual(LAB.request("GET", "/api/models/lab/page", [("Host", host)]).status, 200)

    def test_the_endpoint_s_own_pages_and_addresses_typed_by_hand_are_answered(self) -> None:
        port = LAB.port
        for head in [("Origin", f"http://127.0.0.1:{port}"), ("Origin", f"http://localhost:{port}"),
                     ("Origin", f"http://swarm.example:{port}"), ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "none")]:
            with self.subTest(head=head):
                self.assertEqual(LAB.request("GET", "/api/models/lab/page", [head]).status, 200)

    def test_no_answer_allows_other_origins_to_read_it(self) -> None:
        for method, path in ALL:
            for origin in ["http://evil.example", f"http://127.0.0.1:{LAB.port}"]:
                with self.subTest(method=method, path=path, origin=origin):
                    found = LAB.request(method, path.format("lab"), [("Origin", origin)])
                    self.assertEqual([name for name in found.headers if name.lower().startswith("access-control-")], [])


class Beyond(Case):
    """An endpoint bound to more than loopback."""

    def test_everything_needs_the_token(self) -> None:
        basic = ("Authorization", BEYOND.proof[1].replace("Bearer", "Basic"))
        for method, path in [*READS, *NOTHING, WHOAMI, *WRITES]:
            for headers in [[], [STRANGER], [basic]]:
                with self.subTest(method=method, path=path, headers=headers):
                    found = BEYOND.request(method, path.format("beyond"), headers)
                    self.assertEqual(found.status, 401)
                    self.assertIn("token", found.headers["x-error-message"])
                    self.assertNotIn(b"beyond/page", found.body)

    def test_an_upload_s_address_needs_its_own_proof_and_no_token(self) -> None:
        for method, path in UPLOADS:
            for headers in [[], [STRANGER]]:
                with self.subTest(method=method, path=path, headers=headers):
                    self.assertIn(BEYOND.request(method, path, headers, b"a").status, (401, 403))
        objects = {"operation": "upload", "objects": [{"oid": nodes.sha256(b"a"), "size": 1}]}
        batch = BEYOND.request("POST", "/beyond/page.git/info/lfs/objects/batch", [BEYOND.proof], json.dumps(objects).encode())
        place = batch.json["objects"][0]["actions"]["upload"]["href"].removeprefix(f"http://127.0.0.1:{BEYOND.port}")
        # As clients do, who send the token to the Hub's API alone.
        self.assertEqual(BEYOND.request("PUT", place, body=b"a").status, 200)
        pieces = BEYOND.request("GET", "/api/models/beyond/page/xet-write-token/main", [BEYOND.proof]).json
        place = pieces["casUrl"].removeprefix(f"http://127.0.0.1:{BEYOND.port}") + "/v1/xorbs/default/" + "0" * 64
        self.assertEqual(BEYOND.request("POST", place, [("Authorization", f"Bearer {pieces['accessToken']}")], b"a").status, 200)

    def test_with_the_token_it_serves(self) -> None:
        for method, path in READS:
            with self.subTest(method=method, path=path):
                self.assertEqual(BEYOND.request(method, path.format("beyond"), [BEYOND.proof]).status, 200)

    def test_the_token_does_not_open_it_to_web_pages(self) -> None:
        for head in [("Host", "evil.example"), ("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site")]:
            with self.subTest(head=head):
                self.assertEqual(BEYOND.request("GET", "/metrics", [head, BEYOND.proof]).status, 403)


class Bodies(Case):
    def test_no_file_is_one_that_a_browser_runs(self) -> None:
        for node in (LAB, READER):
            for path, content in REPOS["page"].items():
                for headers in [[], [("Range", "bytes=0-3")], [("Accept", "text/html")]]:
                    with self.subTest(node=node.folder.name, path=path, headers=headers):
                        found = self.file(node, "lab/page", path, *headers)
                        self.assertEqual(found.body, content[:4] if found.status == 206 else content)
                        self.assertEqual(found.headers["x-content-type-options"], "nosniff")
                        self.assertIn("sandbox", found.headers["content-security-policy"])
                        self.assertIn("default-src 'none'", found.headers["content-security-policy"])
                        self.assertIn(found.headers["content-type"].split(";")[0], [
                            "application/octet-stream", "application/json", "text/markdown", "text/plain",
                        ])


class Token(Case):
    def test_it_lies_in_a_file_of_the_owner_s_alone_and_a_command_prints_it(self) -> None:
        path = LAB.home / "token"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(LAB.ask("token"), {"token": path.read_text()})
        self.assertRegex(path.read_text(), r"\Ahf_[A-Za-z0-9]{40}\Z")
        self.assertNotEqual(LAB.token, READER.token)

    def test_one_that_is_unknown_is_ignored_where_one_reads(self) -> None:
        for method, path in READS:
            with self.subTest(method=method, path=path):
                path = path.format("lab")
                known, unknown = LAB.request(method, path), LAB.request(method, path, [STRANGER])
                self.assertEqual(unknown.status, known.status)
                if path != "/metrics":
                    self.assertEqual(unknown.body, known.body)

    def test_without_it_nobody_is_told_who_the_user_is_and_nothing_is_written(self) -> None:
        basic = ("Authorization", LAB.proof[1].replace("Bearer", "Basic"))
        near = ("Authorization", LAB.proof[1][:-1])
        for method, path in [WHOAMI, *WRITES]:
            for headers in [[], [STRANGER], [basic], [near], [("Authorization", "Bearer ")], [STRANGER, LAB.proof]]:
                with self.subTest(method=method, path=path, headers=headers):
                    body = None if method == "GET" else b'{"name": "by-a-stranger"}'
                    self.refused(LAB.request(method, path.format("lab"), headers, body), 401, says="Invalid credentials")
        self.refused(LAB.request("GET", "/api/models/lab/by-a-stranger", [LAB.proof]), 404, code="RepoNotFound")

    def test_with_it_the_same_is_done(self) -> None:
        self.assertEqual(LAB.request(*WHOAMI, [LAB.proof]).json["name"], "lab")
        for method, path in WRITES:
            with self.subTest(method=method, path=path):
                body = None if method == "GET" else b"{}"
                self.assertIn(LAB.request(method, path.format("lab"), [LAB.proof], body).status, (200, 400))

    def test_no_token_is_ever_logged(self) -> None:
        for method, path in ALL:
            for proof in [LAB.proof, STRANGER, ("Authorization", "Basic " + LAB.proof[1])]:
                # Some fail in one way, some in another.
                for headers in [[proof], [proof, ("Host", "evil.example")], [proof, ("Content-Length", "x")]]:
                    LAB.request(method, path.format("lab"), headers)
        with ask(LAB, "/lab/big/resolve/main/big.bin", ": ".join(LAB.proof)) as connection:
            connection.recv(10)
        log = (LAB.folder / "log").read_text(errors="replace")
        self.assertIn("DEBUG", log)
        self.assertNotIn(LAB.token, log)
        self.assertNotIn("x" * 40, log)


class Private(Case):
    """A repo that stays on this machine is shown to who has the token, on loopback too."""

    PATHS = [
        "/api/models/lab/secret", "/api/models/lab/secret/tree/main", "/api/models/lab/secret/refs",
        "/api/models/lab/secret/commits/main", "/api/models/lab/secret/auth-check",
        "/lab/secret/resolve/main/config.json", "/lab/secret/raw/main/config.json", "/v2/lab/secret/manifests/latest",
    ]

    def test_without_the_token_it_is_not_there(self) -> None:
        missing = LAB.request("GET", "/api/models/lab/none")
        commit = LAB.request("GET", self.PATHS[0], [LAB.proof]).json["sha"]
        for path in [*self.PATHS, f"/lab/secret/resolve/{commit}/config.json", f"/api/models/lab/secret/revision/{commit[:7]}"]:
            for headers in [[], [STRANGER]]:
                with self.subTest(path=path, headers=headers):
                    found = LAB.request("GET", path, headers)
                    self.refused(found, 404, code="RepoNotFound")
                    # One that is not there at all says no less.
                    self.assertEqual(found.json["error"].replace("secret", "none"), missing.json["error"])

    def test_with_the_token_it_is_served(self) -> None:
        for path in self.PATHS[:-1]:
            with self.subTest(path=path):
                self.assertEqual(LAB.request("GET", path, [LAB.proof]).status, 200)
        self.assertEqual(self.file(LAB, "lab/secret", "config.json", LAB.proof).body, CONFIG)

    def test_it_is_listed_for_who_has_the_token(self) -> None:
        for query in ["", "?search=secret", "?author=lab&full=true"]:
            with self.subTest(query=query):
                self.assertNotIn(b"secret", LAB.request("GET", f"/api/models{query}", [STRANGER]).body)
                self.assertIn(b"lab/secret", LAB.request("GET", f"/api/models{query}", [LAB.proof]).body)

    def test_a_version_before_one_that_others_may_see_is_in_the_history_for_who_has_the_token(self) -> None:
        seeded = [LAB.ask("seed", folder(LAB, name, {"a.txt": name.encode()}), "--name", "later-shown", "--visibility", visibility)
                  for name, visibility in [("shown-to-none", "private"), ("shown-to-all", "lan")]]
        first, second = (nodes.commit_id(each["root"]) for each in seeded)
        for headers, expected in [([], [second]), ([STRANGER], [second]), ([LAB.proof], [second, first])]:
            with self.subTest(headers=headers):
                found = LAB.request("GET", "/api/models/lab/later-shown/commits/main", headers)
                self.assertEqual([each["id"] for each in found.json], expected)
                self.assertEqual(found.headers["x-total-count"], str(len(expected)))

    def test_the_metrics_do_not_name_it(self) -> None:
        self.assertNotIn(b"secret", LAB.request("GET", "/metrics").body)

    def test_a_reader_elsewhere_never_gets_it(self) -> None:
        self.refused(self.file(READER, "lab/secret", "config.json", READER.proof), 404, 504, code="RepoNotFound")
        self.assertNotIn(b"secret", READER.request("GET", "/api/models", [READER.proof]).body)


class Paths(Case):
    TRICKS = [
        "..", ".", "../config.json", "../../../../../../etc/passwd", "sub/../config.json", "sub/./config.json",
        "%2e%2e", "%2e%2e/%2e%2e/etc/passwd", ".%2e/config.json", "%2E%2E%2Fconfig.json", "..%2f..%2f..%2fetc%2fpasswd",
        "sub%2f..%2fconfig.json", "%252e%252e%252fconfig.json", "/etc/passwd", "%2fetc%2fpasswd", "//config.json", "sub//config.json",
        "config.json/", "config.json%00", "config.json%00.txt", "%00", "..%5cconfig.json", "sub\\config.json", "%5c%5chost%5cshare",
        "C:%5cconfig.json", "config.json%0d%0aX-Injected:%201", "config.json%7f", "%", "%4", "%zz", "%ff", "%c0%ae%c0%ae/config.json",
        "~/config.json", ".git/config", "config.json:stream", "a" * 5000, "a/" * 2000 + "b", "a" * 20_000,
    ]

    def answered(self, method: str, path: str, **given) -> None:
        with self.subTest(method=method, path=path[:100]):
            found = LAB.request(method, path, **given)
            self.assertIn(found.status, (400, 404, 405), found)
            self.assertIsInstance(found.json["error"], str)
            self.assertNotIn(b"root:", found.body)
            self.assertIsNone(found.headers["x-injected"])

    def test_no_file_is_found_by_a_trick(self) -> None:
        for trick in self.TRICKS:
            self.answered("GET", f"/lab/page/resolve/main/{trick}")
        self.well(LAB)

    def test_no_folder_revision_tag_or_repo_is_found_by_a_trick(self) -> None:
        for trick in self.TRICKS:
            for path in [f"/lab/page/resolve/{trick}/config.json", f"/{trick}/page/resolve/main/config.json",
                         f"/lab/{trick}/resolve/main/config.json", f"/api/models/lab/{trick}", f"/api/models/{trick}/page/refs",
                         f"/api/models/lab/page/revision/{trick}", f"/v2/lab/page/manifests/{trick}",
                         f"/v2/lab/page/blobs/{trick}", f"/api/{trick}"]:
                self.answered("GET", path)
            if trick not in ("config.json/",):
                self.answered("GET", f"/api/models/lab/page/tree/main/sub/{trick}")
        self.well(LAB)

    def test_no_upload_finds_a_place_by_a_trick(self) -> None:
        for trick in self.TRICKS:
            for path in [f"/_up/models/{trick}/abc/v1/shards", f"/_up/models/page/{trick}/v1/shards",
                         f"/_up/models/page/abc/v1/xorbs/default/{trick}", f"/_up/{trick}/page/abc/v1/shards",
                         f"/_up/models/page/abc/lfs/{trick}/1/{'0' * 64}"]:
                with self.subTest(path=path[:100]):
                    found = LAB.request("PUT" if "/lfs/" in path else "POST", path, body=b"")
                    self.assertIn(found.status, (400, 401, 403, 404, 405))
        self.assertFalse((LAB.home / "library" / "drafts").exists())
        self.well(LAB)

    def test_bytes_that_no_path_has_are_refused(self) -> None:
        for raw in [b"\0", b"a\0b", b"\x01", b"\xff", b"a b", b"\x7f", b"\t"]:
            with self.subTest(raw=raw):
                found = LAB.request("GET", b"/lab/page/resolve/main/" + raw)
                self.assertIn(found.status, (400, 404))
        self.well(LAB)

    def test_a_path_beyond_all_measure_is_refused(self) -> None:
        for length in (17_000, 63_000, 300_000):
            with self.subTest(length=length):
                found = LAB.request("GET", "/lab/page/resolve/main/" + "a" * length)
                self.assertIn(found.status, (400, 414, 431))
        self.well(LAB)


class Ranges(Case):
    def test_one_that_cannot_be_had_is_said_to_be_so(self) -> None:
        for asked in [f"bytes={len(FIVE)}-", f"bytes={len(FIVE)}-{len(FIVE) + 9}", "bytes=-0", "bytes=99999999999999999999999-"]:
            with self.subTest(asked=asked):
                found = self.file(LAB, "lab/page", "five.bin", ("Range", asked))
                self.refused(found, 416)
                self.assertEqual(found.headers["content-range"], f"bytes */{len(FIVE)}")

    def test_one_that_is_not_understood_gives_the_whole_file(self) -> None:
        for asked in ["bytes=5-2", "bytes=a-b", "bytes=-", "bytes=0-1,4-5", "bytes=0-1,", "items=0-1", "0-1", "bytes=+1-2", "é"]:
            with self.subTest(asked=asked):
                found = self.file(LAB, "lab/page", "config.json", ("Range", asked))
                self.assertEqual((found.status, found.body, found.headers["content-range"]), (200, CONFIG, None))

    def test_one_that_goes_beyond_the_end_stops_there(self) -> None:
        for asked in [f"bytes=5-{2 ** 64}", "bytes=5-99999999999999999999999999", f"bytes=-{2 ** 70}", "bytes=-99999"]:
            with self.subTest(asked=asked):
                found = self.file(LAB, "lab/page", "config.json", ("Range", asked))
                self.assertEqual((found.status, found.body), (206, CONFIG if "=-" in asked else CONFIG[5:]))


class Giants(Case):
    PATHS_INFO = "/api/models/lab/page/paths-info/main"
    JSON, FORM = ("Content-Type", "application/json"), ("Content-Type", "application/x-www-form-urlencoded")

    def test_a_list_of_paths_of_five_megabytes_is_refused(self) -> None:
        for kind, body in [(self.JSON, json.dumps({"paths": ["a" * 5 * MIB]}).encode()), (self.FORM, b"paths=" + b"a" * 5 * MIB)]:
            with self.subTest(kind=kind):
                self.refused(LAB.request("POST", self.PATHS_INFO, [kind], body), 400, 413)
        self.well(LAB)

    def test_so_many_paths_are_answered_and_one_more_is_not(self) -> None:
        for count in (10_000, 10_001):
            for kind, body in [(self.JSON, json.dumps({"paths": ["config.json"] * count}).encode()),
                               (self.FORM, b"&".join([b"paths=config.json"] * count))]:
                with self.subTest(count=count, kind=kind):
                    found = LAB.request("POST", self.PATHS_INFO, [kind], body)
                    if count == 10_000:
                        self.assertEqual((found.status, {entry["path"] for entry in found.json}), (200, {"config.json"}))
                    else:
                        self.refused(found, 400, says="at most 10000")

    def test_a_body_that_is_no_list_is_refused(self) -> None:
        for body in [b"", b"{", b"null", b"[]", b"{}", b'{"paths": 1}', b'{"paths": [1]}', b"[" * 1_000_000, b'{"a":' * 500_000,
                     b'{"paths": ["\xff"]}', b'{"paths": ["\\ud800"]}']:
            with self.subTest(body=body[:20]):
                self.refused(LAB.request("POST", self.PATHS_INFO, [self.JSON], body), 400)
        self.well(LAB)

    def test_paths_that_no_repo_has_are_not_found_by_paths_info(self) -> None:
        body = json.dumps({"paths": [*Paths.TRICKS, "\0", "\n", "", "config.json"]}).encode()
        found = LAB.request("POST", self.PATHS_INFO, [self.JSON], body)
        self.assertEqual(found.status, 200)
        self.assertEqual({entry["path"] for entry in found.json}, {"config.json"})

    def test_writes_bound_their_bodies_too(self) -> None:
        huge = b'{"name": "' + b"a" * 5 * MIB + b'"}'
        deep = b"[" * 1_000_000
        for method, path in WRITES:
            if method == "GET" or path.endswith(("/branch/main", "/tag/main")):
                continue
            for body in ([deep] if path.endswith("/commit/main") else [deep, huge]):
                with self.subTest(method=method, path=path, body=body[:10]):
                    self.refused(LAB.request(method, path.format("lab"), [LAB.proof], body), 400, 413)
        self.well(LAB)

    def test_a_query_of_too_many_or_too_long_parts_is_refused(self) -> None:
        for query in ["search=" + "a" * 9000, "&".join(["search=a"] * 65), "&" * 9000]:
            with self.subTest(query=query[:20]):
                self.refused(LAB.request("GET", f"/api/models?{query}"), 400, says="query")
        for query in ["cursor=-1", "limit=a", "cursor=99999999999999999999999", "limit=%00"]:
            with self.subTest(query=query):
                self.refused(LAB.request("GET", f"/api/models?{query}"), 400)
        for query in ["cursor=18446744073709551615", "limit=0", "limit=18446744073709551615", "search=%ff%00&filter=%"]:
            with self.subTest(query=query):
                self.assertEqual(LAB.request("GET", f"/api/models?{query}").status, 200)

    def test_heads_beyond_measure_are_refused(self) -> None:
        for headers in [[("X", "a" * 300_000)], [(f"X-{number}", "a") for number in range(5000)], [("a" * 300_000, "x")]]:
            with self.subTest(count=len(headers)):
                self.assertIn(LAB.request("GET", "/healthz", headers).status, (400, 431))
        self.well(LAB)

    def test_a_refusal_before_the_body_is_there_says_that_the_connection_ends(self) -> None:
        head = ["POST /api/repos/create HTTP/1.1", f"Host: 127.0.0.1:{LAB.port}", "Content-Length: 20", "", ""]
        with LAB.connect() as connection:
            connection.sendall("\r\n".join(head).encode())
            found = answer(connection, "POST")
            self.assertEqual((found.status, found.headers["connection"]), (401, "close"))

    def test_a_head_without_end_is_cut_off(self) -> None:
        with LAB.connect() as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\n")
            with self.assertRaises((BrokenPipeError, ConnectionResetError)):
                for number in range(1_000_000):
                    connection.sendall(b"X-%d: " % number + b"a" * 1000 + b"\r\n")
        self.well(LAB)


class Slow(Case):
    """Clients that stop in the middle, or go away."""

    def stopped(self, count: int, sent: bytes) -> ExitStack:
        """So many clients that have sent this and wait."""
        clients = ExitStack()
        for _ in range(count):
            connection = clients.enter_context(socket.socket())
            # As little as Linux allows is taken in unread.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            connection.settimeout(nodes.PATIENCE)
            connection.connect(("127.0.0.1", LAB.port))
            connection.sendall(sent.replace(b"HOST", b"Host: 127.0.0.1:%d" % LAB.port))
        return clients

    def others_are_served(self, count: int, sent: bytes) -> None:
        before, held = descriptors(LAB), memory(LAB, "VmRSS")
        with self.stopped(count, sent):
            until("a place for each", lambda: descriptors(LAB) >= before + count)
            for _ in range(3):
                found = self.file(LAB, "lab/big", "big.bin")
                self.assertEqual((found.status, found.body == TWENTY), (200, True))
                self.well(LAB)
            self.assertLess(memory(LAB, "VmRSS") - held, count * 5 * MIB)
        until("what was opened for them to be closed", lambda: descriptors(LAB) <= before + 5)

    def test_half_a_head_keeps_nobody_from_being_served(self) -> None:
        self.others_are_served(50, b"GET /healthz HTTP/1.1\r\nHOST\r\nX-Half: ")

    def test_half_a_body_keeps_nobody_from_being_served(self) -> None:
        self.others_are_served(50, b"POST /api/models/lab/page/paths-info/main HTTP/1.1\r\nHOST\r\nContent-Length: 1000\r\n\r\npaths=")

    def test_those_who_ask_and_never_read_keep_nobody_from_being_served(self) -> None:
        self.others_are_served(50, b"GET /lab/big/resolve/main/big.bin HTTP/1.1\r\nHOST\r\n\r\n")

    def test_those_who_ask_again_and_again_and_never_read_keep_nobody_from_being_served(self) -> None:
        self.others_are_served(10, b"GET /lab/big/resolve/main/big.bin HTTP/1.1\r\nHOST\r\n\r\n" * 200)

    def gone(self, node: Node, repo: str, count: int) -> None:
        for number in range(count):
            with ask(node, f"/{repo}/resolve/main/big.bin") as connection:
                self.assertTrue(connection.recv(1000))
                if number % 2:
                    # Without a farewell.
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def test_clients_that_go_away_in_the_middle_of_a_body_leave_nothing_open(self) -> None:
        before = descriptors(LAB)
        self.gone(LAB, "lab/big", 40)
        until("what was opened for them to be closed", lambda: descriptors(LAB) <= before + 5)
        self.assertEqual(self.file(LAB, "lab/big", "big.bin").body, TWENTY)

    def test_clients_that_go_away_while_it_is_fetched_leave_it_to_the_next(self) -> None:
        self.gone(READER, "lab/big", 10)
        found = self.file(READER, "lab/big", "big.bin")
        self.assertEqual((found.status, found.body == TWENTY), (200, True))
        self.well(READER)


class Load(Case):
    def test_two_hundred_clients_at_a_time_get_every_byte_right_in_bounded_memory(self) -> None:
        # From here on the highest of its memory counts.
        Path(f"/proc/{LAB.daemon.pid}/clear_refs").write_text("5")
        clients, wrong = 200, []
        together = threading.Barrier(clients)

        def read(number: int) -> None:
            try:
                together.wait(nodes.PATIENCE)
                start = number * (len(FIVE) // clients)
                for asked, part in [(None, FIVE), (f"bytes={start}-{start + 299_999}", FIVE[start : start + 300_000]),
                                    (f"bytes=-{start + 1}", FIVE[-start - 1 :][:300_000])]:
                    found = self.file(LAB, "lab/page", "five.bin", *([("Range", asked)] if asked else []))
                    expected = 206 if asked else 200
                    if (found.status, found.whole, found.body[: len(part)] == part) != (expected, True, True):
                        wrong.append((number, asked, found.status, len(found.body)))
            except Exception as why:
                wrong.append((number, why))

        threads = [threading.Thread(target=read, args=[number]) for number in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        # Of each body at most three chunks: what is sent, the next one, and what the socket took.
        self.assertLess(memory(LAB, "VmHWM"), clients * 3 * MIB)


class Demand(Case):
    """What is not here is fetched, from whom it may be."""

    def test_sixteen_readers_of_a_file_cost_one_download(self) -> None:
        before = READER.ask("status")["bytes_in"]
        with ThreadPoolExecutor(16) as readers:
            found = list(readers.map(lambda _: self.file(READER, "lab/shared", "big.bin"), range(16)))
        for each in found:
            self.assertEqual((each.status, each.body == TWENTY[::-1]), (200, True))
        taken = READER.ask("status")["bytes_in"] - before
        self.assertGreaterEqual(taken, len(TWENTY))
        self.assertLess(taken, len(TWENTY) * 1.2)

    def test_a_stranger_s_repo_is_not_fetched_and_it_is_said_why(self) -> None:
        part = LAB.publisher.removeprefix("did:key:")
        for path in [f"/{part}/page/resolve/main/config.json", f"/api/models/{part}/page"]:
            found = WARY.request("GET", path)
            self.refused(found, 404, code="RepoNotFound", says="gateway.fetch")
            self.refused(found, 404, code="RepoNotFound", says="modelswarm trust add")
        self.assertEqual(WARY.ask("ls")["repos"], [])
        self.assertEqual(WARY.request("GET", "/api/models").json, [])

    def test_a_stranger_s_repo_is_served_without_what_carries_code_if_anybody_s_may_be_fetched(self) -> None:
        part = LAB.publisher.removeprefix("did:key:")
        until("the config of a stranger", lambda: self.file(CURIOUS, f"{part}/code", "config.json").status == 200)
        self.assertEqual(self.file(CURIOUS, f"{part}/code", "config.json").body, CONFIG)
        for path in ["data.pkl", "weights.bin"]:
            for headers in [[], [("Range", "bytes=0-9")], [("Range", "bytes=-5")]]:
                with self.subTest(path=path, headers=headers):
                    found = self.file(CURIOUS, f"{part}/code", path, *headers)
                    self.refused(found, 403, says=re.escape(path))

    def test_what_carries_code_is_served_from_who_is_trusted(self) -> None:
        for path in ["data.pkl", "weights.bin"]:
            self.assertEqual(self.file(READER, "lab/code", path).body, REPOS["code"][path])

    def test_a_repo_beyond_the_limit_is_not_fetched(self) -> None:
        part = LAB.publisher.removeprefix("did:key:")
        for path in [f"/{part}/big/resolve/main/big.bin", f"/api/models/{part}/big"]:
            found = until("the stranger's index", lambda: CURIOUS.request("GET", path))
            self.assertGreaterEqual(found.status, 400)
            self.refused(found, found.status, says="gateway.repo_max")
        self.assertEqual([repo for repo in CURIOUS.ask("ls")["repos"] if repo["name"] == "big"], [])

    def test_nothing_is_fetched_if_nothing_may_be(self) -> None:
        for path in ["/lab/page/resolve/main/config.json", "/api/models/lab/page"]:
            self.refused(OFF.request("GET", path), 404, code="RepoNotFound")
        self.assertEqual((OFF.ask("ls")["repos"], OFF.request("GET", "/api/models").json), ([], []))


class Unreachable(Case):
    """What nobody has any more, or never had."""

    def test_a_head_is_answered_when_nobody_has_the_file_any_more(self) -> None:
        found = LATER["head"].result()
        other = LOST["other.bin"]
        self.assertEqual((found.status, found.headers["content-length"]), (200, str(len(other))))
        self.assertEqual(found.headers["etag"], f'"{nodes.sha256(other)}"')
        self.assertEqual(LATER["info"].result().json["id"], "gone/cut")

    def test_a_body_whose_only_provider_goes_away_is_cut_off(self) -> None:
        body = LATER["cut"].result()
        self.assertLess(len(body), len(LOST["big.bin"]))
        self.assertTrue(LOST["big.bin"].startswith(body))

    def test_a_body_that_nobody_has_any_more_is_refused_or_cut_off(self) -> None:
        for name, content in [("whole", LOST["big.bin"]), ("other", LOST["other.bin"])]:
            with self.subTest(file=name):
                found = LATER[name].result()
                if found.status == 200:
                    self.assertFalse(found.whole)
                    self.assertTrue(content.startswith(found.body))
                else:
                    self.refused(found, 404, 504)

    def test_a_repo_of_somebody_who_is_not_online_is_said_not_to_be_found(self) -> None:
        for name in ["nobody", "nobody's info", "unknown"]:
            with self.subTest(asked=name):
                found = LATER[name].result()
                self.refused(found, 404, 504, code="RepoNotFound" if found.status == 404 else None)

    def test_lists_are_given_without_those_who_are_not_online(self) -> None:
        listed = {repo["id"] for repo in LATER["list"].result().json}
        self.assertLessEqual({"lab/page", "lab/big"}, listed)


if __name__ == "__main__":
    unittest.main()
