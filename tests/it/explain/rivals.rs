//! What is told of a step that reads from targets that make one file.

use super::assert_says;
use crate::support::project::Project;
use crate::support::words::exit;

#[test]
fn what_reads_rivals_names_them_both() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, foreach: {n: [one, two]}, run: \"echo a{n} > {out}\", output: \"x/{n}.txt\"}
  b: {rule: command, foreach: {n: [two, three]}, run: \"echo b{n} > {out}\", output: \"x/{n}.txt\"}
  both: {rule: command, inputs: [a, b], run: \"cat {in} > {out}\", output: both.txt}
  next: {rule: command, inputs: [both], run: \"cat {in} > {out}\", output: next.txt}
  list: {rule: command, run: \"echo two > {out}\", output: list.txt}
  c: {rule: command, foreach: {n: {from: list, lines: true}}, run: \"echo c > {out}\", output: \"y/{n}.txt\"}
  d: {rule: command, foreach: {m: [two]}, run: \"echo d > {out}\", output: \"y/{m}.txt\"}
  later: {rule: command, inputs: [c, d], run: \"cat {in} > {out}\", output: later.txt}
",
    );
    let two = ["a@n=two: two steps for one file: x/two.txt (the other is b@n=two)", "b@n=two: two steps for one file"];
    for asked in ["both", "next", "both.txt"] {
        assert_says(
            &project.explain(asked),
            &[": blocked", "since     ", two[0], two[1], "what is at fault is mended"],
        );
    }
    // Beside a target that can be told by itself, too.
    let explained = project.run(&["explain", "both", "a"]).exits(exit::DONE).stdout;
    assert_says(&explained, &["both: blocked", "a@n=one: missing", "rival     b may make this file"]);
    // Of those that are still to come, that it may be so; and then it is.
    assert_says(&project.explain("later"), &["note      d@m=two and `c` may make one file, y/two.txt: then both fail"]);
    project.build_exits(exit::FAILED, &["later"]);
    let explained = project.explain("later");
    assert_says(&explained, &["c@n=two: two steps for one file: y/two.txt (the other is d@m=two)", "later: blocked"]);
    assert!(!explained.contains("may make one file"), "{explained}");
}
