//! Inputs that a step has no more, or again, or in another order: told before a build also where other inputs are to be
//! made.

use super::assert_says;
use crate::support::images::Format;
use crate::support::project::Project;
use crate::support::sample;
use crate::support::stock;
use crate::support::words::exit;

/// A step that reads a target whose values are those of a list.
fn project() -> Project {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, cache: false, foreach: {n: {lines: etc/n}}, inputs: [\"in/{n}.txt\"], run: \"wc -l < {in} > {out}\", output: \"a/{n}.txt\"}
  sum: {rule: command, cache: false, inputs: [a], run: \"cat {in} > {out}\", output: sum.txt}
",
    );
    project.write("etc/n", "1\n2\n3\n");
    ["1", "2", "3"].iter().for_each(|n| project.write(&format!("in/{n}.txt"), n));
    project.build(&[]);
    project
}

#[test]
fn an_input_that_is_gone_is_certain_whatever_the_others_come_out_as() {
    let project = project();
    project.write("etc/n", "1\n2\n");
    // What is made of it comes out as before.
    project.write("in/1.txt", "one");
    let plan = project.run(&["plan", "-v"]).stdout;
    assert_says(&plan, &["run      sum  an input is gone: a/3.txt", "and upstream: a@n=1 is made again", "2 to run"]);
    assert_says(&project.explain("sum"), &["because   an input is gone: a/3.txt", "a build   makes it"]);
    assert_eq!(project.build(&[]).step("sum").reason(), "an input is gone: a/3.txt");
}

#[test]
fn an_input_that_is_there_no_more_and_is_to_be_made_is_not_gone() {
    let project = project();
    project.write("in/1.txt", "one");
    project.remove("a/1.txt");
    project.remove("a/2.txt");
    let plan = project.run(&["plan", "-v"]).stdout;
    assert!(!plan.contains("gone"), "{plan}");
    assert_says(&plan, &["run?     sum  upstream: a@n=1 is made again"]);
}

#[test]
fn another_order_is_certain_whatever_the_inputs_come_out_as() {
    let project = project();
    project.write("etc/n", "2\n1\n3\n");
    project.write("in/1.txt", "one");
    let cause = "inputs in another order: from a/1.txt, a/2.txt, a/3.txt to a/2.txt, a/1.txt, a/3.txt";
    assert_says(&project.run(&["plan"]).stdout, &[&format!("run      sum  {cause}")]);
    assert_says(&project.explain("sum"), &[&format!("because   {cause}"), "a build   makes it"]);
    assert_eq!(project.build(&[]).step("sum").reason(), cause);
}

#[test]
fn what_is_left_out_since_its_values_cannot_be_read_is_not_told_as_gone() {
    let project = Project::new(
        "version: 1
targets:
  gen: {rule: command, cache: false, foreach: {g: {lines: gs}}, inputs: [i.txt], run: \"test ! -e no-{g} && cp {in} {out}\", output: \"gen/{g}\"}
  dyn: {rule: command, cache: false, foreach: {k: {from: gen, lines: true}}, run: \"echo {k} > {out}\", output: \"dyn/{g}/{k}\"}
  next: {rule: command, cache: false, foreach: {m: {from: dyn, lines: true}}, run: \"echo {m} > {out}\", output: \"next/{g}/{k}/{m}\"}
  psum: {rule: command, cache: false, inputs: [{target: dyn, partial: true}], run: \"cat /dev/null {in} > {out}\", output: psum}
  nsum: {rule: command, cache: false, inputs: [{target: next, partial: true}], run: \"cat /dev/null {in} > {out}\", output: nsum}
",
    );
    project.write("gs", "a\nb\nc\n");
    project.write("i.txt", "x\n");
    project.build(&[]);
    project.write("i.txt", "x\ny\n");
    project.write("no-a", "");
    // What is read out of this one is gone indeed.
    project.write("gs", "a\nb\n");
    let report = project.build_exits(exit::FAILED, &["-v"]);
    for (sum, of, more) in [("psum", "dyn", ["", ""]), ("nsum", "next", ["/x", "/y"])] {
        let told = project.explain(sum);
        let [x, y] = more;
        let left = format!("left out: {of}/a/x{x}, since gen@g=a failed");
        assert_says(&told, &[&left, &format!("an input is gone: {of}/c/x{x}"), &format!("new input: {of}/b/y{y}")]);
        assert!(!told.contains(&format!("gone: {of}/a")), "{told}");
        let message = report.step(sum).message.as_deref();
        assert_eq!(message, Some("made without steps that cannot be told yet"));
    }
    assert_says(&project.explain("dyn/a/x"), &["dyn@g=a,k=x"]);
}

#[test]
fn where_all_steps_are_known_what_is_done_without_is_counted_and_no_more() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, foreach: {n: [\"1\", \"2\"]}, run: \"test {n} = 1 && touch {out}\", output: \"a/{n}\"}
  s: {rule: command, inputs: [{target: a, partial: true}], run: \"cat {in} > {out}\", output: s}
",
    );
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!(report.step("s").message.as_deref(), Some("made without 1 step that failed"));
}

#[test]
fn an_input_that_was_left_out_is_told_as_that_when_it_is_there() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, foreach: {n: {lines: ns}}, inputs: [a.txt], run: \"test ! -e no-{n} && cp {in} {out}\", output: \"a/{n}\"}
  s: {rule: command, inputs: [{target: a, partial: true}], run: \"cat {in} > {out}\", output: s}
",
    );
    project.write("a.txt", "1\n");
    project.write("ns", "1\n2\n");
    project.write("no-2", "");
    // From the first build on.
    project.build_exits(exit::FAILED, &[]);
    assert_says(&project.explain("s"), &["again if  a/2 is made, which its last run did without\n"]);
    project.remove("no-2");
    let why = "new input: a/2 (left out before, since a@n=2 failed)";
    assert_eq!(project.build(&[]).step("s").reason(), why);
    assert_says(&project.explain("s"), &[&format!("last made {why}")]);
    // When it was there before that, and after other builds.
    project.write("a.txt", "2\n");
    project.write("no-2", "");
    project.build_exits(exit::FAILED, &[]);
    project.remove("no-2");
    project.build(&["a"]);
    assert_says(&project.run(&["plan"]).stdout, &[why]);
    assert_eq!(project.build(&[]).step("s").reason(), why);
    // What is new indeed is told as new.
    project.write("ns", "1\n2\n3\n");
    assert_eq!(project.build(&[]).step("s").reason(), "new input: a/3");
}

#[test]
fn an_input_that_was_absent_is_told_as_that_when_it_is_there() {
    let registry = stock::registry();
    let project = Project::new(&format!(
        "version: 1
sources: {{ours: {{kind: registry, url: \"{}\"}}}}
targets:
  l: {{rule: layers, source: ours, foreach: {{repo: [library/busybox, library/none]}}, tag: latest, output: 'l/{{repo}}.json'}}
  s: {{rule: stat, inputs: [l], output: s.csv}}
",
        registry.url()
    ));
    project.build(&[]);
    assert_says(&project.explain("s"), &["again if  l/library/none.json is made, which its last run did without\n"]);
    registry.push("library/none:latest", &stock::busybox().manifest(Format::Oci));
    let report = project.build(&["--refresh"]);
    let why = "new input: l/library/none.json (l@repo=library/none was absent before)";
    assert_eq!(report.step("s").reason(), why);
    let told = project.explain("s");
    assert_says(&told, &[&format!("last made {why}")]);
    assert!(!told.contains("did without"), "{told}");
}

#[test]
fn what_was_done_without_and_is_to_come_is_told_as_long_as_it_is_not_there() {
    let project = Project::new(
        "version: 1
targets:
  gen: {rule: command, cache: false, foreach: {g: [a, b]}, inputs: [\"in/{g}\"], run: \"cp {in} {out}\", output: \"gen/{g}\"}
  dyn: {rule: command, foreach: {k: {from: gen, lines: true}}, run: \"echo {k} > {out}\", output: \"dyn/{g}/{k}\"}
  sum: {rule: command, inputs: [side.txt, {target: dyn, partial: true}], run: \"cat {in} > {out}\", output: sum}
  mine: {rule: command, foreach: {g: [b]}, inputs: [{target: dyn, partial: true}], run: \"cat {in} > {out}\", output: \"mine/{g}\"}
",
    );
    ["in/a", "in/b", "side.txt"].iter().for_each(|file| project.write(file, "x\n"));
    project.build(&[]);
    project.remove("in/a");
    let without = "made without steps that cannot be told yet";
    // Also once it was made again without that.
    for side in ["x\n", "y\n"] {
        project.write("side.txt", side);
        let report = project.build_exits(exit::FAILED, &[]);
        assert_eq!(report.step("sum").message.as_deref(), Some(without));
        let told = project.explain("sum");
        let input = told.lines().find(|line| line.contains("input     dyn/a/x (")).expect("the input");
        assert!(input.ends_with(", not read by the last run) of dyn@g=a,k=x, pending"), "{told}");
        assert_says(
            &told,
            &[
                "sum: up to date\n",
                &format!("            note: {without}\n"),
                "again if  dyn/a/x can be had again, which its last run did without\n",
            ],
        );
        let others = project.explain("mine");
        assert!(!others.contains("dyn/a/x"), "{others}");
    }
    project.write("in/a", "x\n");
    assert_eq!(project.build(&[]).step("sum").reason(), "new input: dyn/a/x (left out before, since gen@g=a failed)");
    let told = project.explain("sum");
    assert!(!told.contains("without"), "{told}");
}

#[test]
fn an_input_that_was_left_out_since_its_step_was_blocked_is_told_as_that() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, foreach: {k: {lines: ks}}, inputs: [\"in/{k}\"], run: \"cp {in} {out}\", output: \"a/{k}\"}
  b: {rule: command, foreach: {k: {lines: ks}}, inputs: [a], run: \"cp {in} {out}\", output: \"b/{k}\"}
  s: {rule: command, cache: false, inputs: [{target: b, partial: true}, side.txt], run: \"cat {in} > {out}\", output: s}
",
    );
    project.write("ks", "x\ny\nz\n");
    ["in/x", "side.txt"].iter().for_each(|file| project.write(file, "1\n"));
    let back = |n: &str| format!("new input: b/{n} (left out before, since b@k={n} was blocked)");
    // From the first build on, and then one more each time, or another cause to be made.
    for side in ["1\n", "2\n"] {
        project.write("side.txt", side);
        let report = project.build_exits(exit::FAILED, &["-v"]);
        assert_eq!(report.step("s").message.as_deref(), Some("made without 2 steps that are blocked"));
    }
    ["in/y", "in/z"].iter().for_each(|file| project.write(file, "1\n"));
    project.build(&[]);
    assert_says(&project.explain("s"), &[&back("y"), &back("z")]);
    for gone in [["in/y"].as_slice(), &["in/z"], &[]] {
        gone.iter().for_each(|file| project.remove(file));
        project.write("side.txt", format!("{}\n", gone.len() + 4));
        project.build_exits(exit::FAILED, &[]);
    }
    assert_says(
        &project.explain("s"),
        &[
            "note: made without 2 steps that are blocked",
            "again if  b/y, or another one, can be had again, which its last run did without\n",
        ],
    );
    ["in/y", "in/z"].iter().for_each(|file| project.write(file, "1\n"));
    assert_says(&project.run(&["plan", "-v"]).stdout, &[&back("y"), &back("z")]);
    // What is new indeed is told as new.
    project.write("ks", "x\ny\nz\nw\n");
    project.write("in/w", "1\n");
    project.build(&[]);
    assert_says(&project.explain("s"), &[&back("y"), &back("z"), "new input: b/w\n"]);
}

#[test]
fn an_input_that_was_left_out_is_told_as_that_also_where_its_step_was_built_alone_meanwhile() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, foreach: {n: [\"1\", \"2\"]}, inputs: [a.txt], run: \"test ! -e no-{n} && cp {in} {out}\", output: \"a/{n}\"}
  b: {rule: command, foreach: {n: [\"1\", \"2\"]}, inputs: [a], run: \"cp {in} {out}\", output: \"b/{n}\"}
  s: {rule: command, inputs: [{target: a, partial: true}, {target: b, partial: true}], run: \"cat {in} > {out}\", output: s}
",
    );
    project.write("a.txt", "1\n");
    project.write("no-2", "");
    project.build_exits(exit::FAILED, &[]);
    project.remove("no-2");
    project.build(&["b"]);
    let why = [
        "new input: a/2 (left out before, since a@n=2 failed)",
        "new input: b/2 (left out before, since b@n=2 was blocked)",
    ];
    let explained = project.explain("s");
    assert_says(&explained, &why);
    assert!(!explained.contains("forgotten") && !explained.contains("is gone"), "{explained}");
    project.build(&[]).assert_only(&["s"]);
    assert_says(&project.explain("s"), &[&format!("last made {}", why[0]), why[1]]);
    project.build(&[]).assert_nothing_done();
}

#[test]
fn what_a_step_makes_is_no_output_of_an_orphan_that_was_made_with_it() {
    let project = Project::new(
        "version: 1
targets:
  two: {rule: command, run: \"echo 1 > {out.p}; echo 2 > {out.q}\", output: {p: o/a, q: o/b}}
",
    );
    project.build(&[]);
    project.edit("{p: o/a, q: o/b}", "{p: o/b, q: o/c}");
    let told = project.explain("o/a");
    assert_says(&told, &["o/a: orphan\n", "output    o/a\n"]);
    assert!(!told.contains("output    o/b"), "{told}");
    project.build(&[]);
    assert_says(&project.run(&["clean", "--orphans", "-n"]).stdout, &["remove  o/a\n", "1 output would be removed"]);
}

/// A target, and what reads its one step by that, by a group, and in part.
fn read_of(target: &str) -> Project {
    let project = Project::new(&format!(
        "version: 1
sources: {{s: {{kind: oci-layout, path: images}}}}
targets:
  t: {{{target}}}
  one: {{rule: command, foreach: {{r: [redis]}}, inputs: [t], run: \"wc -c < {{in}} > {{out}}\", output: \"one/{{r}}\"}}
  all: {{rule: command, inputs: [t], run: \"cat {{in}} > {{out}}\", output: all.txt}}
  some: {{rule: command, inputs: [{{target: t, partial: true}}], run: \"cat /dev/null {{in}} > {{out}}\", output: some.txt}}
"
    ));
    project.layout("images", &sample::images());
    project.build(&[]);
    project
}

/// That what reads `t@r=redis`, which cannot be, is told by that, as where it fails while it runs, and by nothing else.
fn assert_told_by_the_refusal(project: &Project) {
    for plan in [project.run(&["plan", "-v"]).exits(exit::DONE).stdout, project.run(&["plan"]).stdout] {
        assert_says(&plan, &["blocked  one@r=redis  t@r=redis\n", "blocked  all  t@r=redis\n"]);
        assert_says(&plan, &["run      some  left out: r/redis, since t@r=redis failed\n"]);
    }
    for step in ["one", "all", "some"] {
        let told = project.explain(step);
        assert_says(
            &told,
            &["  input     r/redis (", ") of t@r=redis, failed\n", "again if  an input, a parameter or "],
        );
        assert!(!told.contains("gone"), "{told}");
    }
    let told = project.explain("t");
    assert!(told.ends_with("  again if  a build comes once what is at fault is mended\n"), "{told}");
    let why = "left out: r/redis, since t@r=redis failed";
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.step("some").reason(), report.failed, report.blocked), (why, 1, 2), "{}", report.listing());
    assert_says(&project.explain("some"), &[&format!("last made {why}\n"), "again if  r/redis can be had again"]);
}

#[test]
fn what_reads_a_step_that_is_refused_for_its_values_is_told_that_it_failed_and_not_that_its_file_is_gone() {
    let target = "rule: tags, source: s, foreach: {r: [redis]}, repo: \"library/{r}\", output: \"r/{r}\"";
    let project = read_of(target);
    project.edit("library/", "Library/");
    assert_told_by_the_refusal(&project);
    project.edit("Library/", "library/");
    let back = "some  new input: r/redis (left out before, since t@r=redis failed)\n";
    assert_says(&project.run(&["plan"]).stdout, &[back, "3 up to date"]);
}

#[test]
fn what_reads_a_step_that_is_refused_for_its_path_is_told_that_it_failed_and_not_that_its_file_is_gone() {
    let project = read_of("rule: command, foreach: {r: [redis]}, run: \"echo {r} > {out}\", output: \"r/{r}\"");
    let over = "\n  over: {rule: command, foreach: {f: {glob: \"r/*\"}}, run: \"echo {f} > {out}\", output: \"o/{f}\"}\n  all:";
    project.edit("\n  all:", over);
    assert_told_by_the_refusal(&project);
    // What lies there is of that step, and of no orphan.
    assert!(!project.run(&["plan"]).stdout.contains("orphan"));
    assert!(project.explain("r/redis").starts_with("t@r=redis: failed\n"));
    for told in [project.explain("t"), project.run(&["explain", "over", "t"]).exits(exit::DONE).stdout] {
        assert!(!told.contains("orphan") && !told.contains("no step makes"), "{told}");
    }
    assert_eq!(project.run(&["clean", "--orphans", "-n"]).exits(exit::DONE).stdout, "0 outputs would be removed\n");
    project.edit(over, "\n  all:");
    let back = "some  new input: r/redis (left out before, since t@r=redis failed)\n";
    assert_says(&project.run(&["plan"]).stdout, &[back, "3 up to date"]);
}

#[test]
fn a_step_that_is_refused_for_its_values_is_in_the_way_of_none_that_can_be() {
    let refused = "  a: {rule: tags, source: s, foreach: {n: [x]}, repo: \"Library/{n}\", output: \"r/{n}\"}\n";
    for output in ["r/{k}", "r/{k}/y"] {
        let made =
            format!("  b: {{rule: command, foreach: {{k: [x]}}, run: \"echo > {{out}}\", output: \"{output}\"}}\n");
        for targets in [[refused, &made], [&made, refused]] {
            let head = "version: 1\nsources: {s: {kind: oci-layout, path: images}}\ntargets:\n";
            let project = Project::new(&(head.to_owned() + &targets.concat()));
            let report = project.build_exits(exit::FAILED, &[]);
            assert_eq!((report.built, report.failed), (1, 1), "{}", report.listing());
            assert_says(&project.explain("a"), &["says      `Library/x` is not a repository's name"]);
            assert_says(&project.explain("b"), &["b@k=x: up to date\n"]);
        }
    }
}

#[test]
fn a_step_of_two_targets_that_is_refused_for_its_values_fails_once_and_blocks_what_reads_either() {
    let target = "{rule: tags, source: s, foreach: {n: [x]}, repo: \"Library/{n}\", output: \"r/{n}\"}";
    let read = |of: &str| {
        format!("  {of}s: {{rule: command, inputs: [{of}], run: \"cp {{in}} {{out}}\", output: {of}.txt}}\n")
    };
    let project = Project::new(&format!(
        "version: 1\nsources: {{s: {{kind: oci-layout, path: images}}}}\ntargets:\n  a: {target}\n  b: {target}\n{}{}",
        read("a"),
        read("b")
    ));
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.failed, report.blocked), (1, 2), "{}", report.listing());
}
