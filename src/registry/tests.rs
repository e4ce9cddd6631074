//! The `registry` source against servers that answer what a real registry cannot be made to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::image::Image;
use super::testing::{self, Reply, Seen, Server, descriptor, image, index, open, registry, reply, shared, store};
use super::{Answer, Effort, Platform, Reference, Source, SourceError, TagFilter, Tags, grammar};
use crate::store::Sha256;
use crate::store::blobs::Blobs;

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const ONCE: Effort = Effort { retries: Some(0), timeout: None };

fn digest() -> String {
    Sha256::of(b"some manifest").to_string()
}

fn list(tags: &[&str]) -> Vec<u8> {
    serde_json::json!({"name": "a", "tags": tags}).to_string().into_bytes()
}

/// A HEAD of any tag finds it.
fn head() -> Reply {
    reply(200, "").header("docker-content-digest", digest())
}

fn is_list(seen: &Seen) -> bool {
    seen.path.contains("/tags/list")
}

async fn tags(source: &Arc<dyn Source>) -> Result<Answer<Tags>, SourceError> {
    source.tags("a", &TagFilter::default(), &testing::no_store(), ONCE).await
}

fn found(answer: Result<Answer<Tags>, SourceError>) -> Tags {
    match answer {
        Ok(Answer::Found(tags)) => tags,
        other => panic!("{other:?}"),
    }
}

fn names(tags: &Tags) -> Vec<&str> {
    tags.tags.keys().map(String::as_str).collect()
}

async fn get(source: &Arc<dyn Source>, digest: Sha256, blobs: &Blobs) -> Result<Answer<Image>, SourceError> {
    source.image("a", &Reference::Digest(digest), &Platform::default(), blobs, ONCE).await
}

/// Serves manifests and blobs by digest.
fn content(pieces: &[&[u8]]) -> impl Fn(&Seen, &str) -> Reply + Send + Sync + 'static {
    let by_digest: HashMap<String, Vec<u8>> =
        pieces.iter().map(|bytes| (Sha256::of(bytes).to_string(), bytes.to_vec())).collect();
    move |seen, _| match by_digest.get(seen.path.rsplit('/').next().unwrap()) {
        Some(bytes) => reply(200, bytes.clone()),
        None => reply(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
    }
}

#[tokio::test]
async fn pages_are_followed_on_their_host() {
    let server = Server::start(|seen, own| match seen.path.as_str() {
        "/v2/a/tags/list?n=1000" => {
            reply(200, list(&["c", "a"])).header("link", "</v2/a/tags/list?n=2&last=c>; rel=\"next\"")
        }
        "/v2/a/tags/list?n=2&last=c" => {
            // A page may be empty and not the last.
            reply(200, list(&[])).header("link", format!("<{own}/v2/a/tags/list?cursor=x>; rel=\"next\""))
        }
        "/v2/a/tags/list?cursor=x" => reply(200, list(&["b", "a"])),
        _ => head(),
    })
    .await;
    assert_eq!(names(&found(tags(&registry(&server.url)).await)), ["a", "b", "c"]);
    assert_eq!(server.count("HEAD"), 3, "a tag that is listed twice is asked about once");
    assert!(server.lines().iter().all(|l| !l.contains("GET /v2/ ") && l != "GET /v2/"), "no ping");
}

#[tokio::test]
async fn a_page_elsewhere_is_refused() {
    let other = Server::start(|_, _| reply(200, list(&["x"]))).await;
    let link = format!("<{}/v2/a/tags/list>; rel=\"next\"", other.url);
    let server = Server::start(move |_, _| reply(200, list(&["a"])).header("link", link.clone())).await;
    let error = tags(&registry(&server.url)).await.unwrap_err();
    assert!(error.message.contains("leads elsewhere"), "{error}");
    assert_eq!(other.log().len(), 0);
}

#[tokio::test]
async fn pages_in_a_circle_end() {
    let server = Server::start(|seen, _| {
        let next = if seen.path.ends_with("x") { "y" } else { "x" };
        reply(200, list(&["a"])).header("link", format!("</v2/a/tags/list?{next}>; rel=next"))
    })
    .await;
    let error = tags(&registry(&server.url)).await.unwrap_err();
    assert!(error.message.contains("circle"), "{error}");
    assert_eq!(server.log().len(), 3);
}

#[tokio::test]
async fn a_registry_that_refuses_the_page_size_is_asked_without_one() {
    let server = Server::start(|seen, _| match seen.path.as_str() {
        "/v2/a/tags/list?n=1000" => reply(400, r#"{"errors":[{"code":"PAGINATION_NUMBER_INVALID"}]}"#),
        "/v2/a/tags/list" => reply(200, list(&["a"])),
        _ => head(),
    })
    .await;
    assert_eq!(names(&found(tags(&registry(&server.url)).await)), ["a"]);
}

#[tokio::test]
async fn an_emptied_repository_has_no_tags_and_a_missing_one_is_absent() {
    let server = Server::start(|seen, _| match seen.path.as_str() {
        p if p.starts_with("/v2/a/") => reply(200, r#"{"name":"a","tags":null}"#),
        _ => reply(404, r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#),
    })
    .await;
    let source = registry(&server.url);
    assert_eq!(found(tags(&source).await), Tags::default());
    let answer = source.tags("b", &TagFilter::default(), &testing::no_store(), ONCE).await.unwrap();
    assert!(matches!(answer, Answer::Absent(why) if why.contains("has no repository b")));
}

#[tokio::test]
async fn hostile_tags_are_left_out() {
    let long = "t".repeat(5000);
    let long_too = format!("{long}u");
    let server = Server::start(move |seen, _| {
        if !is_list(seen) {
            return head();
        }
        reply(200, list(&["../../x", "ok", "ok", &long, &long_too, "a\u{1b}[2J", "", "gone"]))
    })
    .await;
    let tags = found(tags(&registry(&server.url)).await);
    assert_eq!(names(&tags), ["gone", "ok"]);
    assert_eq!(tags.left_out.len(), 5, "{:?}", tags.left_out);
    assert!(tags.left_out.iter().all(|(tag, why)| tag.len() < 100 && why == grammar::NOT_A_TAG));
    assert_eq!(server.count("HEAD"), 2);
}

#[tokio::test]
async fn a_tag_that_is_gone_is_left_out_and_one_that_fails_fails_all() {
    let server = Server::start(|seen, _| match seen.path.rsplit('/').next().unwrap() {
        "gone" => reply(404, ""),
        "broken" => reply(500, ""),
        "list?n=1000" if seen.path.contains("/b/") => reply(200, list(&["ok", "broken"])),
        "list?n=1000" => reply(200, list(&["ok", "gone"])),
        _ => head(),
    })
    .await;
    let source = registry(&server.url);
    let tags = found(tags(&source).await);
    assert_eq!(names(&tags), ["ok"]);
    assert_eq!(tags.left_out[0].0, "gone");
    let error = source
        .tags("b", &TagFilter::default(), &testing::no_store(), Effort { retries: Some(1), timeout: None })
        .await
        .unwrap_err();
    assert!(error.message.contains("/v2/b/manifests/broken: 500") && error.message.contains("2 attempts"), "{error}");
    assert_eq!(server.count("HEAD /v2/b/manifests/broken"), 2);
}

#[tokio::test]
async fn nothing_is_asked_about_tags_that_are_not_wanted() {
    let server = Server::start(|seen, _| if is_list(seen) { reply(200, list(&["1.0", "1.1", "2.0"])) } else { head() });
    let server = server.await;
    let set = |glob: &str| Some(globset::GlobSet::builder().add(globset::Glob::new(glob).unwrap()).build().unwrap());
    let filter = TagFilter { only: set("1.*"), omit: set("*.1") };
    let answer = registry(&server.url).tags("a", &filter, &testing::no_store(), ONCE).await;
    assert_eq!(names(&found(answer)), ["1.0"]);
    assert_eq!(server.count("HEAD"), 1);
}

#[tokio::test]
async fn a_digest_that_is_not_said_is_that_of_the_content() {
    let (manifest, _) = image("amd64", "ADD x");
    let expected = Sha256::of(&manifest);
    let server = Server::start(move |seen, _| {
        if is_list(seen) { reply(200, list(&["a"])) } else { reply(200, manifest.clone()).header("content-type", OCI) }
    })
    .await;
    let (_dir, blobs) = store();
    let tags = registry(&server.url).tags("a", &TagFilter::default(), &blobs, ONCE).await;
    assert_eq!(found(tags).tags["a"], expected);
    assert!(blobs.contains(&expected), "it need not come again");
    let log = server.log();
    let accepts: Vec<_> = log.iter().filter(|s| !is_list(s)).map(|s| (s.method.as_str(), s.accept.as_str())).collect();
    assert_eq!(accepts.len(), 2);
    assert_eq!(accepts[0].1, accepts[1].1, "HEAD and GET accept the same");
}

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
    found(source.tags("a", &TagFilter::default(), &testing::no_store(), Effort::default()).await);
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
        let error =
            source.tags(repo, &TagFilter::default(), &testing::no_store(), Effort::default()).await.unwrap_err();
        assert!(error.message.contains("limit of requests is spent"), "{error}");
        assert!(error.deferral.is_some());
    }
    assert_eq!(server.log().len(), 1, "nothing more is asked for");
    let error = registry(&server.url)
        .tags("b", &TagFilter::default(), &testing::no_store(), Effort::default())
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
    found(registry(&server.url).tags("a", &TagFilter::default(), &blobs, Effort::default()).await);
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
        source.image("a", &Reference::Digest(digest), &Platform::default(), &blobs, effort).await
    };
    let few = Effort { retries: Some(2), timeout: None };
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
        .tags("a", &TagFilter::default(), &testing::no_store(), Effort::default())
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
    found(registry(&server.url).tags("a", &TagFilter::default(), &testing::no_store(), Effort::default()).await);
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
    let longer = Effort { retries: Some(0), timeout: Some(Duration::from_secs(60)) };
    let error = source.tags("b", &TagFilter::default(), &testing::no_store(), longer).await.unwrap_err();
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
    source.resolve("b", "x", &testing::no_store(), ONCE).await.unwrap();
    assert_eq!(server.count("scope=repository%3Ab%3Apull"), 1);
    assert_eq!(server.log().iter().filter(|s| s.authorization.is_none() && !s.path.starts_with("/token")).count(), 1);
}

#[tokio::test]
async fn a_token_that_ran_out_is_renewed() {
    let server = Server::start(guarded(3)).await;
    let source = registry(&server.url);
    for _ in 0..3 {
        let answer = source.resolve("a", "x", &testing::no_store(), ONCE).await.unwrap();
        assert!(matches!(answer, Answer::Found(_)));
    }
    assert_eq!(server.count("/token"), 1);
    assert!(matches!(source.resolve("a", "x", &testing::no_store(), ONCE).await.unwrap(), Answer::Found(_)));
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
    let all = ["a", "b", "c", "d"].map(|repo| wrong.resolve(repo, "x", &blobs, ONCE));
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
    let (reference, other) = (Reference::Digest(Sha256::of(&list)), "linux/s390x".parse().unwrap());
    let answer = source.image("a", &reference, &other, &blobs, ONCE).await;
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
        let reference = Reference::Digest(Sha256::of(b"x"));
        let answer = source.image(repo, &reference, &Platform::default(), &blobs, Effort::default()).await;
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

#[test]
fn entries_that_are_wrong_are_named() {
    let wrong = |keys: &[(&str, &str)]| {
        let mut problems = crate::pipeline::problem::Problems::default();
        let entry = super::testing::entry("registry", keys);
        assert!(super::open(&entry, &shared("/".as_ref()), &mut problems).is_none());
        problems.0[0].message.clone()
    };
    let url = ("url", "https://r.example.com");
    assert_eq!(wrong(&[("url", "http://r.example.com")]), "not the address of a registry");
    assert_eq!(wrong(&[url, ("username", "me")]), "`username` without `password`");
    assert_eq!(wrong(&[url, ("password", "pw")]), "`password` without `username`");
    let twice = [("url", "https://me:pw@r.example.com"), ("username", "me"), ("password", "pw")];
    assert_eq!(wrong(&twice), "credentials are given twice");
}
