//! What is told before a build of what its values are read out of.

use super::assert_says;
use crate::support::project::Project;
use crate::support::sample;
use crate::support::words::exit;

fn project() -> Project {
    Project::new(
        "version: 1
targets:
  t: {rule: command, foreach: {repo: [a, b, c]}, run: \"echo 1 > {out}\", output: \"t/{repo}.txt\"}
  l: {rule: command, foreach: {n: {from: t, lines: true}}, run: \"echo {n} > {out}\", output: \"r/{repo}/{n}.txt\"}
  m: {rule: command, foreach: {o: {from: l, lines: true}}, run: \"echo {o} > {out}\", output: \"m/{repo}/{n}/{o}.txt\"}
  st: {rule: command, inputs: [l], run: \"cat {in} > {out}\", output: st.txt}
  per: {rule: command, foreach: {repo: [b]}, inputs: [l], run: \"cat {in} > {out}\", output: \"per/{repo}.txt\"}
",
    )
}

#[test]
fn a_target_without_steps_yet_says_what_they_wait_for() {
    let project = project();
    let all = "its steps are told once t@repo=a (+2 more) is built";
    for target in ["l", "m"] {
        assert_says(&project.explain(target), &[&format!("{target}: pending"), all, "`layermill build t` builds that"]);
    }
    let one = "its steps are told once t@repo=b is built";
    for asked in ["l@repo=b,n=1", "r/b/1.txt"] {
        assert_says(
            &project.explain(asked),
            &["l@repo=b,n=1: pending", one, "n         1", "`layermill build t@repo=b`"],
        );
    }
    // What reads them waits for the same.
    assert_says(&project.explain("st"), &["because   first build", &format!("more      l: {all}")]);
    assert_says(&project.explain("per@repo=b"), &[&format!("more      l: {one}")]);
    assert_says(&project.run(&["plan"]).stdout, &[&format!("more     l  {all}"), &format!("more     m  {all}")]);
    // All of them are named where that is asked for.
    let named = |text: &str, indent: &str| text.contains(&format!("{indent}and t@repo=b\n{indent}and t@repo=c\n"));
    for step in ["l", "m", "st"] {
        let told = project.run(&["explain", "-v", step]).exits(exit::DONE).stdout;
        assert!(named(&told, "            ") && !named(&project.explain(step), "            "), "{told}");
    }
    let plan = project.run(&["plan", "-v"]).exits(exit::DONE).stdout;
    assert!(named(&plan, "           "), "{plan}");
    let plan: serde_json::Value =
        serde_json::from_str(&project.run(&["plan", "--format", "json"]).stdout).expect("JSON");
    assert_eq!(plan["unknown"][0]["others"], serde_json::json!(["t@repo=b", "t@repo=c"]));
    // A value that its list does not have will not come.
    project.run(&["explain", "r/z/1.txt"]).exits(exit::WRONG).says("no step makes r/z/1.txt");
    project.build(&[]);
    project.run(&["explain", "r/b/2.txt"]).exits(exit::WRONG).says("no step makes r/b/2.txt");
    let built = project.explain("st");
    assert!(!built.contains("told once"), "{built}");
}

#[test]
fn a_list_that_is_only_restored_keeps_nothing_from_being_told() {
    let project = project();
    project.build(&[]);
    project.remove("t/b.txt");
    assert_says(&project.run(&["plan"]).stdout, &["restore  t@repo=b"]);
    for step in ["st", "per@repo=b"] {
        let explained = project.explain(step);
        assert_says(&explained, &["up to date", ") of l@repo=b,n=1"]);
        assert!(!explained.contains("more "), "{explained}");
    }
    // One that cannot be made does.
    project.edit("run: \"echo 1 > {out}\"", "inputs: [none.txt], run: \"cp {in} {out}\"");
    assert_says(
        &project.explain("per@repo=b"),
        &["per@repo=b: blocked", "more      l: its steps are told once t@repo=b"],
    );
}

#[test]
fn what_can_be_said_of_steps_and_inputs_that_are_still_to_come_is_said() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  t: {rule: command, cache: false, foreach: {repo: {lines: repos.txt}}, run: \"echo 1 > {out}\", output: \"t/{repo}.txt\"}
  l: {rule: command, foreach: {n: {from: t, lines: true}}, inputs: [\"in/{repo}.csv\", \"d/{repo}-{n}\", side.txt], run: \"cat {in} > {out}\", output: \"r/{repo}/{n}.txt\"}
  k: {rule: command, retries: 2, foreach: {o: {from: l, json: /a}, f: {glob: \"*.csv\"}}, inputs: [l], after: [all, l], run: \"cat {in} > {out}\", output: \"k/{repo}/{n}/{o}{f}\"}
  all: {rule: command, inputs: {every: l, names: side.txt}, run: \"cat {in} > {out}\", output: all.txt}
  per: {rule: command, foreach: {repo: [b]}, inputs: [l], run: \"cat {in} > {out}\", output: \"per/{repo}.txt\"}
  one: {rule: command, inputs: [r/a/1.txt], run: \"cat {in} > {out}\", output: one.txt}
",
    );
    for (file, text) in
        [("repos.txt", "a\nb\n"), ("side.txt", ""), ("in/a.csv", ""), ("d/a-1", ""), ("in/b.csv", ""), ("d/b-1", "")]
    {
        project.write(file, text);
    }
    assert_says(
        &project.explain("l"),
        &[
            "l: pending",
            "output    r/{repo}/{n}.txt",
            "out of    {repo}: each line of repos.txt",
            "out of    {n}: each line of t/{repo}.txt",
            "input     side.txt (",
            "more      in/{repo}.csv",
            "more      d/{repo}-{n}",
            "again if  a build comes: it makes each step that comes of what t@repo=a (+1 more) makes",
        ],
    );
    // As far as values are known, they are filled in.
    assert_says(
        &project.explain("r/a/1.txt"),
        &["l@repo=a,n=1: pending", "output    r/a/1.txt", "input     in/a.csv (", "input     d/a-1 ("],
    );
    assert_says(
        &project.explain("k@repo=a"),
        &[
            "output    k/a/{n}/{o}{f}",
            "{o}: each entry of /a in r/a/{n}.txt",
            "{f}: each file of *.csv",
            "more      r/a/{n}.txt of l",
            "no cause  retries: 2",
            "after     all (missing)",
            "after     l (its steps are told once t@repo=a (+1 more) is built)",
        ],
    );
    // The same of what reads them.
    assert_says(
        &project.explain("all"),
        &[
            "more      l: its steps are told once t@repo=a (+1 more) is built (r/{repo}/{n}.txt of l, {repo}: each line of repos.txt, {n}: each line of t/{repo}.txt)",
        ],
    );
    assert_says(&project.explain("per"), &["is built (r/b/{n}.txt of l, {n}: each line of t/b.txt)"]);
    assert_says(&project.explain("one"), &["more      l: its steps are told once t@repo=a is built (r/a/1.txt)"]);
    project.build(&["all", "one", "per"]);
    project.remove("t/a.txt");
    // What was read before, and is to come again, is told as it lies there.
    let all = project.explain("all");
    assert_says(&all, &["{in.every} r/b/1.txt (", "{in.every} r/a/1.txt (", ") of l@repo=a,n=1, pending"]);
    assert_says(&all, &["again if  an input, or one that is to come, a parameter"]);
    assert_says(&project.explain("one"), &["input     r/a/1.txt (", ") of l@repo=a,n=1, pending"]);
    let per = project.explain("per");
    assert_says(&per, &["again if  an input, a parameter", "input     r/b/1.txt ("]);
    assert!(!per.contains("pending"), "{per}");
    project.build(&["all"]);
    assert!(!project.explain("all").contains("pending"));
}

#[test]
fn an_input_that_is_pending_is_told_by_the_step_that_made_it_and_by_none_where_that_is_not_known() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [l.txt], run: \"cat {in} > {out}\", output: list.txt}
  p: {rule: command, foreach: {a: {from: list, lines: true}, b: [z, y-z]}, run: \"echo {a} {b} > {out.one}; echo > {out.two}\", output: {one: \"p/{a}-{b}.txt\", two: \"p2/{a}/{b}.txt\"}}
  u: {rule: command, foreach: {a: {from: list, lines: true}, b: [z, y-z]}, run: \"echo > {out}\", output: \"u/{a}-{b}.txt\"}
  reads: {rule: command, inputs: [p, u], run: \"cat {in} > {out}\", output: reads.txt}
",
    );
    project.write("l.txt", "x\n");
    project.build(&[]);
    assert_says(&project.explain("reads"), &["p/x-y-z.txt (", ") of p@a=x,b=y-z\n"]);
    project.write("l.txt", "x\nw\n");
    project.remove("list.txt");
    let told = project.explain("reads");
    let input = |path: &str| {
        let is_it = |line: &&str| line.starts_with("  input ") && line.contains(path);
        told.lines().find(is_it).unwrap_or_else(|| panic!("{path} in {told}"))
    };
    for path in ["p/x-y-z.txt", "p2/x/y-z.txt"] {
        assert!(input(path).ends_with(") of p@a=x,b=y-z, pending"), "{told}");
    }
    assert!(input("p/x-z.txt").ends_with(") of p@a=x,b=z, pending"), "{told}");
    assert!(input("u/x-y-z.txt").ends_with(") of u, pending"), "{told}");
    // By its path, too; also where there will be none of it.
    let unsure = "note      neither its path nor what is recorded tells all of its values\n";
    assert_says(&project.explain("u/x-y-z.txt"), &["u: pending\n", "output    u/x-y-z.txt\n", unsure]);
    assert!(project.explain("p/x-y-z.txt").starts_with("p@a=x,b=y-z: pending\n"));
    project.write("l.txt", "w\n");
    project.build(&[]);
    let told = project.explain("u/x-y-z.txt");
    assert_says(&told, &["u: orphan\n", unsure]);
    assert!(!told.contains("u@"), "{told}");
    assert_says(&project.explain("p2/x/y-z.txt"), &["p@a=x,b=y-z: orphan\n", "made by   p@a=x,b=y-z\n"]);
}

#[test]
fn a_pending_step_is_told_as_the_pipeline_has_it_with_what_moved_since_it_was_made() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  tags: {rule: tags, source: shelf, foreach: {repo: [library/redis]}, output: \"tags/{repo}.json\"}
  layers: {rule: layers, source: shelf, foreach: {tag: {from: tags, select: all}}, output: \"layers/{repo}/{tag}.json\"}
  names: {rule: command, foreach: {tag: {from: tags, select: all}}, run: \"echo {tag} > {out}\", output: \"names/{repo}/{tag}.txt\"}
",
    );
    ["images", "others"].iter().for_each(|shelf| project.layout(shelf, &sample::images()));
    project.build(&[]);
    // Another question is asked first.
    project.remove("tags/library/redis.json");
    project.edit("path: images", "path: others");
    project.edit("echo {tag} >", "echo the {tag} >");
    let (layers, names) = ("layers/library/redis/7.json", "names/library/redis/7.txt");
    let told = project.explain(layers);
    assert_says(
        &told,
        &[
            "layers@repo=library/redis,tag=7: pending\n",
            "source    oci-layout others\n            it was oci-layout images when this was last made\n",
        ],
    );
    let told = project.explain(names);
    let cause = "changed parameter: run, from \"echo {tag} > {out}\" to \"echo the {tag} > {out}\"";
    assert_says(&told, &[": pending\n", &format!("because   {cause}\n"), "run       echo the {tag} > {out}\n"]);
    assert_eq!(project.build(&[]).step("names@repo=library/redis,tag=7").reason(), cause);
}

#[test]
fn how_a_step_failed_stays_told_while_it_is_pending() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, cache: false, inputs: [seed.txt], run: \"cp {in} {out}\", output: list.txt}
  each: {rule: command, cache: false, retries: 1, foreach: {n: {from: list, lines: true}}, inputs: [side.txt], after: [list], run: \"echo tried; test ! -e bad-{n} && cat {in} > {out}\", output: \"e/{n}.txt\"}
  all: {inputs: [list, each]}
  reads: {rule: command, inputs: [e/1.txt], run: \"cat {in} > {out}\", output: reads.txt}
  other: {rule: command, inputs: [e/3.txt], run: \"cat {in} > {out}\", output: other.txt}
  waits: {rule: command, inputs: [./mine.txt], after: [each], run: \"cat {in} > {out}\", output: waits.txt}
",
    );
    project.write("seed.txt", "1\n");
    ["side.txt", "mine.txt", "e/3.txt"].iter().for_each(|file| project.write(file, ""));
    project.build(&[]);
    // One that was made before, and one that never was.
    ["bad-1", "bad-2", "side.txt"].iter().for_each(|file| project.write(file, "x\n"));
    project.write("seed.txt", "1\n2\n");
    project.build_exits(exit::FAILED, &[]);
    project.write("seed.txt", "1\n2\n3\n");
    project.remove("list.txt");
    for (n, made) in [(1, true), (2, false)] {
        let told = project.explain(&format!("e/{n}.txt"));
        let words = [
            &format!("each@n={n}: pending\n"),
            "  failed    20",
            " after 2 attempts: the command failed: exit status: 1\n            it ran because: ",
            "no cause  retries: 1\n",
            "after     list (missing)\n",
            ".log (by the run that failed)\n",
        ];
        assert_says(&told, &words);
        assert_eq!(told.contains("what was made before stands"), made, "{told}");
    }
    let told = project.explain("e/3.txt");
    assert!(told.starts_with("each@n=3: pending\n") && !told.contains("failed"), "{told}");
    // What waits for it says so.
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    let why = "is pending, and may fail or be put off as before";
    let upstream = "upstream: list is made again";
    assert_says(
        &plan,
        &[&format!("run?     reads  {upstream} (blocked? each@n=1 {why})\n"), &format!("run?     other  {upstream}\n")],
    );
    // What only waits for it is up to date whatever becomes of it, until it has to run.
    assert!(project.explain("waits").starts_with("waits: up to date\n") && !plan.contains("waits"), "{plan}");
    project.write("mine.txt", "2\n");
    let own = project.explain("waits");
    assert_says(&own, &["because   changed input: mine.txt", &format!("  blocked?  each@n=1 {why}\n")]);
    // A list that cannot be made is told with what is the matter with it, and once.
    project.remove("seed.txt");
    assert_says(
        &project.explain("e/1.txt"),
        &["its values are read out of list: it failed (the input seed.txt is missing)\n"],
    );
    project.write("seed.txt", "1\n");
    let told = project.explain("all");
    assert_eq!(told.matches("because   upstream: list is made again\n").count(), 1, "{told}");
}

#[test]
fn a_path_is_told_as_the_steps_to_come_that_its_rule_would_take() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  tags: {rule: tags, source: shelf, foreach: {repo: {lines: repos.txt}}, output: \"tags/{repo}.json\"}
  layers: {rule: layers, source: shelf, platform: all, foreach: {tag: {from: tags, select: all}}, output: \"layers/{repo}/{tag}/{platform}.json\"}
",
    );
    project.write("repos.txt", "library/redis\n");
    project.layout("images", &sample::images());
    // No tag has a `/`, and a platform has one or two.
    let told = project.explain("layers/library/redis/latest/linux/amd64.json");
    assert_says(&told, &["layers@repo=library/redis,tag=latest,platform=linux/amd64: pending\n"]);
    assert!(told.matches(": pending\n").count() == 1 && !told.contains("  note "), "{told}");
    // Where a rule takes any value, each is told, and that it is one of them.
    let project = self::project();
    let told = project.explain("m/b/1/2/3.txt");
    for step in ["m@repo=b,n=1,o=2/3: pending\n", "m@repo=b,n=1/2,o=3: pending\n"] {
        assert_says(&told, &[step]);
    }
    assert_eq!(
        told.matches("  note      its path may be that of 2 steps: of which it is, is seen then\n").count(),
        2,
        "{told}"
    );
}

#[test]
fn what_has_to_be_built_for_a_value_two_lists_away_is_there_to_be_built() {
    let project = Project::new(
        "version: 1
targets:
  gen: {rule: command, inputs: [l.txt], run: \"grep . {in} > {out}\", output: gen.txt}
  mid: {rule: command, foreach: {k: {from: gen, lines: true}}, run: \"echo c > {out}\", output: \"mid/{k}\"}
  leaf: {rule: command, foreach: {v: {from: mid, lines: true}}, run: \"echo > {out}\", output: \"leaf/{k}/{v}\"}
",
    );
    project.write("l.txt", "x\ny\n");
    project.build(&[]);
    project.write("l.txt", "x\n");
    project.build(&[]);
    project.write("l.txt", "");
    project.build_exits(exit::FAILED, &[]);
    project.write("l.txt", "x\nz\n");
    let told = project.explain("leaf/y/c");
    assert_says(
        &told,
        &[
            "leaf@k=y,v=c: orphan\n",
            "last build of mid@k=y: whether there still is such a step is seen only once gen is built\n",
            "`layermill build gen` builds that",
            "again if  y is in what gen makes again: ",
        ],
    );
    project.build(&["gen"]);
    assert_says(&project.explain("leaf/y/c"), &["leaf@k=y,v=c: orphan\n"]);
}

#[test]
fn what_waits_for_a_list_that_cannot_be_made_is_helped_by_mending_what_is_at_fault() {
    let project = Project::new(
        "version: 1
targets:
  want: {rule: command, inputs: [./w], run: \"cp {in} {out}\", output: want.txt}
  list: {rule: command, inputs: [want.txt], run: \"cp {in} {out}\", output: list.txt}
  own: {rule: command, inputs: [./w, ./v], run: \"cat {in} > {out}\", output: own.txt}
  burn: {rule: command, foreach: {k: {from: list, lines: true}}, run: \"echo {k} > {out}\", output: \"burn/{k}\"}
  char: {rule: command, foreach: {k: {from: own, lines: true}}, run: \"echo {k} > {out}\", output: \"char/{k}\"}
  leaf: {rule: command, foreach: {v: {from: burn, lines: true}}, run: \"echo > {out}\", output: \"leaf/{k}/{v}\"}
",
    );
    project.write("w", "a\n");
    project.write("v", "");
    project.build(&[]);
    project.remove("w");
    let fault = |step: &str| {
        format!(
            "mend what is at fault, {step}: the input w is missing (no step makes it; put it there, or correct the path); "
        )
    };
    let seen = "; then it is seen whether there still is such a step\n";
    for (asked, step, build) in [("burn@k=a", "want", "list"), ("char/a", "own", "own"), ("leaf/a/a", "want", "list")] {
        let help = format!("  help      {}then `layermill build {build}` builds that{seen}", fault(step));
        assert_says(&project.explain(asked), &["pending\n", &help]);
    }
    // Also of those of which there is no record.
    project.edit("burn/{k}", "burnt/{k}");
    let help = format!("  help      {}then `layermill build list` builds that\n", fault("want"));
    assert_says(&project.explain("burnt/b"), &["pending\n", &help]);
    // What can be made is built.
    project.write("w", "b\n");
    assert_says(&project.explain("burnt/b"), &["pending\n", "  help      `layermill build list` builds that\n"]);
}

#[test]
fn a_pending_step_tells_which_of_its_outputs_are_gone() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [./in.txt], run: \"cp {in} {out}\", output: list.txt}
  p: {rule: command, foreach: {k: {from: list, lines: true}}, run: \"echo {k} | tee {out.l} > {out.n}\", output: {l: \"r/{k}.l\", n: \"r/{k}.n\"}}
",
    );
    project.write("in.txt", "a\nb\n");
    project.build(&[]);
    project.write("in.txt", "b\na\n");
    project.edit("cp {in}", "cat {in} >");
    project.remove("list.txt");
    project.remove("r/b.n");
    assert_says(&project.explain("p@k=b"), &["p@k=b: pending\n  because   missing output: r/b.n\n  says "]);
    let told = project.explain("p@k=a");
    assert!(told.contains("p@k=a: pending\n") && !told.contains("because"), "{told}");
    project.edit("echo {k} |", "echo {k}. |");
    let causes = "  because   changed parameter: run, from \"echo {k} ";
    assert_says(&project.explain("p@k=b"), &[causes, "\n  because   missing output: r/b.n\n"]);
}
