//! Inputs that a step has no more, or in another order: told before a build also where other inputs are to be made.

use super::assert_says;
use crate::support::project::Project;
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
    assert_eq!(report.step("s").message.as_deref(), Some("made without 1 step that failed or is deferred"));
}
