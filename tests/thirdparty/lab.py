"""A lab's roots, as modelswarm drafts, signs and rotates them, before python-tuf. See `run` beside this file."""

import json
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

import tools
from thirdparty import Case, change_file, flip, make, swarm

VERIFIER = Path(__file__).with_name("tuf.py")


def tuf(document: Path, publisher: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-B", VERIFIER, document, publisher]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


class Lab(Case):
    """Two of three people sign roots; a machine signs cards, and another one takes its place."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.document = cls.scratch / "lab.json"
        people = [option for name in ("alice", "bob", "carol") for option in ("--root-key", cls.key(name))]
        cls.machine = cls.key("machine")
        cls.publisher_command("init", cls.document, "--name", "Acmé Labs", *people, "--threshold", "2",
                              "--card-key", cls.machine)
        cls.sign("alice")
        cls.publisher = cls.sign("bob")["publisher"]

    @classmethod
    def key(cls, name: str) -> str:
        return swarm(cls.home, "key", "new", cls.scratch / f"{name}.key")["key"]

    @classmethod
    def publisher_command(cls, *arguments: str | Path) -> dict:
        return swarm(cls.home, "publisher", *arguments)

    @classmethod
    def sign(cls, name: str) -> dict:
        return cls.publisher_command("sign", cls.document, "--key", cls.scratch / f"{name}.key")

    def test_python_tuf_follows_every_rotation_and_refuses_a_changed_byte(self) -> None:
        for version, (old, new, signers) in enumerate(
            [("machine", "second-machine", "ab"), ("carol", "dave", "ab"), ("alice", "erin", "bd")], start=2
        ):
            names = {"a": "alice", "b": "bob", "c": "carol", "d": "dave"}
            old_key = swarm(self.scratch / f"h-{old}", "key", "use", self.scratch / f"{old}.key")["key"]
            self.publisher_command("rotate", self.document, old_key, self.key(new))
            shown = [self.sign(names[letter]) for letter in signers][-1]
            self.assertEqual((shown["complete"], shown["version"]), (True, version), shown)
            verified = tuf(self.document, self.publisher)
            self.assertEqual(verified.returncode, 0, verified.stderr)
            self.assertIn(f"version {version}", verified.stdout)
        whole = self.document.read_bytes()
        for at in range(len(whole) // 7, len(whole), len(whole) // 7):
            changed = self.scratch / "changed.json"
            changed.write_bytes(flip(whole, at))
            self.assertNotEqual(tuf(changed, self.publisher).returncode, 0, f"byte {at}")
        self.assertNotEqual(tuf(self.document, "tuf:" + "b" * 59).returncode, 0)

    def test_a_labs_card_is_signed_by_a_key_that_its_publisher_json_names(self) -> None:
        home, model, folder = self.scratch / "machine", self.scratch / "tiny", self.scratch / "proof"
        make(model, ["config.json"])
        swarm(home, "key", "use", self.scratch / "machine.key")
        # The lab as it was first: another test may have rotated the file since.
        first = json.loads(self.document.read_bytes())["roots"][:1]
        document = self.scratch / "first.json"
        document.write_text(json.dumps({"roots": first, "schema": 1}, separators=(",", ":"), ensure_ascii=False))
        swarm(home, "publisher", "use", document)
        seeded = swarm(home, "seed", model)
        swarm(home, "card", "export", seeded["release"], "-o", folder)
        shutil.copytree(model, folder / "model")
        signer = json.loads((folder / "card.sigstore.json").read_bytes())["verificationMaterial"]["publicKey"]["hint"]
        self.assertEqual(signer, self.machine)
        # All lines of VERIFY.md: the signature and the files, the key among the lab's, the roots.
        said = ["the files are those that did:key:z6Mk", "the key is one that the lab names", "up to version 1"]
        lines = tools.blocks(folder)
        self.assertEqual(len(lines), len(said))
        for line, words in zip(lines, said):
            self.assertIsNone(tools.run(["sh", "-c", line], folder, words))
        self.assertEqual(tuf(folder / "publisher.json", self.publisher).returncode, 0)
        change_file(folder / "publisher.json", 100)
        for line, words in zip(lines[1:], said[1:]):
            self.assertIsNotNone(tools.run(["sh", "-c", line], folder, words))


if __name__ == "__main__":
    unittest.main()
