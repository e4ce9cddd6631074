//! What a depfile names: a step whose command read what it must not leaves all as it was, and none is made of what has
//! changed since, whatever the times of files say.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::support::project::Project;
use crate::support::words::{exit, outcome};

fn project(targets: &str) -> Project {
    Project::new(&format!("version: 1\ntargets:\n{targets}"))
}

const LISTED: &str = r#"  gen: {rule: command, inputs: [./list], run: "sleep 0.2; cp {in} {out}", output: out/list}
  ex: {rule: command, foreach: {k: {from: gen, lines: true}}, run: "echo {k} > {out}", output: "ex/{k}"}
  o: {rule: command, inputs: [./in], run: "cat {in} ex/a > {out}; echo 'x: ex/a' > {out}.d", depfile: "{out}.d", output: out/o}
"#;
const REFUSED: &str = "the command read ex/a, which ex@k=a makes, and its target does not say so";

/// Gives a file an mtime in the future, and waits until it is older than a build by its ctime.
fn in_the_future(p: &Project, path: &str, ahead: Duration) {
    let file = fs::File::options().append(true).open(p.path(path)).expect("there");
    file.set_modified(SystemTime::now() + ahead).expect("ours");
    std::thread::sleep(Duration::from_millis(20));
}

#[test]
fn a_step_that_fails_for_what_its_depfile_names_leaves_its_outputs_as_they_were() {
    for names in ["gen.h", "not-there.h"] {
        let p = project(
            r#"  g: {rule: command, run: "echo gen > {out}", output: gen.h}
  d: {rule: command, inputs: [./src], after: [g], run: 'cp {in} {out.a}; cp {in} {out.b}; echo "x: $(cat deps)" > {out.a}.d', depfile: "{out.a}.d", output: {a: out/a, b: out/b}}
"#,
        );
        p.write("src", "1\n");
        p.write("deps", names);
        p.build_exits(exit::FAILED, &[]);
        assert!(!p.exists("out/a") && !p.exists("out/b"), "{names}");
        assert!(p.explain("d").contains("because   first build\n"), "{}", p.explain("d"));

        p.write("deps", "src");
        p.build(&[]).assert_only(&["d"]);
        p.write("src", "2\n");
        p.write("deps", names);
        p.build_exits(exit::FAILED, &[]);
        assert_eq!((p.read("out/a"), p.read("out/b")), ("1\n".into(), "1\n".into()), "{names}");
        let why = p.explain("d");
        assert!(why.contains("changed input: src") && !why.contains("changed output"), "{why}");
        p.run(&["verify"]).exits(exit::DONE);
        p.write("src", "1\n");
        p.build(&[]).assert_nothing_done();
    }
}

#[test]
fn an_mtime_in_the_future_of_what_a_depfile_names_makes_nothing_run_again() {
    let p = project(
        r#"  file: {rule: command, run: "cat a.h > {out}; echo 'x: a.h' > {out}.d", depfile: "{out}.d", output: out/file}
  folder: {rule: command, run: "cat in/* > {out}; echo 'x: in' > {out}.d", depfile: "{out}.d", output: out/folder}
"#,
    );
    for (path, ahead) in [("a.h", Duration::from_secs(4)), ("in/a.h", Duration::from_hours(24))] {
        p.write(path, "a\n");
        in_the_future(&p, path, ahead);
    }
    p.build(&[]);
    p.build(&[]).assert_nothing_done();
    for path in ["a.h", "in/a.h"] {
        p.write(path, "b\n");
        in_the_future(&p, path, Duration::from_hours(24));
    }
    p.build(&[]).assert_only(&["file", "folder"]);
    assert_eq!((p.read("out/file"), p.read("out/folder")), ("b\n".into(), "b\n".into()));
    p.build(&[]).assert_nothing_done();
}

#[test]
fn what_is_moved_to_a_found_file_while_the_command_runs_is_seen_though_its_mtime_is_old() {
    let p = project(
        r#"  t: {rule: command, run: "cat a.h > {out}; test -e ran || { touch ran; mv b.h a.h; }; echo 'x: a.h' > {out}.d", depfile: "{out}.d", output: out}
"#,
    );
    p.write("a.h", "old\n");
    p.write("b.h", "new\n");
    std::thread::sleep(Duration::from_millis(20));
    p.build(&[]);
    assert_eq!(p.read("out"), "old\n");
    p.build(&[]).assert_only(&["t"]);
    assert_eq!(p.read("out"), "new\n");
    p.build(&[]).assert_nothing_done();
}

#[test]
fn a_command_that_only_links_what_it_found_comes_to_rest() {
    let p = project(
        r#"  t: {rule: command, run: "ln -f a.h linked; cat a.h > {out}; echo 'x: a.h' > {out}.d", depfile: "{out}.d", output: out}
"#,
    );
    p.write("a.h", "a\n");
    p.build(&[]);
    p.build(&[]);
    p.build(&[]).assert_nothing_done();
}

#[test]
fn a_found_file_that_a_step_out_of_a_list_comes_to_make_fails_the_step_that_found_it_whenever_that_is_seen() {
    for runs in [false, true] {
        let p = project(LISTED);
        p.write("list", "b\n");
        p.write("in", "1\n");
        p.write("ex/a", "mine\n");
        std::thread::sleep(Duration::from_millis(20));
        p.build(&[]);
        p.build(&[]).assert_nothing_done();
        p.write("list", "b\na\n");
        if runs {
            p.write("in", "2\n");
        } else {
            let told = "the command read ex/a, which ex@k=a may come to make, and its target does not say so";
            let plan = p.run(&["plan"]).stdout;
            assert!(
                plan.contains(&format!("blocked? o  {told}\n")) && plan.contains(", 1 that may be blocked"),
                "{plan}"
            );
        }
        // It is up to date, or has run, before the list is made; then the step is known from the start.
        for _ in 0..2 {
            let report = p.build_exits(exit::FAILED, &[]);
            let o = report.step("o");
            assert_eq!(
                (o.outcome.as_str(), o.message.as_deref()),
                (outcome::FAILED, Some(REFUSED)),
                "{}",
                report.listing()
            );
            assert_eq!(p.read("ex/a"), "a\n");
        }
        assert_eq!(p.read("out/o"), if runs { "2\nmine\n" } else { "1\nmine\n" });
        p.edit("inputs: [./in], run: \"cat {in} ex/a", "inputs: [./in, ex], run: \"cat in ex/a");
        p.build(&[]);
        assert_eq!(p.read("out/o"), if runs { "2\na\n" } else { "1\na\n" });
        p.build(&[]).assert_nothing_done();
    }
}

#[test]
fn a_found_file_that_a_step_made_which_is_no_more_is_read_as_it_lies_there() {
    let p = project(LISTED);
    p.write("list", "b\na\n");
    p.write("in", "1\n");
    p.build(&["ex"]);
    p.write("list", "b\n");
    p.build(&[]);
    assert_eq!(p.read("out/o"), "1\na\n");
    p.build(&[]).assert_nothing_done();
    p.write("list", "b\na\n");
    p.build_exits(exit::FAILED, &[]);
    // Where it is not seen whether there is such a step, there may be.
    let report = p.build_exits(exit::FAILED, &["o"]);
    assert_eq!(report.step("o").message.as_deref(), Some(REFUSED), "{}", report.listing());
}

#[test]
fn a_found_file_that_a_target_has_come_to_make_fails_the_step_that_found_it_before_it_is_made_of_what_goes() {
    let p = project(
        r#"  o: {rule: command, run: "cat a.h > {out}; echo 'x: a.h' > {out}.d", depfile: "{out}.d", output: out/o}
"#,
    );
    p.write("a.h", "mine\n");
    std::thread::sleep(Duration::from_millis(20));
    p.build(&[]);
    p.edit("targets:\n", "targets:\n  gen: {rule: command, run: \"sleep 0.2; echo made > {out}\", output: a.h}\n");
    let said = "the command read a.h, which gen makes, and its target does not say so";
    assert_eq!(p.plan(&[]).step("o").message.as_deref(), Some(said));
    for _ in 0..2 {
        assert_eq!(p.build_exits(exit::FAILED, &[]).step("o").message.as_deref(), Some(said));
    }
    p.edit("  o: {rule: command, run:", "  o: {rule: command, inputs: [gen], run:");
    p.build(&[]);
    assert_eq!(p.read("out/o"), "made\n");
    p.build(&[]).assert_nothing_done();
}

#[test]
fn a_plan_tells_no_run_for_what_a_step_brings_back_of_what_a_command_found() {
    let p = project(
        r#"  gen: {rule: command, inputs: [./in], run: "mkdir -p {out} && cp {in} {out}/h", output: gen/}
  use: {rule: command, inputs: [gen], run: "cat gen/h > {out}; echo {out}: gen/h > {out}.d", depfile: "{out}.d", output: out/use}
"#,
    );
    p.write("in", "1\n");
    p.build(&[]);
    p.build(&[]);
    let spoil: [&dyn Fn(); 2] = [&|| p.write("gen/h", "mine\n"), &|| p.remove("gen/h")];
    for spoil in spoil {
        spoil();
        let plan = p.plan(&[]);
        let built = p.build(&[]);
        built.assert_only(&["gen"]);
        plan.assert_only(&["gen"]);
    }
}

#[test]
fn a_found_folder_in_which_another_step_writes_has_to_be_declared() {
    for list in ["[a, b]", "{lines: names}", "{from: list, lines: true}"] {
        let gen_ = format!(
            "  gen: {{rule: command, foreach: {{k: {list}}}, inputs: [\"in/{{k}}\"], run: \"sleep 0.1; cp {{in}} {{out}}\", output: \"gen/{{k}}/x\"}}\n"
        );
        let p = project(&format!(
            r#"  list: {{rule: command, inputs: [./names], run: "cp {{in}} {{out}}", output: list}}
{gen_}  dep: {{rule: command, inputs: [./src], run: "cat gen/a/* > {{out}}; echo 'x: gen/a' > {{out}}.d", depfile: "{{out}}.d", output: dep}}
"#
        ));
        p.write("names", "a\nb\n");
        ["in/a", "in/b", "src"].iter().for_each(|path| p.write(path, "1\n"));
        p.build(&["gen"]);
        let report = p.build_exits(exit::FAILED, &[]);
        let says = report.step("dep").message.clone().unwrap_or_default();
        assert!(says.contains("the command read gen/a, in which gen@k=a writes"), "{list}: {says}");
        p.edit("inputs: [./src]", "inputs: [./src, gen]");
        p.build(&[]);
        p.write("in/a", "2\n");
        p.build(&[]);
        assert_eq!(p.read("dep"), "2\n", "{list}");
        p.build(&[]).assert_nothing_done();
    }
}

#[test]
fn a_found_folder_in_which_several_steps_write_is_declared_by_all_of_them() {
    for list in ["[a, b]", "{lines: names}", "{from: list, lines: true}"] {
        let p = project(&format!(
            r#"  list: {{rule: command, inputs: [./names], run: "cp {{in}} {{out}}", output: list}}
  gen: {{rule: command, foreach: {{k: {list}}}, inputs: ["in/{{k}}"], run: "cp {{in}} {{out}}", output: "gen/{{k}}/x"}}
  dep: {{rule: command, inputs: [./src, gen/a/x], run: "cat gen/*/* > {{out}}; echo 'x: gen' > {{out}}.d", depfile: "{{out}}.d", output: dep}}
"#
        ));
        p.write("names", "a\nb\n");
        ["in/a", "in/b", "src"].iter().for_each(|path| p.write(path, "1\n"));
        // However often it is built.
        for _ in 0..2 {
            let told = p.run(&["build"]).exits(exit::FAILED).stderr;
            assert!(told.contains("dep: the command read gen, in which gen@k=b writes, and "), "{list}: {told}");
            assert!(told.contains("help: add `gen` to the `inputs` of this target\n"), "{list}: {told}");
        }
        p.edit("inputs: [./src, gen/a/x]", "inputs: [./src, gen]");
        p.build(&[]);
        p.write("in/b", "2\n");
        p.build(&[]);
        assert_eq!(p.read("dep"), "1\n2\n", "{list}");
        p.build(&[]).assert_nothing_done();
    }
}

#[test]
fn a_found_folder_in_which_the_step_itself_writes_is_refused_be_it_the_root() {
    for (folder, output) in
        [(".", "out/dep"), ("$PWD", "out/dep"), ("..", "dep"), ("src", "src/dep"), ("src", "src/a/dep")]
    {
        let p = project(&format!(
            r#"  dep: {{rule: command, inputs: [./in], run: "ls {folder} > {{out}}; echo \"x: {folder}\" > {{out}}.d", depfile: "{{out}}.d", output: {output}}}
"#
        ));
        p.write("in", "1\n");
        p.write("src/one", "1\n");
        for _ in 0..2 {
            let report = p.build_exits(exit::FAILED, &[]);
            let says = report.step("dep").message.clone().unwrap_or_default();
            let told = if folder == "$PWD" { "." } else { folder };
            assert!(
                folder == ".." || says.starts_with(&format!("the command read {told}, in which it writes itself: ")),
                "{folder}: {says}"
            );
            assert!(says.ends_with(&format!(", in which it writes itself: {output}")), "{folder}: {says}");
        }
        assert!(!p.exists(output));
    }
    // Elsewhere than in its own it may write, and then a file of it is seen as ever.
    let p = project(
        r#"  dep: {rule: command, inputs: [./in], run: "ls src > {out}; echo 'x: src' > {out}.d", depfile: "{out}.d", output: out/dep}
"#,
    );
    p.write("in", "1\n");
    p.write("src/one", "1\n");
    p.build(&[]);
    p.build(&[]).assert_nothing_done();
}

#[test]
fn a_found_folder_in_which_others_write_is_refused_also_where_those_are_not_asked_for() {
    let p = project(
        r#"  gen: {rule: command, foreach: {k: {lines: names}}, run: "echo {k} > {out}", output: "gen/{k}"}
  dep: {rule: command, inputs: [./src], run: "cat gen/* > {out}; echo 'x: gen' > {out}.d", depfile: "{out}.d", output: dep}
"#,
    );
    p.write("names", "a\nb\n");
    p.write("src", "1\n");
    p.build(&["gen"]);
    for asked in [&["dep"][..], &[]] {
        let report = p.build_exits(exit::FAILED, asked);
        let says = report.step("dep").message.clone().unwrap_or_default();
        assert!(says.contains("the command read gen, in which gen@k=a writes, and "), "{asked:?}: {says}");
    }
    // What its target names is there when it runs.
    p.edit("inputs: [./src]", "inputs: [./src, gen]");
    p.build(&["dep"]);
    assert_eq!(p.read("dep"), "a\nb\n");
    p.build(&["dep"]).assert_nothing_done();
    p.build(&[]).assert_nothing_done();
}

#[test]
fn what_fails_for_what_its_command_found_is_told_as_that_by_explain_too_and_until_it_is_mended() {
    let gen_ = "  gen: {rule: command, foreach: {k: {lines: names}}, inputs: [\"in/{k}\"], run: \"cp {in} {out}\", output: \"gen/{k}/x\"}\n";
    for (found, how) in [("gen/a", "in which gen@k=a writes"), ("gen/a/x", "which gen@k=a makes")] {
        let p = project(&format!(
            r#"  dep: {{rule: command, inputs: [./src], run: "cat gen/a/* > {{out}}; echo 'x: {found}' > {{out}}.d", depfile: "{{out}}.d", output: dep}}
  top: {{rule: command, inputs: [dep], run: "cp {{in}} {{out}}", output: top}}
"#
        ));
        p.write("names", "a\nb\n");
        ["in/a", "in/b", "src", "gen/a/x"].iter().for_each(|path| p.write(path, "1\n"));
        std::thread::sleep(Duration::from_millis(20));
        p.build(&[]);
        p.edit("targets:\n", &format!("targets:\n{gen_}"));
        let fails = format!("the command read {found}, {how}, and its target does not say so");
        // Before the other one is made for the first time, and once it was.
        for _ in 0..2 {
            let plan = p.run(&["plan"]).stdout;
            assert!(plan.contains(&format!("failed   dep  {fails}\nblocked  top  dep\n")), "{plan}");
            let told = p.explain("dep");
            let says = format!("  says      {fails}\n  help      add `gen` to the `inputs` of this target\n");
            assert!(told.starts_with("dep: failed\n") && told.contains(&says), "{told}");
            let top = p.explain("top");
            assert!(top.starts_with("top: blocked\n") && top.contains("  blocked by dep\n"), "{top}");
            assert_eq!(p.build_exits(exit::FAILED, &[]).step("dep").message.as_deref(), Some(fails.as_str()));
        }
        // Once that is made anew, it runs to read the new one: before it was tried, and after.
        p.write("in/a", "2\n");
        p.build_exits(exit::FAILED, &[]);
        for _ in 0..2 {
            let plan = p.run(&["plan"]).stdout;
            let dep = plan.lines().find(|line| line.starts_with("run      dep  changed input: gen/a"));
            assert!(dep.is_some_and(|dep| dep.ends_with(" (failed when it was last tried)")), "{plan}");
            assert!(plan.contains("run?     top  upstream: dep is tried again, and may fail"), "{plan}");
            let told = p.explain("dep");
            assert!(told.starts_with("dep: failed\n") && told.contains(&format!("Z: {fails}\n")), "{told}");
            p.build_exits(exit::FAILED, &[]);
        }
        p.edit("inputs: [./src]", "inputs: [./src, gen]");
        p.build(&[]);
        assert_eq!(p.read("top"), "2\n");
        p.build(&[]).assert_nothing_done();
    }
}
