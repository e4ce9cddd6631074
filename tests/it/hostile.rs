//! Registries that lie, break and stall: what they do to one image is said, and does nothing to the others.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::sync::Mutex;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::stream;
use serde_json::json;

use crate::support::fault::{self, Seen, Server, Shelf};
use crate::support::images::{Format, Manifest};
use crate::support::project::{Project, Report, walk};
use crate::support::stock;
use crate::support::words::{exit, outcome};

/// Another image, which has to be built whatever happens to the one under attack.
const GOOD: &str = "library/good";
const BAD: &str = "library/bad";

/// The good image, and busybox as the bad one's `latest` until the test says otherwise.
fn shelf() -> Shelf {
    let mut shelf = Shelf::default();
    shelf.put(&format!("{GOOD}:latest"), &stock::redis("7.4.1").manifest(Format::Oci));
    shelf
}

fn bad(tag: &str) -> String {
    format!("{BAD}:{tag}")
}

/// Builds from a server and proves that no more than the bad image failed, and that nothing was written but below
/// `result/` and `.layermill/`.
fn attacked(server: &Server, project: &Project, code: i32) -> Report {
    let report = project.build_exits(code, &[]);
    let good = project.json(&format!("result/layers/{GOOD}/latest.json"));
    assert_eq!(good[0]["repo"]["count"], stock::redis("7.4.1").count(), "the other image is unaffected");
    for name in project.snapshot().names() {
        assert!(name.starts_with("result/") || name == "pipeline.yaml", "{name} was written");
    }
    let around: Vec<_> =
        fs::read_dir(project.around()).expect("there").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(around.len(), 2, "the project and the home folder: {around:?}");
    assert!(server.seen().iter().all(|s| !s.path.contains("..")), "a path was taken from the registry");
    report
}

fn project(server: &Server) -> Project {
    let project = Project::new(&stock::pipeline_for(&server.url(), &[GOOD, BAD]));
    // Faults that last are given up soon.
    project.edit("    source: ours\n", "    source: ours\n    retries: 1\n    timeout: 3s\n");
    project
}

/// An image that is refused: its layer step fails, and says each of these words.
fn refused(shelf: Shelf, says: &[&str]) -> (Server, Project) {
    refused_by(Server::of(shelf), says)
}

fn refused_by(server: Server, says: &[&str]) -> (Server, Project) {
    let project = project(&server);
    let report = attacked(&server, &project, exit::FAILED);
    let step = report.step("get_layer_all@repo=library/bad,tag=latest");
    assert_eq!(step.outcome, outcome::FAILED, "{}", report.listing());
    for words in says {
        assert!(report.stderr.contains(words), "`{words}` is not said: {}", report.stderr);
    }
    assert!(!project.exists("result/layers/library/bad/latest.json"));
    (server, project)
}

/// Whether a piece of text is in any file that layermill keeps.
fn keeps(project: &Project, text: &str) -> bool {
    let mut found = false;
    walk(&project.path(".layermill"), &mut |path| {
        let bytes = fs::read(path).expect("read");
        found |= bytes.windows(text.len()).any(|w| w == text.as_bytes());
    });
    found
}

#[test]
fn tags_outside_the_grammar_are_left_out_and_named() {
    let mut shelf = shelf();
    let image = stock::busybox().manifest(Format::Oci);
    shelf.put(&bad("latest"), &image);
    shelf.put(&bad("fine"), &image);
    let long = "a".repeat(5000);
    let listed =
        ["../../x", "latest", &long, "fine", "latest", "", ".dot", "a/b", "a b", "\u{1b}[31mred"].map(str::to_owned);
    let server = Server::start(move |request| match request.path.as_str() {
        "/v2/library/bad/tags/list" => fault::tag_list(BAD, listed.iter().map(String::as_str)),
        _ => shelf.answer(request),
    });
    let project = project(&server);
    let report = attacked(&server, &project, exit::DONE);
    assert_eq!(report.failed, 0, "{}", report.listing());
    let tags = project.json("result/tags/library/bad.json");
    assert_eq!(tags.as_object().expect("tags").keys().collect::<Vec<_>>(), ["fine", "latest"]);
    assert!(report.stderr.contains("../../x") && report.stderr.contains(".dot"), "{}", report.stderr);
    assert!(!report.stderr.contains(&long), "5,000 characters on the screen");
    assert!(!report.stderr.contains('\u{1b}'), "the terminal is the registry's to paint");
}

#[test]
fn a_tag_that_is_gone_when_it_is_asked_about_is_left_out_and_named() {
    let mut shelf = shelf();
    shelf.put(&bad("latest"), &stock::busybox().manifest(Format::Oci));
    let server = Server::start(move |request| match request.path.as_str() {
        "/v2/library/bad/tags/list" => fault::tag_list(BAD, ["latest", "vanished"]),
        _ => shelf.answer(request),
    });
    let project = project(&server);
    let report = attacked(&server, &project, exit::DONE);
    assert!(report.stderr.contains("vanished"), "{}", report.stderr);
    assert_eq!(project.json("result/tags/library/bad.json").as_object().expect("tags").len(), 1);
}

#[test]
fn a_tag_list_that_is_not_one() {
    for body in ["not json", "<html></html>", "{\"name\": \"x\"", "[]", "{\"tags\": 7}", "{\"tags\": [1, {}]}", ""] {
        let shelf = shelf();
        let server = Server::start(move |request| match request.path.as_str() {
            "/v2/library/bad/tags/list" => fault::reply(StatusCode::OK, &[("Content-Type", "application/json")], body),
            _ => shelf.answer(request),
        });
        let project = project(&server);
        let report = attacked(&server, &project, exit::FAILED);
        assert_eq!(report.step("get_tag@repo=library/bad").outcome, outcome::FAILED, "{body}: {}", report.listing());
        assert!(!project.exists("result/tags/library/bad.json"), "{body}");
    }
}

#[test]
fn a_list_without_tags_is_an_empty_one() {
    let shelf = shelf();
    let server = Server::start(move |request| match request.path.as_str() {
        "/v2/library/bad/tags/list" => fault::json(StatusCode::OK, &json!({"name": BAD, "tags": null})),
        _ => shelf.answer(request),
    });
    let project = project(&server);
    attacked(&server, &project, exit::DONE);
    assert_eq!(project.read("result/tags/library/bad.json"), "{}\n");
}

#[test]
fn a_manifest_of_50_mib() {
    let mut shelf = shelf();
    let image = stock::busybox().manifest(Format::Oci);
    let mut bytes = image.blob.bytes.to_vec();
    bytes.resize(50 << 20, b' ');
    shelf.put_bytes(&bad("latest"), Format::Oci.manifest(), bytes);
    let (_server, project) = refused(shelf, &["4 MiB"]);
    walk(&project.path(".layermill"), &mut |path| {
        assert!(fs::metadata(path).expect("there").len() < 1 << 20, "{} is big", path.display());
    });
}

#[test]
fn a_manifest_without_end() {
    let mut shelf = shelf();
    shelf.put(&bad("latest"), &stock::busybox().manifest(Format::Oci));
    let digest = shelf.digest(&bad("latest")).to_owned();
    let server = Server::start(move |request| {
        if !request.path.starts_with("/v2/library/bad/manifests/") || request.method == "HEAD" {
            return shelf.answer(request);
        }
        // No length is announced, and it never ends.
        let blanks = stream::repeat(Ok::<_, Infallible>(Bytes::from_static(&[b' '; 65536])));
        let headers = [("Content-Type", Format::Oci.manifest()), ("Docker-Content-Digest", &digest)];
        fault::reply(StatusCode::OK, &headers, Body::from_stream(blanks))
    });
    refused_by(server, &["4 MiB"]);
}

#[test]
fn a_manifest_that_is_not_json() {
    let mut shelf = shelf();
    shelf.put_bytes(&bad("latest"), Format::Oci.manifest(), "this is not json");
    let (_server, project) = refused(shelf, &["JSON"]);
    assert!(!keeps(&project, "this is not json"), "bad bytes are never stored");
}

#[test]
fn a_manifest_of_an_unknown_type() {
    let mut shelf = shelf();
    shelf.put_bytes(&bad("latest"), "application/vnd.example.riddle+json", "{\"riddle\": true}");
    refused(shelf, &["application/vnd.example.riddle+json"]);
}

#[test]
fn sizes_that_are_negative_or_no_numbers() {
    let image = stock::busybox().manifest(Format::Oci);
    let text = String::from_utf8(image.blob.bytes.to_vec()).expect("JSON");
    let size = format!("\"size\":{}}}]", image.blobs[1].bytes.len());
    assert!(text.contains(&size), "the layer's size is the last one");
    for lie in ["-1112820", "1e300", "\"many\"", "null", "99999999999999999999999"] {
        let mut shelf = shelf();
        shelf.put(&bad("other"), &image);
        let bytes = text.replace(&size, &format!("\"size\":{lie}}}]"));
        shelf.put_bytes(&bad("latest"), Format::Oci.manifest(), bytes);
        refused(shelf, &["size"]);
    }
}

#[test]
fn sizes_whose_sum_is_too_big_for_a_number() {
    let image = stock::nginx("amd64", "1.27.2").manifest(Format::Oci);
    let mut manifest: serde_json::Value = serde_json::from_slice(&image.blob.bytes).expect("JSON");
    for layer in manifest["layers"].as_array_mut().expect("layers") {
        layer["size"] = json!(i64::MAX);
    }
    let mut shelf = shelf();
    shelf.put(&bad("other"), &image);
    shelf.put_bytes(&bad("latest"), Format::Oci.manifest(), manifest.to_string());
    refused(shelf, &["size"]);
}

#[test]
fn content_that_is_not_what_its_digest_says() {
    let image = stock::busybox().manifest(Format::Oci);
    let config = image.blobs[0].clone();
    for place in ["/manifests/", "/blobs/"] {
        let mut shelf = shelf();
        shelf.put(&bad("latest"), &image);
        let claimed = if place == "/blobs/" { config.clone() } else { image.blob.clone() };
        let server = Server::start(move |request| {
            if request.method == "HEAD" || !request.path.starts_with(&format!("/v2/library/bad{place}")) {
                return shelf.answer(request);
            }
            // Of the size that was announced, so that only the digest can tell.
            let mut forged = b"{\"forged\":\"by the tests\"}".to_vec();
            forged.resize(claimed.bytes.len(), b' ');
            fault::content(request, Format::Oci.manifest(), &claimed.digest, forged.into())
        });
        let (_server, project) = refused_by(server, &["sha256:"]);
        assert!(!keeps(&project, "by the tests"), "bad bytes are never stored");
    }
}

#[test]
fn history_that_does_not_fit_the_layers_is_taken_as_far_as_it_goes() {
    let image = stock::nginx("amd64", "1.27.2").manifest(Format::Oci);
    let config: serde_json::Value = serde_json::from_slice(&image.blobs[0].bytes).expect("JSON");
    let none = config["history"].as_array().expect("history")[..0].to_vec();
    let short = config["history"].as_array().expect("history")[..1].to_vec();
    let long = [config["history"].as_array().expect("history").clone(), vec![json!({"created_by": "RUN one more"}); 2]]
        .concat();
    for (history, count) in [(none, Some(3)), (short, Some(3)), (long, None)] {
        let mut config = config.clone();
        config["history"] = json!(history);
        let mut shelf = shelf();
        shelf.put(&bad("other"), &image);
        let bytes = config.to_string();
        let mut manifest: serde_json::Value = serde_json::from_slice(&image.blob.bytes).expect("JSON");
        manifest["config"]["size"] = json!(bytes.len());
        manifest["config"]["digest"] = json!(shelf.put_blob(bytes));
        shelf.put_bytes(&bad("latest"), Format::Oci.manifest(), manifest.to_string());
        let server = Server::of(shelf);
        let project = project(&server);
        match count {
            // Layers that no entry speaks of are layers all the same.
            Some(count) => {
                attacked(&server, &project, exit::DONE);
                let image = &project.json("result/layers/library/bad/latest.json")[0];
                assert_eq!(image["repo"]["count"], count);
                assert_eq!(image["repo"]["size"], stock::nginx("amd64", "1.27.2").size());
            }
            // Entries that want layers that are not there: said, or left out, but no crash.
            None => {
                let run = project.run(&["build"]);
                assert!([exit::DONE, exit::FAILED].contains(&run.code), "{run}");
                assert!(!run.stderr.contains("panicked"), "{run}");
            }
        }
    }
}

#[test]
fn indexes_that_hold_each_other() {
    // By digest none can hold itself; a server that lies can say so.
    let child = Manifest::index(Format::Oci, &[], false, "inner");
    let text = |digest: &str| {
        json!({"schemaVersion": 2, "mediaType": Format::Oci.index(), "manifests": [
            {"mediaType": Format::Oci.index(), "digest": digest, "size": 300}]})
        .to_string()
    };
    let mut shelf = shelf();
    shelf.put(&bad("empty"), &child);
    let mut inner = child.digest().to_owned();
    for _ in 0..100 {
        inner = shelf.put_bytes(&bad("deep"), Format::Oci.index(), text(&inner));
    }
    shelf.tag(&bad("latest"), &inner);
    let server = Server::of(shelf);
    let project = project(&server);
    let run = project.run(&["build"]);
    assert!([exit::DONE, exit::FAILED].contains(&run.code), "{run}");
    assert!(!run.stderr.contains("panicked") && !run.stderr.contains("overflowed"), "{run}");
    assert!(project.exists(&format!("result/layers/{GOOD}/latest.json")));
    assert!(server.count("/library/bad/manifests/sha256:") < 100, "depth has an end");
}

// Faults that pass, and faults that last.

type Fault = fn(&Seen) -> Response;

/// Answers the first requests for each path below the bad image as `fault` says, and well from then on.
fn at_first(times: usize, fault: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Server {
    let mut shelf = shelf();
    shelf.put(&bad("latest"), &stock::busybox().manifest(Format::Oci));
    let counts = Mutex::new(HashMap::<String, usize>::new());
    Server::start(move |request| {
        if request.path.contains("/bad/") {
            let mut counts = counts.lock().expect("no one panicked");
            let count = counts.entry(format!("{} {}", request.method, request.path)).or_default();
            *count += 1;
            if *count <= times {
                return fault(request);
            }
        }
        shelf.answer(request)
    })
}

#[test]
fn faults_that_pass_are_tried_again() {
    let faults: [(&str, Fault); 5] = [
        ("500", |_| fault::error(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN")),
        ("503", |_| fault::reply(StatusCode::SERVICE_UNAVAILABLE, &[], "")),
        ("429", |_| fault::reply(StatusCode::TOO_MANY_REQUESTS, &[("Retry-After", "1")], "slow down")),
        ("429 with a date that has passed", |_| {
            fault::reply(StatusCode::TOO_MANY_REQUESTS, &[("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT")], "")
        }),
        ("a reset", |_| fault::breaks_off()),
    ];
    for (name, fault) in faults {
        let server = at_first(1, fault);
        let project = project(&server);
        project.edit("timeout: 3s", "timeout: 30s");
        let report = attacked(&server, &project, exit::DONE);
        assert_eq!((report.failed, report.absent), (0, 0), "{name}: {}", report.listing());
        assert_eq!(server.count("/v2/library/bad/tags/list"), 2, "{name}");
    }
}

#[test]
fn what_is_not_worth_it_is_not_tried_again() {
    let server = at_first(usize::MAX, |_| fault::error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"));
    let project = project(&server);
    project.edit("retries: 1", "retries: 5");
    attacked(&server, &project, exit::FAILED);
    assert_eq!(server.count("/v2/library/bad/tags/list"), 1);
}

#[test]
fn faults_that_last_fail_the_step_after_its_retries() {
    let faults: [(&str, Fault); 3] = [
        ("500", |_| fault::error(StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN")),
        ("resets", |_| fault::breaks_off()),
        ("stalls", |_| fault::stalls()),
    ];
    for (name, fault) in faults {
        let server = at_first(usize::MAX, fault);
        let project = project(&server);
        project.edit("timeout: 3s", "timeout: 1s");
        let report = attacked(&server, &project, exit::FAILED);
        assert_eq!(report.step("get_tag@repo=library/bad").outcome, outcome::FAILED, "{name}: {}", report.listing());
        assert_eq!(server.count("/v2/library/bad/tags/list"), 2, "{name}: one retry");
    }
}

#[test]
fn a_server_that_is_not_there_fails_each_step_and_says_where_it_looked() {
    let server = Server::of(Shelf::default());
    let url = server.url();
    drop(server);
    let project = Project::new(&stock::pipeline_for(&url, &[GOOD]));
    project.edit("    source: ours\n", "    source: ours\n    retries: 0\n");
    let report = project.build_exits(exit::FAILED, &["get_tag"]);
    assert!(report.stderr.contains(&url["http://".len()..]), "{}", report.stderr);
}

#[test]
fn the_user_part_of_a_url_is_never_shown_or_kept() {
    let mut shelf = shelf();
    shelf.put(&bad("latest"), &stock::busybox().manifest(Format::Oci));
    let server = Server::start(move |request| match request.path.as_str() {
        "/v2/library/bad/tags/list" => fault::error(StatusCode::BAD_REQUEST, "UNSUPPORTED"),
        _ => shelf.answer(request),
    });
    let url = server.url().replacen("http://", "http://ann:hunter2@", 1);
    let project = Project::new(&stock::pipeline_for(&url, &[GOOD, BAD]));
    let run = project.run(&["build", "-v"]).exits(exit::FAILED);
    assert!(!run.stderr.contains("hunter2") && !run.stdout.contains("hunter2"), "{run}");
    assert!(!keeps(&project, "hunter2"));
}
