//! What may fail again as it did before: what hangs on it is told so, before a build.

use super::assert_says;
use crate::support::project::Project;
use crate::support::words::exit;

const BAD: &str = "a@w=bad is tried again, and may fail or be put off as before";
const LIST: &str = "list is tried again, and may fail or be put off as before";

/// After a build in which a step failed, and another that values are read out of.
fn project() -> Project {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, cache: false, foreach: {w: [good, bad]}, inputs: [i.txt], run: \"test {w} = good || test ! -e no && cp {in} {out}\", output: \"a/{w}.txt\"}
  b: {rule: command, cache: false, foreach: {w: [good, bad]}, inputs: [a], run: \"cp {in} {out}\", output: \"b/{w}.txt\"}
  some: {rule: command, cache: false, inputs: [{target: b, partial: true}], run: \"cat /dev/null {in} > {out}\", output: some.txt}
  whole: {rule: command, cache: false, inputs: [some], run: \"cp {in} {out}\", output: whole.txt}
  list: {rule: command, cache: false, inputs: [j.txt], run: \"test ! -e no && cp {in} {out}\", output: list.txt}
  each: {rule: command, foreach: {n: {from: list, lines: true}}, run: \"echo {n} > {out}\", output: \"each/{n}.txt\"}
  listed: {rule: command, cache: false, inputs: [{target: each, partial: true}], run: \"cat /dev/null {in} > {out}\", output: listed.txt}
  waits: {rule: command, cache: false, after: [a], run: \"echo 1 > {out}\", output: waits.txt}
  next: {rule: command, cache: false, inputs: [waits], run: \"cp {in} {out}\", output: next.txt}
  rest: {rule: command, cache: false, inputs: [{target: next, partial: true}], run: \"cat /dev/null {in} > {out}\", output: rest.txt}
",
    );
    project.write("i.txt", "1\n");
    project.write("j.txt", "1\n2\n");
    project.build(&[]);
    project.write("i.txt", "2\n");
    project.write("j.txt", "1\n2\n3\n");
    project.write("no", "");
    project.build_exits(exit::FAILED, &[]);
    project
}

#[test]
fn what_hangs_on_a_failure_is_told_as_what_may_happen() {
    let project = project();
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    let words = [
        "(failed when it was last tried)".to_owned(),
        format!("run?     b@w=bad  upstream: {BAD}"),
        format!("run?     some  upstream: {BAD}"),
        "run?     whole  upstream: some may be made again".to_owned(),
        format!("run?     listed  upstream: {LIST}"),
        "2 to run, 7 up to date (2 of them as of the last build), 0 absent, 4 that may run\n".to_owned(),
    ];
    words.iter().for_each(|word| assert_says(&plan, &[word]));
    assert_says(
        &project.explain("some"),
        &[
            "a build   may make it",
            &format!(", not read by the last run) of b@w=bad, {BAD}"),
            "note: made without 1 step that is blocked",
        ],
    );
    let explained = project.explain("listed");
    assert_says(&explained, &[&format!(" of each@n=1, {LIST}"), "note: made without steps that cannot be told yet"]);
    // What will be tried again is one cause, of however much.
    let once = format!("because   upstream: {LIST}; the last run did without each/1.txt and 1 more\n");
    assert_eq!((explained.matches("  because ").count(), explained.matches(&once).count()), (1, 1), "{explained}");
    // It all fails again.
    let report = project.build_exits(exit::FAILED, &[]);
    report.assert_only(&["a@w=bad", "b@w=bad", "each", "list"]);
    assert_eq!(report.step("b@w=bad").outcome, "blocked", "{}", report.listing());
}

#[test]
fn what_is_up_to_date_is_so_whatever_becomes_of_what_it_only_waits_for() {
    let project = project();
    let assert_told = |a: &str, done: &[&str]| {
        let plan = project.run(&["plan", "-v", "rest"]).exits(exit::DONE).stdout;
        assert!(!["waits", "next", "rest", "blocked"].iter().any(|word| plan.contains(word)), "{plan}");
        for step in ["waits", "next", "rest"] {
            let told = project.explain(step);
            assert!(told.starts_with(&format!("{step}: up to date\n")) && !told.contains("blocked?"), "{told}");
        }
        assert_says(&project.explain("waits"), &[&format!("after     a ({a}")]);
        project.build_exits(exit::FAILED, &["rest"]).assert_only(done);
    };
    assert_told("failed when it was last tried)", &["a@w=bad"]);
    // Nor where that is sure to fail.
    project.remove("i.txt");
    assert_told("failed)", &["a@w=bad", "a@w=good"]);
    // What reads it goes on.
    project.edit("inputs: [waits], run: \"cp {in} {out}\"", "inputs: [waits], run: \"cat {in} > {out}\"");
    project.build_exits(exit::FAILED, &["rest"]).assert_only(&["a@w=bad", "a@w=good", "next"]);
    // It waits all the same: what comes before may write what it reads.
    project.write("i.txt", "2\n");
    project.edit("test {w} = good || test ! -e no && cp", "sleep 0.1; echo {w} > side.txt; cp");
    project.edit("after: [a], run: \"echo 1", "inputs: [side.txt], after: [a], run: \"cat {in}");
    project.write("side.txt", "old\n");
    project.build(&["waits"]);
    assert!(["good\n", "bad\n"].contains(&project.read("waits.txt").as_str()), "{}", project.read("waits.txt"));
}

#[test]
fn a_list_that_waits_in_vain_blocks_what_reads_its_values_and_what_it_waits_for_is_no_cause() {
    let project = Project::new(
        "version: 1
targets:
  h: {rule: command, inputs: [h.txt], run: \"grep -v bad {in} > {out}\", output: h}
  list: {rule: command, inputs: [l.txt], after: [h], run: \"cp {in} {out}\", output: list}
  each: {rule: command, foreach: {n: {from: list, lines: true}}, inputs: [e.txt], run: \"cat {in} > {out}\", output: \"e/{n}\"}
  all: {rule: command, inputs: [each], run: \"cat {in} > {out}\", output: all}
  copy: {rule: command, inputs: [list], run: \"cp {in} {out}\", output: copy}
",
    );
    ["h", "e"].iter().for_each(|name| project.write(&format!("{name}.txt"), "1\n"));
    project.write("l.txt", "x\n");
    project.build(&[]);
    project.write("h.txt", "bad\n");
    project.build_exits(exit::FAILED, &[]).assert_only(&["h"]);
    project.write("l.txt", "x\ny\n");
    project.write("e.txt", "2\n");
    let risk = "blocked? h is tried again, and may fail or be put off as before";
    let plan = project.run(&["plan", "-v"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run      h  ", "run      list  changed input: l.txt", &format!("({risk})")]);
    assert_says(&plan, &[&format!("run?     copy  upstream: list is made again ({risk})\n")]);
    assert_says(&plan, &["run?     each@n=x  changed input: e.txt", "run?     all  upstream: list is made again"]);
    for told in [plan, project.run(&["explain", "all", "copy", "each"]).exits(exit::DONE).stdout] {
        assert!(!told.contains("upstream: h"), "{told}");
    }
    let report = project.build_exits(exit::FAILED, &[]);
    report.assert_only(&["h", "list", "copy", "each", "all"]);
    ["list", "copy", "each", "all"].iter().for_each(|step| assert_eq!(report.step(step).outcome, "blocked"));
    // Where that is sure to fail, so is that they are blocked.
    project.remove("h.txt");
    let plan = project.run(&["plan", "-v"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["blocked  list  h (changed input: l.txt", "blocked  copy  list", "blocked  all  list"]);
}

#[test]
fn what_has_a_cause_of_its_own_to_run_may_be_blocked_too() {
    let project = project();
    project.edit("echo 1 > {out}", "echo 2 > {out}");
    let cause = "changed parameter: run, from \"echo 1 > {out}\" to \"echo 2 > {out}\"";
    assert_says(&project.run(&["plan"]).stdout, &[&format!("run      waits  {cause} (blocked? {BAD})")]);
    assert_says(&project.explain("waits"), &[&format!("because   {cause}"), &format!("blocked?  {BAD}")]);
    assert_eq!(project.build_exits(exit::FAILED, &[]).step("waits").outcome, "blocked");
}

#[test]
fn what_reads_a_failure_and_has_a_cause_of_its_own_may_be_blocked_too() {
    let project = project();
    project.edit(
        "inputs: [a], run: \"cp {in} {out}\", output: \"b/{w}.txt\"",
        "inputs: [a, k.txt], run: \"cat {in} > {out}\", output: \"b/{w}.txt\"",
    );
    project.write("k.txt", "k\n");
    let plan = project.run(&["plan"]).stdout;
    let line = plan.lines().find(|line| line.starts_with("run      b@w=bad  ")).unwrap_or_else(|| panic!("{plan}"));
    assert!(line.ends_with(&format!(" (blocked? {BAD})")), "{plan}");
    assert_says(&project.explain("b@w=bad"), &[&format!("upstream: {BAD}"), &format!("blocked?  {BAD}")]);
    assert_eq!(project.build_exits(exit::FAILED, &[]).step("b@w=bad").outcome, "blocked");
}

#[test]
fn once_it_does_not_fail_what_was_left_out_is_still_told_as_not_read() {
    let project = project();
    project.remove("no");
    project.build(&["b", "list"]);
    assert_says(&project.run(&["plan"]).stdout, &["run      some  new input: b/bad.txt"]);
    assert_says(
        &project.explain("some"),
        &["because   new input: b/bad.txt", "a build   makes it", ", not read by the last run) of b@w=bad\n"],
    );
    // What was there to be blocked is up to date, and none of this is told any more.
    let plan = project.run(&["plan"]).stdout;
    assert!(!plan.contains("blocked?") && !plan.contains("may fail"), "{plan}");
    project.build(&[]).assert_only(&["some", "whole", "each@n=3", "listed"]);
    let explained = project.explain("some");
    assert!(!explained.contains("not read") && !explained.contains("without"), "{explained}");
}

#[test]
fn what_is_new_to_a_step_was_not_read_by_its_last_run() {
    let project = Project::new(
        "version: 1
targets:
  each: {rule: command, foreach: {n: {lines: names.txt}}, run: \"echo {n} > {out}\", output: \"each/{n}.txt\"}
  all: {rule: command, inputs: [each, side.txt], run: \"cat {in} > {out}\", output: all.txt}
",
    );
    project.write("names.txt", "one\n");
    project.write("side.txt", "");
    project.build(&[]);
    project.write("names.txt", "one\ntwo\n");
    project.build(&["each"]);
    let explained = project.explain("all");
    assert_eq!(explained.matches("not read by the last run").count(), 1, "{explained}");
    assert_says(&explained, &["not read by the last run) of each@n=two"]);
}

#[test]
fn what_may_not_be_there_and_may_be_blocked_by_something_else_is_told_so() {
    let project = project();
    let (inputs, cause) = ("inputs: [k.txt], after: [a], run: \"echo {n} > {out}\"", "new input: k.txt");
    project.edit("run: \"echo {n} > {out}\"", inputs);
    project.write("k.txt", "");
    let plan = project.run(&["plan"]).stdout;
    assert_says(&plan, &[&format!("run?     each@n=1  {cause} (blocked? {BAD})\n")]);
    assert_says(&project.explain("each@n=1"), &[&format!("because   {cause}"), &format!("blocked?  {BAD}")]);
}

#[test]
fn what_came_to_be_since_a_step_was_made_is_not_counted_as_done_without() {
    let project = project();
    project.remove("no");
    project.write("j.txt", "1\n2\n3\n4\n");
    project.build(&["list"]);
    let explained = project.explain("listed");
    assert_says(
        &explained,
        &["because   new input: each/4.txt", "            note: made without steps that cannot be told yet"],
    );
    assert_eq!(explained.matches("not read by the last run").count(), 4, "{explained}");
}

#[test]
fn all_that_failed_behind_what_values_are_read_out_of_is_named() {
    let project = Project::new(
        "version: 1
targets:
  r: {rule: command, foreach: {t: [web, data, ops]}, inputs: [\"etc/{t}\"], run: \"grep -v bad {in} > {out}\", output: \"r/{t}.lst\"}
  w: {rule: command, inputs: [r], run: \"cat {in} > {out}\", output: r/w}
  f: {rule: command, foreach: {p: {from: w, lines: true}}, run: \"echo {p} > {out}\", output: \"r/f/{p}\"}
  g: {rule: command, after: [w], run: \"echo 1 > {out}\", output: r/g}
",
    );
    let all = ["web", "data", "ops"];
    all.iter().for_each(|t| project.write(&format!("etc/{t}"), format!("{t}\n")));
    project.build(&[]);
    all.iter().for_each(|t| project.write(&format!("etc/{t}"), "bad\n"));
    project.build_exits(exit::FAILED, &[]);
    let explain = |step: &str| project.run(&["explain", "-v", step]).exits(exit::DONE).stdout;
    let failed =
        |t: &str| format!("            r@t={t} failed when it was last tried: the command failed: exit status: 1\n");
    all.iter().for_each(|t| assert_says(&explain("f@p=web"), &[&failed(t)]));
    let first = format!("{}            … and 2 more (-v names them)\n", failed("data"));
    assert_says(&project.explain("f@p=web"), &[&first]);
    // What only waits for it tells of that where it has to run.
    project.edit("echo 1", "echo 2");
    let risk = "blocked?  r@t=web is tried again, and may fail or be put off as before (+2 more)\n";
    assert_says(&project.explain("g"), &[risk]);
    assert_says(&explain("g"), &[risk, "            and r@t=data\n", "            and r@t=ops\n"]);
    // What is mended is told no more, and all others are.
    project.write("etc/web", "web\n");
    project.build_exits(exit::FAILED, &[]);
    let told = explain("f@p=web");
    assert_says(&told, &[&failed("data"), &failed("ops")]);
    assert!(!told.contains("r@t=web"), "{told}");
}

/// Steps whose values are read out of a list, of which `b` has failed and is in the list no more, and what waits for some.
fn left_list() -> Project {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [l.txt], run: \"cp {in} {out}\", output: r/list}
  m: {rule: command, foreach: {k: {lines: r/list}}, inputs: [\"etc/{k}\"], run: \"grep -v bad {in} > {out}\", output: \"r/m/{k}\"}
  one: {inputs: [r/m/c]}
  own: {rule: command, inputs: [h.txt], after: [one], run: \"cat {in} > {out}\", output: r/own}
  any: {rule: command, inputs: [h.txt], after: [m], run: \"cat {in} > {out}\", output: r/any}
  all: {rule: command, inputs: [m, h.txt], run: \"cat {in} > {out}\", output: r/all}
",
    );
    ["etc/a", "etc/b", "etc/c", "h.txt"].iter().for_each(|file| project.write(file, "1\n"));
    project.write("l.txt", "b\nc\n");
    project.build(&[]);
    project.write("etc/b", "bad\n");
    project.build_exits(exit::FAILED, &[]);
    project.write("l.txt", "c\n");
    project.build(&[]);
    assert_says(&project.explain("r/m/b"), &["m@k=b: orphan\n"]);
    project.write("l.txt", "c\na\n");
    project.write("h.txt", "2\n");
    project
}

#[test]
fn what_failed_and_left_the_list_that_was_built_since_is_no_risk() {
    let project = left_list();
    for told in [project.run(&["plan", "-v"]).stdout, project.run(&["explain", "own", "any", "all"]).stdout] {
        assert_says(&told, &["changed input: h.txt"]);
        assert!(!told.contains("blocked?") && !told.contains("m@k=b"), "{told}");
    }
    project.build(&[]);
}

#[test]
fn what_waits_for_one_step_of_a_target_by_a_group_is_at_no_risk_by_another_that_is_pending() {
    let project = left_list();
    // Nothing tells what was in the list.
    project.remove("r/list");
    let risk = "blocked? m@k=b is pending, and may fail or be put off as before";
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    let cause = "changed input: h.txt";
    for step in ["any", "all"] {
        let line = plan.lines().find(|line| line.contains(&format!(" {step}  "))).unwrap_or_else(|| panic!("{plan}"));
        assert!(line.ends_with(&format!("({risk})")), "{plan}");
    }
    let line = plan.lines().find(|line| line.starts_with("run      own  ")).unwrap_or_else(|| panic!("{plan}"));
    assert!(line.contains(cause) && !line.contains("blocked?"), "{plan}");
    assert!(!project.explain("own").contains("blocked?"));
}

#[test]
fn what_names_a_file_that_a_step_to_come_may_not_make_may_fail_also_where_it_never_did() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [etc/l], run: \"cp {in} {out}\", output: o/list}
  conf: {rule: command, foreach: {k: {lines: o/list}}, run: \"echo {k} > {out}\", output: \"o/conf/{k}\"}
  one: {rule: command, inputs: [o/conf/c], run: \"cp {in} {out}\", output: o/one}
  two: {rule: command, inputs: [one], run: \"cp {in} {out}\", output: o/two}
  later: {rule: command, inputs: [etc/n], after: [one], run: \"cp {in} {out}\", output: o/later}
  some: {rule: command, inputs: [{target: one, partial: true}, etc/n], run: \"cat {in} > {out}\", output: o/some}
  all: {rule: command, inputs: [conf], run: \"cat {in} > {out}\", output: o/all}
  each: {inputs: [two, later, some, all]}
",
    );
    project.write("etc/l", "a\n");
    project.write("etc/n", "1\n");
    let lack = "the input o/conf/c may be missing: c may not be in what list makes";
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &[&format!("run?     one  first build (failed? {lack})\n")]);
    for step in ["two", "later"] {
        assert_says(&plan, &[&format!("run      {step}  first build (blocked? one may fail: {lack})\n")]);
    }
    assert_says(&project.explain("one"), &["a build   may make it\n", &format!("failed?   {lack}\n")]);
    assert_says(&project.explain("two"), &["a build   makes it\n", &format!("blocked?  one may fail: {lack}\n")]);
    // What reads all that there is, or goes on without, is made for sure.
    assert_says(&plan, &["run      some  first build\n", "run      all  first build\n", ", 1 that may run\n"]);
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!(report.step("one").message.as_deref(), Some("the input o/conf/c is missing"));
    assert_eq!((report.step("two").outcome.as_str(), report.step("later").outcome.as_str()), ("blocked", "blocked"));
    // From then on, that it failed tells it.
    project.write("etc/l", "a\nb\n");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run?     one  first build (failed when it was last tried)\n"]);
    assert_says(
        &plan,
        &["run      two  first build (blocked? one is tried again, and may fail or be put off as before)\n"],
    );
    project.write("etc/l", "a\nc\n");
    project.build(&[]);
    // It was there, and may go from the list that it was in.
    project.remove("o/conf/c");
    project.write("etc/l", "a\nb\nc\n");
    project.edit("[o/conf/c], run: \"cp", "[o/conf/c], run: \"cp -f");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run?     one  changed parameter: run, from "]);
    assert_says(&plan, &[&format!(" (failed? {lack})\n")]);
    // What lies there by hand is read, whoever comes to make it.
    project.write("o/conf/c", "c\n");
    assert_says(&project.run(&["plan"]).exits(exit::DONE).stdout, &["run      one  changed parameter: run, from "]);
    project.build(&[]);
}

#[test]
fn what_a_step_did_without_is_no_new_input_where_that_waits_for_what_is_tried_again() {
    let project = Project::new(
        "version: 1
targets:
  lint: {rule: command, inputs: [./src], run: \"! grep BAD src && cp {in} {out}\", output: r/lint}
  smoke: {rule: command, inputs: [./x], after: [lint], run: \"cp {in} {out}\", output: r/smoke}
  report: {rule: command, inputs: [{target: smoke, partial: true}], run: \"cat {in} /dev/null > {out}\", output: r/report}
",
    );
    project.write("src", "1\n");
    project.write("x", "1\n");
    project.build(&[]);
    project.write("src", "BAD\n");
    project.write("x", "2\n");
    project.build_exits(exit::FAILED, &[]);
    let told = "upstream: lint is tried again, and may fail or be put off as before; the last run did without r/smoke";
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &[&format!("run?     report  {told}\n")]);
    assert_says(&project.explain("report"), &[&format!("because   {told}\n")]);
    let failed = project.run(&["build", "-v"]).exits(exit::FAILED).stderr;
    assert!(!failed.contains("built report"), "{failed}");
    project.write("src", "2\n");
    let built = project.run(&["build", "-v"]).exits(exit::DONE).stderr;
    assert_says(&built, &["built report (new input: r/smoke (left out before, since smoke was blocked)"]);
}

#[test]
fn what_has_a_cause_of_its_own_is_told_beside_what_may_fail_again() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, run: \"test -e ok && echo a > {out}\", fresh: always, output: o/a}
  b: {rule: command, inputs: [a, etc/b], run: \"cat {in} > {out}\", output: o/b}
  c: {rule: command, inputs: [b], run: \"cat {in} > {out}\", output: o/c}
  d: {rule: command, inputs: [c], run: \"cat {in} > {out}\", output: o/d}
  behind: {rule: command, inputs: [a], run: \"cat {in} > {out}\", output: o/behind}
",
    );
    project.write("ok", "");
    project.write("etc/b", "1\n");
    project.build(&[]);
    project.remove("ok");
    project.write("etc/b", "2\n");
    project.build_exits(exit::FAILED, &[]);
    let risk = "a is tried again, and may fail or be put off as before";
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    for (step, cause) in [("c", "b is made again"), ("d", "c may be made again")] {
        assert_says(&plan, &[&format!("run?     {step}  upstream: {cause} (blocked? {risk})\n")]);
        assert_says(
            &project.explain(step),
            &[&format!("because   upstream: {cause}\n"), &format!("blocked?  {risk}\n")],
        );
    }
    // What has no other cause is told by that alone.
    assert_says(&plan, &[&format!("run?     behind  upstream: {risk}\n")]);
    // What failed comes out as it was, and they are made all the same.
    project.write("ok", "");
    let report = project.build(&[]);
    report.assert_only(&["a", "b", "c", "d"]);
    assert!(report.step("c").reason().contains("upstream rebuilt: o/b by b"), "{}", report.listing());
}
