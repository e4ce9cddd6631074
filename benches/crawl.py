#!/usr/bin/env python3
"""Measures a cold crawl against other clients of registries, in one run, and prints ratios.

    apt-get install docker-registry nginx-light wrk skopeo
    cargo build --release && cargo build --release --manifest-path benches/clients/Cargo.toml
    SEED_REGISTRY=seed_registry.py benches/crawl.py [--repos K] [--tags T] [--runs R] [--keep DIR]

A script of your own (`--seed-registry`, or SEED_REGISTRY) fills a registry: it is called with the registry's URL, `--repos
K --tags T --expect FILE`, and writes a line `repository, tag, digest, media type, …` for each tag, separated by tabs.
All that it makes is served twice: by Debian's docker-registry, and by nginx from a static tree of the same content with
the same headers. Clients take turns, each with one warm-up; CPU is user and system time of the client with its children,
memory the peak of its largest process, and all figures are medians.

  layermill     tags and layers of all, from nothing: a tag file a repository, a layer file a tag, a store of manifests
  bare          a loop over the same requests that verifies digests and keeps nothing (clients/)
  keeping       the same loop, which puts in place a file for each manifest and config and one for each tag (clients/)
  oci-client    a loop over the crate of this name: manifest and config of each tag (clients/)
  wrk           GETs of the same manifests and configs, which it neither reads nor verifies
  skopeo, crane a process a tag, of a sample of the tags; times are scaled up to all of them, memory is that of one
"""
import argparse, json, os, pathlib, re, shutil, socket, statistics, subprocess, sys, tempfile, time, urllib.request

import peers

HERE = pathlib.Path(__file__).resolve().parent
CLIENTS = os.environ.get("CLIENTS", str(HERE / "clients" / "target" / "release" / "clients"))
SEED = os.environ.get("SEED_REGISTRY", str(HERE.parent.parent / "shared" / "bench" / "seed_registry.py"))
IN_FLIGHT = 64
KINDS = {
    "application/vnd.oci.image.index.v1+json": "oci-index",
    "application/vnd.oci.image.manifest.v1+json": "oci-image",
    "application/vnd.docker.distribution.manifest.list.v2+json": "docker-index",
    "application/vnd.docker.distribution.manifest.v2+json": "docker-image",
}
PIPELINE = """version: 1
sources:
  bed: {{kind: registry, url: "http://{host}", concurrency: {in_flight}}}
targets:
  get_tag:
    rule: tags
    source: bed
    foreach: {{repo: {{lines: repositories.txt}}}}
    output: result/tags/{{repo}}.json
  get_layer:
    rule: layers
    source: bed
    foreach: {{tag: {{from: get_tag, select: all}}}}
    output: result/layers/{{repo}}/{{tag}}.json
"""
REGISTRY = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  cache: {{blobdescriptor: inmemory}}
  filesystem: {{rootdirectory: "{data}", maxthreads: 200}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: "{host}", secret: bed}}
"""
NGINX = """daemon off;
worker_processes 1;
pid {top}/nginx.pid;
error_log {top}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {top}/tmp; proxy_temp_path {top}/tmp; fastcgi_temp_path {top}/tmp;
  uwsgi_temp_path {top}/tmp; scgi_temp_path {top}/tmp;
  keepalive_requests 100000000;
  open_file_cache max=100000;
  map_hash_max_size 262144; map_hash_bucket_size 256;
  map $name:$reference $tagged {{ include {top}/tagged.map; }}
  map $hex $file {{ include {top}/files.map; }}
  map $tagged $digest {{ "~^(?<start>[0-9a-f]+)" sha256:$start; }}
  types {{ {types} }}
  server {{
    listen {host};
    root {top}/static;
    location = /v2/ {{ default_type application/json; return 200 "{{}}"; }}
    location = /requests {{ stub_status; }}
    location ~ "^/v2/(?<name>.+)/tags/list$" {{ default_type application/json; try_files /tags/$name =404; }}
    location ~ "^/v2/.+/manifests/sha256:(?<hex>[0-9a-f]+)$" {{
      add_header Docker-Content-Digest sha256:$hex; try_files /manifests/$file =404;
    }}
    location ~ "^/v2/(?<name>.+)/manifests/(?<reference>[^/:]+)$" {{
      add_header Docker-Content-Digest $digest; try_files /manifests/$tagged =404;
    }}
    location ~ "^/v2/.+/blobs/sha256:(?<hex>[0-9a-f]+)$" {{
      default_type application/octet-stream; try_files /blobs/$hex =404;
    }}
  }}
}}
"""
WRK = """local paths, n = {}, 0
for path in io.lines("gets.txt") do paths[#paths + 1] = path end
wrk.headers["Accept"] = "%s"
request = function() n = n %% #paths + 1; return wrk.format("GET", paths[n]) end
"""


def get(host, path):
    with urllib.request.urlopen(f"http://{host}{path}") as answer:
        return answer.read().decode()


def started(command, host, path):
    """A server, once it answers."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            get(host, path)
            return server
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{command[0]} does not start")


def free_host():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{s.getsockname()[1]}"


def registry(top, host):
    (top / "registry.yml").write_text(REGISTRY.format(data=top / "data", host=host))
    return started(["docker-registry", "serve", top / "registry.yml"], host, "/v2/")


def nginx(top, host):
    types = " ".join(f"{media_type} {kind};" for media_type, kind in KINDS.items())
    (top / "nginx.conf").write_text(NGINX.format(top=top, host=host, types=types))
    return started([shutil.which("nginx") or "/usr/sbin/nginx", "-c", top / "nginx.conf"], host, "/v2/")


def seed(top, host, a):
    """Fills the registry, unless an earlier run with --keep did."""
    if not (top / "truth.tsv").exists():
        size = ["--repos", str(a.repos), "--tags", str(a.tags)]
        subprocess.run([sys.executable, a.seed_registry, f"http://{host}", *size, "--expect", top / "truth.part"], check=True)
        (top / "truth.part").rename(top / "truth.tsv")
    return [line.split("\t")[:4] for line in (top / "truth.tsv").read_text().splitlines()]


def export(top, rows):
    """The static tree, as links to the registry's own files; what a crawl gets of it, and in which order."""
    static = top / "static"
    shutil.rmtree(static, ignore_errors=True)
    for folder in ("tags", "manifests", "blobs"):
        (static / folder).mkdir(parents=True)
    (top / "tmp").mkdir(exist_ok=True)
    kept = lambda digest: top / "data/docker/registry/v2/blobs/sha256" / digest[7:9] / digest[7:] / "data"
    files, tagged, tags, gets = {}, {}, {}, []

    def manifest(repo, digest, media_type):
        if digest in files:
            return
        files[digest] = f"{digest[7:]}.{KINDS[media_type]}"
        os.link(kept(digest), static / "manifests" / files[digest])
        gets.append(f"/v2/{repo}/manifests/{digest}")
        body = json.loads(kept(digest).read_text())
        for child in body.get("manifests", []):
            if child["platform"]["architecture"] == "amd64":
                manifest(repo, child["digest"], child["mediaType"])
        config = body.get("config", {}).get("digest")
        if config and not (static / "blobs" / config[7:]).exists():
            os.link(kept(config), static / "blobs" / config[7:])
            gets.append(f"/v2/{repo}/blobs/{config}")

    for repo, tag, digest, media_type in rows:
        manifest(repo, digest, media_type)
        tagged[f"{repo}:{tag}"] = files[digest]
        tags.setdefault(repo, []).append(tag)
    for repo, names in tags.items():
        path = static / "tags" / repo
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"name": repo, "tags": names}))
    (top / "tagged.map").write_text("".join(f"{name} {file};\n" for name, file in tagged.items()))
    (top / "files.map").write_text("".join(f"{digest[7:]} {file};\n" for digest, file in files.items()))
    (top / "repositories.txt").write_text("\n".join(tags) + "\n")
    (top / "gets.txt").write_text("\n".join(gets) + "\n")
    (top / "wrk.lua").write_text(WRK % ", ".join(KINDS))
    return list(tags), gets


def project(top, host):
    """A folder in which nothing was crawled yet. Old ones go at the end: file systems are slow to make files where many
    were just removed."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="project-", dir=top / "work"))
    (root / "pipeline.yaml").write_text(PIPELINE.format(host=host, in_flight=IN_FLIGHT))
    shutil.copy(top / "repositories.txt", root)
    return root


def layermill(root, target):
    return peers.run([peers.LAYERMILL, "build", "-q", target], root)[:3]


def client(root, host, which):
    return peers.run([CLIENTS, which, host, "repositories.txt", str(IN_FLIGHT)], root)[:3]


def wrk(top, host, seconds):
    """GETs a second."""
    command = ["wrk", "-t2", f"-c{IN_FLIGHT}", f"-d{seconds}s", "-s", "wrk.lua", f"http://{host}"]
    said = subprocess.run(command, cwd=top, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said:
        sys.exit(f"wrk got errors:\n{said}")
    return float(re.search(r"Requests/sec: *([0-9.]+)", said)[1])


def sampled(top, host, rows, count, command):
    """A process a tag, sixteen at once, scaled up to all tags."""
    sample = rows[:: max(1, len(rows) // count)][:count]
    names = "\n".join(f"{host}/{repo}:{tag}" for repo, tag, *_ in sample)
    (top / "sample.txt").write_text(names + "\n")
    cpu, wall, memory, _ = peers.run(["xargs", "-a", "sample.txt", "-P16", "-I{}", *command], top)
    return cpu * len(rows) / len(sample), wall * len(rows) / len(sample), memory


def medians(rows):
    return [statistics.median(column) for column in zip(*rows)]


def counted(host, crawl):
    """Figures of a crawl with the number of its requests, but for those that count."""
    requests = lambda: int(get(host, "/requests").split("requests\n")[1].split()[2])
    before = requests()
    return *crawl(), requests() - before - 1


def against_nginx(top, host, rows, a):
    crawls = {
        "layermill": lambda: layermill(project(top, host), "get_layer"),
        "bare": lambda: client(top, host, "bare"),
        "keeping": lambda: client(project(top, host), host, "keeping"),
        "oci-client": lambda: client(top, host, "oci"),
    }
    clis = {
        "skopeo": ["skopeo", "inspect", "--no-tags", "--tls-verify=false", "docker://{}"],
        "crane": ["crane", "config", "--insecure", "{}"],
    }
    crawls["bare"]()
    taken = {name: [] for name in crawls}
    for _ in range(a.runs):
        for name, crawl in crawls.items():
            taken[name].append(counted(host, crawl))
    figures = {name: medians(runs) for name, runs in taken.items()}
    for name, command in clis.items():
        if shutil.which(command[0]):
            figures[f"{name} *"] = [*sampled(top, host, rows, a.sample, command), 0]
    get_rate = wrk(top, host, a.wrk_seconds)
    print(f"\nagainst nginx, {len(rows)} tags (wrk: {get_rate:.0f} GETs/s)")
    print(f"{'':12} {'CPU s':>8} {'wall s':>8} {'MiB':>6} {'requests':>9} {'a second':>9}   layermill's part of it: CPU, wall")
    cpu, wall, *_ = figures["layermill"]
    for name, (c, w, memory, requests) in figures.items():
        rate = f"{requests:9.0f} {requests / w:9.0f}" if requests else " " * 19
        part = "" if name == "layermill" else f"   {cpu / c:.2f}, {wall / w:.2f}"
        print(f"{name:12} {c:8.2f} {w:8.2f} {memory:6.1f} {rate}{part}", flush=True)
    print(f"* of {a.sample} tags, scaled up to all")
    per_second = {name: requests / w for name, (_, w, _, requests) in figures.items()}
    for name in ("layermill", "keeping"):
        print(f"{name} reaches {per_second[name] / per_second['bare']:.0%} of the rate of the bare loop, with "
              f"{figures[name][0] / figures['oci-client'][0]:.0%} of the CPU time of oci-client")


def against_registry(top, host, rows, gets, a):
    wrk(top, host, a.wrk_seconds)  # warm
    taken = []
    for _ in range(a.registry_runs):
        root = project(top, host)
        tags, layers = (layermill(root, target)[1] for target in ("get_tag", "get_layer"))
        taken.append((tags, layers, client(top, host, "bare")[1], wrk(top, host, a.wrk_seconds)))
    tags, layers, bare, rate = medians(taken)
    print(f"\nagainst docker-registry, {len(rows)} tags, medians of {a.registry_runs}")
    print(f"wrk                  {rate:6.0f} GETs/s")
    print(f"layermill get_layer  {len(gets) / layers:6.0f} GETs/s, {layers:.1f} s: {len(gets) / layers / rate:.0%} of wrk's rate")
    print(f"layermill get_tag    {len(rows) / tags:6.0f} HEADs/s, {tags:.1f} s")
    print(f"layermill, both      {tags + layers:6.1f} s; the bare loop needs {bare:.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repos", type=int, default=1000)
    parser.add_argument("--tags", type=int, default=10)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--registry-runs", type=int, default=3, help="0 leaves docker-registry out")
    parser.add_argument("--sample", type=int, default=200)
    parser.add_argument("--wrk-seconds", type=int, default=10)
    parser.add_argument("--seed-registry", default=SEED)
    parser.add_argument("--work", help="crawl into this folder, which may be on a file system of another kind")
    parser.add_argument("--keep", help="work in this folder, with what an earlier run put there, and leave it")
    a = parser.parse_args()
    for program in (peers.LAYERMILL, CLIENTS):
        if not pathlib.Path(program).exists():
            sys.exit(f"{program} is missing: see --help")
    top = pathlib.Path(a.keep or tempfile.mkdtemp(prefix="crawl-")).absolute()
    top.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="crawl-", dir=a.work or top))
    (top / "work").unlink(missing_ok=True)
    (top / "work").symlink_to(work.absolute())
    peers.compiled("usage")
    servers = []
    try:
        host = free_host()
        servers.append(registry(top, host))
        rows = seed(top, host, a)
        repositories, gets = export(top, rows)
        print(f"{peers.CORES} cores, medians of {a.runs}; {len(repositories)} repositories, {len(rows)} tags, {len(gets)} GETs")
        static = free_host()
        servers.append(nginx(top, static))
        against_nginx(top, static, rows, a)
        if a.registry_runs:
            against_registry(top, host, rows, gets, a)
    finally:
        for server in servers:
            server.terminate()
            server.wait()
        shutil.rmtree(work)
    if not a.keep:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
