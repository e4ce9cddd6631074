use super::*;
use crate::registry::testing::{entry, image, index, open, shared, store};
use crate::store::blobs::Blobs;
use serde_json::{Value, json};

const REF: &str = "org.opencontainers.image.ref.name";
const CONTAINERD: &str = "io.containerd.image.name";

/// The files of a layout: its images, each under these annotations.
fn layout(images: &[(&[u8], Value)], blobs: &[&[u8]]) -> Vec<(String, Vec<u8>)> {
    let manifests: Vec<_> = images
        .iter()
        .map(|(bytes, annotations)| {
            json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": bytes.len(),
                   "digest": Sha256::of(bytes).to_string(), "annotations": annotations})
        })
        .collect();
    let index = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
    let mut files = vec![
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), index.into_bytes()),
    ];
    let blobs = images.iter().map(|(bytes, _)| *bytes).chain(blobs.iter().copied());
    files.extend(blobs.map(|b| (format!("blobs/sha256/{}", Sha256::of(b).hex()), b.to_vec())));
    files
}

fn write_folder(root: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn write_tar(path: &Path, files: &[(String, Vec<u8>)], links: &[(&str, &str)]) {
    let mut tar = tar::Builder::new(fs::File::create(path).unwrap());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    for (name, to) in links {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, name, to).unwrap();
    }
    tar.finish().unwrap();
}

fn source(root: &Path, keys: &[(&str, &str)]) -> Arc<dyn Source> {
    open("oci-layout", keys, &shared(root))
}

async fn tags(source: &Arc<dyn Source>, repo: &str) -> Result<Answer<Tags>, SourceError> {
    source
        .tags(
            About {
                repo,
                blobs: &crate::registry::testing::no_store(),
                effort: Effort::default(),
                heard: &crate::registry::testing::NOBODY,
            },
            &TagFilter::default(),
        )
        .await
}

async fn names(source: &Arc<dyn Source>, repo: &str) -> Vec<String> {
    match tags(source, repo).await {
        Ok(Answer::Found(tags)) => tags.tags.into_keys().collect(),
        other => panic!("{other:?}"),
    }
}

async fn get(source: &Arc<dyn Source>, repo: &str, tag: &str, blobs: &Blobs) -> Result<Answer<Image>, SourceError> {
    let about = About { repo, blobs, effort: Effort::default(), heard: &crate::registry::testing::NOBODY };
    match source.resolve(about, tag).await? {
        Answer::Found(digest) => source.image(about, digest, &Platform::default()).await,
        Answer::Absent(why) => Ok(Answer::Absent(why)),
    }
}

#[tokio::test]
async fn folder_and_tar_give_the_same_answers() {
    let (manifest, config) = image("amd64", "ADD x");
    let (arm, arm_config) = image("arm64", "ADD x");
    let multi = index(&[(&arm, Some("linux/arm64")), (&manifest, Some("linux/amd64"))]);
    let files = layout(
        &[
            (&manifest, json!({REF: "library/x:1.0"})),
            (&multi, json!({REF: "latest", CONTAINERD: "docker.io/library/x:latest"})),
            (&arm, json!({REF: "ghcr.io/o/y:2"})),
            (&arm, json!({})),
        ],
        &[&manifest, &config, &arm_config],
    );
    let dir = tempfile::tempdir().unwrap();
    write_folder(&dir.path().join("folder"), &files);
    write_tar(&dir.path().join("file.tar"), &files, &[]);
    for path in ["folder", "file.tar", "./folder/"] {
        let source = source(dir.path(), &[("path", path)]);
        assert_eq!(source.identity(), format!("oci-layout {path}"));
        assert_eq!(names(&source, "library/x").await, ["1.0", "latest"]);
        assert_eq!(names(&source, "x").await, ["1.0", "latest"]);
        assert_eq!(names(&source, "ghcr.io/o/y").await, ["2"]);
        let (_store, blobs) = store();
        for tag in ["1.0", "latest"] {
            let Ok(Answer::Found(image)) = get(&source, "library/x", tag, &blobs).await else { panic!("{tag}") };
            assert_eq!((image.digest, image.size), (Sha256::of(&manifest), 1005));
        }
        assert!(blobs.contains(&Sha256::of(&config)));
        let absent = get(&source, "library/x", "2.0", &blobs).await.unwrap();
        assert!(matches!(absent, Answer::Absent(why) if why == format!("no tag 2.0 of library/x in {path}")));
        let absent = tags(&source, "library/z").await.unwrap();
        assert!(matches!(absent, Answer::Absent(why) if why.contains("it has ghcr.io/o/y, library/x")));
    }
}

#[tokio::test]
async fn bare_tags_belong_to_the_repository_of_the_source() {
    let (manifest, _) = image("amd64", "ADD x");
    let dir = tempfile::tempdir().unwrap();
    write_folder(dir.path(), &layout(&[(&manifest, json!({REF: "1.0"}))], &[]));
    let with = source(dir.path(), &[("path", "."), ("repo", "library/x")]);
    assert_eq!(names(&with, "library/x").await, ["1.0"]);
    assert_eq!(with.identity(), "oci-layout . repo=library/x");
    let error = tags(&source(dir.path(), &[("path", ".")]), "library/x").await.unwrap_err();
    assert!(error.message.contains("bare tag `1.0`") && error.help.unwrap().contains("repo:"));
}

#[tokio::test]
async fn names_that_cannot_be_used_are_left_out() {
    let ((a, _), (b, _)) = (image("amd64", "a"), image("amd64", "b"));
    let dir = tempfile::tempdir().unwrap();
    let images = [
        (&a[..], json!({REF: "x:twice"})),
        (&b[..], json!({REF: "x:twice"})),
        (&a[..], json!({REF: "x:same"})),
        (&a[..], json!({REF: "x:same"})),
        (&a[..], json!({REF: "x:-no"})),
    ];
    write_folder(dir.path(), &layout(&images, &[]));
    let Ok(Answer::Found(tags)) = tags(&source(dir.path(), &[("path", ".")]), "x").await else { panic!() };
    assert_eq!(tags.tags.into_keys().collect::<Vec<_>>(), ["same"]);
    assert_eq!(tags.left_out.len(), 2);
}

#[tokio::test]
async fn a_layout_that_changes_is_read_again() {
    let ((a, _), (b, _)) = (image("amd64", "a"), image("amd64", "bb"));
    let dir = tempfile::tempdir().unwrap();
    write_folder(dir.path(), &layout(&[(&a, json!({REF: "x:1"}))], &[]));
    let source = source(dir.path(), &[("path", ".")]);
    assert_eq!(names(&source, "x").await, ["1"]);
    write_folder(dir.path(), &layout(&[(&a, json!({REF: "x:1"})), (&b, json!({REF: "x:2"}))], &[]));
    assert_eq!(names(&source, "x").await, ["1", "2"]);
}

#[tokio::test]
async fn damage_and_absence_are_told_apart() {
    let (manifest, config) = image("amd64", "ADD x");
    let dir = tempfile::tempdir().unwrap();
    let broken = |bytes: &[u8]| {
        write_folder(dir.path(), &layout(&[(&manifest, json!({REF: "x:1"}))], &[&config]));
        fs::write(dir.path().join("blobs/sha256").join(Sha256::of(&config).hex()), bytes).unwrap();
        source(dir.path(), &[("path", ".")])
    };
    let (_store, blobs) = store();
    let error = get(&broken(b"not it"), "x", "1", &blobs).await.unwrap_err();
    assert!(error.message.contains("expected content of this digest"), "{error}");
    let huge = vec![b' '; 5 << 20];
    let error = get(&broken(&huge), "x", "1", &blobs).await.unwrap_err();
    assert!(error.message.contains("4194304 bytes (4 MiB)"), "{error}");
    for (path, expected) in [("nothing", "no such folder or file"), ("blobs", "it has no `index.json`")] {
        let error = tags(&source(dir.path(), &[("path", path)]), "x").await.unwrap_err();
        assert!(error.message.contains(expected), "{error}");
    }
    fs::write(dir.path().join("index.json"), "not json").unwrap();
    let error = tags(&source(dir.path(), &[("path", ".")]), "x").await.unwrap_err();
    assert!(error.message.contains("`index.json` in it cannot be read"), "{error}");
}

/// What `docker save` wrote before it wrote layouts: layers by path, one of them a link to another.
fn saved(layers: &[(&str, &[u8])], names: &[&str]) -> Vec<(String, Vec<u8>)> {
    let diff_ids: Vec<_> = layers.iter().map(|(_, bytes)| Sha256::of(bytes).to_string()).collect();
    let history: Vec<_> = layers.iter().map(|(name, _)| json!({"created_by": name})).collect();
    let config = json!({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history})
    .to_string();
    let paths: Vec<_> = layers.iter().map(|(name, _)| *name).collect();
    let list = json!([{"Config": "config.json", "RepoTags": names, "Layers": paths}]).to_string();
    let mut files = vec![("manifest.json".into(), list.into_bytes()), ("config.json".into(), config.into_bytes())];
    files.extend(layers.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())));
    files
}

#[tokio::test]
async fn archives_of_docker_save_get_a_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let layer = vec![7; 10_000];
    let mut files = saved(
        &[("a/layer.tar", &layer), ("b/layer.tar", b""), ("c/layer.tar.gz", b"\x1f\x8bpacked")],
        &["busybox:1.0", "localhost:5000/o/busybox:2"],
    );
    files.retain(|(name, _)| name != "b/layer.tar");
    write_tar(&dir.path().join("x.tar"), &files, &[("b/layer.tar", "../a/layer.tar")]);
    let source = source(dir.path(), &[("path", "x.tar")]);
    assert_eq!(names(&source, "library/busybox").await, ["1.0"]);
    assert_eq!(names(&source, "o/busybox").await, ["2"]);
    let (_store, blobs) = store();
    let Ok(Answer::Found(image)) = get(&source, "library/busybox", "1.0", &blobs).await else { panic!() };
    let made: Value = serde_json::from_slice(&blobs.get(&image.digest).unwrap().unwrap()).unwrap();
    assert_eq!(made["mediaType"], "application/vnd.docker.distribution.manifest.v2+json");
    assert_eq!(made["layers"][0]["digest"], Sha256::of(&layer).to_string());
    assert_eq!(made["layers"][1]["size"], 10_000);
    assert_eq!(made["layers"][2]["digest"], Sha256::of(b"\x1f\x8bpacked").to_string());
    assert_eq!(made["layers"][2]["mediaType"], "application/vnd.docker.image.rootfs.diff.tar.gzip");
    assert_eq!(image.size, 20_008);
}

#[tokio::test]
async fn a_docker_archive_is_what_docker_save_wrote_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    write_tar(&dir.path().join("saved.tar"), &saved(&[("a/layer.tar", b"a")], &["o/busybox:1.0"]), &[]);
    write_tar(&dir.path().join("layout.tar"), &layout(&[], &[]), &[]);
    let archive = |path| open("docker-archive", &[("path", path)], &shared(dir.path()));
    assert_eq!(names(&archive("saved.tar"), "o/busybox").await, ["1.0"]);
    for (path, expected) in [
        ("layout.tar", "layout.tar: no archive of `docker save`: it has no `manifest.json`"),
        (".", ".: a folder: expected an archive that `docker save` wrote"),
    ] {
        let error = tags(&archive(path), "o/busybox").await.unwrap_err();
        assert_eq!(error.message, expected);
    }
}

#[tokio::test]
async fn archives_that_are_none_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let (manifest, _) = image("amd64", "ADD x");
    let missing = saved(&[("a/layer.tar", b"x")], &["x:1"]);
    write_tar(&dir.path().join("missing.tar"), &missing[..2], &[("a/layer.tar", "layer.tar")]);
    write_tar(&dir.path().join("other.tar"), &[("x".into(), manifest)], &[]);
    fs::write(dir.path().join("x.tar.gz"), b"\x1f\x8b\x08").unwrap();
    fs::write(dir.path().join("noise.tar"), vec![b'x'; 2000]).unwrap();
    fs::write(dir.path().join("empty.tar"), b"").unwrap();
    for (path, expected) in [
        ("missing.tar", "it names `a/layer.tar`, and does not have it"),
        ("other.tar", "neither an OCI image layout nor an archive"),
        ("x.tar.gz", "`gzip -d`"),
        ("noise.tar", "cannot be read as a tar"),
        ("empty.tar", "neither an OCI image layout nor an archive"),
    ] {
        let error = tags(&source(dir.path(), &[("path", path)]), "x").await.unwrap_err();
        assert!(error.message.contains(expected), "{path}: {error}");
    }
}

#[test]
fn entries_that_are_wrong_are_named() {
    let wrong = |keys: &[(&str, &str)]| {
        let mut problems = Problems::default();
        let opened = super::super::open(&entry("oci-layout", keys), &shared(Path::new("/p")), &mut problems);
        assert!(opened.is_none());
        problems.0[0].message.clone()
    };
    for path in ["../x", "/etc", "a/../../x", ""] {
        assert_eq!(wrong(&[("path", path)]), "not the path of a layout", "{path}");
    }
    assert_eq!(wrong(&[("path", "x"), ("repo", "Not/One")]), "not a repository's name");
}
