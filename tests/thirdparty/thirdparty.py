"""What modelswarm signs, before tools that know nothing of modelswarm. See `run` beside this file."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

import tools

BINARY = os.environ["MODELSWARM_BIN"]

# Names that shells, sha256sum or model_signing could trip over; what modelswarm refuses to sign comes further below.
NAMES = [
    "config.json", "a b.txt", " leading", "sub/é/模型.bin", "-", "-rf", "#x", "*", "~", "a'b", 'a"b',
    "$(touch pwned)", "`touch pwned`", ";touch pwned;", "a-b", "a/c", ".gitattributes", ".github/w.yml",
    "sub/.gitignore",
]


def swarm(home: Path, *arguments: str | Path) -> dict:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MODELSWARM_")}
    command = [BINARY, "--home", home, "--network", "isolated", "--json", *arguments]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def make(folder: Path, names: list[str]) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"the content of {name}\n")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")


def exported(home: Path, model: Path, folder: Path, *more: str) -> Path:
    """Seeds `model` and exports its card to `folder`, with a copy of the files beside it."""
    seeded = swarm(home, "seed", model, *more)
    swarm(home, "card", "export", seeded["release"], "-o", folder)
    shutil.copytree(model, folder / "model")
    return folder


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def change_file(path: Path, at: int = 0) -> None:
    path.write_bytes(flip(path.read_bytes(), at))


def change_bundle(path: Path, field: str, at: int) -> None:
    """Flips a bit of what the bundle carries, not of its JSON."""
    bundle = json.loads(path.read_bytes())
    envelope = bundle["dsseEnvelope"]
    holder = envelope["signatures"][0] if field == "sig" else envelope
    data = base64.b64decode(holder[field])
    holder[field] = base64.b64encode(flip(data, at % len(data))).decode()
    path.write_text(json.dumps(bundle))


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.scratch = Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="ms-")))
        cls.home = cls.scratch / "home"

    def accepted(self, folder: Path, verifiers: list[Callable]) -> None:
        for verify in verifiers:
            with self.subTest(tool=verify.__name__):
                self.assertIsNone(verify(folder))
        self.assertEqual(list(folder.rglob("pwned")), [])

    def refused(self, verifiers: list[Callable], change: Callable[[Path], None]) -> None:
        """Each of the tools refuses the folder after a change that it accepts without."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as scratch:
            folder = Path(scratch) / "changed"
            shutil.copytree(self.folder, folder)
            change(folder)
            for verify in verifiers:
                with self.subTest(tool=verify.__name__):
                    self.assertIsNotNone(verify(folder))
            self.assertEqual(list(folder.rglob("pwned")), [])


class Page(Case):
    """What the README says of checking a model without modelswarm, typed as it stands there."""

    def test_its_lines_export_a_card_and_show_how_it_is_checked(self) -> None:
        readme = (tools.HERE.parent.parent / "README.md").read_text()
        section = re.search(r"^### Checking a model without modelswarm\n(.*?)^### ", readme, re.DOTALL | re.MULTILINE)[1]
        lines = re.search(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)[1]
        model = self.scratch / "my-model"
        make(model, ["config.json", "sub/weights.bin"])
        swarm(self.home, "seed", model)
        command = self.scratch / "bin" / "modelswarm"
        command.parent.mkdir()
        command.write_text(f"#!/bin/sh\nexec {BINARY} --home {self.home} --network isolated \"$@\"\n")
        command.chmod(0o755)
        path = f"{command.parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-ec", lines], cwd=self.scratch, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=300
        )
        self.assertEqual(done.returncode, 0, done)
        # What it shows is what checks the files that were downloaded beside it.
        shown = re.findall(r"^```sh\n(.*?)^```$", done.stdout, re.DOTALL | re.MULTILINE)
        proof = self.scratch / "proof"
        self.assertEqual(shown, tools.blocks(proof))
        shutil.copytree(model, proof / "model")
        self.assertIsNone(tools.verify_md(proof))
        change_file(proof / "model" / "sub" / "weights.bin")
        self.assertIsNotNone(tools.verify_md(proof))


class Card(Case):
    """A card that lists its files itself, and its companion."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        model = cls.scratch / "tiny"
        make(model, NAMES)
        cls.folder = exported(cls.home, model, cls.scratch / "export", "--oms")

    def test_every_tool_accepts_what_was_signed(self) -> None:
        self.accepted(self.folder, tools.CARD + tools.COMPANION)

    def test_what_is_exported_is_what_stands_in_the_contract(self) -> None:
        names = {path.name for path in self.folder.iterdir()} - {"model"}
        card = {"card.sigstore.json", "publisher.pem", "VERIFY.md"}
        self.assertEqual(names, card | {"model.sig", "companion.pem"})

    def test_a_changed_byte_of_the_card_is_refused(self) -> None:
        size = len(tools.payload(self.folder / "card.sigstore.json"))
        places = [size * n // 8 for n in range(8)] + [size - 1]
        for field, at in [("payload", at) for at in places] + [("sig", 0), ("sig", 40)]:
            with self.subTest(field=field, at=at):
                self.refused(
                    tools.CARD,
                    lambda folder: change_bundle(folder / "card.sigstore.json", field, at),
                )

    def test_another_publishers_key_is_refused(self) -> None:
        def other_key(folder: Path) -> None:
            pem = Ed25519PrivateKey.generate().public_key().public_bytes(
                Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
            )
            (folder / "publisher.pem").write_bytes(pem)

        self.refused(tools.CARD, other_key)

    def test_changed_missing_and_further_files_are_refused(self) -> None:
        model = "model"
        changes = {
            "a changed byte": lambda folder: change_file(folder / model / "config.json"),
            "its last byte": lambda folder: change_file(folder / model / "a b.txt", -2),
            "a file of a strange name": lambda folder: change_file(folder / model / "$(touch pwned)"),
            "a missing file": lambda folder: (folder / model / "-").unlink(),
            "a further file": lambda folder: (folder / model / "planted.py").write_text("evil"),
            "a link": lambda folder: (folder / model / "link").symlink_to("config.json"),
            "two names swapped": lambda folder: swap(folder / model / "a-b", folder / model / "a/c"),
        }

        def swap(one: Path, two: Path) -> None:
            data = one.read_bytes(), two.read_bytes()
            one.write_bytes(data[1])
            two.write_bytes(data[0])

        for what, change in changes.items():
            with self.subTest(change=what):
                self.refused(tools.FILES, change)

    def test_the_card_covers_what_the_companion_leaves_out(self) -> None:
        def change(folder: Path) -> None:
            change_file(folder / "model" / ".gitattributes")

        self.refused([tools.verify_md], change)

    def test_a_changed_companion_is_refused(self) -> None:
        size = len(tools.payload(self.folder / "model.sig"))
        for field, at in [("payload", size * n // 4) for n in range(4)] + [("sig", 10), ("sig", -1)]:
            with self.subTest(field=field, at=at):
                self.refused(
                    tools.COMPANION, lambda folder: change_bundle(folder / "model.sig", field, at)
                )

    def test_a_companion_of_another_key_is_refused(self) -> None:
        with tempfile.TemporaryDirectory(dir=self.scratch) as scratch:
            other = exported(Path(scratch) / "home", self.scratch / "tiny", Path(scratch) / "out", "--oms")

            def replace(folder: Path) -> None:
                for name in ["model.sig", "companion.pem"]:
                    shutil.copy(other / name, folder / name)

            # It holds by itself; the card does not name its key.
            self.refused([tools.model_signing], replace)

    def test_seeding_again_gives_the_same_companion(self) -> None:
        with tempfile.TemporaryDirectory(dir=self.scratch) as scratch:
            again = exported(self.home, self.scratch / "tiny", Path(scratch) / "out", "--oms")
            for name in ["card.sigstore.json", "model.sig"]:
                self.assertEqual((again / name).read_bytes(), (self.folder / name).read_bytes())

    def test_openssl_reads_the_companions_private_key(self) -> None:
        key = self.home / "keys" / "oms.key"
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)
        done = subprocess.run(["openssl", "ec", "-in", key, "-pubout"], capture_output=True, check=True)
        self.assertEqual(done.stdout, (self.folder / "companion.pem").read_bytes())


class Foreign(Case):
    """What the real `model_signing` signs is taken in, and nothing else."""

    def setUp(self) -> None:
        self.model = Path(tempfile.mkdtemp(dir=self.scratch)) / "theirs"
        make(self.model, ["config.json", "a-b", "a/c", "sub/é b", ".gitattributes"])
        self.sig, self.pem = self.model.parent / "model.sig", self.model.parent / "key.pem"

    def sign(self, curve: ec.EllipticCurve, *more: str | Path) -> None:
        key = ec.generate_private_key(curve)
        private = self.model.parent / "private.pem"
        private.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        self.pem.write_bytes(
            key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        command = ["model_signing", "sign", "key", "--private_key", private, "--signature", self.sig]
        subprocess.run([*command, *more, self.model], check=True, capture_output=True, timeout=60)

    def taken_in(self, target: str | Path) -> dict:
        return swarm(self.home, "import-sig", self.sig, target, "--public-key", self.pem)

    def refused_with(self, code: int) -> None:
        command = [BINARY, "--home", self.home, "--network", "isolated", "import-sig", self.sig, self.model]
        done = subprocess.run([*command, "--public-key", self.pem], capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stderr)

    def test_signatures_on_both_curves_are_taken_in_and_compared(self) -> None:
        for curve in [ec.SECP256R1(), ec.SECP384R1()]:
            with self.subTest(curve=curve.name):
                self.sign(curve)
                seeded = swarm(self.home, "seed", self.model, "--name", "theirs")
                taken = self.taken_in(seeded["release"])
                key = "sha256:" + sha256(self.pem.read_bytes())
                self.assertEqual((taken["root"], taken["key"]), (seeded["root"], key))
                self.assertEqual((taken["files"], taken["left_out"]), (5, [".gitattributes"]))
                verified = swarm(self.home, "verify", "theirs")
                self.assertIn({"kind": "oms", "key": key, "files": 5, "holds": True}, verified["signatures"])
                self.assertEqual(verified["provenance"]["trust"], "own")

    def test_what_its_signer_left_out_by_name_may_be_there(self) -> None:
        left_out = self.model / "a"
        self.sign(ec.SECP256R1(), "--ignore-paths", left_out)
        self.assertEqual(self.taken_in(self.model)["left_out"], [".gitattributes", "a/c"])

    def test_what_the_tool_refuses_is_refused(self) -> None:
        changes = {
            "a changed byte": lambda: change_file(self.model / "config.json"),
            "a missing file": lambda: (self.model / "a-b").unlink(),
            "a further file": lambda: (self.model / "planted.py").write_text("evil"),
            "another key": lambda: self.pem.write_bytes(
                ec.generate_private_key(ec.SECP256R1())
                .public_key()
                .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            ),
            "a changed payload": lambda: change_bundle(self.sig, "payload", 400),
            "a changed signature": lambda: change_bundle(self.sig, "sig", 20),
        }
        for what, change in changes.items():
            with self.subTest(change=what):
                self.setUp()
                self.sign(ec.SECP256R1())
                change()
                check = ["model_signing", "verify", "key", "--signature", self.sig, "--public_key", self.pem]
                theirs = subprocess.run([*check, self.model], capture_output=True, timeout=60)
                self.assertNotEqual(theirs.returncode, 0)
                self.refused_with(4)


class Claims(Case):
    """Claims of two endorsers, exported with the card that they are about."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        model = cls.scratch / "tiny"
        make(model, NAMES)
        cls.release = swarm(cls.home, "seed", model)["release"]
        said = [
            ["--property", "PICKLE_FREE", "--property", "LICENSE_REVIEWED", "--note", "$(touch pwned)"],
            ["--fail", "--property", "`touch pwned`;'\"\u202e"],
            ["--dataset", "Idavidrein/gpqa", "--task", "diamond", "--metric", "accuracy", "--value", "0.412"],
        ]
        for number, claim in enumerate(said):
            cls.taken_in(cls.endorsed(cls.release, f"endorser{number}", claim), number)
        cls.folder = cls.scratch / "export"
        swarm(cls.home, "card", "export", cls.release, "-o", cls.folder)
        shutil.copytree(model, cls.folder / "model")

    @classmethod
    def endorsed(cls, release: str, name: str, claim: list[str]) -> Path:
        """A file with a claim about a release by another key, whose home is a copy of this one."""
        home, lines = cls.scratch / name, cls.scratch / f"{name}.jsonl"
        shutil.copytree(cls.home, home)
        (home / "keys" / "publisher.key").unlink()
        did = swarm(home, "endorse", release, *claim)["endorser"]
        swarm(home, "claims", release, "--offline", "--export", lines)
        lines.write_bytes(b"".join(line for line in lines.read_bytes().splitlines(True) if did.encode() in line))
        return lines

    @classmethod
    def taken_in(cls, lines: Path, number: int) -> None:
        did = json.loads(lines.read_bytes())["dsseEnvelope"]["signatures"][0]["keyid"]
        swarm(cls.home, "trust", "add-endorser", f"endorser{number}", did)
        assert swarm(cls.home, "endorse", "--import", lines)["kept"] == 1

    def test_every_tool_accepts_what_the_endorsers_signed(self) -> None:
        self.assertEqual(len(tools.lines(self.folder)), 3)
        self.accepted(self.folder, tools.CLAIMS + tools.CARD)

    def test_a_changed_byte_of_a_claim_is_refused(self) -> None:
        for number in range(3):
            for field, at in [("payload", 10), ("payload", 100), ("payload", -1), ("sig", 0), ("sig", 40)]:
                with self.subTest(line=number, field=field, at=at):
                    self.refused(tools.CLAIMS, lambda folder: self.change_line(folder, number, field, at))

    @staticmethod
    def change_line(folder: Path, number: int, field: str, at: int) -> None:
        path = folder / "claims.jsonl"
        lines = path.read_bytes().splitlines(True)
        path.write_bytes(lines[number])
        change_bundle(path, field, at)
        lines[number] = path.read_bytes() + b"\n"
        path.write_bytes(b"".join(lines))

    def test_a_claim_in_anothers_name_is_refused(self) -> None:
        key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()

        def rename(folder: Path) -> None:
            path = folder / "claims.jsonl"
            lines = path.read_text().splitlines(True)
            old = json.loads(lines[0])["dsseEnvelope"]["signatures"][0]["keyid"]
            path.write_text(lines[0].replace(old, did(key)) + "".join(lines[1:]))

        self.refused(tools.CLAIMS, rename)

    def test_a_claim_about_other_files_is_refused_by_the_lines_of_the_text(self) -> None:
        other = self.scratch / "other"
        make(other, ["config.json"])
        release = swarm(self.home, "seed", other)["release"]
        lines = self.endorsed(release, "elsewhere", ["--property", "PICKLE_FREE"])

        def add(folder: Path) -> None:
            with open(folder / "claims.jsonl", "ab") as file:
                file.write(lines.read_bytes())

        self.refused([tools.claims_md], add)


class List(Case):
    """A card of so many files that it names a list of them."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        model = cls.scratch / "many"
        make(model, [f"shard {n:04}.bin" for n in range(4200)])
        cls.folder = exported(cls.home, model, cls.scratch / "export")

    def test_every_tool_accepts_what_was_signed(self) -> None:
        self.assertTrue((self.folder / "files.jsonl").is_file())
        self.accepted(self.folder, tools.CARD)

    def test_a_changed_byte_is_refused(self) -> None:
        self.refused([tools.verify_md], lambda folder: change_file(folder / "files.jsonl", 20))
        file = "model/shard 4199.bin"
        self.refused([tools.verify_md], lambda folder: change_file(folder / file))
        self.refused([tools.verify_md], lambda folder: (folder / file).unlink())


class Hostile(Case):
    """Names that modelswarm signs for nobody: the lines of VERIFY.md must not trip over them all the same."""

    NAMES = ["a\nb", "a\\b", "\\", "a\nb\\n", "$(touch pwned)\n`touch pwned`", "'\n;touch pwned;'"]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        model = cls.scratch / "plain"
        make(model, ["config.json"])
        plain = exported(cls.home, model, cls.scratch / "plain-export")
        cls.folder = cls.forged(plain, cls.scratch / "export")

    @classmethod
    def forged(cls, plain: Path, folder: Path) -> Path:
        """The same export over other files, signed with a key of ours by nothing of modelswarm's."""
        shutil.copytree(plain, folder, ignore=shutil.ignore_patterns("model"))
        make(folder / "model", cls.NAMES)
        bundle = json.loads((plain / "card.sigstore.json").read_bytes())
        envelope = bundle["dsseEnvelope"]
        old = base64.b64decode(envelope["payload"])
        statement = json.loads(old)
        names = sorted(cls.NAMES + ["README.md"])
        digests = [sha256((folder / "model" / name).read_bytes()) for name in names]
        statement["subject"][1:] = [
            {"name": name, "digest": {"sha256": digest}} for name, digest in zip(names, digests)
        ]
        new = json.dumps(statement).encode()
        key = Ed25519PrivateKey.generate()
        pae = b"DSSEv1 %d %s %d %s" % (28, b"application/vnd.in-toto+json", len(new), new)
        envelope["payload"] = base64.b64encode(new).decode()
        envelope["signatures"][0]["sig"] = base64.b64encode(key.sign(pae)).decode()
        (folder / "card.sigstore.json").write_text(json.dumps(bundle))
        public = key.public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / "publisher.pem").write_bytes(pem)
        text = (plain / "VERIFY.md").read_text()
        text = text.replace(sha256(old), sha256(new))
        text = text.replace(statement["predicate"]["publisher"], did(public.public_bytes_raw()))
        (folder / "VERIFY.md").write_text(text)
        return folder

    def test_the_lines_of_the_text_hold_for_them(self) -> None:
        self.accepted(self.folder, [tools.verify_md])

    def test_a_changed_byte_is_refused(self) -> None:
        for name in self.NAMES:
            with self.subTest(name=name):
                self.refused(
                    [tools.verify_md], lambda folder: change_file(folder / "model" / name)
                )


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def did(key: bytes) -> str:
    digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, text = int.from_bytes(b"\xed\x01" + key, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = digits[digit] + text
    return "did:key:z" + text


if __name__ == "__main__":
    unittest.main()
