"""What is uploaded through the HTTP endpoint and not signed yet: who sees it, when it is signed, and what is left of it on
the disk. Asked as no well-meaning client would. See `run` beside this file."""

import base64
import hashlib
import json
import os
import random
import socket
import time
import unittest
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import nodes
from nodes import Answer, Node, answer, commit_id, sha256, until

AUTHOR, FOLLOWER, CRASHER = Node("author", "gateway.publish_key=true"), Node("follower"), Node("crasher", "gateway.publish_key=true")

MIB = 1 << 20
LARGE = random.Random(1).randbytes(12 * MIB + 5)
NO_OID = "0" * 64
# Letters and digits of which no address of ours is made.
FORGED = "f" * 64

POOL = ThreadPoolExecutor(32)
# What takes long begins at once, and its test waits for it.
LATER: dict[str, Future] = {}


def setUpModule() -> None:
    for node in (AUTHOR, CRASHER):
        node.ask("init", "--alias", node.folder.name)
        node.start()
        node.proof = ("Authorization", f"Bearer {node.token}")
    FOLLOWER.ask("trust", "add", "author", AUTHOR.publisher)
    FOLLOWER.start("--bootstrap", AUTHOR.address)
    for kind, write in WRITES.items():
        LATER[kind] = POOL.submit(written_again_and_again, f"author/put-off-by-{kind}", write)
    LATER["kill"] = POOL.submit(killed)
    LATER["refused"] = POOL.submit(refused_at_first, "author/refused-at-first")
    LATER["refused, later"] = POOL.submit(then_gone, LATER["refused"], AUTHOR, "author/refused-at-first", "files")
    LATER["kill, later"] = POOL.submit(then_gone, LATER["kill"], CRASHER, "crasher/uncommitted", "incoming")


def tearDownModule() -> None:
    for node in (FOLLOWER, CRASHER, AUTHOR):
        node.stop()


def put(path: str, content: bytes) -> dict:
    return {"key": "file", "value": {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}}


def link(path: str, oid: str) -> dict:
    return {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": oid}}


def delete(path: str) -> dict:
    return {"key": "deletedFile", "value": {"path": path}}


def write(node: Node, path: str, value: dict) -> Answer:
    return node.request("POST", path, [node.proof], json.dumps(value).encode())


def commit(repo: str, *changes: dict, parent: str | None = None, query: str = "", revision: str = "main") -> Answer:
    node = CRASHER if repo.startswith("crasher/") else AUTHOR
    header = {"summary": "a change"} | ({"parentCommit": parent} if parent else {})
    lines = [json.dumps(line) for line in [{"key": "header", "value": header}, *changes]]
    return node.request("POST", f"/api/models/{repo}/commit/{revision}{query}", [node.proof], "\n".join(lines).encode())


def committed(repo: str, *changes: dict, **given) -> str:
    """The id of a commit that must succeed."""
    made = commit(repo, *changes, **given)
    assert made.status == 200, made
    return made.json["commitOid"]


def address(repo: str, oid: str, size: int) -> str | None:
    """Where LFS says that this file is to be sent; none if it is here."""
    node = CRASHER if repo.startswith("crasher/") else AUTHOR
    objects = [{"oid": oid, "size": size}]
    batch = write(node, f"/{repo}.git/info/lfs/objects/batch", {"operation": "upload", "transfers": ["basic"], "objects": objects})
    assert batch.status == 200, batch
    actions = batch.json["objects"][0].get("actions")
    return actions and actions["upload"]["href"].removeprefix(node.http)


def lfs(repo: str, content: bytes) -> str:
    """Sends a file by LFS; its oid."""
    oid = sha256(content)
    if place := address(repo, oid, len(content)):
        node = CRASHER if repo.startswith("crasher/") else AUTHOR
        sent = node.request("PUT", place, body=content)
        assert sent.status == 200, sent
    return oid


@contextmanager
def half_sent(repo: str, content: bytes) -> Iterator[socket.socket]:
    """An LFS upload that stops in its middle: as long as it lasts the repo is being written to."""
    node = CRASHER if repo.startswith("crasher/") else AUTHOR
    place = address(repo, sha256(content), len(content))
    before = set(incoming(node, repo))
    with node.connect() as connection:
        head = f"PUT {place} HTTP/1.1\r\nHost: 127.0.0.1:{node.port}\r\nContent-Length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content[: len(content) // 2])
        until("the upload to begin", lambda: set(incoming(node, repo)) - before)
        yield connection


def uploads(node: Node, repo: str) -> Path:
    return node.home / "library" / "drafts" / "models" / repo.split("/")[1]


def found(folder: Path) -> list[Path]:
    """The files below a folder, some of which may go meanwhile."""
    return [Path(top) / name for top, _, names in os.walk(folder) for name in names]


def incoming(node: Node, repo: str) -> list[Path]:
    return found(uploads(node, repo) / "incoming")


def xet(repo: str) -> tuple[str, tuple[str, str]]:
    """Where Xet is told to send its pieces, and the header that proves that it may."""
    told = AUTHOR.request("GET", f"/api/models/{repo}/xet-write-token/main", [AUTHOR.proof])
    assert told.status == 200, told
    return told.json["casUrl"].removeprefix(AUTHOR.http), ("Authorization", f"Bearer {told.json['accessToken']}")


def send(repo: str, path: str, content: bytes) -> Answer:
    place, proof = xet(repo)
    return AUTHOR.request("POST", place + path, [proof], content)


def versions(node: Node, repo: str) -> list[dict]:
    """The signed versions of a repo."""
    return [each for each in node.ask("ls")["repos"] if each["name"] == repo.split("/")[1] and "version" in each]


def signed(repo: str) -> list[dict]:
    """The same, when there are any."""
    node = CRASHER if repo.startswith("crasher/") else AUTHOR
    return until(f"{repo} to be signed", lambda: versions(node, repo))


def head(repo: str, node: Node = AUTHOR) -> str | None:
    return node.request("GET", f"/api/models/{repo}", [node.proof]).json.get("sha")


# Everything that a client does before it commits: while it goes on, nothing is signed.
WRITES: dict[str, Callable] = {
    "preupload": lambda repo, n: write(AUTHOR, f"/api/models/{repo}/preupload/main", {"files": [{"path": "b", "size": 1, "sample": ""}]}),
    "xet-token": lambda repo, n: xet(repo),
    "xorb": lambda repo, n: send(repo, "/v1/xorbs/default/" + NO_OID, b"a piece"),
    "shard": lambda repo, n: send(repo, "/v1/shards", b"no shard"),
    "lfs-batch": lambda repo, n: address(repo, NO_OID, 1),
    "lfs-file": lambda repo, n: lfs(repo, b"%d" % n),
    "commit": lambda repo, n: committed(repo, put("b.txt", b"%d" % n)),
    "one-long-body": None,
}


def written_again_and_again(repo: str, write_once: Callable | None) -> str:
    """Commits, then writes every 3 s for longer than a repo rests until it is signed, and commits again: the last commit."""
    committed(repo, put("a.txt", b"first"))
    end = time.monotonic() + 14
    if write_once is None:
        with half_sent(repo, LARGE):
            time.sleep(14)
    number = 0
    while time.monotonic() < end:
        time.sleep(3)
        number += 1
        write_once(repo, number)
    return committed(repo, put("a.txt", b"last"), put("again/a.txt", b"last"))


def killed() -> dict:
    """A daemon is killed while one repo has a commit and an upload under way, and another an upload alone."""
    last = committed("crasher/unsigned", put("a.txt", b"one"), link("large.bin", lfs("crasher/unsigned", LARGE)))
    with half_sent("crasher/unsigned", LARGE[::-1]), half_sent("crasher/uncommitted", LARGE[::-1]):
        lfs("crasher/uncommitted", b"never committed")
        CRASHER.kill()
    CRASHER.daemon.stdout.close()
    CRASHER.start()
    return {"last": last, "main": head("crasher/unsigned", CRASHER), "file": CRASHER.request("GET", "/crasher/unsigned/resolve/main/large.bin")}


def refused_at_first(repo: str) -> Answer:
    """The answer to the first commit of a repo, which names a file that was not uploaded."""
    return commit(repo, put("a.txt", bytes(3 * MIB)), link("c.bin", NO_OID))


def then_gone(before: Future, node: Node, repo: str, part: str) -> Answer:
    """Waits until no upload is left in this part of what belongs to a repo; then what is told of it."""
    before.result()
    until(f"what was uploaded for {repo} to go", lambda: not found(uploads(node, repo) / part))
    return node.request("GET", f"/api/models/{repo}", [node.proof])


class Case(unittest.TestCase):
    def refused(self, found: Answer, *statuses: int, says: str = ".") -> None:
        """It was refused with one of these, in the form that clients read."""
        self.assertIn(found.status, statuses, found.body[:1000])
        self.assertRegex(found.headers["x-error-message"], says)
        self.assertIsInstance(found.json["error"], str)

    @property
    def repo(self) -> str:
        """One for this test alone."""
        return "author/" + self._testMethodName.removeprefix("test_")[:60].replace("_", "-").strip("-")

    def get(self, path: str, *headers: tuple[str, str]) -> Answer:
        return AUTHOR.request("GET", path, headers)


class Unsigned(Case):
    def test_a_commit_is_read_here_as_main_and_by_its_id_and_nowhere_else(self) -> None:
        repo = self.repo
        first = committed(repo, put("a.txt", b"one"))
        with half_sent(repo, LARGE):
            second = committed(repo, put("a.txt", b"two"), put("sub/b.txt", b"three"), parent=first)
            for revision in ("main", "HEAD", second, second[:7]):
                self.assertEqual(self.get(f"/{repo}/resolve/{revision}/a.txt").body, b"two")
                self.assertEqual(self.get(f"/api/models/{repo}/revision/{revision}").json["sha"], second)
            self.assertEqual(self.get(f"/{repo}/resolve/{first}/a.txt").body, b"one")
            self.assertEqual(self.get(f"/{repo}/resolve/{first}/sub/b.txt").headers["x-error-code"], "EntryNotFound")
            for path in [f"/{repo}/resolve/main/a.txt", f"/{repo}/resolve/{second}/a.txt", f"/api/models/{repo}"]:
                self.assertIn(FOLLOWER.request("GET", path).status, (404, 504))
            self.assertNotIn(repo, [each["id"] for each in FOLLOWER.request("GET", "/api/models").json])
            self.assertEqual(versions(AUTHOR, repo), [])

    def test_a_repo_that_was_made_is_empty_until_something_is_committed(self) -> None:
        repo = self.repo
        self.assertEqual(write(AUTHOR, "/api/repos/create", {"name": repo.split("/")[1]}).status, 200)
        self.assertEqual(self.get(f"/api/models/{repo}").json["siblings"], [])
        self.assertEqual(write(AUTHOR, "/api/repos/create", {"name": repo}).status, 409)
        committed(repo, put("a.txt", b"one"), parent=head(repo))
        self.assertEqual(self.get(f"/{repo}/resolve/main/a.txt").body, b"one")

    def test_one_that_is_deleted_leaves_nothing_and_is_never_signed(self) -> None:
        repo = self.repo
        first = committed(repo, put("a.txt", b"one"), link("large.bin", lfs(repo, LARGE)))
        lfs(repo, b"not committed")
        name = repo.split("/")[1]
        self.assertEqual(AUTHOR.request("DELETE", "/api/repos/delete", [AUTHOR.proof], json.dumps({"name": name}).encode()).status, 200)
        for path in [f"/api/models/{repo}", f"/{repo}/resolve/main/a.txt", f"/{repo}/resolve/{first}/large.bin"]:
            self.refused(self.get(path), 404)
        self.assertFalse(uploads(AUTHOR, repo).exists())
        # Another of the same name begins anew.
        committed(repo, put("b.txt", b"two"))
        self.assertEqual([file["rfilename"] for file in self.get(f"/api/models/{repo}").json["siblings"]], ["b.txt"])

    def delete(self, repo: str) -> Answer:
        return AUTHOR.request("DELETE", "/api/repos/delete", [AUTHOR.proof], json.dumps({"name": repo.split("/")[1]}).encode())

    def test_one_that_has_signed_versions_is_not_deleted_and_it_is_said_what_does_that(self) -> None:
        repo = self.repo
        signed = committed(repo, put("a.txt", b"one"))
        AUTHOR.ask("publish", repo)
        self.refused(self.delete(repo), 409, says="^.* has signed versions, .*modelswarm rm .*modelswarm card withdraw")
        committed(repo, put("a.txt", b"two"))
        self.refused(self.delete(repo), 409, says="not signed yet is gone.*modelswarm rm")
        self.assertEqual(head(repo), signed)
        self.assertEqual(self.get(f"/{repo}/resolve/main/a.txt").body, b"one")

    def test_one_that_is_not_there_is_not_deleted(self) -> None:
        found = self.delete(self.repo)
        self.refused(found, 404)
        self.assertEqual(found.headers["x-error-code"], "RepoNotFound")

    def test_what_a_version_is_called_goes_before_the_start_of_a_commit_s_id(self) -> None:
        repo, folder = self.repo, AUTHOR.folder / "called-like-a-commit"
        folder.mkdir()
        (folder / "a.txt").write_bytes(b"signed")
        with half_sent(repo, LARGE):
            last = committed(repo, put("a.txt", b"committed"))
            AUTHOR.ask("seed", folder, "--name", repo.split("/")[1], "--version", last[:7])
            self.assertEqual(self.get(f"/{repo}/resolve/{last[:8]}/a.txt").body, b"committed")
            self.assertEqual(self.get(f"/{repo}/resolve/{last[:7]}/a.txt").body, b"signed")

    def test_another_repo_s_deletion_takes_nothing_from_it(self) -> None:
        kept, gone = "author/kept-beside", "author/gone-beside"
        for repo in (kept, gone):
            committed(repo, link("large.bin", lfs(repo, LARGE)))
        with half_sent(kept, LARGE[::-1]):
            AUTHOR.request("DELETE", "/api/repos/delete", [AUTHOR.proof], b'{"name": "gone-beside"}')
            self.assertTrue(self.get(f"/{kept}/resolve/main/large.bin").body == LARGE)


class Refused(Case):
    """Each of these commits is refused, and the repo stays as it was."""

    def nothing_changes(self, status: int, *changes: dict, says: str = ".", **given) -> None:
        repo = self.repo
        before = head(repo) or committed(repo, put("a.txt", b"one"), put("b.txt", b"two"))
        with half_sent(repo, LARGE):
            self.refused(commit(repo, *changes, **given), status, says=says)
            self.assertEqual(head(repo), before)
            self.assertEqual(self.get(f"/{repo}/resolve/main/a.txt").body, b"one")

    def test_after_a_state_that_is_no_longer_the_newest(self) -> None:
        first = committed(self.repo, put("a.txt", b"zero"))
        committed(self.repo, put("a.txt", b"one"))
        self.nothing_changes(412, put("a.txt", b"three"), parent=first)
        self.nothing_changes(412, put("a.txt", b"three"), parent="0" * 40)
        self.nothing_changes(400, put("a.txt", b"three"), parent="main")

    def test_of_two_at_a_time_after_the_same_state_one_is(self) -> None:
        parent = committed(self.repo, put("a.txt", b"one"))
        with ThreadPoolExecutor(8) as clients:
            made = list(clients.map(lambda n: commit(self.repo, put("a.txt", b"%d" % n), parent=parent), range(8)))
        self.assertEqual(sorted(each.status for each in made), [200] + [412] * 7)

    def test_with_a_file_that_was_not_uploaded(self) -> None:
        self.nothing_changes(400, link("c.bin", NO_OID), says="c.bin was not uploaded")
        self.nothing_changes(400, put("c.txt", b"three"), link("c.bin", NO_OID))
        for oid in ["", "x" * 64, "0" * 63, "../" * 20 + "0000", sha256(b"one").upper()]:
            self.nothing_changes(400, link("c.bin", oid))

    def test_with_another_repo_s_upload(self) -> None:
        oid = lfs("author/another", b"another repo's")
        self.nothing_changes(400, link("c.bin", oid))

    def test_with_a_path_that_leads_out_or_is_none(self) -> None:
        for path in ["../x", "/abs", "a//b", "", ".", "..", "a/../b", "a/./b", "a/", "a\\b", "a\0b", "a\nb", "x" * 5000, "a.txt/b"]:
            with self.subTest(path=path[:50]):
                self.nothing_changes(400, put(path, b"three"))
                self.nothing_changes(400, link(path, sha256(b"one")))

    def test_that_leaves_no_file(self) -> None:
        self.nothing_changes(400, delete("a.txt"), delete("b.txt"))

    def test_to_a_branch_or_as_a_pull_request(self) -> None:
        self.nothing_changes(403, put("a.txt", b"three"), query="?create_pr=1")
        for revision in ("dev", "refs%2Fpr%2F1", "refs%2Fheads%2Fdev", "0" * 40):
            self.nothing_changes(400, put("a.txt", b"three"), revision=revision)
            for path in (f"preupload/{revision}", f"branch/{revision}"):
                self.refused(write(AUTHOR, f"/api/models/{self.repo}/{path}", {"files": []}), 400)

    def test_that_is_no_list_of_changes(self) -> None:
        for line in ["nonsense", "[]", "{}", {"key": "other", "value": {}}, {"key": "file", "value": {"path": "c.txt"}},
                     {"key": "file", "value": {"path": "c.txt", "content": "?", "encoding": "base64"}},
                     {"key": "file", "value": {"path": "c.txt", "content": "", "encoding": "utf-16"}}]:
            with self.subTest(line=line):
                self.nothing_changes(400, put("c.txt", b"three"), line)

    def test_of_too_many_changes(self) -> None:
        self.nothing_changes(400, *[delete("c")] * 100_001, says="at most")

    def test_with_a_file_beyond_what_a_commit_may_hold(self) -> None:
        self.nothing_changes(413, put("c.bin", bytes(49 * MIB)), says="LFS")

    def test_in_a_name_of_somebody_else_s_or_none_that_a_repo_has(self) -> None:
        self.refused(commit("follower/model", put("a.txt", b"one")), 403, says="not yours")
        for name in ["author/..", "author/a--b", "author/.git", "author/%2e%2e", "author/a%2fb", "author/" + "a" * 97]:
            with self.subTest(name=name):
                self.refused(commit(name, put("a.txt", b"one")), 400, 404)

    def test_the_first_of_a_repo_leaves_no_repo_and_no_file(self) -> None:
        found = LATER["refused"].result()
        self.refused(found, 400)
        self.refused(LATER["refused, later"].result(), 404)


class Uploads(Case):
    """Files that are sent by LFS or Xet."""

    def test_other_bytes_than_were_announced_are_refused_and_not_kept(self) -> None:
        content = random.Random(2).randbytes(3 * MIB)
        place = address(self.repo, sha256(content), len(content))
        for sent in [content[:-1] + bytes([content[-1] ^ 1]), content[:-1], content + b"x", b"", content * 4]:
            with self.subTest(length=len(sent)):
                self.refused(AUTHOR.request("PUT", place, body=sent), 400, 413)
                self.assertEqual(found(uploads(AUTHOR, self.repo)), [])
        self.refused(commit(self.repo, link("c.bin", sha256(content))), 400)
        # The address is good as long as it was not used well.
        self.assertEqual(AUTHOR.request("PUT", place, body=content).status, 200)
        committed(self.repo, link("c.bin", sha256(content)))

    def test_an_address_that_was_not_made_here_is_refused(self) -> None:
        content, other = b"one", b"two"
        place = address(self.repo, sha256(content), 3)
        _, _, _, name, batch, _, oid, size, proof = place.split("/")
        for forged in [
            place[:-1] + ("0" if place[-1] != "0" else "1"), place.replace(proof, FORGED), place.replace(proof, proof.upper() + "0"),
            place.replace(f"/{size}/", "/4/"), place.replace(oid, sha256(other)), place.replace(batch, "a" * len(batch)),
            place.replace(name, "another"), place.replace("/models/", "/datasets/"),
        ]:
            with self.subTest(forged=forged):
                self.refused(AUTHOR.request("PUT", forged, body=content), 403)
                self.refused(AUTHOR.request("PUT", forged, [AUTHOR.proof], other), 403)
        self.assertEqual(found(uploads(AUTHOR, self.repo)), [])
        self.assertFalse((AUTHOR.home / "library" / "drafts" / "datasets").exists())

    def test_one_that_breaks_off_leaves_nothing(self) -> None:
        for number in range(5):
            with half_sent(self.repo, LARGE) as connection:
                if number % 2:
                    connection.shutdown(socket.SHUT_WR)
        until("what came of it to go", lambda: not found(uploads(AUTHOR, self.repo)))

    def test_pieces_for_xet_need_the_token_of_their_address(self) -> None:
        place, proof = xet(self.repo)
        other, _ = xet(self.repo)
        for path in ["/v1/xorbs/default/" + NO_OID, "/v1/shards"]:
            for where, headers in [(place, []), (place, [AUTHOR.proof]), (place, [("Authorization", "Bearer " + FORGED)]), (other, [proof])]:
                with self.subTest(path=path, headers=headers):
                    self.refused(AUTHOR.request("POST", where + path, headers, b"a piece"), 401)
        for name in ["0", "..%2f" * 20 + "x", "g" * 64, "..", NO_OID + "0", NO_OID[:-1] + "%00"]:
            with self.subTest(name=name):
                self.refused(AUTHOR.request("POST", f"{place}/v1/xorbs/default/{name}", [proof], b"a piece"), 400, 404)
        self.refused(AUTHOR.request("POST", f"{place}/v1/shards", [proof], random.Random(3).randbytes(100_000)), 400)
        self.assertEqual(found(uploads(AUTHOR, self.repo)), [])

    def test_of_a_file_whose_bytes_are_lost_no_id_is_told_so_that_it_is_sent_again(self) -> None:
        repo, content = self.repo, random.Random(9).randbytes(200_000)
        committed(repo, put("lost.bin", content))
        AUTHOR.ask("publish", repo)

        def told() -> dict:
            answer = write(AUTHOR, f"/api/models/{repo}/preupload/main", {"files": [{"path": "lost.bin", "size": 200_000, "sample": ""}]})
            self.assertEqual(answer.status, 200, answer.body)
            return answer.json["files"][0]

        self.assertEqual(told()["oid"], hashlib.sha1(b"blob 200000\0" + content).hexdigest())
        [path] = (AUTHOR.home / "library" / "models").rglob("lost.bin")
        path.unlink()
        self.assertEqual(told(), {"path": "lost.bin", "uploadMode": "regular", "shouldIgnore": False})

    def test_what_xet_asks_for_besides_is_not_there_and_no_warning(self) -> None:
        place, proof = xet(self.repo)
        for method, path in [("GET", "/v1/chunks/default/" + NO_OID), ("POST", "/v1/xorb-grants/default/" + NO_OID), ("POST", "/v2/shards")]:
            self.refused(AUTHOR.request(method, place + path, [proof], None if method == "GET" else b""), 404)
        self.assertNotIn("not needed here", (AUTHOR.folder / "log").read_text(errors="replace"))

    def test_publishing_at_once_leaves_alone_what_is_still_being_uploaded(self) -> None:
        repo, sent = self.repo, b"sent and not committed yet"
        committed(repo, put("a.txt", b"one"))
        oid = lfs(repo, sent)
        with half_sent(repo, LARGE) as connection:
            AUTHOR.ask("publish", repo)
            connection.sendall(LARGE[len(LARGE) // 2 :])
            self.assertEqual(answer(connection, "PUT").status, 200)
        made = commit(repo, link("sent.txt", oid), link("large.bin", sha256(LARGE)))
        self.assertEqual(made.status, 200, made.body)
        self.assertTrue(self.get(f"/{repo}/resolve/main/large.bin").body == LARGE)
        self.assertEqual(self.get(f"/{repo}/resolve/main/sent.txt").body, sent)


class Signed(Case):
    """What has rested is signed by itself."""

    def one_version(self, repo: str, last: str) -> None:
        """One, of the last commit."""
        self.assertEqual([(each["version"], commit_id(each["root"])) for each in signed(repo)], [("1", last)])

    def test_what_rests_is_one_version_of_the_last_state_whoever_reads_meanwhile(self) -> None:
        repo = self.repo
        committed(repo, put("a.txt", b"one"))
        last = committed(repo, put("a.txt", b"two"), put("same.txt", b"two"), put("sub/b.txt", b"three"))

        def read() -> bool:
            self.assertEqual(self.get(f"/{repo}/resolve/main/a.txt").body, b"two")
            self.assertEqual(self.get(f"/{repo}/resolve/{last}/sub/b.txt").body, b"three")
            return bool(versions(AUTHOR, repo))

        until("it to be signed while it is read", read)
        self.one_version(repo, last)
        self.assertEqual(head(repo), last)
        nodes.published(AUTHOR, FOLLOWER, {repo.split("/")[1]})
        until("the follower to have it", lambda: FOLLOWER.request("GET", f"/{repo}/resolve/{last}/sub/b.txt").body == b"three")

    def test_any_write_postpones(self) -> None:
        for kind in WRITES:
            with self.subTest(kind=kind):
                last = LATER[kind].result()
                self.one_version(f"author/put-off-by-{kind}", last)

    def test_nothing_of_it_is_left_but_one_copy(self) -> None:
        repo = "crasher/copied"
        LATER["kill"].result()
        signed("crasher/unsigned")
        before = disk(CRASHER)
        first = committed(repo, put("a.txt", b"one"), link("large.bin", lfs(repo, LARGE)), link("more.bin", lfs(repo, LARGE[::-1])))
        self.assertEqual(commit_id(signed(repo)[0]["root"]), first)
        until("the upload's files to go", lambda: not found(uploads(CRASHER, repo)))
        grown = disk(CRASHER) - before
        self.assertGreaterEqual(grown, 2 * len(LARGE))
        self.assertLess(grown, 2 * len(LARGE) * 1.1)
        # What does not change takes no room again.
        committed(repo, put("a.txt", b"two"))
        CRASHER.ask("publish", repo)
        self.assertEqual(len(versions(CRASHER, repo)), 2)
        self.assertLess(disk(CRASHER) - before, 2 * len(LARGE) * 1.1)
        self.assertTrue(CRASHER.request("GET", f"/{repo}/resolve/main/large.bin").body == LARGE)

    def test_a_killed_daemon_s_commit_is_read_at_once_and_signed_when_it_is_back(self) -> None:
        seen = LATER["kill"].result()
        self.assertEqual(seen["main"], seen["last"])
        self.assertEqual((seen["file"].status, seen["file"].body == LARGE), (200, True))
        self.one_version("crasher/unsigned", seen["last"])
        until("the upload's files to go", lambda: not found(uploads(CRASHER, "crasher/unsigned")))
        self.assertTrue(CRASHER.request("GET", "/crasher/unsigned/resolve/main/large.bin").body == LARGE)

    def test_a_killed_daemon_s_unfinished_upload_goes_when_it_is_back(self) -> None:
        LATER["kill, later"].result()

    def test_a_readme_with_broken_front_matter_keeps_nothing_from_being_signed(self) -> None:
        for name, readme in [("broken-yaml", b"---\nlicense: [mit\n\ttags: }\n---\n# Broken"), ("broken-text", b"---\n\xff\xfe\n---\n"),
                             ("broken-end", b"---\nlicense: mit\n"), ("broken-bomb", b"---\n" + yaml_bomb() + b"---\n")]:
            with self.subTest(name=name):
                last = committed(f"author/{name}", put("README.md", readme), put("config.json", b"{}"))
                AUTHOR.ask("publish", f"author/{name}")
                self.one_version(f"author/{name}", last)
                self.assertEqual(self.get(f"/author/{name}/resolve/main/README.md").body, readme)

    def test_one_made_private_is_shown_to_the_owner_alone_before_and_after(self) -> None:
        for name, given in [("secret-by-visibility", {"visibility": "private"}), ("secret-by-flag", {"private": True})]:
            repo = f"author/{name}"
            self.assertEqual(write(AUTHOR, "/api/repos/create", {"name": name, **given}).status, 200)
            first = committed(repo, put("a.txt", b"secret"))
            for when in ("draft", "signed"):
                with self.subTest(repo=repo, when=when):
                    for path in [f"/api/models/{repo}", f"/{repo}/resolve/main/a.txt", f"/{repo}/resolve/{first}/a.txt",
                                 f"/api/models/{repo}/tree/main", f"/api/models/{repo}/refs", f"/api/models/{repo}/commits/main"]:
                        self.refused(self.get(path), 404, says=f"there is no {repo}")
                        self.assertEqual(self.get(path, AUTHOR.proof).status, 200)
                    self.assertTrue(self.get(f"/api/models/{repo}", AUTHOR.proof).json["private"])
                    self.assertNotIn(name.encode(), self.get("/api/models").body)
                    if when == "draft":
                        AUTHOR.ask("publish", repo)
                        self.one_version(repo, first)
        # When the follower has one that was signed after them, it was told of all that it ever will be.
        last = committed("author/after-the-secrets", put("a.txt", b"one"))
        AUTHOR.ask("publish", "author/after-the-secrets")
        nodes.published(AUTHOR, FOLLOWER, {"after-the-secrets"})
        for name in ("secret-by-visibility", "secret-by-flag"):
            self.refused(FOLLOWER.request("GET", f"/author/{name}/resolve/main/a.txt"), 404, 504)
            self.assertNotIn(name.encode(), FOLLOWER.request("GET", "/api/models").body)
            self.assertNotIn(name, {repo["name"] for repo in FOLLOWER.ask("name", "resolve", AUTHOR.publisher)["repos"]})


def yaml_bomb() -> bytes:
    """A few lines that name one another: in full they would be billions."""
    lines = [b"a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [b"a%d: &a%d [%s]" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 10)]
    return b"\n".join(lines) + b"\n"


def disk(node: Node) -> int:
    """Bytes that the home takes on the disk, what lies there twice under one name for the file system counted once."""
    stats = {}
    for path in found(node.home):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        stats[stat.st_dev, stat.st_ino] = stat.st_blocks * 512
    return sum(stats.values())


if __name__ == "__main__":
    unittest.main()
