"""The verifiers, none of them ours: each takes an exported folder (`model/` in it) and returns why it refuses, or None.

A tool that breaks in a way that is no refusal (is not installed, does not start) raises.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.predicates.test_result.v0 import test_result_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

HERE = Path(__file__).parent


def envelope(bundle: Path) -> dict:
    return json.loads(bundle.read_bytes())["dsseEnvelope"]


def payload(bundle: Path) -> bytes:
    return base64.b64decode(envelope(bundle)["payload"])


def blocks(folder: Path) -> list[str]:
    """The lines that VERIFY.md tells a person to type: one text for the card, one for a companion."""
    text = (folder / "VERIFY.md").read_text()
    return re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(command: list[str], folder: Path, says: str) -> str | None:
    """Runs a program that says something when it accepts, so that one that did nothing is not taken for it."""
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    if done.returncode == 0:
        assert says in done.stdout, f"it accepted without a word: {done}"
        return None
    assert done.returncode in (1, 2), f"it broke: {done}"
    assert says not in done.stdout, f"it accepted and failed: {done}"
    return done.stderr + done.stdout


def verify_md(folder: Path) -> str | None:
    """openssl, sha256sum, find: the first lines of VERIFY.md, as they stand there."""
    return run(["sh", "-c", blocks(folder)[0]], folder, "the files are those that did:key:z6Mk")


def model_signing(folder: Path) -> str | None:
    """model_signing of PyPI: the further lines of VERIFY.md."""
    return run(["sh", "-c", blocks(folder)[1]], folder, "Verification succeeded")


def securesystemslib(folder: Path) -> str | None:
    """securesystemslib and in-toto-attestation of PyPI, on the card."""
    dsse = envelope(folder / "card.sigstore.json")
    did = dsse["signatures"][0]["keyid"]
    key = SSlibKey.from_crypto(
        load_pem_public_key((folder / "publisher.pem").read_bytes()), keyid=did
    )
    try:
        read = Envelope.from_dict(dsse)
        read.verify([key], 1)
        parsed = json_format.Parse(read.payload, statement_pb2.Statement())
        Statement.copy_from_pb(parsed).validate()
    except (VerificationError, ValueError, json_format.ParseError) as why:
        return str(why) or repr(why)
    assert parsed.predicate_type == "urn:modelswarm:model-card:v1", parsed.predicate_type
    return None


def sigstore_js(folder: Path) -> str | None:
    """@sigstore/verify of npm, on the card."""
    did = envelope(folder / "card.sigstore.json")["signatures"][0]["keyid"]
    return sigstore("card.sigstore.json", "publisher.pem", did, folder)


def sigstore_js_companion(folder: Path) -> str | None:
    """@sigstore/verify of npm, on the companion."""
    hint = hashlib.sha256((folder / "companion.pem").read_bytes()).hexdigest()
    return sigstore("model.sig", "companion.pem", hint, folder)


def sigstore(bundle: str, key: str, hint: str, folder: Path) -> str | None:
    script = str(HERE / "sigstore.mjs")
    return run([os.environ["NODE"], script, bundle, key, hint], folder, "holds")


def claims_md(folder: Path) -> str | None:
    """openssl: the lines of VERIFY.md on the claims, which stand last."""
    return run(["sh", "-c", blocks(folder)[-1]], folder, "the claims are those that these keys signed")


def claims_securesystemslib(folder: Path) -> str | None:
    """securesystemslib and in-toto-attestation of PyPI, on each claim."""
    for line in lines(folder):
        dsse = json.loads(line)["dsseEnvelope"]
        did = dsse["signatures"][0]["keyid"]
        key = SSlibKey.from_crypto(public_key(did), keyid=did)
        try:
            read = Envelope.from_dict(dsse)
            read.verify([key], 1)
            parsed = json_format.Parse(read.payload, statement_pb2.Statement())
            Statement.copy_from_pb(parsed).validate()
            if parsed.predicate_type == "https://in-toto.io/attestation/test-result/v0.1":
                predicate = json_format.MessageToDict(parsed.predicate)
                json_format.ParseDict(predicate, test_result_pb2.TestResult())
        except (VerificationError, ValueError, json_format.ParseError) as why:
            return str(why) or repr(why)
    return None


def claims_sigstore_js(folder: Path) -> str | None:
    """@sigstore/verify of npm, on each claim."""
    for line in lines(folder):
        did = json.loads(line)["dsseEnvelope"]["signatures"][0]["keyid"]
        pem = public_key(did).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        with tempfile.TemporaryDirectory(prefix="ms-") as scratch:
            (Path(scratch) / "claim.json").write_bytes(line)
            (Path(scratch) / "key.pem").write_bytes(pem)
            if why := sigstore("claim.json", "key.pem", did, Path(scratch)):
                return why
    return None


def lines(folder: Path) -> list[bytes]:
    found = (folder / "claims.jsonl").read_bytes().splitlines()
    assert found, "there are no claims"
    return found


def public_key(did: str) -> Ed25519PublicKey:
    number = 0
    for digit in did.removeprefix("did:key:z"):
        number = number * 58 + "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".index(digit)
    kind, key = divmod(number, 256**32)
    assert kind == 0xED01, did
    return Ed25519PublicKey.from_public_bytes(key.to_bytes(32, "big"))


# Which of them look at what. That a tool looks at the files too is what makes a changed file its business.
CARD = [verify_md, securesystemslib, sigstore_js]
COMPANION = [model_signing, sigstore_js_companion]
FILES = [verify_md, model_signing]
CLAIMS = [claims_md, claims_securesystemslib, claims_sigstore_js]
