//! An imagelayers server as a source: its tags, and layer files as it makes them.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use crate::support::fault::{self, Seen, Server};
use crate::support::images::Format;
use crate::support::project::Project;
use crate::support::stock;
use crate::support::words::exit;

const ID: &str = "bc744c4ab376115cc45c610d53f529dd2d4249ae6b35e5d6e7a96e58863545aa";
const PARENT: &str = "56ed16bd6310cca65920c653a9bb22de6b235990dcaa1742ff839867aed730e5";

/// The entry of an image, as the server made it.
fn image(name: &str, tag: &str) -> Value {
    let layer = |id: &str, parent: &str, size: u64| {
        json!({"id": id, "parent": parent, "Comment": "", "created": "2016-03-18T18:22:48.810791943Z", "container": "",
               "container_config": {"Hostname": "", "Cmd": ["/bin/sh", "-c", "#(nop) CMD [\"sh\"]"]},
               "docker_version": "1.9.1", "author": "", "config": null, "architecture": "amd64", "os": "linux",
               "Size": size})
    };
    json!({"repo": {"name": name, "tag": tag, "size": 1_112_820, "count": 2},
           "layers": [layer(ID, PARENT, 0), layer(PARENT, "", 1_112_820)], "status": 200})
}

/// What the server answered: tags by name, images by name and tag, each in its place.
fn answer(request: &Seen) -> Response {
    let known = |name: &str| matches!(name, "busybox" | "library/busybox");
    if let Some(name) = request.path.strip_prefix("/registry/images/").and_then(|p| p.strip_suffix("/tags")) {
        let tags = known(name).then(|| BTreeMap::from([("1.24", ID), ("gone", PARENT), ("latest", ID)]));
        return fault::json(StatusCode::OK, &json!(tags));
    }
    if request.method != Method::POST || request.path != "/registry/analyze" {
        return fault::not_found("NAME_UNKNOWN");
    }
    assert_eq!(request.header("content-type"), "application/json");
    let wanted: Value = serde_json::from_str(&request.body).expect("JSON");
    let images = wanted["repos"].as_array().expect("repos").iter().map(|repo| {
        let (name, tag) = (repo["name"].as_str().expect("a name"), repo["tag"].as_str().expect("a tag"));
        match known(name) && tag != "gone" {
            true => image(name, tag),
            false => {
                json!({"repo": {"name": name, "tag": tag, "size": 0, "count": 0}, "layers": null, "status": 404})
            }
        }
    });
    fault::json(StatusCode::OK, &images.collect())
}

fn project(url: &str, repositories: &[&str]) -> Project {
    let project = Project::new(&stock::pipeline_for(url, repositories));
    project.edit("{kind: registry, ", "{kind: imagelayers, ");
    project.edit("    source: ours\n", "    source: ours\n    retries: 0\n");
    project
}

#[test]
fn tags_and_layers_are_what_the_server_says() {
    let server = Server::start(answer);
    let project = project(&server.url(), &["library/busybox"]);
    let report = project.build(&[]);
    assert_eq!(report.failed, 0, "{}", report.listing());
    let tags = project.json("result/tags/library/busybox.json");
    assert_eq!(tags, json!({"1.24": ID, "gone": PARENT, "latest": ID}));
    let file = "result/layers/library/busybox/1.24.json";
    assert_eq!(project.json(file), json!([image("library/busybox", "1.24")]));
    // In our form: two blanks a level, a newline at the end.
    let text = project.read(file);
    let sent: Value = project.json(file);
    assert_eq!(text, format!("{}\n", serde_json::to_string_pretty(&sent).expect("JSON")));
    let stat = "repo,tag,layer_count,layer_size,\n\
                library/busybox,1.24,2,1112820,\nlibrary/busybox,latest,2,1112820,\n";
    assert_eq!(project.read("result/stat/stat_layer.csv"), stat);
    let before = server.seen().len();
    assert_eq!(before, 4, "one for the tags, one for each image");
    project.build(&[]).assert_nothing_done();
    assert_eq!(server.seen().len(), before);
}

#[test]
fn a_tag_or_repository_that_is_not_there_is_absent() {
    let server = Server::start(answer);
    let project = project(&server.url(), &["busybox", "none"]);
    let report = project.build(&["get_layer_all"]);
    assert_eq!((report.failed, report.absent), (0, 2), "{}", report.listing());
    assert!(project.exists("result/layers/busybox/latest.json"));
    assert!(!project.exists("result/layers/busybox/gone.json") && !project.exists("result/tags/none.json"));
}

#[test]
fn a_tag_that_is_named_needs_no_tag_file() {
    let server = Server::start(answer);
    let project = project(&server.url(), &["busybox"]);
    project
        .edit("    foreach: {tag: {from: get_tag, select: latest}}", "    foreach: {repo: [busybox], tag: [latest]}");
    let explained = || project.explain("get_layer_latest@repo=busybox,tag=latest");
    assert!(!explained().contains("  read  "), "{}", explained());
    project.build(&["get_layer_latest"]);
    assert_eq!(project.json("result/layers/busybox/latest.json"), json!([image("busybox", "latest")]));
    let told = explained();
    assert!(told.contains("  read      busybox:latest (its layers, as the source tells them)\n"), "{told}");
    project.remove("result/layers/busybox/latest.json");
    let plan = project.run(&["plan", "get_layer_latest", "--offline"]).exits(exit::DONE).stdout;
    assert!(plan.contains("offline, and the layer file of busybox:latest is not in the store"), "{plan}");
}

#[test]
fn a_source_that_makes_other_files_of_the_same_digest_makes_them_again() {
    let registry = stock::registry();
    let digest = stock::busybox().manifest(Format::Oci).digest()["sha256:".len()..].to_owned();
    // A server that gives the digests which the registry has, and its own layer files.
    let servers = [0, 1].map(|_| {
        let digest = digest.clone();
        Server::start(move |request| match request.path.strip_prefix("/registry/images/") {
            Some(_) => fault::json(StatusCode::OK, &json!({"1": digest, "latest": digest})),
            None => answer(request),
        })
    });
    let project = project(&servers[0].url(), &["library/busybox"]);
    let target = "  static: {rule: layers, source: ours, repo: library/busybox, tag: latest, output: static.json}\n";
    project.edit("targets:\n", &format!("targets:\n{target}"));
    let steps = ["static", "get_layer_latest", "get_layer_all"];
    project.build(&steps);
    let source = |kind: &str, url: &str| format!("{kind} {url}");
    let mut was = source("imagelayers", &servers[0].url());
    let dynamic = "get_layer_all@repo=library/busybox,tag=1";
    for (kind, url) in [("imagelayers", servers[1].url()), ("registry", registry.url())] {
        let (old_kind, old_url) = was.split_once(' ').expect("kind and address");
        project
            .edit(&format!("{{kind: {old_kind}, url: \"{old_url}\"}}"), &format!("{{kind: {kind}, url: \"{url}\"}}"));
        let now = source(kind, &url);
        let question = format!("changed question: source, from {was} to {now}");
        let plan = project.run(&["plan", "static", dynamic, "-v"]).stdout;
        assert!(plan.contains(&question), "{plan}");
        let parameter = format!("changed parameter: source, from {was:?} to {now:?}");
        assert!(plan.contains(&parameter), "{plan}");
        let report = project.build(&steps);
        assert_eq!(report.built, 3, "{}", report.listing());
        assert!(report.step("static").reason().contains(&question), "{}", report.listing());
        assert!(report.step(dynamic).reason().contains(&parameter), "{}", report.listing());
        was = now;
        project.build(&steps).assert_nothing_done();
    }
    let fresh = Project::new(&project.read("pipeline.yaml"));
    fresh.build(&steps);
    for file in ["static.json", "result/layers/library/busybox/1.json"] {
        assert_eq!(project.read(file), fresh.read(file));
        let told = project.explain(file);
        assert!(told.contains(&format!("  read      sha256:{digest} (the manifest)\n")), "{told}");
    }
}

#[test]
fn an_answer_of_another_form_fails_the_step_and_is_not_written() {
    let wrong = |change: fn(&mut Value)| {
        let mut image = image("busybox", "latest");
        change(&mut image);
        json!([image])
    };
    let answers = [
        (json!({"message": "no list"}), "expected a list of layers"),
        (json!([]), "something else"),
        (wrong(|image| image["repo"]["tag"] = json!("1.24")), "something else"),
        (wrong(|image| image["repo"]["count"] = json!(3)), "something else"),
        (wrong(|image| image["layers"] = json!("none")), "something else"),
        (wrong(|image| image["status"] = json!(500)), "unexpected status 500"),
        (wrong(|image| image["pad"] = json!("x".repeat(5 << 20))), "that are the most"),
    ];
    for (body, says) in answers {
        let server = Server::start(move |request| match request.path.as_str() {
            "/registry/analyze" => fault::json(StatusCode::OK, &body),
            _ => answer(request),
        });
        let project = project(&server.url(), &["busybox"]);
        let report = project.build_exits(exit::FAILED, &["get_layer_latest"]);
        assert!(report.stderr.contains(says), "{says}: {}", report.stderr);
        assert!(!project.exists("result/layers/busybox/latest.json"));
    }
}

#[test]
fn tags_that_are_none_and_ids_that_are_none_are_left_out() {
    let server = Server::start(|_| fault::json(StatusCode::OK, &json!({"ok": ID, "../x": ID, "short": "bc744c4a"})));
    let project = project(&server.url(), &["busybox"]);
    let report = project.build(&["get_tag"]);
    assert_eq!(project.json("result/tags/busybox.json"), json!({"ok": ID}));
    assert!(report.stderr.contains("2 tags left out"), "{}", report.stderr);
}

#[test]
fn more_tags_than_any_repository_has_are_refused() {
    let tags: String = (0..1_000_001).map(|n| format!("\"t{n}\":\"\",")).collect();
    let body = format!("{{{}}}", tags.trim_end_matches(','));
    let server =
        Server::start(move |_| fault::reply(StatusCode::OK, &[("Content-Type", "application/json")], body.clone()));
    let report = project(&server.url(), &["busybox"]).build_exits(exit::FAILED, &["get_tag"]);
    assert!(report.stderr.contains("an object of more than 1000000 names"), "{}", report.stderr);
}

#[test]
fn what_the_server_decides_cannot_be_asked_for() {
    let project = project("http://127.0.0.1:1", &["busybox"]);
    let output = "    output: result/layers/{repo}/{tag}.json\n";
    project.edit(output, &format!("{output}    platform: linux/arm64\n"));
    project.run(&["build"]).exits(exit::WRONG).says("`platform` is not for this source");
}
