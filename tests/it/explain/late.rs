//! What is told of steps that fail late, since a list that needs them has steps which make their files, and of what waits
//! for them.

use super::assert_says;
use crate::support::project::Project;
use crate::support::words::exit;

/// `x` makes `r/x/a`; once the list `m`, which needs that, has `a/b`, a step of `y` needs a folder there.
fn file_and_folder() -> Project {
    let project = Project::new(
        "version: 1
targets:
  x: {rule: command, foreach: {n: [a]}, inputs: [etc/i], run: \"cp {in} {out}\", output: \"r/x/{n}\"}
  m: {rule: command, inputs: [etc/list, x], run: \"cp etc/list {out}\", output: r/m}
  y: {rule: command, foreach: {n: {lines: r/m}}, run: \"echo y > {out}\", output: \"r/x/{n}\"}
  ax: {rule: command, inputs: [x], run: \"cat {in} > {out}\", output: r/ax}
  last: {rule: command, inputs: [etc/g], after: [ax], run: \"cp {in} {out}\", output: r/last}
",
    );
    for (file, text) in [("etc/list", "a/b\nz\n"), ("etc/i", "i\n"), ("etc/g", "g\n")] {
        project.write(file, text);
    }
    project
}

#[test]
fn what_only_waits_for_what_is_blocked_late_is_told_to_be_blocked_as_the_build_has_it() {
    let project = file_and_folder();
    project.build_exits(exit::FAILED, &[]);
    project.write("etc/g", "other\n");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["failed   x@n=a", "blocked  ax  x@n=a\n", "blocked  last  ax (", "0 to run, 1 up to date"]);
    let explained = project.explain("last");
    assert_says(&explained, &["last: blocked\n", "  because   ", "  blocked by ax\n", "  after     ax (blocked)\n"]);
    let built = project.build_exits(exit::FAILED, &[]);
    assert_eq!(built.step("last").outcome, "blocked", "{}", built.listing());
}

#[test]
fn what_is_blocked_by_what_may_not_fail_any_more_is_told_to_be_blocked_perhaps_with_its_causes() {
    let project = file_and_folder();
    project.build_exits(exit::FAILED, &[]);
    for (file, text) in [("etc/list", "z\n"), ("etc/g", "other\n")] {
        project.write(file, text);
    }
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(
        &plan,
        &["failed?  x@n=a  ", "blocked? m  x@n=a (changed input: etc/list, from ", "failed?  y@n=a/b  "],
    );
    assert_says(
        &plan,
        &["blocked? ax  x@n=a", "0 to run, 1 up to date, 0 absent, 3 that may be blocked, 2 that may fail"],
    );
    assert_says(
        &project.explain("m"),
        &["m: blocked\n", "  because   changed input: etc/list, from ", "may have others\n"],
    );
    let built = project.build(&[]);
    assert_says(built.step("m").reason(), &["changed input: etc/list"]);
}

/// `one` makes `r/p/d`, and so does `two` once its list `m`, which needs that, has `d`; `some` goes on without what fails.
fn two_of_a_file(list_needs: &str) -> Project {
    let project = Project::new(&format!(
        "version: 1
targets:
  one: {{rule: command, foreach: {{n: [d]}}, inputs: [etc/x], run: \"echo 1 > {{out}}\", output: \"r/p/{{n}}\"}}
  m: {{rule: command, inputs: [etc/m, {list_needs}], run: \"cp etc/m {{out}}\", output: r/m}}
  two: {{rule: command, foreach: {{n: {{lines: r/m}}}}, run: \"echo 2 > {{out}}\", output: \"r/p/{{n}}\"}}
  some: {{rule: command, inputs: [{{target: one, partial: true}}, etc/s], run: \"cat {{in}} > {{out}}\", output: r/some}}
"
    ));
    for (file, text) in [("etc/x", "x\n"), ("etc/m", "e\n"), ("etc/s", "s\n")] {
        project.write(file, text);
    }
    project
}

#[test]
fn what_goes_on_without_what_fails_late_is_made_without_it_in_each_build_and_told_so() {
    let project = two_of_a_file("one");
    project.build(&[]);
    assert_eq!(project.read("r/some"), "1\ns\n");
    project.write("etc/m", "d\n");
    let built = project.build_exits(exit::FAILED, &[]);
    assert_says(built.step("some").reason(), &["left out: r/p/d, since one@n=d failed"]);
    // The failure comes late in each build, and `some` has waited for it.
    for (text, says) in [("s\n", "0 to run, 1 up to date"), ("other\n", "run      some  changed input: etc/s, from ")] {
        project.write("etc/s", text);
        assert_says(&project.run(&["plan"]).exits(exit::DONE).stdout, &["failed   one@n=d  ", says]);
        project.build_exits(exit::FAILED, &[]);
        assert_eq!(project.read("r/some"), text);
        let again = project.build_exits(exit::FAILED, &[]);
        again.assert_only(&["m", "one@n=d", "two@n=d"]);
    }
    // Of the first build of a clone, too.
    for folder in ["r", ".layermill"] {
        std::fs::remove_dir_all(project.path(folder)).unwrap();
    }
    project.build_exits(exit::FAILED, &[]);
    assert_eq!(project.read("r/some"), "other\n");
    // Once the list is another one, it may come back; and then it does.
    project.write("etc/m", "e\n");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    let back = "new input: r/p/d (left out before, since one@n=d failed)";
    assert_says(&plan, &["failed?  one@n=d  ", &format!("run?     some  {back}\n")]);
    assert_says(&project.explain("some"), &["some: stale\n", back]);
    assert_says(project.build(&[]).step("some").reason(), &[back]);
    assert_eq!(project.read("r/some"), "1\nother\n");
}

#[test]
fn what_the_list_needs_by_which_something_fails_late_is_made_with_that_in_each_build() {
    let project = two_of_a_file("some");
    project.write("etc/m", "d\n");
    project.build_exits(exit::FAILED, &[]);
    for (text, says, built) in [("s\n", "0 to run, ", 0), ("other\n", "run      some  changed input: etc/s, from ", 1)]
    {
        project.write("etc/s", text);
        assert_says(&project.run(&["plan"]).exits(exit::DONE).stdout, &[says]);
        let report = project.build_exits(exit::FAILED, &[]);
        assert_eq!(report.steps.iter().filter(|step| step.step == "some").count(), built, "{}", report.listing());
        assert_eq!(project.read("r/some"), format!("1\n{text}"));
        project.build_exits(exit::FAILED, &[]).assert_only(&["one@n=d", "two@n=d"]);
    }
}

#[test]
fn what_fails_for_its_own_sake_is_told_so_beside_a_step_that_makes_its_file_late() {
    let project = two_of_a_file("some");
    project.write("etc/m", "d\n");
    project.remove("etc/x");
    let built = project.build_exits(exit::FAILED, &[]);
    let missing = "the input etc/x is missing";
    assert_eq!(built.step("one@n=d").message.as_deref(), Some(missing), "{}", built.listing());
    assert_says(
        &project.run(&["plan"]).exits(exit::DONE).stdout,
        &[&format!("failed   one@n=d  {missing} (first build)")],
    );
    let explained = project.explain("one@n=d");
    assert_says(
        &explained,
        &["one@n=d: failed\n", "  because   first build\n", missing, "no step makes it; put it there"],
    );
}

#[test]
fn what_goes_on_without_what_fails_late_for_what_its_command_found_is_made_without_it_in_each_build() {
    let project = Project::new(
        "version: 1
targets:
  finds: {rule: command, depfile: found.d, run: \"cat r/f/d > {out}; echo 'x: r/f/d' > found.d\", output: r/finds}
  m: {rule: command, inputs: [etc/m, finds], run: \"cp etc/m {out}\", output: r/m}
  makes: {rule: command, foreach: {n: {lines: r/m}}, run: \"echo made > {out}\", output: \"r/f/{n}\"}
  some: {rule: command, inputs: [{target: finds, partial: true}, etc/s], run: \"cat {in} > {out}\", output: r/some}
",
    );
    for (file, text) in [("r/f/d", "by hand\n"), ("etc/m", "e\n"), ("etc/s", "s\n")] {
        project.write(file, text);
    }
    project.build(&[]);
    assert_eq!(project.read("r/some"), "by hand\ns\n");
    project.write("etc/m", "d\n");
    let built = project.build_exits(exit::FAILED, &[]);
    assert_says(built.step("some").reason(), &["left out: r/finds, since finds failed"]);
    // What it found was made since, so that it runs once more.
    project.build_exits(exit::FAILED, &[]);
    for (text, says) in [("s\n", "0 to run, "), ("other\n", "run      some  changed input: etc/s, from ")] {
        project.write("etc/s", text);
        assert_says(&project.run(&["plan"]).exits(exit::DONE).stdout, &["failed   finds  ", says]);
        project.build_exits(exit::FAILED, &[]).assert_only(match text {
            "s\n" => &["finds", "m"],
            _ => &["finds", "m", "some"],
        });
        assert_eq!(project.read("r/some"), text);
    }
}

#[test]
fn all_steps_in_a_folder_fail_where_another_makes_a_file_of_it_whichever_comes_first() {
    let project = Project::new(
        "version: 1
targets:
  one: {rule: command, inputs: [etc/one], run: \"cp {in} {out}\", output: r/one}
  two: {rule: command, inputs: [etc/two], run: \"cp {in} {out}\", output: r/two}
  file: {rule: command, foreach: {v: {lines: r/one}}, run: \"echo {v} > {out}\", output: \"r/o/{v}\"}
  inside: {rule: command, foreach: {v: {lines: r/two}}, run: \"echo {v} > {out}\", output: \"r/o/a/{v}\"}
  some: {rule: command, inputs: [{target: file, partial: true}, {target: inside, partial: true}], run: \"cat /dev/null {in} > {out}\", output: r/some}
",
    );
    project.write("etc/one", "z\n");
    project.write("etc/two", "v\nb\n");
    project.build(&[]);
    // The file comes late, then what lies in the folder does, then all at once.
    project.write("etc/one", "z\na\n");
    let both = ["file@v=a", "inside@v=b", "inside@v=v"];
    let failed = |report: &crate::support::project::Report| {
        let failed = report.steps.iter().filter(|step| step.outcome == "failed").map(|step| step.step.clone());
        failed.collect::<std::collections::BTreeSet<_>>()
    };
    let all: std::collections::BTreeSet<_> = both.map(str::to_owned).into();
    for _ in 0..2 {
        let report = project.build_exits(exit::FAILED, &[]);
        assert_eq!(failed(&report), all, "{}", report.listing());
        assert_eq!(project.read("r/some"), "z\n");
    }
    for path in [".layermill", "r"] {
        std::fs::remove_dir_all(project.path(path)).expect("there");
    }
    for _ in 0..2 {
        let report = project.build_exits(exit::FAILED, &[]);
        assert_eq!(failed(&report), all, "{}", report.listing());
        assert_eq!(project.read("r/some"), "z\n");
    }
}

#[test]
fn what_is_made_after_a_group_is_blocked_by_what_it_names_that_fails_late_in_the_first_build_too() {
    for jobs in ["1", "8"] {
        let project = Project::new(
            "version: 1
targets:
  l: {rule: command, inputs: [etc/l], run: \"sleep 0.2; cp {in} {out}\", output: r/l}
  x: {rule: command, foreach: {n: [a, b]}, inputs: [etc/h], run: \"echo {n} > {out}\", output: \"r/o/{n}\"}
  y: {rule: command, foreach: {n: {lines: r/l}}, inputs: [r/o/a], run: \"echo {n} > {out}\", output: \"r/o/a/{n}\"}
  g: {inputs: [r/o/a]}
  after: {rule: command, inputs: [etc/h], after: [g], run: \"cp {in} {out}\", output: r/after}
",
        );
        project.write("etc/l", "a\n");
        project.write("etc/h", "h\n");
        for built in ["2", "0"] {
            let run = project.run(&["build", "-j", jobs]).exits(exit::FAILED);
            run.says(&format!("built {built}, ")).says("failed 2, blocked 1 ");
            assert!(!project.exists("r/after"));
        }
    }
}

#[test]
fn what_names_a_file_that_cannot_lie_in_a_folder_is_blocked_by_the_step_for_it_in_each_build() {
    let project = Project::new(
        "version: 1
targets:
  l: {rule: command, inputs: [etc/l], run: \"cp {in} {out}\", output: r/l}
  m: {rule: command, inputs: [etc/m], run: \"cp {in} {out}\", output: r/m}
  x: {rule: command, foreach: {n: {lines: r/l}}, inputs: [etc/h], run: \"echo x > {out}\", output: \"r/o/{n}\"}
  y: {rule: command, foreach: {n: {lines: r/m}}, inputs: [etc/h], run: \"echo y > {out}\", output: \"r/o/a/{n}\"}
  read: {rule: command, inputs: [r/o/a/b, etc/i], run: \"cat {in} > {out}\", output: r/read}
",
    );
    for (file, text) in [("etc/l", "z\n"), ("etc/m", "v\nb\n"), ("etc/h", "h\n"), ("etc/i", "1\n")] {
        project.write(file, text);
    }
    project.build(&[]);
    project.write("etc/l", "a\n");
    project.write("etc/i", "2\n");
    for _ in 0..2 {
        let run = project.run(&["build", "-v"]).exits(exit::FAILED).says("blocked read (y@n=b)\n");
        run.says("failed 3, blocked 1 ");
        assert_says(&project.run(&["plan"]).stdout, &["blocked  read  y@n=b (changed input: etc/i, from "]);
    }
    for folder in ["r", ".layermill"] {
        std::fs::remove_dir_all(project.path(folder)).unwrap();
    }
    project.run(&["build", "-v"]).exits(exit::FAILED).says("blocked read (y@n=b)\n").says("failed 3, blocked 1 ");
}

#[test]
fn what_is_blocked_and_then_turns_out_to_fail_is_told_as_failed_alone() {
    let project = Project::new(
        "version: 1
targets:
  bad: {rule: command, inputs: [etc/l], run: \"false\", output: r/bad}
  l: {rule: command, inputs: [etc/l], run: \"sleep 0.2; cp {in} {out}\", output: r/l}
  x: {rule: command, foreach: {n: [a]}, inputs: [bad], run: \"echo x > {out}\", output: \"r/o/{n}\"}
  y: {rule: command, foreach: {n: {lines: r/l}}, run: \"echo y > {out}\", output: \"r/o/{n}/z\"}
  read: {rule: command, inputs: [x], run: \"cp {in} {out}\", output: r/read}
",
    );
    project.write("etc/l", "a\n");
    let run = project.run(&["build", "-v"]).exits(exit::FAILED).says("blocked read (x@n=a)\n");
    assert_eq!(run.stderr.matches("\nfailed x@n=a: a file where another step needs a folder").count(), 1, "{run}");
    assert!(!run.stderr.contains("blocked x@n=a"), "{run}");
}
