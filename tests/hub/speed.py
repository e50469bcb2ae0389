"""How fast the HTTP endpoint is beside nginx and beside `modelswarm get`: the same client, the same files, the same run.
See `run` beside this file: `run speed [REPEATS]`, with MODELSWARM_BIN naming a release build. Needs nginx."""

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import nodes
from nodes import Node, until

MIB = 1 << 20
LAB = Node("lab")
BIG = 512 * MIB
SMALL = 600

# Prints the seconds that the call takes, without those that it takes to start Python.
SNAPSHOT = """
import sys, time
from huggingface_hub import snapshot_download
begin = time.monotonic()
snapshot_download(sys.argv[1])
print(time.monotonic() - begin)
"""


def made(name: str, files: dict[str, int]) -> Path:
    """A folder of files of noise, each of another second: nginx makes ETags of time and size, and a client downloads what has
    the same ETag once."""
    folder = LAB.folder / name
    for number, (path, size) in enumerate(files.items()):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with open(folder / path, "wb") as file:
            for start in range(0, size, 16 * MIB):
                file.write(random.Random(f"{path} {start}").randbytes(min(16 * MIB, size - start)))
        os.utime(folder / path, (number, number))
    return folder


def reader() -> Node:
    """A node that knows the lab and has nothing of it."""
    node = Node("reader")
    node.ask("trust", "add", "lab", LAB.publisher)
    node.start("--bootstrap", LAB.address)
    nodes.published(LAB, node, set(REPOS))
    return node


def snapshot(endpoint: str, repo: str) -> float:
    """Seconds that a fresh cache takes to get a repo."""
    cache = Path(tempfile.mkdtemp(dir=nodes.SCRATCH))
    seconds = float(nodes.succeed([sys.executable, "-c", SNAPSHOT, repo], HF_ENDPOINT=endpoint, HF_HOME=str(cache)))
    gone(cache)
    return seconds


def took(call: Callable) -> float:
    begin = time.monotonic()
    call()
    return time.monotonic() - begin


def curl(url: str) -> float:
    target = nodes.SCRATCH / "curled"
    target.unlink(missing_ok=True)
    seconds = took(lambda: nodes.succeed(["curl", "--silent", "--fail", "--output", target, url]))
    assert target.stat().st_size == BIG, target.stat()
    return seconds


def get(repo: str) -> float:
    node = reader()
    seconds = took(lambda: node.ask("get", repo))
    ended(node)
    return seconds


def ended(node: Node) -> None:
    node.stop()
    gone(node.folder)


def gone(folder: Path) -> None:
    """Makes room. Small files stay to the end: for minutes ext4 looks at each inode that was freed before it gives one out,
    so whoever comes next would pay for them."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size >= MIB:
            path.unlink()


class Nginx:
    """Serves the same files, and the same answers of the API, as they were once given by the daemon."""

    def __init__(self) -> None:
        self.top = nodes.SCRATCH / "nginx"
        site = self.top / "site"
        commits = {}
        for name, folder in REPOS.items():
            info = self.copied(site, f"/api/models/lab/{name}/revision/main")
            commits[name] = info["sha"]
            self.copied(site, f"/api/models/lab/{name}/tree/{info['sha']}", "?recursive=true&expand=false")
            place = site / "lab" / name / "resolve"
            place.mkdir(parents=True)
            (place / info["sha"]).symlink_to(folder)
        port = 8100 + os.getpid() % 500
        locations = "\n".join(
            f"location /lab/{name}/ {{ add_header X-Repo-Commit {commit}; }}" for name, commit in commits.items()
        )
        (self.top / "nginx.conf").write_text(f"""
            daemon off; pid {self.top}/pid; error_log {self.top}/errors; worker_processes auto;
            events {{ worker_connections 512; }}
            http {{
              access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;
              client_body_temp_path {self.top}/t1; proxy_temp_path {self.top}/t2; fastcgi_temp_path {self.top}/t3;
              uwsgi_temp_path {self.top}/t4; scgi_temp_path {self.top}/t5;
              server {{
                listen 127.0.0.1:{port}; root {site};
                location /api/ {{ default_type application/json; }}
                {locations}
              }}
            }}
        """)
        self.process = subprocess.Popen(["nginx", "-p", self.top, "-c", self.top / "nginx.conf", "-g", "user root;"])
        self.http = f"http://127.0.0.1:{port}"
        until("nginx", lambda: subprocess.run(["curl", "-s", "-o", "/dev/null", self.http]).returncode == 0)

    def copied(self, site: Path, path: str, query: str = "") -> dict:
        with urlopen(LAB.http + path + query) as answer:
            content = answer.read()
        place = site / path.removeprefix("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return json.loads(content)


def row(what: str, ours: list[float], theirs: list[float], whose: str, bar: float) -> None:
    ours, theirs = statistics.median(ours), statistics.median(theirs)
    print(f"{what:52}  {ours:7.2f} s  {theirs:7.2f} s  {whose:32}  {theirs / ours:5.2f}  (at least {bar})", flush=True)


def main(repeats: int) -> None:
    nginx = Nginx()
    warm = reader()
    try:
        print(f"{'median of ' + str(repeats):52}  {'endpoint':>9}  {'other':>9}  {'which is':32}  {'times as fast':5}")
        for name in REPOS:
            repo = f"lab/{name}"
            warm.ask("get", repo)
            snapshot(nginx.http, repo)
            by_nginx, by_warm, by_cold, by_get = [], [], [], []
            for _ in range(repeats):
                by_nginx.append(snapshot(nginx.http, repo))
                by_warm.append(snapshot(warm.http, repo))
                node = reader()
                by_cold.append(snapshot(node.http, repo))
                ended(node)
                by_get.append(get(repo))
            row(f"snapshot_download of {name}, warm", by_warm, by_nginx, "nginx", 0.9)
            slower = max((by_get, "modelswarm get"), (by_nginx, "nginx"), key=lambda it: statistics.median(it[0]))
            row(f"snapshot_download of {name}, cold", by_cold, *slower, 0.9)
        by_nginx, by_warm, by_cold, by_get = [], [], [], []
        path = "/lab/big/resolve/main/model.safetensors"
        commit = next((nodes.SCRATCH / "nginx/site/lab/big/resolve").iterdir()).name
        for _ in range(repeats):
            by_nginx.append(curl(nginx.http + path.replace("main", commit)))
            by_warm.append(curl(warm.http + path))
            node = reader()
            by_cold.append(curl(node.http + path))
            ended(node)
            by_get.append(get("lab/big:model.safetensors"))
        row("curl of 512 MiB, warm", by_warm, by_nginx, "nginx", 0.9)
        row("curl of 512 MiB, cold", by_cold, by_get, "modelswarm get of that file", 0.9)
    finally:
        nginx.process.terminate()
        warm.stop()
        LAB.stop()


if shutil.which("nginx") is None:
    sys.exit("this needs nginx")
REPOS = {
    "big": made("big", {"model.safetensors": BIG, "config.json": 600, "tokenizer.json": 2 * MIB}),
    "small": made("small", {f"data/{number:03}.json": 4096 for number in range(SMALL)}),
}
LAB.ask("init", "--alias", "lab")
LAB.start()
for repo in REPOS.values():
    LAB.ask("seed", repo)
main(int(sys.argv[1]) if sys.argv[1:] else 5)
