//! The bed itself: what the other tests stand on has to hold.

use crate::support::images::{Format, Manifest};
use crate::support::{fault, http, stock};

#[test]
fn the_registry_keeps_what_is_pushed_and_logs_what_is_asked() {
    let registry = stock::registry();
    let mark = registry.mark();
    let index = stock::nginx_index("1.27.2", "");
    let answer = registry.ask("GET", "/v2/library/nginx/manifests/latest", &[("Accept", Format::Oci.index())], b"");
    assert_eq!(answer.expect(200).body, *index.blob.bytes);
    registry.ask("HEAD", "/v2/library/nginx/manifests/nope", &[], b"").expect(404);

    let log: Vec<_> =
        registry.requests_since(mark).into_iter().map(|r| format!("{} {} {}", r.method, r.path, r.status)).collect();
    assert_eq!(log, ["GET /v2/library/nginx/manifests/latest 200", "HEAD /v2/library/nginx/manifests/nope 404"]);
}

#[test]
fn a_tag_moves_and_a_deleted_manifest_is_gone() {
    let registry = stock::registry();
    let accept = [("Accept", Format::Docker.manifest())];
    let digest_of_latest = || {
        let answer = registry.ask("HEAD", "/v2/library/redis/manifests/latest", &accept, b"");
        answer.header("Docker-Content-Digest").map(str::to_owned)
    };
    let moved = stock::redis("7.4.2").manifest(Format::Docker);
    assert_ne!(digest_of_latest().as_deref(), Some(moved.digest()));
    registry.push("library/redis:latest", &moved);
    assert_eq!(digest_of_latest().as_deref(), Some(moved.digest()));
    registry.delete("library/redis", &moved);
    assert_eq!(digest_of_latest(), None);
}

#[test]
fn the_registry_converts_dockers_images_to_the_old_format() {
    let registry = stock::registry();
    let old = registry.ask("GET", "/v2/library/redis/manifests/latest", &[], b"").expect(200);
    let old: serde_json::Value = serde_json::from_slice(&old.body).expect("JSON");
    assert_eq!(old["schemaVersion"], 1);
    assert_eq!(old["history"].as_array().map(Vec::len), Some(stock::redis("7.4.1").count()));
}

#[test]
fn indexes_of_different_notes_hold_the_same_images() {
    let (one, other) = (stock::nginx_index("1.27.2", "one"), stock::nginx_index("1.27.2", "other"));
    assert_ne!(one.digest(), other.digest());
    let children = |index: &Manifest| index.children.iter().map(|c| c.digest().to_owned()).collect::<Vec<_>>();
    assert_eq!(children(&one), children(&other));
    assert_eq!(one.children.len(), 4, "two images and their attestations");
}

#[test]
fn the_small_server_serves_a_shelf_and_lies_where_it_is_told_to() {
    let mut shelf = fault::Shelf::default();
    let image = stock::busybox().manifest(Format::Oci);
    shelf.put("library/busybox:latest", &image);
    let server = fault::Server::start(move |request| match request.path.as_str() {
        "/broken" => fault::breaks_off(),
        _ => shelf.answer(request),
    });
    let address = server.url()["http://".len()..].parse().expect("an address");
    let get = |path: &str| http::request(address, "GET", path, &[], b"");

    assert_eq!(get("/v2/library/busybox/manifests/latest").expect(200).body, *image.blob.bytes);
    assert_eq!(
        get(&format!("/v2/library/busybox/blobs/{}", image.blobs[0].digest)).expect(200).body,
        *image.blobs[0].bytes
    );
    assert_eq!(
        get("/v2/library/busybox/tags/list").expect(200).body,
        br#"{"name":"library/busybox","tags":["latest"]}"#
    );
    get("/v2/library/nope/tags/list").expect(404);
    assert_eq!(server.count("/v2/library/busybox/"), 3);
    assert!(std::panic::catch_unwind(|| get("/broken")).is_err(), "half an answer is none");
}
