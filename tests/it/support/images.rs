//! Images made in memory: real layers, configs, manifests and indexes with true sizes and digests, the same bytes each
//! time. The sample (`cargo run --example sample`) and the tests are built from these.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use flate2::{Compression, GzBuilder};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The annotation of an OCI layout under which an image is found.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// `sha256:…` of some bytes.
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
    format!("sha256:{hex}")
}

/// Whose media types a manifest speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Oci,
    /// Docker schema 2.
    Docker,
}

impl Format {
    pub fn manifest(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.manifest.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    pub fn index(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.index.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.config.v1+json",
            Self::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    fn layer(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Docker => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        }
    }
}

/// A gzipped tar.
#[derive(Clone, Debug)]
pub struct Layer {
    pub blob: Blob,
    /// The digest of the tar itself.
    pub diff_id: String,
    /// The size of the tar itself.
    pub unpacked: u64,
}

impl Layer {
    /// Files by path and size; what is in them follows from `seed`.
    fn new(seed: &str, files: &[(&str, usize)]) -> Self {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, size) in files {
            let content = noise(&format!("{seed}\n{path}"), *size);
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(if path.contains("bin/") { 0o755 } else { 0o644 });
            header.set_mtime(1_700_000_000);
            header.set_uid(0);
            header.set_gid(0);
            tar.append_data(&mut header, path, content.as_slice()).expect("the path fits a ustar header");
        }
        let tar = tar.into_inner().expect("written to memory");
        let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
        gzip.write_all(&tar).expect("written to memory");
        let bytes = gzip.finish().expect("written to memory");
        Self { blob: Blob::new(bytes), diff_id: digest(&tar), unpacked: tar.len() as u64 }
    }
}

/// Bytes that do not compress, the same for the same seed.
fn noise(seed: &str, size: usize) -> Vec<u8> {
    let blocks = (0u32..).flat_map(|n| Sha256::digest(format!("{n}\n{seed}")));
    blocks.take(size).collect()
}

/// Bytes and their digest.
#[derive(Clone, Debug)]
pub struct Blob {
    pub digest: String,
    pub bytes: Arc<[u8]>,
}

impl Blob {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { digest: digest(&bytes), bytes: bytes.into() }
    }
}

/// One line of a Dockerfile.
#[derive(Clone, Debug)]
struct Entry {
    created: String,
    created_by: String,
    comment: String,
    layer: Option<Layer>,
}

/// An image as a Dockerfile makes it. A clone is what `FROM` does: history and layers come along as they are.
#[derive(Clone, Debug)]
pub struct Image {
    architecture: &'static str,
    /// When the next entries are made.
    now: String,
    /// The comment of the next entries.
    comment: String,
    run: RunConfig,
    entries: Vec<Entry>,
}

impl Image {
    /// `FROM scratch`, made at some time.
    pub fn scratch(architecture: &'static str, created: &str) -> Self {
        Self {
            architecture,
            now: created.to_owned(),
            comment: String::new(),
            run: RunConfig::default(),
            entries: Vec::new(),
        }
    }

    /// `FROM` this one, made at some later time, by BuildKit.
    pub fn child(&self, created: &str) -> Self {
        Self { now: created.to_owned(), comment: "buildkit.dockerfile.v0".to_owned(), ..self.clone() }
    }

    /// An instruction that adds files (path and size).
    pub fn add(mut self, created_by: &str, files: &[(&str, usize)]) -> Self {
        let layer = Layer::new(&format!("{} {created_by}", self.architecture), files);
        self.push(created_by, Some(layer));
        self
    }

    /// An instruction that adds no files.
    pub fn note(mut self, created_by: &str) -> Self {
        self.push(created_by, None);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.run.env.push(format!("{name}={value}"));
        self.note(&format!("ENV {name}={value}"))
    }

    pub fn expose(mut self, port: &str) -> Self {
        self.run.exposed_ports.insert(port.to_owned(), Empty {});
        self.note(&format!("EXPOSE map[{port}:{{}}]"))
    }

    pub fn entrypoint(mut self, words: &[&str]) -> Self {
        self.run.entrypoint = words.iter().map(|w| (*w).to_owned()).collect();
        self.note(&format!("ENTRYPOINT {words:?}"))
    }

    pub fn cmd(mut self, words: &[&str]) -> Self {
        self.run.cmd = words.iter().map(|w| (*w).to_owned()).collect();
        self.note(&format!("CMD {words:?}"))
    }

    fn push(&mut self, created_by: &str, layer: Option<Layer>) {
        self.entries.push(Entry {
            created: self.now.clone(),
            created_by: created_by.to_owned(),
            comment: self.comment.clone(),
            layer,
        });
    }

    /// How many history entries it has, those without files included.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// The layers, base first.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.entries.iter().filter_map(|e| e.layer.as_ref())
    }

    /// The compressed size of all layers.
    pub fn size(&self) -> u64 {
        self.layers().map(|l| l.blob.bytes.len() as u64).sum()
    }

    fn config(&self) -> Blob {
        let history = self.entries.iter().map(|e| HistoryJson {
            created: &e.created,
            created_by: &e.created_by,
            comment: &e.comment,
            empty_layer: e.layer.is_none(),
        });
        Blob::new(json(&ConfigJson {
            architecture: self.architecture,
            os: "linux",
            created: &self.now,
            config: &self.run,
            rootfs: RootFsJson { kind: "layers", diff_ids: self.layers().map(|l| l.diff_id.as_str()).collect() },
            history: history.collect(),
        }))
    }

    /// Its manifest, with all that it names.
    pub fn manifest(&self, format: Format) -> Manifest {
        let config = self.config();
        let layers: Vec<Blob> = self.layers().map(|l| l.blob.clone()).collect();
        let bytes = json(&ManifestJson {
            schema_version: 2,
            media_type: format.manifest(),
            artifact_type: None,
            config: Descriptor::of(format.config(), &config),
            layers: layers.iter().map(|l| Descriptor::of(format.layer(), l)).collect(),
            annotations: BTreeMap::new(),
        });
        Manifest {
            media_type: format.manifest(),
            blob: Blob::new(bytes),
            platform: Some(Platform { architecture: self.architecture, os: "linux" }),
            subject: None,
            blobs: std::iter::once(config).chain(layers).collect(),
            children: Vec::new(),
        }
    }
}

/// A manifest or an index, with all that it names.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub media_type: &'static str,
    pub blob: Blob,
    platform: Option<Platform>,
    /// The digest of the image that it attests.
    subject: Option<String>,
    /// Config and layers.
    pub blobs: Vec<Blob>,
    /// The manifests of an index.
    pub children: Vec<Manifest>,
}

impl Manifest {
    /// Any bytes as a manifest, with the config and the layers that it names.
    pub fn of_bytes(media_type: &'static str, bytes: Vec<u8>, blobs: Vec<Blob>) -> Self {
        Self { media_type, blob: Blob::new(bytes), platform: None, subject: None, blobs, children: Vec::new() }
    }

    pub fn digest(&self) -> &str {
        &self.blob.digest
    }

    /// The 64 hex digits of its digest, as tag files have them.
    pub fn id(&self) -> &str {
        self.blob.digest.strip_prefix("sha256:").expect("made by digest()")
    }

    /// An index of images, each followed by its attestation, as BuildKit writes it where `attested`. `note` is an
    /// annotation, so that indexes of the same images can differ.
    pub fn index(format: Format, images: &[&Manifest], attested: bool, note: &str) -> Self {
        let mut children = Vec::new();
        for image in images {
            children.push((*image).clone());
            if attested {
                children.push(Self::attestation(image));
            }
        }
        let manifests = children
            .iter()
            .map(|child| Descriptor {
                platform: child.platform,
                annotations: child
                    .subject
                    .iter()
                    .flat_map(|subject| {
                        [
                            ("vnd.docker.reference.digest", subject.clone()),
                            ("vnd.docker.reference.type", "attestation-manifest".to_owned()),
                        ]
                    })
                    .collect(),
                ..Descriptor::of(child.media_type, &child.blob)
            })
            .collect();
        let annotations = if note.is_empty() {
            BTreeMap::new()
        } else {
            BTreeMap::from([("org.opencontainers.image.version", note.to_owned())])
        };
        let bytes = json(&IndexJson { schema_version: 2, media_type: format.index(), manifests, annotations });
        Self {
            media_type: format.index(),
            blob: Blob::new(bytes),
            platform: None,
            subject: None,
            blobs: Vec::new(),
            children,
        }
    }

    /// What BuildKit says of how an image was made.
    fn attestation(image: &Manifest) -> Self {
        let statement = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://slsa.dev/provenance/v0.2","subject":[{{"digest":{{"sha256":"{}"}}}}]}}"#,
            image.id()
        );
        let layer = Blob::new(statement.into_bytes());
        let config = Blob::new(json(&ConfigJson {
            architecture: "unknown",
            os: "unknown",
            created: "",
            config: &RunConfig::default(),
            rootfs: RootFsJson { kind: "layers", diff_ids: vec![&layer.digest] },
            history: Vec::new(),
        }));
        let bytes = json(&ManifestJson {
            schema_version: 2,
            media_type: Format::Oci.manifest(),
            artifact_type: None,
            config: Descriptor::of(Format::Oci.config(), &config),
            layers: vec![Descriptor {
                annotations: BTreeMap::from([(
                    "in-toto.io/predicate-type",
                    "https://slsa.dev/provenance/v0.2".to_owned(),
                )]),
                ..Descriptor::of("application/vnd.in-toto+json", &layer)
            }],
            annotations: BTreeMap::new(),
        });
        Self {
            media_type: Format::Oci.manifest(),
            blob: Blob::new(bytes),
            platform: Some(Platform { architecture: "unknown", os: "unknown" }),
            subject: Some(image.digest().to_owned()),
            blobs: vec![config, layer],
            children: Vec::new(),
        }
    }

    /// What registries hold beside images: a manifest with an empty config and an `artifactType`.
    pub fn artifact(artifact_type: &'static str, content: &str) -> Self {
        let config = Blob::new(b"{}".to_vec());
        let layer = Blob::new(content.as_bytes().to_vec());
        let bytes = json(&ManifestJson {
            schema_version: 2,
            media_type: Format::Oci.manifest(),
            artifact_type: Some(artifact_type),
            config: Descriptor::of("application/vnd.oci.empty.v1+json", &config),
            layers: vec![Descriptor::of(artifact_type, &layer)],
            annotations: BTreeMap::new(),
        });
        Self {
            media_type: Format::Oci.manifest(),
            blob: Blob::new(bytes),
            platform: None,
            subject: None,
            blobs: vec![config, layer],
            children: Vec::new(),
        }
    }
}

/// Writes an OCI image layout of images by name (`REPO:TAG`). An older layout in that folder is replaced.
pub fn write_layout(folder: &Path, images: &[(String, Manifest)]) -> io::Result<()> {
    let blobs = folder.join("blobs");
    if blobs.exists() {
        fs::remove_dir_all(&blobs)?;
    }
    let blobs = blobs.join("sha256");
    fs::create_dir_all(&blobs)?;
    let put = |blob: &Blob| fs::write(blobs.join(&blob.digest["sha256:".len()..]), &blob.bytes);
    for (_, manifest) in images {
        for manifest in std::iter::once(manifest).chain(&manifest.children) {
            put(&manifest.blob)?;
            manifest.blobs.iter().try_for_each(&put)?;
        }
    }
    let manifests = images.iter().map(|(name, manifest)| Descriptor {
        platform: manifest.platform,
        annotations: BTreeMap::from([(REF_NAME, name.clone())]),
        ..Descriptor::of(manifest.media_type, &manifest.blob)
    });
    let index = IndexJson {
        schema_version: 2,
        media_type: Format::Oci.index(),
        manifests: manifests.collect(),
        annotations: BTreeMap::new(),
    };
    let mut text = serde_json::to_vec_pretty(&index).expect("plain data");
    text.push(b'\n');
    fs::write(folder.join("index.json"), text)?;
    fs::write(folder.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}\n")
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data")
}

// What is written, field by field: the order of the fields is part of the bytes.

#[derive(Clone, Copy, Debug, Serialize)]
struct Platform {
    architecture: &'static str,
    os: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    media_type: &'a str,
    digest: &'a str,
    size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

impl<'a> Descriptor<'a> {
    fn of(media_type: &'a str, blob: &'a Blob) -> Self {
        Self { media_type, digest: &blob.digest, size: blob.bytes.len(), platform: None, annotations: BTreeMap::new() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ManifestJson<'a> {
    schema_version: u32,
    media_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    config: Descriptor<'a>,
    layers: Vec<Descriptor<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IndexJson<'a> {
    schema_version: u32,
    media_type: &'a str,
    manifests: Vec<Descriptor<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct ConfigJson<'a> {
    architecture: &'a str,
    os: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    created: &'a str,
    config: &'a RunConfig,
    rootfs: RootFsJson<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    history: Vec<HistoryJson<'a>>,
}

#[derive(Serialize)]
struct RootFsJson<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    diff_ids: Vec<&'a str>,
}

#[derive(Serialize)]
struct HistoryJson<'a> {
    created: &'a str,
    created_by: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    comment: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    empty_layer: bool,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RunConfig {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    exposed_ports: BTreeMap<String, Empty>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    env: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entrypoint: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cmd: Vec<String>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Empty {}
