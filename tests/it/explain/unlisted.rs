//! What a `partial` input does without while a list cannot be made, and what comes into the list once it can.

use super::assert_says;
use crate::support::project::Project;
use crate::support::words::exit;

#[test]
fn what_comes_into_a_list_after_it_could_not_be_made_was_not_left_out_before() {
    let project = Project::new(
        "version: 1
targets:
  src: {rule: command, inputs: [etc/w], run: \"cp {in} {out}\", output: r/src}
  lst: {rule: command, inputs: [src], run: \"cp {in} {out}\", output: r/lst}
  s: {rule: command, foreach: {k: {from: src, lines: true}}, inputs: [\"etc/{k}\"], run: \"cp {in} {out}\", output: \"r/s/{k}\"}
  b: {rule: command, foreach: {k: {from: lst, lines: true}}, inputs: [s], run: \"cp {in} {out}\", output: \"r/b/{k}\"}
  g: {inputs: [s, b]}
  sum: {rule: command, cache: false, inputs: [{target: g, partial: true}, side.txt], run: \"cat {in} > {out}\", output: r/sum}
",
    );
    ["etc/x", "etc/y", "etc/z", "side.txt"].iter().for_each(|file| project.write(file, "1\n"));
    project.write("etc/w", "x\ny\n");
    project.build(&[]);
    // `x` is no value any more, and then there is no list; `z` was never one.
    project.write("etc/w", "y\n");
    project.build(&[]);
    project.remove("etc/w");
    let lack = "again if  r/s/y, or another one, can be had again, which its last run did without\n";
    for side in ["1\n", "2\n"] {
        project.write("side.txt", side);
        project.build_exits(exit::FAILED, &[]);
        let told = project.explain("sum");
        assert_says(&told, &[lack]);
        assert!(!told.contains("r/b/x") && !told.contains("r/s/x"), "it was no input before: {told}");
    }
    project.write("etc/w", "x\ny\nz\n");
    let back = [
        "new input: r/b/y (left out before, since lst was blocked)",
        "new input: r/s/y (left out before, since src failed)",
    ];
    assert_says(&project.run(&["plan", "-v"]).stdout, &back);
    assert_says(&project.explain("sum"), &back);
    let told = project.run(&["build", "-v"]).exits(exit::DONE).stderr;
    let news = |of: &str, y: &str| format!("new input: r/{of}/x; {y}; new input: r/{of}/z");
    assert_says(&told, &[&format!("built sum ({}; {}) ", news("b", back[0]), news("s", back[1]))]);
    let made = project.explain("sum");
    assert_says(&made, &["new input: r/b/x\n", "new input: r/b/z\n", "new input: r/s/x\n", back[0], back[1]]);
    project.build(&[]).assert_nothing_done();
}
