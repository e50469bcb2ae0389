"""What was uploaded through the HTTP endpoint becomes a version: what it is made of, and what is left when that goes wrong.
See `run` beside this file."""

import base64
import json
import os
import random
import unittest
from pathlib import Path

import nodes
from nodes import Node, sha256, until

LAB = Node("lab", "gateway.publish_key=true")
READER = Node("reader")
# Keeps every block in its index: what is published has no record of a file.
KEEPER = Node("keeper", "gateway.publish_key=true", "store.inline_max=2097152")
NODES = (LAB, KEEPER)

LARGE = random.Random(1).randbytes(3_000_005)


def setUpModule() -> None:
    for node in NODES:
        node.ask("init", "--alias", node.folder.name)
        started(node)
    READER.ask("trust", "add", "lab", LAB.publisher)
    READER.start("--bootstrap", LAB.address)


def tearDownModule() -> None:
    for node in (READER, *NODES):
        node.stop()


def started(node: Node) -> None:
    node.start()
    node.proof = ("Authorization", f"Bearer {node.token}")


def commit(node: Node, repo: str, files: dict[str, bytes]) -> str:
    """The id of the state with these files added."""
    changes = [
        {"key": "file", "value": {"path": path, "content": base64.b64encode(content).decode(), "encoding": "base64"}}
        for path, content in files.items()
    ]
    lines = [json.dumps(line) for line in [{"key": "header", "value": {"summary": "a change"}}, *changes]]
    body = "\n".join(lines).encode()
    made = node.request("POST", f"/api/models/{node.folder.name}/{repo}/commit/main", [node.proof], body)
    assert made.status == 200, made
    return made.json["commitOid"]


def versions(node: Node, repo: str) -> list[str]:
    return sorted(each["version"] for each in node.ask("ls")["repos"] if each["name"] == repo and "version" in each)


def content(node: Node, repo: str, path: str, revision: str = "main") -> bytes:
    found = node.request("GET", f"/{repo}/resolve/{revision}/{path}", [node.proof] if hasattr(node, "proof") else [])
    assert found.status == 200, found
    return found.body


def below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class Publishing(unittest.TestCase):
    def test_a_version_holds_by_itself_what_it_has_in_common_with_one_that_is_removed(self) -> None:
        # In no other repo.
        large = random.Random(2).randbytes(3_000_005)
        commit(LAB, "held", {"large.bin": large, "config.json": b"{}"})
        LAB.ask("publish", "lab/held")
        commit(LAB, "held", {"config.json": b'{"two": 2}'})
        LAB.ask("publish", "lab/held")
        self.assertEqual(versions(LAB, "held"), ["1", "2"])
        LAB.ask("rm", "lab/held@1")
        LAB.ask("gc")
        self.assertEqual(content(LAB, "lab/held", "large.bin"), large)
        nodes.published(LAB, READER, {"held"})
        self.assertEqual(content(READER, "lab/held", "large.bin"), large)

    def test_the_same_bytes_at_several_paths_lie_once_on_the_disk(self) -> None:
        commit(LAB, "twice", {"a.bin": LARGE, "sub/b.bin": LARGE, "sub/c.bin": LARGE})
        LAB.ask("publish", "lab/twice")
        [place] = (LAB.home / "library" / "models" / "lab").glob("twice@*")
        self.assertEqual(below(place), ["a.bin", "sub/b.bin", "sub/c.bin"])
        self.assertEqual(len({(place / path).stat().st_ino for path in below(place)}), 1)
        self.assertEqual((place / "a.bin").stat().st_nlink, 3, "no name of the upload is left")
        for path in below(place):
            self.assertEqual(content(LAB, "lab/twice", path), LARGE)
        self.assertTrue(LAB.ask("verify", "lab/twice")["ok"])

    def test_a_state_that_was_a_version_before_is_one_again(self) -> None:
        first = commit(LAB, "again", {"a.bin": LARGE})
        LAB.ask("publish", "lab/again")
        commit(LAB, "again", {"a.bin": LARGE[1:]})
        LAB.ask("publish", "lab/again")
        self.assertEqual(commit(LAB, "again", {"a.bin": LARGE}), first)
        LAB.ask("publish", "lab/again")
        self.assertEqual(versions(LAB, "again"), ["1", "2", "3"])
        self.assertEqual(content(LAB, "lab/again", "a.bin"), LARGE)
        self.assertTrue(LAB.ask("verify", "lab/again")["ok"])

    def test_versions_whose_bytes_lie_in_the_index(self) -> None:
        commit(KEEPER, "inside", {"a.bin": LARGE, "README.md": b"---\nlicense: mit\n---\n# Kept"})
        KEEPER.ask("publish", "keeper/inside")
        commit(KEEPER, "inside", {"b.bin": LARGE[::-1]})
        KEEPER.ask("publish", "keeper/inside")
        self.assertEqual(versions(KEEPER, "inside"), ["1", "2"])
        self.assertEqual(content(KEEPER, "keeper/inside", "a.bin"), LARGE)
        self.assertEqual(content(KEEPER, "keeper/inside", "b.bin"), LARGE[::-1])
        self.assertEqual(KEEPER.ask("show", "keeper/inside")["predicate"]["license"], "mit")

    def test_an_upload_that_was_changed_on_the_disk_is_refused_and_may_be_sent_again(self) -> None:
        commit(LAB, "changed", {"a.bin": LARGE})
        upload = LAB.home / "library" / "drafts" / "models" / "changed" / "files" / sha256(LARGE)
        upload.write_bytes(LARGE[::-1])
        refused = LAB.run("publish", "lab/changed")
        self.assertEqual(refused.returncode, 1, refused)
        self.assertIn("changed on the disk", refused.stderr)
        self.assertEqual(list((LAB.home / "library" / "models" / "lab").glob("changed@*")), [])
        commit(LAB, "changed", {"a.bin": LARGE})
        LAB.ask("publish", "lab/changed")
        self.assertEqual(content(LAB, "lab/changed", "a.bin"), LARGE)

    def test_what_cannot_be_signed_by_itself_is_said_and_signed_after_the_next_write(self) -> None:
        before = LAB.ask("status")
        self.assertNotIn("unpublished", before)
        commit(LAB, "stuck", {"a.bin": LARGE[1:]})
        upload = LAB.home / "library" / "drafts" / "models" / "stuck" / "files" / sha256(LARGE[1:])
        upload.write_bytes(LARGE[:-1])
        said = until("the failure to be said", lambda: LAB.ask("status").get("unpublished"))
        self.assertEqual([line["name"] for line in said], ["stuck"])
        self.assertIn("changed on the disk", said[0]["why"])
        commit(LAB, "stuck", {"a.bin": LARGE[2:]})
        until("it to be signed", lambda: versions(LAB, "stuck") == ["1"])
        self.assertNotIn("unpublished", LAB.ask("status"))

    def test_what_a_killed_daemon_left_of_a_version_goes_and_the_draft_is_signed(self) -> None:
        node = Node("killed", "gateway.publish_key=true")
        node.ask("init", "--alias", "killed")
        started(node)
        state = commit(node, "left", {"a.bin": LARGE})
        node.kill()
        node.daemon.stdout.close()
        # As it lies on the disk in the middle of publishing a state that was not the last one after all.
        drafts = node.home / "library" / "drafts" / "models" / "left"
        place = node.home / "library" / "models" / "killed" / "left@0123456789ab"
        place.mkdir(parents=True)
        os.link(drafts / "files" / sha256(LARGE), place / "a.bin")
        (drafts / "publishing.json").write_text(json.dumps(str(place)))
        started(node)
        self.assertEqual(content(node, "killed/left", "a.bin", state), LARGE)
        until("the draft to be signed", lambda: versions(node, "left") == ["1"])
        self.assertFalse(place.exists())
        self.assertEqual(below(drafts), [])
        self.assertEqual(content(node, "killed/left", "a.bin"), LARGE)
        node.stop()
