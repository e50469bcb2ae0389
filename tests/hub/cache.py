"""One copy: what `modelswarm get` brought is laid out for the clients (`gateway.hf_cache`), what a client downloaded is
adopted where it lies. See `run` beside this file.
"""

import http.client
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nodes
from nodes import Node, commit_id, files, succeed

# From here on: clients, which have read their environment.
import huggingface_hub as hub

MODEL = "all-MiniLM-L6-v2"
CACHE = nodes.SCRATCH / "laid-out" / "hub"
LAB, KEEPER = Node("lab"), Node("keeper", f"gateway.hf_cache={CACHE}")
SEEDED: dict[str, dict] = {}
FETCHED: dict[str, dict] = {}


def setUpModule() -> None:
    LAB.ask("init", "--alias", "lab")
    words = LAB.folder / "words"
    (words / "data" / "deep").mkdir(parents=True)
    (words / "README.md").write_text("---\nlicense: mit\n---\n# Words\n")
    (words / "data" / "deep" / "a b+c%20d é.csv").write_text("word\none\n")
    (words / "data" / "same.csv").write_text("word\none\n")
    (words / "empty.txt").touch()
    SEEDED[MODEL] = LAB.ask("seed", nodes.REAL_MODEL, "--name", MODEL)
    SEEDED["words"] = LAB.ask("seed", words, "--kind", "dataset")
    LAB.start()
    KEEPER.ask("trust", "add", "lab", LAB.publisher)
    KEEPER.start("--bootstrap", LAB.address)
    nodes.published(LAB, KEEPER, set(SEEDED))
    for name in SEEDED:
        FETCHED[name] = KEEPER.ask("get", f"lab/{name}")


def tearDownModule() -> None:
    for node in (KEEPER, LAB):
        if node.daemon is not None:
            node.stop()


class LaidOut(unittest.TestCase):
    """The tests go by their names: the last one stops the daemon."""

    def test_1_a_download_after_get_moves_no_file(self) -> None:
        for name, kind, original in [(MODEL, "model", nodes.REAL_MODEL), ("words", "dataset", LAB.folder / "words")]:
            with self.subTest(repo=name), Counter(KEEPER) as counter:
                said = succeed(
                    ["hf", "download", f"lab/{name}", "--repo-type", kind, "--quiet"],
                    HF_ENDPOINT=counter.url, HF_HUB_CACHE=str(CACHE),
                ).strip()
                self.assertEqual(files(said), files(original))
                self.assertEqual(Path(said).name, commit_id(SEEDED[name]["root"]))
                self.assertTrue(counter.requests, "the client asked for the revision")
                self.assertEqual([line for line in counter.requests if "/resolve/" in line], [])

    def test_2_the_clients_own_tools_find_nothing_wrong_with_it(self) -> None:
        found = hub.scan_cache_dir(CACHE)
        self.assertEqual(found.warnings, [])
        self.assertEqual({repo.repo_id for repo in found.repos}, {f"lab/{name}" for name in SEEDED})
        for repo in found.repos:
            [revision] = repo.revisions
            self.assertEqual(revision.refs, {"main"})

    def test_3_there_is_one_copy_on_the_disk(self) -> None:
        snapshot = CACHE / f"models--lab--{MODEL}" / "snapshots" / commit_id(SEEDED[MODEL]["root"])
        for name in files(nodes.REAL_MODEL):
            own, laid_out = Path(FETCHED[MODEL]["path"]) / name, snapshot / name
            if own.stat().st_ino != laid_out.stat().st_ino:
                self.skipTest("this file system shares bytes between files, and no inode tells")
            self.assertFalse(own.stat().st_mode & 0o222, "the library's file can't be written through the link")

    def test_4_without_network_and_daemon_it_is_all_there(self) -> None:
        KEEPER.stop()
        said = succeed(
            ["hf", "download", f"lab/{MODEL}", "--quiet"],
            HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_CACHE=str(CACHE), HF_HUB_OFFLINE="1",
        ).strip()
        self.assertEqual(files(said), files(nodes.REAL_MODEL))


class Adopted(unittest.TestCase):
    """The cache of a client that downloaded through a daemon: as the Hub's, but that every ETag is a SHA-256."""

    def test_a_client_s_cache_is_the_same_version_without_another_copy(self) -> None:
        cache = nodes.SCRATCH / "huggingface-of-a-client"
        api = hub.HfApi(endpoint=LAB.http)
        for name, kind in [(MODEL, "model"), ("words", "dataset")]:
            api.snapshot_download(f"lab/{name}", repo_type=kind, cache_dir=cache / "hub")
        node = Node("adopter")
        answer = node.ask("adopt", cache)
        self.assertEqual(answer["left_out"], [])
        self.assertEqual(
            {line["hub"]: (line["root"], line["commit"], line["kind"]) for line in answer["adopted"]},
            {
                f"lab/{name}": (seeded["root"], commit_id(seeded["root"]), "dataset" if name == "words" else "model")
                for name, seeded in SEEDED.items()
            },
        )
        home = sum(path.stat().st_size for path in node.home.rglob("*") if path.is_file())
        self.assertLess(home, answer["bytes"] / 10)
        self.assertEqual(node.ask("adopt", cache / "hub")["read_bytes"], 0)
        self.assertTrue(node.ask("verify", f"lab/{MODEL}")["ok"])
        # What the client's own command deletes is missing, and nothing else is.
        revision = commit_id(SEEDED[MODEL]["root"])
        hub.scan_cache_dir(cache / "hub").delete_revisions(revision).execute()
        states = {repo["name"]: repo["state"] for repo in node.ask("ls")["repos"]}
        self.assertEqual(states, {MODEL: "missing", "words": "whole"})


class Counter:
    """Passes requests on to a daemon's endpoint and notes them."""

    def __init__(self, node: Node) -> None:
        requests: list[str] = []
        self.requests = requests

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                requests.append(f"{self.command} {self.path}")
                connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=nodes.PATIENCE)
                connection.request(self.command, self.path)
                answer = connection.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)
                connection.close()

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> "Counter":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


if __name__ == "__main__":
    unittest.main()
