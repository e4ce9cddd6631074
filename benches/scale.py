#!/usr/bin/env python3
"""Shows that layermill's cost grows as the work does, and no faster.

    cargo build --release
    benches/scale.py [--small N] [--large N] [--files F] [--values V] [--runs R] [--keep DIR]

  steps    the graph of peers.py with N leaves, small and large: all is up to date
  axes     F files of V values each that are found out while building (`from:`), F a tenth and whole: a step a value; all
           is up to date, and then one of the files has one more value
Outputs are written by this script and taken over with `layermill adopt`. `bare` (bare.c) only looks at each file once, in
turns with it: how its cost grows is the file system's doing, not the engine's.
"""
import argparse, pathlib, shutil, sys, tempfile

import graph, peers

AXES = """version: 1
targets:
  list:
    rule: command
    foreach: {n: {lines: names.txt}}
    inputs: ["in/{n}.txt"]
    run: cp {in} {out}
    output: lists/{n}.txt
    cache: false
  each:
    rule: command
    foreach: {v: {from: list, lines: true}}
    run: touch {out}
    output: out/{n}/{v}.txt
    cache: false
"""


def taken_over(root, runs, beside={}):
    for _ in range(2):  # the second one finds every file settled
        peers.run([peers.LAYERMILL, "adopt", "-q"], root)
    commands = {"layermill": ([peers.LAYERMILL, "build", "-q"], root)} | beside
    peers.measure(commands, 1)
    return lambda before=None: peers.measure(commands, runs, before)


def show(title, count, figures):
    cpu, wall, memory, _ = figures
    print(f"{title:42} {count:8} steps {cpu:8.3f} s CPU {wall:8.3f} s wall {memory:7.1f} MiB {cpu / count * 1e6:7.2f} µs/step", flush=True)
    return cpu / count


def steps(top, n, runs):
    root = top / f"steps-{n}"
    root.mkdir(parents=True, exist_ok=True)
    graph.make_leaves(root, n)
    graph.make_outputs(root, n)
    graph.layermill(root, n)
    figures = taken_over(root, runs, peers.bare(root, n, "look"))()
    shutil.rmtree(root)
    bare = show(f"bare, {n} leaves", 2 * n + 1, figures["bare"])
    return show(f"no-op, {n} leaves", 2 * n + 1, figures["layermill"]), bare


def axes(top, files, values, runs):
    root = top / f"axes-{files}"
    root.mkdir(parents=True, exist_ok=True)
    names = [f"n{i:06d}" for i in range(files)]
    (root / "names.txt").write_text("\n".join(names) + "\n")
    (root / "pipeline.yaml").write_text(AXES)
    text = "".join(f"v{v:06d}\n" for v in range(values))
    for folder in ("in", "lists"):
        (root / folder).mkdir(exist_ok=True)
        for name in names:
            (root / folder / f"{name}.txt").write_text(text)
    for name in names:
        folder = root / "out" / name
        folder.mkdir(parents=True, exist_ok=True)
        for v in range(values):
            (folder / f"v{v:06d}.txt").touch()
    measured = taken_over(root, runs)
    count = files * (values + 1)
    each = show(f"no-op, {files} files of {values} values", count, measured()["layermill"])
    more = iter(range(10_000))
    def one_more(_tool, _root):
        with open(root / f"in/{names[7]}.txt", "a") as f:
            f.write(f"more{next(more)}\n")
    show("one of the files has one more value", count, measured(one_more)["layermill"])
    shutil.rmtree(root)
    return each


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=500_000)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--values", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", help="work in this folder and leave it")
    a = parser.parse_args()
    top = pathlib.Path(a.keep or tempfile.mkdtemp(prefix="scale-")).absolute()
    (small, bare_small), (large, bare_large) = steps(top, a.small, a.runs), steps(top, a.large, a.runs)
    print(f"a step among {2 * a.large + 1} costs {large / small:.2f} times one among {2 * a.small + 1}; "
          f"for the bare loop, {bare_large / bare_small:.2f} times")
    small, large = axes(top, a.files // 10, a.values, a.runs), axes(top, a.files, a.values, a.runs)
    print(f"a step among {a.files} files of values costs {large / small:.2f} times one among {a.files // 10}")
    if not a.keep:
        shutil.rmtree(top)


if __name__ == "__main__":
    sys.exit(main())
