//! How registries ask who asks: by one challenge for all of a host, or by one a repository; by token servers of all kinds.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::support::fault::{self, Seen, Server, Shelf};
use crate::support::images::Format;
use crate::support::project::{Project, Report};
use crate::support::stock;
use crate::support::words::outcome;

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
fn a_token_that_is_denied_costs_one_look_at_what_the_repository_itself_wants() {
    let server = Server::start(|request| match request.path.as_str() {
        "/token" => fault::error(StatusCode::FORBIDDEN, "DENIED"),
        _ => fault::challenge(&format!("Bearer realm=\"{}/token\",service=\"bed\"", request.server())),
    });
    let project = Project::new(&stock::pipeline_for(&server.url(), &REPOSITORIES));
    let report = project.build(&["get_tag"]);
    assert_eq!(report.absent, REPOSITORIES.len() as u64, "{}", report.listing());
    assert_eq!((server.count("/token"), server.count("/v2/")), (REPOSITORIES.len(), REPOSITORIES.len()));
}
