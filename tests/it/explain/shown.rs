//! How long, many-lined and secret things are told.

use serde_json::Value;

use super::assert_says;
use crate::support::project::Project;
use crate::support::words::exit;

#[test]
fn what_decides_nothing_is_told() {
    let project = Project::new(
        "version: 1
targets:
  with: {rule: command, env: {T: '${secret.HUSH:-psst}'}, run: \"echo > {out}; touch d.mk\", depfile: d.mk, output: a.txt}
  without: {rule: command, run: \"echo > {out}\", output: b.txt}
",
    );
    let (secret, unseen) = ("note      HUSH is a secret: its value is no part of the key", "it has no depfile");
    let with = project.explain("with");
    assert_says(&with, &[secret]);
    assert!(!with.contains(unseen) && !with.contains("psst"), "{with}");
    let without = project.explain("without");
    assert_says(&without, &["note      what the command reads beside its inputs is not seen"]);
    assert!(without.contains(unseen) && !without.contains("secret"), "{without}");
}

#[test]
fn lines_of_a_text_stand_below_each_other_and_nothing_moves_the_terminal() {
    let project = Project::new(
        "version: 1
targets:
  many:
    rule: command
    foreach: {a: [1], b: [2]}
    run: |
      echo one > {out}
      if true; then
      \techo 'two' >> {out}
      fi
    output: '{a}{b}.txt'
",
    );
    let explained = project.explain("many");
    let lines = "  run       echo one > {out}
            if true; then
            \\techo 'two' >> {out}
            fi
  a         1
  b         2
";
    assert_says(&explained, &[lines]);
    assert_says(&explained, &["out of    the list of `a` in the pipeline file", "the list of `b` in"]);
}

#[test]
fn of_a_long_text_what_moved_is_told() {
    let long = |word: &str| format!("echo {} {word} {} > {{out}}", "x".repeat(4000), "y".repeat(4000));
    let project = Project::new(&format!(
        "version: 1\ntargets:\n  part: {{rule: command, run: \"{}\", output: part.txt}}\n",
        long("old")
    ));
    project.build(&[]);
    project.edit(" old ", " new ");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["changed parameter: run, from \"…xxx", "xx old yy", "y…\" to \"…xxx", "xx new yy"]);
    assert!(plan.len() < 800, "{plan}");
    let json = project.run(&["explain", "part", "--format", "json"]).exits(exit::DONE).stdout;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let reason = &json[0]["reasons"][0];
    assert_eq!((&reason["from"], &reason["to"]), (&long("old").into(), &long("new").into()));
}

#[test]
fn every_name_that_is_printed_is_taken_back() {
    let project = Project::new(
        "version: 1
targets:
  it: {rule: command, foreach: {f: {csv: all.csv, column: f}, k: {csv: all.csv, column: k}}, run: \"echo > {out}\", output: 'out/{f}/{k}.txt'}
",
    );
    let long = "l".repeat(200);
    project.write("all.csv", format!("f,k\n\"data/x,y=z.json\",two three\n\"a,k=b\",\"c\nd\"\nplain,{long}\n"));
    // A path cannot have a line's end: those steps fail, and have a name all the same.
    project.run(&["build"]).exits(exit::FAILED);
    let steps = project.run(&["graph", "--steps", "--format", "json"]).exits(exit::DONE).stdout;
    let steps: Value = serde_json::from_str(&steps).expect("JSON");
    let names: Vec<&str> =
        steps["nodes"].as_array().expect("nodes").iter().filter_map(|n| n["name"].as_str()).collect();
    let steps: Vec<&&str> = names.iter().filter(|name| name.starts_with("it@")).collect();
    assert_eq!(steps.len(), 9, "{names:?}");
    for step in steps {
        let refused = step.contains("k=c\\nd");
        assert_says(&project.explain(step), &[&format!("{step}: {}", if refused { "failed" } else { "up to date" })]);
        let build = project.run(&["build", step]).exits(if refused { exit::FAILED } else { exit::DONE });
        assert!(build.stderr.contains(if refused { "failed 1" } else { "1 step is up to date" }), "{}", build.stderr);
    }
    project.run(&["explain", "it@g=plain"]).exits(exit::WRONG).says("no binding `g`");
    project.run(&["explain", "it@f=plain,f=a"]).exits(exit::WRONG).says("`f` is given twice");
}

#[test]
fn a_name_that_is_of_nothing_is_told_beside_those_that_are_found() {
    let project = Project::new(
        "version: 1
targets:
  it: {rule: command, foreach: {f: [a, b]}, run: \"echo > {out}\", output: 'out/{f}'}
  other: {rule: command, run: \"echo > {out}\", output: other.txt}
",
    );
    project.build(&[]);
    for verb in ["explain", "plan", "build", "adopt", "status", "verify", "clean"] {
        for nothing in ["it@f=c", "out/c"] {
            let run = project.run(&[verb, "other", nothing]).exits(exit::WRONG);
            let said = format!("no step {}", if nothing == "out/c" { "makes out/c" } else { nothing });
            assert!(run.stderr.contains(&said), "{verb}: {run}");
        }
    }
    project.run(&["graph", "--steps", "other", "it@f=c"]).exits(exit::WRONG);
    assert!(project.exists("other.txt"));
    let run = project.run(&["explain", "it@f=c", "nowhere", "other", "it@f=a"]).exits(exit::WRONG);
    assert_says(&run.stdout, &["other: up to date", "it@f=a: up to date"]);
    assert_says(&run.stderr, &["no step it@f=c", "no target, step or output `nowhere`"]);
    let run = project.run(&["explain", "it@f=c", "other", "--format", "json"]).exits(exit::WRONG);
    let json: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(json[0]["step"], "other");
}

#[test]
fn what_is_set_outside_of_keys_is_told_as_no_cause_and_is_none() {
    let project = Project::new(
        "version: 1
pools: {slow: 3}
targets:
  one: {rule: command, run: \"echo one > {out}\", output: one.txt, retries: 1, timeout: 10s, pool: slow}
",
    );
    project.build(&[]);
    let said = project.explain("one");
    assert_says(&said, &["no cause  retries: 1\n", "no cause  timeout: 10s\n", "no cause  pool: slow (1 of 3)\n"]);
    project.edit("retries: 1, timeout: 10s, pool: slow", "retries: 4, timeout: 20s");
    assert_says(&project.run(&["plan"]).stdout, &["1 step is up to date"]);
    assert_says(&project.explain("one"), &["one: up to date", "no cause  retries: 4\n", "no cause  timeout: 20s\n"]);
    project.build(&[]).assert_nothing_done();
}
