//! The finer points of what a build tells: what waits for what, who reads along, and what a terminal is spared.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::support::project::{PROGRAM, Project, Run, Running};
use crate::support::words::exit;
use crate::support::{sample, schema};

/// Two commands that go well, a third that fails, what waits for it, and images.
const PIPELINE: &str = "version: 1
default: [whole, end, tags]
sources:
  shelf: {kind: oci-layout, path: images}
pools: {slow: 1}
targets:
  part:
    rule: command
    foreach: {n: [1, 2, 3]}
    pool: slow
    run: \"echo begin {n}; sleep 0.05; echo end {n} >&2; test {n} != 3 && echo {n} > {out}\"
    output: result/part/{n}.txt
  each:
    rule: command
    foreach: {n: [1, 2, 3]}
    inputs: [part]
    run: \"cp {in} {out}\"
    output: result/each/{n}.txt
  whole: {rule: command, inputs: [each], run: \"cat {in} > {out}\", output: result/whole.txt}
  end: {rule: command, inputs: [whole], run: \"cp {in} {out}\", output: result/end.txt}
  tags: {rule: tags, source: shelf, foreach: {repo: [library/redis]}, output: \"result/tags/{repo}.json\"}
";

fn project() -> Project {
    let project = Project::new(PIPELINE);
    project.layout("images", &sample::images());
    project
}

fn events(text: &str) -> Vec<Value> {
    let schema: Value = serde_json::from_str(include_str!("../../docs/events.schema.json")).expect("a schema");
    let parse = |line: &str| -> Value {
        let event = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        schema::check(&schema, &event).unwrap_or_else(|e| panic!("{e}\n{event:#}"));
        event
    };
    text.lines().map(parse).collect()
}

fn named<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|e| e["event"] == name).collect()
}

fn of_step<'a>(events: &'a [Value], name: &str, step: &str) -> &'a Value {
    let found = events.iter().find(|e| e["event"] == name && e["step"] == step);
    found.unwrap_or_else(|| panic!("no `{name}` of {step} in {events:#?}"))
}

/// A build whose events are kept.
fn told(project: &Project, args: &[&str]) -> Vec<Value> {
    project.run(&[&["build", "--events", "events.ndjson"], args].concat());
    events(&project.read("events.ndjson"))
}

#[test]
fn asking_again_and_finding_nothing_new_is_told_to_its_end() {
    let project = project();
    told(&project, &["tags"]);
    let events = told(&project, &["tags", "--refresh"]);
    let finished = of_step(&events, "finished", "tags@repo=library/redis");
    assert_eq!((&finished["outcome"], &finished["reason"]["kind"]), (&"up to date".into(), &"refreshed".into()));
}

#[test]
fn a_start_says_what_is_done_and_where() {
    let project = project();
    let events = told(&project, &[]);
    let part = of_step(&events, "started", "part@n=1");
    assert_eq!((&part["lane"], &part["pool"], &part["work"]), (&"process".into(), &"slow".into(), &"make".into()));
    let tags = of_step(&events, "started", "tags@repo=library/redis");
    assert!(tags["work"] == "ask" && tags["lane"].as_str().is_some_and(|l| l.contains("oci-layout")), "{tags}");
}

#[test]
fn attempts_are_counted() {
    let project = Project::new(
        "version: 1
targets:
  made:
    rule: command
    retries: 1
    run: \"echo try >> tries; test $(wc -l < tries) = 2 && echo made > {out}\"
    output: result/made.txt
",
    );
    let events = told(&project, &[]);
    let finished = of_step(&events, "finished", "made");
    assert_eq!((&finished["outcome"], &finished["attempts"]), (&"built".into(), &2.into()));
}

#[test]
fn what_each_attempt_printed_is_kept_and_the_last_lines_are_those_of_the_last() {
    let pipeline = |end: &str| {
        Project::new(&format!(
            "version: 1
targets:
  made:
    rule: command
    retries: 1
    run: \"echo try >> tries; n=$(wc -l < tries); {end}\"
    output: result/made.txt
"
        ))
    };
    let project = pipeline("printf \\\"out of $n\\\"; test $n = 2 && echo made > {out}");
    let events = told(&project, &[]);
    let printed = ["out of 1", "[attempt 1: the command failed: exit status: 1]", "out of 2"];
    assert_eq!(of_step(&events, "output", "made")["lines"], serde_json::json!(printed));

    let project = pipeline("test $n = 1 && echo no such host; exit $n");
    let run = project.run(&["build", "--format", "json", "--events", "events"]).exits(exit::FAILED);
    let events = self::events(&project.read("events"));
    let printed = ["no such host", "[attempt 1: the command failed: exit status: 1]"];
    assert_eq!(of_step(&events, "output", "made")["lines"], serde_json::json!(printed));
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(report["steps"][0].get("output"), None, "{report}");
    let log = report["steps"][0]["log"].as_str().expect("where it is kept");
    assert_eq!(project.read(log), printed.join("\n") + "\n");
    project.run(&["build", "--force"]).exits(exit::FAILED);
    assert!(!project.exists(log), "an earlier build's attempts are not of this one");
}

#[test]
fn events_go_to_the_standard_output_where_nothing_else_does() {
    let project = project();
    let run = project.run(&["build", "tags", "--events", "-"]).exits(exit::DONE);
    assert_eq!(events(&run.stdout).last().expect("events")["event"], "done");
    project.run(&["build", "--events", "-", "--format", "json"]).exits(exit::WRONG).says("both want");
    project.run(&["build", "--events", "-", "--trace", "-"]).exits(exit::WRONG).says("both want");
    project.run(&["build", "--events", "same", "--trace", "same"]).exits(exit::WRONG).says("both want same");
    project.run(&["build", "--events", "no/such/folder"]).exits(exit::FAILED).says("no/such/folder");
    // A reader that has seen enough ends nothing.
    let mut sh = project.command_of("sh");
    sh.args(["-c", &format!("{} build --force --events - | head -1", PROGRAM)]);
    assert_eq!(events(&Running::spawn(sh).wait().exits(exit::DONE).stdout).len(), 1);
    assert!(project.exists("result/part/2.txt"));
}

#[test]
fn the_timeline_has_rows_on_which_nothing_overlaps() {
    let project = project();
    project.edit("    pool: slow\n", "");
    project.run(&["build", "-j", "3", "--trace", "trace.json"]).exits(exit::FAILED);
    let trace = project.json("trace.json");
    let trace = trace.as_array().expect("a list of events");
    let mut rows: BTreeMap<(u64, u64), Vec<(u64, u64)>> = BTreeMap::new();
    let number = |event: &Value, name: &str| event[name].as_u64().unwrap_or_else(|| panic!("{name}: {event}"));
    for event in trace.iter().filter(|e| e["ph"] == "X") {
        let row = rows.entry((number(event, "pid"), number(event, "tid"))).or_default();
        row.push((number(event, "ts"), number(event, "ts") + number(event, "dur")));
        assert!(event["args"]["reason"].is_string(), "{event}");
    }
    // Two of `each`, for its third waits for what failed; three of `part`; the tags.
    assert_eq!(rows.values().map(Vec::len).sum::<usize>(), 6, "{rows:?}");
    for (row, spans) in &mut rows {
        spans.sort_unstable();
        assert!(spans.windows(2).all(|w| w[0].1 <= w[1].0), "{row:?} overlaps: {spans:?}");
    }
    assert!(rows.len() > 2, "the parts ran at once: {rows:?}");
    for name in ["running", "requests"] {
        assert!(trace.iter().any(|e| e["ph"] == "C" && e["name"] == name), "no counter {name}");
    }
    let lanes = trace.iter().filter(|e| e["name"] == "process_name").count();
    assert_eq!(lanes, 3, "the counters, the commands and the source");
}

#[test]
fn what_waits_for_several_failures_is_counted_with_each() {
    // Two lists cannot be made; of one of them more steps would have come; a group stands between.
    let project = Project::new(
        "version: 1
targets:
  list:
    rule: command
    foreach: {n: [1, 2, 3]}
    run: \"test {n} = 2 && echo a > {out}\"
    output: result/list/{n}.txt
  item:
    rule: command
    foreach: {line: {from: list, lines: true}}
    run: \"echo {line} > {out}\"
    output: result/item/{n}/{line}.txt
  all: {inputs: [item]}
  whole: {rule: command, inputs: [item], run: \"cat {in} > {out}\", output: result/whole.txt}
  after: {rule: command, after: [all], inputs: [whole], run: \"cp {in} {out}\", output: result/after.txt}
  last: {rule: command, after: [all], run: \"echo > {out}\", output: result/last.txt}
",
    );
    let blocks = |jobs: &str| {
        let report: Value = {
            let run = project.run(&["build", "after", "last", "-j", jobs, "--format", "json"]).exits(exit::FAILED);
            serde_json::from_str(&run.stdout).expect("JSON")
        };
        let by_step = |f: &Value| (f["step"].as_str().expect("a name").to_owned(), f["blocks"].clone());
        let blocked = |s: &&Value| s["outcome"] == "blocked";
        let steps = report["steps"].as_array().expect("a list").iter().filter(blocked).cloned().collect::<Vec<_>>();
        (report["failures"].as_array().expect("a list").iter().map(by_step).collect::<BTreeMap<_, _>>(), steps)
    };
    let first = blocks("1");
    let expected = [("list@n=1", 4), ("list@n=3", 4)].map(|(s, n)| (s.to_owned(), Value::from(n)));
    assert_eq!(first.0, BTreeMap::from(expected), "{first:?}");
    for _ in 0..3 {
        assert_eq!(blocks("3"), first, "the same, whatever came first");
    }
}

#[test]
fn a_terminal_is_shown_text_and_nothing_that_moves_it() {
    let project = Project::new(
        r#"version: 1
targets:
  made:
    rule: command
    foreach: {n: ["a\e[2J"]}
    run: "echo {n} > {out}"
    output: "result/{n}.txt"
  loud:
    rule: command
    run: "printf 'x\\033]0;title\\007y\\033[2Jz\\b\\n'; false; echo > {out}; false"
    output: result/loud.txt
"#,
    );
    for verb in [["build", "-v"], ["plan", "-v"], ["build", "-q"], ["explain", "made"]] {
        let run = project.run(&verb);
        let shown = run.stdout.clone() + &run.stderr;
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{8}']), "{shown:?}");
        assert!(shown.contains(r"a\u{1b}[2J"), "{shown}");
    }
    let run = project.run(&["build", "loud"]).exits(exit::FAILED);
    assert!(run.stderr.contains("│ xyz\n"), "{run}");
    // Programs get what there is.
    let events = told(&project, &[]);
    let output = named(&events, "output")[0].clone();
    assert!(output["lines"][0].as_str().is_some_and(|l| l.contains('\u{1b}')), "{output}");
}

#[test]
fn a_long_build_has_a_bar_that_names_what_runs_and_is_gone_after_ctrl_c() {
    let project = Project::new(
        "version: 1
targets:
  slow: {rule: command, run: \"sleep 600; echo > {out}\", output: result/slow.txt}
",
    );
    let mut terminal = Running::spawn(project.at_a_terminal("build --events events.ndjson --color never"));
    let pid = terminal.until("it has begun", |_| {
        let text = std::fs::read_to_string(project.path("events.ndjson")).ok()?;
        serde_json::from_str::<Value>(text.lines().next()?).ok()?["pid"].as_i64()
    });
    // Long enough for the bar, and for the name of what runs.
    std::thread::sleep(Duration::from_millis(1500));
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let run = terminal.wait().exits(exit::INTERRUPTED);
    let shown = &run.stdout;
    assert!(shown.contains("0/1 · 1 running") && shown.contains("s  slow"), "{shown:?}");
    let (_, after) = shown.rsplit_once('\u{1b}').expect("the bar was cleared");
    assert!(after.contains("interrupted") && !after.contains("running"), "{shown:?}");
    assert_eq!(shown.matches("\u{1b}[?25l").count(), shown.matches("\u{1b}[?25h").count(), "the cursor is shown again");
}

/// The reason of a step, which plan, explain, events and the report all say alike. In `upstream_of`, what only a build
/// can know is told by the build alone.
fn reason(project: &Project, step: &str, args: &[&str]) -> Value {
    let json = |run: Run| -> Value { serde_json::from_str(&run.exits(exit::DONE).stdout).expect("JSON") };
    let of_report = |report: &Value| {
        let steps = report["steps"].as_array().expect("a list");
        let found = steps.iter().find(|s| s["step"] == step).unwrap_or_else(|| panic!("no {step} in {report}"));
        (found["reason_kind"].clone(), found["reason"].clone())
    };
    let plan = of_report(&json(project.run(&[&["plan", "--format", "json"], args].concat())));
    let built =
        of_report(&json(project.run(&[&["build", "--format", "json", "--events", "events.ndjson"], args].concat())));
    let events = events(&project.read("events.ndjson"));
    let reason = of_step(&events, "started", step)["reason"].clone();
    assert_eq!(of_step(&events, "finished", step)["reason"], reason);
    assert_eq!(built, (reason["kind"].clone(), reason["text"].clone()));
    if reason["kind"] != "upstream-rebuilt" {
        assert_eq!(plan, built);
    }
    reason
}

const REASONS: &str = "version: 1
vars: {level: three}
sources:
  shelf: {kind: oci-layout, path: images}
targets:
  part: {rule: command, inputs: [text.txt], run: \"echo level ${level} > {out}; cat {in} >> {out}\", output: result/part.txt}
  whole: {rule: command, inputs: [part], run: \"cp {in} {out}\", output: result/whole.txt}
  often: {rule: command, fresh: always, run: \"echo often > {out}\", output: result/often.txt}
  tags: {rule: tags, source: shelf, foreach: {repo: [library/redis]}, only: [latest], output: \"result/tags/{repo}.json\"}
";

#[test]
fn why_a_step_ran_is_said_alike_everywhere() {
    let project = Project::new(REASONS);
    project.layout("images", &sample::images());
    project.write("text.txt", "text\n");
    assert_eq!(reason(&project, "part", &["whole"])["kind"], "first-build");

    project.remove("result/part.txt");
    let why = reason(&project, "part", &["whole"]);
    assert_eq!((&why["kind"], &why["what"]), (&"missing-output".into(), &"result/part.txt".into()));

    project.write("result/part.txt", "scribbled over\n");
    let why = reason(&project, "part", &["whole"]);
    assert_eq!((&why["kind"], &why["what"]), (&"changed-output".into(), &"result/part.txt".into()));
    assert_moved(&why);

    project.write("text.txt", "other text\n");
    let why = reason(&project, "part", &["part"]);
    assert_eq!((&why["kind"], &why["what"]), (&"changed-input".into(), &"text.txt".into()));
    assert_moved(&why);
    // What another build made is a changed input; what this one makes is rebuilt upstream.
    let why = reason(&project, "whole", &["whole"]);
    assert_eq!((&why["kind"], &why["what"]), (&"changed-input".into(), &"result/part.txt".into()));

    project.edit("level: three", "level: four");
    let plan = project.run(&["plan", "whole"]).exits(exit::DONE);
    assert!(plan.stdout.contains("upstream: part is made again"), "{plan}");
    let why = reason(&project, "whole", &["whole"]);
    assert_eq!((&why["kind"], &why["what"]), (&"upstream-rebuilt".into(), &"result/part.txt".into()));
    assert!(why["text"].as_str().is_some_and(|t| t.starts_with("upstream rebuilt: result/part.txt by part, from ")));
    assert_moved(&why);

    project.edit("level: four", "level: five");
    let why = reason(&project, "part", &["part"]);
    assert_eq!((&why["kind"], &why["what"]), (&"changed-parameter".into(), &"run".into()));
    let says = |end: &str, word: &str| why[end].as_str().is_some_and(|text| text.contains(word));
    assert!(says("from", "level four") && says("to", "level five"), "{why}");

    reason(&project, "often", &["often"]);
    assert_eq!(reason(&project, "often", &["often"])["kind"], "freshness");
    reason(&project, "tags@repo=library/redis", &["tags"]);
    project.edit("only: [latest]", "only: [latest, nothing]");
    assert_eq!(reason(&project, "tags@repo=library/redis", &["tags"])["kind"], "changed-question");
    assert_eq!(reason_of_refresh(&project), "refreshed");
    assert_eq!(reason(&project, "part", &["part", "--force"])["kind"], "forced");
}

/// What is asked again and the same is up to date, and so stands in the events alone.
fn reason_of_refresh(project: &Project) -> Value {
    let explained = project.run(&["explain", "--refresh", "--format", "json", "tags"]).exits(exit::DONE);
    let explained: Value = serde_json::from_str(&explained.stdout).expect("JSON");
    let events = told(project, &["tags", "--refresh"]);
    let reason = &of_step(&events, "started", "tags@repo=library/redis")["reason"];
    assert_eq!(explained[0]["reasons"][0], *reason);
    reason["kind"].clone()
}

fn assert_moved(reason: &Value) {
    let digest =
        |end: &str| reason[end].as_str().is_some_and(|d| d.len() == 16 && d.chars().all(|c| c.is_ascii_hexdigit()));
    assert!(digest("from") && digest("to") && reason["from"] != reason["to"], "{reason}");
}
