//! What a hostile registry may send beside content: headers, redirects, links, challenges, and lists without end. It fails
//! its own steps, soon, and is told nothing that is for others.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::json;

use crate::support::fault::{self, Seen, Server, Shelf};
use crate::support::images::Format;
use crate::support::project::{Project, Report};
use crate::support::stock;
use crate::support::words::{exit, outcome};

const GOOD: &str = "library/good";
const BAD: &str = "library/bad";
/// me:pw-7Qx
const LOGIN: &str = "Basic bWU6cHctN1F4";

fn shelf() -> Shelf {
    let mut shelf = Shelf::default();
    for repo in [GOOD, BAD] {
        shelf.put(&format!("{repo}:latest"), &stock::busybox().env("OF", repo).manifest(Format::Oci));
    }
    shelf
}

/// A registry that wants a login, and answers what is asked about the bad repository as `answer` says.
fn hostile(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Server {
    let shelf = shelf();
    Server::start(move |seen| match seen.header("authorization") {
        LOGIN if seen.path.contains("/bad/") => answer(seen),
        LOGIN => shelf.answer(seen),
        _ => fault::challenge("Basic realm=\"bed\""),
    })
}

/// Builds the tags of both repositories; only those of the good one are there.
fn attacked(server: &Server, keys: &str) -> (Project, Report) {
    let url = server.url().replacen("http://", "http://me:pw-7Qx@", 1);
    let project = Project::new(&stock::pipeline_for(&url, &[GOOD, BAD]));
    project.edit("{kind: registry, ", &format!("{{kind: registry, {keys}"));
    project.edit("    output: result/tags/{repo}.json\n", "    output: result/tags/{repo}.json\n    retries: 1\n");
    let report = project.build_exits(exit::FAILED, &["get_tag"]);
    assert_eq!(report.step("get_tag@repo=library/good").outcome, outcome::BUILT, "{}", report.listing());
    assert_eq!(report.step("get_tag@repo=library/bad").outcome, outcome::FAILED, "{}", report.listing());
    assert!(!project.exists("result/tags/library/bad.json"));
    (project, report)
}

fn asked(server: &Server) -> usize {
    server.seen().iter().filter(|s| s.path.contains("/bad/") && s.header("authorization") == LOGIN).count()
}

fn list() -> Response {
    fault::tag_list(BAD, ["latest"])
}

fn with(mut answer: Response, name: &'static str, value: &str) -> Response {
    answer.headers_mut().append(name, HeaderValue::from_str(value).expect("a header"));
    answer
}

#[test]
fn headers_of_a_megabyte_or_by_the_thousand() {
    let large = "x".repeat(1 << 20);
    let server = hostile(move |_| with(list(), "X-Large", &large));
    let (_project, report) = attacked(&server, "");
    assert!(report.stderr.contains("message head is too large"), "{}", report.stderr);
    assert_eq!(asked(&server), 2);
    let server = hostile(|_| (0..5000).fold(list(), |answer, n| with(answer, "Link", &format!("<x{n}>; rel=next"))));
    let (_project, report) = attacked(&server, "");
    assert!(report.stderr.contains("message head is too large"), "{}", report.stderr);
    assert_eq!(asked(&server), 2);
}

#[test]
fn redirects_that_end_nowhere_or_at_what_is_no_server() {
    let server = hostile(|seen| {
        let n: usize = seen.param("hop").parse().unwrap_or(0);
        with(fault::reply(StatusCode::FOUND, &[], ""), "Location", &format!("{}?hop={}", seen.path, n + 1))
    });
    let (_project, report) = attacked(&server, "");
    assert!(report.stderr.contains("redirects more than 5 times"), "{}", report.stderr);
    assert_eq!(asked(&server), 6, "not tried again");
    for (to, says) in [
        ("file:///etc/passwd", "redirects to `file:`"),
        ("ftp://127.0.0.1/x", "redirects to `ftp:`"),
        ("data:application/json,{}", "redirects to `data:`"),
        ("http://[::1/x", "redirects to what is no URL"),
        ("http://10.0.0.1/v2/", "redirects to http://10.0.0.1/v2/, which is not encrypted"),
    ] {
        let server = hostile(move |_| with(fault::reply(StatusCode::FOUND, &[], ""), "Location", to));
        let (_project, report) = attacked(&server, "");
        assert!(report.stderr.contains(says), "{to}: {}", report.stderr);
        assert_eq!(asked(&server), 1, "{to}");
    }
}

#[test]
fn nobody_elsewhere_is_told_who_asks() {
    let elsewhere = Server::start(|_| list());
    let there = elsewhere.url();
    let as_others = there.replacen("http://", "http://spy:caught@", 1);
    let redirects = [there.clone(), as_others.clone()];
    for to in redirects {
        let server = hostile(move |seen| match seen.path.ends_with("/list") {
            true => with(fault::reply(StatusCode::TEMPORARY_REDIRECT, &[], ""), "Location", &format!("{to}/x")),
            false => fault::not_found("MANIFEST_UNKNOWN"),
        });
        let project =
            Project::new(&stock::pipeline_for(&server.url().replacen("http://", "http://me:pw-7Qx@", 1), &[BAD]));
        project.build(&["get_tag"]);
    }
    assert_eq!(elsewhere.seen().len(), 2, "lists may lie elsewhere");
    assert!(elsewhere.seen().iter().all(|seen| seen.header("authorization").is_empty()), "{:#?}", elsewhere.seen());
    for to in [there, as_others] {
        let server = hostile(move |_| with(list(), "Link", &format!("<{to}/x>; rel=\"next\"")));
        let (_project, report) = attacked(&server, "");
        assert!(report.stderr.contains("leads elsewhere"), "{}", report.stderr);
    }
    assert_eq!(elsewhere.seen().len(), 2, "pages may not");
}

#[test]
fn who_asks_is_not_for_a_registry_to_say() {
    let server = hostile(|seen| {
        let other = seen.server().replacen("http://", "http://spy:caught@", 1);
        match seen.query.as_str() {
            "to=here" => with(list(), "Link", &format!("<{other}{}?to=end>; rel=\"next\"", seen.path)),
            "to=end" => fault::error(StatusCode::BAD_REQUEST, "UNSUPPORTED"),
            _ => with(fault::reply(StatusCode::FOUND, &[], ""), "Location", &format!("{other}{}?to=here", seen.path)),
        }
    });
    let (_project, report) = attacked(&server, "");
    assert!(report.stderr.contains("unexpected answer 400"), "{}", report.stderr);
    let about = |seen: &Seen| seen.path.contains("/bad/");
    let told: Vec<_> = server.seen().into_iter().filter(about).map(|seen| seen.headers).collect();
    let logins = told.iter().map(|headers| headers.get_all("authorization").iter().count());
    assert!(logins.clone().all(|count| count <= 1), "{told:#?}");
    assert!(told.iter().flat_map(|headers| headers.get_all("authorization")).all(|login| login == LOGIN), "{told:#?}");
}

#[test]
fn challenges_that_never_say_the_same() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |seen| match seen.path.starts_with("/token") {
        true => fault::json(StatusCode::OK, &json!({"token": "t"})),
        false => {
            let n = count.fetch_add(1, Ordering::SeqCst);
            fault::challenge(&format!("Bearer realm=\"{}/token/{n}\",service=\"s{n}\"", seen.server()))
        }
    });
    let project = Project::new(&stock::pipeline_for(&server.url(), &[GOOD, BAD]));
    let report = project.build(&["get_tag"]);
    assert_eq!(report.absent, 2, "{}", report.listing());
    assert!(server.seen().len() <= 10, "{} requests", server.seen().len());
}

#[test]
fn token_servers_that_are_none() {
    for (realm, says) in
        [("file:///etc/passwd", "in a way that is none of ours"), ("http://192.0.2.1/token", "which is not encrypted")]
    {
        let server = Server::start(move |_| fault::challenge(&format!("Bearer realm=\"{realm}\"")));
        let url = server.url().replacen("http://", "http://me:pw-7Qx@", 1);
        let project = Project::new(&stock::pipeline_for(&url, &[BAD]));
        let report = project.build_exits(exit::FAILED, &["get_tag"]);
        assert!(report.stderr.contains(says), "{realm}: {}", report.stderr);
    }
}

#[test]
fn json_that_is_too_deep_for_any_reader() {
    let deep = "[".repeat(1 << 20);
    let server = hostile(move |_| {
        fault::reply(StatusCode::OK, &[("Content-Type", "application/json")], format!("{{\"tags\": {deep}"))
    });
    let (_project, report) = attacked(&server, "");
    assert!(report.stderr.contains("cannot be read as one"), "{}", report.stderr);
    let deep = "{\"a\":".repeat(1 << 16);
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/token" => fault::reply(StatusCode::OK, &[], deep.clone()),
        _ => fault::challenge(&format!("Bearer realm=\"{}/token\"", seen.server())),
    });
    let report = Project::new(&stock::pipeline_for(&server.url(), &[BAD])).build_exits(exit::FAILED, &["get_tag"]);
    assert!(report.stderr.contains("expected a token"), "{}", report.stderr);
}

#[test]
fn lists_that_are_longer_than_any() {
    let names: String = (0..1_000_001).map(|n| format!("\"t{n}\",")).collect();
    let body = format!("{{\"name\": \"{BAD}\", \"tags\": [{}]}}", names.trim_end_matches(','));
    let server = hostile(move |_| fault::reply(StatusCode::OK, &[("Content-Type", "application/json")], body.clone()));
    let (_project, report) = attacked(&server, "");
    assert!(report.stderr.contains("a list of more than 1000000"), "{}", report.stderr);
    // Pages without end, none of which brings anything.
    let server = hostile(|seen| {
        let n: usize = seen.param("last").parse().unwrap_or(0);
        with(list(), "Link", &format!("<{}?last={}>; rel=\"next\"", seen.path, n + 1))
    });
    let (_project, report) = attacked(&server, "");
    assert!(report.stderr.contains("1000 pages in a row bring nothing"), "{}", report.stderr);
    assert_eq!(asked(&server), 1002);
}

#[test]
fn images_of_more_layers_than_any() {
    let entries = |entry: &str| vec![entry; 10_001].join(",");
    let config = format!("{{\"architecture\": \"amd64\", \"os\": \"linux\", \"history\": [{}]}}", entries("{}"));
    let descriptor = |media_type: &str, bytes: &str| json!({"mediaType": media_type, "size": bytes.len(), "digest": crate::support::images::digest(bytes.as_bytes())});
    let (oci, oci_config) = (Format::Oci.manifest(), "application/vnd.oci.image.config.v1+json");
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar", "x").to_string();
    let long_history = json!({"schemaVersion": 2, "mediaType": oci, "config": descriptor(oci_config, &config)});
    let many_layers = format!(
        "{{\"schemaVersion\": 2, \"mediaType\": \"{oci}\", \"config\": {}, \"layers\": [{}]}}",
        descriptor(oci_config, "{}"),
        entries(&layer)
    );
    for (manifest, what) in [(long_history.to_string(), "an image config"), (many_layers, "a manifest")] {
        let mut shelf = shelf();
        shelf.put_bytes(&format!("{BAD}:latest"), oci, manifest);
        shelf.put_blob(config.clone());
        let server = Server::of(shelf);
        let project = Project::new(&stock::pipeline_for(&server.url(), &[GOOD, BAD]));
        let report = project.build_exits(exit::FAILED, &["get_layer_all"]);
        assert!(report.stderr.contains(&format!("expected {what}")), "{}", report.stderr);
        assert!(report.stderr.contains("a list of more than 10000"), "{}", report.stderr);
        assert_eq!(report.step("get_layer_all@repo=library/good,tag=latest").outcome, outcome::BUILT);
    }
}
