"""Verifies a lab's publisher.json with python-tuf, and with none of our code.

    pip install tuf            (written for 7.0.1)
    python tuf.py publisher.json [tuf:CID]

Every version must be accepted by the keys of the version before it and by its own, as a TUF client does it. Prints the
publisher's id, which is the CID of the first root's bytes, and who may sign cards. Exit code 1 if anything differs.
"""

import sys

# This file is called as the package is: look the package up before this folder.
sys.path = [*sys.path[1:], sys.path[0]]

import base64
import hashlib
import json

from tuf.api.metadata import Metadata, Root


def cid(data: bytes) -> str:
    """CIDv1, codec raw, sha2-256, base32: what `ipfs add --cid-version=1` prints for a small file."""
    raw = bytes([1, 0x55, 0x12, 0x20]) + hashlib.sha256(data).digest()
    return "b" + base64.b32encode(raw).decode().lower().rstrip("=")


def main(path: str, expected: str | None = None) -> None:
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    assert document["schema"] == 1, "another schema"
    files = [text.encode() for text in document["roots"]]
    trusted = None
    for version, data in enumerate(files, start=1):
        metadata = Metadata[Root].from_bytes(data)
        root = metadata.signed
        assert root.version == version, f"version {root.version} in the place of {version}"
        for delegator in (trusted or root, root):
            delegator.verify_delegate(Root.type, metadata.signed_bytes, metadata.signatures)
        prev = root.unrecognized_fields["x-publisher"]["prev"]
        assert prev == (cid(files[version - 2]) if version > 1 else None), "prev is another root"
        trusted = root
    publisher = "tuf:" + cid(files[0])
    assert expected in (None, publisher), f"this is {publisher}"
    print(publisher)
    print(f"version {trusted.version}, expires {trusted.expires:%Y-%m-%dT%H:%M:%SZ}")
    cards = trusted.roles["targets"]
    print(f"cards: {cards.threshold} of")
    for keyid in cards.keyids:
        print(f"  {trusted.keys[keyid].keytype} {trusted.keys[keyid].keyval['public']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
