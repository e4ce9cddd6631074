//! What is said to come back from the store does.

use std::fs;

use super::assert_says;
use crate::support::project::Project;
use crate::support::sample;
use crate::support::words::exit;

/// Writes over the blobs of the store that hold this, and leaves their lengths.
fn damage(project: &Project, content: &str) {
    let mut damaged = 0;
    for blob in fs::read_dir(project.path(".layermill/store/blobs/sha256")).expect("blobs") {
        let path = blob.expect("a blob").path();
        let bytes = fs::read(&path).expect("read");
        if bytes.windows(content.len()).any(|window| window == content.as_bytes()) {
            fs::write(&path, vec![b'x'; bytes.len()]).expect("written");
            damaged += 1;
        }
    }
    assert!(damaged > 0, "no blob has {content}");
}

#[test]
fn what_is_damaged_in_the_store_is_made_again_and_told_so() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [i.txt], run: \"cp {in} {out}\", output: list.txt}
  each: {rule: command, foreach: {n: {from: list, lines: true}}, run: \"echo each-{n} > {out}\", output: \"each/{n}.txt\"}
  folder: {rule: command, inputs: [i.txt], run: \"mkdir -p {out}/sub; echo in the folder > {out}/sub/a\", output: folder/}
  whole: {rule: command, inputs: [i.txt], run: \"echo whole > {out}\", output: whole.txt}
",
    );
    project.write("i.txt", "list-one\n");
    project.build(&[]);
    damage(&project, "list-one");
    damage(&project, "in the folder");
    fs::remove_file(project.path("list.txt")).expect("removed");
    fs::remove_dir_all(project.path("folder")).expect("removed");
    project.remove("whole.txt");
    let plan = project.run(&["plan"]).stdout;
    assert_says(&plan, &["run      list  ", "run      folder  ", "restore  whole  ", "2 to run", "1 to restore"]);
    assert_says(&plan, &["more     each  its steps are told once list is built"]);
    assert_says(&project.explain("list"), &["a build   makes it"]);
    let report = project.build(&[]);
    for (step, outcome) in [("list", "built"), ("folder", "built"), ("whole", "restored")] {
        assert_eq!(report.step(step).outcome, outcome, "{}", report.listing());
    }
    // Made again, it is whole there too.
    fs::remove_dir_all(project.path("folder")).expect("removed");
    assert_says(&project.run(&["plan"]).stdout, &["restore  folder  ", "0 to run"]);
    assert_eq!((project.build(&[]).restored, project.read("folder/sub/a")), (1, "in the folder\n".to_owned()));
}

#[test]
fn an_answer_that_is_damaged_in_the_store_is_asked_for_again_and_told_so() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  get_tag: {rule: tags, source: shelf, foreach: {repo: [library/redis]}, output: \"tags/{repo}.json\"}
",
    );
    project.layout("images", &sample::images());
    project.build(&[]);
    project.remove("tags/library/redis.json");
    assert_says(&project.explain("get_tag"), &["a build   makes it"]);
    damage(&project, "latest");
    assert_says(
        &project.explain("get_tag"),
        &["its recorded answer is not in the store any more", "a build   asks its source"],
    );
    project.build(&[]).assert_only(&["get_tag@repo=library/redis"]);
}

#[test]
fn what_comes_back_from_the_store_is_not_held_back_by_what_it_only_waits_for() {
    let project = Project::new(
        "version: 1
targets:
  gate: {rule: command, cache: false, inputs: [etc/g], run: \"grep -v bad {in} > {out}\", output: o/gate}
  c: {rule: command, inputs: [etc/n], after: [gate], run: \"cp {in} {out}\", output: o/c}
  top: {rule: command, cache: false, inputs: [c, etc/t], run: \"cat {in} > {out}\", output: o/top}
",
    );
    ["etc/g", "etc/t"].iter().for_each(|file| project.write(file, "1\n"));
    project.write("etc/n", "kept\n");
    project.build(&[]);
    // Before its gate ever failed, after that, and where that cannot be tried.
    project.write("etc/g", "bad\n");
    for tops in ["2\n", "3\n"] {
        project.remove("o/c");
        project.write("etc/t", tops);
        let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
        assert_says(&plan, &["restore  c  missing output: o/c\n"]);
        assert!(!plan.contains("blocked"), "{plan}");
        let told = project.explain("c");
        assert_says(&told, &["a build   restores its outputs from the store\n"]);
        assert!(!told.contains("blocked"), "{told}");
        let report = project.build_exits(exit::FAILED, &[]);
        assert_eq!((report.step("c").outcome.as_str(), report.blocked), ("restored", 0), "{}", report.listing());
        assert_eq!(project.read("o/top"), format!("kept\n{tops}"));
        assert_eq!(project.read("o/c"), "kept\n");
    }
    project.remove("etc/g");
    project.remove("o/c");
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["failed   gate  ", "restore  c  missing output: o/c\n"]);
    // What cannot be brought back after all has to run, and is held back.
    damage(&project, "kept");
    assert_says(&project.run(&["plan"]).exits(exit::DONE).stdout, &["blocked  c  gate ("]);
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.step("c").outcome.as_str(), report.step("c").message.as_deref()), ("blocked", Some("gate")));
    assert!(!project.exists("o/c"));
    project.write("etc/g", "1\n");
    project.build(&[]);
    assert_eq!(project.read("o/c"), "kept\n");
}

#[test]
fn what_may_come_back_from_the_store_once_its_input_is_made_is_not_told_as_blocked_for_sure() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, inputs: [etc/a], cache: false, run: \"cp {in} {out}\", output: o/a}
  gate: {inputs: [etc/g]}
  c: {rule: command, inputs: [a], after: [gate], run: \"cp {in} {out}\", output: o/c}
  d: {rule: command, inputs: [c], run: \"cp {in} {out}\", output: o/d}
  e: {rule: command, inputs: [a], after: [gate], cache: false, run: \"cp {in} {out}\", output: o/e}
",
    );
    project.write("etc/a", "1\n");
    // Nothing is in the store yet.
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["blocked  c  gate (", "blocked  d  c (", "blocked  e  gate (", ", 4 cannot be made\n"]);
    project.write("etc/g", "1\n");
    project.build(&[]);
    project.write("etc/a", "2\n");
    project.build(&[]);
    project.write("etc/a", "1\n");
    project.remove("etc/g");
    ["o/c", "o/e"].iter().for_each(|output| project.remove(output));
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    let told = ["blocked? c  gate (missing output: o/c", "blocked? d  c\n", "blocked  e  gate (missing output: o/e"];
    assert_says(&plan, &told);
    assert_says(&plan, &[", 2 that may be blocked, 2 cannot be made\n"]);
    let only_waits = "only waits for what is at fault, and is not blocked where it comes to have nothing to run\n";
    assert_says(&project.explain("c"), &["c: blocked\n", &format!("blocked by gate\n            it {only_waits}")]);
    assert_says(&project.explain("d"), &["d: blocked\n", &format!("blocked by c\n            c {only_waits}")]);
    assert!(!project.explain("e").contains(only_waits), "{}", project.explain("e"));
    let report = project.build_exits(exit::FAILED, &[]);
    let outcomes = ["c", "d", "e"].map(|step| report.step(step).outcome.as_str());
    assert_eq!(outcomes, ["restored", "restored", "blocked"], "{}", report.listing());
    assert_eq!(project.read("o/d"), "1\n");
}

#[test]
fn a_step_that_may_be_blocked_in_a_pipeline_without_lists_tells_of_none() {
    let project = Project::new(
        "version: 1
targets:
  a: {rule: command, inputs: [etc/a], run: \"cp {in} {out}\", output: o/a}
  gate: {inputs: [etc/g]}
  c: {rule: command, inputs: [a], after: [gate], run: \"cp {in} {out}\", output: o/c}
",
    );
    ["etc/a", "etc/g"].iter().for_each(|file| project.write(file, "1\n"));
    project.build(&[]);
    project.write("etc/a", "2\n");
    project.remove("etc/g");
    assert_says(&project.run(&["plan"]).exits(exit::DONE).stdout, &["blocked? c  gate (upstream: a is made again)\n"]);
    let told = project.explain("c");
    assert_says(&told, &["blocked by gate\n            it only waits for what is at fault, and is not blocked where "]);
    assert!(!told.contains("values are read out of"), "{told}");
}

#[test]
fn a_step_with_a_depfile_is_told_to_run_where_another_comes_back_from_the_store() {
    let project = Project::new(
        "version: 1
targets:
  found: {rule: command, inputs: [./a], run: \"cat {in} > {out}; echo {out}: b > d\", depfile: d, output: o/found}
  plain: {rule: command, inputs: [./a], run: \"cat {in} > {out}\", output: o/plain}
",
    );
    project.write("a", "1\n");
    project.write("b", "1\n");
    project.build(&[]);
    fs::remove_dir_all(project.path("o")).expect("removed");
    let note = "note      a step with a depfile runs, it does not come back from the store\n";
    assert_says(&project.explain("found"), &[note]);
    assert!(!project.explain("plain").contains(note));
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["run      found  missing", "restore  plain  missing"]);
    let report = project.build(&[]);
    assert_eq!((report.step("found").outcome.as_str(), report.step("plain").outcome.as_str()), ("built", "restored"));
}
