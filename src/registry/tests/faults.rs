//! What fails is tried again where that is worth it, and waited for as the server says.

use std::time::{Duration, Instant};

use super::*;

#[tokio::test]
async fn retry_after_is_waited_for() {
    let server = Server::start(|seen, _| match seen.before {
        0 => reply(429, "").header("retry-after", "1"),
        1 => reply(503, "").header("retry-after", httpdate::fmt_http_date(std::time::SystemTime::now())),
        _ => reply(200, list(&[])),
    })
    .await;
    let started = Instant::now();
    let source = registry(&server.url);
    found(
        source
            .tags(
                About { repo: "a", blobs: &testing::no_store(), effort: Effort::default(), heard: &testing::NOBODY },
                &TagFilter::default(),
            )
            .await,
    );
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.log().len(), 3);
}

#[tokio::test]
async fn a_spent_limit_is_not_waited_for() {
    let server = Server::start(|seen, _| match seen.path.starts_with("/v2/a/") {
        true => reply(429, "").header("ratelimit-limit", "100;w=21600").header("ratelimit-remaining", "0;w=21600"),
        false => reply(429, r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#),
    })
    .await;
    let source = registry(&server.url);
    for repo in ["a", "b"] {
        let error = source
            .tags(
                About { repo, blobs: &testing::no_store(), effort: Effort::default(), heard: &testing::NOBODY },
                &TagFilter::default(),
            )
            .await
            .unwrap_err();
        assert!(error.message.contains("limit of requests is spent"), "{error}");
        assert!(error.deferral.is_some());
    }
    assert_eq!(server.log().len(), 1, "nothing more is asked for");
    let error = registry(&server.url)
        .tags(
            About { repo: "b", blobs: &testing::no_store(), effort: Effort::default(), heard: &testing::NOBODY },
            &TagFilter::default(),
        )
        .await
        .unwrap_err();
    assert!(error.deferral.is_some(), "it says so in its body: {error}");
}

#[tokio::test]
async fn a_server_that_says_at_once_is_not_asked_at_once() {
    let past = httpdate::fmt_http_date(std::time::SystemTime::UNIX_EPOCH);
    let server = Server::start(move |seen, _| match seen.before {
        0 | 1 => reply(503, "").header("retry-after", "0"),
        2 => reply(429, "").header("retry-after", past.clone()),
        _ => reply(200, list(&[])),
    })
    .await;
    let started = Instant::now();
    let (_dir, blobs) = store();
    found(
        registry(&server.url)
            .tags(
                About { repo: "a", blobs: &blobs, effort: Effort::default(), heard: &testing::NOBODY },
                &TagFilter::default(),
            )
            .await,
    );
    // Halves of 100, 200 and 400 ms are the least.
    assert!(started.elapsed() >= Duration::from_millis(350), "{:?}", started.elapsed());
}

#[tokio::test]
async fn wrong_content_is_asked_for_again_as_often_as_what_fails() {
    let (manifest, config) = image("amd64", "ADD x");
    let digest = Sha256::of(&manifest);
    let right = content(&[&manifest, &config]);
    let server = Server::start(move |seen, own| match seen.before {
        0..7 => reply(200, "damaged"),
        _ => right(seen, own),
    })
    .await;
    let source = registry(&server.url);
    let get = async |effort| {
        let (_dir, blobs) = store();
        source
            .image(About { repo: "a", blobs: &blobs, effort, heard: &testing::NOBODY }, digest, &Platform::default())
            .await
    };
    let few = Effort { retries: Some(2), timeout: None, learnt_since: None };
    let error = get(few).await.unwrap_err();
    assert!(error.message.contains("expected content of this digest"), "{error}");
    assert_eq!(server.log().len(), 3);
    assert!(matches!(get(Effort::default()).await.unwrap(), Answer::Found(_)));
    assert_eq!(server.log().len(), 16, "eight of each in all");
}

#[tokio::test]
async fn a_wait_that_is_too_long_ends_the_step() {
    let server = Server::start(|_, _| reply(503, "").header("retry-after", "86400")).await;
    let error = registry(&server.url)
        .tags(
            About { repo: "a", blobs: &testing::no_store(), effort: Effort::default(), heard: &testing::NOBODY },
            &TagFilter::default(),
        )
        .await
        .unwrap_err();
    assert!(error.message.contains("86400 s"), "{error}");
}

#[tokio::test]
async fn broken_bodies_are_got_again() {
    let server = Server::start(|seen, _| {
        let reply = reply(200, list(&[]));
        if seen.before == 0 { reply.broken() } else { reply }
    })
    .await;
    found(
        registry(&server.url)
            .tags(
                About { repo: "a", blobs: &testing::no_store(), effort: Effort::default(), heard: &testing::NOBODY },
                &TagFilter::default(),
            )
            .await,
    );
    assert_eq!(server.log().len(), 2);
}

#[tokio::test]
async fn silence_and_slowness_end() {
    let server = Server::start(|seen, _| {
        let delay = if seen.path.contains("/a/") { 600 } else { 3000 };
        reply(200, list(&[])).after(Duration::from_millis(delay))
    })
    .await;
    let keys = [("url", server.url.as_str()), ("idle_timeout", "1s"), ("timeout", "400ms")];
    let source = open("registry", &keys, &shared("/".as_ref()));
    let error = tags(&source).await.unwrap_err();
    assert!(error.message.contains("not done within 400ms"), "{error}");
    let longer = Effort { retries: Some(0), timeout: Some(Duration::from_secs(60)), learnt_since: None };
    let error = source
        .tags(
            About { repo: "b", blobs: &testing::no_store(), effort: longer, heard: &testing::NOBODY },
            &TagFilter::default(),
        )
        .await
        .unwrap_err();
    assert!(error.message.contains("nothing came for 1s"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_reached_says_why() {
    let source = registry("http://127.0.0.1:1");
    let error = tags(&source).await.unwrap_err();
    assert!(error.message.contains("onnection refused"), "{error}");
    let mut offline = shared("/".as_ref());
    offline.offline = true;
    let source = open("registry", &[("url", "http://127.0.0.1:1")], &offline);
    let error = tags(&source).await.unwrap_err();
    assert!(error.message.contains("offline") && error.help.unwrap().contains("--offline"));
}
