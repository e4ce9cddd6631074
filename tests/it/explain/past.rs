//! What was: when and why a source was asked, a step made, or its output taken over, whatever came since.

use super::{assert_says, project, tags_of};
use crate::support::project::Project;
use crate::support::words::exit;

/// What a line says, without its word.
fn line(explained: &str, word: &str) -> String {
    let found = explained.lines().find_map(|line| line.trim_start().strip_prefix(word));
    found.unwrap_or_else(|| panic!("no `{word}`:\n{explained}")).trim().to_owned()
}

/// Until the clock shows another second.
fn later() {
    std::thread::sleep(std::time::Duration::from_millis(1100));
}

#[test]
fn why_a_source_was_last_asked_is_kept_whatever_came_of_it_and_since() {
    let project = tags_of("library/redis");
    project.build(&[]);
    let first = project.explain("tags");
    assert!(!first.contains("it was asked because"), "that is why it was made: {first}");
    let asked = line(&first, "asked at");

    later();
    project.remove("tags/library/redis.json");
    project.build(&[]).assert_only(&["tags@repo=library/redis"]);
    let remade = project.explain("tags");
    assert_says(&remade, &["it was asked because: first build\n", "last made missing output: tags/library/redis.json"]);
    assert_eq!(line(&remade, "asked at"), asked, "nothing was asked");

    project.build(&["--refresh"]).assert_nothing_done();
    let refreshed = project.explain("tags");
    assert_says(
        &refreshed,
        &["Z: answer unchanged\n", "it was asked because: refreshed by hand\n", "last made missing"],
    );
    assert_ne!(line(&refreshed, "asked at"), asked);
    let json = project.run(&["explain", "tags", "--format", "json"]).exits(exit::DONE).stdout;
    let told: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(told[0]["asked"]["causes"], serde_json::json!(["refreshed by hand"]));

    later();
    project.remove("tags/library/redis.json");
    project.build(&[]);
    let remade = project.explain("tags");
    assert_says(&remade, &["it was asked because: refreshed by hand\n"]);
    assert_eq!(line(&remade, "asked at").split(": ").next(), line(&refreshed, "asked at").split(": ").next());

    project.edit("rule: tags,", "rule: tags, fresh: 1s,");
    later();
    project.build(&[]).assert_nothing_done();
    assert_says(&project.explain("tags"), &["it was asked because: freshness: asked ", " ago, limit 1s\n"]);
}

#[test]
fn the_source_that_a_step_was_made_by_is_told_also_where_another_one_said_the_same_since() {
    let project = tags_of("library/redis");
    project.build(&[]);
    let made = line(&project.explain("tags"), "made at");
    let source = line(&project.explain("tags"), "source");
    let (kind, folder) = source.split_once(' ').expect("what it is, and where");
    let was = format!("  source    {kind} others\n            it was {source} when this was last made\n");
    std::fs::rename(project.path(folder), project.path("others")).expect("moved");
    project.edit(&format!("path: {folder}"), "path: others");
    // However often it is asked.
    for args in [&[][..], &["--refresh"], &["--refresh"]] {
        project.build(args).assert_nothing_done();
        let told = project.explain("tags");
        assert_says(&told, &["Z: answer unchanged\n", &was, "  last made first build\n  made at "]);
        assert_eq!(line(&told, "made at"), made);
    }
    // Back where it was made, there is nothing to tell; made again, it is of what it is now.
    std::fs::rename(project.path("others"), project.path(folder)).expect("moved");
    project.edit("path: others", &format!("path: {folder}"));
    project.build(&[]).assert_nothing_done();
    assert!(!project.explain("tags").contains("it was oci-layout"), "{}", project.explain("tags"));
    std::fs::rename(project.path(folder), project.path("others")).expect("moved");
    project.edit(&format!("path: {folder}"), "path: others");
    project.build(&[]).assert_nothing_done();
    assert_says(&project.explain("tags"), &[&was]);
    project.remove("tags/library/redis.json");
    project.build(&[]);
    assert!(!project.explain("tags").contains("it was oci-layout"), "{}", project.explain("tags"));
}

#[test]
fn why_what_stays_absent_was_asked_about_is_told() {
    let project = tags_of("library/none");
    assert_eq!(project.build(&[]).absent, 1);
    assert!(!project.explain("tags").contains("it was asked because"));
    later();
    project.build(&["--refresh"]);
    assert_says(
        &project.explain("tags"),
        &["Z: still absent\n", "it was asked because: refreshed by hand\n", "  absent    since 20", "Z: first build\n"],
    );
}

#[test]
fn what_was_taken_over_and_asked_about_since_tells_both() {
    let project = tags_of("library/redis");
    project.build(&[]);
    std::fs::remove_dir_all(project.path(".layermill")).expect("removed");
    later();
    project.build(&[]);
    let adopted = project.explain("tags");
    assert_says(&adopted, &["taken over with the file"]);
    project.remove("tags/library/redis.json");
    project.build(&[]);
    let remade = project.explain("tags");
    assert_says(&remade, &["taken over with the file", "last made missing output"]);
    assert_eq!(line(&remade, "asked at"), line(&adopted, "asked at"));
    assert!(!remade.contains("it was asked because"), "{remade}");

    project.write("tags/library/redis.json", project.read("tags/library/redis.json"));
    std::fs::remove_dir_all(project.path(".layermill")).expect("removed");
    project.build(&[]);
    let adopted = project.explain("tags");
    later();
    project.build(&["--refresh"]).assert_nothing_done();
    let refreshed = project.explain("tags");
    assert_says(&refreshed, &["Z: answer unchanged\n", "it was asked because: refreshed by hand\n"]);
    assert_eq!(line(&refreshed, "taken"), line(&adopted, "taken"), "it is still of the file's time");
}

#[test]
fn what_was_taken_over_by_hand_tells_how_it_was_made_before() {
    let project = project();
    project.build(&["part"]);
    project.write("text.txt", "other\n");
    project.build(&["part"]);
    let made = project.explain("part");
    let made = format!("{}: {}\n", line(&made, "made at"), line(&made, "last made"));
    for text in ["by hand\n", "and again\n"] {
        later();
        project.write("result/part.txt", text);
        project.run(&["adopt", "part"]).exits(exit::DONE);
        let adopted = project.explain("part");
        assert_says(
            &adopted,
            &["taken     over as it was, without being made, at 20", &format!("before    made at {made}")],
        );
        assert!(!adopted.contains("last made"), "{adopted}");
    }
    project.edit("  part:", "  other:");
    project.edit("inputs: [part]", "inputs: [other]");
    let renamed = project.explain("other");
    assert_says(&renamed, &["taken     over as it was, without being made, at 20", "for       part\n"]);
    assert!(!renamed.contains("made by"), "{renamed}");
    project.edit("  other:", "  part:");
    project.edit("inputs: [other]", "inputs: [part]");
    let json = project.run(&["explain", "part", "--format", "json"]).exits(exit::DONE).stdout;
    let told: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert!(told[0]["last_made"]["before"].as_str().is_some_and(|before| before.starts_with("made at 20")), "{told}");
    // Made anew, that is what counts.
    project.build(&["part", "--force"]);
    assert!(!project.explain("part").contains("before "), "{}", project.explain("part"));
}

/// Two outputs of each of two steps.
fn pairs() -> Project {
    let project = Project::new(
        "version: 1
targets:
  pair: {rule: command, foreach: {n: [1, 2]}, run: \"for file in {out}; do echo {n} > $file; done\", output: ['a/{n}', 'b/{n}']}
",
    );
    project.build(&[]);
    project
}

#[test]
fn outputs_in_another_order_are_told_as_that() {
    let project = pairs();
    project.edit("['a/{n}', 'b/{n}']", "['b/{n}', 'a/{n}']");
    let why = "changed parameter: output, from \"a/1, b/1\" to \"b/1, a/1\"\n";
    assert_says(&project.explain("pair@n=1"), &["because   changed parameter: output", why, "last made first build"]);
    project.build(&[]).assert_only(&["pair@n=1", "pair@n=2"]);
    assert_says(&project.explain("a/1"), &["pair@n=1: up to date\n", &format!("last made {why}")]);
    project.build(&[]).assert_nothing_done();
    assert!(!project.run(&["status"]).exits(exit::DONE).stdout.contains("no step makes"));
    // The same of a target that was renamed at once.
    project.edit("  pair:", "  twins:");
    project.edit("['b/{n}', 'a/{n}']", "['a/{n}', 'b/{n}']");
    assert_says(&project.explain("twins@n=2"), &["from \"b/2, a/2\" to \"a/2, b/2\"\n", "made by   pair\n"]);
    project.edit("  twins:", "  pair:");
    project.edit("['a/{n}', 'b/{n}']", "['b/{n}', 'a/{n}']");
    project.build(&[]).assert_nothing_done();
    // A third, in the midst, and then only that.
    project.edit("['b/{n}', 'a/{n}']", "['b/{n}', 'c/{n}', 'a/{n}']");
    let explained = project.explain("pair@n=1");
    assert_says(&explained, &["because   new parameter: output, \"c/1\"\n", "missing output: c/1\n"]);
    assert!(!explained.contains("another step wrote"), "{explained}");
    project.build(&[]);
    project.edit("['b/{n}', 'c/{n}', 'a/{n}']", "['c/{n}']");
    let told = ["removed parameter: output, was \"b/2\"\n", "removed parameter: output, was \"a/2\"\n"];
    assert_says(&project.explain("pair@n=2"), &told);
    project.build(&[]);
    assert_says(&project.explain("pair@n=2"), &told);
    project.build(&[]).assert_nothing_done();
}

#[test]
fn an_output_that_is_in_its_targets_list_no_more_is_an_orphan() {
    for (kept, gone) in [("a", "b"), ("b", "a")] {
        let project = pairs();
        project.edit("['a/{n}', 'b/{n}']", &format!("['{kept}/{{n}}']"));
        let orphans = || {
            let status = project.run(&["status"]).exits(exit::DONE).stdout;
            assert_says(&status, &["2 outputs that no step makes any more: "]);
            let listed = project.run(&["clean", "--orphans", "-n"]).exits(exit::DONE).stdout;
            let all = format!("remove  {gone}/1\nremove  {gone}/2\n2 outputs would be removed\n");
            assert_eq!(listed, all);
        };
        let told = || {
            orphans();
            let orphan = project.explain(&format!("{gone}/1"));
            assert_says(&orphan, &[&format!("{gone}/1: orphan\n"), "made by   pair@n=1\n", "last made first build"]);
            // What the others were, and their names, is no input of it.
            assert!(!orphan.contains("  input "), "{orphan}");
        };
        told();
        project.build(&[]).assert_only(&["pair@n=1", "pair@n=2"]);
        told();
        assert_says(&project.explain("pair"), &["pair@n=1: up to date", &format!("output, was \"{gone}/1\"")]);
        project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
        assert!(project.exists(&format!("{kept}/1")) && !project.exists(gone));
        assert!(!project.run(&["status"]).exits(exit::DONE).stdout.contains("no step makes"));
        project.build(&[]).assert_nothing_done();
        // In the list again, it is made again, and is no orphan.
        project.edit(&format!("['{kept}/{{n}}']"), "['a/{n}', 'b/{n}']");
        project.build(&[]);
        project.build(&[]).assert_nothing_done();
        assert!(!project.run(&["status"]).exits(exit::DONE).stdout.contains("no step makes"));
    }
}

#[test]
fn what_is_left_of_a_steps_outputs_is_known_when_its_first_was_cleaned() {
    let project = pairs();
    project.edit("['a/{n}', 'b/{n}']", "['b/{n}']");
    project.run(&["clean", "--orphans", "--yes"]).exits(exit::DONE);
    assert!(project.exists("b/1") && !project.exists("a"));
    let explained = project.explain("pair@n=1");
    assert_says(&explained, &["because   removed parameter: output, was \"a/1\"\n", "last made first build"]);
}
