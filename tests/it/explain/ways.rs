//! What is told of paths that several targets may make, where the list of one of them cannot be had: what is there is the
//! step of the target that has it, and a list that fails blocks only what is nobody's otherwise.

use super::assert_says;
use crate::support::project::Project;
use crate::support::words::exit;

/// Two targets that may make `r/own/core`, each by a list of its own; that of `bak` takes longer than that of `own`.
fn two_lists() -> Project {
    let project = Project::new(
        "version: 1
targets:
  l: {rule: command, inputs: [etc/l], run: \"! grep -q FAIL {in} && cp {in} {out}\", output: r/l}
  m: {rule: command, inputs: [etc/m], cache: false, run: \"sleep 0.3; cp {in} {out}\", output: r/m}
  own: {rule: command, foreach: {n: {lines: r/l}}, inputs: [\"etc/{n}\"], run: \"cp {in} {out}\", output: \"r/own/{n}\"}
  bak: {rule: command, foreach: {n: {lines: r/m}}, inputs: [\"etc/{n}\"], run: \"cp {in} {out}\", output: \"r/own/{n}\"}
  p: {rule: command, inputs: [r/own/core], run: \"cp {in} {out}\", output: r/p}
",
    );
    project.write("etc/l", "core\n");
    project.write("etc/m", "web\n");
    project.write("etc/core", "core\n");
    project.write("etc/web", "web\n");
    project
}

#[test]
fn a_target_that_cannot_read_its_list_blocks_no_path_that_another_has_however_it_is_named() {
    let project = Project::new(
        "version: 1
targets:
  lst: {rule: command, inputs: [etc/p.csv], run: \"cp {in} {out}\", output: r/p.csv}
  own: {rule: command, foreach: {n: {csv: r/p.csv, column: team}}, inputs: [\"etc/{n}\"], run: \"cp {in} {out}\", output: \"r/own/{n}\"}
  bak: {rule: command, foreach: {n: {csv: r/p.csv, column: bakup}}, inputs: [\"etc/{n}\"], run: \"cp {in} {out}\", output: \"r/own/{n}\"}
  g: {inputs: [r/own/core]}
  by_path: {rule: command, inputs: [r/own/core], run: \"cp {in} {out}\", output: r/by_path}
  by_group: {rule: command, inputs: [g], run: \"cp {in} {out}\", output: r/by_group}
  after: {rule: command, inputs: [etc/i], after: [g], run: \"cp {in} {out}\", output: r/after}
",
    );
    project.write("etc/p.csv", "team\ncore\n");
    project.write("etc/core", "1\n");
    project.write("etc/web", "1\n");
    project.write("etc/i", "1\n");
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.built, report.failed, report.blocked), (5, 1, 0), "{}", report.listing());
    project.write("etc/core", "2\n");
    project.write("etc/i", "2\n");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(
        &plan,
        &["failed   bak  ", "run      after  changed input: etc/i", "run?     by_path  ", "1 cannot be made"],
    );
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.built, report.blocked), (4, 0), "{}", report.listing());

    // What no other target has may be of the one that cannot read its list, whichever the path is taken for.
    project.write("etc/p.csv", "team\nweb\n");
    for is_first in [true, false] {
        let report = project.build_exits(exit::FAILED, &[]);
        assert_eq!((report.failed, report.blocked), (1, 2), "{}", report.listing());
        let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
        assert_says(&plan, &["blocked  by_path  bak\n", "blocked  by_group  bak\n"]);
        let told = project.explain("by_path");
        assert_says(&told, &["more      bak: its steps cannot be told: {n} cannot be read out of r/p.csv"]);
        assert!(!told.contains("none, since"), "{told}");
        if is_first {
            project.edit("column: team", "column: none");
            project.edit("column: bakup", "column: team");
            project.edit("  bak:", "  swap:");
            project.edit("  own:", "  bak:");
            project.edit("  swap:", "  own:");
        }
    }
}

#[test]
fn a_list_that_fails_is_nothing_to_a_path_that_another_target_comes_to_have() {
    let project = two_lists();
    project.build(&[]);
    // The one loses it with its list, and the other gets it, later.
    project.remove("etc/l");
    project.write("etc/m", "core\n");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["blocked? p  l (upstream: m is made again)\n"]);
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.built, report.up_to_date, report.blocked), (1, 2, 1), "{}", report.listing());
    assert_says(&project.explain("p"), &["p: up to date", "input     r/own/core", "of bak@n=core\n"]);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["0 to run, 3 up to date, 0 absent, 2 cannot be made"]);
    // Where that has it no more, either, it may be the one's.
    project.write("etc/m", "web\n");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["blocked? p  l (upstream: m is made again)\n"]);
    project.build_exits(exit::FAILED, &[]);
    for report in [project.plan(&[]), project.build_exits(exit::FAILED, &[])] {
        assert_eq!(report.step("p").message.as_deref(), Some("l"), "{}", report.listing());
    }
}

#[test]
fn what_reads_a_path_that_may_be_left_to_a_list_which_failed_is_told_by_both_lists() {
    let project = two_lists();
    project.write("etc/m", "core\n");
    project.build(&[]);
    project.write("etc/l", "FAIL\n");
    project.remove("r/l");
    assert_eq!(project.build_exits(exit::FAILED, &[]).up_to_date, 3);
    // As long as the other has it for sure, nothing hangs on the one that fails.
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert!(!plan.contains(" p  "), "{plan}");
    project.write("etc/m", "web\n");
    let plan = project.run(&["plan", "-v"]).exits(exit::DONE).stdout;
    let why = "run?     p  upstream: l is tried again, and may fail or be put off as before\n";
    assert_says(&plan, &[why, "and upstream: m is made again\n"]);
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.step("p").outcome.as_str(), report.blocked), ("blocked", 2), "{}", report.listing());
}

#[test]
fn a_list_that_fails_while_another_is_waited_for_blocks_no_path_that_this_one_has() {
    let project = two_lists();
    project.edit(
        "  p:",
        "  k: {rule: command, inputs: [etc/k], run: \"sleep 0.6; cp {in} {out}\", output: r/k}
  third: {rule: command, foreach: {n: {lines: r/k}}, inputs: [\"etc/{n}\"], run: \"cp {in} {out}\", output: \"r/own/{n}\"}
  p:",
    );
    project.edit("sleep 0.3; cp {in} {out}", "sleep 0.3; false");
    project.write("etc/l", "web\n");
    project.write("etc/k", "core\n");
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.failed, report.blocked), (1, 1), "{}", report.listing());
    assert_says(&project.explain("p"), &["p: up to date", "of third@n=core\n"]);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["1 to run, 5 up to date"]);
}

#[test]
fn a_step_that_fails_blocks_what_needs_a_target_for_sure_only_where_that_is_sure_to_have_it() {
    let project = two_lists();
    project.edit(
        "  p:",
        "  of: {rule: command, foreach: {w: {from: bak, lines: true}}, run: \"echo {n} {w} > {out}\", output: \"r/of/{n}-{w}\"}
  all: {rule: command, inputs: [bak], run: \"cat {in} > {out}\", output: r/all}
  far: {rule: command, inputs: [of], run: \"cat {in} > {out}\", output: r/far}
  p:",
    );
    project.write("etc/m", "core\nweb\n");
    project.build(&[]);
    // It stays a step of `own`, and may come to be none of `bak`.
    project.write("etc/m", "web\n");
    project.remove("etc/core");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(
        &plan,
        &["failed   own@n=core  ", "blocked? all  own@n=core", "blocked? far  own@n=core", "blocked  p  own@n=core"],
    );
    assert_says(&project.explain("far"), &["blocked by own@n=core", "may have others"]);
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.built, report.failed, report.blocked), (3, 1, 1), "{}", report.listing());
}

#[test]
fn a_file_that_came_to_be_anothers_and_may_be_nobodys_is_told_to_be_missing_perhaps() {
    let project = two_lists();
    project.edit(
        "  p:",
        "  g: {inputs: [r/own/core]}
  w: {rule: command, inputs: [etc/i], after: [g], run: \"cp {in} {out}\", output: r/w}
  p:",
    );
    project.write("etc/l", "web\n");
    project.write("etc/m", "core\n");
    project.write("etc/i", "1\n");
    project.build(&[]);
    // The path is taken for one of `own`; the step that made the file is of `bak` alone.
    project.write("etc/m", "web\n");
    project.write("etc/i", "2\n");
    project.remove("r/own/core");
    let plan = project.run(&["plan", "-v"]).exits(exit::DONE).stdout;
    let lack = "the input r/own/core may be missing: core may not be in what m makes";
    assert_says(&plan, &[&format!("failed?  g  {lack}"), &format!("(failed? {lack})"), "(blocked? g may fail: "]);
    assert_says(&project.explain("p"), &["failed?"]);
    let report = project.build_exits(exit::FAILED, &[]);
    let outcomes = ["g", "p", "w"].map(|step| report.step(step).outcome.clone());
    assert_eq!(outcomes, ["failed", "failed", "blocked"], "{}", report.listing());
}

#[test]
fn a_file_that_one_target_makes_no_more_and_another_may_come_to_make_is_told_as_of_the_one_that_may() {
    let project = two_lists();
    project.write("etc/l", "core\n");
    project.write("etc/m", "web\n");
    project.build(&[]);
    project.write("etc/m", "core\n");
    project.build(&[]);
    project.write("etc/l", "core\nweb\n");
    let told = project.explain("r/own/web");
    assert_says(&told, &["own@n=web", "as of the last build of l", "`layermill clean --orphans` leaves it"]);
    project.build(&[]);
    assert_says(&project.explain("r/own/web"), &["own@n=web: up to date"]);
}

#[test]
fn a_group_whose_file_is_of_a_step_that_may_not_be_there_is_told_to_fail_perhaps_also_while_that_step_fails() {
    let project = two_lists();
    let bak = "bak: {rule: command, foreach: {n: {lines: r/m}}, inputs: [\"etc/{n}\"], run: \"c";
    project.edit(&format!("{bak}p"), &format!("{bak}p -f"));
    project.edit("  p: {", "  g: {inputs: [r/own/core, etc/l]}\n  p: {");
    project.write("etc/m", "core\n");
    project.build_exits(exit::FAILED, &[]);
    project.write("etc/l", "web\n");
    project.write("etc/m", "\n");
    let plan = project.run(&["plan"]).stdout;
    let told = [
        "failed?  own@n=core  two steps for one file",
        "failed?  g  the input r/own/core may be missing: core may not be in",
    ];
    assert_says(&plan, &told);
    let run = project.run(&["build", "-v", "g"]).exits(exit::FAILED);
    run.says("failed g: the input r/own/core is missing");
}
