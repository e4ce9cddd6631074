//! What a depfile names: a step whose command read what it must not leaves all as it was, and none is made of what has
//! changed since, whatever the times of files say.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::support::project::Project;
use crate::support::words::exit;

fn project(targets: &str) -> Project {
    Project::new(&format!("version: 1\ntargets:\n{targets}"))
}

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
