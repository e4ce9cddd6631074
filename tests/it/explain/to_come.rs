//! What is told before a build of what its values are read out of.

use super::assert_says;
use crate::support::project::Project;
use crate::support::words::exit;

fn project() -> Project {
    Project::new(
        "version: 1
targets:
  t: {rule: command, foreach: {repo: [a, b, c]}, run: \"echo 1 > {out}\", output: \"t/{repo}.txt\"}
  l: {rule: command, foreach: {n: {from: t, lines: true}}, run: \"echo {n} > {out}\", output: \"r/{repo}/{n}.txt\"}
  m: {rule: command, foreach: {o: {from: l, lines: true}}, run: \"echo {o} > {out}\", output: \"m/{repo}/{n}/{o}.txt\"}
  st: {rule: command, inputs: [l], run: \"cat {in} > {out}\", output: st.txt}
  per: {rule: command, foreach: {repo: [b]}, inputs: [l], run: \"cat {in} > {out}\", output: \"per/{repo}.txt\"}
",
    )
}

#[test]
fn a_target_without_steps_yet_says_what_they_wait_for() {
    let project = project();
    let all = "its steps are told once t@repo=a (+2 more) is built";
    for target in ["l", "m"] {
        assert_says(&project.explain(target), &[&format!("{target}: pending"), all, "`layermill build t` builds that"]);
    }
    let one = "its steps are told once t@repo=b is built";
    for asked in ["l@repo=b,n=1", "r/b/1.txt"] {
        assert_says(
            &project.explain(asked),
            &["l@repo=b,n=1: pending", one, "n         1", "`layermill build t@repo=b`"],
        );
    }
    // What reads them waits for the same.
    assert_says(&project.explain("st"), &["because   first build", &format!("more      l: {all}")]);
    assert_says(&project.explain("per@repo=b"), &[&format!("more      l: {one}")]);
    assert_says(&project.run(&["plan"]).stdout, &[&format!("more     l  {all}"), &format!("more     m  {all}")]);
    // A value that its list does not have will not come.
    project.run(&["explain", "r/z/1.txt"]).exits(exit::WRONG).says("no step makes r/z/1.txt");
    project.build(&[]);
    project.run(&["explain", "r/b/2.txt"]).exits(exit::WRONG).says("no step makes r/b/2.txt");
    let built = project.explain("st");
    assert!(!built.contains("told once"), "{built}");
}

#[test]
fn a_list_that_is_only_restored_keeps_nothing_from_being_told() {
    let project = project();
    project.build(&[]);
    project.remove("t/b.txt");
    assert_says(&project.run(&["plan"]).stdout, &["restore  t@repo=b"]);
    for step in ["st", "per@repo=b"] {
        let explained = project.explain(step);
        assert_says(&explained, &["up to date", ") of l@repo=b,n=1"]);
        assert!(!explained.contains("more "), "{explained}");
    }
    // One that cannot be made does.
    project.edit("run: \"echo 1 > {out}\"", "inputs: [none.txt], run: \"cp {in} {out}\"");
    assert_says(
        &project.explain("per@repo=b"),
        &["per@repo=b: blocked", "more      l: its steps are told once t@repo=b"],
    );
}
