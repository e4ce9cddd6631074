//! `adopt`: outputs that are there are taken as up to date, as `make -t` does, and a build then has nothing to do.

use super::exit;
use super::parts::{json, project, said};
use crate::support::project::Project;
use crate::support::sample;

/// A project whose outputs were made by other means, but for one part.
fn made_elsewhere() -> super::Project {
    let project = project();
    project.write("result/parts/a.txt", "by hand\n");
    project.write("result/whole.txt", "by hand, too\n");
    project.write("other/side.txt", "and this\n");
    project
}

#[test]
fn what_is_there_is_taken_and_named() {
    let project = made_elsewhere();
    project.write("result/parts/b.txt", "b by hand\n");
    let before = project.snapshot();
    let said = said(&project, &["adopt"]);
    for step in ["part@name=a", "part@name=b", "whole", "side"] {
        assert!(said.contains(&format!("adopted {step}\n")), "{said}");
    }
    assert!(said.ends_with("adopted 4, up to date 0, still to run 0\n"), "{said}");
    project.build(&["whole", "side"]).assert_nothing_done();
    assert_eq!(before.changes(&project.snapshot()), [""; 0], "no file is touched, and nothing ran");
}

#[test]
fn what_is_missing_stays_to_run() {
    let project = made_elsewhere();
    let said = said(&project, &["adopt"]);
    assert!(said.contains("adopted part@name=a\n") && said.contains("adopted side\n"), "{said}");
    assert!(!said.contains("adopted part@name=b"), "{said}");
    assert!(said.contains("left    part@name=b: first build\n"), "what stays is named, and why: {said}");
    assert!(said.contains("left    whole: it reads what is still to be made: part@name=b\n"), "{said}");
    let plan = project.plan(&["whole", "side"]);
    plan.assert_only(&["part@name=b", "whole"]);
    project.build(&["whole", "side"]);
    assert_eq!(project.read("result/parts/a.txt"), "by hand\n");
    assert_eq!(project.read("result/whole.txt"), "by hand\nB\n");
    project.build(&["whole", "side"]).assert_nothing_done();
}

#[test]
fn a_later_edit_runs_what_it_should() {
    let project = made_elsewhere();
    project.write("result/parts/b.txt", "b by hand\n");
    project.run(&["adopt"]).exits(exit::DONE);
    project.write("in/b.txt", "new\n");
    project.build(&["whole", "side"]).assert_only(&["part@name=b", "whole"]);
    assert_eq!(project.read("result/whole.txt"), "by hand\nnew\n");
}

#[test]
fn an_output_that_was_changed_after_its_build_is_taken_as_it_is_now() {
    let project = project();
    project.build(&["whole", "side"]);
    project.write("other/side.txt", "better by hand\n");
    project.plan(&["side"]).assert_only(&["side"]);
    let report = json(&project, &["adopt", "side"], exit::DONE);
    assert_eq!(report["steps"][0]["step"], "side");
    project.build(&["whole", "side"]).assert_nothing_done();
    assert_eq!(project.read("other/side.txt"), "better by hand\n");
}

#[test]
fn only_what_is_named_is_taken() {
    let project = made_elsewhere();
    project.run(&["adopt", "part@name=a"]).exits(exit::DONE);
    project.plan(&["side", "part"]).assert_only(&["part@name=b", "side"]);
    project.run(&["adopt", "other/side.txt"]).exits(exit::DONE);
    project.plan(&["side", "part"]).assert_only(&["part@name=b"]);
}

#[test]
fn a_step_with_a_depfile_is_left_since_what_it_read_is_not_known() {
    let project = super::Project::new(
        "version: 1
targets:
  dep: {rule: command, run: \"cat d/h.h > {out}; echo '{out}: d/h.h' > d.mk\", depfile: d.mk, output: dep.txt}
  next: {rule: command, inputs: [dep], run: \"cp {in} {out}\", output: next.txt}
",
    );
    project.write("d/h.h", "one\n");
    project.build(&["next"]);
    // With what is recorded of its run, there is nothing to take over.
    assert_eq!(said(&project, &["adopt", "dep"]), "adopted 0, up to date 1, still to run 0\n");
    std::fs::remove_dir_all(project.path(".layermill")).expect("removed");
    let said = said(&project, &["adopt"]);
    assert!(said.starts_with("left    dep: it has a depfile: what it read is known only once it ran\n"), "{said}");
    assert!(said.ends_with("adopted 0, up to date 0, still to run 2\n"), "{said}");
    project.write("d/h.h", "two\n");
    project.plan(&["dep"]).assert_only(&["dep"]);
    project.build(&["next"]);
    assert_eq!(project.read("next.txt"), "two\n");
}

#[test]
fn what_is_below_a_source_that_is_asked_each_time_is_taken_and_runs_once_that_answers_otherwise() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  tags: {rule: tags, source: shelf, fresh: digest, foreach: {repo: [library/redis]}, output: \"tags/{repo}.json\"}
  count: {rule: command, fresh: always, inputs: [tags], run: \"wc -l < {in} > {out}\", output: count.txt}
  out: {rule: command, inputs: [tags, count], run: \"cat {in} > {out}\", output: out.txt}
",
    );
    let redis: Vec<_> = sample::images().into_iter().filter(|(name, _)| name.starts_with("library/redis:")).collect();
    project.layout("images", &redis[..1]);
    project.build(&[]);
    project.write("out.txt", "by hand\n");
    assert_eq!(said(&project, &["adopt", "out"]), "adopted out\nadopted 1, up to date 2, still to run 0\n");
    // Each is asked, or runs, and makes what it had made.
    project.build(&[]);
    assert_eq!(project.read("out.txt"), "by hand\n");
    let _ = std::fs::remove_dir_all(project.path("images"));
    project.layout("images", &redis);
    project.build(&[]);
    assert_ne!(project.read("out.txt"), "by hand\n");
}
