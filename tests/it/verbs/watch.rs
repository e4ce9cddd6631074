//! `watch`: builds again as files change, and lives on whatever they hold.

use super::*;

/// A watch that is waiting for changes.
fn watching(project: &Project, args: &[&str]) -> Running {
    let mut watch = project.start(&[&["watch"], args].concat());
    watch.until("it waits", |w| w.stderr().contains("waiting for changes").then_some(()));
    watch
}

#[test]
fn a_watch_builds_again_as_what_a_command_found_changes() {
    let project = Project::new(
        r#"version: 1
targets:
  o: {rule: command, inputs: [./in], run: "cat {in} inc/h > {out}; echo {out}: inc/h > {out}.d", depfile: "{out}.d", output: r/o}
"#,
    );
    project.write("in", "in\n");
    project.write("inc/h", "1\n");
    let mut watch = watching(&project, &[]);
    for n in [2, 3] {
        project.write("inc/h", format!("{n}\n"));
        watch.until("it is built again", |w| (w.stderr().matches("inc/h changed").count() == n - 1).then_some(()));
        assert_eq!(project.read("r/o"), format!("in\n{n}\n"));
    }
}

/// What the last line is, once it tells of this file.
fn line_about(watch: &mut Running, file: &str) -> String {
    watch.until(file, |w| {
        let said = w.stderr();
        // The last one may still be being written.
        let (whole, _) = said.rsplit_once('\n')?;
        whole.lines().rev().find(|l| l.contains(&format!("{file} changed"))).map(str::to_owned)
    })
}

#[test]
fn a_watch_builds_again_as_files_change() {
    let project = project();
    let mut watch = watching(&project, &["--events", "events", "--trace", "trace"]);
    assert_eq!(project.read("result/whole.txt"), "text\n1\ntext\n2\n");

    project.write("text.txt", "new\n");
    let line = line_about(&mut watch, "text.txt");
    assert!(line.contains("built 4"), "one line tells what was built: {line}");
    assert_eq!(project.read("result/whole.txt"), "new\n1\nnew\n2\n");

    // Editors write beside a file and rename over it.
    project.write(".numbers.swp", "1\n2\n3\n");
    fs::rename(project.path(".numbers.swp"), project.path("numbers.lst")).expect("renamed");
    line_about(&mut watch, "numbers.lst");
    assert!(project.exists("result/part/3.txt"));

    // A pipeline that is broken is told, and waited for.
    let good = project.read("pipeline.yaml");
    project.write("pipeline.yaml", good.replace("rule: command, inputs: [whole]", "rule: comand, inputs: [whole]"));
    watch.until("the mistake is shown", |w| w.stderr().contains("comand").then_some(()));
    project.write("pipeline.yaml", good.replace("cp {in} {out}", "cp {in} {out} && echo end >> {out}"));
    let line = line_about(&mut watch, "pipeline.yaml");
    assert!(line.contains("built 1"), "{line}");
    assert!(project.read("result/copies/copy.txt").ends_with("end\n"));

    // It holds the lock only while it builds, and lets go of it once it has told the end.
    watch.until("the lock is free", |_| (project.run(&["build", "--no-wait"]).code == exit::DONE).then_some(()));
    watch.signal(Signal::INT);
    watch.wait().exits(exit::DONE);

    // Programs are told of all rounds in one stream.
    let events = project.read("events");
    for kind in ["begun", "done"] {
        assert_eq!(events.matches(&format!(r#""event":"{kind}""#)).count(), 4, "{events}");
    }
    let trace: Vec<serde_json::Value> = serde_json::from_str(&project.read("trace")).expect("a whole array");
    assert!(trace.iter().filter(|event| event["name"] == "whole").count() >= 3, "{trace:?}");
}

#[test]
fn a_watch_polls_where_it_is_told_to() {
    let project = project();
    let mut watch = watching(&project, &["--poll", "part@n=1"]);
    assert!(project.exists("result/part/1.txt") && !project.exists("result/whole.txt"));
    project.write("text.txt", "new and longer\n");
    line_about(&mut watch, "text.txt");
    assert_eq!(project.read("result/part/1.txt"), "new and longer\n1\n");
    watch.signal(Signal::TERM);
    watch.wait().exits(exit::DONE);
}

#[test]
fn a_watch_lives_on_after_a_failure_and_a_missing_input() {
    let project = project();
    project.remove("text.txt");
    let mut watch = watching(&project, &["whole"]);
    assert!(watch.stderr().contains("text.txt is missing"), "{}", watch.stderr());
    project.write("text.txt", "there\n");
    line_about(&mut watch, "text.txt");
    assert_eq!(project.read("result/whole.txt"), "there\n1\nthere\n2\n");
    watch.signal(Signal::INT);
    watch.wait().exits(exit::DONE);
}

#[test]
fn a_watch_that_is_interrupted_while_it_builds_exits_130() {
    let project = Project::new(
        "version: 1
targets:
  slow: {rule: command, run: \"echo on > started; sleep 600; echo done > {out}\", output: result/slow.txt}
",
    );
    let mut watch = project.start(&["watch"]);
    watch.until("it builds", |_| project.exists("started").then_some(()));
    watch.signal(Signal::INT);
    watch.wait().exits(exit::INTERRUPTED);
}

#[test]
fn a_watch_of_what_is_not_there_is_the_callers_mistake() {
    let project = project();
    project.run(&["watch", "hwole"]).exits(exit::WRONG).says("did you mean `whole`?");
    project.run(&["watch", "part@n=9"]).exits(exit::WRONG).says("part@n=9");
}

#[test]
fn a_watch_sees_files_that_a_pattern_comes_to_match() {
    let project = Project::new(
        "version: 1
targets:
  copy: {rule: command, foreach: {file: {glob: \"in/*.txt\"}}, inputs: [\"./{file}\"], run: \"cp {in} {out}\", output: \"out/{file}\"}
",
    );
    project.write("in/a.txt", "a\n");
    let mut watch = watching(&project, &[]);
    project.write("in/b.txt", "b\n");
    line_about(&mut watch, "in/*.txt");
    assert!(project.exists("out/in/b.txt"));
    watch.signal(Signal::INT);
    watch.wait().exits(exit::DONE);
}

#[test]
fn a_watch_is_not_kept_awake_by_what_is_never_fresh() {
    // What is read of the list is found while it builds, and looked at once more.
    let project = Project::new(
        "version: 1
targets:
  often: {rule: command, fresh: always, run: \"echo > {out}\", output: often.txt}
  list: {rule: command, run: \"echo found.txt > {out}\", output: list.txt}
  each: {rule: command, foreach: {f: {from: list, lines: true}}, inputs: [\"./{f}\"], run: \"cp {in} {out}\", output: \"each/{f}\"}
",
    );
    project.write("found.txt", "found\n");
    let watch = watching(&project, &["--events", "events"]);
    // Long enough for another round, if there were one.
    std::thread::sleep(Duration::from_millis(500));
    watch.signal(Signal::INT);
    watch.wait().exits(exit::DONE);
    assert_eq!(project.read("events").matches(r#""event":"begun""#).count(), 1);
}

#[test]
fn a_watch_sees_edits_behind_a_link_and_of_files_with_old_times() {
    let project = project();
    let elsewhere = tempfile::tempdir().expect("a folder");
    let real = elsewhere.path().join("text.txt");
    fs::write(&real, "linked\n").expect("written");
    project.remove("text.txt");
    std::os::unix::fs::symlink(&real, project.path("text.txt")).expect("linked");
    let mut watch = watching(&project, &[]);
    fs::write(&real, "edited\n").expect("written");
    line_about(&mut watch, "text.txt");
    assert_eq!(project.read("result/part/1.txt"), "edited\n1\n");

    // An archive brings files with the times that they had.
    let numbers = project.path("numbers.lst");
    let old = fs::metadata(&numbers).and_then(|meta| meta.modified()).expect("it has a time");
    let file = fs::File::options().write(true).open(&numbers).expect("opened");
    std::io::Write::write_all(&mut &file, b"1\n3\n").expect("written");
    file.set_modified(old).expect("set back");
    line_about(&mut watch, "numbers.lst");
    assert!(project.exists("result/part/3.txt"));
    watch.signal(Signal::INT);
    watch.wait().exits(exit::DONE);
}
