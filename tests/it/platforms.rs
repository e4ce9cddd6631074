//! A layer file for each platform that a tag has: `platform: all`, and the rule behind it.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::fault::{Server, Shelf};
use crate::support::images::{Format, Image, Manifest};
use crate::support::project::{Project, walk};
use crate::support::stock;
use crate::support::words::exit;

const FILE: &str = "result/layers/{repo}/{tag}/{platform}.json";

/// The stock's pipeline with a layer file for each platform.
fn project(url: &str, repositories: &[&str]) -> Project {
    let project = Project::new(&stock::pipeline_for(url, repositories));
    for select in ["latest", "all"] {
        let foreach = format!("{{tag: {{from: get_tag, select: {select}}}}}\n");
        let old = format!("{foreach}    output: result/layers/{{repo}}/{{tag}}.json");
        project.edit(&old, &format!("{foreach}    platform: all\n    output: {FILE}"));
    }
    project.edit(
        "inputs: [get_layer_all]\n",
        "inputs: [get_layer_all]\n    columns: [repo, tag, platform, layer_count]\n",
    );
    project
}

/// The layer files, without their folder and their ending.
fn made(project: &Project) -> Vec<String> {
    let root = project.path("result/layers");
    let mut names = Vec::new();
    if root.exists() {
        walk(&root, &mut |path| {
            let path = path.strip_prefix(&root).ok().and_then(|path| path.to_str()?.strip_suffix(".json"));
            names.extend(path.map(str::to_owned));
        });
    }
    names.sort();
    names
}

fn pulls(server: &Server) -> Vec<String> {
    let seen = server.seen();
    let gets = seen.iter().filter(|r| r.method == Method::GET && r.path.contains("/manifests/"));
    gets.map(|r| r.path.rsplit('/').next().expect("a digest").to_owned()).collect()
}

#[test]
fn every_platform_of_a_tag_has_a_layer_file() {
    let registry = stock::registry();
    let project = project(&registry.url(), &stock::REPOSITORIES);
    let plan = project.plan(&[]);
    assert_eq!(plan.of("get_layer_all"), [""; 0], "which platforms there are is not known yet");
    let report = project.build(&[]);
    assert_eq!((report.failed, report.absent), (0, 1), "an artifact has no platforms: {}", report.listing());
    let files = [
        "library/busybox/1/linux/amd64",
        "library/busybox/latest/linux/amd64",
        "library/nginx/1.26/linux/amd64",
        "library/nginx/latest/linux/amd64",
        "library/nginx/latest/linux/arm64",
        "library/redis/6/linux/amd64",
        "library/redis/latest/linux/amd64",
    ];
    assert_eq!(made(&project), files);
    let axis = project.json(".layermill/axes/result/layers/library/nginx/latest/all.json");
    assert_eq!(axis, json!(["linux/amd64", "linux/arm64"]), "attestations are no platforms");
    let csv = project.read("result/stat/stat_layer.csv");
    let of_nginx: Vec<_> = csv.lines().filter(|line| line.contains("nginx")).collect();
    let lines = ["1.26,linux/amd64", "latest,linux/amd64", "latest,linux/arm64"];
    assert_eq!(of_nginx, lines.map(|line| format!("library/nginx,{line},7,")));
    project.build(&[]).assert_nothing_done();
    // The other target goes over the same steps.
    project.build(&["get_layer_latest"]).assert_nothing_done();

    let one = Project::new(&stock::pipeline_for(&registry.url(), &["library/nginx"]));
    one.edit("select: all}}\n", "select: all}}\n    platform: linux/arm64\n");
    one.build(&["get_layer_all"]);
    let alone = one.read("result/layers/library/nginx/latest.json");
    assert_eq!(project.read("result/layers/library/nginx/latest/linux/arm64.json"), alone);
}

#[test]
fn an_image_of_many_platforms_costs_its_index_and_a_manifest_a_platform() {
    let mut shelf = Shelf::default();
    let index = stock::nginx_index("1.27.2", "");
    shelf.put("library/nginx:latest", &index);
    shelf.put("library/nginx:1", &index);
    let server = Server::of(shelf);
    let project = project(&server.url(), &["library/nginx"]);
    project.build(&[]);
    let mut pulled = pulls(&server);
    assert_eq!(pulled.len(), 3);
    pulled.sort();
    pulled.dedup();
    assert_eq!(pulled.len(), 3, "nothing is fetched twice");
    // What was found is derived again from what is kept.
    for folder in ["result/layers", ".layermill/axes"] {
        std::fs::remove_dir_all(project.path(folder)).expect("it was there");
    }
    assert_eq!(project.build(&["--offline"]).failed, 0);
    assert_eq!((made(&project).len(), pulls(&server).len()), (4, 3));
}

#[test]
fn a_budget_that_is_spent_puts_platforms_off() {
    let mut shelf = Shelf::default();
    shelf.put("library/nginx:latest", &stock::nginx_index("1.27.2", ""));
    shelf.put("library/redis:latest", &stock::redis("7.4.1").manifest(Format::Docker));
    let server = Server::of(shelf);
    let project = project(&server.url(), &["library/nginx", "library/redis"]);
    project.edit("{kind: registry, ", "{kind: registry, budget: 1/1h, ");
    project.build(&["get_tag"]);
    let plan = project.run(&["plan"]).exits(exit::DONE);
    assert!(plan.stdout.contains("pulls    2 or more of http://"), "what is behind an index is not known: {plan}");
    let report = project.build_exits(exit::DEFERRED, &[]);
    assert_eq!((pulls(&server).len(), report.failed), (1, 0), "{}", report.listing());
    project.edit("budget: 1/1h", "budget: 9/1h");
    project.build(&[]);
    assert_eq!((made(&project).len(), pulls(&server).len()), (3, 4));
}

#[test]
fn a_tag_that_gets_a_platform_gets_a_file() {
    let registry = stock::registry();
    let project = project(&registry.url(), &["library/nginx"]);
    project.build(&[]);
    registry.push("library/nginx:1.26", &stock::nginx_index("1.26.2", "again"));
    let report = project.build(&["--refresh"]);
    let new = "get_layer_all@repo=library/nginx,tag=1.26,platform=linux/arm64";
    assert!(report.of("get_layer_all").contains(&new), "{}", report.listing());
    assert!(made(&project).contains(&"library/nginx/1.26/linux/arm64".to_owned()));
    let why = project.explain("get_layer_all.platform@repo=library/nginx,tag=1.26");
    assert!(why.contains("up to date") && why.contains("platforms (version 1)"), "{why}");
}

/// An entry of an index for a manifest.
fn entry(manifest: &Manifest, platform: Value) -> Value {
    let mut entry = json!({"mediaType": manifest.media_type, "digest": manifest.digest(),
                           "size": manifest.blob.bytes.len()});
    if !platform.is_null() {
        entry["platform"] = platform;
    }
    entry
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn index(entries: &[Value]) -> Vec<u8> {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).to_string().into_bytes()
}

fn image(architecture: &'static str, command: &str) -> Manifest {
    Image::scratch(architecture, "2024-01-01T00:00:00Z").add(command, &[("x", 10)]).manifest(Format::Oci)
}

#[test]
fn hostile_platforms_are_left_out_and_named() {
    let mut shelf = Shelf::default();
    let good = image("amd64", "good");
    let on = |os: &str, architecture: &str| entry(&good, json!({"os": os, "architecture": architecture}));
    let long = "x".repeat(300);
    let entries = [
        on("..", ".."),
        on("../../../etc", "x"),
        on("linux/..", "x"),
        on("a\u{1b}[2J", "b"),
        on("Linux", "AMD64"),
        on("linux", &long),
        on("linux", "amd64"),
        on("linux", "amd64"),
    ];
    shelf.put("library/x:latest", &good);
    shelf.put_bytes("library/x:latest", INDEX, index(&entries));
    let server = Server::of(shelf);
    let project = project(&server.url(), &["library/x"]);
    let report = project.build(&[]);
    assert_eq!(made(&project), ["library/x/latest/linux/amd64"], "and of equal ones there is one");
    assert_eq!(report.failed, 0, "{}", report.listing());
    assert!(
        report.stderr.contains("6 platforms left out: `../..` (not written as platforms are)"),
        "{}",
        report.stderr
    );
    assert!(!report.stderr.contains('\u{1b}'), "{}", report.stderr);
}

#[test]
fn indexes_in_indexes_and_entries_that_say_nothing_are_looked_into() {
    let mut shelf = Shelf::default();
    let (arm, amd, s390x) = (image("arm64", "arm"), image("amd64", "amd"), image("s390x", "s390x"));
    for (name, manifest) in [("a", &arm), ("b", &amd), ("c", &s390x), ("d", &stock::artifact())] {
        shelf.put(&format!("library/x:{name}"), manifest);
    }
    let inner = index(&[entry(&s390x, json!({"os": "linux", "architecture": "s390x"}))]);
    let size = inner.len();
    let digest = shelf.put_bytes("library/x:inner", INDEX, inner);
    let entries = [
        json!({"mediaType": INDEX, "digest": digest, "size": size}),
        entry(&arm, Value::Null),
        entry(&amd, json!({"os": "", "architecture": ""})),
        entry(&stock::artifact(), Value::Null),
    ];
    shelf.put_bytes("library/x:latest", INDEX, index(&entries));
    shelf.put_bytes("library/x:none", INDEX, index(&[]));
    let server = Server::of(shelf);
    let project = project(&server.url(), &["library/x"]);
    let report = project.build(&[]);
    assert_eq!(report.failed, 0, "{}", report.listing());
    let of_latest: Vec<_> = made(&project).into_iter().filter(|name| name.contains("/latest/")).collect();
    assert_eq!(of_latest, ["amd64", "arm64", "s390x"].map(|a| format!("library/x/latest/linux/{a}")));
    assert!(report.stderr.contains("an index without images"), "{}", report.stderr);
}

#[test]
fn a_platform_without_a_variant_is_not_one_with() {
    let mut shelf = Shelf::default();
    let (v5, plain) = (image("arm", "v5"), image("arm", "plain"));
    shelf.put("library/x:a", &v5);
    shelf.put("library/x:b", &plain);
    let entries = [
        entry(&v5, json!({"os": "linux", "architecture": "arm", "variant": "v5"})),
        entry(&plain, json!({"os": "linux", "architecture": "arm"})),
    ];
    shelf.put_bytes("library/x:latest", INDEX, index(&entries));
    let server = Server::of(shelf);
    let project = project(&server.url(), &["library/x"]);
    project.build(&["get_layer_latest"]);
    let digest = |platform: &str| {
        project.json(&format!("result/layers/library/x/latest/{platform}.json"))[0]["repo"]["digest"].clone()
    };
    assert_eq!((digest("linux/arm/v5"), digest("linux/arm")), (json!(v5.digest()), json!(plain.digest())));
}

#[test]
fn a_schema_1_manifest_has_the_platform_that_it_says() {
    let mut shelf = Shelf::default();
    let layer = shelf.put_blob("not unpacked");
    let history =
        json!({"id": "a".repeat(64), "os": "linux", "architecture": "arm64", "created": "2015-01-01T00:00:00Z"});
    let manifest = json!({"schemaVersion": 1, "name": "library/x", "tag": "latest", "architecture": "arm64",
        "fsLayers": [{"blobSum": layer}], "history": [{"v1Compatibility": history.to_string()}]});
    let media_type = "application/vnd.docker.distribution.manifest.v1+json";
    shelf.put_bytes("library/x:latest", media_type, manifest.to_string());
    let server = Server::of(shelf);
    let project = project(&server.url(), &["library/x"]);
    project.build(&[]);
    assert_eq!(made(&project), ["library/x/latest/linux/arm64"]);
}

#[test]
fn the_rule_may_be_written_by_hand() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/nginx"]));
    let more = "  platforms:
    rule: platforms
    source: ours
    foreach: {tag: {from: get_tag, select: all}}
    output: result/platforms/{repo}/{tag}.json
  by_platform:
    rule: layers
    source: ours
    foreach: {platform: {from: platforms, json: \"\"}}
    platform: \"{platform}\"
    output: result/layers/{repo}/{tag}/{platform}.json
";
    project.write("pipeline.yaml", project.read("pipeline.yaml") + more);
    project.build(&["by_platform"]);
    assert_eq!(made(&project).len(), 3);
    let list = project.read("result/platforms/library/nginx/latest.json");
    assert_eq!(list, "[\n  \"linux/amd64\",\n  \"linux/arm64\"\n]\n");
    // One tag, of which no tag file tells the digest.
    project.edit(
        "foreach: {tag: {from: get_tag, select: all}}\n    output: result/platforms",
        "foreach: {repo: [library/nginx], tag: [latest]}\n    output: result/platforms",
    );
    let mark = registry.mark();
    project.run(&["clean", "--yes", "platforms"]).exits(exit::DONE);
    assert_eq!(project.build(&["platforms"]).failed, 0);
    let asked = registry.requests_since(mark);
    assert!(asked.len() == 1 && asked[0].method == "HEAD", "its digest alone is asked for: {asked:?}");
}

#[test]
fn a_layout_tells_its_platforms_offline() {
    let project = project("unused", &["library/nginx"]);
    project.layout("images", &[("library/nginx:latest".into(), stock::nginx_index("1.27.2", ""))]);
    project.edit("{kind: registry, url: \"unused\"}", "{kind: oci-layout, path: images}");
    project.build(&["--offline"]);
    assert_eq!(made(&project), ["amd64", "arm64"].map(|a| format!("library/nginx/latest/linux/{a}")));
}

#[test]
fn pipelines_that_are_wrong_are_marked() {
    let over = |kind: &str, output: &str| {
        Project::new(&format!(
            "version: 1
sources: {{s: {{kind: {kind}, url: \"http://127.0.0.1:1\"}}}}
targets:
  t:
    rule: layers
    source: s
    foreach: {{repo: [a], tag: [b]}}
    platform: all
    output: {output}
"
        ))
    };
    let run = over("registry", "o/{repo}/{tag}.json").run(&["plan"]);
    run.exits(exit::WRONG).says("every `platform` would write this one file").says("needs `{platform}`");
    over("registry", "[\"{repo}/{tag}/{platform}\"]")
        .run(&["plan"])
        .exits(exit::WRONG)
        .says("`platform: all` makes one file a platform");
    let run = over("imagelayers", "o/{repo}/{tag}/{platform}.json").run(&["plan"]).exits(exit::WRONG);
    let run = run.says("`platform` is not for this source");
    assert!(run.stderr.contains("has a problem"), "it is told once: {}", run.stderr);
    let by_hand = over("imagelayers", "o/{repo}/{tag}/{platform}.json");
    by_hand.edit("rule: layers", "rule: platforms");
    by_hand.edit("    platform: all\n", "");
    by_hand.edit("/{platform}", "");
    by_hand.run(&["plan"]).exits(exit::WRONG).says("`platforms` is not for this source");
}

#[test]
fn an_image_of_another_platform_that_no_index_names_is_taken_and_told_and_taken_over_again() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox", "library/nginx"]));
    project.edit("select: all}}\n", "select: all}}\n    platform: linux/arm64\n");
    let told = "the image is of linux/amd64: there is no index to choose one of linux/arm64 from";
    let report = project.build(&["get_layer_all"]);
    assert_eq!(report.stderr.matches(&format!(": {told}")).count(), 3, "{}", report.stderr);
    let plain = "get_layer_all@repo=library/busybox,tag=1";
    assert!(project.explain(plain).contains(&format!("note: {told}\n")), "{}", project.explain(plain));
    let chosen = "get_layer_all@repo=library/nginx,tag=latest";
    assert!(!project.explain(chosen).contains("no index"), "{}", project.explain(chosen));

    // Without a record: what the rule would write again is not fetched again.
    let (made, mark) = (project.snapshot(), registry.mark());
    std::fs::remove_dir_all(project.path(".layermill")).expect("it was there");
    project.build(&["get_layer_all"]).assert_only(&[chosen]);
    let asked = registry.requests_since(mark);
    assert!(asked.iter().all(|request| !request.path.contains("library/busybox")), "{asked:#?}");
    made.assert_same_bytes(&project.snapshot(), "result");
    assert!(project.explain(plain).contains(told), "{}", project.explain(plain));
    // What an index has for another platform is not that.
    project.edit("platform: linux/arm64", "platform: linux/amd64");
    std::fs::remove_dir_all(project.path(".layermill")).expect("it was there");
    let plan = project.run(&["plan", "get_layer_all"]).exits(exit::DONE);
    assert!(plan.stdout.contains("not what the rule writes: it is of the platform linux/arm64"), "{}", plan.stdout);
}
