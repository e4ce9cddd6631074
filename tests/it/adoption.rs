//! A `result/` folder that the seed's scripts made is a warm start.

use std::fs::File;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::images::Format;
use crate::support::project::Project;
use crate::support::registry::Registry;
use crate::support::stock;

/// As `jq .` printed it.
fn tag_file(tags: &[(&str, &str)]) -> String {
    let lines: Vec<_> = tags.iter().map(|(tag, id)| format!("  \"{tag}\": \"{id}\"")).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// As the imagelayers server answered for an image of the old kind.
fn layer_file(repo: &str, tag: &str) -> String {
    let (top, base) = (
        "bc744c4ab376115cc45c610d53f529dd2d4249ae6b35e5d6e7a96e58863545aa",
        "56ed16bd6310cca65920c653a9bb22de6b235990dcaa1742ff839867aed730e5",
    );
    let layer = |id: &str, parent: &str, size: u64| {
        json!({"id": id, "parent": parent, "Comment": "", "created": "2016-03-18T18:22:48.810791943Z", "container": "",
            "container_config": {"Cmd": ["/bin/sh"]}, "docker_version": "1.9.1", "author": "", "config": null,
            "architecture": "amd64", "os": "linux", "Size": size})
    };
    let image = json!([{"repo": {"name": repo, "tag": tag, "size": 1_112_820, "count": 2},
        "layers": [layer(top, base, 0), layer(base, "", 1_112_820)], "status": 200}]);
    serde_json::to_string_pretty(&image).expect("plain data") + "\n"
}

fn digest_of(registry: &Registry, name: &str) -> String {
    let (repo, tag) = name.split_once(':').expect("REPO:TAG");
    let accept = [(
        "Accept",
        "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json",
    )];
    let answer = registry.ask("HEAD", &format!("/v2/{repo}/manifests/{tag}"), &accept, b"").expect(200);
    answer.header("Docker-Content-Digest").expect("a digest")["sha256:".len()..].to_owned()
}

#[test]
fn a_result_folder_of_the_seeds_scripts_is_adopted() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline(&registry.url()));
    // What the scripts leave: a good file (of one tag of two: it is from another day), an empty one, a server's error page.
    project.write("result/tags/library/busybox.json", tag_file(&[("1", &digest_of(&registry, "library/busybox:1"))]));
    project.write("result/tags/library/nginx.json", "");
    project.write("result/tags/library/redis.json", "<html>\n<head><title>502 Bad Gateway</title></head>\n</html>\n");
    let (before, mark) = (project.snapshot(), registry.mark());
    let report = project.build(&["get_tag"]);

    report.assert_only(&["get_tag@repo=library/nginx", "get_tag@repo=library/redis", "get_tag@repo=library/sbom"]);
    assert_eq!(
        before.changes(&project.snapshot()),
        ["result/tags/library/nginx.json", "result/tags/library/redis.json", "result/tags/library/sbom.json"],
        "the good one is kept, mtime and all"
    );
    let asked = registry.requests_since(mark);
    assert!(asked.iter().all(|r| !r.path.contains("library/busybox")), "{asked:#?}");
    assert_eq!(project.json("result/tags/library/nginx.json").as_object().expect("tags").len(), 2);

    let mark = registry.mark();
    project.build(&["get_tag"]).assert_nothing_done();
    assert_eq!(registry.requests_since(mark), []);
}

#[test]
fn adopted_tags_lead_to_their_layers() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox"]));
    project.write("result/tags/library/busybox.json", tag_file(&[("1", &digest_of(&registry, "library/busybox:1"))]));
    project.build(&[]);
    let size = stock::busybox().size();
    assert_eq!(
        project.read("result/stat/stat_layer.csv"),
        format!("repo,tag,layer_count,layer_size,\nlibrary/busybox,1,2,{size},\n")
    );
}

#[test]
fn an_adopted_id_of_dockers_old_kind_is_asked_for_by_the_tags_name() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox"]));
    let old = "bc744c4ab376115cc45c610d53f529dd2d4249ae6b35e5d6e7a96e58863545aa";
    project.write("result/tags/library/busybox.json", tag_file(&[("1", old), ("latest", old)]));
    let before = project.snapshot();
    let mark = registry.mark();
    let report = project.build(&[]);
    assert_eq!((report.built, report.absent, report.failed), (3, 0, 0), "{}", report.listing());
    let image = &project.json("result/layers/library/busybox/latest.json")[0];
    assert_eq!(image["repo"]["digest"], stock::busybox().manifest(Format::Oci).digest());
    assert!(!before.changes(&project.snapshot()).contains(&"result/tags/library/busybox.json".to_owned()));
    let asked = registry.requests_since(mark);
    assert!(asked.iter().any(|r| r.path == "/v2/library/busybox/manifests/latest"), "{asked:#?}");
}

#[test]
fn an_adopted_tag_that_is_gone_is_absent() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox"]));
    let (id, gone) = (digest_of(&registry, "library/busybox:1"), "0".repeat(64));
    project.write("result/tags/library/busybox.json", tag_file(&[("1", &id), ("gone", &gone)]));
    let report = project.build(&[]);
    assert_eq!((report.absent, report.failed), (1, 0), "{}", report.listing());
    assert!(!project.exists("result/layers/library/busybox/gone.json"));
}

#[test]
fn layer_files_are_adopted_and_counted() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox"]));
    let id = digest_of(&registry, "library/busybox:1");
    project.write("result/tags/library/busybox.json", tag_file(&[("1", &id), ("latest", &id)]));
    project.write("result/layers/library/busybox/1.json", layer_file("library/busybox", "1"));
    project.write("result/layers/library/busybox/latest.json", "[]\n");
    let (before, mark) = (project.snapshot(), registry.mark());
    let report = project.build(&[]);
    report.assert_only(&["get_layer_all@repo=library/busybox,tag=latest", "stat_layer"]);
    assert_eq!(
        before.changes(&project.snapshot()),
        ["result/layers/library/busybox/latest.json", "result/stat/stat_layer.csv"]
    );
    assert!(registry.requests_since(mark).iter().all(|r| !r.path.ends_with("/tags/list")));
    assert_eq!(
        project.read("result/stat/stat_layer.csv"),
        format!(
            "repo,tag,layer_count,layer_size,\nlibrary/busybox,1,2,1112820,\nlibrary/busybox,latest,2,{},\n",
            stock::busybox().size()
        )
    );
}

#[test]
fn a_layer_file_of_another_image_is_not_adopted() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox"]));
    project.write("result/layers/library/busybox/1.json", layer_file("library/nginx", "1"));
    let report = project.build(&[]);
    assert!(report.names().contains(&"get_layer_all@repo=library/busybox,tag=1"), "{}", report.listing());
    assert_eq!(project.json("result/layers/library/busybox/1.json")[0]["repo"]["name"], "library/busybox");
}

#[test]
fn an_adopted_files_mtime_is_the_time_when_it_was_asked() {
    let registry = stock::registry();
    let hours_ago = |hours: u64| SystemTime::now() - Duration::from_secs(hours * 3600);
    for (age, asked_again) in [(hours_ago(1), false), (hours_ago(48), true)] {
        let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox"]));
        project.edit("    output: result/tags/{repo}.json\n", "    output: result/tags/{repo}.json\n    fresh: 24h\n");
        let file = "result/tags/library/busybox.json";
        project.write(file, tag_file(&[("1", &digest_of(&registry, "library/busybox:1"))]));
        File::options().append(true).open(project.path(file)).and_then(|f| f.set_modified(age)).expect("ours");
        let mark = registry.mark();
        project.build(&["get_tag"]);
        let asked = registry.requests_since(mark);
        assert_eq!(asked.iter().any(|r| r.path.ends_with("/tags/list")), asked_again, "{asked:#?}");
        let tags = project.json(file).as_object().expect("tags").len();
        assert_eq!(tags, if asked_again { 2 } else { 1 });
    }
}

#[test]
fn outputs_of_commands_are_not_adopted_unasked() {
    let project = Project::new(
        "version: 1
targets:
  made: {rule: command, run: \"echo made > {out}\", output: result/made.txt}
",
    );
    project.write("result/made.txt", "by hand\n");
    project.build(&[]).assert_only(&["made"]);
    assert_eq!(project.read("result/made.txt"), "made\n");
}
