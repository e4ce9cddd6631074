//! How registries ask who asks: by one challenge for all of a host, or by one a repository; by token servers of all kinds.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::support::fault::{self, Seen, Server, Shelf};
use crate::support::images::Format;
use crate::support::project::{Project, Report};
use crate::support::stock;
use crate::support::words::{exit, outcome};

const REPOSITORIES: [&str; 6] = ["north/a", "north/b", "north/c", "south/a", "south/b", "south/c"];

fn shelf() -> Shelf {
    let mut shelf = Shelf::default();
    for repo in REPOSITORIES {
        shelf.put(&format!("{repo}:latest"), &stock::busybox().env("OF", repo).manifest(Format::Oci));
    }
    shelf
}

fn token(text: &str) -> Response {
    fault::json(StatusCode::OK, &json!({"token": text, "expires_in": 300}))
}

/// The repository that a request, or the scope of one for a token, is about.
fn namespace(request: &Seen) -> &'static str {
    let all = format!("{} {}", request.path, request.query);
    if all.contains("north") { "north" } else { "south" }
}

/// One host with a registry for each namespace behind it: their tokens come from `/token/NAMESPACE`, and each token server
/// answers for repositories that are not its own as `stranger` says.
fn two_behind_one(stranger: fn() -> Response) -> Server {
    let shelf = shelf();
    Server::start(move |request| {
        let whose = namespace(request);
        if let Some(asked) = request.path.strip_prefix("/token/") {
            let knows = asked == whose && request.param("service") == whose;
            return if knows { token(whose) } else { stranger() };
        }
        if request.header("authorization") == format!("Bearer {whose}") {
            return shelf.answer(request);
        }
        let realm = format!("{}/token/{whose}", request.server());
        fault::challenge(&format!("Bearer realm=\"{realm}\",service=\"{whose}\""))
    })
}

fn refusals(server: &Server) -> usize {
    let is_refused = |seen: &&Seen| {
        seen.path.starts_with("/v2/") && seen.header("authorization") != format!("Bearer {}", namespace(seen))
    };
    server.seen().iter().filter(is_refused).count()
}

#[track_caller]
fn assert_all_built(report: &Report) {
    assert_eq!((report.absent, report.failed), (0, 0), "{}", report.listing());
    for repo in REPOSITORIES {
        assert_eq!(report.step(&format!("get_tag@repo={repo}")).outcome, outcome::BUILT, "{}", report.listing());
    }
}

#[test]
fn repositories_of_one_host_may_have_token_servers_of_their_own() {
    let strangers: [fn() -> Response; 4] = [
        || token("for somebody else"),
        || fault::error(StatusCode::FORBIDDEN, "DENIED"),
        || fault::error(StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
        || fault::reply(StatusCode::BAD_REQUEST, &[], "unknown service"),
    ];
    for stranger in strangers {
        let server = two_behind_one(stranger);
        let project = Project::new(&stock::pipeline_for(&server.url(), &REPOSITORIES));
        assert_all_built(&project.build(&[]));
        assert!(refusals(&server) <= REPOSITORIES.len(), "{} refusals", refusals(&server));
        assert!(server.count("/token/") <= 2 * REPOSITORIES.len(), "{} tokens", server.count("/token/"));
    }
}

#[test]
fn a_login_goes_to_each_of_the_token_servers_of_its_host() {
    let server = two_behind_one(|| fault::error(StatusCode::FORBIDDEN, "DENIED"));
    let url = server.url().replacen("http://", "http://bed:open@", 1);
    let project = Project::new(&stock::pipeline_for(&url, &REPOSITORIES));
    assert_all_built(&project.build(&[]));
}

#[test]
fn a_token_that_is_denied_costs_one_look_at_what_is_wanted_a_namespace() {
    let server = Server::start(|request| match request.path.as_str() {
        "/token" => fault::error(StatusCode::FORBIDDEN, "DENIED"),
        _ => fault::challenge(&format!("Bearer realm=\"{}/token\",service=\"bed\"", request.server())),
    });
    let project = Project::new(&stock::pipeline_for(&server.url(), &REPOSITORIES));
    project.edit("{kind: registry, ", "{kind: registry, concurrency: 1, ");
    let report = project.build(&["get_tag"]);
    assert_eq!(report.absent, REPOSITORIES.len() as u64, "{}", report.listing());
    assert_eq!((server.count("/token"), server.count("/v2/")), (REPOSITORIES.len(), 2));
}

/// A registry whose token server answers as `grant` says, the first so many requests as `fails` does.
fn with_token_server(
    times: usize,
    fails: fn() -> Response,
    grant: impl Fn(&Seen) -> Response + Send + Sync + 'static,
) -> Server {
    let (shelf, failed) = (shelf(), AtomicUsize::new(0));
    Server::start(move |request| {
        if request.path == "/token" {
            return if failed.fetch_add(1, Ordering::SeqCst) < times { fails() } else { grant(request) };
        }
        if request.header("authorization") == "Bearer open" {
            return shelf.answer(request);
        }
        fault::challenge(&format!("Bearer realm=\"{}/token\",service=\"bed\"", request.server()))
    })
}

#[test]
fn tokens_in_all_the_forms_that_servers_give() {
    for granted in [
        json!({"token": "open"}),
        json!({"access_token": "open"}),
        json!({"token": "open", "access_token": "open", "expires_in": 300, "issued_at": "2024-05-18T23:00:00Z"}),
        json!({"token": "", "access_token": "open", "expires_in": 3600, "scope": "", "refresh_token": "unused"}),
        json!({"token": "open", "expires_in": 0}),
        json!({"token": "open", "expires_in": null}),
        json!({"token": "open", "expires_in": "300"}),
    ] {
        let answer = granted.clone();
        let server = with_token_server(0, || token(""), move |_| fault::json(StatusCode::OK, &answer));
        let project = Project::new(&stock::pipeline_for(&server.url(), &REPOSITORIES));
        assert_all_built(&project.build(&[]));
        assert_eq!(server.count("/token"), REPOSITORIES.len(), "one a repository: {granted}");
        assert_eq!(refusals_without(&server, "Bearer open"), 1, "{granted}");
    }
}

fn refusals_without(server: &Server, login: &str) -> usize {
    server.seen().iter().filter(|s| s.path.starts_with("/v2/") && s.header("authorization") != login).count()
}

#[test]
fn a_token_server_that_fails_for_a_while_is_asked_again() {
    let faults: [fn() -> Response; 5] = [
        || fault::reply(StatusCode::INTERNAL_SERVER_ERROR, &[], ""),
        || fault::reply(StatusCode::SERVICE_UNAVAILABLE, &[("Retry-After", "1")], ""),
        || fault::reply(StatusCode::TOO_MANY_REQUESTS, &[("Retry-After", "1")], "slow down"),
        || fault::reply(StatusCode::BAD_GATEWAY, &[], "<html>"),
        fault::breaks_off,
    ];
    for fails in faults {
        let server = with_token_server(2, fails, |_| token("open"));
        let project = Project::new(&stock::pipeline_for(&server.url(), &REPOSITORIES));
        assert_all_built(&project.build(&[]));
        assert_eq!(server.count("/token"), REPOSITORIES.len() + 2);
    }
}

#[test]
fn a_token_server_that_is_silent_is_waited_for_by_all_together() {
    let server = with_token_server(1, fault::stalls, |_| token("open"));
    let repositories = &REPOSITORIES[..1];
    let project = Project::new(&stock::pipeline_for(&server.url(), repositories));
    project.edit("{kind: registry, ", "{kind: registry, idle_timeout: 1s, ");
    let report = project.build(&[]);
    assert_eq!((report.failed, report.absent, server.count("/token")), (0, 0, 2), "{}", report.listing());
}

#[test]
fn a_token_server_that_has_no_more_to_give_puts_the_steps_off() {
    let spent = || fault::error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS");
    let server = with_token_server(usize::MAX, spent, |_| token("open"));
    let project = Project::new(&stock::pipeline_for(&server.url(), &REPOSITORIES));
    project.edit("{kind: registry, ", "{kind: registry, concurrency: 1, ");
    let report = project.build_exits(exit::DEFERRED, &["get_tag"]);
    assert_eq!((report.deferred, report.failed), (REPOSITORIES.len() as u64, 0), "{}", report.listing());
    assert!(server.count("/token") <= REPOSITORIES.len(), "{} tokens", server.count("/token"));
}

#[test]
fn what_is_no_token_is_never_shown() {
    for answer in ["hidden-3Xw", "{\"token\": [\"hidden-3Xw\"]}", "{\"token\": \"hidden-3Xw\\n\"}", "{}"] {
        let server = with_token_server(0, || token(""), move |_| fault::reply(StatusCode::OK, &[], answer));
        let project = Project::new(&stock::pipeline_for(&server.url(), &REPOSITORIES));
        let report = project.build_exits(exit::FAILED, &["get_tag"]);
        assert!(report.stderr.contains("expected a token"), "{}", report.stderr);
        assert!(!report.stderr.contains("hidden-3Xw"), "{}", report.stderr);
        assert_eq!(server.count("/token"), REPOSITORIES.len(), "it would be no other");
    }
}
