//! What is told while a list cannot be read or made: of what has no record, of what a `partial` input does without, and of
//! what comes into the list once it can.

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

#[test]
fn what_was_asked_for_and_cannot_be_told_since_a_list_is_gone_is_named_with_why_alone_and_among_others() {
    let project = Project::new(
        "version: 1
targets:
  per: {rule: command, foreach: {n: {lines: etc/l}}, run: \"echo {n} > {out}\", output: \"r/per/{n}\"}
  other: {rule: command, run: \"echo > {out}\", output: r/other}
  pin: {rule: command, inputs: [r/per/a], run: \"cp {in} {out}\", output: r/pin}
  grp: {inputs: [pin, r/per/b]}
  nw: {rule: command, inputs: [per], run: \"cat {in} > {out}\", output: r/nw}
",
    );
    project.write("etc/l", "a\nb\n");
    project.build(&["grp", "other"]);
    project.remove("etc/l");
    let why = "cannot be told: cannot read the values of this axis: etc/l: No such file";
    let untold = [
        ("grp", "grp: pending\n", "its steps"),
        ("nw", "nw: pending\n", "what it needs"),
        ("r/nw", "nw: pending\n", "what it needs"),
        ("per@n=c", "per@n=c: pending\n", "its steps"),
    ];
    let told = [("pin", "pin: pending\n"), ("per", "per@n=b: pending\n"), ("other", "other: up to date\n")];
    for (asked, first, what) in untold {
        let run = project.run(&["explain", asked]).exits(exit::WRONG).says("cannot read the values of this axis");
        assert_says(&run.stdout, &[first, &format!("  says      {what} {why}")]);
        for (beside, standing) in told {
            let run = project.run(&["explain", asked, beside]).exits(exit::WRONG).says("etc/l: No such file");
            assert_says(&run.stdout, &[first, standing]);
        }
    }
    for (asked, standing) in told {
        assert_says(&project.explain(asked), &[standing]);
    }
    let json = project.run(&["explain", "--format", "json", "grp", "other"]).exits(exit::WRONG).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let [group, other] = &json.as_array().expect("a list")[..] else { panic!("{json}") };
    assert_eq!((&group["step"], &group["status"]), (&"grp".into(), &"pending".into()));
    assert!(group["message"].as_str().is_some_and(|message| message.contains(why)), "{group}");
    assert_eq!(other["step"], "other");
    // What no target makes is told with them, too.
    let run = project.run(&["explain", "grp", "r/gone"]).exits(exit::WRONG).says("no target, step or output `r/gone`");
    assert_says(&run.stdout, &["grp: pending\n"]);
}
