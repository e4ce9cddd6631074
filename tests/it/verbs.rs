//! The verbs beside building: graph, adopt, verify, clean, gc, watch.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::project::{Project, Running};
use crate::support::words::exit;
use crate::support::{sample, stock};

const PIPELINE: &str = "version: 1
targets:
  part: {rule: command, foreach: {n: {lines: numbers.lst}}, inputs: [text.txt], run: \"cat {in} > {out}; echo {n} >> {out}\", output: \"result/part/{n}.txt\"}
  whole: {rule: command, inputs: [part], run: \"cat {in} > {out}\", output: result/whole.txt}
  copy: {rule: command, inputs: [whole], run: \"cp {in} {out}\", output: result/copies/copy.txt}
";

fn project() -> Project {
    let project = Project::new(PIPELINE);
    project.write("numbers.lst", "1\n2\n");
    project.write("text.txt", "text\n");
    project
}

/// Tags and layers of the sample, from a folder, so that nothing has to be started.
fn images() -> Project {
    let project = Project::new(&stock::pipeline_for("unused", &["library/busybox", "library/redis"]));
    project.edit("{kind: registry, url: \"unused\"}", "{kind: oci-layout, path: images}");
    project.layout("images", &sample::images());
    project
}

fn json(project: &Project, code: i32, args: &[&str]) -> Value {
    let run = project.run(args).exits(code);
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}\n{run}"))
}

/// The names of the nodes that a graph has.
fn nodes(project: &Project, args: &[&str]) -> Vec<String> {
    let graph = json(project, exit::DONE, &[&["graph", "--format", "json"], args].concat());
    let nodes = graph["nodes"].as_array().expect("nodes");
    nodes.iter().map(|n| n["name"].as_str().expect("a name").to_owned()).collect()
}

/// Every file below a folder with its content and time of last change.
fn files(folder: &Path) -> Vec<(String, Vec<u8>, SystemTime)> {
    let mut found = Vec::new();
    crate::support::project::walk(folder, &mut |path| {
        let changed = fs::metadata(path).and_then(|m| m.modified()).expect("looked at");
        found.push((path.display().to_string(), fs::read(path).expect("read"), changed));
    });
    found
}

fn blobs(project: &Project) -> Vec<std::path::PathBuf> {
    let found = files(&project.path(".layermill/store/blobs"));
    found.into_iter().map(|(path, ..)| path.into()).collect()
}

/// Makes a file look as it did, but for one byte that is another one.
fn damage(path: &Path) {
    let changed = fs::metadata(path).and_then(|m| m.modified()).expect("looked at");
    let mut bytes = fs::read(path).expect("read");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(path, bytes).expect("written");
    fs::File::options().write(true).open(path).and_then(|f| f.set_modified(changed)).expect("set");
}

/// Makes outputs old enough for their stamps to be believed, and lets a build see that.
fn settle(project: &Project, outputs: &[&str]) {
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    for output in outputs {
        fs::File::options().write(true).open(project.path(output)).and_then(|f| f.set_modified(long_ago)).expect("set");
    }
    project.build(&[]).assert_nothing_done();
}

#[test]
fn a_graph_shows_what_a_step_needs_and_what_needs_it() {
    let project = project();
    assert_eq!(nodes(&project, &["whole"]), ["part", "whole"]);
    assert_eq!(nodes(&project, &["part", "--needed-by"]), ["part", "whole", "copy"]);
    assert_eq!(nodes(&project, &["part", "--needed-by", "--depth", "1"]), ["part", "whole"]);
    assert_eq!(nodes(&project, &["part@n=1"]), ["numbers.lst", "text.txt", "part@n=1"]);
    assert_eq!(nodes(&project, &["part@n=1", "--needed-by"]), ["part@n=1", "whole", "copy"]);
    assert_eq!(nodes(&project, &["part@n=1", "--needed-by", "--depth", "1"]), ["part@n=1", "whole"]);
    let both = ["result/whole.txt", "--needs", "--needed-by", "--depth", "1"];
    assert_eq!(nodes(&project, &both), ["part@n=1", "part@n=2", "whole", "copy"]);
    assert_eq!(nodes(&project, &["text.txt", "--needed-by", "--depth", "1"]), ["text.txt", "part@n=1", "part@n=2"]);
    assert_eq!(
        nodes(&project, &["numbers.lst", "--needed-by"]),
        ["numbers.lst", "part@n=1", "part@n=2", "whole", "copy"]
    );
    assert!(!project.exists(".layermill"), "looking writes nothing");
}

#[test]
fn a_graph_shows_which_steps_write_under_a_folder() {
    let project = project();
    assert_eq!(nodes(&project, &["--under", "result/part"]), ["part@n=1", "part@n=2"]);
    assert_eq!(nodes(&project, &["--under", "result/copies/"]), ["copy"]);
    assert_eq!(nodes(&project, &["--under", "result/cop"]), [""; 0], "a folder, not the beginning of a name");
    assert_eq!(nodes(&project, &["--under", "result/part", "--needed-by", "--depth", "1"]).len(), 3);
    let mut deep = project.command(&["graph", "--under", "part", "--format", "json"]);
    fs::create_dir_all(project.path("result/part")).expect("made");
    deep.current_dir(project.path("result"));
    let run = Running::spawn(deep).wait().exits(exit::DONE);
    assert!(run.stdout.contains("part@n=1"), "paths are seen from where one stands\n{run}");
}

#[test]
fn a_neighbourhood_comes_in_every_format() {
    let project = project();
    let graph = |format: &str| {
        project.run(&["graph", "part@n=1", "--needs", "--needed-by", "--format", format]).exits(exit::DONE).stdout
    };
    let text = graph("text");
    assert!(
        text.contains("text.txt (file)") && text.contains("  input text.txt") && text.contains("axis numbers.lst"),
        "{text}"
    );
    let dot = graph("dot");
    assert!(dot.contains("\"text.txt\" -> \"part@n=1\"") && dot.contains("shape=note"), "{dot}");
    let mermaid = graph("mermaid");
    assert!(mermaid.contains("([\"text.txt\"])") && mermaid.contains("-->"), "{mermaid}");
    let svg = graph("svg");
    assert!(svg.starts_with("<svg") && svg.contains("part@n=1") && svg.ends_with("</svg>\n"), "{svg}");
    let json: Value = serde_json::from_str(&graph("json")).expect("JSON");
    let kinds: Vec<_> = json["nodes"].as_array().expect("nodes").iter().map(|n| n["kind"].as_str()).collect();
    assert_eq!(kinds, ["file", "file", "step", "step", "step"].map(Some));
}

#[test]
fn a_graph_follows_values_that_were_read_out_of_outputs() {
    let project = images();
    project.build(&[]);
    let found = nodes(&project, &["get_tag@repo=library/busybox", "--needed-by", "--depth", "1"]);
    assert!(found.iter().any(|n| n == "get_layer_all@repo=library/busybox,tag=latest"), "{found:?}");
    assert!(found.iter().all(|n| !n.contains("redis")), "{found:?}");
}

#[test]
fn a_graph_of_nothing_known_is_the_callers_mistake() {
    let project = project();
    project.run(&["graph", "nowhere.txt"]).exits(exit::WRONG).says("nowhere.txt");
    project.run(&["graph", "part@n=3"]).exits(exit::WRONG).says("part@n=3");
    project.write("unread.txt", "");
    project.run(&["graph", "unread.txt"]).exits(exit::WRONG).says("no step makes or reads");
}

#[test]
fn steps_and_paths_are_taken_wherever_a_target_is() {
    let project = project();
    project.build(&["part@n=1"]);
    assert!(project.exists("result/part/1.txt") && !project.exists("result/part/2.txt"));
    project.build(&["result/part/2.txt"]);
    project.plan(&["result/part/2.txt"]).assert_nothing_done();
    project.plan(&["part@n=1"]).assert_nothing_done();
    for args in [&["status", "part@n=1"][..], &["status", "result/part/1.txt"]] {
        let run = project.run(args).exits(exit::DONE);
        assert!(run.stdout.contains("part") && !run.stdout.contains("whole"), "{run}");
    }
    project.run(&["verify", "part@n=1", "result/part/2.txt"]).exits(exit::DONE);
    project.build(&["part", "--force=part@n=1"]).assert_only(&["part@n=1"]);
    project.build(&["part", "--force=result/part/2.txt"]).assert_only(&["part@n=2"]);
    project.build(&["part", "--force=part@n=1,result/part/2.txt"]).assert_only(&["part@n=1", "part@n=2"]);
    project.plan(&["part", "--force=part@n=2"]).assert_only(&["part@n=2"]);
    project.run(&["build", "part", "--force=part@n=7"]).exits(exit::WRONG).says("part@n=7");
    project.run(&["build", "part", "--force=prat"]).exits(exit::WRONG).says("part");
    project.run(&["clean", "part@n=1"]).exits(exit::DONE);
    assert!(!project.exists("result/part/1.txt") && project.exists("result/part/2.txt"));
    project.write("result/part/1.txt", "by hand\n");
    project.run(&["adopt", "result/part/1.txt"]).exits(exit::DONE);
    project.build(&["part"]).assert_nothing_done();
}

#[test]
fn one_question_is_asked_again() {
    let project = images();
    project.build(&[]);
    let report = project.plan(&["get_tag", "--refresh=get_tag@repo=library/redis"]);
    assert_eq!(report.of("get_tag"), ["get_tag@repo=library/redis"]);
    let report = project.plan(&["get_tag", "--refresh=get_tag"]);
    assert_eq!(report.of("get_tag").len(), 2);
}

#[test]
fn outputs_that_are_there_are_adopted() {
    let project = project();
    project.write("result/part/1.txt", "by hand\n");
    project.write("result/whole.txt", "all by hand\n");
    let run = project.run(&["adopt"]).exits(exit::DONE);
    assert!(run.stdout.contains("adopted part@n=1"), "which is said\n{run}");
    assert!(!run.stdout.contains("adopted part@n=2"), "{run}");
    // What is missing stays to run, and so does what reads it.
    project.plan(&["whole"]).assert_only(&["part@n=2", "whole"]);

    project.write("result/part/2.txt", "by hand too\n");
    project.write("result/copies/copy.txt", "a copy\n");
    let run = project.run(&["adopt"]).exits(exit::DONE);
    assert!(run.stdout.contains("adopted whole") && run.stdout.contains("still to run 0"), "{run}");
    project.build(&[]).assert_nothing_done();
    assert_eq!(project.read("result/whole.txt"), "all by hand\n");

    // An edit runs what it concerns, and no more.
    project.edit("cat {in} > {out}\", output: result/whole", "cat {in} | sort > {out}\", output: result/whole");
    project.build(&[]).assert_only(&["copy", "whole"]);
    project.write("numbers.lst", "1\n2\n3\n");
    project.build(&[]).assert_only(&["copy", "part@n=3", "whole"]);
    assert_eq!(project.read("result/part/1.txt"), "by hand\n");
}

#[test]
fn verify_finds_what_no_stamp_tells_and_repairs_it() {
    let project = project();
    project.build(&[]);
    settle(&project, &["result/part/1.txt", "result/part/2.txt", "result/whole.txt", "result/copies/copy.txt"]);
    let run = project.run(&["verify"]).exits(exit::DONE);
    assert!(run.stdout.contains("4 outputs") && run.stdout.contains("none is damaged"), "{run}");
    let undamaged = project.read("result/part/1.txt");
    let inode = fs::metadata(project.path("result/part/1.txt")).expect("there");
    damage(&project.path("result/part/1.txt"));
    drop(inode);
    project.build(&[]).assert_nothing_done();

    let before = files(&project.path("."));
    let report = json(&project, exit::FAILED, &["verify", "--format", "json"]);
    assert_eq!(report["damaged"].as_array().expect("a list").len(), 1, "{report}");
    let damaged = &report["damaged"][0];
    assert_eq!(damaged["path"], "result/part/1.txt");
    assert_ne!(damaged["recorded"], damaged["found"]);
    assert!(damaged["recorded"].as_str().is_some_and(|d| d.starts_with("blake3:")), "{report}");
    let changed: Vec<_> = files(&project.path(".")).into_iter().filter(|f| !before.contains(f)).collect();
    assert!(changed.iter().all(|(path, ..)| path.ends_with(".layermill/lock")), "verify only looks");
    project.run(&["verify", "whole"]).exits(exit::DONE);
    project.run(&["verify", "part"]).exits(exit::FAILED);

    let run = project.run(&["verify", "--repair"]).exits(exit::DONE);
    assert!(run.stdout.contains("repaired result/part/1.txt"), "{run}");
    assert_eq!(project.read("result/part/1.txt"), undamaged);
    project.build(&[]).assert_nothing_done();
    project.run(&["verify"]).exits(exit::DONE);
}

#[test]
fn verify_names_what_is_missing_and_repair_brings_it_back() {
    let project = project();
    project.build(&[]);
    project.remove("result/whole.txt");
    let report = json(&project, exit::FAILED, &["verify", "--format", "json"]);
    assert_eq!(report["damaged"][0]["found"], "missing");
    project.run(&["verify", "--repair"]).exits(exit::DONE);
    assert!(project.exists("result/whole.txt"));
    project.build(&[]).assert_nothing_done();
}

#[test]
fn verify_reads_the_store_too() {
    let project = images();
    project.build(&[]);
    let blob = blobs(&project).into_iter().next().expect("a blob");
    damage(&blob);
    let report = json(&project, exit::FAILED, &["verify", "--format", "json"]);
    assert_eq!(report["damaged"][0]["kind"], "blob");
    assert_eq!(report["damaged"].as_array().expect("a list").len(), 1, "{report}");
    project.run(&["verify", "stat_layer"]).exits(exit::DONE);
    project.run(&["verify", "--repair"]).exits(exit::DONE);
    assert!(!blob.exists(), "a damaged blob is removed");
    project.run(&["verify"]).exits(exit::DONE);
    project.build(&[]).assert_nothing_done();
    // All that it was needed for is fetched or derived again.
    for (path, ..) in files(&project.path("result")) {
        fs::remove_file(path).expect("removed");
    }
    project.build(&[]);
    project.run(&["verify"]).exits(exit::DONE);
}

#[test]
fn damage_that_no_step_mends_stays_said() {
    let project = project();
    project.build(&[]);
    project.write("numbers.lst", "1\n");
    project.write("result/part/2.txt", "other\n");
    let run = project.run(&["verify", "--repair"]).exits(exit::FAILED);
    assert!(run.stdout.contains("damaged  result/part/2.txt"), "{run}");
}

#[test]
fn orphans_are_listed_before_they_go() {
    let project = project();
    project.build(&[]);
    project.write("result/part/mine.txt", "not layermill's\n");
    project.write("numbers.lst", "2\n");
    project.edit("result/copies/copy.txt", "result/copy.txt");
    project.build(&[]);
    let before = project.snapshot();
    for args in [&["clean", "--orphans", "-n"][..], &["clean", "--orphans"]] {
        let run = project.run(args);
        assert_eq!(run.code, if args.contains(&"-n") { exit::DONE } else { exit::WRONG }, "{run}");
        assert!(run.stdout.contains("remove  result/part/1.txt"), "{run}");
        assert!(run.stdout.contains("remove  result/copies/copy.txt"), "{run}");
        assert!(!run.stdout.contains("mine.txt") && !run.stdout.contains("part/2"), "{run}");
        assert_eq!(before.changes(&project.snapshot()), [""; 0]);
    }
    project.run(&["clean", "--orphans"]).exits(exit::WRONG).says("--yes");
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    assert_eq!(before.changes(&project.snapshot()), ["result/copies/copy.txt", "result/part/1.txt"]);
    assert!(!project.exists("result/copies"), "an empty folder goes too");
    assert!(project.exists("result/part/mine.txt"));
    let run = project.run(&["clean", "--orphans"]).exits(exit::DONE);
    assert!(run.stdout.contains("0 outputs"), "{run}");
    project.build(&[]).assert_nothing_done();
}

#[test]
fn what_was_changed_since_is_kept_unless_forced() {
    let project = project();
    project.build(&[]);
    project.write("numbers.lst", "2\n");
    project.write("result/part/1.txt", "my own work\n");
    project.write("result/whole.txt", "mine too\n");
    let run = project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    assert!(run.stdout.contains("kept result/part/1.txt: changed"), "{run}");
    let run = project.run(&["clean", "whole"]).exits(exit::DONE);
    assert!(run.stdout.contains("kept result/whole.txt: changed"), "{run}");
    assert!(project.exists("result/part/1.txt") && project.exists("result/whole.txt"));
    project.run(&["clean", "--orphans", "--yes", "--force"]).exits(exit::DONE);
    project.run(&["clean", "whole", "--force"]).exits(exit::DONE);
    assert!(!project.exists("result/part/1.txt") && !project.exists("result/whole.txt"));
}

#[test]
fn what_cannot_be_told_now_is_no_orphan() {
    let project = images();
    project.build(&[]);
    // The tags have to be asked for again: which layer files come of them is not known.
    project.edit("rule: tags", "rule: tags\n    only: [\"*\"]");
    let run = project.run(&["clean", "--orphans", "-n"]).exits(exit::DONE);
    assert!(!run.stdout.contains("remove"), "{run}");
    assert!(run.stdout.contains("what get_layer_all may make"), "{run}");
}

#[test]
fn gc_frees_what_nothing_needs_and_a_build_still_does_nothing() {
    let project = images();
    project.build(&[]);
    let live = blobs(&project);
    let run = project.run(&["gc"]).exits(exit::DONE);
    assert!(run.stdout.starts_with("freed 0 B: 0 blobs"), "{run}");
    assert_eq!(blobs(&project), live);

    // One image is not wanted any more.
    project.write("images.lst", "library/busybox\n");
    let text = project.read("pipeline.yaml");
    let wanted = text.lines().find(|l| l.contains("repo:")).expect("a list of images").to_owned();
    project.edit(&wanted, "    foreach: {repo: {lines: images.lst}}");
    project.build(&[]);
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    let dry = json(&project, exit::DONE, &["gc", "-n", "--format", "json"]);
    assert_eq!(blobs(&project), live, "-n removes nothing");
    let freed = json(&project, exit::DONE, &["gc", "--format", "json"]);
    assert_eq!(dry, freed);
    assert!(
        freed["blobs"].as_u64().is_some_and(|n| n > 0) && freed["bytes"].as_u64().is_some_and(|n| n > 0),
        "{freed}"
    );
    assert_eq!(blobs(&project).len() as u64, freed["kept_blobs"].as_u64().expect("a number"));
    assert!(project.exists(".layermill/store/oci-layout") && project.exists(".layermill/store/index.json"));

    project.build(&[]).assert_nothing_done();
    project.run(&["verify"]).exits(exit::DONE);
    // Everything that is left can be made again without the source.
    fs::remove_dir_all(project.path("images")).expect("removed");
    fs::remove_dir_all(project.path("result")).expect("removed");
    project.build(&["--offline"]);
    assert!(project.exists("result/tags/library/busybox.json"));
}

#[test]
fn gc_forgets_old_results_by_age_and_by_size() {
    let project = project();
    project.build(&[]);
    let first = blobs(&project);
    project.write("text.txt", "another text\n");
    project.build(&[]);
    let all = blobs(&project);
    assert!(all.len() > first.len());
    project.run(&["gc"]).exits(exit::DONE);
    assert_eq!(blobs(&project), all, "earlier results are kept, to come back to");
    let long_ago = SystemTime::now() - Duration::from_secs(40 * 24 * 3600);
    for blob in &all {
        fs::File::options().write(true).open(blob).and_then(|f| f.set_modified(long_ago)).expect("set");
    }
    let freed = json(&project, exit::DONE, &["gc", "--older-than", "30d", "--format", "json"]);
    assert_eq!(freed["actions"], 4, "{freed}");
    assert_eq!(blobs(&project).len(), all.len() - first.len(), "what is there now can be restored still");
    project.build(&[]).assert_nothing_done();
    project.remove("result/whole.txt");
    assert_eq!(project.build(&[]).restored, 1);

    let run = project.run(&["gc", "--max-size", "0"]).exits(exit::DONE);
    assert!(run.stdout.contains("4 step results"), "{run}");
    assert_eq!(blobs(&project).len(), 0);
    project.build(&[]).assert_nothing_done();
    project.remove("result/whole.txt");
    project.build(&[]).assert_only(&["whole"]);
    project.run(&["gc", "--max-size", "lots"]).exits(exit::WRONG);
}

#[test]
fn a_blob_that_is_used_is_young_again() {
    let project = project();
    project.build(&[]);
    let long_ago = SystemTime::now() - Duration::from_secs(40 * 24 * 3600);
    for blob in blobs(&project) {
        fs::File::options().write(true).open(blob).and_then(|f| f.set_modified(long_ago)).expect("set");
    }
    project.remove("result/whole.txt");
    assert_eq!(project.build(&[]).restored, 1);
    let young = |blob: &std::path::PathBuf| {
        fs::metadata(blob).and_then(|m| m.modified()).is_ok_and(|t| t > long_ago + Duration::from_secs(3600))
    };
    assert_eq!(blobs(&project).iter().filter(|b| young(b)).count(), 1);
}

#[test]
fn gc_forgets_the_records_of_orphans_that_are_gone() {
    let project = project();
    project.build(&[]);
    project.write("numbers.lst", "1\n");
    project.build(&[]);
    let freed = json(&project, exit::DONE, &["gc", "--format", "json"]);
    assert_eq!((&freed["records"], &freed["orphans"]), (&0.into(), &1.into()), "a file that is there has its record");
    project.remove("result/part/2.txt");
    let freed = json(&project, exit::DONE, &["gc", "--format", "json"]);
    assert_eq!((&freed["records"], &freed["orphans"]), (&1.into(), &0.into()));
    project.build(&[]).assert_nothing_done();
    let run = project.run(&["clean", "--orphans"]).exits(exit::DONE);
    assert!(run.stdout.contains("0 outputs removed"), "{run}");
}

#[test]
fn a_store_that_was_named_is_only_cleaned_by_age() {
    let project = images();
    project.build(&["--store", "shared"]);
    project.run(&["gc", "--store", "shared"]).exits(exit::WRONG).says("--older-than");
    let foreign = project.path("shared/blobs/sha256").join("0".repeat(64));
    fs::write(&foreign, "another pipeline's").expect("written");
    project.run(&["gc", "--store", "shared", "--older-than", "30d"]).exits(exit::DONE);
    assert!(foreign.exists());
}

/// A watch that is waiting for changes.
fn watching(project: &Project, args: &[&str]) -> Running {
    let mut watch = project.start(&[&["watch"], args].concat());
    watch.until("it waits", |w| w.stderr().contains("waiting for changes").then_some(()));
    watch
}

/// What the last line is, once it tells of this file.
fn line_about(watch: &mut Running, file: &str) -> String {
    watch.until(file, |w| {
        let said = w.stderr();
        said.lines().rev().find(|l| l.contains(&format!("{file} changed"))).map(str::to_owned)
    })
}

#[test]
fn a_watch_builds_again_as_files_change() {
    let project = project();
    let mut watch = watching(&project, &[]);
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

    // It holds the lock only while it builds.
    project.run(&["build", "--no-wait"]).exits(exit::DONE);
    watch.signal(Signal::INT);
    watch.wait().exits(exit::DONE);
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
  copy: {rule: command, foreach: {file: {glob: \"in/*.txt\"}}, inputs: [\"{file}\"], run: \"cp {in} {out}\", output: \"out/{file}\"}
",
    );
    project.write("in/a.txt", "a\n");
    let mut watch = watching(&project, &[]);
    project.write("in/b.txt", "b\n");
    watch.until("the new file is copied", |_| project.exists("out/in/b.txt").then_some(()));
    watch.signal(Signal::INT);
    watch.wait().exits(exit::DONE);
}
