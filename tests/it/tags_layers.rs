//! What tag files, layer files and statistics hold.

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::fault::{self, Server, Shelf};
use crate::support::images::{Format, Image, Manifest, digest};
use crate::support::project::{Project, Running};
use crate::support::stock;
use crate::support::words::exit;

/// A project over an OCI layout of its own, with the seed's targets.
pub fn over_layout(images: &[(String, Manifest)], repositories: &[&str]) -> Project {
    let project = Project::new(&stock::pipeline_for("unused", repositories));
    project.edit("{kind: registry, url: \"unused\"}", "{kind: oci-layout, path: images}");
    project.layout("images", images);
    project
}

/// One more key for both targets of layers.
pub fn set_for_layers(project: &Project, key: &str) {
    let output = "    output: result/layers/{repo}/{tag}.json\n";
    project.edit(output, &format!("{output}    {key}\n"));
}

pub fn named(name: &str, manifest: Manifest) -> (String, Manifest) {
    (name.to_owned(), manifest)
}

/// The one entry of a layer file.
pub fn image(project: &Project, file: &str) -> Value {
    let mut list = project.json(file);
    let list = list.as_array_mut().expect("a list");
    assert_eq!(list.len(), 1, "one image a file");
    list.pop().expect("one")
}

/// One text of each layer, topmost first.
pub fn texts(image: &Value, field: &str) -> Vec<String> {
    let layers = image["layers"].as_array().expect("layers");
    layers.iter().map(|l| l[field].as_str().unwrap_or_else(|| panic!("no {field}: {l}")).to_owned()).collect()
}

#[test]
fn a_tag_file_is_an_object_of_tag_and_digest_as_the_seed_printed_it() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    project.build(&["get_tag"]);
    let busybox = stock::busybox().manifest(Format::Oci);
    assert_eq!(
        project.read("result/tags/library/busybox.json"),
        format!("{{\n  \"1\": \"{id}\",\n  \"latest\": \"{id}\"\n}}\n", id = busybox.id())
    );
    // Of an index its own digest, not that of an image in it.
    let index = stock::nginx_index("1.27.2", "");
    assert_eq!(project.json("result/tags/library/nginx.json")["latest"], index.id());
}

#[test]
fn a_layer_file_is_what_imagelayers_answered() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    project.build(&[]);
    let (ours, made) = (image(&project, "result/layers/library/nginx/latest.json"), stock::nginx("amd64", "1.27.2"));

    let repo = &ours["repo"];
    assert_eq!(repo["name"], "library/nginx");
    assert_eq!(repo["tag"], "latest");
    assert_eq!(repo["size"], made.size());
    assert_eq!(repo["count"], made.count());
    assert_eq!(repo["digest"], made.manifest(Format::Oci).digest(), "the platform's manifest, never the index");
    assert_eq!(repo["platform"], "linux/amd64");
    assert_eq!(ours["status"], 200);

    let layers = ours["layers"].as_array().expect("layers");
    assert_eq!(layers.len(), made.count());
    let bottom = layers.last().expect("several");
    assert_eq!(bottom["parent"], "");
    assert_eq!(bottom["Comment"], "");
    assert_eq!(bottom["created"], "2024-09-27T00:00:00Z");
    assert_eq!(bottom["created_by"], "ADD debian-bookworm-slim");
    assert_eq!(bottom["container_config"]["Cmd"], json!(["ADD debian-bookworm-slim"]));
    assert_eq!(bottom["empty"], false);
    let base = made.layers().next().expect("a base");
    assert_eq!(bottom["digest"], base.blob.digest);
    assert_eq!(bottom["Size"], base.blob.bytes.len());

    let top = &layers[0];
    assert_eq!(top["Comment"], "buildkit.dockerfile.v0");
    assert_eq!(top["created_by"], "CMD [\"nginx\", \"-g\", \"daemon off;\"]");
    assert_eq!((&top["empty"], &top["Size"]), (&json!(true), &json!(0)));
    assert_eq!(top["architecture"], "amd64");
    assert_eq!(top["os"], "linux");
    assert_eq!(top["config"]["Cmd"], json!(["nginx", "-g", "daemon off;"]));
    for layer in layers {
        for key in ["id", "parent", "Comment", "created", "container", "docker_version", "author", "architecture", "os"]
        {
            assert!(layer[key].is_string(), "{key} is no text in {layer}");
        }
        assert!(layer.get("config").is_some() && layer["container_config"].is_object(), "{layer}");
    }
    // Each layer's parent is the one below it.
    let (ids, parents) = (texts(&ours, "id"), texts(&ours, "parent"));
    assert_eq!(ids[1..], parents[..parents.len() - 1]);

    // Keys in the order that the design names, two blanks a level, a newline at the end.
    let text = project.read("result/layers/library/nginx/latest.json");
    assert!(
        text.starts_with(
            "[\n  {\n    \"repo\": {\n      \"name\": \"library/nginx\",\n      \"tag\": \"latest\",\n      \"size\": "
        ),
        "{text}"
    );
    assert!(text.ends_with("\n]\n"), "{text}");
}

#[test]
fn a_layers_id_is_the_hash_of_itself_and_all_below() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    project.build(&[]);
    let ours = image(&project, "result/layers/library/redis/latest.json");

    let made = stock::redis("7.4.1");
    let mut diff_ids = made.layers().map(|l| l.diff_id.clone());
    let (mut parent, mut ids) = (String::new(), Vec::new());
    for layer in ours["layers"].as_array().expect("layers").iter().rev() {
        let diff_id = if layer["empty"] == true { String::new() } else { diff_ids.next().expect("as many") };
        // RFC 8785: the keys sorted, no blanks; these strings need no escapes but those of JSON.
        let canonical = format!(
            r#"{{"author":"","comment":{},"created":{},"created_by":{},"empty":{},"layer":"{diff_id}","parent":"{parent}"}}"#,
            layer["Comment"], layer["created"], layer["created_by"], layer["empty"]
        );
        parent = digest(canonical.as_bytes())["sha256:".len()..].to_owned();
        ids.insert(0, parent.clone());
    }
    assert_eq!(texts(&ours, "id"), ids);
}

#[test]
fn images_share_the_ids_of_a_common_base_and_no_other() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    project.build(&[]);
    let ids = |file: &str| texts(&image(&project, file), "id");
    let (nginx, redis) =
        (ids("result/layers/library/nginx/latest.json"), ids("result/layers/library/redis/latest.json"));
    let base = stock::debian("amd64").count();
    assert_eq!(nginx[nginx.len() - base..], redis[redis.len() - base..], "across formats, and in an index or not");
    let set = |ids: &[String]| ids.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(set(&nginx).intersection(&set(&redis)).count(), base);
    assert_eq!(set(&nginx).len(), nginx.len(), "no id twice");
}

#[test]
fn instructions_without_files_on_one_parent_have_ids_of_their_own() {
    let base = stock::debian("amd64").child("2024-10-01T00:00:00Z");
    let [a, b] = ["A", "B"].map(|name| base.clone().env(name, "1").manifest(Format::Oci));
    let project = over_layout(&[named("x/a:latest", a), named("x/b:latest", b)], &["x/a", "x/b"]);
    project.build(&[]);
    let [a, b] = ["a", "b"].map(|x| texts(&image(&project, &format!("result/layers/x/{x}/latest.json")), "id"));
    assert_ne!(a[0], b[0]);
    assert_eq!(a[1..], b[1..]);
}

#[test]
fn docker_ids_equal_the_registrys_own_conversion() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/redis"]));
    set_for_layers(&project, "ids: docker");
    project.build(&["get_layer_all"]);
    for tag in ["latest", "6"] {
        // Asked without an Accept header, the registry answers in the old format, topmost first.
        let old = registry.ask("GET", &format!("/v2/library/redis/manifests/{tag}"), &[], b"").expect(200);
        let old: Value = serde_json::from_slice(&old.body).expect("a manifest of schema 1");
        assert_eq!(old["schemaVersion"], 1);
        let history = old["history"].as_array().expect("history");
        let theirs: Vec<(String, String)> = history
            .iter()
            .map(|entry| {
                let entry: Value =
                    serde_json::from_str(entry["v1Compatibility"].as_str().expect("text")).expect("JSON in JSON");
                let text = |key: &str| entry[key].as_str().unwrap_or("").to_owned();
                (text("id"), text("parent"))
            })
            .collect();
        let ours = image(&project, &format!("result/layers/library/redis/{tag}.json"));
        let ours: Vec<_> = texts(&ours, "id").into_iter().zip(texts(&ours, "parent")).collect();
        assert_eq!(ours, theirs);
    }
}

#[test]
fn a_platform_is_chosen_from_an_index_and_none_is_an_absence() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/nginx"]));
    set_for_layers(&project, "platform: linux/arm64");
    project.build(&[]);
    let ours = image(&project, "result/layers/library/nginx/latest.json");
    let made = stock::nginx("arm64", "1.27.2");
    assert_eq!(ours["repo"]["digest"], made.manifest(Format::Oci).digest());
    assert_eq!(ours["repo"]["platform"], "linux/arm64");
    assert_eq!(ours["layers"][0]["architecture"], "arm64");
    assert!(project.exists("result/layers/library/nginx/1.26.json"), "a plain manifest is taken as it is");

    project.edit("linux/arm64", "linux/s390x");
    let report = project.build(&[]);
    assert_eq!(report.absent, 1, "{}", report.listing());
    assert!(
        report.step("get_layer_all@repo=library/nginx,tag=latest").reason().contains("linux/s390x"),
        "{}",
        report.listing()
    );
    assert!(!project.exists("result/layers/library/nginx/latest.json"));
}

#[test]
fn a_layout_an_archive_and_a_registry_give_the_same_bytes() {
    let registry = stock::registry();
    let over_registry = Project::new(&stock::pipeline(&registry.url()));
    over_registry.build(&[]);

    let busybox = stock::busybox().manifest(Format::Oci);
    let images = [
        named("library/busybox:latest", busybox.clone()),
        named("library/busybox:1", busybox),
        named("library/nginx:latest", stock::nginx_index("1.27.2", "")),
        named("library/nginx:1.26", stock::nginx("amd64", "1.26.2").manifest(Format::Oci)),
        named("library/redis:latest", stock::redis("7.4.1").manifest(Format::Docker)),
        named("library/redis:6", stock::redis("6.2.16").manifest(Format::Docker)),
        named("library/sbom:latest", stock::artifact()),
    ];
    let over_layout = over_layout(&images, &stock::REPOSITORIES);
    let report = over_layout.build(&[]);
    assert_eq!((report.built, report.absent, report.requests), (11, 1, 0), "{}", report.listing());
    over_layout.snapshot().assert_same_bytes(&over_registry.snapshot(), "result/");

    let over_archive = Project::new(&over_layout.read("pipeline.yaml"));
    over_archive.edit("path: images", "path: images.tar");
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_dir_all(".", over_layout.path("images")).expect("packed");
    over_archive.write("images.tar", tar.into_inner().expect("packed"));
    over_archive.build(&[]);
    over_archive.snapshot().assert_same_bytes(&over_registry.snapshot(), "result/");
}

/// What `docker save` writes of an image: manifest.json, the config, and layers by path.
pub fn docker_archive(name: &str, config: &[u8], layers: &[(String, Vec<u8>)]) -> Vec<u8> {
    let paths: Vec<_> = layers.iter().map(|(path, _)| path).collect();
    let list = json!([{"Config": "config.json", "RepoTags": [name], "Layers": paths}]);
    let mut tar = tar::Builder::new(Vec::new());
    let mut put = |path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, bytes).expect("packed");
    };
    put("manifest.json", list.to_string().as_bytes());
    put("config.json", config);
    layers.iter().for_each(|(path, bytes)| put(path, bytes));
    tar.into_inner().expect("packed")
}

#[test]
fn what_docker_save_writes_can_be_counted() {
    let made = stock::redis("7.4.1");
    let manifest = made.manifest(Format::Docker);
    let config = &manifest.blobs[0];
    let unpack = |blob: &[u8]| {
        let mut tar = Vec::new();
        std::io::copy(&mut flate2::read::GzDecoder::new(blob), &mut tar).expect("gzip");
        tar
    };
    let hex = |digest: &str| digest["sha256:".len()..].to_owned();
    let layers: Vec<(String, Vec<u8>)> =
        made.layers().map(|l| (format!("{}/layer.tar", hex(&l.diff_id)), unpack(&l.blob.bytes))).collect();
    let project = Project::new(&stock::pipeline_for("unused", &["library/redis"]));
    project.edit("{kind: registry, url: \"unused\"}", "{kind: docker-archive, path: redis.tar}");
    project.write("redis.tar", docker_archive("library/redis:latest", &config.bytes, &layers));
    project.build(&[]);
    let unpacked: u64 = made.layers().map(|l| l.unpacked).sum();
    assert_eq!(
        project.read("result/stat/stat_layer.csv"),
        format!("repo,tag,layer_count,layer_size,\nlibrary/redis,latest,{},{unpacked},\n", made.count())
    );
    // Ids follow from what the layers hold, however they are packed.
    let over_registry = over_layout(&[named("library/redis:latest", manifest)], &["library/redis"]);
    over_registry.build(&[]);
    let ids = |project| texts(&image(project, "result/layers/library/redis/latest.json"), "id");
    assert_eq!(ids(&project), ids(&over_registry));
}

// Statistics.

/// What `mysqlimport --ignore-lines=1 --fields-terminated-by=,` reads: rows of fields, the first line ignored.
fn imported(csv: &str) -> Vec<Vec<&str>> {
    assert!(csv.ends_with('\n') && !csv.contains('\r'), "{csv}");
    csv.lines().skip(1).map(|line| line.split(',').collect()).collect()
}

#[test]
fn the_csv_is_what_the_seeds_import_takes() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    project.build(&[]);
    let csv = project.read("result/stat/stat_layer.csv");
    assert_eq!(csv.lines().next(), Some("repo,tag,layer_count,layer_size,"));
    let rows = imported(&csv);
    let names: Vec<_> = rows.iter().map(|r| (r[0], r[1])).collect();
    assert_eq!(names, stock::IMAGES, "sorted by the bytes of repository and tag");
    for row in &rows {
        assert_eq!((row.len(), row[4]), (5, ""), "four columns, and the closing comma: {row:?}");
        assert!(row[2].parse::<u32>().is_ok() && row[3].parse::<u64>().is_ok(), "{row:?}");
    }
    let busybox = stock::busybox();
    assert_eq!(busybox.count(), 2);
    assert_eq!(rows[1], ["library/busybox", "latest", "2", &busybox.size().to_string(), ""]);
    let nginx = stock::nginx("amd64", "1.27.2");
    assert_eq!(rows[3], ["library/nginx", "latest", &nginx.count().to_string(), &nginx.size().to_string(), ""]);
}

#[test]
fn images_whose_count_is_zero_are_left_out_of_the_csv() {
    let empty = Image::scratch("amd64", "2024-01-01T00:00:00Z").manifest(Format::Oci);
    let busybox = stock::busybox();
    let images = [named("x/empty:latest", empty), named("x/full:latest", busybox.manifest(Format::Oci))];
    let project = over_layout(&images, &["x/empty", "x/full"]);
    project.build(&[]);
    let csv = project.read("result/stat/stat_layer.csv");
    assert_eq!(csv, format!("repo,tag,layer_count,layer_size,\nx/full,latest,2,{},\n", busybox.size()));
}

// Which tags.

#[test]
fn select_chooses_tags() {
    let manifest = stock::busybox().manifest(Format::Oci);
    let tags = ["1.9", "1.10", "1.2.3", "2.0.0-rc1", "v2", "edge"];
    let attached = format!("sha256-{}.sig", "0".repeat(64));
    let mut images: Vec<_> = tags.iter().map(|tag| named(&format!("x/plain:{tag}"), manifest.clone())).collect();
    images.push(named(&format!("x/plain:{attached}"), manifest.clone()));
    images.push(named("x/latest:latest", manifest.clone()));
    images.push(named("x/latest:zz", manifest));
    for (select, chosen) in [
        ("latest", vec!["v2"]),
        ("all", [&tags[..], &[&attached]].concat()),
        ("{glob: \"1.*\"}", vec!["1.9", "1.10", "1.2.3"]),
        ("{regex: \"^[a-z]+$\"}", vec!["edge"]),
        ("{semver: \">=1.3, <2\"}", vec!["1.9", "1.10"]),
        ("{semver: \"=2\"}", vec!["v2"]),
    ] {
        let project = over_layout(&images, &["x/plain"]);
        project.edit("select: all", &format!("select: {select}"));
        project.build(&["get_layer_all"]);
        let mut expected: Vec<_> = chosen.iter().map(|tag| format!("result/layers/x/plain/{tag}.json")).collect();
        expected.sort();
        let snapshot = project.snapshot();
        let made: Vec<_> = snapshot.names().into_iter().filter(|n| n.starts_with("result/layers/")).collect();
        assert_eq!(made, expected, "select: {select}");
    }
    let project = over_layout(&images, &["x/latest"]);
    project.build(&["get_layer_latest"]);
    assert!(project.exists("result/layers/x/latest/latest.json") && !project.exists("result/layers/x/latest/zz.json"));
}

#[test]
fn the_newest_tags_are_chosen_by_version_order_and_attached_signatures_never() {
    let manifest = stock::busybox().manifest(Format::Oci);
    let attached = format!("sha256-{}", "f".repeat(64));
    let tags = ["1.9", "1.10", "1.2.3", attached.as_str()];
    let images: Vec<_> = tags.iter().map(|tag| named(&format!("x/y:{tag}"), manifest.clone())).collect();
    let project = over_layout(&images, &["x/y"]);
    project.edit("select: all", "select: {newest: 2}");
    project.build(&["get_layer_all"]);
    let names = project.snapshot();
    let made: Vec<_> = names.names().into_iter().filter(|n| n.starts_with("result/layers/")).collect();
    assert_eq!(made, ["result/layers/x/y/1.10.json", "result/layers/x/y/1.9.json"]);
}

#[test]
fn only_and_omit_keep_tags_from_being_asked_about() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox", "library/nginx"]));
    project.edit(
        "    output: result/tags/{repo}.json\n",
        "    output: result/tags/{repo}.json\n    only: [\"1*\", latest]\n    omit: [\"1.*\"]\n",
    );
    let mark = registry.mark();
    project.build(&["get_tag"]);
    let keys = |repo: &str| {
        project
            .json(&format!("result/tags/library/{repo}.json"))
            .as_object()
            .expect("tags")
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(keys("busybox"), ["1", "latest"]);
    assert_eq!(keys("nginx"), ["latest"]);
    let asked = registry.requests_since(mark);
    assert!(asked.iter().all(|r| !r.path.contains("1.26")), "{asked:#?}");
}

#[test]
fn tags_in_a_pipeline_keep_their_spelling() {
    let manifest = stock::busybox().manifest(Format::Oci);
    let images: Vec<_> =
        ["1.20", "1e3", "0x10"].iter().map(|tag| named(&format!("x/y:{tag}"), manifest.clone())).collect();
    let project = over_layout(&images, &["x/y"]);
    project.edit(
        "foreach: {tag: {from: get_tag, select: all}}\n    output: result/layers/{repo}/{tag}.json",
        "foreach: {repo: [x/y], tag: [1.20, 1e3, 0x10]}\n    output: result/layers/{repo}/{tag}.json",
    );
    project.build(&["get_layer_all"]);
    for tag in ["1.20", "1e3", "0x10"] {
        assert_eq!(image(&project, &format!("result/layers/x/y/{tag}.json"))["repo"]["tag"], tag);
    }
}

// What Debian's registry does not do.

fn shelf_of(tags: &[&str]) -> Shelf {
    let mut shelf = Shelf::default();
    for tag in tags {
        shelf.put(&format!("library/busybox:{tag}"), &stock::busybox().manifest(Format::Oci));
    }
    shelf
}

/// The tags in a project's tag file of busybox.
fn tags(project: &Project) -> Vec<String> {
    project.json("result/tags/library/busybox.json").as_object().expect("tags").keys().cloned().collect()
}

#[test]
fn every_page_of_a_tag_list_is_read() {
    for absolute in [false, true] {
        let shelf = shelf_of(&["a", "b", "c", "d", "e"]);
        let server = Server::start(move |request| {
            if !request.path.ends_with("/tags/list") {
                return shelf.answer(request);
            }
            let (page, next) = match request.param("cursor") {
                "" => (vec!["e", "a"], Some("2")),
                // A short page, even an empty one, is not the last while there is a link.
                "2" => (vec![], Some("3")),
                "3" => (vec!["c"], Some("4")),
                _ => (vec!["d", "b"], None),
            };
            let base = if absolute { request.server() } else { String::new() };
            let mut response = fault::tag_list("library/busybox", page);
            if let Some(next) = next {
                let link = format!("<{base}/v2/library/busybox/tags/list?cursor={next}>; rel=\"next\"");
                response.headers_mut().insert("Link", link.parse().expect("a header"));
            }
            response
        });
        let project = Project::new(&stock::pipeline_for(&server.url(), &["library/busybox"]));
        project.build(&["get_tag"]);
        assert_eq!(tags(&project), ["a", "b", "c", "d", "e"]);
        assert_eq!(server.count("/tags/list"), 4);
    }
}

#[test]
fn a_page_elsewhere_is_not_followed() {
    let elsewhere = Server::of(shelf_of(&["x"]));
    let link = format!("<{}/v2/library/busybox/tags/list>; rel=\"next\"", elsewhere.url());
    let shelf = shelf_of(&["a"]);
    let server = Server::start(move |request| {
        let mut response = shelf.answer(request);
        if request.path.ends_with("/tags/list") {
            response.headers_mut().insert("Link", link.parse().expect("a header"));
        }
        response
    });
    let project = Project::new(&stock::pipeline_for(&server.url(), &["library/busybox"]));
    project.build_exits(exit::FAILED, &["get_tag"]);
    assert_eq!(elsewhere.seen().len(), 0);
}

#[test]
fn a_token_is_got_once_a_repository_and_never_sent_to_another_host() {
    // Blobs are elsewhere, as most registries have them.
    let storage = Server::of(shelf_of(&["latest", "1"]));
    let (shelf, storage_url) = (shelf_of(&["latest", "1"]), storage.url());
    let server = Server::start(move |request| {
        if request.path == "/token" {
            assert_eq!((request.param("service"), request.header("authorization")), ("bed", ""));
            assert!(matches!(
                request.param("scope"),
                "repository:library/busybox:pull" | "repository%3Alibrary%2Fbusybox%3Apull"
            ));
            return fault::json(StatusCode::OK, &json!({"token": "open sesame", "expires_in": 300}));
        }
        if request.header("authorization") != "Bearer open sesame" {
            let challenge = format!(
                "Bearer realm=\"{}/token\",service=\"bed\",scope=\"repository:library/busybox:pull\"",
                request.server()
            );
            let mut response = fault::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
            response.headers_mut().insert("WWW-Authenticate", challenge.parse().expect("a header"));
            return response;
        }
        if request.path.contains("/blobs/") {
            let place = format!("{storage_url}{}", request.path);
            return fault::reply(StatusCode::TEMPORARY_REDIRECT, &[("Location", &place)], "");
        }
        shelf.answer(request)
    });
    let project = Project::new(&stock::pipeline_for(&server.url(), &["library/busybox"]));
    let report = project.build(&[]);
    assert_eq!(report.failed, 0);
    assert!(project.read("result/stat/stat_layer.csv").contains("library/busybox,latest,2,"));
    assert_eq!(server.count("/token"), 1);
    assert!(!storage.seen().is_empty());
    assert!(storage.seen().iter().all(|s| s.header("authorization").is_empty()), "the token went to another host");
}

#[test]
fn a_repository_that_no_token_opens_is_absent() {
    let shelf = shelf_of(&["latest"]);
    let server = Server::start(move |request| {
        if request.path == "/token" {
            return fault::json(StatusCode::OK, &json!({"access_token": "useless"}));
        }
        if !request.path.contains("/hidden/") {
            return shelf.answer(request);
        }
        let challenge = format!("Bearer realm=\"{}/token\",service=\"bed\"", request.server());
        let mut response = fault::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
        response.headers_mut().insert("WWW-Authenticate", challenge.parse().expect("a header"));
        response
    });
    let project = Project::new(&stock::pipeline_for(&server.url(), &["library/busybox", "library/hidden"]));
    let report = project.build(&[]);
    assert_eq!((report.absent, report.failed), (1, 0), "{}", report.listing());
    assert!(!report.step("get_tag@repo=library/hidden").reason().is_empty(), "{}", report.listing());
}

#[test]
fn credentials_in_a_url_are_used_and_refused_ones_are_a_failure() {
    let shelf = shelf_of(&["latest"]);
    let server = Server::start(move |request| {
        // ann:right
        if request.header("authorization") == "Basic YW5uOnJpZ2h0" {
            return shelf.answer(request);
        }
        let mut response = fault::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
        response.headers_mut().insert("WWW-Authenticate", "Basic realm=\"bed\"".parse().expect("a header"));
        response
    });
    for (password, code) in [("right", exit::DONE), ("wrong", exit::FAILED)] {
        let url = server.url().replacen("http://", &format!("http://ann:{password}@"), 1);
        let project = Project::new(&stock::pipeline_for(&url, &["library/busybox"]));
        let report = project.build_exits(code, &[]);
        assert_eq!(report.absent, 0, "{password}: {}", report.listing());
    }
}

#[test]
fn digests_come_from_hashing_where_a_registry_does_not_name_them() {
    let shelf = shelf_of(&["latest"]);
    let server = Server::start(move |request| {
        let mut response = shelf.answer(request);
        response.headers_mut().remove("Docker-Content-Digest");
        response
    });
    let project = Project::new(&stock::pipeline_for(&server.url(), &["library/busybox"]));
    project.build(&[]);
    let manifest = stock::busybox().manifest(Format::Oci);
    assert_eq!(project.json("result/tags/library/busybox.json")["latest"], manifest.id());
    assert!(server.seen().iter().any(|s| s.method == Method::GET && s.path.contains("/manifests/")));
}

#[test]
fn half_a_list_of_repositories_that_are_gone_does_not_stop_the_other_half() {
    let mut shelf = Shelf::default();
    let names: Vec<_> = (0..40).map(|n| format!("team/app-{n:02}")).collect();
    for name in names.iter().step_by(2) {
        shelf.put(&format!("{name}:latest"), &stock::busybox().manifest(Format::Oci));
    }
    let server = Server::of(shelf);
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let project = Project::new(&stock::pipeline_for(&server.url(), &names));
    let report = project.build(&[]);
    assert_eq!((report.built, report.absent, report.failed), (41, 20, 0), "{}", report.listing());
    assert_eq!(imported(&project.read("result/stat/stat_layer.csv")).len(), 20);
}

#[test]
fn a_registry_over_plain_http_needs_no_certificates() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox"]));
    project.write("none.pem", "");
    let mut command = project.command(&["build", "--format", "json"]);
    command.env("SSL_CERT_FILE", project.path("none.pem"));
    let report = Running::spawn(command).wait().report(exit::DONE);
    assert_eq!(report.failed, 0, "{}", report.listing());
}
