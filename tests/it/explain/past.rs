//! What was: when and why a source was asked, a step made, or its output taken over, whatever came since.

use super::{assert_says, project};
use crate::support::project::Project;
use crate::support::sample;
use crate::support::words::exit;

fn images(repo: &str) -> Project {
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
    let project = images("library/redis");
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
fn why_what_stays_absent_was_asked_about_is_told() {
    let project = images("library/none");
    assert_eq!(project.build(&[]).absent, 1);
    assert!(!project.explain("tags").contains("it was asked because"));
    later();
    project.build(&["--refresh"]);
    assert_says(
        &project.explain("tags"),
        &["Z: still absent\n", "it was asked because: refreshed by hand\n", "last made first build"],
    );
}

#[test]
fn what_was_taken_over_and_asked_about_since_tells_both() {
    let project = images("library/redis");
    project.build(&[]);
    std::fs::remove_dir_all(project.path(".layermill")).expect("removed");
    later();
    project.build(&[]);
    let adopted = project.explain("tags");
    assert_says(&adopted, &["taken over with the file"]);
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
    let json = project.run(&["explain", "part", "--format", "json"]).exits(exit::DONE).stdout;
    let told: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert!(told[0]["last_made"]["before"].as_str().is_some_and(|before| before.starts_with("made at 20")), "{told}");
    // Made anew, that is what counts.
    project.build(&["part", "--force"]);
    assert!(!project.explain("part").contains("before "), "{}", project.explain("part"));
}
