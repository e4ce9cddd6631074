//! Why a step runs: every cause of it, from what to what, wherever it is told.

use serde_json::Value;

use super::{assert_says, project};
use crate::support::project::Project;
use crate::support::words::exit;
use crate::support::{sample, schema};

/// The reason that the events of a build tell of a step.
fn told(project: &Project, args: &[&str], step: &str) -> Value {
    project.run(&[&["build", "--events", "events.ndjson"], args].concat()).exits(exit::DONE);
    let events = project.read("events.ndjson");
    let schema: Value = serde_json::from_str(include_str!("../../../docs/events.schema.json")).expect("a schema");
    let parse = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("JSON");
        schema::check(&schema, &event).unwrap_or_else(|e| panic!("{e}\n{event:#}"));
        event
    };
    let started = events.lines().map(parse).find(|e| e["event"] == "started" && e["step"] == step);
    started.unwrap_or_else(|| panic!("{step} did not start"))["reason"].clone()
}

fn images() -> Project {
    let project = Project::new(
        "version: 1
vars: {shelf: one}
sources:
  one: {kind: oci-layout, path: images}
  two: {kind: oci-layout, path: more}
targets:
  tags: {rule: tags, source: \"${shelf}\", foreach: {repo: [library/redis]}, only: [latest], output: \"tags/{repo}.json\"}
",
    );
    project.layout("images", &sample::images());
    project.layout("more", &sample::images());
    project
}

#[test]
fn every_cause_is_told_everywhere() {
    let project = project();
    project.edit("inputs: [text.txt]", "inputs: [text.txt, more.txt]");
    project.write("more.txt", "more\n");
    project.build(&["part"]);
    project.edit("level: three", "level: four");
    project.write("text.txt", "other text\n");
    project.write("more.txt", "even more\n");
    project.remove("result/part.txt");

    let line = "changed parameter: run, from \"echo level three";
    let more = ["changed input: text.txt, from ", "changed input: more.txt, from ", "missing output: result/part.txt"];
    let plan = project.run(&["plan", "part"]).exits(exit::DONE).stdout;
    assert_says(&plan, &[line, "(+3 more causes)"]);
    assert!(!plan.contains("text.txt, from"), "{plan}");
    assert_says(&project.run(&["plan", "part", "-v"]).exits(exit::DONE).stdout, &[&[line], &more[..]].concat());
    let plan: Value = serde_json::from_str(&project.run(&["plan", "part", "--format", "json"]).stdout).expect("JSON");
    assert_eq!(plan["steps"][0]["more_reasons"].as_array().expect("a list").len(), 3);
    assert_says(&project.explain("part"), &[&["because   changed parameter: run"], &more[..]].concat());

    let reason = told(&project, &["part"], "part");
    let kinds: Vec<&str> =
        reason["more"].as_array().expect("a list").iter().filter_map(|r| r["kind"].as_str()).collect();
    assert_eq!(
        (reason["kind"].as_str(), kinds),
        (Some("changed-parameter"), vec!["changed-input", "changed-input", "missing-output"])
    );
    let explained = project.explain("part");
    assert_says(&explained, &[&["last made changed parameter: run"], &more[..]].concat());
    assert!(!explained.contains("because"), "{explained}");
}

#[test]
fn a_build_says_in_its_line_that_there_are_more_causes() {
    let project = project();
    project.build(&["part"]);
    project.write("text.txt", "other text\n");
    project.remove("result/part.txt");
    let build = project.run(&["build", "part", "-v"]).exits(exit::DONE);
    assert_says(&build.stderr, &["built part (changed input: text.txt, from ", "(+1 more cause))"]);
}

#[test]
fn all_outputs_that_are_off_are_causes() {
    let project = Project::new(
        "version: 1
targets:
  two: {rule: command, cache: false, run: \"echo 1 > {out.one}; echo 2 > {out.two}\", output: {one: one.txt, two: two.txt}}
",
    );
    project.build(&[]);
    project.remove("one.txt");
    project.write("two.txt", "scribbled over\n");
    assert_says(&project.explain("two"), &["because   missing output: one.txt", "because   changed output: two.txt"]);
}

#[test]
fn a_changed_question_says_what_it_was() {
    let project = images();
    project.build(&[]);
    project.edit("only: [latest]", "only: [latest, 7]");
    let what = r#"changed question: only, from ["latest"] to ["latest","7"]"#;
    assert_says(&project.explain("tags"), &[what]);
    project.edit("shelf: one", "shelf: two");
    let source = "changed question: source, from oci-layout images to oci-layout more";
    assert_says(&project.explain("tags"), &[source, what]);
    let reason = told(&project, &[], "tags@repo=library/redis");
    assert_eq!(
        (&reason["what"], &reason["from"], &reason["to"], &reason["more"][0]["what"]),
        (&"source".into(), &"oci-layout images".into(), &"oci-layout more".into(), &"only".into())
    );
    // What it was answered is a cause, too, and known only then.
    assert_says(&project.explain("tags"), &["changed answer: from "]);
}

#[test]
fn inputs_in_another_order_are_told_in_both() {
    let project = project();
    project.edit("inputs: [text.txt]", "inputs: [text.txt, a.txt, b.txt]");
    project.write("a.txt", "a\n");
    project.write("b.txt", "b\n");
    project.build(&["part"]);
    project.edit("[text.txt, a.txt, b.txt]", "[text.txt, b.txt, a.txt]");
    let said = "inputs in another order: from a.txt, b.txt to b.txt, a.txt";
    assert_says(&project.explain("part"), &[said]);
    assert_says(&project.run(&["plan", "part"]).stdout, &[said]);
    assert_eq!(told(&project, &["part"], "part")["text"], said);
}

#[test]
fn what_is_asked_again_in_vain_is_not_made_again() {
    let project = images();
    project.build(&[]);
    let field = |name: &str| {
        let explained = project.explain("tags");
        let line = explained.lines().find_map(|l| l.trim().strip_prefix(name)).map(str::trim).map(str::to_owned);
        line.unwrap_or_else(|| panic!("no {name} in {explained}"))
    };
    let (made, asked) = (field("made at"), field("asked at"));
    assert_eq!(asked, format!("{made}: answered"));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    project.run(&["build", "--refresh"]).exits(exit::DONE);
    assert_eq!((field("made at"), field("last made")), (made.clone(), "first build".to_owned()));
    let again = field("asked at");
    assert!(again.ends_with(": answer unchanged") && !again.starts_with(&made), "{again}");
    // Made from the recorded answer, it was not asked again.
    project.remove("tags/library/redis.json");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    project.build(&[]);
    assert_eq!(field("asked at").split(": ").next(), again.split(": ").next());
    assert!(field("made at") > again, "{}", field("made at"));
    assert_says(&field("last made"), &["missing output"]);
}

#[test]
fn an_absence_that_is_found_again_is_still_the_first() {
    let project = images();
    project.edit("[library/redis]", "[library/none]");
    project.build(&[]);
    assert_says(&project.explain("tags"), &["absent", ": absent", "last made first build"]);
    std::thread::sleep(std::time::Duration::from_millis(5));
    project.build(&["--refresh"]);
    assert_says(&project.explain("tags"), &[": still absent", "last made first build"]);
}

#[test]
fn a_plan_says_restore_where_a_build_restores() {
    let project = project();
    project.build(&["part"]);
    project.write("text.txt", "other text\n");
    project.build(&["part"]);
    project.write("text.txt", "text\n");
    let plan = project.run(&["plan", "part"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["restore  part  changed input: text.txt", "0 to run, 0 up to date, 0 absent, 1 to restore"]);
    let plan: Value = serde_json::from_str(&project.run(&["plan", "part", "--format", "json"]).stdout).expect("JSON");
    assert_eq!(plan["steps"][0]["work"], "restore");
    assert_says(&project.explain("part"), &["a build   restores its outputs from the store"]);
    assert_eq!(project.build(&["part"]).restored, 1);
    assert_says(
        &project.explain("part"),
        &["last made changed input: text.txt", "restored from the store, without being run"],
    );
    // Where the store has lost them, both know.
    project.write("text.txt", "other text\n");
    std::fs::remove_dir_all(project.path(".layermill/store/blobs")).expect("removed");
    assert_says(&project.run(&["plan", "part"]).stdout, &["run      part", "1 to run"]);
    let report = project.build(&["part"]);
    assert_eq!((report.built, report.restored), (1, 0));
}

#[test]
fn what_is_still_to_come_is_not_told_as_gone() {
    let project = Project::new(
        "version: 1
targets:
  names: {rule: command, foreach: {set: [one, two]}, run: \"echo n-{set} > {out}\", output: 'gen/{set}.txt'}
  each: {rule: command, foreach: {n: {from: names, lines: true}}, run: \"echo {n} > {out}\", output: 'gen/{set}/{n}.out'}
  all: {rule: command, inputs: [each], run: \"cat {in} > {out}\", output: all.txt}
",
    );
    project.build(&[]);
    project.remove("gen/one.txt");
    let explained = project.explain("all");
    assert_says(&explained, &["because   upstream: names@set=one is made again"]);
    assert!(!explained.contains("gone"), "{explained}");
}
