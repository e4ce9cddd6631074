//! Challenges, tokens and credentials.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

/// A registry with tokens: each is good for `uses` requests.
fn guarded(uses: usize) -> impl Fn(&Seen, &str) -> Reply + Send + Sync + 'static {
    let granted = AtomicUsize::new(0);
    let used = Mutex::new(HashMap::<String, usize>::new());
    move |seen, own| {
        if seen.path.starts_with("/token") {
            let n = granted.fetch_add(1, Ordering::SeqCst);
            return reply(200, format!(r#"{{"token": "t{n}", "expires_in": 300}}"#)).after(Duration::from_millis(50));
        }
        let mut used = used.lock().unwrap();
        let count = seen.authorization.clone().map(|token| {
            let count = used.entry(token).or_default();
            *count += 1;
            *count
        });
        match count {
            Some(count) if count <= uses => {
                if is_list(seen) {
                    reply(200, list(&["a", "b", "c", "d"]))
                } else {
                    head()
                }
            }
            _ => {
                let challenge = format!(r#"Bearer realm="{own}/token?x=y",service="reg",scope="repository:a:pull""#);
                reply(401, "").header("www-authenticate", challenge)
            }
        }
    }
}

#[tokio::test]
async fn one_challenge_and_one_token_serve_all_requests() {
    let server = Server::start(guarded(1000)).await;
    let source = registry(&server.url);
    let all = futures_util::future::join_all((0..8).map(|_| tags(&source))).await;
    assert!(all.into_iter().all(|t| found(t).tags.len() == 4));
    assert_eq!(server.count("/token"), 1);
    assert_eq!(server.log().iter().filter(|s| s.authorization.is_none() && !s.path.starts_with("/token")).count(), 1);
    assert_eq!(server.lines()[1], "GET /token?x=y&service=reg&scope=repository%3Aa%3Apull");
    // Another repository needs another token, and no challenge.
    source
        .resolve(About { repo: "b", blobs: &testing::no_store(), effort: ONCE, heard: &testing::NOBODY }, "x")
        .await
        .unwrap();
    assert_eq!(server.count("scope=repository%3Ab%3Apull"), 1);
    assert_eq!(server.log().iter().filter(|s| s.authorization.is_none() && !s.path.starts_with("/token")).count(), 1);
}

#[tokio::test]
async fn a_token_that_ran_out_is_renewed() {
    let server = Server::start(guarded(3)).await;
    let source = registry(&server.url);
    for _ in 0..3 {
        let answer = source
            .resolve(About { repo: "a", blobs: &testing::no_store(), effort: ONCE, heard: &testing::NOBODY }, "x")
            .await
            .unwrap();
        assert!(matches!(answer, Answer::Found(_)));
    }
    assert_eq!(server.count("/token"), 1);
    assert!(matches!(
        source
            .resolve(About { repo: "a", blobs: &testing::no_store(), effort: ONCE, heard: &testing::NOBODY }, "x")
            .await
            .unwrap(),
        Answer::Found(_)
    ));
    assert_eq!(server.count("/token"), 2);
}

#[tokio::test]
async fn denied_after_a_token_is_absent() {
    let server = Server::start(guarded(0)).await;
    let answer = tags(&registry(&server.url)).await.unwrap();
    assert!(matches!(answer, Answer::Absent(why) if why.contains("not public or does not exist")));
    assert_eq!(server.count("/token"), 1);
}

#[tokio::test]
async fn a_token_that_is_denied_to_an_anonymous_client_is_absent() {
    let server = Server::start(|seen, own| match seen.path.starts_with("/token") {
        true => reply(403, r#"{"errors": [{"code": "DENIED"}]}"#),
        false => reply(401, "").header("www-authenticate", format!("Bearer realm=\"{own}/token\"")),
    })
    .await;
    assert!(matches!(tags(&registry(&server.url)).await.unwrap(), Answer::Absent(_)));
    let keys = [("url", server.url.as_str()), ("username", "me"), ("password", "hidden")];
    let error = tags(&open("registry", &keys, &shared("/".as_ref()))).await.unwrap_err();
    assert!(error.message.contains("refuses the credentials") && !format!("{error:?}").contains("hidden"), "{error:?}");
}

#[tokio::test]
async fn basic_credentials_are_given_when_asked_for() {
    let server = Server::start(|seen, _| match seen.authorization.as_deref() {
        Some("Basic bWU6cHc=") if is_list(seen) => reply(200, list(&["a"])),
        Some("Basic bWU6cHc=") => head(),
        _ => reply(401, "").header("www-authenticate", "Basic realm=\"r\""),
    })
    .await;
    let with_user = server.url.replace("http://", "http://me:pw@");
    let source = registry(&with_user);
    assert_eq!(source.identity(), format!("registry {}", server.url));
    assert_eq!(names(&found(tags(&source).await)), ["a"]);
    let keys = [("url", server.url.as_str()), ("username", "me"), ("password", "wrong")];
    let wrong = open("registry", &keys, &shared("/".as_ref()));
    let (_dir, blobs) = store();
    let all = ["a", "b", "c", "d"]
        .map(|repo| wrong.resolve(About { repo, blobs: &blobs, effort: ONCE, heard: &testing::NOBODY }, "x"));
    let all = futures_util::future::join_all(all).await;
    for answer in all {
        let error = answer.unwrap_err();
        assert!(error.message.contains("refuses the credentials"), "{error}");
    }
    let offered = server.log().iter().filter(|s| s.authorization.as_deref() == Some("Basic bWU6d3Jvbmc=")).count();
    assert_eq!(offered, 1, "the first goes alone, and nobody sends it again");
    // To an anonymous request, the same answer says that there is nothing for us.
    assert!(matches!(tags(&registry(&server.url)).await.unwrap(), Answer::Absent(_)));
}

#[tokio::test]
async fn a_blob_elsewhere_is_got_without_credentials() {
    let (manifest, config) = image("amd64", "ADD x");
    let elsewhere = Server::start({
        let config = config.clone();
        move |seen, _| if seen.path.contains("sig=1") { reply(200, config.clone()) } else { reply(403, "") }
    })
    .await;
    let to = format!("{}/store?sig=1", elsewhere.url);
    let digest = Sha256::of(&manifest);
    let server = Server::start(move |seen, _| match (&seen.authorization, seen.path.contains("/blobs/")) {
        (None, _) => reply(401, "").header("www-authenticate", "Basic realm=\"r\""),
        (_, true) => reply(307, "").header("location", to.clone()),
        (_, false) => reply(200, manifest.clone()).header("content-type", OCI),
    })
    .await;
    let (_dir, blobs) = store();
    let keys = [("url", server.url.as_str()), ("username", "me"), ("password", "pw")];
    let answer = get(&open("registry", &keys, &shared("/".as_ref())), digest, &blobs).await.unwrap();
    assert!(matches!(answer, Answer::Found(_)));
    assert_eq!(elsewhere.log().len(), 1);
    assert_eq!(elsewhere.log()[0].authorization, None);
}

#[tokio::test]
async fn a_manifest_elsewhere_is_got_without_credentials_and_what_is_not_there_is_absent() {
    let elsewhere = Server::start(|_, _| reply(404, "")).await;
    let to = elsewhere.url.clone();
    let server = Server::start(move |seen, _| match seen.authorization {
        None => reply(401, "").header("www-authenticate", "Basic realm=\"r\""),
        Some(_) => reply(302, "").header("location", to.clone()),
    })
    .await;
    let (_dir, blobs) = store();
    let keys = [("url", server.url.as_str()), ("username", "me"), ("password", "pw")];
    let answer = get(&open("registry", &keys, &shared("/".as_ref())), Sha256::of(b"x"), &blobs).await.unwrap();
    assert!(matches!(answer, Answer::Absent(_)), "{answer:?}");
    assert_eq!((elsewhere.log().len(), &elsewhere.log()[0].authorization), (1, &None));
}
