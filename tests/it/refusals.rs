//! What a 401 or 403 means: there is nothing for us where a registry says so; anything else is a failure, and costs nothing
//! of what was made before.

use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::support::certificates::Authority;
use crate::support::fault::{self, Manner, Seen, Server, Shelf};
use crate::support::images::Format;
use crate::support::project::Project;
use crate::support::stock;
use crate::support::words::exit;

const BUSYBOX: &str = "library/busybox";
const TAG: &str = "get_tag@repo=library/busybox";

fn shelf() -> Shelf {
    let mut shelf = Shelf::default();
    shelf.put("library/busybox:latest", &stock::busybox().manifest(Format::Oci));
    shelf
}

/// A registry, until it is told to answer something else.
struct Turning {
    server: Server,
    answer: Arc<Mutex<Option<Answer>>>,
}

type Answer = fn(&Seen) -> Option<Response>;

impl Turning {
    fn start() -> Self {
        let (shelf, answer) = (shelf(), Arc::new(Mutex::new(None::<Answer>)));
        let told = Arc::clone(&answer);
        let server = Server::start(move |seen| {
            let told = *told.lock().expect("no one panicked");
            told.and_then(|answer| answer(seen)).unwrap_or_else(|| shelf.answer(seen))
        });
        Self { server, answer }
    }

    fn turns(&self, answer: Answer) {
        *self.answer.lock().expect("no one panicked") = Some(answer);
    }

    fn project(&self, keys: &str) -> Project {
        let project = Project::new(&stock::pipeline_for(&self.server.url(), &[BUSYBOX]));
        project.edit("{kind: registry, ", &format!("{{kind: registry, {keys}"));
        project
    }
}

fn page(status: StatusCode, challenge: &str) -> Response {
    let body = "<html><head><title>Blocked by the firewall</title></head></html>";
    let headers = [("Content-Type", "text/html; charset=utf-8"), ("WWW-Authenticate", challenge)];
    fault::reply(status, &headers[..if challenge.is_empty() { 1 } else { 2 }], body)
}

#[test]
fn what_no_registry_says_is_a_failure_that_removes_nothing() {
    let answers: [(Answer, &str); 8] = [
        (|_| Some(page(StatusCode::FORBIDDEN, "")), "`text/html`: Blocked by the firewall"),
        (|_| Some(fault::json(StatusCode::FORBIDDEN, &json!({"message": "Forbidden"}))), "`application/json`"),
        (|_| Some(fault::reply(StatusCode::FORBIDDEN, &[], "")), "of no type"),
        (|seen| seen.path.contains("/manifests/").then(|| page(StatusCode::FORBIDDEN, "")), "/manifests/latest: 403"),
        (|_| Some(fault::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED")), "without saying how"),
        (|_| Some(page(StatusCode::UNAUTHORIZED, "Digest realm=\"x\", nonce=\"n\"")), "none of ours: `Digest realm"),
        (|_| Some(page(StatusCode::UNAUTHORIZED, "Bearer")), "none of ours: `Bearer`"),
        (|_| Some(page(StatusCode::UNAUTHORIZED, "Bearer realm=\"/token\"")), "`Bearer realm=\"/token\"`"),
    ];
    for (answer, says) in answers {
        let registry = Turning::start();
        let project = registry.project("username: bed, password: unused, ");
        project.build(&[]);
        let before = project.snapshot();
        registry.turns(answer);
        let report = project.build_exits(exit::FAILED, &["--refresh"]);
        let message = report.step(TAG).message.as_deref().unwrap_or_default();
        assert!(message.contains(says), "{says}: {message}");
        let is_login = says.contains("none of ours") || says.contains("saying how") || says.contains("realm");
        assert_eq!(message.contains("could not be offered"), is_login, "{message}");
        assert_eq!(report.absent, 0, "{says}: {}", report.listing());
        project.snapshot().assert_same_bytes(&before, "result/");
    }
}

#[test]
fn what_registries_say_is_an_absence() {
    let answers: [Answer; 3] = [
        |_| Some(fault::error(StatusCode::FORBIDDEN, "DENIED")),
        |_| Some(fault::error(StatusCode::NOT_FOUND, "NAME_UNKNOWN")),
        // Whatever the page is, this is how one is asked for a password.
        |_| Some(page(StatusCode::UNAUTHORIZED, "Basic realm=\"bed\"")),
    ];
    for answer in answers {
        let registry = Turning::start();
        let project = registry.project("");
        project.build(&[]);
        registry.turns(answer);
        let report = project.build(&["--refresh"]);
        assert_eq!((report.absent, report.failed), (1, 0), "{}", report.listing());
    }
}

#[test]
fn a_page_of_a_list_that_is_refused_fails_as_one_that_is_gone() {
    for status in [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND] {
        let shelf = shelf();
        let server = Server::start(move |seen| match (seen.path.ends_with("/tags/list"), seen.param("last")) {
            (true, "") => {
                let mut page = fault::tag_list(BUSYBOX, ["latest"]);
                page.headers_mut().insert("Link", "<list?last=latest>; rel=\"next\"".parse().expect("a header"));
                page
            }
            (true, _) => fault::error(status, "DENIED"),
            _ => shelf.answer(seen),
        });
        let project = Project::new(&stock::pipeline_for(&server.url(), &[BUSYBOX]));
        let report = project.build_exits(exit::FAILED, &["get_tag"]);
        assert!(report.stderr.contains(status.as_str()), "{}", report.stderr);
        assert_eq!(report.absent, 0, "{}", report.listing());
    }
}

#[test]
fn a_list_is_asked_for_without_a_number_where_a_registry_says_that_it_is_too_large_and_nobody_else() {
    for (is_theirs, asked, code) in [(true, 2, exit::DONE), (false, 1, exit::FAILED)] {
        let shelf = shelf();
        let server = Server::start(move |seen| match seen.param("n") {
            "" => shelf.answer(seen),
            _ if is_theirs => fault::error(StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID"),
            _ => page(StatusCode::BAD_REQUEST, ""),
        });
        let project = Project::new(&stock::pipeline_for(&server.url(), &[BUSYBOX]));
        let report = project.build_exits(code, &["get_tag"]);
        assert_eq!(server.count("/tags/list"), asked, "{}", report.listing());
        let is_told = report.stderr.contains("400 Bad Request: Blocked by the firewall");
        assert_eq!(is_told, code == exit::FAILED, "{}", report.stderr);
    }
}

#[test]
fn the_encrypted_side_of_a_host_is_followed_to_and_named_where_it_wants_to_know_who_asks() {
    let authority = Authority::new();
    for is_open in [true, false] {
        let shelf = shelf();
        let answer = move |seen: &Seen| match is_open {
            true => shelf.answer(seen),
            false => fault::challenge("Bearer realm=\"https://127.0.0.1:1/token\""),
        };
        let manner = Manner { tls: Some(authority.acceptor(&["http/1.1"])), ..Manner::default() };
        let encrypted = Server::start_as(manner, answer);
        let to = encrypted.url();
        let there = to.clone();
        let plain = Server::start(move |seen| {
            let query = if seen.query.is_empty() { String::new() } else { format!("?{}", seen.query) };
            let place = format!("{there}{}{query}", seen.path);
            fault::reply(StatusCode::MOVED_PERMANENTLY, &[("Location", &place)], "")
        });
        let project = Project::new(&stock::pipeline_for(&plain.url(), &[BUSYBOX, "library/none"]));
        let ca = authority.file("ca.pem").display().to_string();
        project.edit("{kind: registry, ", &format!("{{kind: registry, ca: \"{ca}\", "));
        if is_open {
            let report = project.build(&[]);
            assert_eq!((report.absent, report.failed), (1, 0), "{}", report.listing());
            continue;
        }
        let report = project.build_exits(exit::FAILED, &["get_tag"]);
        assert!(report.stderr.contains(&format!("say `url: {to}` on the source")), "{}", report.stderr);
        assert_eq!((plain.seen().len(), encrypted.seen().len()), (2, 2), "each repository once");
    }
}
