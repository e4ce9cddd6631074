//! What is said of steps that ask a source, and of what depends on them, is what a build then does.

use crate::support::images::Format;
use crate::support::project::Project;
use crate::support::registry::Registry;
use crate::support::stock;
use crate::support::words::{exit, outcome};

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

    // Its answer is by now what its source said; that of another is what its file said.
    let late = pinned(&registry);
    late.write("one.json", project.read("one.json"));
    let other = stock::redis("7").manifest(Format::Oci);
    registry.push("library/busybox:latest", &other);
    let moved =
        format!("(the tag moved from {} to {})", stock::busybox().manifest(Format::Oci).digest(), other.digest());
    for (project, why) in [(&warm, &*moved), (&late, "(the first was taken over with the file)")] {
        let report = project.build(&["one"]);
        assert_says(report.step("one").reason(), &["changed answer: from ", why]);
    }
    assert_says(&warm.read("one.json"), &[other.digest()]);
}

#[test]
fn of_a_tag_file_that_is_taken_over_it_is_told_which_tags_moved() {
    let registry = busybox();
    let project = Project::new(&format!(
        "version: 1
sources: {{ours: {{kind: registry, url: \"{}\"}}}}
targets:
  tags: {{rule: tags, source: ours, repo: library/busybox, output: tags.json}}
",
        registry.url()
    ));
    project.build(&[]);
    std::fs::remove_dir_all(project.path(".layermill")).unwrap();
    assert_eq!(project.build(&[]).step("tags").outcome, outcome::ADOPTED);
    registry.push("library/busybox:latest", &stock::redis("7").manifest(Format::Oci));
    let report = project.build(&["--refresh"]);
    assert_says(report.step("tags").reason(), &["changed answer: from ", "(moved: latest from "]);
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
    // What was forgotten with its record comes back from the store, which is no cause.
    project.edit("[one, two]", "[one]");
    project.run(&["clean", "--orphans", "--yes"]);
    project.edit("[one]", "[one, two]");
    assert_says(&project.run(&["plan"]).stdout, &["restore  some@n=two  first build"]);
    let report = project.build(&[]);
    assert_eq!(report.step("some@n=two").outcome, outcome::RESTORED);
    assert_eq!(report.step("some@n=two").reason(), "first build");
}

#[test]
fn a_step_that_comes_back_while_its_input_is_made_again_has_one_cause_before_and_after() {
    let project = Project::new(
        "version: 1
targets:
  n: {rule: command, inputs: [list.txt], run: \"wc -l < {in} > {out}\", output: n, cache: false}
  t: {rule: command, foreach: {k: {lines: list.txt}}, inputs: [n], run: \"cat {in} > {out}\", output: \"t/{k}\"}
",
    );
    project.write("list.txt", "a\nb\n");
    project.build(&[]);
    project.write("list.txt", "a\n");
    project.build(&[]);
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    project.write("list.txt", "a\nb\n");
    assert_says(&project.run(&["plan"]).stdout, &["run      t@k=b  first build\n"]);
    let report = project.build(&[]);
    assert_eq!(report.step("t@k=b").outcome, outcome::RESTORED);
    assert_eq!(report.step("t@k=b").reason(), "first build");
    let told = "  last made first build\n            restored from the store, without being run\n";
    assert_says(&project.explain("t@k=b"), &[told]);
}

#[test]
fn what_reads_a_step_that_may_come_out_as_it_was_may_not_run() {
    let registry = busybox();
    let project = pinned(&registry);
    project.edit(
        "copy.json}",
        "copy.json}\n  last: {rule: command, inputs: [copy], run: \"cp {in} {out}\", output: last.json}",
    );
    project.build(&[]);
    let says = [
        "run      one  freshness: asked each time",
        "run?     copy  upstream: one is asked, and may be answered otherwise",
        "run?     last  upstream: copy may be made again",
    ];
    assert_says(&project.run(&["plan"]).stdout, &says);
    assert_says(&project.run(&["plan"]).stdout, &["1 to run, 0 up to date, 0 absent, 2 that may run"]);
    assert_says(&project.explain("one"), &["a build   asks its source"]);
    assert_says(&project.explain("copy"), &["copy: stale", "a build   may make it"]);
    project.build(&[]).assert_nothing_done();
    registry.push("library/busybox:latest", &stock::redis("7").manifest(Format::Oci));
    project.build(&[]).assert_only(&["one", "copy", "last"]);
}

#[test]
fn a_digest_is_told_where_it_is_read_with_the_manifest_that_it_led_to() {
    let registry = Registry::start();
    let index = stock::nginx_index("1.27.2", "");
    registry.push("library/nginx:latest", &index);
    registry.push("library/nginx:1.26", &stock::nginx("amd64", "1.26.2").manifest(Format::Oci));
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/nginx"]));
    project.write(
        "pipeline.yaml",
        project.read("pipeline.yaml")
            + "
  copy:
    rule: command
    foreach: {tag: {from: get_tag, select: all}}
    inputs: [get_layer_all]
    run: \"cp {in} {out}\"
    output: result/copy/{repo}/{tag}.json
",
    );
    project.build(&["stat_layer", "copy"]);
    let digest = |manifest: &crate::support::images::Manifest| manifest.digest().to_owned();
    let explained = project.explain("result/layers/library/nginx/latest.json");
    assert_says(
        &explained,
        &[
            &format!("tag       latest ({})", digest(&index)),
            &format!("read      {} (the index)\n", digest(&index)),
            &format!("read      {} (its manifest for linux/amd64)\n", digest(&index.children[0])),
        ],
    );
    let one = digest(&stock::nginx("amd64", "1.26.2").manifest(Format::Oci));
    assert_says(
        &project.explain("result/layers/library/nginx/1.26.json"),
        &[&format!("read      {one} (the manifest)\n")],
    );
    // Its path has the name of the tag; what the tag points at is not read.
    let copy = project.explain("result/copy/library/nginx/1.26.json");
    assert!(copy.contains("tag       1.26\n") && !copy.contains("sha256:"), "{copy}");
}

#[test]
fn a_file_that_a_build_would_take_over_is_told_with_its_time() {
    let registry = busybox();
    let made = pinned(&registry);
    made.build(&["one"]);
    let project = pinned(&registry);
    project.edit(", fresh: digest", "");
    project.write("one.json", made.read("one.json"));
    let file = std::fs::File::options().append(true).open(project.path("one.json")).expect("a file");
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(86_400)).expect("set");
    let says = [
        "one: up to date\n",
        "says      what is there is of 1970-01-02T00:00:00Z",
        "a build   takes over what is there",
    ];
    assert_says(&project.explain("one"), &says);
    project.build(&["one"]);
    assert_says(
        &project.explain("one"),
        &["taken     over as it was, without being made; it is of 1970-01-02T00:00:00Z"],
    );
}

#[test]
fn a_list_of_platforms_without_a_record_is_not_told_as_something_else() {
    let registry = Registry::start();
    registry.push("library/nginx:latest", &stock::nginx_index("1.27.2", ""));
    let project = Project::new(&format!(
        "version: 1
sources: {{ours: {{kind: registry, url: \"{}\"}}}}
targets:
  list: {{rule: platforms, source: ours, repo: library/nginx, tag: latest, output: list.json}}
",
        registry.url()
    ));
    project.build(&[]);
    std::fs::remove_dir_all(project.path(".layermill")).expect("removed");
    let says = "missing record: list.json is there, and nothing tells what it was made from";
    assert_says(&project.run(&["plan"]).stdout, &[&format!("run      list  {says}")]);
    assert_eq!(project.build(&[]).step("list").reason(), says);
}

#[test]
fn what_makes_a_step_run_is_told_before_why_its_source_is_asked() {
    let registry = busybox();
    let project = pinned(&registry);
    project.build(&[]);
    project.remove("one.json");
    assert_says(&project.run(&["plan"]).stdout, &["run      one  missing output: one.json (+1 more cause)"]);
    assert_eq!(project.build(&[]).step("one").reason(), "missing output: one.json");
}

#[test]
fn a_layer_file_is_told_as_of_the_manifest_that_was_read_and_not_of_one_that_was_not_to_be_had() {
    let registry = busybox();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox"]));
    project.build(&[]);
    let step = "get_layer_latest@repo=library/busybox,tag=latest";
    let [before, now] = [stock::busybox().manifest(Format::Oci), stock::redis("7").manifest(Format::Oci)];
    assert_says(&project.explain(step), &[&format!("read      {} (the manifest)\n", before.digest())]);
    // The tag moved, and nobody has asked for the tags since.
    registry.delete("library/busybox", &before);
    registry.push("library/busybox:latest", &now);
    for gone in [".layermill/store", "result/layers"] {
        std::fs::remove_dir_all(project.path(gone)).expect("removed");
    }
    let build = project.run(&["build", "-v"]).exits(exit::DONE);
    assert_says(&build.stderr, &[&format!("{} is not to be had: this is of {}", before.digest(), now.digest())]);
    let read = [
        format!("read      {} (the manifest)\n", now.digest()),
        format!("read      {} (what the tag had, which was not to be had: ", before.digest()),
    ];
    assert_says(&project.explain(step), &[&read[0], &read[1]]);
}

#[test]
fn an_orphan_is_told_by_the_name_that_it_is_printed_with_also_where_another_target_could_make_it() {
    let registry = busybox();
    for tag in [1, 2] {
        registry.push(&format!("library/busybox:{tag}"), &stock::redis("7").manifest(Format::Oci));
    }
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox"]));
    project.build(&["get_layer_latest", "get_layer_all"]);
    registry.delete("library/busybox", &stock::busybox().manifest(Format::Oci));
    project.build(&["get_tag", "--refresh"]);
    let name = "get_layer_latest@repo=library/busybox,tag=latest";
    for asked in ["result/layers/library/busybox/latest.json", name] {
        assert_says(&project.explain(asked), &[&format!("{name}: orphan\n"), "made by   get_layer_latest"]);
    }
    // What another target makes is no orphan of this one.
    project.run(&["explain", "get_layer_latest@repo=library/busybox,tag=1"]).exits(exit::WRONG).says("no step");
}
