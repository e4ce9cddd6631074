//! What a source said beside its answer, who said it, and when it was really asked.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::fault;
use crate::support::front;
use crate::support::images::{Format, Manifest};
use crate::support::project::Project;
use crate::support::registry::Registry;
use crate::support::stock;
use crate::support::words::exit;

use super::assert_says;

/// The tags of busybox, the layers of each, and those of a tag that is named.
fn project(url: &str, fresh: &str) -> Project {
    Project::new(&format!(
        "version: 1
sources: {{ours: {{kind: registry, url: \"{url}\"}}}}
targets:
  tags: {{rule: tags, source: ours, foreach: {{repo: [library/busybox]}}, output: \"tags/{{repo}}.json\", fresh: {fresh}}}
  layers: {{rule: layers, source: ours, foreach: {{tag: {{from: tags, select: all}}}}, output: \"layers/{{repo}}/{{tag}}.json\"}}
  one: {{rule: layers, source: ours, repo: library/busybox, tag: latest, output: one.json, fresh: {fresh}}}
"
    ))
}

fn busybox() -> Registry {
    let registry = Registry::start();
    registry.push("library/busybox:latest", &stock::busybox().manifest(Format::Oci));
    registry.push("library/busybox:1", &stock::redis("7").manifest(Format::Oci));
    registry
}

/// The lines that begin with this word, and those that go on with it.
fn told(project: &Project, step: &str, word: &str) -> Vec<String> {
    let (explained, begins) = (project.explain(step), format!("  {word:<9} "));
    let lines = explained.lines().skip_while(|line| !line.starts_with(&begins));
    let lines = lines.take_while(|line| line.starts_with(&begins) || line.starts_with(&" ".repeat(begins.len())));
    lines.map(|line| line[begins.len()..].to_owned()).collect()
}

fn later() {
    std::thread::sleep(Duration::from_millis(1100));
}

#[test]
fn tags_that_were_left_out_are_told_until_their_source_is_asked_again() {
    let gone = Arc::new(AtomicBool::new(true));
    let is_gone = Arc::clone(&gone);
    let server = front::behind(busybox(), move |seen| {
        let lost = is_gone.load(Ordering::SeqCst) && seen.path.ends_with("/manifests/1");
        lost.then(|| fault::not_found("MANIFEST_UNKNOWN"))
    });
    let project = project(&server.url(), "exists");
    project.build(&["tags"]);
    let left_out = "1 tag left out: `1` (gone when it was asked about: ";
    for _ in 0..2 {
        assert_says(&told(&project, "tags", "asked at")[1], &[left_out]);
        // An answer that is as before says it, too, and so does what is made again from it.
        project.build(&["tags", "--refresh"]);
        project.remove("tags/library/busybox.json");
        project.build(&["tags"]);
    }
    gone.store(false, Ordering::SeqCst);
    project.build(&["tags", "--refresh"]);
    assert!(!project.explain("tags").contains("left out"), "{}", project.explain("tags"));
}

#[test]
fn a_mirror_that_told_which_tags_there_are_is_named() {
    let (registry, mirror) = (busybox(), Registry::start());
    mirror.push("library/busybox:latest", &stock::redis("6").manifest(Format::Oci));
    let project = project(&registry.url(), "digest");
    project.build(&["tags", "one"]);
    assert!(!project.explain("tags").contains(", by "), "the source itself");
    let keys = format!("url: \"{}\", mirrors: [\"{}\"]", registry.url(), mirror.url());
    project.edit(&format!("url: \"{}\"", registry.url()), &keys);
    for outcome in ["answered", "answer unchanged"] {
        project.build(&["tags", "one"]);
        for step in ["tags", "one"] {
            let asked = told(&project, step, "asked at");
            assert!(asked[0].ends_with(&format!("Z: {outcome}, by {}", mirror.url())), "{asked:?}");
        }
    }
    // Of a tag that it does not have, the source tells.
    drop(mirror);
    project.build(&["tags", "one"]);
    assert!(!project.explain("tags").contains(", by "), "{}", project.explain("tags"));
}

#[test]
fn who_sent_the_content_of_a_step_is_told_where_its_source_has_mirrors() {
    let (registry, mirror) = (busybox(), Registry::start());
    mirror.push("library/busybox:latest", &stock::busybox().manifest(Format::Oci));
    let build = |mirrors: &str, step: &str| {
        let project = project(&registry.url(), "exists");
        project.edit(&format!("url: \"{}\"", registry.url()), &format!("url: \"{}\"{mirrors}", registry.url()));
        project.run(&["build", "--events", "events", step]).exits(exit::DONE);
        let finished = project.read("events").lines().find(|line| line.contains("\"finished\"")).map(str::to_owned);
        let finished: Value = serde_json::from_str(&finished.expect("it ran")).expect("an event");
        (project, finished["by"].clone())
    };
    let with_mirror = format!(", mirrors: [\"{}\"]", mirror.url());
    let (project, by) = build(&with_mirror, "one");
    let note = format!("note: what was fetched for it came from {}", mirror.url());
    assert_eq!(told(&project, "one", "last made"), ["first build", &note]);
    assert_eq!(by, json!([mirror.url()]));
    // The bytes are the same wherever they come from.
    let (alone, by) = build("", "one");
    assert_eq!((told(&alone, "one", "last made"), by), (vec!["first build".to_owned()], Value::Null));
    assert_eq!(alone.read("one.json"), project.read("one.json"));
    project.edit(&with_mirror, "");
    project.build(&["one"]).assert_nothing_done();
}

#[test]
fn what_is_read_in_place_of_a_digest_that_is_not_to_be_had_is_told() {
    let registry = Registry::start();
    let old = stock::nginx_index("1.26.0", "");
    registry.push("library/busybox:latest", &old);
    let project = project(&registry.url(), "exists");
    project.build(&["tags"]);
    registry.delete("library/busybox", &old);
    let now = stock::nginx_index("1.27.2", "");
    registry.push("library/busybox:latest", &now);
    project.build(&["layers"]);
    let image = stock::nginx("amd64", "1.27.2").manifest(Format::Oci);
    let read = [
        format!("{} (the index)", now.digest()),
        format!("{} (its manifest for linux/amd64)", image.digest()),
        format!("{} (its config)", image.blobs[0].digest),
        format!("{} (what the tag had, which was not to be had: what it points at now was read)", old.digest()),
    ];
    assert_eq!(told(&project, "layers", "read"), read);
    let why =
        format!("note: {} is not to be had: this is of {}, which the tag points at now", old.digest(), now.digest());
    assert_eq!(told(&project, "layers", "last made"), ["first build", &why]);
    // So it is where that is nothing.
    let artifact = stock::artifact();
    registry.push("library/busybox:latest", &artifact);
    project.remove("layers/library/busybox/latest.json");
    std::fs::remove_dir_all(project.path(".layermill/store")).expect("removed");
    project.build(&["layers"]);
    let read = told(&project, "layers", "read");
    assert_eq!(read[0], format!("{} (the manifest, of no image)", artifact.digest()));
    assert_says(&read[1], &[old.digest(), "not to be had"]);
}

#[test]
fn another_absence_than_before_is_a_changed_answer() {
    let registry = Registry::start();
    registry.push("library/busybox:other", &stock::busybox().manifest(Format::Oci));
    let project = project(&registry.url(), "digest");
    assert_eq!(project.build(&["one"]).absent, 1);
    let artifact = stock::artifact();
    registry.push("library/busybox:latest", &artifact);
    let report = project.build(&["one"]);
    assert_says(report.step("one").reason(), &["changed answer: from absent to ", " has no library/busybox:latest)"]);
    assert_says(&told(&project, "one", "absent").join("\n"), &["changed answer: from absent to "]);
    registry.delete("library/busybox", &artifact);
    let report = project.build(&["one"]);
    assert_says(report.step("one").reason(), &["changed answer: from ", " to absent (before: "]);
    let report = project.build(&["one"]);
    assert!(report.steps.iter().all(|step| !step.reason().contains("changed answer")), "{}", report.listing());
}

#[test]
fn one_asking_has_one_outcome_whatever_is_made_since() {
    let registry = busybox();
    let project = project(&registry.url(), "digest");
    project.build(&["one"]);
    later();
    project.build(&["one"]);
    let asked = told(&project, "one", "asked at");
    assert!(asked[0].ends_with("Z: answer unchanged"), "{asked:?}");
    later();
    project.edit("output: one.json, fresh: digest", "output: one.json, platform: linux/arm64");
    let mark = registry.mark();
    project.build(&["one"]);
    assert_eq!(registry.requests_since(mark), []);
    assert_eq!(told(&project, "one", "asked at"), asked);
}

#[test]
fn what_is_seen_to_be_no_image_without_asking_is_not_told_as_asked() {
    let registry = Registry::start();
    registry.push("library/busybox:latest", &stock::artifact());
    let project = project(&registry.url(), "exists");
    project.edit("{tag: {from: tags, select: all}}", "{tag: {from: tags, select: all}}, platform: linux/amd64");
    project.build(&["layers"]);
    let step = "layers@repo=library/busybox,tag=latest";
    let asked = told(&project, step, "asked at");
    assert!(asked[0].ends_with("Z: absent"), "{asked:?}");
    later();
    project.edit("platform: linux/amd64", "platform: linux/arm64");
    let mark = registry.mark();
    assert_eq!(project.build(&["layers"]).absent, 1);
    assert_eq!(registry.requests_since(mark), []);
    assert_eq!(told(&project, step, "asked at")[0], asked[0]);
    assert!(!project.explain(step).contains("it was asked because: changed parameter"));
    // Nobody was ever asked where another repository has it, too.
    registry.push("library/other:latest", &stock::artifact());
    project.edit("[library/busybox]", "[library/busybox, library/other]");
    project.build(&["layers"]);
    assert_eq!(told(&project, "layers@repo=library/other,tag=latest", "asked at"), [""; 0]);
}

#[test]
fn what_a_source_said_is_not_why_it_was_asked() {
    let registry = busybox();
    let project = project(&registry.url(), "digest");
    project.build(&["one"]);
    registry.push("library/busybox:latest", &stock::redis("8").manifest(Format::Oci));
    project.build(&["one"]);
    assert_says(&project.explain("one"), &["last made changed answer: "]);
    project.edit("output: one.json, fresh: digest", "output: one.json");
    project.remove("one.json");
    project.build(&["one"]);
    let asked = told(&project, "one", "asked at");
    assert_eq!(asked[1..], ["it was asked because: freshness: asked each time (digest)"]);
}

#[test]
fn a_step_that_is_put_off_after_its_source_answered_tells_why_that_was_asked() {
    let limited = Arc::new(AtomicBool::new(false));
    let is_limited = Arc::clone(&limited);
    let registry = busybox();
    let image = stock::redis("8").manifest(Format::Oci);
    let (old, new) = (stock::busybox().manifest(Format::Oci), image.digest().to_owned());
    registry.push("library/busybox:next", &image);
    let server = front::behind(registry, move |seen| {
        let is_new = is_limited.load(Ordering::SeqCst) && seen.path.ends_with("/manifests/latest");
        if is_new && seen.method == axum::http::Method::HEAD {
            return Some(fault::reply(StatusCode::OK, &[("Docker-Content-Digest", &*new)], ""));
        }
        let pull = is_limited.load(Ordering::SeqCst) && seen.path.contains("/manifests/sha256:");
        pull.then(|| fault::error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"))
    });
    let project = project(&server.url(), "digest");
    project.build(&["one"]);
    assert_says(&project.read("one.json"), &[old.digest()]);
    limited.store(true, Ordering::SeqCst);
    project.build_exits(crate::support::words::exit::DEFERRED, &["one"]);
    let told = told(&project, "one", "deferred");
    assert_eq!(told[1], "it was asked because: freshness: asked each time (digest)");
}

#[test]
fn a_source_that_was_asked_for_a_file_of_a_time_to_come_is_told_as_asked() {
    let registry = busybox();
    let project = project(&registry.url(), "24h");
    project.build(&["tags"]);
    let day = Duration::from_secs(24 * 3600);
    for (age, outcome) in
        [(SystemTime::now() - 2 * day, "answer unchanged"), (SystemTime::now() + day, "answer unchanged")]
    {
        std::fs::remove_dir_all(project.path(".layermill")).expect("removed");
        let file = File::options().append(true).open(project.path("tags/library/busybox.json")).expect("ours");
        file.set_modified(age).expect("set");
        let mark = registry.mark();
        project.build(&["tags"]);
        assert!(!registry.requests_since(mark).is_empty());
        let asked = told(&project, "tags", "asked at");
        assert!(asked[0].ends_with(&format!("Z: {outcome}")), "{asked:?}");
        assert_says(&asked[1], &["it was asked because: freshness: asked "]);
    }
}

#[test]
fn in_what_an_answer_differs_is_told_by_the_file_where_the_store_has_lost_the_one_before() {
    let registry = busybox();
    let project = project(&registry.url(), "digest");
    project.build(&["tags", "one"]);
    std::fs::remove_dir_all(project.path(".layermill/store")).expect("removed");
    let (old, now) = (stock::busybox().manifest(Format::Oci), stock::redis("8").manifest(Format::Oci));
    registry.push("library/busybox:latest", &now);
    registry.push("library/busybox:2", &old);
    let report = project.build(&["tags", "one"]);
    let short = |manifest: &Manifest| manifest.digest()["sha256:".len()..][..8].to_owned();
    let moved = format!("(moved: latest from {} to {}; came: 2)", short(&old), short(&now));
    assert_says(report.step("tags@repo=library/busybox").reason(), &["changed answer: from ", &moved]);
    let moved = format!("(the tag moved from {} to {})", old.digest(), now.digest());
    assert_says(report.step("one").reason(), &["changed answer: from ", &moved]);
    // A file that is not as it was recorded tells nothing.
    project.write("tags/library/busybox.json", "{\"latest\": \"\"}");
    std::fs::remove_dir_all(project.path(".layermill/store")).expect("removed");
    registry.push("library/busybox:2", &now);
    project.build(&["tags"]);
    let causes = told(&project, "tags", "last made");
    let answer = causes.iter().find(|cause| cause.starts_with("changed answer: from ")).expect("told");
    assert!(!answer.contains("moved"), "{causes:?}");
}
