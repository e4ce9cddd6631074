"""The graph that build tools are measured on, as each of them wants it: N leaf files -> N copies -> N transforms -> 1
aggregate, 2N+1 steps, a thousand files a folder."""
import os, pathlib, time

PER_FOLDER = 1000
AGGREGATE = "find out/t -type f | wc -l > "


def name(i):
    return f"{i // PER_FOLDER:04d}/{i:06d}"


def paths(top, n):
    return [f"{top}/{name(i)}.txt" for i in range(n)]


def write_files(root, top, n, text):
    """`top/NAME.txt` for each name, written from its folder: millions of files take minutes otherwise."""
    for first in range(0, n, PER_FOLDER):
        folder = root / top / f"{first // PER_FOLDER:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        at = os.open(folder, os.O_RDONLY)
        for i in range(first, min(first + PER_FOLDER, n)):
            file = os.open(f"{i:06d}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644, dir_fd=at)
            os.write(file, text.format(i).encode())
            os.close(file)
        os.close(at)


def make_leaves(root, n):
    write_files(root, "in", n, "leaf {}\n")
    (root / "leaves.txt").write_text("".join(f"{name(i)}\n" for i in range(n)))
    make_folders(root, n)


def make_folders(root, n):
    """Some tools make no folders for their outputs."""
    for i in range(0, n, PER_FOLDER):
        for top in ("out/c", "out/t"):
            (root / top / name(i)).parent.mkdir(parents=True, exist_ok=True)


def make_outputs(root, n):
    """Every output, in build order."""
    write_files(root, "out/c", n, "leaf {}\n")
    time.sleep(0.05)
    write_files(root, "out/t", n, "LEAF {}\n")
    time.sleep(0.05)
    (root / "out/all.txt").write_text(f"{n}\n")


def change_leaf(root):
    (root / f"in/{name(7)}.txt").write_text(f"leaf 7 at {time.time_ns()}\n")


def layermill(root, n):
    step = """  {}:
    rule: command
    foreach: {{s: {{lines: leaves.txt}}}}
    inputs: [{}]
    run: {}
    output: {}
    cache: false
"""
    (root / "pipeline.yaml").write_text(
        "version: 1\ntargets:\n"
        + step.format("copy", '"in/{s}.txt"', "cp {in} {out}", "out/c/{s}.txt")
        + step.format("transform", "copy", "tr a-z A-Z < {in} > {out}", "out/t/{s}.txt")
        + f"  all:\n    rule: command\n    inputs: [transform]\n    run: {AGGREGATE}{{out}}\n"
        + "    output: out/all.txt\n    cache: false\n")


def ninja(root, n):
    with open(root / "build.ninja", "w") as f:
        f.write("rule cp\n command = cp $in $out\nrule tr\n command = tr a-z A-Z < $in > $out\n")
        f.write(f"rule all\n command = {AGGREGATE}$out\n")
        for leaf, copy, made in zip(paths("in", n), paths("out/c", n), paths("out/t", n)):
            f.write(f"build {copy}: cp {leaf}\nbuild {made}: tr {copy}\n")
        f.write("build out/all.txt: all | " + " ".join(paths("out/t", n)) + "\n")


def make(root, n):
    with open(root / "Makefile", "w") as f:
        f.write("MAKEFLAGS += -rR\nout/all.txt: " + " ".join(paths("out/t", n)) + f"\n\t@{AGGREGATE}$@\n")
        for leaf, copy, made in zip(paths("in", n), paths("out/c", n), paths("out/t", n)):
            f.write(f"{copy}: {leaf}\n\t@cp $< $@\n{made}: {copy}\n\t@tr a-z A-Z < $< > $@\n")


def doit(root, n):
    (root / "dodo.py").write_text(f'''DOIT_CONFIG = {{"default_tasks": ["all"], "verbosity": 0}}
NAMES = open("leaves.txt").read().split()
def tasks(command, source, target):
    for s in NAMES:
        a, b = f"{{source}}/{{s}}.txt", f"{{target}}/{{s}}.txt"
        yield dict(name=s, file_dep=[a], targets=[b], actions=[command.format(a, b)])
def task_copy(): yield from tasks("cp {{}} {{}}", "in", "out/c")
def task_transform(): yield from tasks("tr a-z A-Z < {{}} > {{}}", "out/c", "out/t")
def task_all():
    return dict(file_dep=[f"out/t/{{s}}.txt" for s in NAMES], targets=["out/all.txt"], actions=["{AGGREGATE}out/all.txt"])
''')


def task(root, n):
    with open(root / "Taskfile.yml", "w") as f:
        f.write("version: '3'\nsilent: true\ntasks:\n")
        f.write("  default:\n    deps: [" + ", ".join(f"t{i}" for i in range(n)) + "]\n"
                f"    sources: ['out/t/**/*.txt']\n    generates: [out/all.txt]\n    cmds: ['{AGGREGATE}out/all.txt']\n")
        for i, (leaf, copy, made) in enumerate(zip(paths("in", n), paths("out/c", n), paths("out/t", n))):
            f.write(f"  c{i}:\n    sources: [{leaf}]\n    generates: [{copy}]\n    cmds: ['cp {leaf} {copy}']\n"
                    f"  t{i}:\n    deps: [c{i}]\n    sources: [{copy}]\n    generates: [{made}]\n"
                    f"    cmds: ['tr a-z A-Z < {copy} > {made}']\n")


def snakemake(root, n):
    (root / "Snakefile").write_text(f'''NAMES = open("leaves.txt").read().split()
rule all:
    input: "out/all.txt"
rule copy:
    input: "in/{{s}}.txt"
    output: "out/c/{{s}}.txt"
    shell: "cp {{input}} {{output}}"
rule transform:
    input: "out/c/{{s}}.txt"
    output: "out/t/{{s}}.txt"
    shell: "tr a-z A-Z < {{input}} > {{output}}"
rule aggregate:
    input: expand("out/t/{{s}}.txt", s=NAMES)
    output: "out/all.txt"
    shell: "{AGGREGATE}{{output}}"
''')


def dvc(root, n):
    (root / "params.yaml").write_text("names:\n" + "".join(f'  - "{name(i)}"\n' for i in range(n)))
    stage = """  {}:
    foreach: ${{names}}
    do:
      cmd: {} {}/${{item}}.txt {}out/{}/${{item}}.txt
      deps: ["{}/${{item}}.txt"]
      outs: [{{"out/{}/${{item}}.txt": {{cache: false}}}}]
"""
    (root / "dvc.yaml").write_text(
        "vars: [params.yaml]\nstages:\n"
        + stage.format("copy", "cp", "in", "", "c", "in", "c")
        + stage.format("transform", "tr a-z A-Z <", "out/c", "> ", "t", "out/c", "t")
        + f"  all:\n    cmd: {AGGREGATE}out/all.txt\n    outs: [out/all.txt: {{cache: false}}]\n    deps:\n"
        + "".join(f"      - {made}\n" for made in paths("out/t", n)))


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


def ninja_log(root, n):
    """What ninja, or samurai, would have recorded of outputs that are there: they have no verb for that."""
    def entry(out, command):
        return f"0\t1\t{os.stat(root / out).st_mtime_ns}\t{out}\t{murmur64a(command.encode()):x}\n"
    with open(root / ".ninja_log", "w") as f:
        f.write("# ninja log v5\n")
        for leaf, copy, made in zip(paths("in", n), paths("out/c", n), paths("out/t", n)):
            f.write(entry(copy, f"cp {leaf} {copy}") + entry(made, f"tr a-z A-Z < {copy} > {made}"))
        f.write(entry("out/all.txt", f"{AGGREGATE}out/all.txt"))
