//! A `result/` folder that the seed's scripts made is a warm start.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::support::images::Format;
use crate::support::project::Project;
use crate::support::registry::Registry;
use crate::support::stock;
use crate::support::words::exit;
use crate::tags_layers::set_for_layers;

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
    let told = project.explain("result/layers/library/busybox/1.json");
    assert!(told.contains("            the file does not say of which digest it is\n"), "{told}");
    assert_eq!(
        before.changes(&project.snapshot()),
        ["result/layers/library/busybox/latest.json", "result/stat/stat_layer.csv"]
    );
    assert!(registry.requests_since(mark).iter().all(|r| !r.path.contains("/tags/list")));
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

/// A pipeline whose statistics name digests, built, and then without anything that tells how.
fn built_and_forgotten(registry: &Registry, repository: &str) -> Project {
    let project = Project::new(&stock::pipeline_for(&registry.url(), &[repository]));
    project.edit("    rule: stat\n", "    rule: stat\n    columns: [repo, tag, digest]\n");
    project.build(&[]);
    fs::remove_dir_all(project.path(".layermill")).expect("removed");
    project
}

#[test]
fn a_layer_file_of_another_digest_than_its_tag_has_is_made_again() {
    let registry = stock::registry();
    let project = built_and_forgotten(&registry, "library/redis");
    let now = stock::redis("8.0.0").manifest(Format::Docker);
    registry.push("library/redis:latest", &now);
    // The list is as of today, and what lies below it is not.
    project.build(&["get_tag", "--refresh"]);
    for why in ["is not known to be what the tag has", "is not what the tag has"] {
        let says = format!(", which {why}: {}", now.digest());
        let (step, file) = ("get_layer_all@repo=library/redis,tag=latest", "result/layers/library/redis/latest.json");
        assert!(project.run(&["plan", "get_layer_all"]).stdout.contains(&says));
        let report = project.build(&["get_layer_all"]);
        report.assert_only(&[step]);
        assert!(report.step(step).reason().contains(&says), "{}", report.listing());
        assert_eq!(project.json(file)[0]["repo"]["digest"], now.digest());
        // The same where the list is taken over, too, and the store is another's.
        let old = stock::redis("7.4.1").manifest(Format::Docker);
        project.write(file, project.read(file).replace(now.digest(), old.digest()));
        fs::remove_dir_all(project.path(".layermill/state")).expect("removed");
    }
}

#[test]
fn a_layer_file_that_could_not_be_made_anew_is_not_taken_over_for_what_its_tag_has_by_now() {
    for lost in [".layermill", ".layermill/state"] {
        let registry = stock::registry();
        let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/nginx"]));
        let (whole, limited) = (format!("\"{}\"", registry.url()), format!("\"{}\", budget: 3/1h", registry.url()));
        project.edit(&whole, &limited);
        project.build(&[]);
        registry.push("library/nginx:latest", &stock::nginx_index("1.29.0", ""));
        // The list of tags is asked for all the same.
        project.build_exits(exit::DEFERRED, &["--refresh"]);
        let file = "result/layers/library/nginx/latest.json";
        let says = |version: &str| {
            let amd64 = stock::nginx("amd64", version).manifest(Format::Oci);
            assert_eq!(project.json(file)[0]["repo"]["digest"], amd64.digest());
        };
        says("1.27.2");
        project.edit(&limited, &whole);
        fs::remove_dir_all(project.path(lost)).expect("removed");
        let step = "get_layer_all@repo=library/nginx,tag=latest";
        let told = project.explain(step);
        assert!(told.contains(", which is not known to be what the tag has: "), "{told}");
        project.build(&[]).assert_only(&[step, "stat_layer"]);
        says("1.29.0");
    }
}

#[test]
fn a_layer_file_of_an_image_out_of_an_index_is_taken_over_where_the_store_has_that_index() {
    let registry = stock::registry();
    let project = built_and_forgotten(&registry, "library/nginx");
    let (file, step) = ("result/layers/library/nginx/latest.json", "get_layer_all@repo=library/nginx,tag=latest");
    let made = project.snapshot();
    project.plan(&["get_layer_all"]).assert_only(&[step]);
    let report = project.build(&["get_layer_all"]);
    report.assert_only(&[step]);
    assert!(
        report.step(step).reason().contains(", which is not known to be what the tag has: "),
        "{}",
        report.listing()
    );
    made.assert_same_bytes(&project.snapshot(), "result/layers/");

    fs::remove_dir_all(project.path(".layermill/state")).expect("removed");
    project.plan(&["get_layer_all"]).assert_only(&[]);
    let mark = registry.mark();
    project.build(&["get_layer_all", "--refresh"]).assert_nothing_done();
    assert!(registry.requests_since(mark).iter().all(|request| !request.fetches()), "a warm start");
    let says = project.json(file)[0]["repo"]["digest"].as_str().expect("a digest").to_owned();
    let told = project.explain(file);
    assert!(told.contains(&format!("            the file says that it is of {says}\n")), "{told}");
    assert!(!project.explain("result/layers/library/nginx/1.26.json").contains("the file says"), "what its tag has");
}

#[test]
fn a_layer_file_that_tells_no_digest_is_believed_until_the_list_of_tags_is_another() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox"]));
    project.write("result/layers/library/busybox/1.json", layer_file("library/busybox", "1"));
    project.build(&["get_tag"]);
    let report = project.build(&["get_layer_all"]);
    let why = "does not tell whether it is of what the tag has, and is older than the list of tags";
    assert!(report.step("get_layer_all@repo=library/busybox,tag=1").reason().ends_with(why), "{}", report.listing());
    project.write("result/layers/library/busybox/1.json", layer_file("library/busybox", "1"));
    fs::remove_dir_all(project.path(".layermill")).expect("removed");
    project.build(&["get_layer_all"]).assert_nothing_done();
}

#[test]
fn a_layer_file_with_other_ids_than_those_that_are_wanted_is_made_again() {
    let registry = stock::registry();
    let made_with = |ids: &str| {
        let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/redis"]));
        set_for_layers(&project, &format!("ids: {ids}"));
        project.build(&["get_layer_all"]);
        project
    };
    for (then, now, what) in [
        ("shared", "docker", "has ids that are not by the recipe of Docker"),
        ("docker", "shared", "has ids by the recipe of Docker"),
    ] {
        let project = made_with(then);
        fs::remove_dir_all(project.path(".layermill")).expect("removed");
        project.build(&["get_layer_all"]).assert_nothing_done();
        fs::remove_dir_all(project.path(".layermill")).expect("removed");
        project.edit(&format!("ids: {then}"), &format!("ids: {now}"));
        let report = project.build(&["get_layer_all"]);
        assert_eq!(report.built, 2, "{}", report.listing());
        let why = report.step("get_layer_all@repo=library/redis,tag=latest").reason();
        assert!(why.ends_with(&format!("is there, but is not what the rule writes: it {what}")), "{why}");
        project.snapshot().assert_same_bytes(&made_with(now).snapshot(), "result/layers/");
    }
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
        assert_eq!(asked.iter().any(|r| r.path.contains("/tags/list")), asked_again, "{asked:#?}");
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

#[test]
fn what_a_build_will_take_over_is_told_by_all_verbs() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/busybox"]));
    project.write("result/tags/library/busybox.json", tag_file(&[("1", &digest_of(&registry, "library/busybox:1"))]));
    let step = "get_tag@repo=library/busybox";
    let plan = project.run(&["plan", "get_tag"]).exits(exit::DONE).stdout;
    assert_eq!(
        plan,
        format!("adopt    {step}  what is there is taken over\n0 to run, 0 up to date, 0 absent, 1 to adopt\n")
    );
    let told = project.explain(step);
    assert!(
        told.starts_with(&format!("{step}: up to date\n")) && told.contains("a build   takes over what is there\n")
    );
    let status = project.run(&["status", "get_tag"]).exits(exit::DONE).stdout;
    assert!(status.contains("get_tag           1  "), "it counts as up to date\n{status}");
    let built = project.run(&["build", "-v", "get_tag"]).exits(exit::DONE).stderr;
    assert!(
        built.contains(&format!("adopted {step}\n")) && built.contains("built 0, up to date 0, adopted 1 "),
        "{built}"
    );
}
