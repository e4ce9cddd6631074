//! Manifests and configs.

use super::*;
use crate::registry::testing::{descriptor, index};

#[tokio::test]
async fn content_is_fetched_once_ever() {
    let (manifest, config) = image("amd64", "ADD x");
    let (other, _) = image("arm64", "ADD y");
    let list = index(&[(&other, Some("linux/arm64")), (&manifest, Some("linux/amd64"))]);
    let server = Server::start(content(&[&manifest, &config, &list])).await;
    let source = registry(&server.url);
    let (_dir, blobs) = store();
    let many = futures_util::future::join_all((0..8).map(|_| get(&source, Sha256::of(&list), &blobs))).await;
    for answer in many {
        let Ok(Answer::Found(image)) = answer else { panic!("{answer:?}") };
        assert_eq!((image.digest, image.platform.to_string().as_str()), (Sha256::of(&manifest), "linux/amd64"));
    }
    assert_eq!(server.log().len(), 3, "the index, the manifest, the config: {:?}", server.lines());
    let other = "linux/s390x".parse().unwrap();
    let answer = source
        .image(About { repo: "a", blobs: &blobs, effort: ONCE, heard: &testing::NOBODY }, Sha256::of(&list), &other)
        .await;
    let Ok(Answer::Absent(why)) = answer else { panic!("found") };
    assert_eq!(why, "no image for linux/s390x: the index has linux/amd64, linux/arm64");
    assert_eq!(server.log().len(), 3);
}

#[tokio::test]
async fn a_damaged_blob_is_fetched_again() {
    let (manifest, config) = image("amd64", "ADD x");
    let server = Server::start(content(&[&manifest, &config])).await;
    let source = registry(&server.url);
    let (_dir, blobs) = store();
    get(&source, Sha256::of(&manifest), &blobs).await.unwrap();
    std::fs::write(blobs.path(&Sha256::of(&config)), "damage").unwrap();
    assert!(matches!(get(&source, Sha256::of(&manifest), &blobs).await, Ok(Answer::Found(_))));
    assert_eq!((server.count("manifests"), server.count("blobs")), (1, 2));
}

/// Asks for `manifest`, behind a server that serves these bytes for it whatever they are.
async fn error_of(asked: Sha256, bytes: Vec<u8>, content_type: &'static str) -> (String, Blobs, tempfile::TempDir) {
    let server = Server::start(move |_, _| reply(200, bytes.clone()).header("content-type", content_type)).await;
    let (dir, blobs) = store();
    let error = get(&registry(&server.url), asked, &blobs).await.expect_err("refused");
    (error.message, blobs, dir)
}

#[tokio::test]
async fn bad_manifests_are_refused_and_not_kept() {
    let negative = image("amd64", "x").0;
    let negative = String::from_utf8(negative).unwrap().replace("\"size\":1001", "\"size\":-5").into_bytes();
    let cases: [(Sha256, Vec<u8>, &str, &str); 7] = [
        (Sha256::of(b"<html>"), b"<html>".to_vec(), "text/html", "expected a manifest"),
        (Sha256::of(&negative), negative.clone(), OCI, "-5 is not a size"),
        (Sha256::of(b"something else"), image("amd64", "x").0, OCI, "expected content of this digest"),
        (Sha256::of(b"{}"), b"{}".to_vec(), "application/x-pie", "unknown type: `application/x-pie`"),
        (
            Sha256::of(b"{\"fsLayers\":[1]}"),
            b"{\"fsLayers\":[1]}".to_vec(),
            "",
            "a Docker schema 1 manifest that cannot",
        ),
        (Sha256::of(b"other"), b"{\"fsLayers\":[]}".to_vec(), "application/json", "expected content of this digest"),
        (Sha256::of(b"[1]"), b"[1]".to_vec(), OCI, "expected a manifest"),
    ];
    for (asked, bytes, content_type, expected) in cases {
        let kept = Sha256::of(&bytes);
        let (message, blobs, _dir) = error_of(asked, bytes, content_type).await;
        assert!(message.contains(expected), "{message}");
        assert!(message.starts_with("a@sha256:"), "{message}");
        assert!(!blobs.contains(&kept) && !blobs.contains(&asked), "{message}");
    }
}

#[tokio::test]
async fn a_manifest_past_its_limit_is_not_read_to_its_end() {
    let huge = vec![b' '; 50 << 20];
    let server = Server::start(move |seen, _| {
        // Once with its length said, once without.
        let reply = reply(200, huge.clone());
        if seen.path.contains("/b/") { reply.streamed() } else { reply }
    })
    .await;
    let shared = shared("/".as_ref());
    let source = open("registry", &[("url", &server.url)], &shared);
    let (_dir, blobs) = store();
    for repo in ["a", "b"] {
        let answer = source
            .image(
                About { repo, blobs: &blobs, effort: Effort::default(), heard: &testing::NOBODY },
                Sha256::of(b"x"),
                &Platform::default(),
            )
            .await;
        let error = answer.unwrap_err();
        assert!(error.message.contains("more than the 4194304 bytes"), "{error}");
    }
    assert_eq!(server.log().len(), 2, "not asked again");
    assert!(shared.traffic.bytes() < 6 << 20, "{}", shared.traffic.bytes());
}

#[tokio::test]
async fn sizes_that_do_not_fit_their_description_are_refused() {
    let (manifest, config) = image("amd64", "ADD x");
    let longer = format!("\"size\":{},", config.len());
    let lying = String::from_utf8(manifest).unwrap().replacen(&longer, "\"size\":7,", 1);
    let lying = if lying.contains("\"size\":7,") {
        lying
    } else {
        lying.replacen(longer.trim_end_matches(','), "\"size\":7", 1)
    };
    let server = Server::start(content(&[lying.as_bytes(), &config])).await;
    let (_dir, blobs) = store();
    let error = get(&registry(&server.url), Sha256::of(lying.as_bytes()), &blobs).await.unwrap_err();
    assert!(error.message.contains("expected 7 bytes"), "{error}");
}

#[tokio::test]
async fn indexes_are_searched_and_not_for_ever() {
    let (manifest, config) = image("amd64", "ADD x");
    let (arm, arm_config) = image("arm64", "ADD x");
    let unsaid = index(&[(&arm, None), (&manifest, None)]);
    // An index in an index, which is how some builders write them.
    let mut nested: serde_json::Value = serde_json::from_slice(&index(&[])).unwrap();
    nested["manifests"] = serde_json::json!([descriptor("application/vnd.oci.image.index.v1+json", &unsaid)]);
    let nested = nested.to_string().into_bytes();
    let server = Server::start(content(&[&manifest, &config, &arm, &arm_config, &unsaid, &nested])).await;
    let (_dir, blobs) = store();
    let answer = get(&registry(&server.url), Sha256::of(&nested), &blobs).await.unwrap();
    assert!(matches!(answer, Answer::Found(image) if image.digest == Sha256::of(&manifest)));

    // Deeper than any.
    let mut deep = unsaid;
    let mut all = vec![deep.clone()];
    for _ in 0..12 {
        let mut outer: serde_json::Value = serde_json::from_slice(&index(&[])).unwrap();
        outer["manifests"] = serde_json::json!([descriptor("application/vnd.oci.image.index.v1+json", &deep)]);
        deep = outer.to_string().into_bytes();
        all.push(deep.clone());
    }
    let pieces: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    let server = Server::start(content(&pieces)).await;
    let (_dir, blobs) = store();
    let error = get(&registry(&server.url), Sha256::of(&deep), &blobs).await.unwrap_err();
    assert!(error.message.contains("8 indexes deep"), "{error}");

    // Wider than any.
    let many: Vec<_> = (0..200).map(|i| image("arm64", &format!("ADD {i}"))).collect();
    let wide: Vec<(&[u8], Option<&str>)> = many.iter().map(|(m, _)| (m.as_slice(), None)).collect();
    let wide = index(&wide);
    let pieces: Vec<&[u8]> = many.iter().flat_map(|(m, c)| [m.as_slice(), c]).chain([wide.as_slice()]).collect();
    let server = Server::start(content(&pieces)).await;
    let error = get(&registry(&server.url), Sha256::of(&wide), &blobs).await.unwrap_err();
    assert!(error.message.contains("too many entries"), "{error}");
}

#[tokio::test]
async fn what_is_not_there_by_digest_is_absent() {
    let (manifest, _) = image("amd64", "ADD x");
    let server = Server::start(content(&[&manifest])).await;
    let source = registry(&server.url);
    let (_dir, blobs) = store();
    assert!(matches!(get(&source, Sha256::of(b"x"), &blobs).await, Ok(Answer::Absent(_))));
    // A manifest whose config is missing is a fault of the registry.
    let error = get(&source, Sha256::of(&manifest), &blobs).await.unwrap_err();
    assert!(error.message.contains("its config") && error.message.contains("is not there"), "{error}");
}
