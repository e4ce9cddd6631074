//! What is addressed by its digest is got once: whichever repository and source it is of, and however its digest came.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::{Method, StatusCode};

use crate::support::fault::{self, Manner, Seen, Server, Shelf};
use crate::support::front;
use crate::support::images::{Format, Manifest};
use crate::support::project::Project;
use crate::support::registry::Registry;
use crate::support::stock;
use crate::support::words::{exit, outcome};

const REPOSITORIES: usize = 20;

fn busybox() -> Manifest {
    stock::busybox().manifest(Format::Oci)
}

fn names() -> Vec<String> {
    (0..REPOSITORIES).map(|n| format!("team/app{n}")).collect()
}

fn project(url: &str, repositories: &[&str], keys: &str) -> Project {
    let project = Project::new(&stock::pipeline_for(url, repositories));
    project.edit("{kind: registry, ", &format!("{{kind: registry, {keys}"));
    project
}

/// How many GETs of manifests and of blobs there were.
fn gets(seen: &[Seen]) -> [usize; 2] {
    ["/manifests/", "/blobs/"]
        .map(|path| seen.iter().filter(|s| s.method == Method::GET && s.path.contains(path)).count())
}

#[test]
fn an_image_in_many_repositories_is_got_once_and_costs_one_pull() {
    let registry = Registry::start();
    let names = names();
    names.iter().for_each(|name| registry.push(&format!("{name}:latest"), &busybox()));
    let server = front::behind(registry, |_| None);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let project = project(&server.url(), &names, "budget: 1/6h, ");
    let report = project.build(&[]);
    assert_eq!((report.deferred, report.failed), (0, 0), "{}", report.listing());
    assert_eq!(report.of("get_layer_all").len(), REPOSITORIES);
    assert_eq!(gets(&server.seen()), [1, 1]);
}

#[test]
fn what_one_repository_has_not_another_is_asked_for() {
    let names = names();
    let mut shelf = Shelf::default();
    names.iter().for_each(|name| shelf.put(&format!("{name}:latest"), &busybox()));
    let lacking = names[..2].to_vec();
    let server = Server::start_as(Manner { latency: Duration::from_millis(100), ..Manner::default() }, move |seen| {
        let lacks = lacking.iter().any(|name| seen.path.starts_with(&format!("/v2/{name}/manifests/sha256:")));
        if lacks { fault::not_found("MANIFEST_UNKNOWN") } else { shelf.answer(seen) }
    });
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let report = project(&server.url(), &names, "").build(&[]);
    assert_eq!(report.failed, 0, "{}", report.listing());
    let [manifests, configs] = gets(&server.seen());
    assert!((1..=3).contains(&manifests) && configs == 1, "{manifests} {configs}");
}

/// Two sources of the same images: one with a budget for one pull, and one that is slow to list its tags.
#[test]
fn a_step_that_was_put_off_is_made_once_another_source_brought_what_it_lacks() {
    let images = [("library/busybox", busybox()), ("library/redis", stock::redis("6").manifest(Format::Docker))];
    let shelf = || {
        let mut shelf = Shelf::default();
        images.iter().for_each(|(repo, image)| shelf.put(&format!("{repo}:latest"), image));
        shelf
    };
    let near = Server::of(shelf());
    let far = Server::start_as(Manner { latency: Duration::from_millis(700), ..Manner::default() }, {
        let shelf = shelf();
        move |seen| shelf.answer(seen)
    });
    let project = Project::new(&format!(
        "version: 1
sources:
  near: {{kind: registry, url: \"{}\", budget: 1/1h}}
  far: {{kind: registry, url: \"{}\"}}
targets:
  near:
    rule: layers
    source: near
    tag: latest
    foreach: {{repo: [library/busybox, library/redis]}}
    output: near/{{repo}}.json
  far:
    rule: layers
    source: far
    tag: latest
    foreach: {{repo: [library/busybox, library/redis]}}
    output: far/{{repo}}.json
  sizes:
    rule: stat
    inputs: [near]
    output: sizes.csv
",
        near.url(),
        far.url()
    ));
    let report = project.build(&["--events", "events.ndjson"]);
    assert_eq!(report.deferred, 0, "{}", report.listing());
    assert_eq!(report.step("sizes").outcome, outcome::BUILT);
    let events = project.read("events.ndjson");
    assert!(events.contains("\"deferred\",\"step\":\"near@") || events.contains("the budget of 1 pull"), "{events}");
    assert_eq!((gets(&near.seen())[0], gets(&far.seen())[0]), (1, 1), "each image came once");
    project.build(&[]).assert_nothing_done();
}

/// A registry that gives no digests: nothing, or an ETag, says what a tag points at.
fn silent(etags: bool, heads: bool) -> Server {
    let mut shelf = Shelf::default();
    ["latest", "1"].iter().for_each(|tag| shelf.put(&format!("library/busybox:{tag}"), &busybox()));
    shelf.put("library/redis:latest", &stock::redis("6").manifest(Format::Docker));
    Server::start(move |seen| {
        if seen.method == Method::HEAD && !heads {
            return fault::error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED");
        }
        let mut answer = shelf.answer(seen);
        let digest = answer.headers_mut().remove("Docker-Content-Digest");
        let etag = digest.and_then(|digest| Some(format!("\"{}\"", digest.to_str().ok()?))).filter(|_| etags);
        match etag {
            Some(etag) if seen.header("if-none-match") == etag => fault::reply(StatusCode::NOT_MODIFIED, &[], ""),
            Some(etag) => {
                answer.headers_mut().insert("ETag", etag.parse().expect("a header"));
                answer
            }
            None => answer,
        }
    })
}

#[test]
fn a_manifest_that_came_for_want_of_a_digest_does_not_come_again() {
    let repositories = ["library/busybox", "library/redis"];
    for heads in [true, false] {
        let server = silent(false, heads);
        let project = project(&server.url(), &repositories, "");
        let report = project.build(&[]);
        assert_eq!(report.failed, 0, "{}", report.listing());
        assert_eq!(gets(&server.seen()), [3, 2], "one a tag, and two configs");
        let expected = Server::of({
            let mut shelf = Shelf::default();
            ["latest", "1"].iter().for_each(|tag| shelf.put(&format!("library/busybox:{tag}"), &busybox()));
            shelf.put("library/redis:latest", &stock::redis("6").manifest(Format::Docker));
            shelf
        });
        let usual = self::project(&expected.url(), &repositories, "");
        usual.build(&[]);
        project.snapshot().assert_same_bytes(&usual.snapshot(), "result/");
    }
}

#[test]
fn a_tag_that_did_not_move_costs_no_pull_where_the_server_has_an_etag() {
    let server = silent(true, true);
    let project = project(&server.url(), &["library/busybox", "library/redis"], "");
    project.build(&[]);
    assert_eq!(gets(&server.seen()), [3, 2]);
    let before = server.seen().len();
    let report = project.build(&["--refresh"]);
    assert_eq!(report.failed, 0, "{}", report.listing());
    assert_eq!(gets(&server.seen()[before..]), [0, 0], "HEADs alone");
    // What is not in the store any more is taken from what was kept with the ETag.
    std::fs::remove_dir_all(project.path(".layermill/store")).expect("it is there");
    project.build(&["--refresh", "--force"]);
    assert_eq!(gets(&server.seen()[before..]), [0, 2], "the configs");
}

#[test]
fn manifests_and_lists_may_lie_at_another_host_which_is_told_no_credentials() {
    let store = front::behind(stock::registry(), |_| None);
    // By another name it is another host.
    let elsewhere = store.url().replace("127.0.0.1", "localhost");
    let server = Server::start(move |seen| {
        if !seen.header("authorization").starts_with("Basic ") {
            return fault::challenge("Basic realm=\"r\"");
        }
        let query = if seen.query.is_empty() { String::new() } else { format!("?{}", seen.query) };
        let to = format!("{elsewhere}{}{query}", seen.path);
        fault::reply(StatusCode::TEMPORARY_REDIRECT, &[("Location", &to)], "")
    });
    let project = Project::new(&stock::pipeline(&server.url()));
    project.edit("{kind: registry, ", "{kind: registry, username: me, password: secret, ");
    let report = project.build(&[]);
    assert_eq!((report.failed, report.absent), (0, 1), "the artifact: {}", report.listing());
    assert!(store.seen().iter().all(|s| s.header("authorization").is_empty()));
    assert!(store.count("/tags/list") > 0 && store.count("/manifests/") > 0 && store.count("/blobs/") > 0);
    let usual = Project::new(&stock::pipeline(&store.url()));
    usual.build(&[]);
    project.snapshot().assert_same_bytes(&usual.snapshot(), "result/");
}

#[test]
fn what_an_index_names_and_is_not_there_is_not_asked_for_again_until_it_is_told_to() {
    let image = busybox();
    let index = Manifest::index(Format::Oci, &[&image], false, "");
    let mut shelf = Shelf::default();
    shelf.put_bytes("library/busybox:latest", index.media_type, index.blob.bytes.to_vec());
    let server = Server::of(shelf);
    let pulls = || gets(&server.seen())[0];
    for target in ["get_layer_all", "by_name"] {
        let project = project(&server.url(), &["library/busybox"], "");
        let by_name = "
  by_name:
    rule: layers
    source: ours
    repo: library/busybox
    tag: latest
    output: result/by_name.json
";
        let text = project.read("pipeline.yaml") + by_name;
        project.write("pipeline.yaml", text.replace("    output: result/", "    fresh: digest\n    output: result/"));
        let before = pulls();
        let absent = |args: &[&str]| {
            let report = project.build_exits(exit::DONE, &[&[target], args].concat());
            assert_eq!(report.absent, 1, "{}", report.listing());
            pulls() - before
        };
        assert_eq!(absent(&[]), 2, "the index, and what it names");
        assert_eq!(absent(&[]), 2);
        assert_eq!(absent(&["--refresh"]), 3, "what it names");
    }
}

/// The layers of the tag `latest` of each, which is asked about after the one before.
fn one_by_one(url: &str, repositories: &str) -> Project {
    Project::new(&format!(
        "version: 1
sources: {{ours: {{kind: registry, url: \"{url}\", concurrency: 1}}}}
targets:
  layers:
    rule: layers
    source: ours
    foreach: {{repo: [{repositories}]}}
    tag: latest
    sizes: uncompressed
    output: result/{{repo}}.json
  stat: {{rule: stat, inputs: [layers], output: result/stat.csv}}
"
    ))
}

#[test]
fn what_a_registry_lost_in_one_repository_is_the_same_whichever_is_asked_first() {
    let registry = Registry::start();
    let index = stock::nginx_index("1.27.2", "");
    for repo in ["a/lost", "b/whole"] {
        registry.push(&format!("{repo}:latest"), &index);
    }
    let image = stock::nginx("amd64", "1.27.2");
    let (child, layer) = (image.manifest(Format::Oci), image.layers().last().expect("some").blob.digest.clone());
    for lost in [vec![layer.clone()], vec![child.digest().to_owned()], vec![child.digest().to_owned(), layer]] {
        let missing = lost.clone();
        let server = front::behind(registry.guarded("", ""), move |seen| {
            let is_lost = seen.path.contains("a/lost") && missing.iter().any(|digest| seen.path.ends_with(digest));
            is_lost.then(|| fault::not_found("BLOB_UNKNOWN"))
        });
        let build = |repositories: &str| {
            let project = one_by_one(&server.url(), repositories);
            let before = server.seen().len();
            let report = project.build(&[]);
            assert_eq!((report.built, report.absent), (3, 0), "{}", report.listing());
            assert!(!report.stderr.contains("not to be had"), "{}", report.stderr);
            project.build(&[]).assert_nothing_done();
            (project, server.seen().len() - before)
        };
        let (lost_last, fewest) = build("b/whole, a/lost");
        let (lost_first, requests) = build("a/lost, b/whole");
        for file in ["a/lost.json", "b/whole.json"].map(|file| format!("result/{file}")) {
            assert_eq!(lost_first.read(&file), lost_last.read(&file), "{lost:?}");
        }
        assert!(requests <= fewest + lost.len(), "each that is lost is asked for once: {requests}, {fewest}");
        // Where nobody has it, it is as it was found, and that is not asked for twice.
        let (alone, before) = (lost_first, server.seen().len());
        std::fs::remove_dir_all(alone.path(".layermill")).expect("it was there");
        std::fs::remove_dir_all(alone.path("result")).expect("it was there");
        alone.edit("[a/lost, b/whole]", "[a/lost]");
        alone.build(&[]);
        let asked: Vec<String> = server.seen()[before..].iter().map(|seen| seen.path.clone()).collect();
        let distinct: BTreeSet<&String> = asked.iter().collect();
        assert!(asked.len() <= distinct.len() + 1, "but for the HEAD of the tag: {asked:#?}");
    }
}

#[test]
fn what_others_might_have_brought_is_asked_for_again_after_a_build_that_was_stopped() {
    let registry = Registry::start();
    let index = stock::nginx_index("1.27.2", "");
    for repo in ["a/lost", "b/whole"] {
        registry.push(&format!("{repo}:latest"), &index);
    }
    let child = stock::nginx("amd64", "1.27.2").manifest(Format::Oci).digest().to_owned();
    let is_down = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&is_down);
    let server = front::behind(registry, move |seen| {
        let is_lost = seen.path.contains("a/lost") && seen.path.ends_with(&child);
        let is_refused = seen.path.contains("b/whole") && down.load(Ordering::SeqCst);
        match (is_lost, is_refused) {
            (true, _) => Some(fault::not_found("MANIFEST_UNKNOWN")),
            (_, true) => Some(fault::error(StatusCode::IM_A_TEAPOT, "UNKNOWN")),
            _ => None,
        }
    });
    let project = one_by_one(&server.url(), "a/lost, b/whole");
    let report = project.build_exits(exit::FAILED, &["--fail-fast"]);
    assert_eq!((report.absent, report.failed), (0, 1), "{}", report.listing());
    is_down.store(false, Ordering::SeqCst);
    let report = project.build(&[]);
    assert_eq!((report.built, report.absent), (3, 0), "{}", report.listing());
}
