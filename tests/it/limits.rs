//! What a registry's limits are taken for: a rate, which is waited for, or a quota, which puts off what is left.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::json;

use crate::support::fault::{self, Seen, Server, Shelf};
use crate::support::front::behind;
use crate::support::images::Format;
use crate::support::project::Project;
use crate::support::stock;
use crate::support::words::exit;

fn is_pull(seen: &Seen) -> bool {
    seen.method == Method::GET && seen.path.contains("/manifests/")
}

fn pulls(server: &Server) -> usize {
    server.seen().iter().filter(|seen| is_pull(seen)).count()
}

fn too_many(headers: &[(&str, &str)]) -> Response {
    let body = json!({"errors": [{"code": "TOOMANYREQUESTS", "message": "Rate exceeded"}]});
    fault::reply(StatusCode::TOO_MANY_REQUESTS, headers, body.to_string())
}

/// Repositories, each with its own image.
fn many(repositories: usize) -> (Vec<String>, Shelf) {
    let names: Vec<_> = (0..repositories).map(|n| format!("a/r{n:02}")).collect();
    let mut shelf = Shelf::default();
    for name in &names {
        shelf.put(&format!("{name}:latest"), &stock::busybox().env("OF", name).manifest(Format::Oci));
    }
    (names, shelf)
}

fn project(server: &Server, names: &[String], keys: &str) -> Project {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let project = Project::new(&stock::pipeline_for(&server.url(), &names));
    project.edit("{kind: registry, ", &format!("{{kind: registry, {keys}"));
    project
}

#[test]
fn a_rate_of_requests_is_waited_for_and_one_run_is_enough() {
    const RATE: usize = 40;
    let (names, shelf) = many(30);
    // So many a second, counted from its first request on; more are refused for the rest of that second.
    let (began, window) = (Instant::now(), Mutex::new((0, 0)));
    let refused = std::sync::Arc::new(AtomicUsize::new(0));
    let seen_refused = refused.clone();
    let server = Server::start(move |seen| {
        let second = began.elapsed().as_secs();
        let mut window = window.lock().expect("no one panicked");
        *window = (second, if window.0 == second { window.1 + 1 } else { 1 });
        if window.1 <= RATE {
            return shelf.answer(seen);
        }
        refused.fetch_add(1, Ordering::SeqCst);
        too_many(&[("Retry-After", "1")])
    });
    let report = project(&server, &names, "budget: 30/1h, ").build(&[]);
    assert_eq!((report.deferred, report.failed, report.absent), (0, 0, 0), "{}", report.listing());
    assert!(seen_refused.load(Ordering::SeqCst) > 0, "more was asked for than it bears");
}

#[test]
fn a_quota_defers_at_once() {
    let quotas: [fn() -> Response; 4] = [
        || too_many(&[("Retry-After", "61")]),
        || too_many(&[("Retry-After", "1"), ("RateLimit-Remaining", "0;w=21600")]),
        || too_many(&[("Retry-After", "1"), ("X-RateLimit-Limit", "100")]),
        || too_many(&[]),
    ];
    for quota in quotas {
        let server = behind(stock::registry(), move |seen| is_pull(seen).then(quota));
        let names = stock::REPOSITORIES.map(str::to_owned);
        let report = project(&server, &names, "concurrency: 1, ").build_exits(exit::DEFERRED, &[]);
        assert_eq!(pulls(&server), 1, "nothing more is asked for: {}", report.listing());
        assert_eq!(report.failed, 0);
    }
}

#[test]
fn a_rate_that_never_ends_defers_after_all_attempts() {
    let server = behind(stock::registry(), |seen| is_pull(seen).then(|| too_many(&[("Retry-After", "0")])));
    let names = ["library/redis".to_owned()];
    let project = project(&server, &names, "");
    project.edit(
        "    rule: layers\n    source: ours\n    foreach: {tag: {from: get_tag, select: latest}}\n",
        "    rule: layers\n    source: ours\n    foreach: {tag: {from: get_tag, select: latest}}\n    retries: 2\n",
    );
    let report = project.build_exits(exit::DEFERRED, &["get_layer_latest"]);
    assert_eq!((report.deferred, report.failed, pulls(&server)), (1, 0, 3), "{}", report.listing());
}

#[test]
fn a_limit_that_is_told_with_pulls_alone_is_not_overdrawn() {
    const LIMIT: usize = 5;
    let (names, shelf) = many(40);
    let given = AtomicUsize::new(0);
    let server = Server::start(move |seen| {
        if !is_pull(seen) {
            return shelf.answer(seen);
        }
        let given = given.fetch_add(1, Ordering::SeqCst) + 1;
        let left = format!("{};w=21600", LIMIT.saturating_sub(given));
        if given > LIMIT {
            return too_many(&[("RateLimit-Remaining", &left)]);
        }
        let mut answer = shelf.answer(seen);
        answer.headers_mut().insert("RateLimit-Limit", format!("{LIMIT};w=21600").parse().expect("a header"));
        answer.headers_mut().insert("RateLimit-Remaining", left.parse().expect("a header"));
        answer
    });
    let report = project(&server, &names, "").build_exits(exit::DEFERRED, &["get_layer_all"]);
    assert_eq!(pulls(&server), LIMIT, "none was refused: {}", report.listing());
    assert_eq!(report.failed, 0);
}
