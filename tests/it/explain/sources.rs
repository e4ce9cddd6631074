//! What is said of steps that ask a source, and of what depends on them, is what a build then does.

use crate::support::images::Format;
use crate::support::project::Project;
use crate::support::registry::Registry;
use crate::support::stock;
use crate::support::words::outcome;

use super::assert_says;

/// One layer file of a tag that its pipeline names, which is asked about in each build.
fn pinned(registry: &Registry) -> Project {
    Project::new(&format!(
        "version: 1
sources: {{ours: {{kind: registry, url: \"{}\"}}}}
targets:
  one: {{rule: layers, source: ours, repo: library/busybox, tag: latest, output: one.json, fresh: digest}}
  copy: {{rule: command, inputs: [one], run: \"cp {{in}} {{out}}\", output: copy.json}}
",
        registry.url()
    ))
}

fn busybox() -> Registry {
    let registry = Registry::start();
    registry.push("library/busybox:latest", &stock::busybox().manifest(Format::Oci));
    registry
}

#[test]
fn a_tag_that_goes_and_comes_back_as_it_was_brings_its_files_back() {
    let registry = busybox();
    let project = pinned(&registry);
    project.build(&[]);
    let before = project.read("copy.json");
    registry.delete("library/busybox", &stock::busybox().manifest(Format::Oci));
    assert_eq!(project.build(&[]).absent, 2);
    assert!(!project.exists("one.json") && !project.exists("copy.json"));
    project.build(&[]).assert_nothing_done();

    registry.push("library/busybox:latest", &stock::busybox().manifest(Format::Oci));
    let report = project.build(&[]);
    assert!(report.step("one").outcome == outcome::BUILT, "{}", report.listing());
    assert_eq!(project.read("copy.json"), before);
    project.build(&[]).assert_nothing_done();
}

#[test]
fn a_layer_file_that_is_taken_over_costs_no_pull_where_its_tag_still_has_that_digest() {
    let registry = busybox();
    let (project, warm) = (pinned(&registry), pinned(&registry));
    project.build(&["one"]);
    warm.write("one.json", project.read("one.json"));
    let (before, mark) = (warm.snapshot(), registry.mark());
    warm.build(&["one"]);
    let asked = registry.requests_since(mark);
    assert!(asked.iter().all(|request| !request.fetches()), "{asked:#?}");
    assert_eq!(before.changes(&warm.snapshot()), [""; 0]);
    assert_says(&warm.explain("one"), &["one: stale", "taken     over as it was", "answer unchanged"]);

    let other = stock::redis("7").manifest(Format::Oci);
    registry.push("library/busybox:latest", &other);
    let report = warm.build(&["one"]);
    assert_says(report.step("one").reason(), &["changed answer: from "]);
    assert_says(&warm.read("one.json"), &[other.digest()]);
}

#[test]
fn why_a_file_without_a_record_is_not_taken_over() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox", "library/redis"]));
    let tags = "result/tags/library/busybox.json";
    let layers = "result/layers/library/busybox/latest.json";
    let other = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox"]));
    other.build(&[]);
    let cases = [
        (tags, String::new(), "it is empty"),
        (tags, "<html>".to_owned(), "it is no list of tags with their digests (expected value at line 1 column 1)"),
        (tags, "{\"latest\": \"1\"}".to_owned(), "it has no digest of 64 hex digits for latest, but \"1\""),
        (layers, "[]".to_owned(), "it is no list of the layers of one image ("),
        (layers, other.read("result/layers/library/busybox/1.json"), "it is of library/busybox:1"),
    ];
    for (path, content, why) in cases {
        let project = Project::new(&project.read("pipeline.yaml"));
        project.write(tags, other.read(tags));
        project.write(path, content);
        let says = format!("missing record: {path} is there, but is not what the rule writes: {why}");
        let plan = project.run(&["plan"]).stdout;
        assert_says(&plan, &[&says]);
        assert_says(&project.explain(path), &["missing", &format!("because   {says}")]);
        let report = project.build(&[]);
        let step = report.steps.iter().find(|step| step.reason().starts_with("missing record"));
        assert_says(step.expect("one step").reason(), &[&says]);
        assert_says(&project.explain(path), &[&format!("last made {says}")]);
    }
}

#[test]
fn what_lies_there_without_a_record_is_no_first_build() {
    let project = Project::new(
        "version: 1
targets:
  some: {rule: command, foreach: {n: [one, two]}, run: \"echo {n} > {out}\", output: '{n}.txt'}
",
    );
    project.write("one.txt", "by hand\n");
    let says = "missing record: one.txt is there, and nothing tells what it was made from";
    assert_says(&project.run(&["plan"]).stdout, &[&format!("run      some@n=one  {says}"), "n=two  first build"]);
    let report = project.build(&[]);
    assert_eq!(report.step("some@n=one").reason(), says);
    // What was forgotten with its record comes back from the store.
    project.edit("[one, two]", "[one]");
    project.run(&["clean", "--orphans", "--yes"]);
    project.edit("[one]", "[one, two]");
    let says = "missing record: what it makes is there, in the store";
    assert_says(&project.run(&["plan"]).stdout, &[&format!("restore  some@n=two  {says}")]);
    let report = project.build(&[]);
    assert_eq!(report.step("some@n=two").outcome, outcome::RESTORED);
    assert_eq!(report.step("some@n=two").reason(), says);
}
