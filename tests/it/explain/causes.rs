//! Why a step runs: every cause of it, from what to what, wherever it is told.

use serde_json::Value;

use super::{assert_says, project};
use crate::support::project::Project;
use crate::support::words::exit;
use crate::support::{sample, schema, stock};

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
    assert_says(&build.stderr, &["built part (changed input: text.txt, from ", "; missing output: result/part.txt)"]);
}

#[test]
fn what_a_source_answered_is_told_before_why_it_was_asked() {
    let project = images();
    project.build(&[]);
    let all: Vec<_> = sample::images().into_iter().filter(|(name, _)| name != "library/redis:latest").collect();
    std::fs::remove_dir_all(project.path("images")).expect("removed");
    project.layout("images", &all);
    project.edit("only: [latest], ", "");
    project.build(&[]);
    project.layout("images", &sample::images());
    let report = project.build(&["--refresh"]);
    assert!(report.step("tags@repo=library/redis").reason().starts_with("changed answer: "), "{}", report.listing());
    assert_says(&project.explain("tags"), &["last made changed answer: ", "refreshed by hand"]);
}

#[test]
fn of_more_causes_than_are_kept_it_is_counted_how_many_there_are() {
    let project = project();
    project.build(&["part"]);
    let more: Vec<String> = (0..1100).map(|n| format!("many/{n}.txt")).collect();
    more.iter().for_each(|path| project.write(path, "new\n"));
    project.edit("inputs: [text.txt]", &format!("inputs: [text.txt, {}]", more.join(", ")));
    assert_says(&project.explain("part"), &["… and 1080 more (--format json names the first 1000)"]);
    let json = |verb: &str| -> Value {
        let json = project.run(&[verb, "part", "--format", "json"]).exits(exit::DONE).stdout;
        serde_json::from_str(&json).expect("JSON")
    };
    let explained = json("explain");
    assert_eq!(
        (explained[0]["reasons"].as_array().map(Vec::len), &explained[0]["unlisted_reasons"]),
        (Some(1000), &100.into())
    );
    assert_eq!(json("plan")["steps"][0]["unlisted_reasons"], 100);
    assert_says(&project.run(&["plan", "part", "-v"]).exits(exit::DONE).stdout, &["  and 100 more\n"]);
    let build = project.run(&["build", "part", "-v"]).exits(exit::DONE);
    assert_says(&build.stderr, &["; and 1080 more)"]);
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
    assert_says(&project.explain("tags"), &["changed answer: from ", "came: "]);
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
    let told = project.explain("tags");
    assert_says(&told, &["absent", ": absent", "  absent    since 20", "Z: first build\n"]);
    let since = |told: &str| told.lines().find(|line| line.starts_with("  absent    ")).map(str::to_owned);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    project.build(&["--refresh"]);
    let again = project.explain("tags");
    assert_says(&again, &[": still absent"]);
    assert_eq!(since(&again), since(&told));
}

#[test]
fn a_plan_says_restore_where_a_build_restores() {
    let project = project();
    project.build(&["part"]);
    let made_at =
        |explained: &str| explained.lines().find_map(|l| l.trim().strip_prefix("made at   ")).map(str::to_owned);
    let first_made = made_at(&project.explain("part")).expect("a time");
    std::thread::sleep(std::time::Duration::from_millis(1100));
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
    // The store knows when; and that is still told of what comes back in the place of the same.
    let made = format!("what came back was made at {first_made}\n");
    let explained = project.explain("part");
    assert_says(&explained, &[&made]);
    assert_ne!(made_at(&explained).as_ref(), Some(&first_made));
    project.remove("result/part.txt");
    assert_eq!(project.build(&["part"]).restored, 1);
    let explained = project.explain("part");
    assert_says(&explained, &["last made missing output: result/part.txt", "restored from the store", &made]);
    project.write("text.txt", "third text\n");
    project.build(&["part"]);
    project.remove("result/part.txt");
    assert_eq!(project.build(&["part"]).restored, 1);
    let again = project.explain("part");
    assert_says(
        &again,
        &["last made missing output: ", "what came back was made at 20", "Z: changed input: text.txt, from "],
    );
    project.write("text.txt", "text\n");
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
  names: {rule: command, cache: false, foreach: {set: [one, two]}, run: \"echo n-{set} > {out}\", output: 'gen/{set}.txt'}
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

#[test]
fn what_a_step_only_waits_for_is_no_cause() {
    let project = Project::new(
        "version: 1
targets:
  f: {rule: command, foreach: {x: [a, b]}, inputs: [i.txt], run: \"cp {in} {out}\", output: \"f/{x}.txt\"}
  one: {rule: command, inputs: [i.txt], run: \"cp {in} {out}\", output: one.txt}
  w: {rule: command, after: [f, one], run: \"echo w >> runs.log; echo w > {out}\", output: w.txt}
  all: {inputs: [w]}
",
    );
    project.write("i.txt", "1\n");
    project.build(&["w"]);
    project.write("i.txt", "2\n");
    let plan = project.run(&["plan", "w"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run      f@x=a", "run      one", "3 to run, 1 up to date"]);
    assert!(!plan.contains("w  "), "{plan}");
    assert_says(&project.explain("w"), &["w: up to date", "after     f (stale)", "after     one (stale)"]);
    assert_says(&project.explain("all"), &["all: up to date"]);
    let status = project.run(&["status"]).exits(exit::DONE).stdout;
    assert!(status.lines().any(|l| l.split_whitespace().take(3).eq(["w", "1", "0"])), "{status}");
    // And a build agrees.
    project.build(&["w"]).assert_only(&["f@x=a", "f@x=b", "one"]);
    assert_eq!(project.read("runs.log"), "w\n");
}

#[test]
fn values_are_not_read_out_of_what_someone_wrote_over() {
    for (cache, known) in [("true", true), ("false", false)] {
        let project = Project::new(&format!(
            "version: 1
targets:
  lst: {{rule: command, cache: {cache}, inputs: [list.txt], run: \"cp {{in}} {{out}}\", output: lst.txt}}
  c: {{rule: command, foreach: {{y: {{from: lst, lines: true}}}}, run: \"echo {{y}} > {{out}}\", output: \"c/{{y}}.txt\"}}
  all: {{rule: command, inputs: [c], run: \"cat {{in}} > {{out}}\", output: all.txt}}
"
        ));
        project.write("list.txt", "k1\nk2\n");
        project.build(&[]);
        project.write("lst.txt", "k9\n");
        let before = project.snapshot();
        let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
        assert!(!plan.contains("k9"), "{plan}");
        if known {
            assert_says(
                &plan,
                &["restore  lst  changed output: lst.txt", "0 to run, 3 up to date, 0 absent, 1 to restore"],
            );
            assert_says(&project.explain("c@y=k1"), &["c@y=k1: up to date"]);
            assert_says(&project.explain("all"), &["all: up to date"]);
        } else {
            assert_says(&plan, &["run      lst  changed output", "more     c  its steps are told once lst is built"]);
            assert_says(&project.explain("c@y=k1"), &["c@y=k1: pending", "read out of lst"]);
            assert_says(&project.explain("all"), &["because   upstream: lst is made again"]);
        }
        assert_eq!(before.changes(&project.snapshot()), [""; 0]);
        let report = project.build(&[]);
        assert_eq!((report.built, report.restored), if known { (0, 1) } else { (1, 0) });
    }
}

#[test]
fn what_needs_what_comes_back_from_the_store_is_told_by_its_content() {
    let project = Project::new(
        "version: 1
targets:
  one: {rule: command, inputs: [text.txt], run: \"cp {in} {out}\", output: one.txt}
  two: {rule: command, inputs: [one], run: \"cp {in} {out}\", output: two.txt}
  three: {rule: command, cache: false, inputs: [two], run: \"cp {in} {out}\", output: three.txt}
  beside: {rule: command, inputs: [text.txt], run: \"wc -l < {in} > {out}\", output: beside.txt}
  after: {rule: command, inputs: [beside], run: \"cp {in} {out}\", output: after.txt}
",
    );
    project.write("text.txt", "text\n");
    project.build(&[]);
    project.write("text.txt", "other\n");
    project.build(&[]);
    project.write("text.txt", "text\n");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    let words = [
        "restore  one",
        "restore  two  changed input: one.txt, from ",
        "run      three  changed input: two.txt, from ",
    ];
    assert_says(&plan, &words);
    assert_says(&plan, &["restore  beside", "1 to run, 1 up to date, 0 absent, 3 to restore"]);
    let report = project.build(&[]);
    assert_eq!((report.built, report.restored, report.up_to_date), (1, 3, 1));
}

#[test]
fn a_partial_input_that_failed_is_no_cause_until_it_does_not_fail() {
    let project = Project::new(
        "version: 1
targets:
  flaky: {rule: command, cache: false, foreach: {w: [good, bad]}, inputs: [i.txt], run: \"test {w} = good || test ! -e no && cp {in} {out}\", output: \"f/{w}.txt\"}
  part: {rule: command, inputs: [{target: flaky, partial: true}], run: \"cat {in} > {out}\", output: part.txt}
  one: {rule: command, foreach: {w: [good, bad]}, inputs: [{target: flaky, partial: true}], run: \"cat /dev/null {in} > {out}\", output: \"one/{w}.txt\"}
  whole: {rule: command, inputs: [part], run: \"cp {in} {out}\", output: whole.txt}
",
    );
    project.write("i.txt", "1\n");
    project.build(&[]);
    assert!(!project.explain("part").contains("without 1"));
    project.write("i.txt", "2\n");
    project.write("no", "");
    project.build_exits(exit::FAILED, &[]);
    let tried = "upstream: flaky@w=bad is tried again, and may fail or be put off as before; the last run did without f/bad.txt";
    assert_says(
        &project.run(&["plan"]).exits(exit::DONE).stdout,
        &[
            "run      flaky@w=bad",
            &format!("run?     part  {tried}"),
            &format!("run?     one@w=bad  {tried}"),
            "run?     whole  upstream: part may be made again",
            "1 to run, 2 up to date, 0 absent, 3 that may run",
        ],
    );
    for step in ["part", "one@w=bad"] {
        let explained = project.explain(step);
        let words = [
            &format!("because   {tried}"),
            "a build   may make it",
            ", not read by the last run) of flaky@w=bad, failed when it was last tried",
            "made without 1 step that failed",
            // Its file of before is still there.
            "again if  f/bad.txt can be had again, which its last run did without\n",
        ];
        assert_says(&explained, &words);
        assert!(!explained.contains("new input"), "{explained}");
    }
    // It fails again, and nothing else runs.
    project.build_exits(exit::FAILED, &[]).assert_only(&["flaky@w=bad"]);
    // What moves beside it is a cause, too, unless it comes out as it was.
    project.write("i.txt", "3\n");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run?     part  upstream: flaky@w=good is made again", "run?     whole"]);
    project.write("i.txt", "2\n");
    project.remove("no");
    project.build(&[]).assert_only(&["flaky@w=bad", "part", "one@w=bad", "whole"]);
    assert!(!project.explain("part").contains("without 1"));
}

#[test]
fn what_is_made_again_before_it_is_read_is_no_change_yet() {
    let project = Project::new(
        "version: 1
targets:
  one: {rule: command, cache: false, inputs: [i.txt], run: \"cp {in} {out}\", output: one.txt}
  two: {rule: command, cache: false, inputs: [one, j.txt], run: \"cat {in} > {out}\", output: two.txt}
",
    );
    project.write("i.txt", "1\n");
    project.write("j.txt", "1\n");
    project.build(&[]);
    project.write("i.txt", "2\n");
    project.build(&["one"]);
    assert_says(&project.run(&["plan"]).stdout, &["run      two  changed input: one.txt, from "]);
    // What lies there now is not what will be read.
    project.write("i.txt", "1\n");
    let explained = project.explain("two");
    assert_says(&explained, &["because   upstream: one is made again"]);
    assert!(!explained.contains("changed input"), "{explained}");
    project.build(&[]).assert_only(&["one"]);
    // What else moved is told beside it.
    project.write("i.txt", "2\n");
    project.write("j.txt", "2\n");
    assert_says(&project.explain("two"), &["because   changed input: j.txt", "because   upstream: one is made again"]);
}

#[test]
fn what_comes_back_from_the_store_is_no_younger_than_it_was() {
    let project = Project::new(
        "version: 1
targets:
  t: {rule: command, run: \"echo run >> log; echo made > {out}\", output: o/t.txt, fresh: 4s}
",
    );
    let runs = || project.read("log").lines().count();
    project.build(&[]);
    project.remove("o/t.txt");
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!((project.build(&[]).restored, runs()), (1, 1));
    std::thread::sleep(std::time::Duration::from_millis(2200));
    assert!(project.explain("t").contains("freshness"), "it was made more than 4 s ago, and restored since");
    project.remove("o/t.txt");
    assert_eq!((project.build(&[]).built, runs()), (1, 2), "the store's copy is too old as well");
}

#[test]
fn inputs_that_are_named_otherwise_and_a_depfile_that_goes_are_told_as_that() {
    let pipeline = |inputs: &str, depfile: &str| {
        format!(
            "version: 1
targets:
  it: {{rule: command, foreach: {{w: [a, b]}}, run: \"echo {{w}} > {{out}}\", output: \"o/{{w}}.txt\"}}
  ag: {{rule: command, inputs: [{inputs}], run: \"cat {{in}} > {{out}}; echo '{{out}}: names' > deps\", {depfile}output: agg.txt}}
"
        )
    };
    let project = Project::new(&pipeline("it", "depfile: deps, "));
    project.write("names", "");
    project.build(&[]);
    project.write("pipeline.yaml", pipeline("it", ""));
    let told = project.explain("ag");
    assert!(told.contains("removed parameter: depfile") && !told.contains("parameter: output"), "{told}");
    project.build(&[]);
    project.write("pipeline.yaml", pipeline("o/a.txt, o/b.txt", ""));
    let told = project.explain("ag");
    assert!(told.contains(r#"changed parameter: inputs, from "it" to "o/a.txt, o/b.txt""#), "{told}");
}

#[test]
fn the_order_of_axes_is_no_cause_and_an_input_that_is_named_twice_is_told_with_what_was_named() {
    let project = Project::new(
        "version: 1
targets:
  v: {rule: command, foreach: {v: [x], w: [1]}, inputs: [a.txt, a.txt], run: \"echo {v} {w} > {out}\", output: \"{v}/{w}.txt\"}
",
    );
    project.write("a.txt", "");
    project.write("b.txt", "");
    project.build(&[]);
    project.edit("{v: [x], w: [1]}", "{w: [1], v: [x]}");
    project.build(&[]).assert_nothing_done();
    project.edit("[a.txt, a.txt]", "[a.txt]");
    let told = project.run(&["plan", "-v"]).stdout;
    assert!(told.contains("changed parameter: inputs, from \"a.txt, a.txt\" to \"a.txt\"\n1 to"), "{told}");
    project.edit("[a.txt]", "[a.txt, b.txt]");
    let told = project.run(&["plan", "-v"]).stdout;
    assert_says(&told, &["new input: b.txt\n", "and changed parameter: inputs, from \"a.txt, a.txt\" to \"a.txt\"\n"]);
}

#[test]
fn what_is_left_out_is_told_as_that_and_not_as_gone() {
    let project = Project::new(
        "version: 1
targets:
  l: {rule: command, cache: false, foreach: {n: [a, b]}, inputs: ['{n}.txt'], run: \"test ! -e no-{n} && cp {in} {out}\", output: 'l/{n}.txt'}
  m: {rule: command, cache: false, foreach: {n: [a, b]}, inputs: [l], run: \"cp {in} {out}\", output: 'm/{n}.txt'}
  s: {rule: command, cache: false, inputs: [{target: l, partial: true}], run: \"cat {in} > {out}\", output: s.txt}
  t: {rule: command, cache: false, inputs: [{target: m, partial: true}], run: \"cat {in} > {out}\", output: t.txt}
",
    );
    project.write("a.txt", "a\n");
    project.write("b.txt", "b\n");
    project.build(&[]);
    project.write("b.txt", "other\n");
    project.write("no-b", "");
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!(report.step("s").reason(), "left out: l/b.txt, since l@n=b failed", "{}", report.listing());
    assert_eq!(report.step("t").reason(), "left out: m/b.txt, since m@n=b is blocked", "{}", report.listing());
    assert_says(&project.explain("s"), &["last made left out: l/b.txt, since l@n=b failed"]);
    // What is no input any more is gone.
    project.remove("no-b");
    project.build(&[]);
    project.edit(
        "s: {rule: command, cache: false, inputs: [{target: l, partial: true}]",
        "s: {rule: command, cache: false, inputs: [a.txt]",
    );
    assert_says(&project.explain("s"), &["an input is gone: l/b.txt"]);
}

#[test]
fn what_is_deferred_and_lies_there_is_not_told_as_gone() {
    let registry = stock::registry();
    let project = Project::new(&format!(
        "version: 1
sources:
  ours: {{kind: registry, budget: 2/1h, url: \"{}\"}}
targets:
  l: {{rule: layers, source: ours, foreach: {{repo: [library/nginx]}}, tag: latest, output: 'l/{{repo}}.json', fresh: always}}
  s: {{rule: stat, inputs: [{{target: l, partial: true}}], output: s.csv}}
",
        registry.url()
    ));
    project.build(&[]);
    project.build(&[]);
    std::fs::remove_dir_all(project.path(".layermill/store")).expect("removed");
    let plan = project.run(&["plan"]).stdout;
    assert!(!plan.contains("is gone"), "{plan}");
    assert_says(&plan, &["run?     s  left out: l/library/nginx.json, since l@repo=library/nginx is deferred"]);
}

#[test]
fn what_moved_is_told_before_that_it_was_forced() {
    let project = project();
    project.build(&[]);
    project.write("text.txt", "other\n");
    let told = |text: &str| text.find("changed input: text.txt") < text.find("forced by hand");
    let explained = project.run(&["explain", "part", "--force"]).exits(exit::DONE).stdout;
    assert!(told(&explained) && explained.contains("forced by hand"), "{explained}");
    let report = project.build(&["--force"]);
    assert_says(report.step("part").reason(), &["changed input: text.txt, from "]);
    assert_eq!(project.plan(&["--force"]).step("part").reason(), "forced by hand");
}

#[test]
fn of_a_new_step_with_several_outputs_each_is_a_new_input() {
    let project = Project::new(
        "version: 1
targets:
  new: {rule: command, foreach: {n: {lines: ns}}, run: \"echo {n} > {out.p}; echo {n} > {out.q}\", output: {p: \"n/{n}.p\", q: \"n/{n}.q\"}}
  last: {rule: command, inputs: [new], run: \"cat {in} > {out}\", output: last.txt}
",
    );
    project.write("ns", "1\n");
    project.build(&[]);
    project.write("ns", "1\n2\n");
    assert_says(
        &project.run(&["plan", "-v"]).stdout,
        &["run      last  new input: n/2.p\n           and new input: n/2.q\n"],
    );
    assert_says(&project.explain("last"), &["because   new input: n/2.p\n", "because   new input: n/2.q\n"]);
    assert_eq!(project.build(&[]).step("last").reason(), "new input: n/2.p");
}

#[test]
fn of_other_values_that_give_the_same_path_it_is_told_what_they_were() {
    let project = Project::new(
        "version: 1
targets:
  p: {rule: command, foreach: {a: {lines: as}, b: {lines: bs}}, run: \"echo {a} {b} > {out}\", output: \"p/{a}-{b}\"}
",
    );
    project.write("as", "x-y\n");
    project.write("bs", "z\n");
    project.build(&[]);
    project.write("as", "x\n");
    project.write("bs", "y-z\n");
    let causes = [r#"changed parameter: a, from "x-y" to "x""#, r#"changed parameter: b, from "z" to "y-z""#];
    assert_says(&project.explain("p"), &causes);
    assert_says(&project.run(&["build", "-v"]).exits(exit::DONE).stderr, &causes);
}
