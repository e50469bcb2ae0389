"""The verifiers, none of them ours: each takes an exported folder (`model/` in it) and returns why it refuses, or None.

A tool that breaks in a way that is no refusal (is not installed, does not start) raises.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
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


# Which of them look at what. That a tool looks at the files too is what makes a changed file its business.
CARD = [verify_md, securesystemslib, sigstore_js]
COMPANION = [model_signing, sigstore_js_companion]
FILES = [verify_md, model_signing]
