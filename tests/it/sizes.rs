//! `sizes: uncompressed`: how large layers are, unpacked.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use axum::http::StatusCode;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::support::fault::{self, Server, Shelf};
use crate::support::images::{Blob, Manifest, digest};
use crate::support::project::Project;
use crate::support::registry::Registry;
use crate::support::spoiler::{Fate, Spoiler};
use crate::support::stock;
use crate::support::until;
use crate::support::words::exit;
use crate::tags_layers::{docker_archive, image, named, over_layout, set_for_layers};

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const UNCOMPRESSED: &str = "sizes: uncompressed";

/// A layer and how it is packed.
#[derive(Clone)]
struct Layer {
    media_type: String,
    blob: Blob,
    tar: Vec<u8>,
}

impl Layer {
    fn new(packing: &str, tar: &[u8], bytes: Vec<u8>) -> Self {
        Self { media_type: format!("{LAYER}{packing}"), blob: Blob::new(bytes), tar: tar.to_vec() }
    }

    fn gzip(tar: &[u8]) -> Self {
        Self::new("+gzip", tar, gzip(tar))
    }

    /// Every packing that there is, of tars that differ by `seed`.
    fn of_all_packings(seed: usize) -> [Self; 5] {
        let tars = [1, 2, 3, 4, 5].map(|n| tar(seed * 5 + n));
        let members = |tar: &[u8]| {
            // Some packers leave an empty member at the end, as eStargz its footer.
            let (one, two) = tar.split_at(tar.len() / (2 + seed % 3));
            if seed.is_multiple_of(2) { [gzip(one), gzip(two)].concat() } else { [gzip(tar), gzip(b"")].concat() }
        };
        [
            Self::gzip(&tars[0]),
            Self::new("+gzip", &tars[1], members(&tars[1])),
            Self::new("+zstd", &tars[2], zstd::bulk::compress(&tars[2], 3).expect("packed")),
            Self::new("+zstd", &tars[3], zstd::encode_all(&tars[3][..], 3).expect("packed")),
            Self::new("", &tars[4], tars[4].clone()),
        ]
    }
}

/// A tar of one file, half of which does not compress.
fn tar(seed: usize) -> Vec<u8> {
    let noise = (0..seed * 20).flat_map(|n| digest(format!("{seed} {n}").as_bytes()).into_bytes());
    let content: Vec<u8> = noise.chain(std::iter::repeat_n(b'x', seed * 999)).collect();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, format!("file-{seed}"), &content[..]).expect("packed");
    tar.into_inner().expect("packed")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(bytes).expect("written to memory");
    packer.finish().expect("written to memory")
}

/// An image of these layers.
fn of(layers: &[Layer]) -> Manifest {
    let diff_ids: Vec<_> = layers.iter().map(|l| digest(&l.tar)).collect();
    let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    let config = Blob::new(config.to_string().into_bytes());
    let describe = |media_type: &str, blob: &Blob| json!({"mediaType": media_type, "digest": blob.digest, "size": blob.bytes.len()});
    let body = json!({"schemaVersion": 2, "mediaType": OCI,
        "config": describe("application/vnd.oci.image.config.v1+json", &config),
        "layers": layers.iter().map(|l| describe(&l.media_type, &l.blob)).collect::<Vec<_>>()});
    let blobs = std::iter::once(config).chain(layers.iter().map(|l| l.blob.clone())).collect();
    Manifest::of_bytes(OCI, body.to_string().into_bytes(), blobs)
}

/// The layers of a layer file, base first.
fn layers(project: &Project, repo: &str) -> Vec<Value> {
    let mut layers = image(project, &format!("result/layers/{repo}/latest.json"))["layers"].take();
    layers.as_array_mut().expect("layers").drain(..).rev().collect()
}

#[test]
fn uncompressed_sizes_equal_those_of_the_unpacked_layers_and_a_gzip_costs_one_range_request() {
    let made: Vec<Layer> = (0..10).flat_map(Layer::of_all_packings).collect();
    let (many, more) = (of(&made), of(&made[..20]));
    let registry = Registry::start();
    registry.push("x/many:latest", &many);
    registry.push("x/more:latest", &more);
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["x/many", "x/more"]));
    set_for_layers(&project, UNCOMPRESSED);
    let mark = registry.mark();
    project.build(&[]);
    for (repo, made) in [("x/many", &made[..]), ("x/more", &made[..20])] {
        let sizes: Vec<_> = layers(&project, repo).iter().map(|l| l["Size"].as_u64().expect("a size")).collect();
        assert_eq!(sizes, made.iter().map(|l| l.tar.len() as u64).collect::<Vec<_>>());
        let repo = &image(&project, &format!("result/layers/{repo}/latest.json"))["repo"];
        assert_eq!(repo["size"], sizes.iter().sum::<u64>());
        assert_eq!(repo["sizes"], "uncompressed");
        assert!(layers(&project, "x/many").iter().all(|l| l.get("compressed").is_none()));
    }
    assert!(made.iter().any(|l| l.media_type.ends_with("gzip") && l.blob.bytes.len() > 30 << 10));
    // What the access log says of each, in both repositories together. Lines come when an answer is out, in any order.
    let (whole, part) = (200, 206);
    for (i, layer) in made.iter().enumerate() {
        let seen_whole = layer.blob.bytes.len() <= 14 << 10;
        let expected: &[u16] = match i % 5 {
            0 | 1 if seen_whole => &[whole],
            0 | 2 => &[part],
            1 | 3 => &[whole, part],
            _ => &[],
        };
        until("the access log has the requests of a layer, and no more", || {
            let asked = registry.requests_since(mark);
            let of_layer = asked.iter().filter(|r| r.path.ends_with(&layer.blob.digest));
            let mut statuses: Vec<_> = of_layer.map(|r| r.status).collect();
            statuses.sort_unstable();
            (statuses == expected).then_some(())
        });
    }

    // The same from a layout and from an archive.
    let local = over_layout(&[named("x/many:latest", many), named("x/more:latest", more)], &["x/many", "x/more"]);
    set_for_layers(&local, UNCOMPRESSED);
    local.build(&[]);
    local.snapshot().assert_same_bytes(&project.snapshot(), "result/");
    let archived = Project::new(&local.read("pipeline.yaml"));
    archived.edit("path: images", "path: images.tar");
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_dir_all(".", local.path("images")).expect("packed");
    archived.write("images.tar", tar.into_inner().expect("packed"));
    archived.build(&[]);
    archived.snapshot().assert_same_bytes(&project.snapshot(), "result/");
}

#[test]
fn layers_of_a_docker_archive_are_unpacked_to_be_measured() {
    let made = Layer::of_all_packings(4);
    let manifest = of(&made);
    let layers_by_path: Vec<_> =
        made.iter().enumerate().map(|(n, layer)| (format!("{n}/layer"), layer.blob.bytes.to_vec())).collect();
    let project = Project::new(&stock::pipeline_for("unused", &["x/y"]));
    project.edit("{kind: registry, url: \"unused\"}", "{kind: docker-archive, path: saved.tar}");
    project.write("saved.tar", docker_archive("x/y:latest", &manifest.blobs[0].bytes, &layers_by_path));
    set_for_layers(&project, UNCOMPRESSED);
    project.build(&[]);
    let sizes: Vec<_> = layers(&project, "x/y").iter().map(|l| l["Size"].as_u64().expect("a size")).collect();
    assert_eq!(sizes, made.map(|l| l.tar.len() as u64));
}

#[test]
fn which_sizes_are_wanted_is_part_of_the_key_and_what_was_found_out_is_not_asked_again() {
    let registry = stock::registry();
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["library/redis"]));
    project.build(&["get_layer_all"]);
    let compressed = project.snapshot();
    set_for_layers(&project, UNCOMPRESSED);
    assert_eq!(project.build(&["get_layer_all"]).built, 2);
    let sizes: Vec<u64> = stock::redis("7.4.1").layers().map(|l| l.unpacked).collect();
    let ours = layers(&project, "library/redis");
    let with_files = ours.iter().filter(|l| l["empty"] == false).map(|l| l["Size"].as_u64().expect("a size"));
    assert_eq!(with_files.collect::<Vec<_>>(), sizes);
    assert!(ours.iter().filter(|l| l["empty"] == true).all(|l| l["Size"] == 0));
    project.build(&["get_layer_all"]).assert_nothing_done();

    project.edit(UNCOMPRESSED, "sizes: compressed");
    assert_eq!(project.build(&["get_layer_all"]).requests, 0);
    compressed.assert_same_bytes(&project.snapshot(), "result/layers/");
    project.edit("sizes: compressed", UNCOMPRESSED);
    assert_eq!(project.build(&["get_layer_all"]).requests, 0, "the store knows them");
    assert_eq!(layers(&project, "library/redis"), ours);
}

#[test]
fn a_registry_that_gives_no_ranges_is_read_through() {
    let made = Layer::of_all_packings(3);
    let mut shelf = Shelf::default();
    shelf.put("x/y:latest", &of(&made));
    // It takes no notice of `Range`.
    let server = Server::of(shelf);
    let project = Project::new(&stock::pipeline_for(&server.url(), &["x/y"]));
    set_for_layers(&project, UNCOMPRESSED);
    project.build(&[]);
    let sizes: Vec<_> = layers(&project, "x/y").iter().map(|l| l["Size"].as_u64().expect("a size")).collect();
    assert_eq!(sizes, made.map(|l| l.tar.len() as u64));
}

#[test]
fn a_layer_that_is_elsewhere_or_cannot_be_unpacked_keeps_its_compressed_size_and_is_marked() {
    let (one, two) = (Layer::gzip(&tar(1)), Layer::gzip(&tar(2)));
    let foreign = Layer { media_type: format!("{LAYER}+gzip").replace("layer.", "layer.nondistributable."), ..two };
    let xz = Layer::new("", &tar(3), [b"\xfd7zXZ\0".to_vec(), tar(3)].concat());
    let encrypted = Layer::new("+gzip+encrypted", &tar(4), tar(4));
    let all = [one, foreign, xz, encrypted];
    let mut manifest = of(&all);
    manifest.blobs.retain(|blob| blob.digest != all[1].blob.digest);
    let registry_like = {
        let mut shelf = Shelf::default();
        shelf.put("x/y:latest", &manifest);
        Server::of(shelf)
    };
    let over_registry = Project::new(&stock::pipeline_for(&registry_like.url(), &["x/y"]));
    for project in [over_registry, over_layout(&[named("x/y:latest", manifest)], &["x/y"])] {
        set_for_layers(&project, UNCOMPRESSED);
        project.build(&[]);
        let seen = layers(&project, "x/y");
        let marks: Vec<_> = seen.iter().map(|l| l.get("compressed").is_some_and(|c| c == true)).collect();
        assert_eq!(marks, [false, true, true, true]);
        let sizes: Vec<_> = seen.iter().map(|l| l["Size"].as_u64().expect("a size") as usize).collect();
        let packed = |n: usize| all[n].blob.bytes.len();
        assert_eq!(sizes, [all[0].tar.len(), packed(1), packed(2), packed(3)]);
    }
}

#[test]
fn a_size_that_was_not_to_be_had_is_told_and_looked_for_again_by_refresh_and_by_force() {
    let (one, two) = (Layer::gzip(&tar(1)), Layer::gzip(&tar(2)));
    let whole = of(&[one.clone(), two.clone()]);
    let mut lacking = whole.clone();
    lacking.blobs.retain(|blob| blob.digest != two.blob.digest);
    let step = "get_layer_latest@repo=x/y,tag=latest";
    let sizes = |project: &Project| {
        let sizes: Vec<u64> = layers(project, "x/y").iter().map(|l| l["Size"].as_u64().expect("a size")).collect();
        sizes
    };
    // The digest comes with the tag, or the source is asked for it.
    for tags in ["{tag: {from: get_tag, select: latest}}", "{repo: [x/y], tag: [latest]}"] {
        for flag in ["--refresh", "--force", "--refresh=get_layer_latest"] {
            let project = over_layout(&[named("x/y:latest", lacking.clone())], &["x/y"]);
            project.edit("{tag: {from: get_tag, select: latest}}", tags);
            set_for_layers(&project, UNCOMPRESSED);
            let report = project.build(&["get_layer_latest"]);
            let why =
                format!("is not to be had, and that of the blob is told: images does not have {}", two.blob.digest);
            assert!(report.listing().contains(&why), "{}", report.listing());
            assert_eq!(sizes(&project), [one.tar.len() as u64, two.blob.bytes.len() as u64]);
            let told = project.explain(step);
            for line in [
                format!("  read      {} (a layer: all of it, for its size unpacked)\n", one.blob.digest),
                format!("  read      {} (a layer: its size unpacked was not to be had)\n", two.blob.digest),
                format!(
                    "again if  `--refresh` or `--force` looks again for the size unpacked of {}, ",
                    two.blob.digest
                ),
            ] {
                assert!(told.contains(&line), "{line}{told}");
            }

            project.layout("images", &[named("x/y:latest", whole.clone())]);
            project.build(&["get_layer_latest"]).assert_nothing_done();
            let plan = project.run(&["plan", "-v", "get_layer_latest", flag]).exits(exit::DONE);
            let told = plan.stdout.lines().any(|line| line.contains(step) && line.ends_with(" by hand"));
            assert!(told, "{}", plan.stdout);
            project.build(&["get_layer_latest", flag]);
            assert_eq!(sizes(&project), [one.tar.len() as u64, two.tar.len() as u64], "{flag}");
            assert!(layers(&project, "x/y").iter().all(|l| l.get("compressed").is_none()));
            assert!(!project.explain(step).contains("to be had"), "{}", project.explain(step));
        }
    }
}

#[test]
fn a_blob_that_is_not_what_it_should_be_tells_no_size() {
    let made = Layer::new("+zstd", &tar(6), zstd::encode_all(&tar(6)[..], 3).expect("packed"));
    let other = zstd::encode_all(&tar(7)[..], 3).expect("packed");
    let mut shelf = Shelf::default();
    shelf.put("x/y:latest", &of(std::slice::from_ref(&made)));
    let blob = made.blob.digest.clone();
    for longer in [false, true] {
        let (shelf, blob, other) = (shelf.clone(), blob.clone(), other.clone());
        let length = if longer { other.len() } else { made.blob.bytes.len() };
        let server = Server::start(move |request| {
            if !request.path.ends_with(&blob) {
                return shelf.answer(request);
            }
            fault::reply(StatusCode::OK, &[], other[..length.min(other.len())].to_vec())
        });
        let project = Project::new(&stock::pipeline_for(&server.url(), &["x/y"]));
        set_for_layers(&project, UNCOMPRESSED);
        let report = project.build_exits(exit::FAILED, &[]);
        let expected = if longer { "bytes that are the most" } else { "expected content of" };
        assert!(report.listing().contains(expected), "{}", report.listing());
        assert!(!project.exists("result/layers/x/y/latest.json"));
    }
}

#[test]
fn a_blob_that_came_damaged_is_asked_for_again_before_its_size_is_told() {
    let made = Layer::of_all_packings(9);
    let registry = Registry::start();
    registry.push("x/all:latest", &of(&made));
    let seen_before = Mutex::new(BTreeSet::new());
    let front = Spoiler::of(registry.address(), move |seen| {
        let is_whole_blob = seen.path.contains("/blobs/") && seen.header("range").is_empty();
        match is_whole_blob && seen_before.lock().expect("whole").insert(seen.path.clone()) {
            true => Fate::Flipped,
            false => Fate::Passed,
        }
    });
    let project = Project::new(&stock::pipeline_for(&front.url(), &["x/all"]));
    set_for_layers(&project, UNCOMPRESSED);
    project.build(&[]);
    let sizes: Vec<_> =
        layers(&project, "x/all").iter().map(|l| l["Size"].as_u64().expect("a size") as usize).collect();
    assert_eq!(sizes, made.iter().map(|layer| layer.tar.len()).collect::<Vec<_>>());
}

#[test]
fn a_layer_of_many_gigabytes_is_counted_without_being_kept() {
    let mut packer = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("a packer");
    let piece = vec![0; 1 << 20];
    (0..5 << 10).for_each(|_| packer.write_all(&piece).expect("packed"));
    let bytes = packer.finish().expect("packed");
    let made = Layer { media_type: format!("{LAYER}+zstd"), blob: Blob::new(bytes), tar: Vec::new() };
    let project = over_layout(&[named("x/y:latest", of(&[made]))], &["x/y"]);
    set_for_layers(&project, UNCOMPRESSED);
    project.build(&[]);
    assert_eq!(layers(&project, "x/y")[0]["Size"], 5u64 << 30);
}

#[test]
fn explain_lists_of_each_layer_how_much_of_it_was_read_for_its_size() {
    let made = Layer::of_all_packings(9);
    let registry = Registry::start();
    registry.push("x/all:latest", &of(&made));
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["x/all"]));
    let step = "get_layer_latest@repo=x/all,tag=latest";
    project.build(&["get_layer_latest"]);
    assert!(!project.explain(step).contains("a layer"), "{}", project.explain(step));
    set_for_layers(&project, UNCOMPRESSED);
    project.build(&["get_layer_latest"]);
    let told = project.explain(step);
    let read: Vec<&str> = told.lines().filter(|line| line.contains("(a layer: ")).collect();
    let how = ["its end", "all of it", "its start", "all of it"];
    let line = |(layer, how): (&Layer, &&str)| {
        format!("  read      {} (a layer: {how}, for its size unpacked)", layer.blob.digest)
    };
    assert_eq!(read, made.iter().zip(&how).map(line).collect::<Vec<_>>(), "none of what is not packed\n{told}");
    // What found it out before did not say how.
    let sizes = project.path(".layermill/store/sizes");
    std::fs::remove_file(sizes).expect("removed");
    assert_eq!(project.explain(step).matches("how much of it is not recorded)\n").count(), how.len());
}

#[test]
fn how_much_was_read_of_a_layer_that_another_repository_has_lost_is_recorded() {
    let shared = tar(1);
    let shared = Layer::gzip(&shared);
    let image = |seed| of(&[shared.clone(), Layer::gzip(&tar(seed))]);
    let lost: Vec<String> = (0..10).map(|n| format!("x/lost-{n}")).collect();
    let repos: Vec<&str> = lost.iter().map(String::as_str).chain(["x/one", "x/two"]).collect();
    let mut shelf = Shelf::default();
    repos.iter().zip(2..).for_each(|(repo, seed)| shelf.put(&format!("{repo}:latest"), &image(seed)));
    // All ask at the same time, and are told by whoever was the first.
    let manner = fault::Manner { latency: Duration::from_millis(100), ..fault::Manner::default() };
    let server = Server::start_as(manner, move |seen| match seen.path.starts_with("/v2/x/lost-") {
        true if seen.path.ends_with(&shared.blob.digest) => fault::not_found("BLOB_UNKNOWN"),
        _ => shelf.answer(seen),
    });
    let project = Project::new(&stock::pipeline_for(&server.url(), &repos));
    set_for_layers(&project, UNCOMPRESSED);
    project.build(&["get_layer_latest"]);
    for repo in ["x/one", "x/two"] {
        let told = project.explain(&format!("get_layer_latest@repo={repo},tag=latest"));
        assert!(!told.contains("how much of it is not recorded"), "{told}");
        assert_eq!(told.matches(" (a layer: ").count(), 2, "{told}");
    }
}

#[test]
fn of_several_layers_whose_sizes_cannot_be_asked_for_offline_the_first_is_named_before_and_after() {
    let made: Vec<Layer> = (1..8).map(|seed| Layer::gzip(&tar(seed))).collect();
    let registry = Registry::start();
    registry.push("x/all:latest", &of(&made));
    let project = Project::new(&stock::pipeline_for(&registry.url(), &["x/all"]));
    project.build(&["get_layer_latest"]);
    set_for_layers(&project, UNCOMPRESSED);
    let first = &made[0].blob.digest;
    let plan = project.run(&["plan", "--offline", "get_layer_latest"]).exits(exit::DONE).stdout;
    assert!(plan.contains(&format!("the unpacked size of the layer {first} (and of 6 more)")), "{plan}");
    let report = project.build_exits(exit::FAILED, &["--offline", "get_layer_latest"]);
    let message = report.step("get_layer_latest@repo=x/all,tag=latest").message.clone().unwrap_or_default();
    assert!(message.contains(first), "{message}");
}
