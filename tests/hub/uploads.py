"""Unmodified clients publish through a daemon's HTTP endpoint, and another's serves it. See `run` beside this file.

What is uploaded is a draft until `modelswarm publish` signs it; then peers find it.
"""

import sys
import tempfile
import unittest
from pathlib import Path

import nodes
from nodes import Node, commit_id, files, javascript, succeed, until

# From here on: clients, which have read their environment.
import numpy as np
import huggingface_hub as hub
from huggingface_hub.errors import HfHubHTTPError

from embed import embed

AUTHOR, REFUSER, FOLLOWER = Node("author", "gateway.publish_key=true"), Node("refuser"), Node("follower")

# Above this clients upload by LFS or Xet, below it in the commit itself.
LARGE = 12_000_000


def setUpModule() -> None:
    AUTHOR.ask("init", "--alias", "author")
    AUTHOR.start()
    FOLLOWER.ask("trust", "add", "author", AUTHOR.publisher)
    FOLLOWER.start("--bootstrap", AUTHOR.address)
    REFUSER.ask("init", "--alias", "refuser")
    REFUSER.start()


def tearDownModule() -> None:
    for node in (FOLLOWER, REFUSER, AUTHOR):
        node.stop()


def large(folder: Path) -> Path:
    """A model whose weights do not fit into a commit, with small files beside them."""
    (folder / "sub").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Large\n")
    (folder / "sub" / "a b+c%20d é.txt").write_text("a name that is not plain\n")
    (folder / "empty.txt").touch()
    (folder / "weights.bin").write_bytes(noise(1, LARGE))
    (folder / "sub" / "more.bin").write_bytes(noise(2, LARGE) + noise(1, LARGE // 2))
    return folder


def noise(seed: int, size: int) -> bytes:
    return np.random.default_rng(seed).bytes(size)


class Upload(unittest.TestCase):
    def setUp(self) -> None:
        self.scratch = Path(self.enterContext(tempfile.TemporaryDirectory(dir=nodes.SCRATCH)))
        self.api = hub.HfApi(endpoint=AUTHOR.http, token=AUTHOR.token)
        self.follower = hub.HfApi(endpoint=FOLLOWER.http)

    def hf(self, *arguments: str | Path, **environment: str) -> str:
        return succeed(["hf", *arguments], HF_ENDPOINT=AUTHOR.http, HF_TOKEN=AUTHOR.token, **environment)

    def published(self, repo: str, original: Path, repo_type: str = "model") -> str:
        """Signs what was uploaded, and compares what the follower's client gets of it; its commit."""
        AUTHOR.ask("publish", repo)
        commit = self.api.repo_info(repo, repo_type=repo_type).sha
        nodes.published(AUTHOR, FOLLOWER, {repo.split("/")[1]})

        def arrived() -> bool:
            exists = self.follower.repo_exists(repo, repo_type=repo_type)
            return exists and self.follower.repo_info(repo, repo_type=repo_type).sha == commit

        until(f"{repo} at the follower's endpoint", arrived)
        cache = self.scratch / "follower"
        fetched = self.follower.snapshot_download(repo, repo_type=repo_type, cache_dir=cache)
        self.assertEqual(files(fetched), files(original))
        return commit

    def version(self, name: str) -> dict:
        versions = [repo for repo in AUTHOR.ask("ls")["repos"] if repo["name"] == name]
        return max(versions, key=lambda repo: int(repo["version"]))

    def test_hf_upload_of_a_folder(self) -> None:
        folder = large(self.scratch / "large")
        self.hf("upload", "author/large", folder, ".")
        commit = self.published("author/large", folder)
        version = self.version("large")
        self.assertEqual((version["version"], commit_id(version["root"])), ("1", commit))

    def test_hf_upload_without_xet(self) -> None:
        folder = large(self.scratch / "large")
        self.hf("upload", "author/large-by-lfs", folder, ".", HF_HUB_DISABLE_XET="1")
        self.published("author/large-by-lfs", folder)

    def test_hf_upload_of_many_small_files_is_one_version(self) -> None:
        folder = self.scratch / "many"
        folder.mkdir()
        for number in range(600):
            (folder / f"{number:03}.txt").write_text(f"file {number}\n")
        self.hf("upload", "author/many", folder, ".")
        self.published("author/many", folder)
        self.assertEqual(self.version("many")["version"], "1")

    def test_hf_upload_of_one_file_and_then_the_same_again(self) -> None:
        file = self.scratch / "one" / "weights.bin"
        file.parent.mkdir()
        file.write_bytes(noise(3, LARGE))
        self.hf("upload", "author/one", file, "weights.bin")
        first = self.published("author/one", file.parent)
        self.hf("upload", "author/one", file, "weights.bin")
        self.assertEqual(self.published("author/one", file.parent), first)
        self.assertEqual(self.version("one")["version"], "1")

    def test_hf_upload_of_a_dataset(self) -> None:
        folder = self.scratch / "table"
        folder.mkdir()
        (folder / "words.csv").write_text("word,number\none,1\n")
        self.hf("upload", "author/table", folder, ".", "--repo-type", "dataset")
        self.published("author/table", folder, "dataset")

    def test_push_to_hub_of_a_dataset(self) -> None:
        script = (
            "import datasets; "
            "rows = datasets.Dataset.from_dict({'word': ['one', 'two'], 'number': [1, 2]}); "
            "rows.push_to_hub('author/pushed')"
        )
        given = {"HF_TOKEN": AUTHOR.token, "HF_HOME": str(self.scratch / "home")}
        succeed([sys.executable, "-c", script], HF_ENDPOINT=AUTHOR.http, **given)
        original = self.api.snapshot_download("author/pushed", repo_type="dataset", cache_dir=self.scratch / "author")
        self.published("author/pushed", Path(original), "dataset")
        script = "import datasets; print(datasets.load_dataset('author/pushed', split='train')['word'][:])"
        said = succeed([sys.executable, "-c", script], HF_ENDPOINT=FOLLOWER.http, HF_HOME=given["HF_HOME"])
        self.assertEqual(said.splitlines()[-1], "['one', 'two']")

    def test_commits_of_small_files_and_a_deletion(self) -> None:
        repo = self.api.create_repo("author/small", exist_ok=True).repo_id
        self.assertEqual(repo, "author/small")
        self.assertEqual(self.api.create_repo("author/small", exist_ok=True).repo_id, repo)
        added = [hub.CommitOperationAdd(name, f"the content of {name}".encode()) for name in ("a.txt", "sub/b.txt")]
        first = self.api.create_commit(repo, added, commit_message="two files")
        self.api.upload_file(path_or_fileobj=b"more", path_in_repo="c.txt", repo_id=repo)
        self.assertEqual(sorted(self.api.list_repo_files(repo)), ["a.txt", "c.txt", "sub/b.txt"])
        last = self.api.delete_file("a.txt", repo)
        # A draft: here without a token, by each of its commits, and nowhere else.
        anybody = hub.HfApi(endpoint=AUTHOR.http)
        self.assertEqual(sorted(anybody.list_repo_files(repo)), ["c.txt", "sub/b.txt"])
        self.assertEqual(anybody.model_info(repo).sha, last.oid)
        self.assertEqual(sorted(anybody.list_repo_files(repo, revision=first.oid)), ["a.txt", "sub/b.txt"])
        self.assertEqual(anybody.list_repo_commits(repo)[-1].title, "two files")
        self.assertFalse(self.follower.repo_exists(repo))
        original = self.scratch / "original"
        (original / "sub").mkdir(parents=True)
        (original / "sub" / "b.txt").write_text("the content of sub/b.txt")
        (original / "c.txt").write_text("more")
        self.published(repo, original)

    def test_a_second_version(self) -> None:
        folder = self.scratch / "twice"
        folder.mkdir()
        commits = []
        for number in ("1", "2"):
            (folder / "config.json").write_text(f'{{"number": {number}}}')
            self.hf("upload", "author/twice", folder, ".")
            commits.append(self.published("author/twice", folder))
            self.assertEqual(self.version("twice")["version"], number)
        # Either is read by its commit: what was uploaded is in the author's library.
        for number, commit in enumerate(commits, start=1):
            fetched = self.api.hf_hub_download(
                "author/twice", "config.json", revision=commit, cache_dir=self.scratch / str(number)
            )
            self.assertEqual(Path(fetched).read_text(), f'{{"number": {number}}}')

    def test_a_commit_after_somebody_else_s_is_refused(self) -> None:
        repo = self.api.create_repo("author/raced").repo_id
        first = self.api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo)
        self.api.upload_file(path_or_fileobj=b"2", path_in_repo="a.txt", repo_id=repo)
        given = {"path_or_fileobj": b"3", "path_in_repo": "a.txt", "repo_id": repo, "parent_commit": first.oid}
        self.assertEqual(self.status(lambda: self.api.upload_file(**given)), 412)

    def test_the_javascript_client_uploads(self) -> None:
        folder = large(self.scratch / "large")
        # An empty file it can upload, and not read.
        (folder / "empty.txt").unlink()
        repo = self.api.create_repo("author/javascript").repo_id
        given = [{"path": name, "file": str(folder / name)} for name in files(folder)]
        answer = javascript(AUTHOR.http, "uploadFiles", repo=repo, accessToken=AUTHOR.token, files=given)
        self.assertEqual(answer["commit"]["oid"], self.api.model_info(repo).sha)
        self.published(repo, folder)

    def test_the_rust_client_uploads(self) -> None:
        folder = self.scratch / "rust"
        folder.mkdir()
        repo = self.api.create_repo("author/rust").repo_id
        for name, size in [("small.txt", 1000), ("weights.bin", LARGE)]:
            (folder / name).write_bytes(noise(4, size))
            command = [nodes.RUST, "models", repo, "upload", folder / name, name]
            succeed(command, HF_ENDPOINT=AUTHOR.http, HF_TOKEN=AUTHOR.token)
        self.published(repo, folder)

    def test_the_real_model_gives_the_same_embedding_after_its_way_through_both_endpoints(self) -> None:
        self.hf("upload", "author/real", nodes.REAL_MODEL, ".")
        self.published("author/real", nodes.REAL_MODEL)
        given = {"HF_ENDPOINT": FOLLOWER.http, "HF_HUB_CACHE": str(self.scratch / "again")}
        fetched = succeed(["hf", "download", "author/real", "--quiet"], **given).strip()
        sentences = ["The cat sleeps on the sofa.", "Shares fell sharply today."]
        self.assertEqual(embed(fetched, sentences).tobytes(), embed(nodes.REAL_MODEL, sentences).tobytes())

    def status(self, call) -> int:
        with self.assertRaises(HfHubHTTPError) as raised:
            call()
        return raised.exception.response.status_code

    def test_without_the_token_nothing_is_written(self) -> None:
        for token in (False, "hf_" + "x" * 40):
            with self.subTest(token=token):
                api = hub.HfApi(endpoint=AUTHOR.http, token=token)
                self.assertEqual(self.status(lambda: api.create_repo("author/stranger")), 401)
        self.assertFalse(self.api.repo_exists("author/stranger"))

    def test_another_s_name_is_not_the_user_s_to_write_to(self) -> None:
        self.assertEqual(self.status(lambda: self.api.create_repo("somebody/model")), 403)

    def test_a_key_that_may_not_be_used_is_said_before_anything_is_sent(self) -> None:
        api = hub.HfApi(endpoint=REFUSER.http, token=REFUSER.token)
        with self.assertRaises(HfHubHTTPError) as raised:
            api.create_repo("refuser/model")
        self.assertEqual(raised.exception.response.status_code, 403)
        self.assertIn("gateway.publish_key", str(raised.exception))


if __name__ == "__main__":
    unittest.main()
