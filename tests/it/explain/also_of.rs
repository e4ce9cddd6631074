//! What is told of the targets that describe a step beside the one that it goes by.

use super::assert_says;
use crate::support::images::{Format, Image};
use crate::support::project::Project;

/// A pipeline over a layout that has such tags.
fn of_tags(targets: &str, tags: &[&str]) -> Project {
    let project = Project::new(&format!(
        "version: 1
sources: {{here: {{kind: oci-layout, path: images}}}}
targets:
{targets}"
    ));
    let image = |tag: &&str| ((*tag).to_owned(), Image::scratch("amd64", tag).manifest(Format::Oci));
    project.layout("images", &tags.iter().map(image).collect::<Vec<_>>());
    project.build(&[]);
    project
}

#[test]
fn of_a_tag_of_all_that_may_come_to_be_the_latest_it_is_told_that_this_is_seen_only_while_building() {
    let project = of_tags(
        "  tags: {rule: tags, source: here, foreach: {repo: [team/app]}, output: \"t/{repo}.json\"}
  latest: {rule: layers, source: here, foreach: {tag: {from: tags, select: latest}}, output: \"r/{repo}/{tag}.json\", missing: error}
  all: {rule: layers, source: here, foreach: {tag: {from: tags, select: all}}, output: \"r/{repo}/{tag}.json\"}
",
        &["team/app:1", "team/app:latest"],
    );
    let told = |args: &[&str]| project.run(&[&["explain"], args].concat()).stdout;
    // By the list as it is, it is none of the other target; one that is asked again may have it otherwise.
    let one = "all@repo=team/app,tag=1";
    assert!(!told(&[one]).contains("also of"), "{}", told(&[one]));
    let again = told(&[one, "--refresh=tags"]);
    let note = "whether latest describes this step, too, is seen only while building";
    assert_says(&again, &[&format!("  note      {note}: then missing error holds, not missing ok of all\n")]);
    assert!(!again.contains("also of"), "{again}");
    // Where nothing else would hold then, there is nothing to tell of it.
    project.edit(", missing: error}", "}");
    let again = told(&[one, "--refresh=tags"]);
    assert!(!again.contains("also of") && !again.contains(note), "{again}");
    // What both have as of the last build is told as that.
    let both = told(&["r/team/app/latest.json", "--refresh=tags"]);
    assert_says(&both, &["the same step\n"]);
    assert!(!both.contains("describes this step, too"), "{both}");
}

#[test]
fn a_list_of_a_namespace_is_not_told_to_come_to_have_what_does_not_lie_in_that() {
    let project = of_tags(
        "  owned: {rule: tags, source: here, foreach: {repo: {namespace: [team, other]}}, output: \"t/{repo}.json\"}
  named: {rule: tags, source: here, foreach: {repo: [team/app, library/app]}, output: \"t/{repo}.json\"}
  of_owned: {rule: layers, source: here, foreach: {tag: {from: owned, select: all}}, output: \"r/{repo}/{tag}.json\"}
  of_named: {rule: layers, source: here, foreach: {tag: {from: named, select: all}}, output: \"r/{repo}/{tag}.json\"}
",
        &["team/app:1", "other/app:1", "library/app:1"],
    );
    for step in ["named@repo=library/app", "of_named@repo=library/app,tag=1"] {
        let told = project.run(&["explain", step, "--refresh"]).stdout;
        assert!(!told.contains("also of") && !told.contains("describes"), "{told}");
    }
    let told = project.run(&["explain", "t/team/app.json", "--refresh"]).stdout;
    assert_says(&told, &["also of   ", "the same step\n"]);
}

#[test]
fn what_is_forced_as_a_step_of_a_target_that_may_not_describe_it_any_more_is_told_to_run_perhaps() {
    let project = Project::new(
        "version: 1
targets:
  list: {rule: command, inputs: [l.txt], run: \"cp {in} {out}\", output: list.txt}
  each: {rule: command, foreach: {n: {from: list, lines: true}}, run: \"echo {n} > {out}\", output: \"r/{n}\"}
  own: {rule: command, foreach: {n: [x]}, run: \"echo {n} > {out}\", output: \"r/{n}\"}
  both: {inputs: [each]}
",
    );
    project.write("l.txt", "x\ny\n");
    project.build(&[]);
    let plan = |force: &str| project.run(&["plan", force]).stdout;
    assert_says(&plan("--force=each"), &["run      own@n=x  forced by hand\n"]);
    // The list may come to be without it, and then nobody forces it.
    project.write("l.txt", "y\n");
    for force in ["--force=each", "--force=both"] {
        assert_says(&plan(force), &["run?     own@n=x  forced by hand\n"]);
    }
    for force in ["--force=own", "--force=each,own", "--force=r/x"] {
        assert_says(&plan(force), &["run      own@n=x  forced by hand\n"]);
    }
    project.build(&["--force=each"]).assert_only(&["list", "each@n=y"]);
}
