//! What is told of a target whose steps are not known, since what its values are read out of could not be made.

use super::assert_says;
use crate::support::project::Project;
use crate::support::words::{exit, outcome};

/// A list that waits for a step which may fail, what reads values out of it and out of that again, and what needs these.
fn project() -> Project {
    let project = Project::new(
        "version: 1
targets:
  image: {rule: command, inputs: [sw.txt], run: \"grep ok {in} > {out}\", output: r/image}
  gate: {rule: command, inputs: [x.txt], after: [image], run: \"cp {in} {out.n}; echo a > {out.l}\", output: {n: r/n, l: r/l}}
  ticket: {rule: command, foreach: {t: {lines: r/l}}, inputs: [e.txt], run: \"cat {in} > {out}\", output: \"r/t/{t}\"}
  stub: {rule: command, foreach: {s: {from: ticket, lines: true}}, run: \"echo {s} > {out}\", output: \"r/s/{t}-{s}\"}
  all: {rule: command, inputs: [ticket], run: \"cat {in} > {out}\", output: r/all}
  some: {rule: command, cache: false, inputs: [{target: ticket, partial: true}], run: \"cat /dev/null {in} > {out}\", output: r/some}
",
    );
    for (file, text) in [("sw.txt", "ok\n"), ("x.txt", "1\n"), ("e.txt", "1\n")] {
        project.write(file, text);
    }
    project
}

const TICKET: &str = "its values are read out of r/l of gate, which is blocked";
const STUB: &str = "its values are read out of ticket, which is blocked";
const RISK: &str = "(blocked? image is tried again, and may fail or be put off as before)\n";

#[test]
fn a_target_whose_list_is_blocked_is_told_so_by_its_name() {
    let project = project();
    project.build(&[]);
    project.write("sw.txt", "no\n");
    project.write("x.txt", "2\n");
    let asked: [(&[&str], &[&str]); 4] = [
        (&[], &["gate", "ticket", "stub", "all"]),
        (&["ticket"], &["gate", "ticket"]),
        (&["r/t/a"], &["gate", "ticket"]),
        (&["stub@t=a"], &["gate", "ticket", "stub"]),
    ];
    for (asked, blocked) in asked {
        let report = project.build_exits(exit::FAILED, asked);
        let mut told: Vec<&str> =
            report.steps.iter().filter(|s| s.outcome == outcome::BLOCKED).map(|s| &*s.step).collect();
        told.sort_unstable();
        let mut blocked = blocked.to_vec();
        blocked.sort_unstable();
        assert_eq!((told, report.blocked as usize), (blocked.clone(), blocked.len()), "{}", report.listing());
        assert_eq!(report.step("ticket").message.as_deref(), Some(TICKET));
        assert_says(&report.stderr, &[&format!("  {} steps wait for it\n", blocked.len())]);
    }
    let built = project.run(&["build", "-v", "stub"]).exits(exit::FAILED).stderr;
    assert_says(&built, &[&format!("blocked ticket ({TICKET})\n"), &format!("blocked stub ({STUB})\n")]);
    // What needs its steps waits for the list, as it did, and one that goes on without them is made without.
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!(report.step("all").message.as_deref(), Some("gate"));
    // Events tell it in place of the steps.
    project.run(&["build", "--events", "e.ndjson", "ticket"]).exits(exit::FAILED);
    let told = format!("\"step\":\"ticket\",\"target\":\"ticket\",\"outcome\":\"blocked\",\"message\":\"{TICKET}\"");
    let events = project.read("e.ndjson");
    assert!(events.lines().any(|line| line.contains("\"finished\"") && line.contains(&told)), "{events}");
    // A build that stops at the first failure comes to none of them.
    let report = project.build_exits(exit::FAILED, &["--fail-fast", "ticket"]);
    assert!(report.steps.iter().all(|step| step.step != "ticket"), "{}", report.listing());
}

#[test]
fn before_a_build_a_list_that_cannot_be_made_blocks_its_readers_by_name_and_one_that_may_fail_perhaps() {
    let project = project();
    project.build(&[]);
    project.write("sw.txt", "no\n");
    project.write("x.txt", "2\n");
    project.build_exits(exit::FAILED, &[]);
    // Whether it fails again is seen only then; whatever else is said of its steps, they wait for that.
    project.write("e.txt", "2\n");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    let more = format!("more     ticket  its steps are told once gate is built {RISK}");
    let cause = "run?     ticket@t=a  changed input: e.txt, from ";
    assert_says(&plan, &[cause, RISK, &more]);
    assert!(plan.lines().any(|line| line.starts_with(cause) && line.ends_with(RISK.trim_end())), "{plan}");
    let json = project.run(&["plan", "--format", "json"]).stdout;
    assert_says(&json, &["\"at_risk\": \"image is tried again, and may fail or be put off as before\""]);
    let status = project.run(&["status"]).stdout;
    assert_says(&status, &[&format!("its steps are told once gate is built {RISK}")]);
    let told = project.explain("ticket@t=a");
    assert_says(&told, &["because   changed input: e.txt", "blocked?  image is tried again, and may fail"]);
    // It is sure where what is needed cannot be made at all.
    project.remove("sw.txt");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    let words = [format!("blocked  ticket  {TICKET}\n"), format!("blocked  stub  {STUB}\n")];
    words.iter().for_each(|word| assert_says(&plan, &[word]));
    assert_says(&plan, &["5 cannot be made\n"]);
    let status = project.run(&["status"]).stdout;
    assert_says(
        &status,
        &["ticket           0      0        0       0       0        1         0  its steps are told once"],
    );
    let since = "since     image: the input sw.txt is missing\n";
    assert_says(
        &project.explain("ticket"),
        &["ticket: blocked\n", "blocked by gate\n", since, "out of    r/l of gate\n"],
    );
    assert_says(&project.explain("stub"), &["stub: blocked\n", "blocked by ticket\n", since, "out of    ticket\n"]);
    // What was recorded of its steps is told by that, as before.
    assert_says(
        &project.explain("r/t/a"),
        &["ticket@t=a: pending\n", "says      its values are read out of r/l of gate: it is blocked (image)"],
    );
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.failed, report.blocked), (1, 4), "{}", report.listing());
}

#[test]
fn of_many_lists_each_that_fails_blocks_what_would_have_come_of_it_and_the_others_are_read() {
    let project = Project::new(
        "version: 1
targets:
  src: {rule: command, foreach: {k: [one, two]}, inputs: [\"etc/{k}\"], run: \"grep -v bad {in} > {out}\", output: \"r/src/{k}\"}
  row: {rule: command, foreach: {v: {from: src, lines: true}}, run: \"echo {v} > {out}\", output: \"r/row/{k}/{v}\"}
  num: {rule: command, inputs: [etc/num], run: \"grep -v bad {in} > {out}\", output: r/num}
  prod: {rule: command, foreach: {n: {from: num, lines: true}, v: {from: src, lines: true}}, run: \"echo > {out}\", output: \"r/prod/{n}-{k}-{v}\"}
  end: {rule: command, foreach: {p: {from: prod, lines: true}, w: {from: num, lines: true}}, run: \"echo > {out}\", output: \"r/end/{n}-{k}-{v}-{p}-{w}\"}
",
    );
    for (file, text) in [("etc/one", "p\n"), ("etc/two", "bad\n"), ("etc/num", "1\n")] {
        project.write(file, text);
    }
    let of = |step: &str| format!("its values are read out of {step}, which failed");
    for jobs in ["1", "4"] {
        let report = project.build_exits(exit::FAILED, &["-j", jobs]);
        for step in ["row@k=two", "prod@k=two"] {
            assert_eq!(report.step(step).message, Some(of("src@k=two")), "{}", report.listing());
        }
        let behind = "its values are read out of prod@k=two, which is blocked";
        assert_eq!(report.step("end@k=two").message.as_deref(), Some(behind));
        assert!(project.exists("r/row/one/p") && project.exists("r/prod/1-one-p"));
        assert_says(&report.stderr, &["failed src@k=two: ", "  3 steps wait for it\n"]);
    }
    // Two lists at fault are both to blame for what hangs on both.
    project.write("etc/num", "bad\n");
    let report = project.build_exits(exit::FAILED, &["prod"]);
    assert_eq!(report.step("prod").message, Some(of("num")), "{}", report.listing());
    assert_eq!(report.step("prod@k=two").message, Some(of("src@k=two")));
    project.write("etc/two", "q\n");
    project.write("etc/num", "2\n");
    project.build(&["row", "prod"]);
}
