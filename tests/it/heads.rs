//! Digests of tags where a registry does not tell them by HEAD, as the specification has it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use axum::response::Response;

use crate::support::fault::{self, Seen, Server, Shelf};
use crate::support::front::behind;
use crate::support::images::Format;
use crate::support::project::Project;
use crate::support::stock;
use crate::support::words::exit;

const BUSYBOX: &str = "library/busybox";

fn is_head(seen: &Seen) -> bool {
    seen.method == Method::HEAD && seen.path.contains("/manifests/")
}

fn heads(server: &Server) -> usize {
    server.seen().iter().filter(|seen| is_head(seen)).count()
}

/// The manifests that were sent for.
fn pulls(server: &Server) -> Vec<String> {
    let is_pull = |seen: &Seen| seen.method == Method::GET && seen.path.contains("/manifests/");
    server.seen().into_iter().filter(is_pull).map(|seen| seen.path).collect()
}

fn project(server: &Server, keys: &str, repositories: &[&str]) -> Project {
    let project = Project::new(&stock::pipeline_for(&server.url(), repositories));
    project.edit("{kind: registry, ", &format!("{{kind: registry, {keys}"));
    project
}

fn asks_each_time(project: &Project) {
    project.edit("    output: result/tags/{repo}.json\n", "    output: result/tags/{repo}.json\n    fresh: digest\n");
}

type Headers = &'static [(&'static str, &'static str)];

/// Asserts that a registry which answers HEADs with any of these is sent one, and then asked by GET.
fn assert_found_out_once<const N: usize>(answers: [(u16, Headers); N]) {
    let usual = {
        let server = behind(stock::registry(), |_| None);
        let project = project(&server, "", &stock::REPOSITORIES);
        project.build(&[]);
        project.snapshot()
    };
    for (status, headers) in answers {
        let server = behind(stock::registry(), move |seen| {
            is_head(seen).then(|| fault::reply(StatusCode::from_u16(status).expect("a status"), headers, ""))
        });
        let project = project(&server, "concurrency: 1, ", &stock::REPOSITORIES);
        let report = project.build(&[]);
        assert_eq!((report.failed, report.absent), (0, 1), "the artifact: {}", report.listing());
        assert_eq!(heads(&server), 1, "{status}: {:#?}", server.seen());
        // Seven tags, and the image of an index: what came by its tag does not come again.
        assert_eq!(pulls(&server).len(), 8, "{status}: {:#?}", pulls(&server));
        project.snapshot().assert_same_bytes(&usual, "result");
    }
}

#[test]
fn a_registry_that_answers_no_heads_is_found_out_once_and_asked_by_get() {
    assert_found_out_once([400, 405, 501].map(|status| (status, &[] as &[_])));
}

#[test]
fn a_registry_whose_heads_find_nothing_where_a_get_finds_something_is_asked_by_get() {
    // A registry's own words have a type; a page of somebody before it has not.
    let json: &[_] = &[("Content-Type", "application/json")];
    assert_found_out_once([(403, json), (403, &[]), (404, json), (404, &[])]);
}

#[test]
fn what_a_head_does_not_find_is_believed_once_a_head_or_a_get_has_shown_that_it_may_be() {
    let mut shelf = Shelf::default();
    for tag in ["b", "c"] {
        shelf.put(&format!("{BUSYBOX}:{tag}"), &stock::busybox().env("TAG", tag).manifest(Format::Oci));
    }
    let shelf = Arc::new(shelf);
    // Where the first that is asked about is gone, one GET finds that out; after one that is there, none is needed.
    for (listed, gets) in [(["a", "aa", "b", "c"], 1), (["b", "c", "x", "y"], 0)] {
        let shelf = shelf.clone();
        let server = Server::start(move |seen| match seen.path.ends_with("/tags/list") {
            true => fault::tag_list(BUSYBOX, listed),
            false => shelf.answer(seen),
        });
        let project = project(&server, "concurrency: 1, ", &[BUSYBOX]);
        let report = project.build(&["get_tag"]);
        assert!(report.stderr.contains("2 tags left out"), "{}", report.stderr);
        assert_eq!((heads(&server), pulls(&server).len()), (4, gets), "{:#?}", server.seen());
    }
}

/// The layers of some tags, by name.
fn by_name(server: &Server, budget: &str, images: &str) -> Project {
    Project::new(&format!(
        "version: 1
sources: {{ours: {{kind: registry, url: \"{}\", concurrency: 1, budget: {budget}}}}}
targets:
  layers: {{rule: layers, source: ours, foreach: {images}, output: \"result/{{repo}}/{{tag}}.json\", fresh: digest}}
",
        server.url()
    ))
}

#[test]
fn a_tag_that_is_not_there_spends_no_pull_that_others_need() {
    let server = behind(stock::registry(), |_| None);
    let project = by_name(&server, "1/1h", "{repo: [none/a, library/busybox], tag: [gone, latest]}");
    let report = project.build(&[]);
    assert_eq!((report.built, report.absent, report.deferred), (1, 3, 0), "{}", report.listing());
    assert_eq!(pulls(&server).len(), 1, "{:#?}", pulls(&server));
    assert_eq!(server.count("/tags/list"), 1, "one is looked into, and the others learn from that");
    // Nor when it is asked about again, and nothing else is.
    let report = project.build(&["layers@repo=library/busybox,tag=gone"]);
    assert_eq!((report.absent, pulls(&server).len()), (1, 1), "{}", report.listing());
}

#[test]
fn what_heads_do_not_find_and_the_list_has_is_put_off_where_no_pull_is_left() {
    let server = behind(stock::registry(), |seen| is_head(seen).then(|| fault::not_found("MANIFEST_UNKNOWN")));
    let project = by_name(&server, "1/1h", "{repo: [library/redis], tag: [latest, '6']}");
    for built in [1, 0] {
        let report = project.build_exits(exit::DEFERRED, &[]);
        assert_eq!((report.built, report.absent), (built, 0), "{}", report.listing());
    }
    assert_eq!(pulls(&server).len(), 1);
}

#[test]
fn who_grants_no_token_says_nothing_of_heads_and_is_not_asked_twice() {
    let mut shelf = Shelf::default();
    for repo in ["open/b", "open/c"] {
        shelf.put(&format!("{repo}:latest"), &stock::busybox().env("OF", repo).manifest(Format::Oci));
    }
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/token" if seen.query.contains("closed") => fault::error(StatusCode::FORBIDDEN, "DENIED"),
        "/token" => fault::json(StatusCode::OK, &serde_json::json!({"token": "good"})),
        _ if seen.header("authorization") != "Bearer good" => {
            fault::challenge(&format!("Bearer realm=\"{}/token\",service=\"bed\"", seen.server()))
        }
        _ if is_head(seen) => fault::not_found("MANIFEST_UNKNOWN"),
        _ => shelf.answer(seen),
    });
    let project = Project::new(&format!(
        "version: 1
sources: {{ours: {{kind: registry, url: \"{}\", concurrency: 1}}}}
targets:
  layers:
    rule: layers
    source: ours
    foreach: {{repo: [closed/a, closed/d, open/b, open/c], tag: [latest]}}
    output: result/{{repo}}/{{tag}}.json
",
        server.url()
    ));
    let report = project.build(&[]);
    assert_eq!((report.built, report.absent), (2, 2), "{}", report.listing());
    // Of what is closed: the first challenge, and a token that is not granted; of what is open, one HEAD that got in.
    let seen = server.seen();
    let closed = |seen: &&Seen| seen.path.contains("closed") || seen.query.contains("closed");
    assert_eq!(seen.iter().filter(closed).count(), 3, "{seen:#?}");
    let sent = |seen: &&Seen| is_head(seen) && seen.header("authorization") == "Bearer good";
    assert_eq!(seen.iter().filter(sent).count(), 1, "{seen:#?}");
}

#[test]
fn a_head_that_is_bad_for_one_tag_says_nothing_of_the_others() {
    let mut shelf = Shelf::default();
    for tag in ["bad", "c", "d", "e"] {
        shelf.put(&format!("{BUSYBOX}:{tag}"), &stock::busybox().env("TAG", tag).manifest(Format::Oci));
    }
    let shelf = Arc::new(shelf);
    for (by_get, said) in [(400, "unexpected answer 400"), (404, "1 tag left out: `bad` (gone")] {
        let shelf = shelf.clone();
        let server = Server::start(move |seen| match seen.path.ends_with("/manifests/bad") {
            true if is_head(seen) || by_get == 400 => fault::error(StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            true => fault::error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            false => shelf.answer(seen),
        });
        let project = project(&server, "concurrency: 1, ", &[BUSYBOX]);
        for _ in 0..2 {
            let run = project.run(&["build", "get_tag", "--refresh"]);
            assert!(run.stderr.contains(said), "{run}");
        }
        assert!(pulls(&server).iter().all(|path| path.ends_with("/bad")), "{:#?}", pulls(&server));
    }
}

/// Sends each manifest with an ETag, or says that it is still the same; answers no HEADs.
fn with_etags(shelf: Shelf) -> Server {
    Server::start(move |seen| {
        let Some((_, tag)) = seen.path.split_once("/manifests/") else { return shelf.answer(seen) };
        let etag = format!("\"{tag}\"");
        match seen.header("if-none-match") == etag {
            _ if is_head(seen) => fault::reply(StatusCode::METHOD_NOT_ALLOWED, &[], ""),
            true => fault::reply(StatusCode::NOT_MODIFIED, &[("ETag", &etag)], ""),
            false => {
                let mut answer = shelf.answer(seen);
                answer.headers_mut().insert("ETag", etag.parse().expect("a header"));
                answer
            }
        }
    })
}

#[test]
fn what_did_not_move_is_no_pull_of_the_budget() {
    let mut shelf = Shelf::default();
    let tags: Vec<_> = (0..20).map(|n| format!("t{n}")).collect();
    for tag in &tags {
        shelf.put(&format!("{BUSYBOX}:{tag}"), &stock::busybox().env("TAG", tag).manifest(Format::Oci));
    }
    let server = with_etags(shelf);
    let project = project(&server, "budget: 21/1h, ", &[BUSYBOX]);
    asks_each_time(&project);
    for run in 1..=3 {
        project.build(&[]);
        assert_eq!(pulls(&server).len(), run * tags.len());
        let spent = project.read(".layermill/budget");
        let (given, back): (Vec<_>, Vec<_>) = spent.lines().partition(|line| !line.starts_with('-'));
        assert_eq!(given.len() - back.len(), tags.len(), "{run}: {spent}");
    }
}

/// A registry that says another digest than that of what it sends, as often as it is told to, and answers no HEADs.
fn lying(times: usize) -> Server {
    let mut shelf = Shelf::default();
    shelf.put(&format!("{BUSYBOX}:latest"), &stock::busybox().manifest(Format::Oci));
    let said = shelf.digest(&format!("{BUSYBOX}:latest")).to_owned();
    let other = stock::busybox().env("OF", "another").manifest(Format::Oci);
    let lied = AtomicUsize::new(0);
    Server::start(move |seen| -> Response {
        match seen.path.ends_with("/manifests/latest") {
            true if is_head(seen) => fault::reply(StatusCode::METHOD_NOT_ALLOWED, &[], ""),
            true if lied.fetch_add(1, Ordering::SeqCst) < times => {
                fault::content(seen, other.media_type, &said, Bytes::copy_from_slice(&other.blob.bytes))
            }
            _ => shelf.answer(seen),
        }
    })
}

#[test]
fn what_comes_by_its_tag_is_checked_by_the_digest_that_its_registry_says() {
    let server = lying(2);
    let project = project(&server, "", &[BUSYBOX]);
    let report = project.build(&[]);
    assert_eq!((report.failed, report.absent), (0, 0), "{}", report.listing());
    let right = stock::busybox().manifest(Format::Oci);
    assert_eq!(project.json("result/tags/library/busybox.json")["latest"], right.digest()["sha256:".len()..]);
    let asked: BTreeSet<_> = pulls(&server).into_iter().collect();
    assert_eq!((pulls(&server).len(), asked.len()), (3, 1), "the same, three times");
    // One that never stops is not believed.
    let server = lying(usize::MAX);
    let project = self::project(&server, "", &[BUSYBOX]);
    let report = project.build_exits(exit::FAILED, &["get_tag"]);
    let says = format!("expected {}, as it says, but what came is sha256:", right.digest());
    assert!(report.stderr.contains(&says), "{}", report.stderr);
}
