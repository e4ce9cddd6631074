//! Formats of manifests and of layers.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::fault::{self, Server};
use crate::support::http::Response;
use crate::support::images::{Blob, Format, Layer, Manifest, digest};
use crate::support::project::Project;
use crate::support::registry::Registry;
use crate::support::stock;
use crate::support::words::exit;
use crate::tags_layers::{image, set_for_layers, texts};

const SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

/// What the registry makes of an image for clients that know only schema 1: signed by itself.
fn as_schema1(registry: &Registry, repo: &str, tag: &str) -> Response {
    let response = registry.ask("GET", &format!("/v2/{repo}/manifests/{tag}"), &[], b"").expect(200);
    assert_eq!(response.header("Content-Type"), Some(SIGNED));
    response
}

/// The same image with a config as Docker wrote it before BuildKit, which says there what made the topmost layer. Where
/// the config does not, schema 1 has no place for that command.
fn as_docker_built_it(manifest: &Manifest) -> Manifest {
    let mut config: Value = serde_json::from_slice(&manifest.blobs[0].bytes).expect("a config");
    let command = config["history"].as_array().and_then(|h| h.last()).expect("history")["created_by"].clone();
    config["container_config"] = json!({"Cmd": [command]});
    config["docker_version"] = json!("20.10.7");
    let config = Blob::new(config.to_string().into_bytes());
    let mut body: Value = serde_json::from_slice(&manifest.blob.bytes).expect("a manifest");
    body["config"]["digest"] = json!(config.digest);
    body["config"]["size"] = json!(config.bytes.len());
    let blobs = std::iter::once(config).chain(manifest.blobs[1..].iter().cloned()).collect();
    Manifest::of_bytes(manifest.media_type, body.to_string().into_bytes(), blobs)
}

#[test]
fn layers_of_a_schema_1_image_and_of_the_same_as_schema_2_show_the_same_commands_and_count() {
    let registry = stock::registry();
    registry.push("library/redis:latest", &as_docker_built_it(&stock::redis("7.4.1").manifest(Format::Docker)));
    let old = as_schema1(&registry, "library/redis", "latest");
    let sent = [("Content-Type", SIGNED)];
    registry.ask("PUT", "/v2/library/redis/manifests/old", &sent, &old.body).expect(201);

    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/redis"]));
    let mark = registry.mark();
    let report = project.build(&[]);
    assert_eq!((report.failed, report.absent), (0, 0), "{}", report.listing());
    let file = |tag: &str| image(&project, &format!("result/layers/library/redis/{tag}.json"));
    let (one, two) = (file("old"), file("latest"));
    for (field, value) in [("count", 5u64), ("size", stock::redis("7.4.1").size())] {
        assert_eq!((&one["repo"][field], &two["repo"][field]), (&json!(value), &json!(value)));
    }
    assert_eq!(one["repo"]["platform"], "linux/amd64");
    for field in ["created_by", "created", "author", "digest", "docker_version"] {
        assert_eq!(texts(&one, field), texts(&two, field), "{field}");
    }
    let each = |image: &Value, field: &str| -> Vec<Value> {
        image["layers"].as_array().expect("layers").iter().map(|l| l[field].clone()).collect()
    };
    for field in ["Size", "empty", "container_config"] {
        assert_eq!(each(&one, field), each(&two, field), "{field}");
    }
    assert_eq!(one["layers"][0]["config"]["Cmd"], two["layers"][0]["config"]["Cmd"]);
    // It does not say how large its layers are: each is looked at, once, and none is fetched.
    let asked = registry.requests_since(mark);
    let of_layers = || asked.iter().filter(|r| stock::redis("7.4.1").layers().any(|l| r.path.contains(&l.blob.digest)));
    assert_eq!(of_layers().map(|r| r.method.as_str()).collect::<Vec<_>>(), ["HEAD", "HEAD"]);
}

#[test]
fn explain_lists_the_layers_of_a_schema_1_image_as_those_of_others_and_says_what_was_not_read() {
    let registry = stock::registry();
    registry.push("library/redis:latest", &as_docker_built_it(&stock::redis("7.4.1").manifest(Format::Docker)));
    let old = as_schema1(&registry, "library/redis", "latest");
    registry.ask("PUT", "/v2/library/redis/manifests/old", &[("Content-Type", SIGNED)], &old.body).expect(201);
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/redis"]));
    let layers = |tag: &str| {
        let told = project.explain(&format!("get_layer_all@repo=library/redis,tag={tag}"));
        let lines: Vec<String> = told.lines().filter(|l| l.contains("(a layer: ")).map(str::to_owned).collect();
        lines
    };
    project.build(&["get_layer_all"]);
    let redis = stock::redis("7.4.1");
    let asked = |l: &Layer| format!("  read      {} (a layer: not read, its size was asked for)", l.blob.digest);
    assert_eq!(layers("old"), redis.layers().map(asked).collect::<Vec<_>>());
    assert!(layers("latest").is_empty(), "its manifest says their sizes");
    set_for_layers(&project, "sizes: uncompressed");
    project.build(&["get_layer_all"]);
    assert_eq!((layers("old"), layers("old").len()), (layers("latest"), redis.layers().count()));
    assert!(layers("old").iter().all(|line| line.ends_with(", for its size unpacked)")), "{:?}", layers("old"));
}

#[test]
fn ids_of_schema_1_are_those_that_it_came_with() {
    let registry = stock::registry();
    let old = as_schema1(&registry, "library/redis", "latest");
    registry.ask("PUT", "/v2/library/redis/manifests/old", &[("Content-Type", SIGNED)], &old.body).expect(201);
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/redis"]));
    set_for_layers(&project, "ids: docker");
    project.build(&[]);
    let ids = |tag: &str| texts(&image(&project, &format!("result/layers/library/redis/{tag}.json")), "id");
    assert_eq!(ids("old"), ids("latest"));
}

#[test]
fn the_digest_of_a_signed_manifest_is_that_of_what_was_signed() {
    let registry = stock::registry();
    let old = as_schema1(&registry, "library/redis", "latest");
    let said = old.header("Docker-Content-Digest").expect("a digest").to_owned();
    assert_ne!(digest(&old.body), said);
    // As old registries do, this one names no digests: what comes has to be hashed.
    let made = stock::redis("7.4.1").manifest(Format::Docker);
    for damaged in [false, true] {
        let body = String::from_utf8(old.body.clone()).expect("text");
        let body = if damaged { body.replace("make -C", "mask -C") } else { body };
        let (made, said_now) = (made.clone(), said.clone());
        let server = Server::start(move |request| {
            if request.path.ends_with("/tags/list") {
                return fault::tag_list("library/redis", ["latest"]);
            }
            if let Some((_, reference)) = request.path.split_once("/manifests/") {
                // Its digest is named to those that look, so that damage on the way can be seen.
                let head = [("Content-Type", SIGNED), ("Docker-Content-Digest", said_now.as_str())];
                let named = damaged || reference != "latest";
                return fault::reply(StatusCode::OK, &head[..1 + usize::from(named)], body.clone());
            }
            let blob = made.blobs.iter().find(|b| request.path.ends_with(&b.digest)).expect("one of its blobs");
            assert_eq!(request.method, Method::HEAD, "{}", request.path);
            fault::content(request, "application/octet-stream", &blob.digest, blob.bytes.to_vec().into())
        });
        let project = Project::new(&stock::pipeline_for(&server.url(), &["library/redis"]));
        let report = project.run(&["build", "--format", "json"]);
        let report = report.report(i32::from(damaged));
        assert_eq!(project.json("result/tags/library/redis.json")["latest"], said["sha256:".len()..]);
        let layers = "result/layers/library/redis/latest.json";
        assert_eq!(project.exists(layers), !damaged, "{}", report.listing());
        if damaged {
            assert!(report.listing().contains("expected content of this digest"), "{}", report.listing());
        } else {
            assert_eq!(image(&project, layers)["repo"]["digest"], said);
        }
    }
}

#[test]
fn a_binding_makes_a_layer_file_for_each_platform() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/nginx"]));
    project.edit(
        "{tag: {from: get_tag, select: all}}\n    output: result/layers/{repo}/{tag}.json",
        "{tag: {from: get_tag, select: all}, platform: [linux/amd64, linux/arm64, linux/s390x]}\n    \
         platform: \"{platform}\"\n    output: result/platforms/{repo}/{tag}/{platform}.json",
    );
    let report = project.build(&["get_layer_all"]);
    assert_eq!((report.absent, report.failed), (1, 0), "{}", report.listing());
    for architecture in ["amd64", "arm64"] {
        let ours = image(&project, &format!("result/platforms/library/nginx/latest/linux/{architecture}.json"));
        assert_eq!(ours["repo"]["platform"], format!("linux/{architecture}"));
        assert_eq!(ours["repo"]["digest"], stock::nginx(architecture, "1.27.2").manifest(Format::Oci).digest());
    }
    assert!(!project.exists("result/platforms/library/nginx/latest/linux/s390x.json"), "the index does not have it");

    project.edit("linux/s390x", "windows");
    let report = project.build_exits(exit::FAILED, &["get_layer_all"]);
    assert!(report.listing().contains("`windows` is not a platform"), "{}", report.listing());
}

#[test]
fn a_source_that_a_step_makes_is_read_by_targets_that_wait_for_it() {
    let p = Project::new(
        r#"version: 1
sources: {s: {kind: oci-layout, path: r/lay}}
targets:
  made: {rule: command, inputs: [./lay.tar], run: "mkdir -p {out} && tar xf {in} -C {out}", output: r/lay/}
  tags: {rule: tags, source: s, repo: library/busybox, output: r/tags.json}
"#,
    );
    p.layout("lay", &crate::support::sample::images());
    let tarred =
        std::process::Command::new("tar").args(["cf", "lay.tar", "-C", "lay", "."]).current_dir(p.path(".")).status();
    assert!(tarred.expect("tar runs").success());
    let said = p.run(&["build"]).exits(exit::WRONG);
    said.says("`made` writes `r/lay`, which `s` reads").says("`after: [made]`");
    p.edit("repo: library/busybox,", "repo: library/busybox, after: [made],");
    p.build(&[]);
    assert!(p.read("r/tags.json").contains("\"1\""), "{}", p.read("r/tags.json"));
}
