//! What is certain is told as that, whatever else is still to be seen.

use super::assert_says;
use crate::support::project::Project;
use crate::support::words::exit;

#[test]
fn what_is_read_once_more_is_a_cause_also_while_another_input_is_to_be_made() {
    let project = Project::new(
        "version: 1
targets:
  y: {rule: command, fresh: always, run: \"date +%N > {out}\", output: y.txt}
  i: {rule: command, foreach: {n: {lines: n.txt}}, run: \"echo {n} > {out}\", output: \"i/{n}.txt\"}
  read: {rule: command, inputs: [y, i, i/x.txt], run: \"cat {in} > {out}\", output: read.txt}
",
    );
    project.write("n.txt", "a\nx\n");
    project.build(&[]);
    project.write("n.txt", "a\n");
    project.build(&[]);
    project.write("n.txt", "a\nx\n");
    let cause = "changed parameter: inputs, which name the same files otherwise";
    let assert_certain = || {
        let plan = project.run(&["plan", "-v", "read"]).exits(exit::DONE).stdout;
        assert_says(&plan, &[&format!("run      read  {cause}\n           and upstream: y is made again")]);
        assert_says(&project.explain("read"), &[&format!("because   {cause}\n"), "a build   makes it\n"]);
    };
    assert_certain();
    // Also where what is to be made again was so meanwhile.
    project.build(&["y"]);
    assert_certain();
    let reasons = project.run(&["build", "read", "-v"]).exits(exit::DONE).stderr;
    assert_says(&reasons, &[cause]);
    assert!(!project.explain("read").contains(&format!("because   {cause}")));
}

#[test]
fn what_is_read_by_its_path_and_no_more_as_a_list_is_a_cause_also_while_it_is_to_be_made() {
    let project = Project::new(
        "version: 1
targets:
  i: {rule: command, fresh: always, foreach: {n: [a, b]}, run: \"echo {n} > {out}\", output: \"i/{n}.txt\"}
  read: {rule: command, cache: false, inputs: [i], run: \"cat {in} > {out}\", output: read.txt}
",
    );
    project.build(&[]);
    assert_says(&project.run(&["plan", "read"]).stdout, &["run?     read  upstream: i@n=a is made again"]);
    project.edit("inputs: [i]", "inputs: [i/a.txt, i/b.txt]");
    let cause = "changed parameter: inputs, which name the same files otherwise";
    assert_says(&project.run(&["plan", "read"]).stdout, &[&format!("run      read  {cause} (+2 more causes)")]);
    assert_eq!(project.build(&["read"]).step("read").reason(), cause);
}
