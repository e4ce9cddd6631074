//! Names of steps: as they are printed, so they are taken, by whatever verb and whatever stands in their values.

use std::collections::BTreeSet;

use crate::support::project::Project;
use crate::support::words::exit;

/// Values that hold what has a meaning of its own in names, lists, patterns or shells.
const VALUES: [&str; 19] = [
    "a,b",
    "x=y",
    "a,m=2",
    "a,n=1,m=2",
    "other",
    "a,other",
    "sp ace",
    " edge ",
    "[br](ac){et}",
    "quo'te\"",
    "it… (200 characters)",
    "@at",
    "odd@n=1",
    "odd@n=x=y,m=1",
    "$HOME",
    "*?",
    "ünï",
    "--force",
    "ha#sh",
];

fn project() -> Project {
    let project = Project::new(
        "version: 1
targets:
  odd: {rule: command, foreach: {n: {lines: values.lst}, m: [1, 2]}, run: \"echo {n} > {out}\", output: 'odd/{m}/{n}.txt'}
  one: {rule: command, foreach: {n: {lines: values.lst}}, run: \"echo {n} > {out}\", output: 'one/{n}.txt'}
  other: {rule: command, run: \"echo > {out}\", output: other.txt}
",
    );
    let long = "long ".repeat(40);
    let values: Vec<&str> = VALUES.into_iter().chain([long.trim()]).collect();
    project.write("values.lst", values.join("\n"));
    project
}

/// The names of all steps, as `plan` prints them.
fn names(project: &Project) -> Vec<String> {
    let plan = project.plan(&["--force"]);
    plan.steps.iter().map(|step| step.step.clone()).collect()
}

#[test]
fn every_name_that_is_printed_is_taken_back_by_every_verb() {
    let project = project();
    project.build(&[]);
    let names = names(&project);
    assert_eq!(names.len(), 20 * 3 + 1);
    for name in &names {
        let explained = project.explain(name);
        assert!(explained.starts_with(&format!("{name}: up to date\n")), "{name}\n{explained}");
        assert_eq!(explained.matches("made at").count(), 1, "one step\n{explained}");
        project.run(&["build", name]).exits(exit::DONE);
    }
    // What costs more, of some of each target.
    for name in names.iter().step_by(3) {
        let graph = project.run(&["graph", "--steps", name]).exits(exit::DONE).stdout;
        assert!(graph.contains(&format!("\n{name} (command)")) || graph.starts_with(name), "{name}\n{graph}");
        project.plan(&[&format!("--force={name}")]).assert_only(&[name]);
        assert_eq!(project.run(&["explain", name, &format!("--refresh={name}")]).code, exit::DONE, "{name}");
    }
    // Several at once, in one list or in several.
    let (a, b) = ("one@n=a,m=2", "one@n=a,other");
    project.plan(&[&format!("--force={a}"), &format!("--force={b}")]).assert_only(&[a, b]);
    project.plan(&["--force=one@n=x=y,other"]).assert_only(&["one@n=x=y", "other"]);
    project.plan(&["--force=one/a,b.txt"]).assert_only(&["one@n=a,b"]);
    project.run(&["plan", "--force=one@n=nothing"]).exits(exit::WRONG).says("no step one@n=nothing");
}

#[test]
fn the_name_of_an_orphan_is_taken_back_whatever_is_in_it() {
    let project = project();
    project.build(&[]);
    let names = names(&project);
    project.write("values.lst", "left\n");
    let orphans: BTreeSet<&String> = names.iter().filter(|name| *name != "other").collect();
    for name in orphans {
        let explained = project.explain(name);
        assert!(explained.starts_with(&format!("{name}: orphan\n")), "{name}\n{explained}");
    }
}
