//! Killed at any moment, interrupted, or started twice: a build continues where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::process::Signal;

use crate::support::project::Project;
use crate::support::until;
use crate::support::words::{self, exit};

const STEPS: usize = 2000;

/// Each run of a step leaves a line in `runs.log`, which is no output.
const MANY: &str = "version: 1
targets:
  piece:
    rule: command
    foreach: {n: {lines: numbers.lst}}
    run: \"echo {n} >> runs.log; echo piece {n} > {out}\"
    output: result/pieces/{n}.txt
  whole:
    rule: command
    inputs: [piece]
    run: \"cat {in} > {out}\"
    output: result/whole.txt
";

fn many() -> Project {
    let project = Project::new(MANY);
    project.write("numbers.lst", (1..=STEPS).map(|n| format!("{n}\n")).collect::<String>());
    project
}

/// How often each step has run so far.
fn runs(project: &Project) -> BTreeMap<String, usize> {
    let log = fs::read_to_string(project.path("runs.log")).unwrap_or_default();
    log.lines().fold(BTreeMap::new(), |mut runs, n| {
        *runs.entry(format!("piece@n={n}")).or_default() += 1;
        runs
    })
}

fn lines(project: &Project) -> usize {
    fs::read(project.path("runs.log")).map_or(0, |log| log.iter().filter(|b| **b == b'\n').count())
}

#[test]
fn killed_at_ten_random_moments_each_next_run_continues() {
    let undisturbed = many();
    undisturbed.build(&["whole"]);
    assert_eq!(lines(&undisturbed), STEPS);

    let project = many();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut moments: Vec<usize> = (0..10).map(|_| random.usize(1..STEPS * 19 / 20)).collect();
    moments.sort_unstable();

    // After each kill: the steps that are recorded as done, and how often each had run by then.
    let mut recorded: Vec<(BTreeSet<String>, BTreeMap<String, usize>)> = Vec::new();
    for moment in moments {
        let mut running = project.start(&["build", "whole"]);
        running.until("so many steps have run", |_| (lines(&project) >= moment).then_some(()));
        running.signal(Signal::KILL);
        let run = running.wait();
        assert_eq!(run.code, -Signal::KILL.as_raw(), "it was still at work\n{run}");

        let to_do: BTreeSet<_> = project.plan(&["piece"]).names().into_iter().map(str::to_owned).collect();
        let all = (1..=STEPS).map(|n| format!("piece@n={n}"));
        recorded.push((all.filter(|step| !to_do.contains(step)).collect(), runs(&project)));
    }
    project.build(&["whole"]);

    project.snapshot().assert_same_bytes(&undisturbed.snapshot(), "result/");
    let last = runs(&project);
    assert_eq!(last.len(), STEPS);
    for (done, then) in &recorded {
        for step in done {
            assert_eq!(last[step], then[step], "{step} was recorded as done, and ran again");
        }
    }
    let kept: Vec<_> = recorded.iter().map(|(done, _)| done.len()).collect();
    assert!(kept.is_sorted(), "what was recorded stays so: {kept:?}");
    assert!(*kept.last().expect("ten") > STEPS / 10, "hardly anything was recorded: {kept:?}");
}

/// A step that ends at once, and one that ends when there is a file `go`; that one's child writes down its id.
const SLOW: &str = "version: 1
targets:
  quick:
    rule: command
    foreach: {n: [1, 2, 3]}
    run: \"echo quick {n} >> runs.log; echo {n} > {out}\"
    output: result/quick/{n}.txt
  slow:
    rule: command
    after: [quick]
    run: \"echo slow >> runs.log; if [ ! -e go ]; then sleep 600 & echo $! > pid.new; mv pid.new pid; wait; fi; echo done > {out}\"
    output: result/slow.txt
";

/// Whether a process lives; one that is dead and not yet buried does not.
fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

fn interrupted_by(signal: Signal) {
    let project = Project::new(SLOW);
    let mut running = project.start(&["build", "-v", "slow"]);
    let child = running.until("the slow step runs", |_| fs::read_to_string(project.path("pid")).ok());
    assert!(lives(&child));
    running.signal(signal);
    let run = running.wait().exits(exit::INTERRUPTED);
    assert!(run.stderr.contains("interrupted slow (first build) "), "{run}");
    until("its children end", || (!lives(&child)).then_some(()));
    assert!(!project.exists("result/slow.txt"), "{run}");

    // What was done is kept: the next build does the rest.
    project.write("go", "");
    let report = project.build(&["slow"]);
    report.assert_only(&["slow"]);
    assert_eq!(project.read("result/slow.txt"), "done\n");
    let log = project.read("runs.log");
    assert_eq!(log.lines().filter(|l| l.starts_with("quick")).count(), 3, "{log}");
}

#[test]
fn ctrl_c_ends_children_keeps_what_is_done_and_exits_130() {
    interrupted_by(Signal::INT);
}

#[test]
fn sigterm_does_the_same() {
    interrupted_by(Signal::TERM);
}

#[test]
fn a_second_ctrl_c_kills_what_runs_and_exits_at_once() {
    let project = Project::new(&SLOW.replace("\"echo slow", "\"trap '' INT TERM; echo slow"));
    let mut running = project.start(&["build", "slow"]);
    let child = running.until("the slow step runs", |_| fs::read_to_string(project.path("pid")).ok());
    running.signal(Signal::INT);
    // Two that come together are one; the child is given longer than this to end by itself.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(lives(&child));
    running.signal(Signal::INT);
    running.wait().exits(exit::INTERRUPTED);
    until("its children are killed", || (!lives(&child)).then_some(()));
}

/// It writes its output in place, long after it started, unless `in` says otherwise.
const LATE: &str = "version: 1
targets:
  late:
    rule: command
    inputs: [./in]
    run: \"x=$(cat in); if [ $x = slow ]; then touch started; sleep 1; fi; echo $x > result/late\"
    output: result/late
";

#[test]
fn what_a_killed_build_left_running_is_ended_before_the_next_one_makes_anything() {
    let project = Project::new(LATE);
    project.write("in", "slow\n");
    let mut first = project.start(&["build"]);
    first.until("its command runs", |_| project.exists("started").then_some(()));
    first.signal(Signal::KILL);
    first.wait();
    project.write("in", "quick\n");
    let second = project.run(&["build"]).exits(exit::DONE);
    assert!(second.stderr.contains("that a killed build had left running"), "{second}");
    assert!(second.stderr.contains("ended (it was killed while it ran late)\n"), "{second}");
    assert_eq!(project.read("result/late"), "quick\n");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(project.read("result/late"), "quick\n", "nobody writes it any more");
    let third = project.run(&["build"]).exits(exit::DONE);
    assert!(!third.stderr.contains("left running"), "{third}");
}

#[test]
fn an_interrupted_build_leaves_no_temporary_files_behind() {
    let project = Project::new(SLOW);
    let mut running = project.start(&["build", "slow"]);
    running.until("the slow step runs", |_| fs::read_to_string(project.path("pid")).ok());
    running.signal(Signal::INT);
    running.wait().exits(exit::INTERRUPTED);
    let snapshot = project.snapshot();
    let ours: Vec<_> = snapshot.names().into_iter().filter(|n| n.starts_with("result/")).collect();
    assert_eq!(ours, ["result/quick/1.txt", "result/quick/2.txt", "result/quick/3.txt"]);
    let scratch = project.path(".layermill/tmp");
    let left = fs::read_dir(&scratch).map_or(0, Iterator::count);
    assert_eq!(left, 0, "left in {}", scratch.display());
}

/// A step that holds the lock until there is a file `go`.
const HELD: &str = "version: 1
targets:
  held:
    rule: command
    run: \"echo held >> runs.log; while [ ! -e go ]; do sleep 0.02; done; echo done > {out}\"
    output: result/held.txt
";

#[test]
fn a_second_build_waits_for_the_first_and_says_for_whom() {
    let project = Project::new(HELD);
    let mut first = project.start(&["build"]);
    first.until("the first build runs its step", |_| project.exists("runs.log").then_some(()));
    let mut second = project.start(&["build"]);
    let pid = first.pid().to_string();
    let said = second.until("the second says that it waits", |second| {
        let said = second.stderr();
        (said.contains(words::WAITING) && said.contains(&pid)).then_some(said)
    });
    assert!(!second.ended(), "{said}");
    project.write("go", "");
    first.wait().exits(exit::DONE);
    second.wait().exits(exit::DONE);
    assert_eq!(project.read("runs.log"), "held\n", "the second finds all done");
}

#[test]
fn with_no_wait_a_second_build_exits_1_and_names_the_holder() {
    let project = Project::new(HELD);
    let mut first = project.start(&["build"]);
    first.until("the first build runs its step", |_| project.exists("runs.log").then_some(()));
    let second = project.run(&["build", "--no-wait"]).exits(exit::FAILED);
    assert!(second.stderr.contains(&first.pid().to_string()), "{second}");
    // Looking is allowed all along.
    for verb in ["plan", "status", "graph"] {
        project.run(&[verb]).exits(exit::DONE);
    }
    project.run(&["explain", "held"]).exits(exit::DONE);
    project.write("go", "");
    first.wait().exits(exit::DONE);
}

#[test]
fn a_lock_dies_with_its_holder() {
    let project = Project::new(HELD);
    let mut first = project.start(&["build"]);
    first.until("the first build runs its step", |_| project.exists("runs.log").then_some(()));
    first.signal(Signal::KILL);
    first.wait();
    project.write("go", "");
    project.run(&["build", "--no-wait"]).exits(exit::DONE);
}
