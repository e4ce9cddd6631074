//! The tags of a repository, page by page.

use super::*;

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
    let answer = source
        .tags(
            About { repo: "b", blobs: &testing::no_store(), effort: ONCE, heard: &testing::NOBODY },
            &TagFilter::default(),
        )
        .await
        .unwrap();
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
        .tags(
            About {
                repo: "b",
                blobs: &testing::no_store(),
                effort: Effort { retries: Some(1), timeout: None, learnt_since: None },
                heard: &testing::NOBODY,
            },
            &TagFilter::default(),
        )
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
    let answer = registry(&server.url)
        .tags(About { repo: "a", blobs: &testing::no_store(), effort: ONCE, heard: &testing::NOBODY }, &filter)
        .await;
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
    let tags = registry(&server.url)
        .tags(About { repo: "a", blobs: &blobs, effort: ONCE, heard: &testing::NOBODY }, &TagFilter::default())
        .await;
    assert_eq!(found(tags).tags["a"], expected);
    assert!(blobs.contains(&expected), "it need not come again");
    let log = server.log();
    let accepts: Vec<_> = log.iter().filter(|s| !is_list(s)).map(|s| (s.method.as_str(), s.accept.as_str())).collect();
    assert_eq!(accepts.len(), 2);
    assert_eq!(accepts[0].1, accepts[1].1, "HEAD and GET accept the same");
}
