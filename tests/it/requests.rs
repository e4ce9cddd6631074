//! What a crawl asks of a server: how many requests, over how many connections, and how many at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode, Version};
use axum::response::Response;
use serde_json::{Value, json};

use crate::support::certificates::Authority;
use crate::support::fault::{self, Manner, Seen, Server, Shelf};
use crate::support::front;
use crate::support::hub::Hub;
use crate::support::images::{Format, Manifest};
use crate::support::project::{Project, walk};
use crate::support::registry::Registry;
use crate::support::stock;
use crate::support::words::exit;

const BUSYBOX: &str = "library/busybox";
/// A target that asks each time, in the cheapest way.
const DIGEST: &str = "    output: result/tags/{repo}.json\n    fresh: digest\n";

fn busybox() -> Manifest {
    stock::busybox().manifest(Format::Oci)
}

/// So many tags of one image.
fn shelf_of(tags: usize) -> Shelf {
    let mut shelf = Shelf::default();
    shelf.put("library/busybox:latest", &busybox());
    (1..tags).for_each(|n| shelf.tag(&format!("library/busybox:v{n}"), busybox().digest()));
    shelf
}

fn project(url: &str, keys: &str) -> Project {
    let project = Project::new(&stock::pipeline_for(url, &[BUSYBOX]));
    project.edit("{kind: registry, ", &format!("{{kind: registry, {keys}"));
    project
}

fn tag_count(project: &Project) -> usize {
    project.json("result/tags/library/busybox.json").as_object().expect("an object").len()
}

/// How many requests there were of each kind: lists of tags, HEADs and GETs of manifests, blobs, tokens, all.
fn kinds(seen: &[Seen]) -> [usize; 6] {
    let count =
        |method: Method, path: &str| seen.iter().filter(|s| s.method == method && s.path.contains(path)).count();
    let manifests = "/manifests/";
    [
        count(Method::GET, "/tags/list"),
        count(Method::HEAD, manifests),
        count(Method::GET, manifests),
        count(Method::GET, "/blobs/"),
        count(Method::GET, "/token"),
        seen.len(),
    ]
}

// How many.

#[test]
fn a_cold_crawl_costs_a_head_a_tag_and_two_gets_an_image_and_a_warm_one_nothing() {
    let server = front::with_tokens(stock::registry());
    let project = Project::new(&stock::pipeline(&server.url()));
    let report = project.build(&[]);
    assert_eq!((report.failed, report.absent), (0, 1), "the artifact: {}", report.listing());
    // Of the seven tags one is of an index, and two are of one image; the artifact has no config.
    let (lists, heads, manifests, configs, tokens) = (4, 7, 7, 5, 4);
    // The first request is the only one that goes without a token.
    let all = lists + 1 + heads + manifests + configs + tokens;
    assert_eq!(kinds(&server.seen()), [lists + 1, heads, manifests, configs, tokens, all]);
    assert_eq!(report.requests, all as u64, "as many are told");
    project.build(&[]).assert_nothing_done();
    assert_eq!(server.seen().len(), all);
}

#[test]
fn a_thousand_tags_that_did_not_move_cost_a_thousand_heads_and_no_get_of_a_manifest() {
    let registry = Registry::start();
    registry.push("library/busybox:latest", &busybox());
    let media_type = [("Content-Type", busybox().media_type)];
    for n in 1..1000 {
        let path = format!("/v2/{BUSYBOX}/manifests/v{n}");
        registry.ask("PUT", &path, &media_type, &busybox().blob.bytes).expect(201);
    }
    let server = front::with_tokens(registry);
    let project = project(&server.url(), "");
    project.edit("    output: result/tags/{repo}.json\n", DIGEST);
    project.build(&[]);
    assert_eq!(tag_count(&project), 1000);
    assert_eq!(kinds(&server.seen()), [2, 1000, 1, 1, 1, 1005], "cold: one image");
    let (before, files) = (server.seen().len(), project.snapshot());
    project.build(&[]);
    assert_eq!(kinds(&server.seen()[before..]), [2, 1000, 0, 0, 1, 1003], "the list, once without a token");
    assert_eq!(files.changes(&project.snapshot()), [""; 0]);
}

#[test]
fn a_thousand_tags_of_the_hub_that_did_not_move_cost_ten_pages() {
    let (mut hub, shelf) = (Hub::default(), shelf_of(1000));
    for tag in shelf.tags(BUSYBOX) {
        hub.put(BUSYBOX, tag, Some(busybox().digest()));
    }
    let (hub, registry) = (hub.serve(), Server::of(shelf));
    let project = Project::new(&stock::pipeline_for("unused", &[BUSYBOX]));
    let keys = format!("{{kind: dockerhub, api: \"{}\", registry: \"{}\"}}", hub.url(), registry.url());
    project.edit("{kind: registry, url: \"unused\"}", &keys);
    project.edit("    output: result/tags/{repo}.json\n", DIGEST);
    project.build(&[]);
    assert_eq!((tag_count(&project), hub.seen().len()), (1000, 10));
    assert_eq!(kinds(&registry.seen()), [0, 0, 1, 1, 0, 2]);
    project.build(&[]);
    assert_eq!((hub.seen().len(), registry.seen().len()), (20, 2));
}

/// An answer with an ETag, or without a body where the client has it.
fn tagged(request: &Seen, version: usize, answer: impl FnOnce() -> Response) -> Response {
    let tag = format!("W/\"{version}-{}\"", request.query.replace(['"', '\\'], ""));
    match request.header("if-none-match") == tag {
        true => fault::reply(StatusCode::NOT_MODIFIED, &[("ETag", &tag)], ""),
        false => {
            let mut answer = answer();
            answer.headers_mut().insert("ETag", tag.parse().expect("a header"));
            answer
        }
    }
}

/// Builds three times, the last time after the lists changed; the lists that were sent with a body each time.
fn bodies(project: &Project, moved: &AtomicUsize, sent: &AtomicUsize) -> [usize; 3] {
    project.edit("    output: result/tags/{repo}.json\n", DIGEST);
    [0, 0, 1].map(|version| {
        moved.store(version, Ordering::SeqCst);
        let files = project.snapshot();
        project.build(&["get_tag"]);
        let is_same = files.changes(&project.snapshot()).is_empty();
        let count = sent.swap(0, Ordering::SeqCst);
        assert_eq!(count == 0, is_same, "{count} were sent");
        count
    })
}

#[test]
fn lists_that_did_not_change_are_not_sent_again() {
    let counters = || (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));

    let (moved, sent) = counters();
    let (shelf, version, count) = (shelf_of(3), Arc::clone(&moved), Arc::clone(&sent));
    let server = Server::start(move |request| match request.path.ends_with("/tags/list") {
        true => tagged(request, version.load(Ordering::SeqCst), || {
            count.fetch_add(1, Ordering::SeqCst);
            let second = if version.load(Ordering::SeqCst) == 0 { "v1" } else { "v2" };
            let mut page = fault::tag_list(BUSYBOX, [if request.param("last").is_empty() { "latest" } else { second }]);
            if request.param("last").is_empty() {
                let link = format!("</v2/{BUSYBOX}/tags/list?last=latest>; rel=\"next\"");
                page.headers_mut().insert("Link", link.parse().expect("a header"));
            }
            page
        }),
        false => shelf.answer(request),
    });
    let registry = project(&server.url(), "");
    assert_eq!(bodies(&registry, &moved, &sent), [2, 0, 2]);
    assert_eq!(registry.read("result/tags/library/busybox.json").matches("\"v2\"").count(), 1);
    // What was kept and is damaged is asked for.
    walk(&registry.path(".layermill/pages"), &mut |page| std::fs::write(page, "rubbish").expect("written"));
    registry.build(&["get_tag"]);
    assert_eq!(sent.load(Ordering::SeqCst), 2);

    let (moved, sent) = counters();
    let (version, count) = (Arc::clone(&moved), Arc::clone(&sent));
    let hub = Server::start(move |request| {
        tagged(request, version.load(Ordering::SeqCst), || {
            count.fetch_add(1, Ordering::SeqCst);
            let mut hub = Hub::default();
            for n in version.load(Ordering::SeqCst)..150 {
                hub.put(BUSYBOX, &format!("v{n}"), Some(busybox().digest()));
            }
            hub.answer(request)
        })
    });
    let by_hub = Project::new(&stock::pipeline_for("unused", &[BUSYBOX]));
    let keys = format!("{{kind: dockerhub, api: \"{}\", registry: \"{}\"}}", hub.url(), server.url());
    by_hub.edit("{kind: registry, url: \"unused\"}", &keys);
    assert_eq!(bodies(&by_hub, &moved, &sent), [2, 0, 2]);

    let (moved, sent) = counters();
    let (version, count) = (Arc::clone(&moved), Arc::clone(&sent));
    let seed = Server::start(move |request| {
        let version = version.load(Ordering::SeqCst);
        tagged(request, version, || {
            count.fetch_add(1, Ordering::SeqCst);
            fault::json(StatusCode::OK, &json!({"latest": version.to_string().repeat(64)}))
        })
    });
    let by_seed = Project::new(&stock::pipeline_for("unused", &[BUSYBOX]));
    by_seed.edit("{kind: registry, url: \"unused\"}", &format!("{{kind: imagelayers, url: \"{}\"}}", seed.url()));
    assert_eq!(bodies(&by_seed, &moved, &sent), [1, 0, 1]);
}

#[test]
fn an_etag_that_is_none_and_a_list_that_is_none_are_not_kept() {
    let shelf = shelf_of(1);
    let server = Server::start(move |request| {
        assert_eq!(request.header("if-none-match"), "");
        let mut answer = shelf.answer(request);
        answer.headers_mut().insert("ETag", "\"a\", \"b\"".parse().expect("a header"));
        answer
    });
    let project = project(&server.url(), "");
    project.edit("    output: result/tags/{repo}.json\n", DIGEST);
    project.build(&["get_tag"]);
    project.build(&["get_tag"]);
    assert_eq!(server.count("/tags/list"), 2);

    // What is no list is not kept, whatever its ETag.
    let server = Server::start(|_| fault::reply(StatusCode::OK, &[("ETag", "\"a\"")], "no list"));
    let project = self::project(&server.url(), "");
    project.build_exits(exit::FAILED, &["get_tag"]);
    assert!(!project.exists(".layermill/pages"));
}

// Over which connections.

#[test]
fn http_2_is_spoken_where_it_is_offered_over_one_connection() {
    let authority = Authority::new();
    for (offered, version) in [(vec!["h2", "http/1.1"], Version::HTTP_2), (vec!["http/1.1"], Version::HTTP_11)] {
        let (shelf, tls) = (shelf_of(200), Some(authority.acceptor(&offered)));
        let server = Server::start_as(Manner { tls, ..Manner::default() }, move |request| shelf.answer(request));
        let project = project(&server.url(), "ca: ca.pem, concurrency: 4, ");
        std::fs::copy(authority.file("ca.pem"), project.path("ca.pem")).expect("copied");
        let report = project.build(&[]);
        assert_eq!((report.absent, tag_count(&project)), (0, 200), "{}", report.listing());
        let seen = server.seen();
        assert!(seen.len() > 200 && seen.iter().all(|request| request.version == version), "{version:?}");
        match version {
            Version::HTTP_2 => assert_eq!(server.connections(), 1),
            // While one is made for a request, another may become free for it.
            _ => assert!(server.connections() <= 8, "{} connections", server.connections()),
        }
    }
}

#[test]
fn connections_are_used_again() {
    let server = Server::of(shelf_of(300));
    let project = project(&server.url(), "concurrency: 4, ");
    project.build(&[]);
    assert_eq!(tag_count(&project), 300);
    assert!(server.connections() <= 8, "{} connections", server.connections());
}

// How many at once.

/// Repositories of fifty tags each, which are asked about together.
const MANY: usize = 20;

fn many() -> Vec<String> {
    (0..MANY).map(|n| format!("team/app-{n}")).collect()
}

/// A server that has them and answers `refusal` while more than so many requests are under way.
fn weak(bears: usize, refusal: fn() -> Response) -> Server {
    let (mut shelf, latency) = (Shelf::default(), Duration::from_millis(4));
    for repo in many() {
        (0..50).for_each(|n| shelf.put(&format!("{repo}:v{n}"), &busybox()));
    }
    Server::start_as(Manner { latency, ..Manner::default() }, move |request| match request.together {
        n if n > bears => refusal(),
        _ => shelf.answer(request),
    })
}

fn project_of_many(server: &Server, keys: &str) -> Project {
    let names = many();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let project = Project::new(&stock::pipeline_for(&server.url(), &names));
    project.edit("{kind: registry, ", &format!("{{kind: registry, {keys}"));
    project
}

/// What is told of hosts by `--format json`.
fn hosts(stdout: &str) -> Vec<Value> {
    let report: Value = serde_json::from_str(stdout).expect("a report");
    report["hosts"].as_array().expect("hosts").clone()
}

#[test]
fn a_host_that_bears_few_requests_at_once_is_sent_few() {
    let refusals: [fn() -> Response; 3] = [
        || fault::error(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        || fault::error(StatusCode::TOO_MANY_REQUESTS, "SLOW_DOWN"),
        || fault::error(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
    ];
    for refusal in refusals {
        let server = weak(5, refusal);
        let project = project_of_many(&server, "");
        let run = project.run(&["build", "get_tag", "--format", "json"]).exits(exit::DONE);
        let refused = server.seen().iter().filter(|request| request.together > 5).count();
        // With 32 at once all the while, most would be.
        assert!((1..=600).contains(&refused), "{refused} of {} were refused", server.seen().len());
        let told = hosts(&run.stdout);
        assert_eq!((told.len(), &told[0]["host"]), (1, &json!(server.url())), "{told:?}");
        assert!(told[0]["backed_off"].as_u64() >= Some(2), "{told:?}");
        assert!(run.stderr.contains(&format!("{}: backed off ", server.url())), "{run}");
    }
}

#[test]
fn where_all_goes_well_as_many_as_may_be_are_under_way_and_nothing_is_said() {
    let server = weak(500, || unreachable!());
    let project = project_of_many(&server, "concurrency: 20, ");
    let run = project.run(&["build", "get_tag", "--format", "json"]).exits(exit::DONE);
    assert_eq!(server.seen().iter().map(|request| request.together).max(), Some(20));
    assert!(hosts(&run.stdout).is_empty() && !run.stderr.contains("backed off"), "{run}");
}

#[test]
fn where_blobs_are_elsewhere_it_is_that_host_that_is_sent_few() {
    let mut shelf = Shelf::default();
    for n in 0..60 {
        shelf.put(&format!("library/busybox:v{n}"), &stock::busybox().env("N", &n.to_string()).manifest(Format::Oci));
    }
    let (blobs, latency) = (shelf.clone(), Duration::from_millis(4));
    let storage = Server::start_as(Manner { latency, ..Manner::default() }, move |request| match request.together {
        n if n > 2 => fault::error(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        _ => blobs.answer(request),
    });
    let to = storage.url();
    let server = Server::start(move |request| match request.path.contains("/blobs/") {
        true => fault::reply(StatusCode::TEMPORARY_REDIRECT, &[("Location", &format!("{to}{}", request.path))], ""),
        false => shelf.answer(request),
    });
    let project = project(&server.url(), "");
    let run = project.run(&["build", "--format", "json"]).exits(exit::DONE);
    let told = hosts(&run.stdout);
    assert_eq!((told.len(), &told[0]["host"]), (1, &json!(storage.url())), "{told:?}");
    let refused = storage.seen().iter().filter(|request| request.together > 2).count();
    assert!((1..=90).contains(&refused), "{refused} of {} were refused", storage.seen().len());
}

#[test]
fn a_host_that_asks_to_be_left_alone_is_left_alone_by_all() {
    let (shelf, refused, asked) = (shelf_of(300), Mutex::new(None), AtomicUsize::new(0));
    let came = Arc::new(Mutex::new(Vec::new()));
    let times = Arc::clone(&came);
    let server = Server::start(move |request| {
        let mut refused = refused.lock().expect("no one panicked");
        if let Some(at) = *refused {
            times.lock().expect("no one panicked").push(Instant::now() - at);
        } else if asked.fetch_add(1, Ordering::SeqCst) == 50 {
            *refused = Some(Instant::now());
            return fault::reply(StatusCode::TOO_MANY_REQUESTS, &[("Retry-After", "2")], "slow down");
        }
        shelf.answer(request)
    });
    let project = project(&server.url(), "concurrency: 8, ");
    project.build(&[]);
    assert_eq!(tag_count(&project), 300);
    let came = came.lock().expect("no one panicked");
    // What was under way when it said so still arrives.
    let (soon, late) = (Duration::from_millis(900), Duration::from_millis(1990));
    let meanwhile = came.iter().filter(|at| (soon..late).contains(at)).count();
    assert!(meanwhile == 0 && came.iter().filter(|at| **at >= late).count() > 200, "{came:?}");
}

#[test]
fn where_the_wait_is_too_long_nobody_else_asks() {
    let server =
        Server::start(|_| fault::reply(StatusCode::SERVICE_UNAVAILABLE, &[("Retry-After", "3600")], "maintenance"));
    let names: Vec<_> = (0..50).map(|n| format!("team/app-{n}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let project = Project::new(&stock::pipeline_for(&server.url(), &names));
    let report = project.build_exits(exit::FAILED, &["get_tag"]);
    assert_eq!((report.failed, server.seen().len()), (50, 1), "{}", report.listing());
    assert!(
        report.stderr.contains("asks to be left alone (503 Service Unavailable), to be asked again in 3"),
        "{}",
        report.stderr
    );
}

#[test]
fn a_mirror_that_asks_to_be_left_alone_is_not_waited_for() {
    let mirror = Server::start(|_| fault::reply(StatusCode::SERVICE_UNAVAILABLE, &[("Retry-After", "500")], ""));
    let own = Server::of(shelf_of(40));
    let project = project(&own.url(), &format!("mirrors: [\"{}\"], ", mirror.url()));
    let began = Instant::now();
    project.build(&[]);
    assert_eq!((tag_count(&project), mirror.seen().len()), (40, 1));
    assert!(began.elapsed() < Duration::from_secs(200));
}
