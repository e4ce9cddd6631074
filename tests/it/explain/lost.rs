//! Inputs that a step has no more, or in another order: told before a build also where other inputs are to be made.

use super::assert_says;
use crate::support::project::Project;

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
