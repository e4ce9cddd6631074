//! What is told of attempts that failed: also of those by hand, whose outputs of before stand.

use serde_json::Value;

use super::{assert_says, tags_of};
use crate::support::project::Project;
use crate::support::sample;
use crate::support::until;
use crate::support::words::exit;

fn flaky() -> Project {
    let project = Project::new(
        "version: 1
pools: {slow: 3}
targets:
  flaky:
    rule: command
    inputs: [mood.txt]
    cache: false
    retries: 1
    timeout: 30s
    pool: {slow: 2}
    run: \"echo ran; test $(cat {in}) = good && ! test -e bad && cp {in} {out}\"
    output: flaky.txt
  next: {rule: command, inputs: [flaky], run: \"cp {in} {out}\", output: next.txt}
",
    );
    project.write("mood.txt", "good\n");
    project
}

fn told(project: &Project) -> Value {
    told_of(project, "flaky")
}

fn told_of(project: &Project, step: &str) -> Value {
    let json = project.run(&["explain", step, "--format", "json"]).exits(exit::DONE).stdout;
    serde_json::from_str::<Value>(&json).expect("JSON")[0].take()
}

#[test]
fn a_forced_attempt_that_failed_is_told_while_the_output_of_before_stands() {
    let project = flaky();
    project.build(&["flaky"]);
    let explained = project.explain("flaky");
    assert_says(
        &explained,
        &["no cause  retries: 1\n", "no cause  timeout: 30s\n", "no cause  pool: slow (2 of 3)\n", ".log\n"],
    );
    assert!(!explained.contains("failed"), "{explained}");
    project.write("bad", "");
    project.run(&["build", "flaky", "--force=flaky"]).exits(exit::FAILED);
    let words = [
        "flaky: up to date",
        " after 2 attempts: the command failed: exit status: 1\n",
        "it ran because: forced by hand",
        "what was made before stands",
        ".log (by the run that failed)",
        "last made first build",
    ];
    assert_says(&project.explain("flaky"), &words);
    // A build that finds nothing to do does not forget it; one that makes it does.
    project.build(&["flaky"]).assert_nothing_done();
    assert_says(&project.explain("flaky"), &words);
    let told = told(&project);
    let failure = &told["last_failure"];
    assert_eq!((&failure["because"], &failure["attempts"]), (&"forced by hand".into(), &2.into()));
    assert_eq!((&failure["other_inputs"], &told["log_of_failure"]), (&false.into(), &true.into()));
    assert_eq!(told["settings"][2], serde_json::json!(["pool", "slow (2 of 3)"]));
    project.remove("bad");
    project.build(&["flaky", "--force"]);
    let explained = project.explain("flaky");
    assert!(!explained.contains("failed"), "{explained}");
    assert!(!project.exists(".layermill/failures.json"));
}

#[test]
fn a_failure_of_other_inputs_is_told_as_that() {
    let project = flaky();
    project.write("mood.txt", "bad\n");
    project.run(&["build", "flaky"]).exits(exit::FAILED);
    let explained = project.explain("flaky");
    assert_says(&explained, &["flaky: failed\n", "it ran because: first build"]);
    assert!(!explained.contains("changed since"), "{explained}");
    project.write("mood.txt", "good\n");
    assert_says(&project.explain("flaky"), &["flaky: failed\n", "what it is made from has changed since"]);
    assert_eq!(told(&project)["last_failure"]["other_inputs"], true);
}

#[test]
fn a_failure_is_told_until_its_step_is_made_again_also_while_the_step_cannot_be_tried() {
    let project = Project::new(
        "version: 1
targets:
  b: {rule: command, inputs: [b.txt], run: \"cat {in} > {out}; ! grep bad {in}\", output: out/b}
  c: {rule: command, inputs: [b, c.txt], run: \"cat {in} > {out}; ! grep bad c.txt\", output: out/c}
",
    );
    ["b.txt", "c.txt"].iter().for_each(|path| project.write(path, "1\n"));
    project.build(&[]);
    let ran = "it ran because: changed input: ";
    let of_run = [": the command failed: exit status: 1\n", ran, ".log (by the run that failed)"];
    let check = |step: &str, standing: &str| {
        let told = project.explain(step);
        assert_says(&told, &of_run);
        assert!(
            told.starts_with(&format!("{step}: {standing}\n")) && told.matches("  failed  ").count() == 1,
            "{told}"
        );
        assert!(!told.contains("changed since") && !told.contains("stands"), "{told}");
    };
    for step in ["c", "b"] {
        project.write(&format!("{step}.txt"), "bad\n");
        project.run(&["build"]).exits(exit::FAILED);
        check(step, "failed");
    }
    project.remove("b.txt");
    for _ in 0..2 {
        check("b", "failed");
        assert_says(&project.explain("b"), &["says      the input b.txt is missing\n"]);
        check("c", "blocked");
        let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
        let line = plan.lines().find(|line| line.starts_with("blocked  c  b ")).expect("a line");
        assert!(line.ends_with(" (failed when it was last tried)"), "{plan}");
        let status = project.run(&["status"]).exits(exit::DONE).stdout;
        assert_says(&status, &["  1 of the blocked failed when it was last tried\n"]);
        project.run(&["build"]).exits(exit::FAILED).says("the input b.txt is missing");
    }
    project.write("b.txt", "bad\n");
    check("b", "failed");
    assert_says(&project.run(&["plan"]).stdout, &["(failed when it was last tried)"]);
    ["b.txt", "c.txt"].iter().for_each(|path| project.write(path, "2\n"));
    project.build(&[]);
    assert!(!project.exists(".layermill/failures.json"));
}

#[test]
fn explain_and_status_use_the_same_words() {
    let project = flaky();
    let status = |target: &str| {
        let json = project.run(&["status", "--format", "json"]).stdout;
        let rows: Vec<Value> = serde_json::from_str(&json).expect("rows");
        let row = rows.into_iter().find(|row| row["target"] == target).expect("a row");
        let counted = ["up_to_date", "stale", "missing", "absent", "failed", "blocked", "deferred"];
        let one = counted.into_iter().find(|word| row[word] == 1).expect("one step");
        one.replace('_', " ")
    };
    let both = |flaky: &str, next: &str| {
        for (target, word) in [("flaky", flaky), ("next", next)] {
            assert_eq!(status(target), word);
            assert_says(&project.explain(target), &[&format!("{target}: {word}\n")]);
        }
    };
    both("missing", "missing");
    project.build(&["next"]);
    both("up to date", "up to date");
    assert_says(&project.run(&["plan", "flaky"]).stdout, &["1 step is up to date"]);
    project.edit("cp {in} {out}\", output: next", "cat {in} > {out}\", output: next");
    both("up to date", "stale");
    project.write("mood.txt", "bad\n");
    project.run(&["build", "next"]).exits(exit::FAILED);
    both("failed", "stale");
    project.remove("mood.txt");
    both("failed", "blocked");
}

/// The tags of a repository on a shelf that cannot be read.
fn broken(project: &Project) {
    project.write("images/index.json", "{");
    project.run(&["build", "--refresh"]).exits(exit::FAILED);
}

#[test]
fn a_refresh_that_failed_of_what_is_absent_is_told_until_its_source_answers() {
    let project = tags_of("library/none");
    assert_eq!(project.build(&[]).absent, 1);
    broken(&project);
    let words = [
        "tags@repo=library/none: absent\n",
        "failed    20",
        "it was asked because: refreshed by hand\n",
        "what was answered before stands\n",
        "Z: absent\n",
    ];
    assert_says(&project.explain("tags"), &words);
    project.build(&[]).assert_nothing_done();
    assert_says(&project.explain("tags"), &words);
    project.layout("images", &sample::images());
    project.build(&["--refresh"]);
    assert!(!project.explain("tags").contains("failed"), "{}", project.explain("tags"));
    assert!(!project.exists(".layermill/failures.json"));
}

#[test]
fn a_refresh_that_failed_of_what_was_deleted_is_told_until_its_source_answers() {
    let project = tags_of("library/redis");
    project.build(&[]);
    project.remove("tags/library/redis.json");
    broken(&project);
    let why = "it was asked because: missing output: tags/library/redis.json; refreshed by hand\n";
    assert_says(&project.explain("tags"), &["tags@repo=library/redis: failed\n", "because   missing output", why]);
    // It is made of the answer of before; that it was to be another one is still known.
    project.build(&[]).assert_only(&["tags@repo=library/redis"]);
    let words = ["up to date\n", "failed    20", why, "what was answered before stands\n", "last made missing output"];
    assert_says(&project.explain("tags"), &words);
    project.build(&[]).assert_nothing_done();
    assert_says(&project.explain("tags"), &words);
    project.layout("images", &sample::images());
    project.build(&["--refresh"]);
    assert!(!project.explain("tags").contains("failed"), "{}", project.explain("tags"));
}

#[test]
fn failures_of_a_build_that_was_killed_are_told() {
    let project = Project::new(
        "version: 1
targets:
  wrong: {rule: command, foreach: {n: [1, 2]}, run: \"exit {n}\", output: \"out/{n}.txt\"}
  slow: {rule: command, run: \"sleep 20; echo > {out}\", output: slow.txt}
",
    );
    // What a kill left half-written is passed over.
    let killed = |before: &str| {
        project.write(".layermill/failures.json", before);
        let mut build = project.start(&["build", "-j", "4"]);
        build.until("both have failed", |_| {
            (project.read(".layermill/failures.json").matches("exit status").count() == 2).then_some(())
        });
        build.signal(rustix::process::Signal::KILL);
        assert_eq!(build.wait().code, -9);
        for n in 1..=2 {
            let status = format!("the command failed: exit status: {n}\n");
            assert_says(
                &project.explain(&format!("wrong@n={n}")),
                &[": failed\n", &status, "it ran because: first build"],
            );
        }
    };
    killed("");
    killed("{\"out/1.txt\": {\"step\"");
    // Made since by a build that was killed, too, it has not failed any more.
    project.edit("exit {n}", "sleep 0; echo > {out}");
    let mut build = project.start(&["build", "-j", "4"]);
    build.until("both are made", |_| (project.exists("out/1.txt") && project.exists("out/2.txt")).then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(700));
    build.signal(rustix::process::Signal::KILL);
    build.wait();
    project.remove("out/1.txt");
    let explained = project.explain("wrong@n=1");
    assert!(explained.contains("wrong@n=1: missing\n") && !explained.contains("failed"), "{explained}");
}

#[test]
fn a_failure_is_known_under_another_name_of_its_target() {
    let project = flaky();
    project.write("mood.txt", "bad\n");
    project.run(&["build", "flaky"]).exits(exit::FAILED);
    project.edit("  flaky:", "  shaky:");
    project.edit("inputs: [flaky]", "inputs: [shaky]");
    assert_says(&project.explain("shaky"), &["shaky: failed\n", "after 2 attempts", "it ran because: first build"]);
}

/// A quick step, and one that takes until it is told to end.
fn slow() -> Project {
    let project = Project::new(
        "version: 1
targets:
  quick: {rule: command, run: \"echo > {out}\", output: quick.txt}
  slow: {rule: command, inputs: [pace.txt], run: \"echo printed; touch began; sleep $(cat {in}) && cp {in} {out}\", output: slow.txt}
",
    );
    project.write("pace.txt", "20\n");
    project
}

#[test]
fn a_try_that_was_killed_is_told_until_it_is_made() {
    let project = slow();
    let mut build = project.start(&["build", "-j", "2"]);
    build.until("both have begun", |_| (project.exists("quick.txt") && project.exists("began")).then_some(()));
    // What runs is told as that, and no failure.
    assert_says(
        &project.explain("slow"),
        &["slow: missing\n", ": a build makes it now\n", "(by the run that is under way)"],
    );
    build.signal(rustix::process::Signal::KILL);
    build.wait();
    let words = [
        "slow: missing\n",
        "interrupted 20",
        ": the build was killed while it ran\n",
        "it ran because: first build\n",
        ".log (by the run that was interrupted)\n",
    ];
    assert_says(&project.explain("slow"), &words);
    assert_says(&project.run(&["plan"]).stdout, &["run      slow  first build (interrupted when it was last tried)\n"]);
    // Another build, of something else, does not forget it; one that makes it does.
    project.build(&["quick"]);
    assert!(!project.explain("quick").contains("interrupted"));
    assert_says(&project.explain("slow"), &words);
    project.write("pace.txt", "0\n");
    assert_says(&project.explain("slow"), &words);
    project.build(&[]);
    assert!(!project.explain("slow").contains("interrupted"));
    assert!(!project.exists(".layermill/failures.json") && !project.exists(".layermill/tmp"));
}

#[test]
fn a_try_that_was_stopped_by_hand_is_told_until_it_is_made() {
    let project = slow();
    let mut build = project.start(&["build"]);
    build.until("it has begun", |_| project.exists("began").then_some(()));
    build.signal(rustix::process::Signal::INT);
    build.wait().exits(exit::INTERRUPTED);
    assert_says(&project.explain("slow"), &["interrupted 20", ": the build was interrupted while it ran\n"]);
    assert_eq!(told_of(&project, "slow")["last_failure"]["outcome"], "interrupted");
    project.write("pace.txt", "0\n");
    project.build(&[]);
    assert!(!project.explain("slow").contains("interrupted"));
}

#[test]
fn what_failed_before_it_was_killed_may_fail_again() {
    let project = slow();
    project.edit(
        "  slow:",
        "  next: {rule: command, cache: false, inputs: [quick], after: [slow], run: \"cp {in} {out}\", output: next.txt}\n  slow:",
    );
    project.write("pace.txt", "0\n");
    project.build(&[]);
    project.remove("began");
    project.write("pace.txt", "bad\n");
    project.build_exits(exit::FAILED, &[]);
    project.remove("began");
    // What has to run waits for it.
    project.remove("next.txt");
    let risk = "run      next  missing output: next.txt (blocked? slow is tried again, and may fail or be put off as before)\n";
    assert_says(&project.run(&["plan"]).stdout, &[risk]);
    project.write("pace.txt", "20\n");
    let mut build = project.start(&["build"]);
    build.until("it has begun", |_| project.exists("began").then_some(()));
    build.signal(rustix::process::Signal::KILL);
    build.wait();
    for _ in 0..2 {
        let cut_off = "(interrupted when it was last tried; it had failed before that)\n";
        assert_says(&project.run(&["plan"]).stdout, &[cut_off, risk]);
        assert_says(
            &project.explain("slow"),
            &["interrupted 20", "it ran because: ", "            it had failed before that\n"],
        );
        assert_eq!(told_of(&project, "slow")["last_failure"]["failed_before"], true);
        project.build(&["quick"]).assert_nothing_done();
    }
}

#[test]
fn a_group_that_names_a_file_that_is_missing_fails() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, run: \"echo > {out}\", output: a.txt}
  both: {inputs: [a, ./gone.txt]}
  more: {inputs: [both]}
",
    );
    let missing = "the input gone.txt is missing";
    assert_says(
        &project.run(&["plan", "both"]).exits(exit::DONE).stdout,
        &["failed   both  ", missing, "1 cannot be made"],
    );
    let status = project.run(&["status"]).exits(exit::DONE).stdout;
    let failed =
        |name: &str| status.lines().any(|line| line.starts_with(name) && line.ends_with("1        0         0"));
    assert!(failed("both "), "{status}");
    assert_says(&project.explain("both"), &["both: failed\n", missing]);
    let report = project.build_exits(exit::FAILED, &["both"]);
    assert_eq!((report.built, report.failed), (1, 1), "{}", report.listing());
    assert_eq!(report.step("both").message.as_deref(), Some(missing));
    project.write("gone.txt", "");
    project.build(&["more"]).assert_nothing_done();
}

#[test]
fn a_group_that_names_a_file_which_a_step_to_come_may_not_make_is_told_before_the_build_in_which_it_fails() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [etc/l], run: \"cp {in} {out}\", output: r/list}
  conf: {rule: command, foreach: {k: {lines: r/list}}, run: \"echo {k} > {out}\", output: \"r/conf/{k}\"}
  all: {inputs: [list, r/conf/b]}
  later: {rule: command, after: [all], run: \"echo > {out}\", output: r/later}
",
    );
    project.write("etc/l", "a\n");
    let lack = "the input r/conf/b may be missing: b may not be in what list makes";
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    let told = [
        &*format!("failed?  all  {lack}\n"),
        &format!("run      later  first build (blocked? all may fail: {lack})\n"),
        "2 to run, 0 up to date, 0 absent, 1 that may fail\n",
    ];
    assert_says(&plan, &told);
    assert_says(&project.run(&["plan", "all"]).exits(exit::DONE).stdout, &told[..1]);
    assert_says(&project.explain("all"), &["all: stale\n", &format!("  failed?   {lack}\n")]);
    let json = project.plan(&[]);
    let group = json.step("all");
    assert_eq!((group.outcome.as_str(), group.message.as_deref()), ("stale", Some(lack)));
    let built = project.build_exits(exit::FAILED, &[]);
    assert_eq!(built.step("all").message.as_deref(), Some("the input r/conf/b is missing"), "{}", built.listing());
    // Where the step is there after all, nothing more is told of the group.
    project.write("etc/l", "b\n");
    project.build(&[]);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert!(!plan.contains("all  "), "{plan}");
    // It goes from the list, and what it made with it.
    project.write("etc/l", "a\nc\n");
    project.remove("r/conf/b");
    assert_says(&project.run(&["plan"]).exits(exit::DONE).stdout, &[&format!("failed?  all  {lack}\n")]);
    project.build_exits(exit::FAILED, &[]);
}

#[test]
fn a_group_that_is_held_up_is_told_by_explain_alone_and_by_what_it_names() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, run: \"echo > {out}\", output: a.txt}
  b: {rule: command, inputs: [gone.txt], run: \"cp {in} {out}\", output: b.txt}
  all: {inputs: [a, b]}
",
    );
    assert_says(&project.explain("all"), &["all: blocked\n", "blocked by b\n"]);
    for asked in [&[][..], &["all"]] {
        let build = project.run(&[&["build", "-v", "--events", "events"], asked].concat()).exits(exit::FAILED);
        assert!(!build.stderr.contains("all") && build.stderr.contains("failed 1 "), "{build}");
        assert!(!project.read("events").contains("\"all\""), "{}", project.read("events"));
        for verb in ["plan", "status"] {
            let told = project.run(&[&[verb, "-v"], asked].concat()).exits(exit::DONE).stdout;
            assert!(told.contains("b ") && !told.contains("all"), "{told}");
        }
    }
}

#[test]
fn a_step_of_two_targets_failed_by_whichever_name_it_was_tried() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, foreach: {n: [1]}, run: \"test ! -e no && echo > {out}\", output: \"y/{n}.txt\"}
  b: {rule: command, foreach: {n: [1]}, run: \"test ! -e no && echo > {out}\", output: \"y/{n}.txt\"}
  some: {rule: command, inputs: [{target: a, partial: true}], run: \"cat /dev/null {in} > {out}\", output: some.txt}
",
    );
    project.write("no", "");
    project.build_exits(exit::FAILED, &["some", "b"]);
    for (name, other) in [("a", "b"), ("b", "a")] {
        project.build_exits(exit::FAILED, &[name]);
        for asked in [name, other] {
            let plan = project.run(&["plan", asked]).exits(exit::DONE).stdout;
            assert_says(&plan, &["first build (failed when it was last tried)"]);
            assert_says(&project.explain(asked), &[&format!("{asked}@n=1: failed\n")]);
        }
        assert_says(&project.run(&["plan", "some", "b"]).stdout, &["run?     some  upstream: "]);
    }
}

#[test]
fn what_another_run_printed_is_not_told_as_that_of_the_run_that_made_what_is_there() {
    let project = Project::new(
        "version: 1
targets:
  t: {rule: command, inputs: [in.txt], run: \"grep good {in} > {out} || {{ echo oops; exit 1; }}\", output: t.txt}
  says: {rule: command, inputs: [in.txt], run: \"echo $(cat {in}); cp {in} {out}\", output: says.txt}
",
    );
    project.write("in.txt", "good\n");
    project.build(&[]);
    assert!(!project.explain("t").contains("printed"), "it printed nothing");
    assert_says(&project.explain("says"), &["printed", ".log\n"]);
    project.write("in.txt", "bad\n");
    project.run(&["build"]).exits(exit::FAILED);
    project.write("in.txt", "good\n");
    project.build(&[]);
    assert_says(&project.explain("t"), &["t: up to date", ".log (by a later run, which failed)\n"]);
    // What came back from the store printed nothing.
    assert!(!project.explain("says").contains("printed"), "{}", project.explain("says"));
}

#[test]
fn what_was_at_fault_before_a_step_was_tried_is_over_once_it_is_mended() {
    let project = Project::new(
        "version: 1
targets:
  t: {rule: command, inputs: [in.txt], run: \"cp {in} {out}\", output: t.txt}
",
    );
    project.write("in.txt", "1\n");
    project.build(&[]);
    project.remove("in.txt");
    project.build_exits(exit::FAILED, &[]);
    assert_says(&project.explain("t"), &["t: failed\n", "the input in.txt is missing"]);
    project.write("in.txt", "1\n");
    project.build(&[]).assert_nothing_done();
    project.remove("t.txt");
    let explained = project.explain("t");
    assert!(!explained.contains("failed"), "{explained}");
    assert_says(&explained, &["missing output"]);
    assert_eq!(project.build(&[]).restored, 1);
}

#[test]
fn a_killed_build_is_told_as_killed_also_while_nobody_has_waited_for_its_process() {
    let project = slow();
    let mut build = project.start(&["build", "slow"]);
    build.until("it has begun", |_| project.exists("began").then_some(()));
    build.signal(rustix::process::Signal::KILL);
    let stat = format!("/proc/{}/stat", build.pid());
    until("its process is no more than its id", || {
        std::fs::read_to_string(&stat).expect("its id is there").contains(") Z ").then_some(())
    });
    assert_says(&project.explain("slow"), &["interrupted 20", ": the build was killed while it ran\n"]);
    assert_says(&project.run(&["plan"]).stdout, &["run      slow  first build (interrupted when it was last tried)\n"]);
    build.wait();
}

#[test]
fn a_missing_input_is_told_before_and_after_what_else_failed_that_its_step_reads() {
    for inputs in ["[o, etc/x, etc/y]", "[etc/x, o, etc/y]"] {
        let project = Project::new(&format!(
            "version: 1
targets:
  o: {{rule: command, inputs: [etc/o], run: \"grep -v bad {{in}} > {{out}}\", output: o.txt}}
  fin: {{rule: command, inputs: {inputs}, run: \"cat {{in}} > {{out}}\", output: fin.txt}}
  last: {{rule: command, inputs: [fin], run: \"cp {{in}} {{out}}\", output: last.txt}}
"
        ));
        ["o", "x", "y"].iter().for_each(|name| project.write(&format!("etc/{name}"), "1\n"));
        project.build(&[]);
        project.write("etc/o", "bad\n");
        project.remove("etc/x");
        let is_told = |also: &str, because: &str| {
            let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
            assert_says(
                &plan,
                &[&format!("failed   fin  the input etc/x is missing{also}{because}"), "blocked  last  fin\n"],
            );
            assert_says(
                &project.explain("fin"),
                &["fin: failed\n", &format!("says      the input etc/x is missing{also}\n")],
            );
            let status = project.run(&["status"]).exits(exit::DONE).stdout;
            let counts = status.lines().find(|line| line.starts_with("fin ")).expect("a row").split_whitespace();
            assert_eq!(counts.skip(5).collect::<Vec<_>>(), ["1", "0", "0"], "{status}");
        };
        is_told("", " (upstream: o is ");
        let report = project.build_exits(exit::FAILED, &[]);
        assert_eq!((report.failed, report.blocked), (2, 1), "{}", report.listing());
        let both = "the input etc/x is missing; it is blocked by o, too";
        assert_eq!(report.step("fin").message.as_deref(), Some(both));
        is_told("", " (upstream: o is ");
        // Where it is sure that both are at fault, both are told before, too; and each of what is missing.
        project.remove("etc/o");
        is_told("; it is blocked by o, too", "\n");
        project.write("etc/o", "1\n");
        project.remove("etc/y");
        is_told("; the input etc/y is missing", "\n");
    }
}

#[test]
fn how_a_step_failed_stays_told_where_another_pipeline_file_finds_its_path_up_to_date() {
    let project = Project::new("version: 1\ntargets:\n  day: {rule: command, run: \"echo > {out}\", output: a.txt}\n");
    project.write("night.yaml", "version: 1\ntargets:\n  night: {rule: command, run: \"false\", output: a.txt}\n");
    project.build(&[]);
    project.run(&["build", "-f", "night.yaml"]).exits(exit::FAILED);
    project.build(&[]).assert_nothing_done();
    assert_says(&project.run(&["plan", "-f", "night.yaml"]).stdout, &["(failed when it was last tried)\n"]);
    let told = project.run(&["explain", "-f", "night.yaml", "night"]).stdout;
    assert_says(&told, &["night: failed\n", ": the command failed: exit status: 1\n"]);
    // It has no part in what is well.
    assert!(!project.explain("day").contains("failed"));
}
