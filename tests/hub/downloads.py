"""Unmodified clients of the Hugging Face Hub download from peers, through the daemon. See `run` beside this file."""

import base64
import contextlib
import hashlib
import json
import re
import socket
import sys
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path

import nodes
import world
from nodes import files, javascript, succeed
from world import COMMIT, LAB, MODEL, MODELS, READER, WORDS

# From here on: clients, which have read their environment.
import numpy as np
import datasets
import transformers
import huggingface_hub as hub
from huggingface_hub.errors import (
    DisabledRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from embed import embed

REPO, TINY, DATASET = f"lab/{MODEL}", "lab/tiny", "lab/words"
NOBODY = "hf_" + "x" * 40


def setUpModule() -> None:
    datasets.disable_progress_bars()


def tearDownModule() -> None:
    READER.stop()
    LAB.stop()


class Case(unittest.TestCase):
    def setUp(self) -> None:
        self.cache = Path(self.enterContext(tempfile.TemporaryDirectory(dir=nodes.SCRATCH)))

    def same(self, fetched: str | Path, original: Path) -> None:
        self.assertEqual(files(fetched), files(original))


class Download(Case):
    """`hf_hub_download`, `snapshot_download`, `hf download`."""

    def test_each_file_is_the_original_whatever_its_name(self) -> None:
        for name in files(WORDS):
            with self.subTest(file=name):
                path = hub.hf_hub_download(DATASET, name, repo_type="dataset", cache_dir=self.cache)
                self.assertEqual(Path(path).read_bytes(), (WORDS / name).read_bytes())

    def test_a_snapshot_has_the_bytes_of_every_file(self) -> None:
        for name, folder in MODELS.items():
            with self.subTest(repo=name):
                fetched = hub.snapshot_download(f"lab/{name}", cache_dir=self.cache)
                self.same(fetched, folder)
                self.assertEqual(Path(fetched).name, COMMIT[name])

    def test_a_snapshot_of_a_dataset_has_the_bytes_of_every_file(self) -> None:
        self.same(hub.snapshot_download(DATASET, repo_type="dataset", cache_dir=self.cache), WORDS)

    def test_patterns_choose(self) -> None:
        fetched = hub.snapshot_download(REPO, allow_patterns="*.json", ignore_patterns="token*", cache_dir=self.cache)
        self.assertEqual(set(files(fetched)), {
            name for name in files(nodes.REAL_MODEL) if name.endswith(".json") and not name.startswith("token")
        })

    def test_a_second_snapshot_asks_for_the_revision_alone(self) -> None:
        first = hub.snapshot_download(TINY, cache_dir=self.cache)
        with requests() as made:
            self.assertEqual(hub.snapshot_download(TINY, cache_dir=self.cache), first)
        self.assertEqual(made, [f"GET {READER.http}/api/models/{TINY}/revision/main"])

    def test_a_file_of_a_commit_that_is_cached_is_not_asked_for(self) -> None:
        given = {"repo_id": TINY, "filename": "config.json", "revision": COMMIT["tiny"], "cache_dir": self.cache}
        first = hub.hf_hub_download(**given)
        with requests() as made:
            self.assertEqual(hub.hf_hub_download(**given), first)
        self.assertEqual(made, [])

    def test_a_download_talks_to_nobody_but_the_endpoint(self) -> None:
        with requests() as made:
            hub.snapshot_download(TINY, cache_dir=self.cache)
        self.assertTrue(made)
        self.assertEqual([request for request in made if f" {READER.http}/" not in request], [])

    def test_offline_nothing_is_asked(self) -> None:
        hub.snapshot_download(REPO, cache_dir=self.cache)
        script = (
            "import huggingface_hub, transformers; "
            f"path = huggingface_hub.snapshot_download('{REPO}'); "
            f"transformers.AutoTokenizer.from_pretrained('{REPO}'); "
            "print(path)"
        )
        with socket.create_server(("127.0.0.1", 0)) as listener:
            endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
            offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(self.cache), "HF_ENDPOINT": endpoint}
            fetched = succeed([sys.executable, "-c", script], **offline).strip()
            listener.setblocking(False)
            with self.assertRaises(BlockingIOError):
                listener.accept()
        self.same(fetched, nodes.REAL_MODEL)

    def test_into_a_folder_that_keeps_what_is_there(self) -> None:
        target = self.cache / "target"
        for again in (False, True):
            with self.subTest(again=again):
                hub.snapshot_download(TINY, local_dir=target)
                self.same(target, world.SECOND)
        (target / "config.json").write_text("changed")
        hub.hf_hub_download(TINY, "config.json", local_dir=target, force_download=True)
        self.same(target, world.SECOND)

    def test_the_hf_command_downloads(self) -> None:
        said = succeed(["hf", "download", REPO, "--quiet"], HF_HUB_CACHE=str(self.cache))
        self.same(said.strip(), nodes.REAL_MODEL)
        succeed(["hf", "download", DATASET, "--repo-type", "dataset", "--local-dir", self.cache / "words"])
        self.same(self.cache / "words", WORDS)

    def test_the_hf_command_downloads_one_file(self) -> None:
        said = succeed(["hf", "download", TINY, "sub/config.json", "--quiet"], HF_HUB_CACHE=str(self.cache))
        self.assertEqual(Path(said.strip()).read_bytes(), (world.SECOND / "sub/config.json").read_bytes())


class Revisions(Case):
    """A repo by its alias and by its key, a state of it by everything that it is called."""

    def test_the_newest_version_has_many_names(self) -> None:
        commit = COMMIT["tiny"]
        for revision in [None, "main", "HEAD", "refs/heads/main", "2.0", commit, commit[:12], commit[:7]]:
            with self.subTest(revision=revision):
                self.assertEqual(hub.model_info(TINY, revision=revision).sha, commit)
                cache = self.cache / str(revision).replace("/", "-")
                path = hub.hf_hub_download(TINY, "config.json", revision=revision, cache_dir=cache)
                self.assertEqual(Path(path).read_bytes(), (world.SECOND / "config.json").read_bytes())

    def test_an_older_version_is_asked_for_by_its_name_or_commit(self) -> None:
        commit = COMMIT["tiny@1.0"]
        for node in (LAB, READER):
            for revision in ["1.0", commit, commit[:12]]:
                with self.subTest(endpoint=node.folder.name, revision=revision):
                    fetched = hub.snapshot_download(
                        TINY, revision=revision, endpoint=node.http, cache_dir=self.cache / node.folder.name / revision
                    )
                    self.same(fetched, world.FIRST)

    def test_the_publisher_s_key_stands_for_its_alias(self) -> None:
        key = LAB.publisher.removeprefix("did:key:")
        self.same(hub.snapshot_download(f"{key}/tiny", cache_dir=self.cache), world.SECOND)
        info = hub.model_info(f"{key}/tiny")
        self.assertEqual((info.id, info.author, info.sha), (f"{key}/tiny", key, COMMIT["tiny"]))

    def test_a_withdrawn_version_is_disabled_and_nothing_takes_its_place(self) -> None:
        for node in (LAB, READER):
            with self.subTest(endpoint=node.folder.name):
                api = hub.HfApi(endpoint=node.http)
                with self.assertRaises(DisabledRepoError):
                    api.model_info("lab/broken")
                for call, given in [(api.snapshot_download, []), (api.hf_hub_download, ["config.json"])]:
                    with self.assertRaises(LocalEntryNotFoundError) as raised:
                        call("lab/broken", *given, cache_dir=self.cache)
                    self.assertIsInstance(raised.exception.__cause__, DisabledRepoError)
                self.assertEqual(list(self.cache.rglob("config.json")), [])

    def test_a_private_repo_needs_the_token(self) -> None:
        for api in [hub.HfApi(endpoint=LAB.http), hub.HfApi(endpoint=LAB.http, token=NOBODY), hub.HfApi()]:
            with self.assertRaises(RepositoryNotFoundError):
                api.model_info("lab/secret")
            with self.assertRaises(RepositoryNotFoundError):
                api.hf_hub_download("lab/secret", "config.json", cache_dir=self.cache)
            self.assertNotIn("lab/secret", [model.id for model in api.list_models()])
        api = hub.HfApi(endpoint=LAB.http, token=LAB.token)
        self.same(api.snapshot_download("lab/secret", cache_dir=self.cache), LAB.folder / "secret")
        self.assertTrue(api.model_info("lab/secret").private)


class Answers(Case):
    """The calls of `HfApi` about one repo."""

    def test_the_files_of_a_repo_are_listed(self) -> None:
        self.assertEqual(sorted(hub.list_repo_files(REPO)), sorted(files(nodes.REAL_MODEL)))
        self.assertEqual(sorted(hub.list_repo_files(DATASET, repo_type="dataset")), sorted(files(WORDS)))

    def test_the_tree_has_sizes_and_digests(self) -> None:
        entries = {entry.path: entry for entry in hub.list_repo_tree(REPO, recursive=True)}
        self.assertIsInstance(entries.pop("1_Pooling"), hub.RepoFolder)
        self.assertEqual({path: entry.lfs.sha256 for path, entry in entries.items()}, files(nodes.REAL_MODEL))
        for path, entry in entries.items():
            self.assertEqual(entry.size, (nodes.REAL_MODEL / path).stat().st_size)
        top = {entry.path for entry in hub.list_repo_tree(REPO)}
        self.assertEqual(top, {path.name for path in nodes.REAL_MODEL.iterdir()})

    def test_the_tree_of_a_folder_with_a_space(self) -> None:
        entries = hub.list_repo_tree(DATASET, "sub folder", repo_type="dataset", expand=True)
        self.assertEqual({entry.path for entry in entries}, {name for name in world.NAMES if "sub folder/" in name})

    def test_the_info_of_a_model(self) -> None:
        info = hub.model_info(TINY)
        self.assertEqual((info.id, info.author, info.sha), (TINY, "lab", COMMIT["tiny"]))
        self.assertEqual((info.private, info.gated, info.disabled), (False, False, False))
        self.assertEqual({file.rfilename for file in info.siblings}, set(files(world.SECOND)))
        self.assertEqual((info.card_data.license, info.card_data.tags), ("mit", ["tag-of-tiny"]))
        self.assertEqual((info.library_name, info.pipeline_tag), ("tiny", "text-generation"))
        self.assertLessEqual({"tag-of-tiny", "license:mit"}, set(info.tags))

    def test_the_info_has_sizes_and_digests_of_the_files(self) -> None:
        info = hub.dataset_info(DATASET, files_metadata=True)
        self.assertEqual({file.rfilename: file.lfs.sha256 for file in info.siblings}, files(WORDS))
        for file in info.siblings:
            size = (WORDS / file.rfilename).stat().st_size
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{file.lfs.sha256}\nsize {size}\n"
            self.assertEqual((file.size, file.lfs.size, file.lfs.pointer_size), (size, size, len(pointer)))
            self.assertEqual(file.blob_id, git_id(pointer.encode()))

    def test_the_head_of_a_file(self) -> None:
        for name, digest in files(WORDS).items():
            with self.subTest(file=name):
                head = hub.get_hf_file_metadata(hub.hf_hub_url(DATASET, name, repo_type="dataset"))
                self.assertEqual((head.commit_hash, head.etag), (COMMIT["words"], digest))
                self.assertEqual((head.size, head.xet_file_data), ((WORDS / name).stat().st_size, None))

    def test_what_is_there_and_what_is_not(self) -> None:
        self.assertTrue(hub.repo_exists(TINY))
        self.assertTrue(hub.repo_exists(DATASET, repo_type="dataset"))
        self.assertFalse(hub.repo_exists("lab/none"))
        self.assertFalse(hub.repo_exists("nobody/tiny"))
        self.assertFalse(hub.repo_exists(DATASET))
        self.assertTrue(hub.revision_exists(TINY, "2.0"))
        self.assertFalse(hub.revision_exists(TINY, "9.9"))
        self.assertTrue(hub.file_exists(TINY, "sub/config.json"))
        self.assertFalse(hub.file_exists(TINY, "sub/none.json"))
        self.assertFalse(hub.file_exists(TINY, "sub"))

    def test_what_is_missing_has_its_own_error(self) -> None:
        missing = [
            (RepositoryNotFoundError, {"repo_id": "lab/none", "filename": "config.json"}),
            (RepositoryNotFoundError, {"repo_id": "nobody/tiny", "filename": "config.json"}),
            (RevisionNotFoundError, {"repo_id": TINY, "filename": "config.json", "revision": "9.9"}),
            (RevisionNotFoundError, {"repo_id": TINY, "filename": "config.json", "revision": "0" * 40}),
            (RemoteEntryNotFoundError, {"repo_id": TINY, "filename": "none.json"}),
        ]
        for error, given in missing:
            with self.subTest(**given), self.assertRaises(error):
                hub.hf_hub_download(**given, cache_dir=self.cache)
        for error, given in [(RepositoryNotFoundError, {"repo_id": "lab/none"}),
                             (RevisionNotFoundError, {"repo_id": TINY, "revision": "9.9"})]:
            with self.subTest(**given):
                for call in (hub.model_info, hub.list_repo_files):
                    self.assertRaises(error, call, **given)
                self.assertRaises(error, hub.snapshot_download, **given, cache_dir=self.cache)
        with self.assertRaises(RemoteEntryNotFoundError):
            list(hub.list_repo_tree(TINY, "none"))

    def test_that_a_file_is_missing_is_remembered(self) -> None:
        for asked in (True, False):
            with requests() as made:
                found = transformers.utils.cached_file(
                    TINY, "none.json", cache_dir=self.cache, revision=COMMIT["tiny"],
                    _raise_exceptions_for_missing_entries=False,
                )
            self.assertIsNone(found)
            self.assertEqual(any(request.startswith("HEAD") for request in made), asked)

    def test_paths_info_gives_what_there_is_of_what_was_asked(self) -> None:
        asked = ["README.md", "sub folder", *world.NAMES, "none.txt"]
        entries = {entry.path: entry for entry in hub.get_paths_info(DATASET, asked, repo_type="dataset", expand=True)}
        self.assertEqual(set(entries), set(asked) - {"none.txt"})
        self.assertIsInstance(entries["sub folder"], hub.RepoFolder)
        self.assertEqual(entries["README.md"].lfs.sha256, files(WORDS)["README.md"])
        self.assertEqual(entries["README.md"].last_commit.oid, COMMIT["words"])

    def test_what_config_json_says_that_a_model_is(self) -> None:
        api = hub.HfApi(endpoint=LAB.http)
        self.assertEqual(api.model_info(TINY).config, {"model_type": "bert"})
        self.assertEqual(api.model_info(REPO).config, {"model_type": "bert", "architectures": ["BertModel"]})

    def test_refs_and_commits(self) -> None:
        branches = {branch.name: branch.target_commit for branch in hub.list_repo_refs(TINY).branches}
        self.assertEqual(branches["main"], COMMIT["tiny"])
        self.assertEqual(hub.list_repo_commits(TINY)[0].commit_id, COMMIT["tiny"])
        commits = hub.HfApi(endpoint=LAB.http).list_repo_commits(TINY)
        self.assertEqual([commit.commit_id for commit in commits], [COMMIT["tiny"], COMMIT["tiny@1.0"]])

    def test_the_header_of_safetensors(self) -> None:
        header = hub.get_safetensors_metadata(TINY).files_metadata["model.safetensors"]
        self.assertEqual(header.tensors["noise"].shape, [900, 1000])

    def test_whoami_is_for_those_who_have_the_token(self) -> None:
        for node, name in [(LAB, "lab"), (READER, READER.publisher.removeprefix("did:key:"))]:
            with self.subTest(endpoint=node.folder.name):
                self.assertRegex(node.token, r"\Ahf_[A-Za-z0-9]{40}\Z")
                self.assertEqual(hub.HfApi(endpoint=node.http, token=node.token).whoami()["name"], name)
                with self.assertRaises(HfHubHTTPError) as raised:
                    hub.HfApi(endpoint=node.http, token=NOBODY).whoami()
                self.assertEqual(raised.exception.response.status_code, 401)
        said = succeed(["hf", "auth", "whoami"], HF_ENDPOINT=LAB.http, HF_TOKEN=LAB.token)
        self.assertRegex(said, r"\blab\b")


class Lists(Case):
    """`list_models` and `list_datasets`."""

    def test_each_repo_of_a_trusted_publisher_is_listed_once(self) -> None:
        models = [model.id for model in hub.list_models()]
        self.assertLessEqual({REPO, TINY}, set(models))
        self.assertEqual(len(models), len(set(models)))
        self.assertNotIn(DATASET, models)
        self.assertEqual(sorted(dataset.id for dataset in hub.list_datasets()), ["lab/table", DATASET])

    def test_search_and_author(self) -> None:
        self.assertEqual([model.id for model in hub.list_models(search="minilm")], [REPO])
        self.assertEqual([model.id for model in hub.list_models(search="no such model")], [])
        for author in ["lab", LAB.publisher.removeprefix("did:key:"), LAB.publisher]:
            self.assertLessEqual({REPO, TINY}, {model.id for model in hub.list_models(author=author)}, author)
        for author in ["nobody", READER.publisher.removeprefix("did:key:")]:
            self.assertEqual([model.id for model in hub.list_models(author=author)], [], author)
        self.assertEqual([dataset.id for dataset in hub.list_datasets(search="word", author="lab")], [DATASET])

    def test_filters_must_all_hold(self) -> None:
        api = hub.HfApi(endpoint=LAB.http)
        for wanted in ["tag-of-tiny", "license:mit", ["license:mit", "tiny"], ["language:en", "tag-of-tiny"]]:
            with self.subTest(filter=wanted):
                found = [model.id for model in api.list_models(filter=wanted)]
                self.assertIn(TINY, found)
                self.assertNotIn(REPO, found)
        self.assertEqual(list(api.list_models(filter=["tag-of-tiny", "license:apache-2.0"])), [])
        self.assertEqual([dataset.id for dataset in api.list_datasets(filter="tag-of-words")], [DATASET])
        self.assertEqual([model.id for model in api.list_models(pipeline_tag="sentence-similarity")], [REPO])

    def test_a_limit_and_an_order(self) -> None:
        self.assertEqual(len(list(hub.list_models(limit=1))), 1)
        dates = [model.last_modified for model in hub.list_models(sort="last_modified", full=True)]
        self.assertGreaterEqual(len(dates), 2)
        self.assertEqual(dates, sorted(dates, reverse=True))

    def test_pages_lead_from_one_to_the_next(self) -> None:
        url, found = f"{READER.http}/api/models?author=lab&limit=1", []
        while url is not None and len(found) < 10:
            self.assertIn("author=lab", url)
            page = hub.get_session().get(url)
            self.assertEqual((page.status_code, len(page.json())), (200, 1))
            found += [model["id"] for model in page.json()]
            url = page.links.get("next", {}).get("url")
        self.assertEqual(sorted(found), sorted(model.id for model in hub.list_models(author="lab")))

    def test_an_item_says_what_the_full_answer_says(self) -> None:
        api = hub.HfApi(endpoint=LAB.http)
        [model] = api.list_models(search="tiny", full=True, cardData=True)
        self.assertEqual((model.id, model.sha, model.card_data.license), (TINY, COMMIT["tiny"], "mit"))
        self.assertEqual({file.rfilename for file in model.siblings}, set(files(world.SECOND)))


class FileSystem(Case):
    """`HfFileSystem`: folders, patterns and ranges."""

    def setUp(self) -> None:
        super().setUp()
        self.fs = hub.HfFileSystem(skip_instance_cache=True)

    def test_folders_and_patterns(self) -> None:
        listed = set(self.fs.ls(TINY, detail=False))
        self.assertEqual(listed, {f"{TINY}/{path.name}" for path in world.SECOND.iterdir()})
        found = self.fs.glob(f"{TINY}/**/config.json")
        self.assertEqual(found, [f"{TINY}/config.json", f"{TINY}/sub/config.json"])
        [found] = self.fs.glob(f"datasets/{DATASET}/data/*.parquet")
        self.assertEqual(found, f"datasets/{DATASET}/data/train-00000-of-00001.parquet")
        self.assertTrue(self.fs.isdir(f"datasets/{DATASET}/sub folder"))
        self.assertFalse(self.fs.exists(f"{TINY}/none"))

    def test_names_that_are_not_plain(self) -> None:
        for name in world.NAMES:
            with self.subTest(file=name):
                self.assertEqual(self.fs.read_bytes(f"datasets/{DATASET}/{name}"), (WORDS / name).read_bytes())

    def test_ranges(self) -> None:
        path, data = f"{REPO}/model.safetensors", (nodes.REAL_MODEL / "model.safetensors").read_bytes()
        with self.fs.open(path, block_size=100_000) as file:
            for at, size in [(len(data) - 100, 200), (40_000_000, 1000), (0, 8), (50_000_000, 300_000)]:
                file.seek(at)
                self.assertEqual(file.read(size), data[at : at + size])
        self.assertEqual(self.fs.cat_file(path, start=1000, end=2000), data[1000:2000])
        self.assertEqual(self.fs.info(path)["size"], len(data))

    def test_a_revision_in_the_path(self) -> None:
        self.assertEqual(self.fs.read_bytes(f"{TINY}@2.0/config.json"), (world.SECOND / "config.json").read_bytes())


class Transformers(Case):
    def test_configuration_and_tokenizer(self) -> None:
        config = transformers.AutoConfig.from_pretrained(REPO, cache_dir=self.cache)
        self.assertEqual((config.model_type, config.num_hidden_layers, config.hidden_size), ("bert", 6, 384))
        tokenizer = transformers.AutoTokenizer.from_pretrained(REPO, cache_dir=self.cache)
        original = transformers.AutoTokenizer.from_pretrained(nodes.REAL_MODEL)
        text = ["A cat sleeps.", "Grüße aus 北京, naïve façade!", ""]
        self.assertEqual(tokenizer(text).data, original(text).data)
        self.assertEqual(tokenizer.decode(tokenizer(text[0])["input_ids"]), "[CLS] a cat sleeps. [SEP]")

    def test_a_repo_that_is_not_there(self) -> None:
        with self.assertRaisesRegex(OSError, "lab/none"):
            transformers.AutoConfig.from_pretrained("lab/none", cache_dir=self.cache)

    def test_the_embedding_is_that_of_the_original_bit_for_bit(self) -> None:
        fetched = hub.snapshot_download(REPO, cache_dir=self.cache)
        sentences = ["The cat sleeps on the sofa.", "A kitten naps on the couch.", "Shares fell sharply today."]
        vectors = embed(fetched, sentences)
        self.assertEqual(vectors.tobytes(), embed(nodes.REAL_MODEL, sentences).tobytes())
        # It is a model: what is alike is near.
        self.assertEqual((vectors.shape, vectors.dtype), ((3, 384), np.float32))
        self.assertGreater(vectors[0] @ vectors[1], 0.5)
        self.assertLess(vectors[0] @ vectors[2], 0.3)


class Datasets(Case):
    """Parquet, csv without a README, and streams of both."""

    def test_all_rows(self) -> None:
        for repo in (DATASET, "lab/table"):
            with self.subTest(repo=repo):
                loaded = datasets.load_dataset(repo, split="train", cache_dir=self.cache)
                self.assertEqual(loaded.to_dict(), world.ROWS.to_pydict())

    def test_a_stream(self) -> None:
        for repo in (DATASET, "lab/table"):
            with self.subTest(repo=repo):
                rows = datasets.load_dataset(repo, split="train", streaming=True)
                self.assertEqual(list(rows), world.ROWS.to_pylist())

    def test_a_file_that_the_user_names(self) -> None:
        given = {"test": "hf://datasets/lab/table/words.csv"}
        loaded = datasets.load_dataset("csv", data_files=given, split="test", cache_dir=self.cache)
        self.assertEqual(loaded.to_dict(), world.ROWS.to_pydict())


class JavaScript(Case):
    """npm's `@huggingface/hub`."""

    def ask(self, call: str, **parameters):
        return javascript(READER.http, call, **parameters)

    def test_list_files(self) -> None:
        entries = self.ask("listFiles", repo=REPO, recursive=True)
        found = {entry["path"]: entry["lfs"]["oid"] for entry in entries if entry["type"] == "file"}
        self.assertEqual(found, files(nodes.REAL_MODEL))

    def test_file_exists(self) -> None:
        for path, there in [("config.json", True), ("sub/config.json", True), ("none.json", False)]:
            self.assertIs(self.ask("fileExists", repo=TINY, path=path), there)

    def test_download_file(self) -> None:
        for path in ["config.json", "model.safetensors"]:
            blob = self.ask("downloadFile", repo=TINY, path=path)
            self.assertEqual(nodes.sha256(unbase64(blob)), files(world.SECOND)[path])
        dataset = {"type": "dataset", "name": DATASET}
        blob = self.ask("downloadFile", repo=dataset, path="sub folder/Grüße.txt")
        self.assertEqual(unbase64(blob), (WORDS / "sub folder/Grüße.txt").read_bytes())
        self.assertIsNone(self.ask("downloadFile", repo=TINY, path="none.json"))

    def test_snapshot_download(self) -> None:
        self.same(self.ask("snapshotDownload", repo=REPO, cacheDir=str(self.cache)), nodes.REAL_MODEL)

    def test_model_and_dataset_info(self) -> None:
        model = self.ask("modelInfo", name=TINY, additionalFields=["sha", "author", "tags"])
        self.assertEqual((model["name"], model["sha"], model["author"]), (TINY, COMMIT["tiny"], "lab"))
        self.assertIn("tag-of-tiny", model["tags"])
        self.assertEqual((model["private"], model["gated"], model["task"]), (False, False, "text-generation"))
        self.assertRegex(model["updatedAt"], r"\A20\d\d-")
        self.assertEqual(self.ask("datasetInfo", name=DATASET)["name"], DATASET)

    def test_list_models(self) -> None:
        names = [model["name"] for model in self.ask("listModels", search={"owner": "lab", "query": "tiny"})]
        self.assertEqual(names, [TINY])

    def test_paths_info_and_repo_exists(self) -> None:
        [entry] = self.ask("pathsInfo", repo=TINY, paths=["config.json", "none.json"])
        self.assertEqual(entry["lfs"]["oid"], files(world.SECOND)["config.json"])
        self.assertIs(self.ask("repoExists", repo=TINY), True)
        self.assertIs(self.ask("repoExists", repo="lab/none"), False)

    def test_what_is_missing_is_a_404(self) -> None:
        self.assertEqual(self.ask("modelInfo", name="lab/none")["error"]["status"], 404)
        self.assertEqual(self.ask("listFiles", repo=TINY, revision="9.9")["error"]["status"], 404)


class Rust(Case):
    """The crate `hf-hub`."""

    def ask(self, *arguments: str):
        return nodes.run([nodes.RUST, *arguments], HF_ENDPOINT=READER.http, HF_HUB_CACHE=str(self.cache))

    def path(self, *arguments: str) -> Path:
        done = self.ask(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return Path(done.stdout.strip())

    def test_download(self) -> None:
        for again in (False, True):
            path = self.path("models", TINY, "download", "model.safetensors")
            self.assertEqual(path.read_bytes(), (world.SECOND / "model.safetensors").read_bytes())
        for name in files(WORDS):
            with self.subTest(file=name):
                path = self.path("datasets", DATASET, "download", name)
                self.assertEqual(path.read_bytes(), (WORDS / name).read_bytes())

    def test_snapshot(self) -> None:
        self.same(self.path("models", REPO, "snapshot"), nodes.REAL_MODEL)

    def test_what_is_missing(self) -> None:
        for arguments, there in [
            ([TINY, "exists"], "true"), (["lab/none", "exists"], "false"),
            ([TINY, "exists", "config.json"], "true"), ([TINY, "exists", "none.json"], "false"),
        ]:
            with self.subTest(asked=arguments):
                self.assertEqual(self.ask("models", *arguments).stdout, f"{there}\n")
        missing = self.ask("models", TINY, "download", "none.json")
        self.assertEqual((missing.returncode, missing.stdout), (1, "EntryNotFound\n"), missing.stderr)


class Ranges(Case):
    """What `curl` sees of a file."""

    URL = f"/{TINY}/resolve/main/model.safetensors"

    def setUp(self) -> None:
        super().setUp()
        self.data = (world.SECOND / "model.safetensors").read_bytes()

    def curl(self, path: str, *options: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, body."""
        head, body = self.cache / "head", self.cache / "body"
        body.unlink(missing_ok=True)
        command = ["curl", "--silent", "--show-error", "--dump-header", head, "--output", body, *options]
        succeed([*command, READER.http + path])
        status, *lines = head.read_text().splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        return int(status.split()[1]), headers, body.read_bytes() if body.exists() else b""

    def test_the_whole_file(self) -> None:
        status, headers, body = self.curl(self.URL)
        self.assertEqual((status, body), (200, self.data))
        self.assertEqual(headers["content-length"], str(len(self.data)))
        self.assertEqual(headers["accept-ranges"], "bytes")
        self.assertEqual(headers["etag"], f'"{nodes.sha256(self.data)}"')
        self.assertEqual(headers["x-linked-etag"], headers["etag"])
        self.assertEqual(headers["x-linked-size"], headers["content-length"])
        self.assertEqual(headers["x-repo-commit"], COMMIT["tiny"])
        self.assertEqual([name for name in headers if name.startswith("x-xet")], [])

    def test_the_head(self) -> None:
        status, headers, body = self.curl(self.URL, "--head")
        self.assertEqual((status, headers["content-length"], headers["x-repo-commit"]),
                         (200, str(len(self.data)), COMMIT["tiny"]))

    def test_ranges(self) -> None:
        size = len(self.data)
        for asked, first, last in [
            ("0-0", 0, 0),
            ("100-199", 100, 199),
            ("1048570-1048590", 1048570, 1048590),
            ("3000000-", 3000000, size - 1),
            (f"{size - 1}-", size - 1, size - 1),
            ("10-99999999", 10, size - 1),
            ("-7", size - 7, size - 1),
        ]:
            with self.subTest(range=asked):
                status, headers, body = self.curl(self.URL, "--range", asked)
                self.assertEqual((status, body), (206, self.data[first : last + 1]))
                self.assertEqual(headers["content-range"], f"bytes {first}-{last}/{size}")

    def test_a_range_beyond_the_end(self) -> None:
        status, headers, _ = self.curl(self.URL, "--range", f"{len(self.data)}-")
        self.assertEqual((status, headers["content-range"]), (416, f"bytes */{len(self.data)}"))

    def test_a_download_goes_on_where_it_stopped(self) -> None:
        part = self.cache / "part"
        part.write_bytes(self.data[:1_500_000])
        options = ["--silent", "--show-error", "--fail", "--continue-at", "-", "--output", part]
        succeed(["curl", *options, READER.http + self.URL])
        self.assertEqual(part.read_bytes(), self.data)

    def test_errors_name_themselves(self) -> None:
        for path, status, code in [
            ("/lab/none/resolve/main/config.json", 404, "RepoNotFound"),
            (f"/{TINY}/resolve/9.9/config.json", 404, "RevisionNotFound"),
            (f"/{TINY}/resolve/main/none.json", 404, "EntryNotFound"),
            (f"/api/models/{TINY}/tree/main/none", 404, "EntryNotFound"),
        ]:
            with self.subTest(path=path):
                found, headers, body = self.curl(path)
                self.assertEqual((found, headers["x-error-code"]), (status, code))
                self.assertIsInstance(json.loads(body)["error"], str)
                if code == "EntryNotFound":
                    self.assertEqual(headers["x-repo-commit"], COMMIT["tiny"])

    def test_a_withdrawn_version_is_disabled(self) -> None:
        status, headers, _ = self.curl("/lab/broken/resolve/main/config.json")
        self.assertEqual((status, headers["x-error-message"]), (403, "Access to this resource is disabled."))

    def test_dates_are_as_the_hub_writes_them(self) -> None:
        _, _, body = self.curl(f"/api/models/{TINY}")
        for field in ("lastModified", "createdAt"):
            self.assertTrue(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", json.loads(body)[field]))


@contextlib.contextmanager
def requests() -> Iterator[list[str]]:
    """What `huggingface_hub` asks meanwhile, as it goes out."""
    made: list[str] = []
    client = hub.get_session()
    before = client.event_hooks
    note = lambda request: made.append(f"{request.method} {request.url}")
    client.event_hooks = {**before, "request": [*before["request"], note]}
    try:
        yield made
    finally:
        client.event_hooks = before


def git_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def unbase64(blob: dict) -> bytes:
    return base64.b64decode(blob["base64"])


if __name__ == "__main__":
    unittest.main()
