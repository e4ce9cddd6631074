#!/usr/bin/env python3
"""Measures layermill against the build tools that are installed, on one graph, in one run, and prints ratios.

    cargo build --release
    benches/peers.py [--leaves N] [--clean-leaves N] [--slow-leaves N] [--runs R] [--keep DIR]

The graph (graph.py): N leaf files -> N copies -> N transforms -> 1 aggregate, 2N+1 steps.
  clean    nothing is there yet: 2N+1 commands a tool
  no-op    all is up to date
  one      one leaf changed: three steps run
Three sizes: --slow-leaves for all tools, with real builds; --clean-leaves for the fast ones; and --leaves, no-op and one
leaf alone, for tools that can take over outputs which this script writes (`layermill adopt`; a log for ninja and
samurai, which know no such verb; make needs nothing). Tools are looked for on PATH; those that are not there are named. They take
turns, so that a noisy machine is noisy for all of them. CPU time is user and system time of the tool with its
children; memory is the peak of its largest process. `bare` is no tool (bare.c): a loop that looks at each file once, or
that only runs the commands. What a tool costs beyond that is the engine's own. Of builds, the CPU time of the tool's own
process is told, too, without the programs that it starts, and without shells.
"""
import argparse, os, pathlib, shutil, statistics, subprocess, sys, tempfile

import graph

HERE = pathlib.Path(__file__).resolve().parent
LAYERMILL = os.environ.get("LAYERMILL", str(HERE.parent / "target" / "release" / "layermill"))
CORES = os.cpu_count()
PROGRAMS = tempfile.TemporaryDirectory(prefix="peers-programs-")

# Name: how its graph is written, its command, what it keeps beside the outputs.
TOOLS = {
    "layermill": (graph.layermill, [LAYERMILL, "build", "-q"], ".layermill"),
    "ninja": (graph.ninja, ["ninja"], ".ninja_log"),
    "samurai": (graph.ninja, ["samu"], ".ninja_log"),
    "make": (graph.make, ["make", f"-j{CORES}"], None),
    "doit": (graph.doit, ["doit", "-n", str(CORES)], ".doit.db"),
    "task": (graph.task, ["task", "-C", str(CORES)], ".task"),
    "snakemake": (graph.snakemake, ["snakemake", "-q", "all", "-c", str(CORES)], ".snakemake"),
    "dvc": (graph.dvc, ["dvc", "repro", "-q"], "dvc.lock"),
}
SLOW = {"doit", "task", "snakemake", "dvc"}


def compiled(name):
    """The program of a C file beside this one, compiled once a run."""
    program = pathlib.Path(PROGRAMS.name) / name
    if not program.exists():
        subprocess.run(["cc", "-O2", "-o", program, HERE / f"{name}.c", "-lpthread"], check=True)
    return str(program)


def run(command, cwd):
    """CPU seconds, wall seconds, peak MiB, CPU seconds of its own process."""
    figures = pathlib.Path(PROGRAMS.name) / "figures"
    done = subprocess.run([compiled("usage"), figures, *command], cwd=cwd, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{command[0]} failed in {cwd}:\n{done.stderr}")
    cpu, wall, peak, own = map(float, figures.read_text().split())
    return cpu, wall, peak / 1024, own


def measure(commands, runs, before=None):
    """Medians of each tool, in turns. `before` is called with a tool's name and folder ahead of each run."""
    taken = {tool: [] for tool in commands}
    for _ in range(runs):
        for tool, (command, root) in commands.items():
            if before:
                before(tool, root)
            taken[tool].append(run(command, root))
    return {tool: [statistics.median(column) for column in zip(*rows)] for tool, rows in taken.items()}


def table(title, figures, steps, with_own=False):
    print(f"\n{title}, {steps} steps")
    print(f"{'':10} {'CPU s':>8} {'wall s':>8} {'MiB':>6} {'µs CPU/step':>12}   layermill's part of it: CPU, wall")
    cpu, wall, *_ = figures["layermill"]
    bare = figures.get("bare", [0])[0]
    for tool, (c, w, memory, own) in figures.items():
        line = f"{tool:10} {c:8.3f} {w:8.3f} {memory:6.1f} {c / steps * 1e6:12.2f}"
        if tool != "layermill":
            line += f"   {cpu / max(c, 1e-9):.2f}, {wall / max(w, 1e-9):.2f}"
        if bare and tool != "bare":
            line += f"   {(c - bare) / steps * 1e6:.2f} beyond bare"
        if with_own:
            line += f"   {own / steps * 1e6:.2f} in its own process"
        print(line, flush=True)


def empty(tool, root):
    shutil.rmtree(root / "out", ignore_errors=True)
    kept = TOOLS[tool][2] if tool in TOOLS else None
    if kept:
        path = root / kept
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    graph.make_folders(root, len((root / "leaves.txt").read_text().split()))


def prepare(top, tools, n):
    """Each tool's folder with its graph, the bare loops' beside them."""
    commands = {}
    for tool in tools:
        root = top / f"{tool}-{n}"
        if not (root / "leaves.txt").exists():
            root.mkdir(parents=True, exist_ok=True)
            graph.make_leaves(root, n)
            TOOLS[tool][0](root, n)
            if tool == "dvc":
                subprocess.run(["dvc", "init", "-q", "--no-scm"], cwd=root, check=True)
        commands[tool] = (TOOLS[tool][1], root)
    return commands


def bare(root, n, what):
    """The bare loop over one tool's folder."""
    files = [*graph.paths("in", n), *graph.paths("out/c", n), *graph.paths("out/t", n), "out/all.txt"]
    (root / "files.txt").write_text("\n".join(files) + "\n")
    return {"bare": ([compiled("bare"), what], root)}


def built(top, tools, n, runs):
    """Real builds, then what comes after them."""
    commands = prepare(top, tools, n)
    alone = top / f"bare-{n}"
    alone.mkdir(exist_ok=True)
    graph.make_leaves(alone, n)
    table("clean build", measure(commands | bare(alone, n, "run"), runs, empty), 2 * n + 1, with_own=True)
    for command, root in commands.values():
        run(command, root)
    looks = bare(commands["layermill"][1], n, "look")
    table("no-op", measure(commands | looks, runs), 2 * n + 1)
    table("one leaf changed", measure(commands, runs, lambda _, root: graph.change_leaf(root)), 2 * n + 1)


def taken_over(top, tools, n, runs):
    """Outputs that this script writes, where running so many commands would take too long."""
    commands = prepare(top, tools, n)
    for tool, (_, root) in commands.items():
        graph.make_outputs(root, n)
        if tool in ("ninja", "samurai"):
            graph.ninja_log(root, n)
    adopt = [LAYERMILL, "adopt", "-q"]
    for _ in range(2):  # the second one finds every file settled
        run(adopt, commands["layermill"][1])
    looks = bare(commands["layermill"][1], n, "look")
    measure(commands | looks, 1)  # warm
    table("no-op", measure(commands | looks, runs), 2 * n + 1)
    table("one leaf changed", measure(commands, runs, lambda _, root: graph.change_leaf(root)), 2 * n + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leaves", type=int, default=100_000)
    parser.add_argument("--clean-leaves", type=int, default=1000)
    parser.add_argument("--slow-leaves", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", help="work in this folder and leave it")
    a = parser.parse_args()
    if not pathlib.Path(LAYERMILL).exists():
        sys.exit("target/release/layermill is missing: cargo build --release")
    top = pathlib.Path(a.keep or tempfile.mkdtemp(prefix="peers-")).absolute()
    top.mkdir(parents=True, exist_ok=True)
    present = [tool for tool, (_, command, _) in TOOLS.items() if shutil.which(command[0])]
    absent = [tool for tool in TOOLS if tool not in present]
    print(f"{CORES} cores, medians of {a.runs} (of {max(1, a.runs // 2)} for builds); not installed: {', '.join(absent) or 'none'}")
    fast = [tool for tool in present if tool not in SLOW]
    built(top, present, a.slow_leaves, max(1, a.runs // 2))
    built(top, fast, a.clean_leaves, max(1, a.runs // 2))
    taken_over(top, fast, a.leaves, a.runs)
    if not a.keep:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
