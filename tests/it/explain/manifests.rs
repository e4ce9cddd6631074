//! Which manifests a step read when it last ran, and which it will ask for, whatever has become of it since.

use crate::support::images::{Format, Manifest};
use crate::support::project::Project;
use crate::support::registry::Registry;
use crate::support::stock;
use crate::support::words::exit;

use super::assert_says;

const STEP: &str = "layers@repo=library/nginx,tag=latest";

/// An index under `library/nginx:latest`, and what its layers and platforms are told by.
fn indexed() -> (Registry, Manifest, Project) {
    let registry = Registry::start();
    let index = stock::nginx_index("1.27.2", "");
    registry.push("library/nginx:latest", &index);
    registry.push("library/sbom:latest", &stock::artifact());
    let project = Project::new(&format!(
        "version: 1
sources: {{ours: {{kind: registry, url: \"{}\"}}}}
targets:
  tags: {{rule: tags, source: ours, foreach: {{repo: {{lines: repos.txt}}}}, output: \"tags/{{repo}}.json\"}}
  layers: {{rule: layers, source: ours, platform: linux/amd64, foreach: {{tag: {{from: tags, select: all}}}}, output: \"layers/{{repo}}/{{tag}}.json\"}}
  platforms: {{rule: platforms, source: ours, foreach: {{tag: {{from: tags, select: all}}}}, output: \"platforms/{{repo}}/{{tag}}.json\"}}
",
        registry.url()
    ));
    project.write("repos.txt", "library/nginx\n");
    (registry, index, project)
}

/// The digests of an index and of its images for amd64 and arm64, each of which an attestation follows.
fn digests(index: &Manifest) -> [&str; 3] {
    [index.digest(), index.children[0].digest(), index.children[2].digest()]
}

/// The manifests that are said under `read`, line by line.
fn read(told: &str) -> Vec<&str> {
    let read = told.lines().filter_map(|line| line.strip_prefix("  read      "));
    read.filter(|line| !line.contains("(its config")).collect()
}

/// What is said of the config of an image.
fn config_of(image: &Manifest) -> String {
    let manifest: serde_json::Value = serde_json::from_slice(&image.blob.bytes).expect("JSON");
    format!("  read      {} (its config)\n", manifest["config"]["digest"].as_str().expect("a digest"))
}

#[test]
fn another_platform_is_told_beside_the_one_that_was_read() {
    let (_registry, index, project) = indexed();
    project.build(&[]);
    let [whole, amd64, arm64] = digests(&index);
    let then = [format!("{whole} (the index)"), format!("{amd64} (its manifest for linux/amd64)")];
    assert_eq!(read(&project.explain(STEP)), then);
    assert_says(&project.explain(STEP), &[&config_of(&index.children[0])]);
    project.edit("linux/amd64", "linux/arm64");
    let told = project.explain(STEP);
    assert_eq!(read(&told), then);
    let asks = format!("  will ask  its source for the manifest {arm64} of library/nginx:latest\n");
    assert_says(&told, &["because   changed parameter: platform", &asks]);
    // The same where what it made is gone.
    project.remove("layers/library/nginx/latest.json");
    assert_eq!(read(&project.explain(STEP)), then);
    project.build(&[]);
    let told = project.explain(STEP);
    assert_eq!(read(&told), [format!("{whole} (the index)"), format!("{arm64} (its manifest for linux/arm64)")]);
    assert_says(&told, &[&config_of(&index.children[2])]);
    assert!(!told.contains("will ask"), "{told}");
}

#[test]
fn what_is_absent_names_what_was_read_to_see_that() {
    let (_registry, index, project) = indexed();
    project.write("repos.txt", "library/nginx\nlibrary/sbom\n");
    project.build(&[]);
    project.edit("linux/amd64", "windows/arm64");
    project.build(&[]);
    assert_eq!(read(&project.explain(STEP)), [format!("{} (the index)", index.digest())]);
    let artifact = stock::artifact();
    for target in ["layers", "platforms"] {
        let told = project.explain(&format!("{target}@repo=library/sbom,tag=latest"));
        assert_says(&told, &[": absent\n"]);
        assert_eq!(read(&told), [format!("{} (the manifest, of no image)", artifact.digest())]);
    }
    let told = project.explain("platforms@repo=library/nginx,tag=latest");
    assert_eq!(read(&told), [format!("{} (the index)", index.digest())]);
}

#[test]
fn a_tag_that_moved_leaves_what_was_read_as_it_was() {
    let (registry, index, project) = indexed();
    project.build(&[]);
    let then = project.explain(STEP);
    let other = stock::nginx_index("1.27.3", "");
    registry.push("library/nginx:latest", &other);
    project.build(&["tags", "--refresh"]);
    let told = project.explain(STEP);
    assert_eq!(read(&told), read(&then));
    let asks = format!("will ask  its source for the manifest {} of library/nginx:latest\n", other.digest());
    assert_says(&told, &["because   moved tag: latest", &asks, &format!("tag       latest ({})", other.digest())]);
    assert_ne!(other.digest(), index.digest());
    project.build(&[]);
    let [whole, amd64, _] = digests(&other);
    let now = [format!("{whole} (the index)"), format!("{amd64} (its manifest for linux/amd64)")];
    assert_eq!(read(&project.explain(STEP)), now);
}

#[test]
fn a_step_that_is_to_come_tells_of_its_tag_what_is_known_of_that_now() {
    let (registry, index, project) = indexed();
    project.edit(
        "  platforms:",
        "  each: {rule: layers, source: ours, foreach: {platform: {from: platforms, json: \"\"}}, platform: \"{platform}\", output: \"each/{repo}/{tag}/{platform}.json\"}
  platforms:",
    );
    project.build(&[]);
    let step = "each@repo=library/nginx,tag=latest,platform=linux/arm64";
    // What lies there of the platforms is not read: these are to come.
    project.write("platforms/library/nginx/latest.json", "[]");
    let list = "tags@repo=library/nginx";
    let told = project.explain(step);
    assert_says(
        &told,
        &[
            ": pending",
            &format!("tag       latest ({})\n", index.digest()),
            &format!(
                "again if  the tag latest has another digest in what {list} makes, which is seen only once platforms@"
            ),
        ],
    );
    assert!(!told.contains("because"), "{told}");
    let other = stock::nginx_index("1.27.3", "");
    registry.push("library/nginx:latest", &other);
    project.build(&["tags", "--refresh"]);
    let told = project.explain(step);
    assert_says(
        &told,
        &[
            ": pending",
            "because   moved tag: latest",
            &format!("may ask   its source for the manifest {} of library/nginx:latest\n", other.digest()),
            &format!("tag       latest ({})\n", other.digest()),
            "again if  a build comes, where there still is such a step once platforms@repo=library/nginx,tag=latest is built",
        ],
    );
    let built = project.build(&[]);
    assert!(built.step(step).reason().starts_with("moved tag: latest"), "{}", built.listing());
}

#[test]
fn what_is_no_step_any_more_or_not_yet_again_tells_what_it_read() {
    let (_registry, index, project) = indexed();
    project.build(&[]);
    let (tag, then) = (format!("tag       latest ({})\n", index.digest()), project.explain(STEP));
    // Its list of tags is to be made again.
    project.remove("tags/library/nginx.json");
    let told = project.explain(STEP);
    assert_says(&told, &[": pending\n", &tag, "may ask   its source for what library/nginx:latest points at\n"]);
    assert_eq!(read(&told), read(&then));
    let told_as = |standing: &str| {
        let told = project.explain("layers/library/nginx/latest.json");
        assert_eq!(told.matches(standing).count(), 1, "{told}");
        assert_says(&told, &[&tag]);
        assert_eq!(read(&told), read(&then));
    };
    // Its list is gone, or has it no more, or its target is gone.
    project.remove("repos.txt");
    told_as(": pending\n");
    project.write("repos.txt", "library/sbom\n");
    told_as(": orphan\n");
    project.edit("  layers:", "  other:");
    project.edit("\"layers/", "\"other/");
    told_as(": orphan\n");
    // Of what neither the store nor the file tells, it is known how it began.
    std::fs::remove_dir_all(project.path(".layermill/store")).expect("removed");
    project.remove("layers/library/nginx/latest.json");
    let start = &index.digest()[..23];
    let told = project.explain("layers/library/nginx/latest.json");
    assert_eq!(read(&told), [format!("{start}… (what the tag had, not in the store)")]);
}

#[test]
fn what_never_ran_tells_what_it_will_ask_for() {
    let (_registry, index, project) = indexed();
    assert_says(
        &project.explain("layers"),
        &["layers: pending\n", "may ask   its source for what {repo}:{tag} points at\n"],
    );
    let tags = "tags@repo=library/nginx";
    assert_says(&project.explain(tags), &["will ask  its source for the tags of library/nginx\n"]);
    project.build(&["tags"]);
    assert!(!project.explain(tags).contains("will ask"));
    let asks = format!("will ask  its source for the manifest {} of library/nginx:latest\n", index.digest());
    let told = project.explain(STEP);
    assert_says(&told, &[": missing\n", &asks]);
    assert_eq!(read(&told), [""; 0]);
    let offline = project.run(&["explain", STEP, "--offline"]).stdout;
    assert!(!offline.contains("will ask"), "{offline}");
}

#[test]
fn an_index_that_does_not_say_its_platforms_is_told_with_all_that_was_opened() {
    let images = ["arm64", "amd64"].map(|architecture| stock::nginx(architecture, "1").manifest(Format::Oci));
    let [arm64, amd64] = images.each_ref().map(Manifest::digest);
    let entry = |manifest: &Manifest| {
        let (media_type, digest, size) = (manifest.media_type, manifest.digest(), manifest.blob.bytes.len());
        serde_json::json!({"mediaType": media_type, "digest": digest, "size": size})
    };
    let media_type = Format::Oci.index();
    let index =
        serde_json::json!({"schemaVersion": 2, "mediaType": media_type, "manifests": images.each_ref().map(entry)});
    let registry = Registry::start();
    images.iter().for_each(|image| registry.push("library/nginx:one", image));
    let path = "/v2/library/nginx/manifests/latest";
    registry.ask("PUT", path, &[("Content-Type", media_type)], index.to_string().as_bytes()).expect(201);
    let (_other, _, project) = indexed();
    let source = project.read("pipeline.yaml").lines().nth(1).expect("the source").to_owned();
    project.edit(&source, &format!("sources: {{ours: {{kind: registry, url: \"{}\"}}}}", registry.url()));
    project.build(&[]);
    let opened = [
        "(the index)".to_owned(),
        format!("{arm64} (a manifest in it, for linux/arm64)"),
        format!("{amd64} (its manifest for linux/amd64)"),
    ];
    let told = project.explain(STEP);
    let lines = read(&told);
    assert!(lines[0].ends_with(&opened[0]) && lines[1..] == opened[1..], "{told}");
    let told = project.explain("platforms@repo=library/nginx,tag=latest");
    let both = [arm64, amd64].map(|digest| format!("{digest} (a manifest in it)"));
    assert!(read(&told)[0].ends_with(&opened[0]) && read(&told)[1..] == both, "{told}");
    for step in [STEP, "platforms@repo=library/nginx,tag=latest"] {
        // What it is for stands in its config, also in that of one which is passed over.
        assert_says(&project.explain(step), &[&config_of(&images[0]), &config_of(&images[1])]);
    }
    // Without the network, what it lacks is known before.
    std::fs::remove_file(project.path(&format!(".layermill/store/blobs/sha256/{}", &amd64[7..]))).expect("removed");
    project.remove("layers/library/nginx/latest.json");
    let plan = project.run(&["plan", "--offline"]).stdout;
    assert_says(&plan, &["failed   layers@repo=library/nginx,tag=latest", &format!("the manifest {amd64}")]);
}

#[test]
fn platforms_of_a_manifest_tell_the_config_that_they_are_read_out_of() {
    let (registry, _, project) = indexed();
    let image = stock::redis("7.4.1").manifest(Format::Docker);
    registry.push("library/redis:latest", &image);
    project.write("repos.txt", "library/redis\n");
    let all = project.read("pipeline.yaml").replace("platform: linux/amd64", "platform: all");
    project.write("pipeline.yaml", all.replace("layers/{repo}/{tag}.json", "layers/{repo}/{tag}/{platform}.json"));
    project.build(&[]);
    let config = config_of(&image);
    for target in ["platforms", "layers.platform"] {
        let told = project.explain(&format!("{target}@repo=library/redis,tag=latest"));
        assert_says(&told, &[&format!("  read      {} (the manifest)\n{config}", image.digest())]);
    }
    // Without the network, that it lacks this is known before, as the build says it.
    let digest = &config["  read      sha256:".len()..][..64];
    std::fs::remove_file(project.path(&format!(".layermill/store/blobs/sha256/{digest}"))).expect("removed");
    project.remove("platforms/library/redis/latest.json");
    let told = project.explain("platforms@repo=library/redis,tag=latest");
    let lacks = format!("the config sha256:{digest} of library/redis:latest\n");
    assert_says(&told, &[&format!("will ask  its source for {lacks}"), "(its config, not in the store)\n"]);
    assert_says(
        &project.run(&["plan", "--offline"]).stdout,
        &["failed   platforms@repo=library/redis", lacks.trim_end()],
    );
    assert_eq!(project.build_exits(exit::FAILED, &["--offline"]).failed, 1);
}

#[test]
fn what_the_store_has_no_more_is_told_with_what_it_was() {
    let (registry, index, project) = indexed();
    let image = stock::redis("7.4.1").manifest(Format::Docker);
    registry.push("library/redis:latest", &image);
    project.write("repos.txt", "library/nginx\nlibrary/redis\n");
    project.build(&[]);
    let [whole, amd64, _] = digests(&index);
    let plain = ["layers", "platforms"].map(|target| format!("{target}@repo=library/redis,tag=latest"));
    for what in ["not in the store", "damaged in the store"] {
        for digest in [amd64, image.digest()] {
            let blob = project.path(&format!(".layermill/store/blobs/sha256/{}", &digest["sha256:".len()..]));
            match what {
                "not in the store" => std::fs::remove_file(blob).expect("removed"),
                _ => std::fs::write(blob, "damaged").expect("written"),
            }
        }
        let of_index = [format!("{whole} (the index)"), format!("{amd64} (its manifest for linux/amd64, {what})")];
        assert_eq!(read(&project.explain(STEP)), of_index);
        // A list of platforms does not tell what it is of.
        for (step, kind) in plain.iter().zip(["the manifest", "what the tag had"]) {
            assert_eq!(read(&project.explain(step)), [format!("{} ({kind}, {what})", image.digest())]);
        }
    }
}
