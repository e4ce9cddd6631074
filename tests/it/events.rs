//! What a build tells while it works: to programs, to people, to the runner of GitHub Actions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::project::{Project, Run, Running};
use crate::support::schema;
use crate::support::words::exit;

/// Three pieces, the second of which fails, and a chain that waits for all of them; a second failure beside it.
const FAILING: &str = "version: 1
default: [page, other]
targets:
  piece:
    rule: command
    foreach: {n: ['1', '2', '3']}
    run: \"echo making {n}; test {n} != 2 || exit 7; echo {n} > {out}\"
    output: result/{n}.txt
  whole: {rule: command, inputs: [piece], run: \"cat {in} > {out}\", output: result/whole.txt}
  copy: {rule: command, inputs: [whole], run: \"cp {in} {out}\", output: result/copy.txt}
  lone: {rule: command, run: \"echo '%,:' >&2; exit 1\", output: result/lone.txt}
  page: {rule: command, inputs: [copy, lone], run: \"cat {in} > {out}\", output: result/page.txt}
  other: {rule: command, run: \"echo fine > {out}\", output: result/other.txt}
";

/// A level that can be edited, an input, and a copy of the copy.
const CHAIN: &str = "version: 1
vars: {level: three}
targets:
  part: {rule: command, inputs: [text.txt], run: \"echo level ${level} > {out}; cat {in} >> {out}\", output: result/part.txt, cache: false}
  whole: {rule: command, inputs: [part], run: \"cp {in} {out}\", output: result/whole.txt, cache: false}
";

fn chain() -> Project {
    let project = Project::new(CHAIN);
    project.write("text.txt", "text\n");
    project
}

/// The events of a build, each of which keeps to the schema.
fn events(project: &Project, code: i32, args: &[&str]) -> Vec<Value> {
    project.run(&[&["build", "--events", "events.ndjson"], args].concat()).exits(code);
    lines(&project.read("events.ndjson"))
}

fn lines(text: &str) -> Vec<Value> {
    let schema: Value = serde_json::from_str(include_str!("../../docs/events.schema.json")).expect("a schema");
    let parse = |line: &str| -> Value { serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")) };
    let events: Vec<Value> = text.lines().map(parse).collect();
    for event in &events {
        schema::check(&schema, event).unwrap_or_else(|e| panic!("{e}\n{event:#}"));
    }
    events
}

fn of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|e| e["event"] == kind).collect()
}

/// The reason that a step finished with.
fn reason<'a>(events: &'a [Value], step: &str) -> &'a Value {
    let finished = of(events, "finished").into_iter().find(|e| e["step"] == step);
    &finished.unwrap_or_else(|| panic!("{step} did not run: {events:#?}"))["reason"]
}

/// The program under GitHub Actions, with a page for its summary.
fn on_github(project: &Project, args: &[&str]) -> Run {
    let mut command = project.command(args);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", project.around().join("summary.md"));
    Running::spawn(command).wait()
}

#[test]
fn every_line_of_a_failing_build_keeps_to_the_schema_and_starts_have_ends() {
    let project = Project::new(FAILING);
    let events = events(&project, exit::FAILED, &[]);
    assert_eq!(events.first().expect("some")["event"], "begun");
    assert_eq!(events.last().expect("some")["event"], "done");
    assert!(!of(&events, "progress").is_empty());
    let ids = |kind: &str| of(&events, kind).iter().map(|e| e["id"].as_u64()).collect::<Vec<_>>();
    let (started, finished) = (ids("started"), ids("finished"));
    assert_eq!(started.len(), 5, "three pieces, lone, other");
    for id in &started {
        assert_eq!(finished.iter().filter(|f| *f == id).count(), 1, "{events:#?}");
    }
    let outcomes: BTreeMap<&str, &str> = of(&events, "finished")
        .iter()
        .map(|e| (e["step"].as_str().expect("text"), e["outcome"].as_str().expect("text")))
        .collect();
    let expected = [
        ("copy", "blocked"),
        ("lone", "failed"),
        ("other", "built"),
        ("page", "blocked"),
        ("piece@n=1", "built"),
        ("piece@n=2", "failed"),
        ("piece@n=3", "built"),
        ("whole", "blocked"),
    ];
    assert_eq!(outcomes, BTreeMap::from(expected));
}

#[test]
fn what_a_command_printed_is_told_as_one_before_its_end() {
    let project = Project::new(FAILING);
    let events = events(&project, exit::FAILED, &[]);
    let place = |kind: &str| events.iter().position(|e| e["event"] == kind && e["step"] == "piece@n=1").expect("told");
    assert!(place("started") < place("output") && place("output") < place("finished"));
    let output = &events[place("output")];
    assert_eq!(output["lines"], serde_json::json!(["making 1"]));
    assert_eq!(project.read(output["log"].as_str().expect("a path")), "making 1\n");
}

#[test]
fn root_failures_are_named_in_order_with_what_waits_for_them() {
    let project = Project::new(FAILING);
    let told = |failures: &Value| -> Vec<(String, u64)> {
        let failures = failures.as_array().expect("a list").iter();
        failures.map(|f| (f["step"].as_str().unwrap().to_owned(), f["blocks"].as_u64().unwrap())).collect()
    };
    let expected = [("lone".to_owned(), 1), ("piece@n=2".to_owned(), 3)];
    for jobs in ["1", "4", "8"] {
        let events = events(&project, exit::FAILED, &["-j", jobs]);
        let done = events.last().expect("some");
        let mut failures = told(&done["failures"]);
        failures.sort();
        assert_eq!(failures, expected, "{done:#}");
    }
    let run = project.run(&["build", "--format", "json"]).exits(exit::FAILED);
    let report: Value = serde_json::from_str(&run.stdout).expect("a report");
    let mut failures = told(&report["failures"]);
    failures.sort();
    assert_eq!(failures, expected);
    // In words: once in a short build, with its output, the log, and what waits.
    assert_eq!(run.stderr.matches("failed piece@n=2").count(), 1, "{run}");
    for words in ["making 2", ".layermill/logs/", "3 steps", "1 step"] {
        assert!(run.stderr.contains(words), "`{words}` is not said\n{run}");
    }
}

#[test]
fn steps_that_are_up_to_date_are_only_counted() {
    let project = chain();
    project.build(&["whole"]);
    let events = events(&project, exit::DONE, &["whole"]);
    assert_eq!((of(&events, "started").len(), of(&events, "finished").len()), (0, 0));
    assert_eq!(events.last().expect("some")["up_to_date"], 2);
}

#[test]
fn the_stream_goes_to_the_standard_output_unless_the_summary_wants_it() {
    let project = chain();
    let run = project.run(&["build", "--events", "-"]).exits(exit::DONE);
    assert_eq!(lines(&run.stdout).last().expect("some")["event"], "done");
    let run = project.run(&["build", "--events", "-", "--format", "json"]).exits(exit::WRONG);
    assert!(run.stdout.is_empty(), "{run}");
    project.run(&["build", "--events", "no/such/folder/x"]).exits(exit::FAILED).says("cannot write");
}

#[test]
fn each_reason_is_told_by_its_kind_with_what_moved() {
    let project = chain();
    let first = events(&project, exit::DONE, &[]);
    assert_eq!(reason(&first, "part")["kind"], "first-build");

    project.edit("level: three", "level: four");
    let edited = events(&project, exit::DONE, &[]);
    let why = reason(&edited, "part");
    assert_eq!((&why["kind"], &why["what"]), (&"changed-parameter".into(), &"run".into()), "{why}");
    assert!(why["from"].as_str().is_some_and(|t| t.contains("three")), "{why}");
    assert!(why["to"].as_str().is_some_and(|t| t.contains("four")), "{why}");

    project.write("text.txt", "other text\n");
    let changed = events(&project, exit::DONE, &[]);
    let why = reason(&changed, "part");
    assert_eq!((&why["kind"], &why["what"]), (&"changed-input".into(), &"text.txt".into()), "{why}");
    assert!(why["from"].is_string() && why["to"].is_string() && why["from"] != why["to"], "{why}");
    // What was built just before is told as such.
    let why = reason(&changed, "whole");
    assert_eq!((&why["kind"], &why["what"]), (&"upstream-rebuilt".into(), &"result/part.txt".into()), "{why}");

    project.remove("result/part.txt");
    assert_eq!(reason(&events(&project, exit::DONE, &[]), "part")["kind"], "missing-output");
    project.write("result/part.txt", "scribbled over\n");
    let why = reason(&events(&project, exit::DONE, &[]), "part").clone();
    assert_eq!((&why["kind"], &why["what"]), (&"changed-output".into(), &"result/part.txt".into()), "{why}");
    assert_eq!(reason(&events(&project, exit::DONE, &["--force=part"]), "part")["kind"], "forced");
    project.edit("cache: false}\n  whole", "cache: false, fresh: always}\n  whole");
    assert_eq!(reason(&events(&project, exit::DONE, &[]), "part")["kind"], "freshness");
}

#[test]
fn answers_that_age_and_those_asked_for_by_hand_say_so() {
    let project = Project::clone_of_the_repository("clone");
    project.build(&["get_tag"]);
    let step = |events: &[Value]| reason(events, "get_tag@repo=library/busybox").clone();
    assert_eq!(step(&events(&project, exit::DONE, &["get_tag", "--refresh"]))["kind"], "refreshed");
    project.edit("fresh: exists ", "fresh: always ");
    assert_eq!(step(&events(&project, exit::DONE, &["get_tag"]))["kind"], "freshness");
}

#[test]
fn plan_explain_and_build_give_the_same_reason() {
    let project = chain();
    project.build(&[]);
    project.write("text.txt", "other text\n");
    let plan: Value =
        serde_json::from_str(&project.run(&["plan", "--format", "json"]).exits(exit::DONE).stdout).unwrap();
    let explained: Value =
        serde_json::from_str(&project.run(&["explain", "part", "--format", "json"]).exits(exit::DONE).stdout).unwrap();
    let stale = plan["steps"].as_array().unwrap().iter().find(|s| s["step"] == "whole").expect("to be run").clone();
    assert_eq!(stale["reason_kind"], "upstream");
    let events = events(&project, exit::DONE, &[]);
    let built = reason(&events, "part");
    assert_eq!(explained[0]["reasons"][0], *built);
    let planned = plan["steps"].as_array().unwrap().iter().find(|s| s["step"] == "part").expect("to be run");
    assert_eq!((&planned["reason_kind"], &planned["reason"]), (&built["kind"], &built["text"]));
}

#[test]
fn a_second_build_tells_that_it_waits() {
    let project = Project::new(
        "version: 1
targets:
  slow: {rule: command, run: \"touch begun; while ! test -e go; do sleep 0.02; done; echo 1 > {out}\", output: result/slow.txt}
",
    );
    let mut first = project.start(&["build"]);
    first.until("the first build runs", |_| project.exists("begun").then_some(()));
    let mut second = project.start(&["build", "--events", "events.ndjson"]);
    second.until("the second one waits", |_| {
        std::fs::read_to_string(project.path("events.ndjson")).ok().filter(|t| t.contains("\"waiting\""))
    });
    project.write("go", "");
    assert_eq!((first.wait().code, second.wait().code), (exit::DONE, exit::DONE));
    let events = lines(&project.read("events.ndjson"));
    assert!(of(&events, "waiting")[0]["holder"].as_str().is_some_and(|h| h.starts_with("process ")), "{events:#?}");
}

#[test]
fn a_trace_is_rows_on_which_nothing_overlaps() {
    let project = Project::new(
        "version: 1
targets:
  piece: {rule: command, foreach: {n: ['1', '2', '3', '4', '5', '6']}, run: \"sleep 0.0{n}; echo {n} > {out}\", output: 'result/{n}.txt'}
",
    );
    project.run(&["build", "-j", "3", "--trace", "trace.json"]).exits(exit::DONE);
    let trace = project.json("trace.json");
    let events = trace.as_array().expect("a list of events");
    let mut rows: BTreeMap<(u64, u64), Vec<(u64, u64)>> = BTreeMap::new();
    for e in events.iter().filter(|e| e["ph"] == "X") {
        let number = |key: &str| e[key].as_u64().unwrap_or_else(|| panic!("{key}: {e}"));
        rows.entry((number("pid"), number("tid"))).or_default().push((number("ts"), number("ts") + number("dur")));
        assert!(e["name"].as_str().is_some_and(|n| n.starts_with("piece@n=")), "{e}");
        assert_eq!(e["args"]["reason"], "first build");
    }
    assert_eq!(rows.values().map(Vec::len).sum::<usize>(), 6);
    assert!(rows.len() <= 3, "{rows:?}");
    for row in rows.values_mut() {
        row.sort_unstable();
        assert!(row.windows(2).all(|w| w[0].1 <= w[1].0), "{row:?}");
    }
    let counters: BTreeSet<&str> =
        events.iter().filter(|e| e["ph"] == "C").filter_map(|e| e["name"].as_str()).collect();
    assert!(counters.contains("running") && counters.contains("requests"), "{counters:?}");
}

#[test]
fn verbose_groups_what_each_command_printed_and_quiet_says_only_what_is_wrong() {
    let project = Project::new(
        "version: 1
targets:
  piece: {rule: command, foreach: {n: ['1', '2', '3', '4']}, run: \"echo a {n}; sleep 0.03; echo b {n} > {out}; cat {out}\", output: 'result/{n}.txt'}
",
    );
    let run = project.run(&["build", "-v", "-j", "4"]).exits(exit::DONE);
    let told: Vec<&str> = run.stderr.lines().map(str::trim).collect();
    for n in 1..=4 {
        let at = told.iter().position(|l| l.starts_with(&format!("built piece@n={n} (first build)"))).expect("told");
        assert_eq!(told[at + 1..at + 3], [format!("│ a {n}"), format!("│ b {n}")], "{run}");
    }
    assert_eq!(project.run(&["build", "-q"]).exits(exit::DONE).stderr, "");
    project.edit("echo a {n}", "exit 3");
    let run = project.run(&["build", "-q"]).exits(exit::FAILED);
    assert!(run.stderr.contains("failed piece@n=1") && !run.stderr.contains("up to date"), "{run}");
}

#[test]
fn what_a_command_printed_reaches_no_terminal_as_it_is() {
    let project = Project::new(
        "version: 1
targets:
  bad: {rule: command, run: \"printf '\\\\033]0;owned\\\\007\\\\033[2Jtext\\\\033[31mred\\\\033[0m\\\\a\\\\n'; exit 1\", output: result/bad.txt}
",
    );
    let run = project.run(&["build", "--color", "always"]).exits(exit::FAILED);
    assert!(run.stderr.contains("text") && run.stderr.contains("red"), "{run}");
    assert!(!run.stderr.contains(['\u{7}']) && !run.stderr.contains("\u{1b}[2J") && !run.stderr.contains("\u{1b}]"));
}

#[test]
fn github_gets_errors_groups_and_a_page() {
    let project = Project::new(FAILING);
    project.edit("echo making {n};", "echo making {n}; echo ::error::planted;");
    std::fs::write(project.around().join("summary.md"), "before\n").expect("written");
    let run = on_github(&project, &["build", "-v"]).exits(exit::FAILED);
    assert!(run.stderr.contains("::error title=lone::the command failed: exit status: 1%0A%25,:%0A"), "{run}");
    assert!(run.stderr.contains("::error title=piece@n=2::"), "{run}");
    assert!(run.stderr.contains("::group::output of piece@n=1\n") && run.stderr.contains("::endgroup::\n"), "{run}");
    // What a command prints is no command to the runner.
    let mut stopped: Option<String> = None;
    for line in run.stderr.lines() {
        match (line.strip_prefix("::stop-commands::"), &stopped) {
            (Some(token), None) => stopped = Some(format!("::{token}::")),
            _ if stopped.as_deref() == Some(line) => stopped = None,
            _ => assert!(stopped.is_some() || !line.trim_start().starts_with("::error::"), "{run}"),
        }
    }
    let page = std::fs::read_to_string(project.around().join("summary.md")).expect("a page");
    assert!(page.starts_with("before\n### layermill build\n"), "{page}");
    assert!(page.contains("| piece@n=2 | the command failed: exit status: 7 | 3 |"), "{page}");
    // Elsewhere, none of this.
    let run = project.run(&["build", "-v"]).exits(exit::FAILED);
    assert!(!run.stderr.contains("::group::"), "{run}");
}

#[test]
fn a_terminal_gets_a_bar_that_goes_away_and_a_short_build_none() {
    let pipeline = "version: 1
targets:
  slow: {rule: command, run: \"sleep ${time}; echo 1 > {out}\", output: result/slow.txt, cache: false}
vars: {time: '1.5'}
";
    let project = Project::new(pipeline);
    let seen = on_terminal(&project);
    assert!(seen.contains("0/1 · 1 running"), "{seen:?}");
    assert!(seen.contains("slow") && seen.contains("built 1"), "{seen:?}");
    project.edit("'1.5'", "'0.01'");
    let seen = on_terminal(&project);
    assert!(!seen.contains("0/1") && seen.contains("built 1"), "{seen:?}");
}

/// What a terminal is sent by a build; `script` makes the terminal.
fn on_terminal(project: &Project) -> String {
    let mut command = project.command_of("script");
    command.args(["-qec", &format!("{} build", crate::support::project::PROGRAM), "/dev/null"]).env("TERM", "xterm");
    let run = Running::spawn(command).wait().exits(exit::DONE);
    run.stdout
}
