//! What is told of a step by its own list, among several of one target.

use super::assert_says;
use crate::support::project::Project;
use crate::support::words::exit;

/// Two lists, what is read out of each, and a value of one that it has no more; each list is to be made again.
fn two_lists() -> Project {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, foreach: {k: [a, b]}, inputs: [\"in/{k}\"], run: \"cat {in} > {out}; ! grep -q bad {in}\", output: \"l/{k}\"}
  each: {rule: command, foreach: {n: {from: list, lines: true}}, run: \"echo {n} > {out}\", output: \"e/{k}/{n}\"}
",
    );
    for k in ["a", "b"] {
        project.write(&format!("in/{k}"), "1\n2\n");
    }
    project.build(&[]);
    for k in ["a", "b"] {
        project.write(&format!("in/{k}"), "1\n");
    }
    project.build(&[]);
    project
}

#[test]
fn under_what_a_pending_step_is_read_out_of_its_own_list_is_told_and_how_that_failed() {
    let project = two_lists();
    let how =
        |list: &str| format!("  out of    list@k={list}\n            list@k={list} failed when it was last tried: ");
    project.write("in/a", "bad\n");
    project.build_exits(exit::FAILED, &[]);
    project.write("in/b", "1\n3\n");
    // What they had as they were last made cannot be seen any more.
    ["l/a", "l/b"].iter().for_each(|list| project.remove(list));
    let asked = ["each@k=a,n=2", "each@k=b,n=2", "e/a/9", "e/b/9"];
    // Told together, so that both lists are looked at.
    let told = |project: &Project| -> Vec<String> {
        let told = project.run(&[&["explain"], asked.as_slice()].concat()).stdout;
        told.split("\n\n").map(|told| format!("{told}\n")).collect()
    };
    let [of_a, of_b, to_come_of_a, to_come_of_b] = told(&project).try_into().expect("one for each");
    assert_says(&of_a, &["each@k=a,n=2: pending\n", &how("a")]);
    assert_says(&of_b, &["each@k=b,n=2: pending\n", "  out of    list@k=b\n"]);
    assert_says(
        &to_come_of_a,
        &[
            "each@k=a,n=9: pending\n",
            "told once list@k=a is built (blocked? list@k=a is tried again, and may fail ",
            &how("a"),
        ],
    );
    assert_says(&to_come_of_b, &["each@k=b,n=9: pending\n", "told once list@k=b is built\n", "  out of    list@k=b\n"]);
    for told in [of_b, to_come_of_b] {
        assert!(!told.contains("list@k=a"), "{told}");
    }
    // Where both failed, each tells its own.
    project.write("in/b", "bad\n");
    project.build_exits(exit::FAILED, &[]);
    let [of_a, of_b, to_come_of_a, to_come_of_b] = told(&project).try_into().expect("one for each");
    for (told, list) in [(of_a, "a"), (to_come_of_a, "a"), (of_b, "b"), (to_come_of_b, "b")] {
        assert_says(&told, &[&how(list)]);
        assert_eq!(told.matches("failed when it was last tried").count(), 1, "{told}");
    }
}

#[test]
fn what_cannot_be_made_and_may_be_no_step_by_its_list_any_more_is_told_so_perhaps() {
    let project = Project::new(
        "version: 1
sources: {hub: {kind: registry, url: \"http://127.0.0.1:9\"}}
targets:
  list: {rule: command, inputs: [l.txt], run: \"cp {in} {out}\", output: r/list}
  test: {rule: command, foreach: {n: [a, b]}, inputs: [\"in/{n}\"], run: \"cp {in} {out}\", output: \"r/test/{n}\"}
  by_path: {rule: command, foreach: {s: {lines: r/list}}, inputs: [\"r/test/{s}\"], run: \"cp {in} {out}\", output: \"r/p/{s}\"}
  by_value: {rule: command, foreach: {n: {lines: r/list}}, inputs: [test], run: \"cp {in} {out}\", output: \"r/v/{n}\"}
",
    );
    project.write("l.txt", "a\nb\n");
    ["a", "b"].iter().for_each(|n| project.write(&format!("in/{n}"), ""));
    project.build(&[]);
    project.remove("in/b");
    let plan = |args: &[&str]| project.run(&[&["plan"], args].concat()).stdout;
    let lines = |sure: &str| {
        ["by_path@s=b ", "by_value@n=b"].map(|step| format!("blocked{sure} {}  test@n=b", step.trim_end())).join("\n")
    };
    // The list stands, and so they are there for sure.
    assert_says(&plan(&[]), &[&lines(" "), ", 3 cannot be made"]);
    project.write("l.txt", "a\n");
    assert_says(&plan(&[]), &["failed   test@n=b", &lines("?"), "2 that may be blocked, 1 cannot be made"]);
    let told = project.explain("by_path@s=b");
    assert_says(&told, &[": blocked\n", "as of the last build of what values are read out of"]);
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.failed, report.blocked), (1, 0), "{}", report.listing());
    // So is what would have to ask, offline.
    let more = "  tags: {rule: tags, source: hub, foreach: {repo: {lines: r/list}}, output: \"r/t/{repo}\"}\n";
    project.write("pipeline.yaml", project.read("pipeline.yaml") + more);
    assert_says(&plan(&["--offline"]), &["failed   tags@repo=a  "]);
    project.write("l.txt", "b\n");
    assert_says(&plan(&["--offline"]), &["failed?  tags@repo=a  "]);
}
