#!/usr/bin/env python3
"""Measures layermill against the build tools that are installed, on one graph, in one run, and prints ratios.

    cargo build --release
    benches/peers.py [--leaves N] [--runs R] [--clean] [--keep DIR]

The graph: N leaf files -> N copies -> N transforms -> 1 aggregate (2N+1 steps), a thousand files a folder.
  no-op    all is up to date
  one      one leaf changed: three steps run
  clean    nothing is there yet (with --clean: it runs 2N+1 commands a tool, so N should be small)
For no-op and one, outputs are written by this script and taken over: `layermill adopt`; a log for ninja, which knows no
such verb; make and statx need neither. Tools take turns, so that a noisy machine is noisy for all of them. CPU time is
user and system time of the tool with its children; memory is the peak of its largest process. `statx` is a bare loop
over all files of the graph, in two threads: what looking at them costs at the least.
"""
import argparse, os, pathlib, shutil, statistics, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
LAYERMILL = HERE.parent / "target" / "release" / "layermill"
PER_FOLDER = 1000

PIPELINE = """version: 1
targets:
  copy:
    rule: command
    foreach: {s: {lines: leaves.txt}}
    inputs: ["in/{s}.txt"]
    run: cp {in} {out}
    output: out/c/{s}.txt
    cache: false
  transform:
    rule: command
    foreach: {s: {lines: leaves.txt}}
    inputs: [copy]
    run: tr a-z A-Z < {in} > {out}
    output: out/t/{s}.txt
    cache: false
  all:
    rule: command
    inputs: [transform]
    run: find out/t -type f | wc -l > {out}
    output: out/all.txt
    cache: false
"""

STATX = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include <sys/stat.h>
static char **path; static long count, next;
static void *look(void *unused) {
    struct statx s; long i;
    while ((i = __atomic_fetch_add(&next, 256, __ATOMIC_RELAXED)) < count)
        for (long j = i; j < count && j < i + 256; j++)
            if (statx(AT_FDCWD, path[j], AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &s)) exit(1);
    return unused;
}
int main(void) {
    char line[4096]; long room = 0; pthread_t other;
    FILE *list = fopen("files.txt", "r");
    while (list && fgets(line, sizeof line, list)) {
        line[strcspn(line, "\n")] = 0;
        if (count == room) path = realloc(path, (room = room ? room * 2 : 1024) * sizeof *path);
        path[count++] = strdup(line);
    }
    pthread_create(&other, 0, look, 0); look(0); pthread_join(other, 0);
    return 0;
}
"""


def name(i):
    return f"{i // PER_FOLDER:04d}/{i:06d}"


def aggregate(out):
    return f"find out/t -type f | wc -l > {out}"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make_graph(root, n):
    """Leaves, and the graph as each tool wants it."""
    for i in range(n):
        if i % PER_FOLDER == 0:
            for top in ("in", "out/c", "out/t"):
                (root / top / name(i)).parent.mkdir(parents=True, exist_ok=True)
        (root / f"in/{name(i)}.txt").write_text(f"leaf {i}\n")
    write(root / "leaves.txt", "".join(f"{name(i)}\n" for i in range(n)))
    write(root / "pipeline.yaml", PIPELINE)
    with open(root / "build.ninja", "w") as f:
        f.write("rule cp\n command = cp $in $out\nrule tr\n command = tr a-z A-Z < $in > $out\n")
        f.write(f"rule all\n command = {aggregate('$out')}\n")
        for i in range(n):
            f.write(f"build out/c/{name(i)}.txt: cp in/{name(i)}.txt\nbuild out/t/{name(i)}.txt: tr out/c/{name(i)}.txt\n")
        f.write("build out/all.txt: all | " + " ".join(f"out/t/{name(i)}.txt" for i in range(n)) + "\n")
    with open(root / "Makefile", "w") as f:
        f.write("MAKEFLAGS += -rR\nout/all.txt: " + " ".join(f"out/t/{name(i)}.txt" for i in range(n)))
        f.write(f"\n\t@{aggregate('$@')}\n")
        for i in range(n):
            f.write(f"out/c/{name(i)}.txt: in/{name(i)}.txt\n\t@cp $< $@\n")
            f.write(f"out/t/{name(i)}.txt: out/c/{name(i)}.txt\n\t@tr a-z A-Z < $< > $@\n")


def make_outputs(root, n):
    """Every output, in build order."""
    for top, text in (("c", "leaf {}\n"), ("t", "LEAF {}\n")):
        for i in range(n):
            (root / f"out/{top}/{name(i)}.txt").write_text(text.format(i))
        time.sleep(0.05)
    write(root / "out/all.txt", f"{n}\n")


def murmur64a(data):
    """The hash of a command in ninja's log, version 5."""
    m, mask = 0xC6A4A7935BD1E995, (1 << 64) - 1
    mix = lambda k: (k ^ (k >> 47))
    h = (0xDECAFBADDECAFBAD ^ (len(data) * m)) & mask
    for at in range(0, len(data) - 7, 8):
        k = int.from_bytes(data[at:at + 8], "little") * m & mask
        h = (h ^ (mix(k) * m & mask)) * m & mask
    rest = data[len(data) // 8 * 8:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = mix(h) * m & mask
    return mix(h)


def make_ninja_log(root, n):
    def entry(out, command):
        return f"0\t1\t{os.stat(root / out).st_mtime_ns}\t{out}\t{murmur64a(command.encode()):x}\n"
    with open(root / ".ninja_log", "w") as f:
        f.write("# ninja log v5\n")
        for i in range(n):
            leaf, copy, made = (f"{top}/{name(i)}.txt" for top in ("in", "out/c", "out/t"))
            f.write(entry(copy, f"cp {leaf} {copy}") + entry(made, f"tr a-z A-Z < {copy} > {made}"))
        f.write(entry("out/all.txt", aggregate("out/all.txt")))


def run(command, cwd):
    """CPU seconds, wall seconds, peak MiB."""
    start = time.perf_counter()
    child = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    errors = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    if status:
        sys.exit(f"{command[0]} failed:\n{errors}")
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024


def measure(tools, runs, before=lambda root, turn: None):
    taken = {tool: [] for tool in tools}
    for turn in range(runs):
        for tool, (command, root) in tools.items():
            before(root, turn)
            taken[tool].append(run(command, root))
    return {tool: [statistics.median(column) for column in zip(*rows)] for tool, rows in taken.items()}


def table(title, figures, per):
    print(f"\n{title}\n{'':12} {'CPU s':>8} {'wall s':>8} {'MiB':>7} {'µs CPU/step':>12}   layermill's part of it: CPU, wall")
    ours = figures["layermill"]
    for tool, (cpu, wall, memory) in figures.items():
        part = "" if tool == "layermill" else f"   {ours[0] / max(cpu, 1e-9):.2f}, {ours[1] / max(wall, 1e-9):.2f}"
        print(f"{tool:12} {cpu:8.3f} {wall:8.3f} {memory:7.1f} {cpu / per * 1e6:12.2f}{part}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leaves", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--clean", action="store_true", help="measure clean builds too")
    parser.add_argument("--keep", help="work in this folder and leave it")
    a = parser.parse_args()
    if not LAYERMILL.exists():
        sys.exit("target/release/layermill is missing: cargo build --release")
    top = pathlib.Path(a.keep or tempfile.mkdtemp(prefix="peers-"))
    commands = {"layermill": [str(LAYERMILL), "build", "-q"], "ninja": ["ninja"], "samurai": ["samu"],
                "make": ["make", f"-j{os.cpu_count()}"]}
    present = {tool: command for tool, command in commands.items() if tool == "layermill" or shutil.which(command[0])}
    print(f"{a.leaves} leaves, {2 * a.leaves + 1} steps, {os.cpu_count()} cores, medians of {a.runs};"
          f" not installed: {', '.join(sorted(set(commands) - set(present))) or 'none'}")
    tools = {}
    for tool, command in present.items():
        root = top / tool
        if not (root / "pipeline.yaml").exists():
            make_graph(root, a.leaves)
        tools[tool] = (command, root)
    steps = 2 * a.leaves + 1

    if a.clean:
        def empty(root, _turn):
            shutil.rmtree(root / "out", ignore_errors=True)
            shutil.rmtree(root / ".layermill", ignore_errors=True)
            (root / ".ninja_log").unlink(missing_ok=True)
            for i in range(0, a.leaves, PER_FOLDER):
                for folder in ("out/c", "out/t"):
                    (root / folder / name(i)).parent.mkdir(parents=True, exist_ok=True)
        table("clean build", measure(tools, max(1, a.runs // 2), empty), steps)
    else:
        for tool, (command, root) in list(tools.items()):
            make_outputs(root, a.leaves)
            if tool == "layermill":
                for _ in range(2):  # the second one finds every file settled
                    run([str(LAYERMILL), "adopt", "-q"], root)
            if tool == "ninja":
                make_ninja_log(root, a.leaves)
            if tool == "samurai":
                # It has no way to take outputs over.
                del tools[tool]
    no_op = dict(tools)
    if shutil.which("cc"):
        root = tools["layermill"][1]
        write(root / "statx.c", STATX)
        subprocess.run(["cc", "-O2", "-o", "statx", "statx.c", "-lpthread"], cwd=root, check=True)
        files = [f"{top}/{name(i)}.txt" for i in range(a.leaves) for top in ("in", "out/c", "out/t")] + ["out/all.txt"]
        write(root / "files.txt", "\n".join(files) + "\n")
        no_op["statx"] = (["./statx"], root)
    for tool, (command, root) in no_op.items():
        run(command, root)  # warm
    table("no-op", measure(no_op, a.runs), steps)

    def touch(root, turn):
        write(root / f"in/{name(7)}.txt", f"leaf 7 in turn {turn} at {time.time_ns()}\n")
    table("one leaf changed", measure(tools, a.runs, touch), steps)
    if not a.keep:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
