"""A lab that seeds repos of every kind, and a reader who trusts the lab and has fetched nothing.

Importing this starts both and points the clients at the reader's endpoint: so it comes before any client.
"""

import os
from pathlib import Path

import nodes

import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet
from safetensors.numpy import save_file

LAB = nodes.Node("lab")
READER = nodes.Node("reader")

MODEL = "all-MiniLM-L6-v2"
TINY_README = """---
license: mit
language: en
library_name: tiny
pipeline_tag: text-generation
tags:
- tag-of-tiny
---
# Tiny
"""
WORDS_README = """---
license: cc0-1.0
tags:
- tag-of-words
configs:
- config_name: default
  data_files: data/train-*.parquet
---
# Words
"""
# What a client or a server that escapes too little, too much or twice gets wrong.
NAMES = [
    "sub folder/a b.txt", "sub folder/a+b 100%.txt", "sub folder/Grüße.txt", "a%20b.txt", "a&b=c;d.txt", "模型.txt",
]


def tiny(folder: Path, number: int) -> Path:
    """A model whose weights are noise of this seed."""
    (folder / "sub").mkdir(parents=True)
    (folder / "README.md").write_text(TINY_README)
    (folder / "config.json").write_text(f'{{"model_type": "bert", "number": {number}}}\n')
    (folder / "sub" / "config.json").write_text(f'{{"sub": {number}}}\n')
    (folder / f"only-{number}.txt").write_text(f"of version {number} alone\n")
    noise = np.random.default_rng(number).standard_normal((900, 1000), dtype=np.float32)
    save_file({"noise": noise}, folder / "model.safetensors")
    return folder


ROWS = pyarrow.table({"word": [f"word {n}" for n in range(5000)], "number": range(5000)})


def words(folder: Path) -> Path:
    """A dataset of one parquet file, and files whose names are not plain."""
    for name in NAMES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"the content of {name}\n")
    (folder / "README.md").write_text(WORDS_README)
    (folder / "empty.txt").touch()
    (folder / "data").mkdir()
    pyarrow.parquet.write_table(ROWS, folder / "data" / "train-00000-of-00001.parquet")
    return folder


def table(folder: Path) -> Path:
    """A dataset of one csv file, with nothing that says so."""
    folder.mkdir()
    pyarrow.csv.write_csv(ROWS, folder / "words.csv")
    return folder


FIRST, SECOND = tiny(LAB.folder / "1", 1), tiny(LAB.folder / "2", 2)
WORDS, TABLE = words(LAB.folder / "words"), table(LAB.folder / "table")
# The folders, by the names that their repos get.
MODELS = {MODEL: nodes.REAL_MODEL, "tiny": SECOND}

LAB.ask("init", "--alias", "lab")
LAB.start()
SEEDED = {
    MODEL: LAB.ask("seed", nodes.REAL_MODEL, "--name", MODEL),
    "words": LAB.ask("seed", WORDS, "--kind", "dataset"),
    "table": LAB.ask("seed", TABLE, "--kind", "dataset"),
    "tiny@1.0": LAB.ask("seed", FIRST, "--name", "tiny", "--version", "1.0", "--copy"),
    "tiny": LAB.ask("seed", SECOND, "--name", "tiny", "--version", "2.0", "--copy"),
    "broken": LAB.ask("seed", tiny(LAB.folder / "broken", 3)),
    "secret": LAB.ask("seed", tiny(LAB.folder / "secret", 4), "--visibility", "private"),
}
LAB.ask("seed", tiny(LAB.folder / "worse", 5), "--name", "broken", "--copy")
LAB.ask("card", "withdraw", "broken", "--reason", "the wrong weights")
COMMIT = {name: nodes.commit_id(seeded["root"]) for name, seeded in SEEDED.items()}

READER.ask("trust", "add", "lab", LAB.publisher)
READER.start("--bootstrap", LAB.address)
nodes.published(LAB, READER, {MODEL, "words", "table", "tiny"})
assert READER.ask("ls")["repos"] == [], "the reader has fetched something before anybody asked"

os.environ["HF_ENDPOINT"] = READER.http
