//! What ships with the project: the sample, its lists, and the pipeline that builds from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use regex::Regex;
use tempfile::TempDir;

use crate::support::images::{Manifest, REF_NAME, write_layout};
use crate::support::project::{Project, walk};
use crate::support::sample;
use crate::support::words::{self, exit, outcome};

fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every file below a folder, by name.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    walk(folder, &mut |path| {
        let name = path.strip_prefix(folder).expect("below it").display().to_string();
        files.push((name, fs::read(path).expect("read")));
    });
    files
}

#[test]
fn the_generator_gives_the_sample_in_the_repository_each_time() {
    let shipped = files(&repository("etc/sample"));
    for _ in 0..2 {
        let folder = TempDir::new().expect("a temporary folder");
        write_layout(folder.path(), &sample::images()).expect("written");
        for ((name, made), (shipped_name, shipped)) in files(folder.path()).iter().zip(&shipped) {
            assert_eq!(name, shipped_name, "`cargo run --example sample` makes another sample");
            assert!(made == shipped, "{name} differs: `cargo run --example sample` makes another sample");
        }
        assert_eq!(files(folder.path()).len(), shipped.len());
    }
}

#[test]
fn the_generator_leaves_no_blob_of_an_older_sample() {
    let folder = TempDir::new().expect("a temporary folder");
    write_layout(folder.path(), &sample::images()).expect("written");
    let once = files(folder.path());
    let stale = folder.path().join("blobs/sha256").join("0".repeat(64));
    fs::write(&stale, "of an older sample").expect("written");
    write_layout(folder.path(), &sample::images()).expect("written");
    assert_eq!(files(folder.path()), once);
}

#[test]
fn the_sample_is_small_and_holds_what_it_promises() {
    let shipped = files(&repository("etc/sample"));
    let bytes: usize = shipped.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes < 200_000, "{bytes} bytes");

    let images = sample::images();
    let mut tags = BTreeMap::<&str, usize>::new();
    for (name, _) in &images {
        *tags.entry(name.split_once(':').expect("REPO:TAG").0).or_default() += 1;
    }
    assert!(tags.len() >= 6 && tags.values().all(|n| (2..=4).contains(n)), "{tags:?}");
    assert_eq!(
        images.iter().filter(|(_, m)| !m.children.is_empty()).map(|(_, m)| m.digest()).collect::<BTreeSet<_>>().len(),
        1
    );
    let types: BTreeSet<_> = images.iter().map(|(_, m)| m.media_type).collect();
    assert_eq!(types.len(), 3, "OCI and Docker manifests, and an index: {types:?}");

    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(repository("etc/sample/index.json")).expect("read")).expect("JSON");
    let named: Vec<_> = index["manifests"]
        .as_array()
        .expect("manifests")
        .iter()
        .map(|m| m["annotations"][REF_NAME].as_str().expect("a name"))
        .collect();
    assert_eq!(named, images.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
}

#[test]
fn the_lists_name_repositories() {
    let list = |path: &str| {
        let text = fs::read_to_string(repository(path)).expect("a list");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (short, full) = (list("etc/image.lst"), list("etc/image_full.lst"));
    let sampled: BTreeSet<_> =
        sample::images().iter().map(|(name, _)| name.split_once(':').expect("REPO:TAG").0.to_owned()).collect();
    assert_eq!(short.iter().cloned().collect::<BTreeSet<_>>(), sampled);
    let grammar = Regex::new("^library/[a-z0-9]+([._-][a-z0-9]+)*$").expect("a pattern");
    for name in short.iter().chain(&full) {
        assert!(grammar.is_match(name), "{name}");
    }
    assert_eq!(full.iter().collect::<BTreeSet<_>>().len(), full.len(), "a name twice");
    assert!(sampled.iter().all(|name| full.contains(name)), "the sample's are official images");
    assert!(full.len() > 100);
}

#[test]
fn the_shipped_pipeline_builds_the_sample_without_a_network() {
    let project = Project::clone_of_the_repository("clone");
    let run = project.run(&["build", "--offline"]).exits(exit::DONE);
    assert!(run.stderr.contains(words::NO_REQUESTS), "{run}");
    let summary = Regex::new(r"(?m)^built \d+, up to date \d+ · .* · \d+(\.\d+)? s$").expect("a pattern");
    assert!(summary.is_match(&run.stderr), "{run}");

    let snapshot = project.snapshot();
    let count = |folder: &str| snapshot.names().iter().filter(|n| n.starts_with(folder)).count();
    assert_eq!((count("result/tags/library/"), count("result/layers/library/")), (8, 8));
    let csv = project.read("result/stat/stat_layer.csv");
    assert_eq!(csv, latest_statistics());
    assert!(csv.contains("\nlibrary/busybox,latest,2,"), "{csv}");
    assert!(csv.contains("\nlibrary/python,3.13,"), "it has no tag `latest`: the last in name order is taken\n{csv}");

    let again = project.run(&["build", "--offline"]).exits(exit::DONE);
    assert!(again.stderr.contains(&words::all_up_to_date(17)), "{again}");
    assert_eq!(snapshot.changes(&project.snapshot()), [""; 0]);
}

/// The statistics of the sample's latest images, from the images themselves.
fn latest_statistics() -> String {
    let mut latest = BTreeMap::<String, BTreeMap<String, Manifest>>::new();
    for (name, manifest) in sample::images() {
        let (repo, tag) = name.split_once(':').expect("REPO:TAG");
        latest.entry(repo.to_owned()).or_default().insert(tag.to_owned(), manifest);
    }
    let mut csv = "repo,tag,layer_count,layer_size,\n".to_owned();
    for (repo, tags) in latest {
        let (tag, manifest) = tags.get_key_value("latest").or_else(|| tags.last_key_value()).expect("a tag");
        // linux/amd64 is the first of an index; the config is the first of an image's blobs.
        let image = manifest.children.first().unwrap_or(manifest);
        let config: serde_json::Value = serde_json::from_slice(&image.blobs[0].bytes).expect("JSON");
        let count = config["history"].as_array().expect("history").len();
        let size: usize = image.blobs[1..].iter().map(|layer| layer.bytes.len()).sum();
        csv += &format!("{repo},{tag},{count},{size},\n");
    }
    csv
}

#[test]
fn the_shipped_pipeline_has_the_seeds_targets() {
    let project = Project::clone_of_the_repository("clone");
    assert_eq!(project.build(&["get_tag"]).built, 8);
    assert_eq!(project.build(&["get_layer_latest"]).built, 8);
    let all = project.build(&["get_layer_all"]);
    assert_eq!(all.built + all.up_to_date, 8 + 29, "{}", all.listing());
    assert_eq!(all.of("get_layer_all").len(), 29 - 8, "the latest ones are there already");
    assert!(all.steps.iter().all(|s| s.outcome == outcome::BUILT));
    assert_eq!(project.build(&["stat_layer"]).built, 1);
    assert_eq!(project.build(&["stat_layer_all"]).built, 1);
    assert_eq!(project.read("result/stat/stat_layer_all.csv").lines().count(), 1 + 29);
    assert_eq!(project.build(&["biggest"]).built, 1);
    let biggest = project.read("result/stat/biggest.csv");
    assert!(biggest.lines().count() == 8 && !biggest.contains("layer_size"), "{biggest}");
}

#[test]
fn an_image_that_cannot_be_had_is_left_out_of_the_shipped_statistics() {
    let project = Project::clone_of_the_repository("clone");
    project.write("images.lst", "library/busybox\nbusybox:latest\n");
    let run = project.run(&["build", "--set", "images=images.lst"]).exits(exit::FAILED);
    assert!(run.stderr.contains("made without"), "{run}");
    let csv = project.read("result/stat/stat_layer.csv");
    assert_eq!(csv.lines().count(), 2, "{csv}");
}

#[test]
fn the_shipped_profiles_are_good() {
    let project = Project::clone_of_the_repository("clone");
    let plan = project.plan(&["--profile", "hub", "get_tag"]);
    let full = fs::read_to_string(repository("etc/image_full.lst")).expect("a list");
    assert_eq!(plan.of("get_tag").len(), full.lines().count());
    for profile in ["seed", "local"] {
        assert_eq!(project.plan(&["--profile", profile, "get_tag"]).of("get_tag").len(), 8);
    }
}
