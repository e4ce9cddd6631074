//! Where a command writes, and how that comes to its place.

use crate::support::project::Project;
use crate::support::words::exit;

#[test]
fn of_several_outputs_none_is_replaced_where_another_cannot_be() {
    let p = Project::new(
        "version: 1
targets:
  two:
    rule: command
    inputs: [./in]
    run: \"cp {in} {out.p}; cp {in} {out.d}/f; cp {in} {out.q}\"
    output: {p: out/p, d: out/d/, q: out/q}
",
    );
    p.write("in", "new\n");
    p.write("out/p", "old\n");
    p.write("out/d/old", "old\n");
    p.write("out/q/foreign", "");
    let before = p.snapshot();
    let report = p.build_exits(exit::FAILED, &[]);
    let said = report.step("two").message.clone().unwrap_or_default();
    assert!(said.contains("cannot write out/q: a folder lies there"), "{said}");
    assert_eq!(before.changes(&p.snapshot()), [""; 0]);
    std::fs::remove_dir_all(p.path("out/q")).expect("ours");
    p.build(&[]);
    assert_eq!((p.read("out/p"), p.read("out/d/f"), p.read("out/q")), ("new\n".into(), "new\n".into(), "new\n".into()));
    assert!(!p.exists("out/d/old"));
    p.build(&[]).assert_nothing_done();
}

#[test]
fn the_temporary_folder_is_empty_whenever_a_command_is_tried() {
    let p = Project::new(
        "version: 1
targets:
  again:
    rule: command
    retries: 1
    run: \"ls -A $TMPDIR > {out}; touch $TMPDIR/left; test -e tried || {{ touch tried; exit 1; }}\"
    output: out/again
  each:
    rule: command
    foreach: {n: [1, 2, 3]}
    run: \"echo {n} >> $TMPDIR/one; cp $TMPDIR/one {out}\"
    output: out/{n}
",
    );
    p.build(&["-j", "1"]);
    assert_eq!(p.read("out/again"), "");
    for n in ["1", "2", "3"] {
        assert_eq!(p.read(&format!("out/{n}")), format!("{n}\n"));
    }
}

#[test]
fn an_output_that_is_changed_while_its_command_runs_is_what_the_command_made_afterwards() {
    let p = Project::new(
        "version: 1
targets:
  file: {rule: command, run: \"echo made > {out}; echo other > out/file\", output: out/file}
  folder: {rule: command, run: \"echo made > {out}/f; mkdir -p out/folder; echo other > out/folder/f\", output: out/folder/}
",
    );
    p.write("out/folder/f", "");
    p.build(&[]);
    for _ in 0..2 {
        assert_eq!((p.read("out/file"), p.read("out/folder/f")), ("made\n".into(), "made\n".into()));
        p.build(&[]).assert_nothing_done();
        p.build(&["--force"]).assert_only(&["file", "folder"]);
    }
}

#[test]
fn a_file_that_lies_where_a_folder_is_to_be_is_named_and_what_removes_it() {
    let pipeline = |values: &str| {
        format!(
            "version: 1
targets:
  conf: {{rule: command, foreach: {{k: {values}}}, inputs: [./in], run: \"cp {{in}} {{out}}\", output: \"r/{{k}}\"}}
"
        )
    };
    let p = Project::new(&pipeline("[web]"));
    p.write("in", "1\n");
    p.build(&[]);
    p.write("pipeline.yaml", pipeline("[web/a/b]"));
    let help = "`layermill clean --orphans` removes r/web, which conf@k=web made and no step makes any more";
    let failed = || {
        let report = p.build_exits(exit::FAILED, &[]);
        let said = report.step("conf@k=web/a/b").message.as_deref();
        assert_eq!(said, Some("cannot write r/web/a/b: a file lies at r/web, where a folder is to be"));
        report.stderr
    };
    let told = failed();
    assert!(told.contains(help), "{told}");
    // What is the user's own, it would not remove.
    p.write("r/web", "mine\n");
    let told = failed();
    assert!(!told.contains("clean --orphans"), "{told}");
    p.write("r/web", "1\n");
    p.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    p.build(&[]);
    assert_eq!(p.read("r/web/a/b"), "1\n");
}
