//! `explain` names what moved in a step's key, and the reasons in a build's report say the same.

use crate::support::images::Format;
use crate::support::project::Project;
use crate::support::words::{self, exit};
use crate::support::{sample, stock};

mod absent;
mod also_of;
mod answers;
mod asking;
mod budgets;
mod causes;
mod certain;
mod circles;
mod entries;
mod failures;
mod folders;
mod kept;
mod kept_from;
mod late;
mod lists;
mod lost;
mod manifests;
mod misread;
mod offline;
mod one_of_several;
mod order;
mod orphans;
mod own_list;
mod past;
mod reads;
mod records;
mod risk;
mod rivals;
mod shown;
mod sources;
mod to_come;
mod tried;
mod unborn;
mod unlisted;
mod ways;

const PIPELINE: &str = "version: 1
vars: {level: three}
targets:
  part: {rule: command, inputs: [text.txt], run: \"echo level ${level} > {out}; cat {in} >> {out}\", output: result/part.txt}
  whole: {rule: command, inputs: [part], run: \"cp {in} {out}\", output: result/whole.txt}
";

fn project() -> Project {
    let project = Project::new(PIPELINE);
    project.write("text.txt", "text\n");
    project
}

/// The tags of a repository of the sample's.
fn tags_of(repo: &str) -> Project {
    let project = Project::new(&format!(
        "version: 1
sources: {{shelf: {{kind: oci-layout, path: images}}}}
targets:
  tags: {{rule: tags, source: shelf, foreach: {{repo: [{repo}]}}, output: \"tags/{{repo}}.json\"}}
",
    ));
    project.layout("images", &sample::images());
    project
}

/// Fails unless each of the words is there.
fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not said:\n{text}");
    }
}

#[test]
fn a_first_build() {
    let project = project();
    assert_says(&project.explain("part"), &["part", words::FIRST_BUILD]);
    assert!(project.plan(&["part"]).step("part").reason().contains(words::FIRST_BUILD));
    assert!(project.build(&["part"]).step("part").reason().contains(words::FIRST_BUILD));
}

#[test]
fn a_step_that_is_up_to_date() {
    let project = project();
    project.build(&["whole"]);
    assert_says(&project.explain("part"), &["part", words::UP_TO_DATE]);
    // By its output's path, too.
    assert_says(&project.explain("result/part.txt"), &["part", words::UP_TO_DATE]);
}

#[test]
fn why_a_step_last_ran_and_what_its_command_printed() {
    let project = project();
    project.edit("cat {in} >> {out}\"", "cat {in} >> {out}; echo printed\"");
    project.build(&["whole"]);
    assert_says(&project.explain("part"), &[words::UP_TO_DATE, &format!("last made {}", words::FIRST_BUILD), ".log"]);
    project.write("text.txt", "other text\n");
    let why = project.build(&["whole"]).step("part").reason().to_owned();
    assert!(why.contains("text.txt"), "{why}");
    project.build(&["whole"]);
    assert_says(&project.explain("part"), &[words::UP_TO_DATE, &format!("last made {why}")]);
    let log = project
        .explain("part")
        .lines()
        .find_map(|l| l.trim().strip_prefix("printed ").map(str::trim).map(str::to_owned));
    assert_eq!(project.read(&log.expect("a log is named")), "printed\n");
}

#[test]
fn an_edited_parameter_with_its_old_and_new_value() {
    let project = project();
    project.build(&["whole"]);
    project.edit("level: three", "level: four");
    assert_says(&project.explain("part"), &["run", "level three", "level four"]);
    assert!(project.build(&["whole"]).step("part").reason().contains("run"));
}

#[test]
fn a_changed_input_file() {
    let project = project();
    project.build(&["whole"]);
    project.write("text.txt", "other text\n");
    let said = project.explain("part");
    assert_says(&said, &["text.txt"]);
    assert!(project.build(&["whole"]).step("part").reason().contains("text.txt"));
}

#[test]
fn an_input_that_is_an_output_names_it() {
    let project = project();
    project.build(&["whole"]);
    project.write("text.txt", "other text\n");
    assert!(project.build(&["whole"]).step("whole").reason().contains("result/part.txt"));
}

#[test]
fn a_missing_output() {
    let project = project();
    project.build(&["whole"]);
    project.remove("result/part.txt");
    assert_says(&project.explain("part"), &["result/part.txt", words::MISSING_OUTPUT]);
    assert!(project.build(&["whole"]).step("part").reason().contains(words::MISSING_OUTPUT));
}

#[test]
fn an_output_changed_by_hand() {
    let project = project();
    project.build(&["whole"]);
    project.write("result/part.txt", "scribbled over\n");
    assert_says(&project.explain("part"), &["result/part.txt", "changed"]);
}

#[test]
fn a_moved_tag_with_its_old_and_new_digest() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/redis"]));
    project.build(&[]);
    let (old, new) = (stock::redis("7.4.1").manifest(Format::Docker), stock::redis("7.4.9").manifest(Format::Docker));
    registry.push("library/redis:latest", &new);
    project.build(&["--refresh", "get_tag"]);
    // Each digest's beginning is enough for a person.
    let said = project.explain("get_layer_all@repo=library/redis,tag=latest");
    assert_says(&said, &["tag", &old.id()[..12], &new.id()[..12]]);
    let report = project.build(&[]);
    assert!(
        report.step("get_layer_all@repo=library/redis,tag=latest").reason().contains("tag"),
        "{}",
        report.listing()
    );
    assert_says(&project.explain("get_layer_all@repo=library/redis,tag=6"), &[words::UP_TO_DATE]);
}

#[test]
fn explaining_changes_nothing_and_asks_nobody() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/redis"]));
    project.build(&[]);
    project.remove("result/layers/library/redis/6.json");
    let (before, mark) = (project.snapshot(), registry.mark());
    project.explain("get_layer_all@repo=library/redis,tag=6");
    project.run(&["explain", "--format", "json", "stat_layer"]).exits(words::exit::DONE);
    assert_eq!(before.changes(&project.snapshot()), [""; 0]);
    assert_eq!(registry.requests_since(mark), []);
}

#[test]
fn a_misspelt_step_is_the_callers_mistake_and_the_nearest_is_named() {
    let project = project();
    project.run(&["explain", "prt"]).exits(words::exit::WRONG).says("did you mean `part`?");
    let project = Project::new(
        "version: 1
targets:
  names: {rule: command, foreach: {set: {lines: sets.txt}}, run: \"echo apple > {out}\", output: 'out/gen/{set}.txt'}
  each: {rule: command, foreach: {n: {from: names, lines: true}}, run: \"echo {n} > {out}\", output: 'out/{set}/{n}.txt'}
",
    );
    project.write("sets.txt", "first\nsecond\n");
    project.build(&[]);
    let meant = [
        ("nmes@set=first", "names@set=first"),
        ("names@set=frist", "names@set=first"),
        ("each@set=secnd,n=apple", "each@set=second,n=apple"),
        ("each@n=aple,set=first", "each@n=apple,set=first"),
        ("out/gen/frist.txt", "out/gen/first.txt"),
        ("out/second/aple.txt", "out/second/apple.txt"),
        ("otu/gen/first.txt", "out/gen/first.txt"),
        ("out/gen/first.tx", "out/gen/first.txt"),
        ("out/second/apple.tsxt", "out/second/apple.txt"),
    ];
    for (misspelt, meant) in meant {
        for verb in ["build", "plan", "explain", "graph", "clean"] {
            project.run(&[verb, misspelt]).exits(exit::WRONG).says(&format!("did you mean `{meant}`?"));
        }
        project.run(&["plan", meant]).exits(exit::DONE);
    }
    // What is near to nothing is told where to look.
    project.run(&["explain", "names@set=other"]).exits(exit::WRONG).says("`layermill graph --steps` names all");
    project.run(&["explain", "nowhere/at/all"]).exits(exit::WRONG).says("targets: names, each");
}

#[test]
fn of_a_step_that_is_none_a_name_is_offered_that_there_is() {
    let project = Project::new(
        "version: 1
targets:
  vendor_tags: {rule: command, foreach: {r: [fw]}, run: \"echo 7 > {out}\", output: \"r/tags/{r}\"}
  files: {rule: command, foreach: {t: {from: vendor_tags, lines: true}}, run: \"echo > {out}\", output: \"r/files/{r}/{t}\"}
",
    );
    let offers = |asked: &str, near: &str| {
        let run = project.run(&["explain", asked]).exits(exit::WRONG);
        run.says(&format!("no target, step or output `{asked}`")).says(&format!("did you mean `{near}`?"));
        project.run(&["explain", near]).exits(exit::DONE);
    };
    offers("vendor_tag@r=fw", "vendor_tags@r=fw");
    offers("vendor_tagss@r=fv", "vendor_tags@r=fw");
    // That has no binding `t`.
    offers("vendor_tagss@r=fw,t=7", "vendor_tags");
    // What it may come to have is told, too, as pending.
    offers("filez@r=fw,t=7", "files@r=fw,t=7");
    project.build(&[]);
    offers("filez@r=fw,t=7", "files@r=fw,t=7");
    offers("filez@r=fw,t=8", "files@r=fw,t=7");
}

#[test]
fn a_step_that_failed_is_told_as_failed_until_it_does_not() {
    let project = project();
    project.edit("cat {in} >> {out}", "echo oops; exit 4");
    let failed = project.run(&["build"]).exits(words::exit::FAILED);
    assert_says(&failed.stderr, &["failed part", "it ran because: first build"]);
    assert_says(&project.explain("part"), &["because   first build", "failed    ", "exit status: 4", ".log"]);
    let failed = |target: &str| {
        let run = project.run(&["status", "--format", "json"]);
        let rows: Vec<serde_json::Value> = serde_json::from_str(&run.stdout).expect("rows");
        let row = rows.into_iter().find(|row| row["target"] == target).expect("a row");
        (row["failed"].as_u64(), row["missing"].as_u64())
    };
    assert_eq!(failed("part"), (Some(1), Some(0)));
    assert_eq!(failed("whole"), (Some(0), Some(1)));
    // Another build, that is asked for something else, changes nothing of that.
    project.edit("targets:", "targets:\n  side: {rule: command, run: \"touch {out}\", output: result/side.txt}");
    project.build(&["side"]);
    assert_eq!(failed("part"), (Some(1), Some(0)));
    project.edit("echo oops; exit 4", "cat {in} >> {out}");
    project.build(&[]);
    assert_eq!(failed("part"), (Some(0), Some(0)));
    assert!(!project.exists(".layermill/failures.json"));
}

#[test]
fn the_values_of_a_step_and_what_they_were_read_out_of() {
    let project = Project::new(
        "version: 1
targets:
  names: {rule: command, foreach: {set: {lines: sets.txt}}, run: \"echo n-{set} > {out}\", output: 'gen/{set}.txt'}
  each: {rule: command, foreach: {n: {from: names, lines: true}}, run: \"echo {n} > {out}\", output: 'gen/{set}/{n}.out'}
",
    );
    project.write("sets.txt", "one\n");
    project.build(&[]);
    assert_says(&project.explain("names@set=one"), &["set       one", "out of    sets.txt"]);
    assert_says(
        &project.explain("gen/one/n-one.out"),
        &["set       one", "n         n-one", "out of    names@set=one"],
    );
}

#[test]
fn an_input_that_is_gone_is_named() {
    let project = Project::new(
        "version: 1
targets:
  each: {rule: command, foreach: {n: {lines: names.txt}}, run: \"echo {n} > {out}\", output: 'gen/{n}.txt'}
  all: {rule: command, inputs: [each], run: \"cat {in} > {out}\", output: all.txt}
",
    );
    project.write("names.txt", "one\ntwo\nthree\nfour\n");
    project.build(&[]);
    project.write("names.txt", "one\ntwo\nthree\n");
    assert_says(&project.explain("all"), &["an input is gone: gen/four.txt"]);
    project.write("names.txt", "one\n");
    let gone = ["four", "three", "two"].map(|name| format!("an input is gone: gen/{name}.txt"));
    let explained = project.explain("all");
    assert_says(&explained, &gone.each_ref().map(String::as_str));
    let json = project.run(&["explain", "all", "--format", "json"]).exits(exit::DONE).stdout;
    assert_says(&json, &gone.each_ref().map(String::as_str));
}
