//! The order of causes, where several come together.

use super::{assert_says, project};
use crate::support::project::Project;
use crate::support::sample;
use crate::support::words::exit;

/// Fails unless the text says all of these, one after the other.
fn assert_in_order(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let at = rest.find(word).unwrap_or_else(|| panic!("`{word}` is not said, or not there:\n{text}"));
        rest = &rest[at + word.len()..];
    }
}

#[test]
fn what_a_source_answered_is_told_before_why_it_was_asked_whatever_else_is_told() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  tags: {rule: tags, source: shelf, foreach: {repo: [library/redis]}, fresh: digest, output: \"tags/{repo}.json\"}
",
    );
    let shelve = |which: &dyn Fn(&str) -> bool| {
        let _ = std::fs::remove_dir_all(project.path("images"));
        project.layout("images", &sample::images().into_iter().filter(|(name, _)| which(name)).collect::<Vec<_>>());
    };
    let built = |cause: &str, answer: &str| {
        let build = project.run(&["build", "-v"]).exits(exit::DONE);
        assert_in_order(&build.stderr, &[cause, answer, "freshness: asked each time (digest)"]);
        assert_in_order(&project.explain("tags"), &[cause, answer, "freshness: asked each time (digest)"]);
    };
    shelve(&|_| true);
    project.build(&[]);
    shelve(&|name| name != "library/redis:latest");
    project.edit("fresh: digest", "fresh: digest, omit: [\"7\"]");
    assert_says(&project.run(&["plan"]).stdout, &["changed question: omit, ", "(+1 more cause)"]);
    built("changed question: omit, ", "changed answer: ");
    shelve(&|_| true);
    project.remove("tags/library/redis.json");
    built("missing output: tags/library/redis.json", "changed answer: ");
    shelve(&|name| !name.starts_with("library/redis:"));
    project.remove("tags/library/redis.json");
    built("missing output: tags/library/redis.json", "gone: it was there when it was last made");
}

#[test]
fn causes_stand_in_one_order_before_a_build_and_after_it() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, foreach: {n: {lines: ns}}, inputs: [\"in/{n}\"], run: \"cp {in} {out}\", output: \"a/{n}\"}
  sum: {rule: command, inputs: [a, more], run: \"cat {in} > {out}\", output: sum}
  more: {rule: command, inputs: [./m], run: \"cp {in} {out}\", output: more}
",
    );
    ["in/1", "in/2", "in/3", "in/4", "in/5", "m"].iter().for_each(|path| project.write(path, "1\n"));
    project.write("ns", "1\n2\n3\n");
    project.build(&[]);
    // One is gone, two are to be made, one is made again, one was made by a build before this one, and the output is off.
    project.write("ns", "1\n3\n5\n4\n");
    project.write("in/1", "2\n");
    project.write("m", "2\n");
    project.build(&["more"]);
    project.remove("sum");
    let causes = |upstream: &'static str| {
        let known = ["changed input: more, from ", "new input: a/4", "new input: a/5", "an input is gone: a/2"];
        [&known[..], &["missing output: sum", upstream]].concat()
    };
    let plan = project.run(&["plan", "-v"]).stdout;
    assert_in_order(&plan, &[&["run      sum"], &causes("upstream: a@n=1 is made again")[..]].concat());
    assert_in_order(&project.explain("sum"), &causes("upstream: a@n=1 is made again"));
    let build = project.run(&["build", "-v"]).exits(exit::DONE);
    assert_in_order(&build.stderr, &[&["built sum"], &causes("upstream rebuilt: a/1 by a@n=1, ")[..]].concat());
}

#[test]
fn that_it_was_forced_is_told_after_that_what_is_there_has_no_record() {
    let project = project();
    project.write("result/part.txt", "by hand\n");
    let build = project.run(&["build", "part", "-v", "--force"]).exits(exit::DONE);
    assert_in_order(&build.stderr, &["built part (missing record: result/part.txt is there, ", "; forced by hand)"]);
}

#[test]
fn inputs_in_another_order_are_told_alike_before_and_after_what_is_to_be_made_again_is_there() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, cache: false, foreach: {n: {lines: ns}}, run: \"echo {n} > {out}\", output: \"a/{n}\"}
  sum: {rule: command, cache: false, inputs: [a], run: \"cat {in} > {out}\", output: sum}
",
    );
    project.write("ns", "1\n2\n3\n4\n5\n");
    project.build(&[]);
    for (list, cleaned, from, to) in [
        ("1\n3\n2\n4\n5\n", "a@n=5", "a/2, a/3, a/4, …", "a/3, a/2, a/4, …"),
        ("2\n1\n3\n4\n5\n", "a@n=2", "a/1, a/3, a/2, …", "a/2, a/1, a/3, …"),
    ] {
        project.write("ns", list);
        project.run(&["clean", cleaned]).exits(exit::DONE);
        let cause = format!("inputs in another order: from {from} to {to}");
        assert_says(&project.run(&["plan", "-v"]).stdout, &[&format!("run      sum  {cause}\n")]);
        assert_eq!(project.build(&[]).step("sum").reason(), cause);
    }
}
