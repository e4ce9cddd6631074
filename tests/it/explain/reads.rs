//! What a step reads, as it is now beside what its last run read.

use super::assert_says;
use crate::support::project::Project;
use crate::support::words::exit;

const PIPELINE: &str = "version: 1
targets:
  part: {rule: command, inputs: [text.txt], run: \"cp {in} {out}\", output: part.txt}
  whole: {rule: command, inputs: [part, side.txt], run: \"cat {in} > {out}; echo '{out}: found.h' > d.mk\", depfile: d.mk, output: whole.txt}
";

fn built() -> Project {
    let project = Project::new(PIPELINE);
    for file in ["text.txt", "side.txt", "found.h"] {
        project.write(file, "first\n");
    }
    project.build(&[]);
    project
}

/// What `explain` says of an input between its brackets.
fn input(project: &Project, step: &str, path: &str) -> String {
    let explained = project.explain(step);
    let said = |line: &str| {
        let line = line.trim().strip_prefix("input")?.trim().strip_prefix(path)?;
        Some(line.split_once('(')?.1.split_once(')')?.0.to_owned())
    };
    explained.lines().find_map(said).unwrap_or_else(|| panic!("{path} is not said:\n{explained}"))
}

#[test]
fn what_moved_is_told_with_what_it_was() {
    let project = built();
    let [text, side, found] =
        [("part", "text.txt"), ("whole", "side.txt"), ("whole", "found.h")].map(|(s, p)| input(&project, s, p));
    assert!(text.bytes().all(|b| b.is_ascii_hexdigit()) && text == side && side == found, "{text} {side} {found}");
    for file in ["text.txt", "side.txt", "found.h"] {
        project.write(file, "second\n");
    }
    let now = input(&project, "part", "text.txt");
    assert!(now.ends_with(&format!(", was {text}")) && !now.starts_with(&text), "{now}");
    assert_eq!([input(&project, "whole", "side.txt"), input(&project, "whole", "found.h")], [now.clone(), now]);
    // What a step makes is told as it lies there.
    assert_eq!(input(&project, "whole", "part.txt"), text);
    for file in ["text.txt", "side.txt", "found.h"] {
        project.remove(file);
    }
    let gone = format!("gone, was {text}");
    assert_eq!(input(&project, "part", "text.txt"), gone);
    assert_eq!([input(&project, "whole", "side.txt"), input(&project, "whole", "found.h")], [gone.clone(), gone]);
    // One that waits for what cannot be made: its input is there all the same.
    assert_says(&project.explain("whole"), &["whole: failed", "side.txt is missing; it is blocked by part, too"]);
    assert_eq!(input(&project, "whole", "part.txt"), text);
    let json = project.run(&["explain", "part", "--format", "json"]).exits(exit::DONE).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let read = &json[0]["inputs"][0];
    assert_eq!(
        (&read["digest"], &read["was"], &read["there"]),
        (&serde_json::Value::Null, &text.as_str().into(), &false.into())
    );
}

#[test]
fn what_no_build_has_seen_is_told_as_there() {
    let project = built();
    std::fs::remove_dir_all(project.path(".layermill/state")).expect("removed");
    assert_eq!(input(&project, "whole", "part.txt"), "there, not known yet");
    project.remove("part.txt");
    assert_eq!(input(&project, "whole", "part.txt"), "not there");
}

#[test]
fn only_what_reads_more_of_a_target_than_one_step_runs_again_where_that_gets_another() {
    let project = Project::new(
        "version: 1
targets:
  t: {rule: command, foreach: {r: {lines: rs}, v: {lines: vs}}, run: \"touch {out}\", output: \"t/{r}/{v}\"}
  one: {rule: command, inputs: [t/x/1], run: \"touch {out}\", output: one}
  both: {rule: command, foreach: {r: {lines: rs}, v: {lines: vs}}, inputs: [t], run: \"touch {out}\", output: \"both/{r}/{v}\"}
  some: {rule: command, foreach: {r: {lines: rs}}, inputs: [t], run: \"touch {out}\", output: \"some/{r}\"}
  all: {rule: command, inputs: [t], run: \"touch {out}\", output: all}
  few: {rule: command, foreach: {r: [x], v: ['1', '3']}, inputs: [t], run: \"touch {out}\", output: \"few/{r}/{v}\"}
",
    );
    project.write("rs", "x\n");
    project.write("vs", "1\n");
    project.build(&[]);
    for step in ["one", "both@r=x,v=1"] {
        assert!(!project.explain(step).contains("gets or loses"), "{}", project.explain(step));
    }
    assert_says(
        &project.explain("some@r=x"),
        &["again if  t gets or loses a step with r=x, or has them in another order\n"],
    );
    assert_says(&project.explain("all"), &["again if  t gets or loses a step, or has them in another order\n"]);
    assert_says(&project.explain("few@r=x,v=3"), &["again if  t gets or loses a step with r=x,v=3\n"]);
    project.write("rs", "x\ny\n");
    project.build(&[]).assert_only(&["t@r=y,v=1", "both@r=y,v=1", "some@r=y", "all"]);
    project.write("rs", "y\nx\n");
    project.build(&[]).assert_only(&["all"]);
    project.write("vs", "1\n2\n");
    let built = project.build(&[]);
    assert_eq!((built.of("one").len(), built.of("some").len(), built.of("all").len()), (0, 2, 1));
}

#[test]
fn what_a_target_has_by_the_pipeline_file_alone_makes_its_readers_run_again_too_and_so_does_what_a_group_names() {
    let project = Project::new(
        "version: 1
targets:
  day: {rule: command, foreach: {d: [mon, tue, wed]}, run: \"echo {d} > {out}\", output: \"r/day/{d}\"}
  each: {rule: command, foreach: {d: [mon, tue, wed]}, inputs: [day], run: \"cp {in} {out}\", output: \"r/each/{d}\"}
  sum: {rule: command, inputs: [day], run: \"cat {in} > {out}\", output: r/sum}
  files: {inputs: [in/a, in/b]}
  more: {inputs: [files]}
  cat: {rule: command, inputs: [files], run: \"cat {in} > {out}\", output: r/cat}
  deep: {rule: command, inputs: {of: {target: more, partial: true}}, run: \"cat {in.of} > {out}\", output: r/deep}
",
    );
    ["in/a", "in/b", "in/c"].iter().for_each(|file| project.write(file, file));
    project.build(&[]);
    let steps = "again if  day gets or loses a step, or has them in another order\n";
    assert_says(&project.explain("sum"), &[steps]);
    // It has its value from the same list.
    assert!(!project.explain("each@d=mon").contains("gets or loses"), "{}", project.explain("each@d=mon"));
    let inputs = |group: &str| format!("again if  {group} gets or loses an input, or has them in another order\n");
    assert_eq!(project.explain("cat").matches(&inputs("files")).count(), 1, "{}", project.explain("cat"));
    assert_says(&project.explain("deep"), &[&inputs("more")]);
    assert_says(&project.explain("more"), &[&inputs("files")]);
    project.edit("inputs: [in/a, in/b]", "inputs: [in/a, in/b, in/c]");
    project.build(&[]).assert_only(&["cat", "deep"]);
    project.edit("inputs: [in/a, in/b, in/c]", "inputs: [in/c, in/a, in/b]");
    project.build(&[]).assert_only(&["cat", "deep"]);
    project.edit(
        "day: {rule: command, foreach: {d: [mon, tue, wed]}",
        "day: {rule: command, foreach: {d: [mon, wed, tue]}",
    );
    project.build(&[]).assert_only(&["sum"]);
}

#[test]
fn an_input_stands_where_status_counts_its_step() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, cache: false, inputs: [i.txt], run: \"cp {in} {out}\", output: a.txt}
  b: {rule: command, cache: false, inputs: [a], run: \"cp {in} {out}\", output: b.txt}
",
    );
    project.write("i.txt", "1\n");
    project.build(&[]);
    project.remove("a.txt");
    assert_says(&project.explain("a"), &["a: missing\n"]);
    assert_says(&project.explain("b"), &[" of a, missing\n"]);
    project.build(&[]);
    project.write("i.txt", "2\n");
    assert_says(&project.explain("b"), &[" of a, stale\n"]);
}

#[test]
fn an_input_that_no_step_makes_any_more_says_so() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, foreach: {n: {lines: ns}}, run: \"echo {n} > {out.x}; echo y > {out.y}\", output: {x: \"a/{n}.x\", y: \"a/{n}.y\"}}
  f: {rule: command, foreach: {n: {lines: ns}}, run: \"mkdir -p {out} && echo {n} > {out}/in\", output: \"f/{n}/\"}
  r: {rule: command, inputs: [a/2.x, a/2.y, f/2/in, by.txt], run: \"cat {in} > {out}\", output: r.txt}
",
    );
    project.write("ns", "1\n2\n");
    project.write("by.txt", "by hand\n");
    project.build(&["a", "f"]);
    assert!(!project.explain("r").contains("no step makes"), "{}", project.explain("r"));
    project.write("ns", "1\n");
    for _ in 0..2 {
        let told = project.explain("r");
        for path in ["a/2.x", "a/2.y", "f/2/in"] {
            let line = told.lines().find(|line| line.contains(&format!("input     {path} ("))).expect(path);
            assert!(line.ends_with("), which no step makes any more"), "{told}");
        }
        assert!(!told.contains("by.txt (there, not known yet), which"), "{told}");
        project.build(&[]);
        assert_eq!(project.read("r.txt"), "2\ny\n2\nby hand\n", "each is read as it is named");
    }
}

#[test]
fn a_file_whose_maker_has_gone_from_a_list_that_is_asked_in_each_build_is_told_as_read_and_not_as_gone() {
    let project = Project::new(
        "version: 1
targets:
  gen: {rule: command, inputs: [g.txt], run: \"cat {in} > {out}\", output: gen.txt, fresh: always}
  d: {rule: command, foreach: {v: {from: gen, lines: true}}, run: \"echo {v} > {out}\", output: \"d/{v}\"}
  r: {rule: command, inputs: [d/b, d/c], run: \"cat {in} > {out}\", output: r.txt}
",
    );
    project.write("g.txt", "a\nb\nc\n");
    project.build(&[]);
    for (left, path) in [("a\nc\n", "d/b"), ("a\n", "d/c")] {
        project.write("g.txt", left);
        for _ in 0..2 {
            assert_eq!(project.build(&[]).built, 1, "the list alone");
            let (told, plan) = (project.explain("r"), project.run(&["plan", "-v"]).stdout);
            let line = told.lines().find(|line| line.contains(&format!("input     {path} ("))).expect(path);
            assert!(line.ends_with("), which no step makes any more"), "{told}");
            assert!(!told.contains("is gone") && !plan.contains("is gone"), "{told}{plan}");
        }
    }
    assert_eq!(project.read("r.txt"), "b\nc\n");
    // While it is not known whether there is such a step, none is said to make it no more.
    project.remove("g.txt");
    assert!(!project.explain("r").contains("no step makes"), "{}", project.explain("r"));
}

#[test]
fn a_file_that_a_pending_target_may_come_to_make_is_told_as_read_and_so_is_its_change() {
    let project = Project::new(
        "version: 1
targets:
  gen: {rule: command, cache: false, inputs: [g.txt], run: \"grep -v '#' {in} > {out}\", output: gen.txt}
  d: {rule: command, foreach: {v: {from: gen, lines: true}}, run: \"echo {v} > {out}\", output: \"d/{v}\"}
  r: {rule: command, cache: false, inputs: [d/c], run: \"cat {in} > {out}\", output: r.txt}
",
    );
    project.write("g.txt", "a\nb\n");
    project.write("d/c", "mine\n");
    project.build(&[]);
    // Its list is to be made again, and may have it then.
    project.write("g.txt", "#\na\nb\n");
    let told = project.explain("r");
    assert_says(
        &told,
        &["because   upstream: gen is made again\n", "input     d/c (", "more      d: its steps are told"],
    );
    assert!(!told.contains("was ") && !told.contains("d/c,"), "{told}");
    project.write("d/c", "mine, edited\n");
    let cause = "changed input: d/c, from ";
    assert_says(&project.explain("r"), &[&format!("because   {cause}"), ", was "]);
    assert_says(&project.run(&["plan"]).stdout, &[&format!("run      r  {cause}")]);
    assert!(project.build(&[]).step("r").reason().starts_with(cause));
    project.write("g.txt", "##\na\nb\n");
    project.remove("d/c");
    let cause = "an input is gone: d/c";
    assert_says(&project.explain("r"), &[&format!("because   {cause}\n"), "input     d/c (gone, was "]);
    assert_says(&project.run(&["plan"]).stdout, &[&format!("run?     r  {cause} (")]);
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!(report.step("r").message.as_deref(), Some("the input d/c is missing"));
    // What a step of it had made is told as to come.
    project.write("g.txt", "a\nc\n");
    project.build(&[]);
    project.write("g.txt", "a\nb\n");
    project.remove("gen.txt");
    let told = project.explain("r");
    assert_says(&told, &["input     d/c (", ") of d@v=c, pending\n"]);
    assert!(!told.contains("is gone") && !told.contains("changed input"), "{told}");
}

#[test]
fn an_input_that_no_step_comes_to_says_so() {
    let project = Project::new(
        "version: 1
targets:
  l: {rule: command, foreach: {repo: {lines: l.lst}, n: [1]}, run: \"echo > {out}\", output: \"l/{repo}/{n}.txt\"}
  one: {rule: command, foreach: {repo: {lines: l.lst}}, run: \"echo > {out}\", output: \"one/{repo}.txt\"}
  list: {rule: command, inputs: [./in], run: \"cp {in} {out}\", output: list.txt}
  e: {rule: command, foreach: {k: {from: list, lines: true}}, run: \"echo > {out}\", output: \"e/{k}.txt\"}
  per: {rule: command, foreach: {repo: [a, b]}, inputs: {x: l, y: one, z: e}, run: \"cat /dev/null {in} > {out}\", output: \"per/{repo}.txt\"}
",
    );
    project.write("l.lst", "a\n");
    project.write("in", "");
    let of = |name: &str, with: &str| format!("  input     {{in.{name}}} none, since {with}\n");
    // Whether one is to come is not known before its list is built.
    let told = project.explain("per@repo=b");
    assert_says(
        &told,
        &["  more      e: ", &of("x", "l has no step with repo=b"), &of("y", "one has no step with repo=b")],
    );
    assert!(!told.contains("{in.z} none"), "{told}");
    project.build(&[]);
    assert_says(
        &project.explain("per@repo=b"),
        &[
            &of("x", "l has no step with repo=b"),
            &of("y", "one has no step with repo=b"),
            &of("z", "e has no step: no value is read out of list"),
        ],
    );
    let told = project.explain("per@repo=a");
    assert_says(&told, &["{in.x} l/a/1.txt", "{in.y} one/a.txt"]);
    assert!(!told.contains("{in.x} none") && !told.contains("{in.y} none"), "{told}");
    let json = project.run(&["explain", "per@repo=b", "--format", "json"]).exits(exit::DONE).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json[0]["inputs_of_none"].as_array().map(Vec::len), Some(3), "{json}");
}

#[test]
fn a_group_tells_that_its_targets_or_its_files_move_it_whichever_it_has() {
    let project = Project::new(
        "version: 1
targets:
  made: {rule: command, inputs: [i.txt], run: \"cp {in} {out}\", output: made.txt}
  files: {inputs: [i.txt, d/a.txt]}
  targets: {inputs: [made]}
  both: {inputs: [made, i.txt]}
",
    );
    project.write("i.txt", "1");
    project.write("d/a.txt", "1");
    project.build(&[]);
    let (made, file) = ("one of its targets is made again", "one of its files changes, comes or goes");
    let both = format!("{made}, or {file}");
    for (group, words) in [("files", file), ("targets", made), ("both", &both)] {
        assert_says(&project.explain(group), &[&format!("again if  {words}: it makes nothing itself\n")]);
    }
}
