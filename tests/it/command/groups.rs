//! A path in a group is that one file, for whoever reads the group as for the verbs.

use super::project;
use crate::support::project::Project;
use crate::support::words::{exit, outcome};

/// A group of a target and of one file of three, by its path, which `more` reads, or waits for.
fn group(run: &str, output: &str, more: &str) -> Project {
    let p = project(&format!(
        r#"  conf: {{rule: command, foreach: {{k: [a, b, c]}}, inputs: ["etc/{{k}}"], run: "{run}", output: {output}}}
  note: {{rule: command, inputs: [etc/note], run: "cp {{in}} {{out}}", output: r/note}}
  grp: {{inputs: [note, r/conf/a]}}
  outer: {{inputs: [grp, ./own]}}
{more}"#
    ));
    ["etc/a", "etc/b", "etc/c", "etc/note", "own"].iter().for_each(|file| p.write(file, format!("{file}\n")));
    p
}

/// Commands that fail where what they are given says `bad`: with one output, and with two.
const KINDS: [(&str, &str); 2] = [
    ("grep -v bad {in} > {out}", r#""r/conf/{k}""#),
    ("grep -v bad {in} > {out.x} && echo y > {out.y}", r#"{x: "r/conf/{k}", y: "r/conf/{k}.y"}"#),
];

const READERS: &str = r#"  direct: {rule: command, inputs: [note, r/conf/a], run: "cat {in} > {out}", output: r/direct}
  via: {rule: command, inputs: [grp], run: "cat {in} > {out}", output: r/via}
  nested: {rule: command, inputs: {all: outer}, run: "cat {in.all} > {out}", output: r/nested}
  part: {rule: command, inputs: [{target: outer, partial: true}], run: "cat {in} > {out}", output: r/part}
  each: {rule: command, foreach: {k: [a, b]}, inputs: [grp], run: "cat {in} > {out}", output: "r/each/{k}"}
"#;

#[test]
fn a_path_in_a_group_is_that_file_for_whoever_reads_the_group() {
    for (run, output) in KINDS {
        let p = group(run, output, READERS);
        let built = p.build(&["direct", "via", "nested", "part", "each"]);
        assert_eq!(built.of("conf"), ["conf@k=a"], "no other step is needed: {}", built.listing());
        let [direct, via] = ["r/direct", "r/via"].map(|file| p.read(file));
        assert_eq!([&*direct, &via], ["etc/note\netc/a\n"; 2]);
        assert_eq!([p.read("r/nested"), p.read("r/part")], ["etc/note\netc/a\nown\n"; 2]);
        assert_eq!([p.read("r/each/a"), p.read("r/each/b")], ["etc/note\netc/a\n"; 2], "whatever values it has");
        p.build(&[]);

        // What is in no group concerns none of them, not even where it fails.
        p.write("etc/b", "bad\n");
        p.plan(&[]).assert_only(&["conf@k=b"]);
        p.build(&["via", "nested", "part"]).assert_nothing_done();
        p.write("etc/note", "other\n");
        let built = p.build_exits(exit::FAILED, &[]);
        let done = built.steps.iter().filter(|step| step.outcome == outcome::BUILT);
        let done: Vec<&str> = done.map(|step| step.step.as_str()).collect();
        assert_eq!(done, ["note", "direct", "via", "nested", "part", "each@k=a", "each@k=b"], "{}", built.listing());
        assert_eq!(built.blocked, 0);
        assert!(!built.stderr.contains("made without"), "{}", built.stderr);
        p.plan(&[]).assert_only(&["conf@k=b"]);
        for reader in ["via", "nested", "part"] {
            let told = p.explain(reader);
            assert!(told.contains(&format!("{reader}: up to date")) && !told.contains("r/conf/b"), "{told}");
        }

        // The one that is in it does.
        p.write("etc/a", "new\n");
        let built = p.build_exits(exit::FAILED, &[]);
        assert_eq!(built.step("via").reason().split(',').next(), Some("upstream rebuilt: r/conf/a by conf@k=a"));
        assert_eq!(p.read("r/nested"), "other\nnew\nown\n");
    }
}

#[test]
fn a_partial_group_does_without_the_file_that_it_names_by_its_path() {
    for (run, output) in KINDS {
        let p = group(run, output, READERS);
        p.build(&[]);
        p.write("etc/a", "bad\n");
        p.write("own", "mine\n");
        let built = p.build_exits(exit::FAILED, &[]);
        assert_eq!(built.step("via").outcome, outcome::BLOCKED, "{}", built.listing());
        assert_eq!(p.read("r/part"), "etc/note\nmine\n");
        assert!(built.stderr.contains("note part: made without 1 step that failed"), "{}", built.stderr);
        let told = p.explain("part");
        assert!(told.contains("the last run did without r/conf/a"), "{told}");
    }
}

#[test]
fn what_comes_after_a_group_waits_for_the_step_that_it_names_by_its_path() {
    for (run, output) in KINDS {
        let later = r#"  later: {rule: command, after: [outer], run: "cat r/conf/a > {out}", output: r/later}
"#;
        let p = group(run, output, later);
        let built = p.build(&["later"]);
        assert_eq!(built.of("conf"), ["conf@k=a"], "{}", built.listing());
        assert_eq!(p.read("r/later"), "etc/a\n");
        assert!(p.explain("later").contains("after     note\n  after     conf@k=a\n"), "{}", p.explain("later"));

        p.write("etc/b", "bad\n");
        p.build_exits(exit::FAILED, &["conf", "--force=later", "later"])
            .assert_only(&["conf@k=b", "conf@k=c", "later"]);
        p.write("etc/a", "bad\n");
        let built = p.build_exits(exit::FAILED, &["--force=later", "later"]);
        assert_eq!(built.step("later").outcome, outcome::BLOCKED, "{}", built.listing());
        assert!(p.explain("later").contains("after     conf@k=a (failed when it was last tried)"));
    }
}

#[test]
fn a_path_in_a_group_finds_its_step_by_values_that_are_read_while_building() {
    let p = project(
        r#"  list: {rule: command, inputs: [./names], run: "cp {in} {out}", output: r/list}
  conf: {rule: command, foreach: {k: {lines: r/list}}, run: "[ {k} != bad ] && echo {k} > {out}", output: "r/conf/{k}"}
  grp: {inputs: [r/conf/a]}
  via: {rule: command, inputs: [grp], run: "cat {in} > {out}", output: r/via}
"#,
    );
    p.write("names", "a\nb\nbad\n");
    let built = p.build(&["via"]);
    assert_eq!(built.of("conf"), ["conf@k=a"], "{}", built.listing());
    assert_eq!(p.read("r/via"), "a\n");
    p.write("names", "b\nbad\n");
    p.write("r/conf/a", "by hand\n");
    p.build(&["via"]);
    assert_eq!(p.read("r/via"), "by hand\n", "it is a file of yours where no step makes it");
}

#[test]
fn what_is_named_by_a_path_in_a_group_has_to_be_there_for_what_comes_after_the_group_too() {
    let p = project(
        r#"  list: {rule: command, inputs: [./names], run: "cp {in} {out}", output: r/list}
  conf: {rule: command, foreach: {k: {lines: r/list}}, inputs: [./names], run: "cp {in} {out}", output: "r/conf/{k}"}
  grp: {inputs: [r/conf/b, ./own]}
  outer: {inputs: [grp]}
  later: {rule: command, after: [outer], run: "echo > {out}", output: r/later}
"#,
    );
    p.write("names", "a\n");
    let outcome_of_later = || {
        let built = p.build_exits(exit::FAILED, &["later"]);
        (built.step("later").outcome.clone(), built.step("outer").message.clone().unwrap_or_default())
    };
    let both = "the input r/conf/b is missing; the input own is missing";
    assert_eq!(outcome_of_later(), (outcome::BLOCKED.into(), both.into()));
    let plan = p.run(&["plan", "later"]).exits(exit::DONE).stdout;
    assert!(plan.contains("blocked  later  outer ") && plan.contains(both), "{plan}");
    assert!(!p.exists("r/later"));

    // One that a step comes to make, and one that is the user's.
    p.write("names", "a\nb\n");
    assert_eq!(outcome_of_later(), (outcome::BLOCKED.into(), "the input own is missing".into()));
    p.write("own", "");
    p.build(&["later"]).assert_only(&["later"]);
    let told = p.explain("later");
    assert!(told.contains("  after     conf@k=b\n  after     outer\n"), "{told}");
    p.write("own", "other\n");
    p.build(&[]).assert_only(&["conf@k=a"]);

    // No step makes it any more, and it lies there yet: it is a file, and none that is read.
    p.write("names", "a\n");
    let built = p.build(&["later"]);
    assert!(built.of("later").is_empty(), "{}", built.listing());
    let told = p.explain("later");
    assert!(
        told.contains("later: up to date\n") && told.contains("  after     r/conf/b\n  after     outer\n"),
        "{told}"
    );
}

#[test]
fn a_folder_that_a_group_may_not_name_is_refused_for_what_comes_after_the_group_too() {
    let p = project(
        r#"  conf: {rule: command, foreach: {k: {lines: ./names}}, run: "echo > {out}", output: "r/{k}"}
  grp: {inputs: [r/conf]}
  later: {rule: command, after: [grp], run: "echo > {out}", output: r/later}
"#,
    );
    p.write("names", "conf/a\n");
    let built = p.build_exits(exit::FAILED, &[]);
    assert_eq!(built.step("later").outcome, outcome::BLOCKED, "{}", built.listing());
    let said = built.step("grp").message.clone().unwrap_or_default();
    assert!(said.starts_with("the input r/conf is a folder that conf@k=conf/a writes in"), "{said}");
}
