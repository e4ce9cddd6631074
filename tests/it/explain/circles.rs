//! What is told of paths that turn out to be made by what waits for the step which names them, and what a build does.

use super::assert_says;
use crate::support::project::Project;
use crate::support::words::exit;

const HELP: &str = "correct the path, or have it made by a target that does not wait for this one";

/// Lists `l1` and `l2` that take some time, steps of `t0` by the first and of `t1` by the second, which make the files in `r/o`.
fn lists(t1: &str, more: &str) -> Project {
    let list = |n: u8| {
        format!(
            "  l{n}: {{rule: command, inputs: [etc/l{n}, etc/s{n}], run: \"sleep $(cat etc/s{n}); cp etc/l{n} {{out}}\", output: r/l{n}}}\n"
        )
    };
    let each = |n: u8, of: u8, inputs: &str| {
        format!(
            "  t{n}: {{rule: command, foreach: {{v: {{lines: r/l{of}}}}}, {inputs}, run: \"echo t{n} {{v}} > {{out}}\", output: \"r/o/{{v}}\"}}\n"
        )
    };
    let project = Project::new(&format!(
        "version: 1\ntargets:\n{}{}{}{}{more}",
        list(1),
        list(2),
        each(0, 1, "inputs: [etc/h]"),
        each(1, 2, t1)
    ));
    for (file, text) in [("etc/l1", "a\n"), ("etc/l2", "b\n"), ("etc/h", "h\n"), ("etc/s1", "0\n"), ("etc/s2", "0\n")] {
        project.write(file, text);
    }
    project
}

/// How long the lists take, and at how many jobs: whatever is made first, the same comes of it.
const TIMES: [(&str, &str, &str); 4] = [("0", "0.2", "8"), ("0.2", "0", "8"), ("0.1", "0", "1"), ("0", "0", "1")];

#[test]
fn a_step_that_names_its_own_output_by_a_path_fails_alone_whichever_list_is_made_first() {
    for (first, second, jobs) in TIMES {
        let other = "  other: {rule: command, inputs: [{target: t1, partial: true}], run: \"cat {in} /dev/null > {out}\", output: r/other}\n";
        let project = lists("inputs: [r/o/b]", other);
        project.write("etc/s1", first);
        project.write("etc/s2", second);
        project.run(&["build", "-j", jobs]).exits(exit::FAILED).says("built 4, up to date 0, failed 1 ").says(HELP);
        let told = ["failed   t1@v=b  the input r/o/b is its own output (first build)\n", "0 to run, 4 up to date"];
        assert_says(&project.run(&["plan"]).exits(exit::DONE).stdout, &told);
        let explained = ["t1@v=b: failed\n", "  input     r/o/b (not there) of t1@v=b, failed\n"];
        assert_says(&project.explain("t1"), &explained);
        let report = project.build_exits(exit::FAILED, &[]);
        assert_eq!((report.up_to_date, report.failed), (4, 1), "{}", report.listing());
    }
}

#[test]
fn a_step_that_names_a_file_of_its_own_target_is_blocked_by_nothing_of_that() {
    let project = lists("inputs: [r/o/b]", "");
    project.write("etc/l2", "b\nc\n");
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.failed, report.blocked), (2, 0), "{}", report.listing());
    let run = project.run(&["build"]).exits(exit::FAILED);
    run.says("failed t1@v=c: the input r/o/b is made by t1@v=b, and `t1` cannot wait for itself");
}

#[test]
fn a_group_that_names_what_waits_for_it_fails_and_blocks_that_alone_whichever_list_is_made_first() {
    let more = "  g: {inputs: [etc/h, r/o/c]}
  nm: {rule: command, inputs: [r/o/c], run: \"cp {in} {out}\", output: r/nm}
";
    for (first, second, jobs) in TIMES {
        let project = lists("inputs: [etc/h], after: [g]", more);
        project.write("etc/l2", "c\n");
        project.write("etc/s1", first);
        project.write("etc/s2", second);
        let circle = "failed g: the input r/o/c is made by t1@v=c, and `t1` waits for `g`";
        let run = project.run(&["build", "-j", jobs]).exits(exit::FAILED).says(circle);
        run.says("built 3, up to date 0, failed 1, blocked 2 ");
        let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
        let told = [
            "failed   g  the input r/o/c is made by t1@v=c, and `t1` waits for `g`\n",
            "blocked  t1@v=c  g (first build)\n",
            "blocked  nm  t1@v=c (first build)\n",
            "0 to run, 3 up to date",
        ];
        assert_says(&plan, &told);
        let report = project.build_exits(exit::FAILED, &[]);
        assert_eq!((report.up_to_date, report.failed, report.blocked), (3, 1, 2), "{}", report.listing());
    }
}

#[test]
fn two_steps_for_a_file_that_wait_for_the_group_which_names_it_end_the_same_whichever_list_is_made_first() {
    for (first, second, jobs) in TIMES {
        let more = "  t2: {rule: command, foreach: {v: {lines: r/l1}}, inputs: [t1], run: \"echo t2 > {out}\", output: \"r/o/{v}.t\"}
  g: {inputs: [r/o/c.t]}
  nm: {rule: command, inputs: [r/o/c.t], run: \"cp {in} {out}\", output: r/nm}
";
        let project = lists("inputs: [etc/h], after: [g]", more);
        project.write("etc/l1", "c\n");
        project.write("etc/l2", "c.t\n");
        project.write("etc/s1", first);
        project.write("etc/s2", second);
        let run = project.run(&["build", "-v", "-j", jobs]).exits(exit::FAILED);
        let run = run.says("failed g: the input r/o/c.t is made by t1@v=c.t, and `t1` waits for `g`");
        run.says("(the other is t2@v=c)\n  1 step waits for it\n")
            .says("blocked nm (t1@v=c.t)")
            .says("built 3, up to date 0, failed 3, blocked 1 ");
    }
}

#[test]
fn a_file_that_what_waits_for_its_reader_may_come_to_make_is_told_to_fail_perhaps() {
    let more = "  s: {rule: command, inputs: [r/o/c], run: \"cp {in} {out}\", output: r/s}\n";
    let project = lists("inputs: [s]", more);
    project.write("r/o/c", "mine\n");
    assert_eq!(project.build(&[]).built, 5);
    project.write("etc/l2", "b\nc\n");
    let may = "the input r/o/c may come to be made by `t1`, and `t1` waits for `s`";
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &[&format!("run?     s  upstream: l2 is made again (failed? {may})\n")]);
    assert_says(&project.explain("s"), &["s: stale\n", &format!("  failed?   {may}\n")]);
    let run = project.run(&["build"]).exits(exit::FAILED);
    let run = run.says("failed s: the input r/o/c is made by t1@v=c, and `t1` waits for `s`");
    run.says("built 1, up to date 2, failed 1, blocked 2 ");
    assert_says(&project.run(&["plan"]).stdout, &["failed   s  the input r/o/c is made by t1@v=c, and "]);
    // It is no input of that alone.
    project.write("etc/l2", "b\nd\n");
    let plan = project.run(&["plan"]).stdout;
    assert_says(&plan, &["failed?  s  the input r/o/c is made by t1@v=c, and "]);
    assert_eq!(project.build(&[]).failed, 0);
}

#[test]
fn a_step_of_two_targets_of_which_one_waits_for_what_it_names_fails_whichever_list_is_made_first() {
    for (first, second, jobs) in TIMES {
        // `t0` and `t1` describe the same step `a`; what it names is another of `t1`.
        let project = lists("inputs: [etc/h, r/o/c]", "");
        project.edit("inputs: [etc/h], run: \"echo t0", "inputs: [etc/h, r/o/c], run: \"echo t1");
        let c = "  c: {rule: command, foreach: {v: {lines: etc/w}}, run: \"echo {v} > {out}\", output: \"r/o/{v}\"}\n";
        project.edit("  t0:", &format!("{c}  t0:"));
        project.write("etc/w", "w\n");
        project.write("etc/l2", "a\nc\n");
        project.write("etc/s1", first);
        project.write("etc/s2", second);
        let run = project.run(&["build", "-v", "-j", jobs]).exits(exit::FAILED);
        run.says("=a: the input r/o/c is made by t1@v=c, and `t1` cannot wait for itself").says("failed 2 ");
    }
}
