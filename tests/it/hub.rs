//! Docker Hub: tags by its API, images by its registry.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;
use serde_json::json;

use crate::support::fault::{self, Server, Shelf};
use crate::support::hub::Hub;
use crate::support::images::{Format, Manifest};
use crate::support::project::Project;
use crate::support::registry::Registry;
use crate::support::stock;
use crate::support::words::exit;

const BUSYBOX: &str = "library/busybox";
const TAGS: &str = "result/tags/library/busybox.json";

fn busybox() -> Manifest {
    stock::busybox().manifest(Format::Oci)
}

/// A project over the Hub: its API, and its registry.
fn project(api: &str, registry: &str, repositories: &[&str]) -> Project {
    let project = Project::new(&stock::pipeline_for("unused", repositories));
    let keys = format!("{{kind: dockerhub, api: \"{api}\", registry: \"{registry}\"}}");
    project.edit("{kind: registry, url: \"unused\"}", &keys);
    project.edit("    source: ours\n", "    source: ours\n    retries: 0\n");
    project
}

/// A shelf and a Hub's list of it: tags `v0`, `v1`, … of busybox, all of one image.
fn many(count: usize) -> (Shelf, Hub) {
    let (mut shelf, mut hub) = (Shelf::default(), Hub::default());
    shelf.put("library/busybox:latest", &busybox());
    hub.put(BUSYBOX, "latest", Some(busybox().digest()));
    for i in 1..count {
        shelf.tag(&format!("library/busybox:v{i}"), busybox().digest());
        hub.put(BUSYBOX, &format!("v{i}"), Some(busybox().digest()));
    }
    (shelf, hub)
}

fn tag_count(project: &Project) -> usize {
    project.json(TAGS).as_object().expect("an object").len()
}

#[test]
fn the_hub_gives_the_files_that_its_registry_alone_would_give() {
    let registry = stock::registry();
    let mut hub = Hub::default();
    for (repo, tag) in stock::IMAGES.into_iter().chain([("library/sbom", "latest")]) {
        let path = format!("/v2/{repo}/manifests/{tag}");
        let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.v2+json";
        let head = registry.ask("HEAD", &path, &[("Accept", accept)], b"").expect(200);
        hub.put(repo, tag, head.header("Docker-Content-Digest"));
    }
    let hub = hub.serve();
    let alone = Project::new(&stock::pipeline(&registry.url()));
    alone.build(&[]);
    let mark = registry.mark();
    let by_hub = project(&hub.url(), &registry.url(), &stock::REPOSITORIES);
    let report = by_hub.build(&[]);
    assert_eq!((report.failed, report.absent), (0, 1), "the artifact: {}", report.listing());
    by_hub.snapshot().assert_same_bytes(&alone.snapshot(), "result");
    assert_eq!(hub.seen().len(), stock::REPOSITORIES.len(), "one page a repository");
    assert!(registry.requests_since(mark).iter().all(|r| r.fetches()), "digests came with the tags");
    by_hub.build(&[]).assert_nothing_done();
}

#[test]
fn a_thousand_tags_are_ten_requests() {
    let (shelf, hub) = many(1000);
    let (hub, registry) = (hub.serve(), Server::of(shelf));
    let project = project(&hub.url(), &registry.url(), &[BUSYBOX]);
    project.build(&["get_tag"]);
    assert_eq!(tag_count(&project), 1000);
    assert_eq!(hub.seen().len(), 10);
    assert_eq!(registry.seen().len(), 0);
    assert!(hub.seen().iter().all(|request| request.param("page_size") == "100"));
}

#[test]
fn a_tag_without_a_digest_is_asked_about_by_head() {
    let (mut shelf, mut hub) = many(3);
    shelf.tag("library/busybox:old", busybox().digest());
    hub.put(BUSYBOX, "old", None);
    hub.put(BUSYBOX, "odd", Some("sha256:no"));
    let (hub, registry) = (hub.serve(), Server::of(shelf));
    let project = project(&hub.url(), &registry.url(), &[BUSYBOX]);
    let report = project.build(&["get_tag"]);
    let tags = project.json(TAGS);
    assert_eq!((tag_count(&project), &tags["old"]), (4, &json!(busybox().id())));
    let seen = registry.seen();
    let (heads, gets): (Vec<_>, Vec<_>) = seen.iter().partition(|r| r.method == "HEAD");
    // Where the one that is gone is asked about first, a GET finds out whether HEADs are to be believed.
    assert!(heads.len() == 2 && gets.len() <= 1 && gets.iter().all(|r| r.path.ends_with("/odd")), "{seen:?}");
    assert!(report.stderr.contains("`odd` (gone when it was asked about"), "{}", report.stderr);
}

#[test]
fn past_the_wall_for_anonymous_clients_the_registrys_list_goes_on() {
    let (shelf, mut hub) = many(450);
    hub.wall = Some(200);
    let (hub, registry) = (hub.serve(), Server::of(shelf));
    let project = project(&hub.url(), &registry.url(), &[BUSYBOX]);
    project.build(&["get_tag"]);
    assert_eq!(tag_count(&project), 450);
    assert_eq!(hub.seen().len(), 3);
    assert_eq!(registry.count("/tags/list"), 1);
    assert_eq!(registry.count("/manifests/"), 250, "what the Hub's pages told is not asked for again");
}

#[test]
fn a_tag_that_moves_while_pages_are_turned_is_not_lost() {
    let (shelf, hub) = many(150);
    // Pushed again after the first page, the last tag comes first, where it is looked for no more.
    let mut later = Hub::default();
    later.put(BUSYBOX, "v149", Some(busybox().digest()));
    later.put(BUSYBOX, "latest", Some(busybox().digest()));
    for i in 1..149 {
        later.put(BUSYBOX, &format!("v{i}"), Some(busybox().digest()));
    }
    let asked = AtomicUsize::new(0);
    let hub = Server::start(move |request| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => hub.answer(request),
        _ => later.answer(request),
    });
    let registry = Server::of(shelf);
    let project = project(&hub.url(), &registry.url(), &[BUSYBOX]);
    project.build(&["get_tag"]);
    assert_eq!(tag_count(&project), 150);
    assert_eq!(registry.count("/manifests/"), 1);
}

#[test]
fn a_bare_name_is_one_of_the_library() {
    let (shelf, hub) = many(2);
    let (hub, registry) = (hub.serve(), Server::of(shelf));
    let project = project(&hub.url(), &registry.url(), &["busybox"]);
    let report = project.build(&[]);
    assert_eq!((report.failed, report.absent), (0, 0), "{}", report.listing());
    assert_eq!(project.json("result/tags/busybox.json")["latest"], busybox().id());
    assert_eq!(project.json("result/layers/busybox/latest.json")[0]["repo"]["name"], "busybox");
}

#[test]
fn a_repository_that_is_not_there_is_absent() {
    let (shelf, hub) = many(2);
    let (hub, registry) = (hub.serve(), Server::of(shelf));
    let project = project(&hub.url(), &registry.url(), &["library/none", "o/none", "a/b/tags"]);
    let report = project.build(&["get_tag"]);
    assert_eq!((report.failed, report.absent), (0, 3), "{}", report.listing());
    assert_eq!(hub.seen().len(), 2, "the Hub has no names of three parts");
}

#[test]
fn a_name_with_a_host_is_absent_with_what_may_be_meant() {
    let (shelf, hub) = many(1);
    let (hub, registry) = (hub.serve(), Server::of(shelf));
    let project = project(&hub.url(), &registry.url(), &["docker.io/busybox", "ghcr.io/acme/app"]);
    let report = project.build(&["get_tag"]);
    assert_eq!((report.failed, report.absent), (0, 2), "{}", report.listing());
    let why = |repo: &str| project.explain(&format!("get_tag@repo={repo}"));
    assert!(why("docker.io/busybox").contains("names have no host here, so `library/busybox` may be meant"));
    assert!(why("ghcr.io/acme/app").contains("ghcr.io is another registry, and wants a source of its own"));
}

#[test]
fn the_registrys_tokens_are_got_as_it_asks_and_shown_to_nobody_else() {
    let (shelf, hub) = many(2);
    let registry = Server::start(move |request| match (request.path.as_str(), request.header("authorization")) {
        ("/token", _) if request.param("service") == "registry.docker.io" => {
            fault::json(StatusCode::OK, &json!({"token": "t", "expires_in": 300}))
        }
        (_, "Bearer t") => shelf.answer(request),
        _ => fault::challenge(&format!(
            "Bearer realm=\"{}/token\",service=\"registry.docker.io\",scope=\"repository:library/busybox:pull\"",
            request.server()
        )),
    });
    let hub = hub.serve();
    let project = project(&hub.url(), &registry.url(), &[BUSYBOX]);
    let report = project.build(&[]);
    assert_eq!((report.failed, report.absent), (0, 0), "{}", report.listing());
    assert_eq!(registry.count("/token"), 1);
    assert!(hub.seen().iter().all(|request| request.header("authorization").is_empty()));
}

#[test]
fn a_private_repository_is_listed_by_the_registry() {
    let registry = Registry::start();
    registry.push("library/busybox:latest", &busybox());
    let hub = Hub::default().serve();
    let project = project(&hub.url(), &registry.url(), &[BUSYBOX]);
    project.build(&["get_tag"]);
    assert_eq!(tag_count(&project), 1);
    let told = project.explain("get_tag");
    assert!(told.contains(&format!("Z: answered, by {}\n", registry.url())), "{told}");
}

#[test]
fn explain_says_whether_the_api_or_the_registry_told_the_tags() {
    let (mut shelf, mut hub) = many(2);
    shelf.tag("library/busybox:old", busybox().digest());
    let registry = Server::of(shelf);
    let api = hub.clone().serve();
    let listed = project(&api.url(), &registry.url(), &[BUSYBOX]);
    listed.build(&["get_tag"]);
    let told = listed.explain("get_tag");
    assert!(told.contains(&format!("Z: answered, by {}\n", api.url())), "{told}");
    // The digest of an old tag is asked of the registry.
    hub.put(BUSYBOX, "old", None);
    let api = hub.serve();
    let both = project(&api.url(), &registry.url(), &[BUSYBOX]);
    both.build(&["get_tag"]);
    let mut names = [api.url(), registry.url()];
    names.sort();
    let told = both.explain("get_tag");
    assert!(told.contains(&format!("Z: answered, by {}\n", names.join(" and "))), "{told}");
}

#[test]
fn pages_that_lie_fail_the_step() {
    let elsewhere = Server::of(Shelf::default());
    let away = format!("{}/v2/namespaces/library/repositories/busybox/tags?page=2", elsewhere.url());
    let page = |next: &str| json!({"count": 1, "next": next, "results": [{"name": "x", "digest": busybox().digest()}]});
    let answers = [
        (page(&away), "leads elsewhere"),
        (page("?page_size=100"), "circle"),
        (json!({"detail": "maintenance"}), "expected a list of tags"),
        (json!({"count": 1, "results": [{"name": 7}]}), "expected a list of tags"),
        (json!({"count": 1, "results": [], "pad": "x".repeat(9 << 20)}), "that are the most"),
    ];
    for (answer, says) in answers {
        let hub = Server::start(move |_| fault::json(StatusCode::OK, &answer));
        let project = project(&hub.url(), &elsewhere.url(), &[BUSYBOX]);
        let report = project.build_exits(exit::FAILED, &["get_tag"]);
        assert!(report.stderr.contains(says), "{says}: {}", report.stderr);
        assert!(!project.exists(TAGS));
    }
    assert_eq!(elsewhere.seen().len(), 0);
}

#[test]
fn names_outside_the_grammar_are_left_out() {
    let (shelf, mut hub) = many(2);
    hub.put(BUSYBOX, "../../x", Some(busybox().digest()));
    hub.put(BUSYBOX, "a\u{1b}[2J", None);
    let (hub, registry) = (hub.serve(), Server::of(shelf));
    let project = project(&hub.url(), &registry.url(), &[BUSYBOX]);
    let report = project.build(&["get_tag"]);
    assert_eq!(tag_count(&project), 2);
    assert!(report.stderr.contains("2 tags left out"), "{}", report.stderr);
    assert_eq!(registry.seen().len(), 0);
}

#[test]
fn without_keys_it_is_docker_hub_itself() {
    let (shelf, hub) = many(2);
    let (hub, registry) = (hub.serve(), Server::of(shelf));
    let project = project(&hub.url(), &registry.url(), &[BUSYBOX]);
    let keys = format!("{{kind: dockerhub, api: \"{}\", registry: \"{}\"}}", hub.url(), registry.url());
    project.edit(&keys, "{kind: dockerhub}");
    let report = project.build_exits(exit::FAILED, &["get_tag", "--offline"]);
    let asked = "https://hub.docker.com/v2/namespaces/library/repositories/busybox/tags";
    assert!(report.stderr.contains(asked), "{}", report.stderr);
    project.edit("{kind: dockerhub}", "{kind: dockerhub, api: hub.docker.com}");
    project.run(&["build"]).exits(exit::WRONG).says("has no scheme");
}
