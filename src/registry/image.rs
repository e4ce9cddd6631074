//! The model of an image: what its manifest and its config say of it, layer by layer.

pub(super) mod counter;
pub(super) mod fetches;
pub(super) mod genuine;
pub(super) mod lookup;
pub mod manifest;
pub(super) mod measure;
pub(super) mod platform;
pub(super) mod schema1;
pub(super) mod way;

use serde::Deserialize;
use serde_json::Value;

use self::manifest::{ImageManifest, SIZE_MAX};
use self::platform::UNKNOWN;
use self::schema1::{Schema1, V1Layer};
use super::Platform;
use super::few::Few;
use super::words::misread;
use crate::store::Sha256;

/// An image of one platform.
#[derive(Clone, Debug)]
pub struct Image {
    /// Of its manifest: the platform's, never that of an index.
    pub digest: Sha256,
    pub platform: Platform,
    /// The image config, byte for byte; empty where the manifest is of schema 1, which has none.
    pub config: Vec<u8>,
    /// What the config says of running the image: `null` where it says nothing.
    pub settings: Value,
    /// The Docker that built it, as the config says.
    pub docker_version: String,
    /// Base first: one an entry of the config's history, those that add no files included, and then the layers that
    /// the history does not reach.
    pub layers: Vec<Layer>,
    /// The sum of its layers' sizes, as they are counted, each as often as it occurs.
    pub size: u64,
    /// Sizes are those of the unpacked layers.
    pub is_unpacked: bool,
}

/// One entry of an image's history, with the layer that it added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The files that it added; `None` where it only changed settings.
    pub files: Option<Files>,
    pub created: String,
    pub created_by: String,
    pub author: String,
    pub comment: String,
    /// All that Docker said of it, where the manifest is of schema 1.
    pub compatibility: Option<Value>,
}

/// A layer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The digest of the blob, as it is kept.
    pub digest: String,
    /// The digest of the unpacked layer; that of the blob where the config does not give it.
    pub diff_id: String,
    /// How it is packed, as the manifest says.
    pub media_type: String,
    /// Of the blob, in bytes; of the unpacked layer after [`Image::set_unpacked`].
    pub size: u64,
    /// Why `size` is that of the blob, where the size of the unpacked layer was wanted and is not to be had.
    pub unmeasured: Option<String>,
}

/// An image config, read.
pub struct Config {
    bytes: Vec<u8>,
    said: Said,
}

/// What is taken of it.
#[derive(Deserialize)]
struct Said {
    architecture: Option<String>,
    os: Option<String>,
    variant: Option<String>,
    docker_version: Option<String>,
    #[serde(default)]
    config: Value,
    rootfs: Option<RootFs>,
    history: Option<Few<History>>,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Option<Few<String>>,
}

#[derive(Deserialize)]
struct History {
    created: Option<String>,
    created_by: Option<String>,
    author: Option<String>,
    comment: Option<String>,
    empty_layer: Option<bool>,
}

impl Config {
    /// Reads one. The error says what the bytes are not.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let said = serde_json::from_slice(bytes)
            .map_err(|e| format!("expected an image config, but what came cannot be read as one ({})", misread(&e)))?;
        Ok(Self { bytes: bytes.to_vec(), said })
    }
}

impl Image {
    /// Puts an image together from its manifest and its config. `described` is the platform by which an index named it.
    pub fn assemble(digest: Sha256, manifest: &ImageManifest, config: Config, described: Option<&Platform>) -> Self {
        let Config { bytes, said: read } = config;
        let diff_ids = read.rootfs.and_then(|r| r.diff_ids).unwrap_or_default().0;
        let files = manifest.layers.iter().enumerate().map(|(i, layer)| Files {
            digest: layer.digest.clone(),
            diff_id: diff_ids.get(i).unwrap_or(&layer.digest).clone(),
            media_type: layer.media_type.clone(),
            size: layer.size,
            unmeasured: None,
        });
        Self {
            digest,
            platform: platform(read.os, read.architecture, read.variant, described),
            config: bytes,
            settings: read.config,
            docker_version: read.docker_version.unwrap_or_default(),
            layers: walk(read.history.unwrap_or_default().0, files),
            // The manifest was refused where the sum is more than it can be.
            size: manifest.layers.iter().map(|l| l.size).sum(),
            is_unpacked: false,
        }
    }

    /// The image of a manifest of schema 1. `size` tells how large each blob is: the manifest does not.
    pub fn of_schema1(
        digest: Sha256,
        manifest: Schema1,
        described: Option<&Platform>,
        size: impl Fn(&str) -> u64,
    ) -> Self {
        let top = manifest.layers.last();
        let said = |key: &str| top.map(|l| l.text(key).to_owned()).filter(|t| !t.is_empty());
        let architecture = said("architecture").unwrap_or(manifest.architecture);
        let platform = platform(said("os"), Some(architecture), said("variant"), described);
        let settings = top.map_or(Value::Null, |l| l.compatibility["config"].clone());
        let docker_version = said("docker_version").unwrap_or_default();
        let layers: Vec<_> = manifest.layers.into_iter().map(|layer| v1_layer(layer, &size)).collect();
        let size = layers.iter().filter_map(|l| l.files.as_ref()).map(|f| f.size).sum();
        Self { digest, platform, config: Vec::new(), settings, docker_version, layers, size, is_unpacked: false }
    }

    /// Counts its layers unpacked; one that `size` does not tell keeps its size, and is marked with why.
    pub fn set_unpacked(&mut self, size: impl Fn(&Files) -> Result<u64, String>) {
        let mut sum = 0u64;
        for files in self.layers.iter_mut().filter_map(|l| l.files.as_mut()) {
            match size(files) {
                Ok(unpacked) => files.size = unpacked,
                Err(why) => files.unmeasured = Some(why),
            }
            sum = sum.saturating_add(files.size);
        }
        self.size = sum.min(SIZE_MAX);
        self.is_unpacked = true;
    }
}

fn v1_layer(layer: V1Layer, size: impl Fn(&str) -> u64) -> Layer {
    Layer {
        created: layer.text("created").to_owned(),
        created_by: layer.created_by(),
        author: layer.text("author").to_owned(),
        comment: layer.text("comment").to_owned(),
        files: layer.blob.map(|digest| Files {
            size: size(&digest),
            diff_id: digest.clone(),
            digest,
            media_type: V1_LAYER.to_owned(),
            unmeasured: None,
        }),
        compatibility: Some(layer.compatibility),
    }
}

/// Layers of schema 1 are of this type, which its manifests do not say.
const V1_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// What the config says; where it says nothing, what the index did.
fn platform(
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    described: Option<&Platform>,
) -> Platform {
    let said = |value: Option<String>| value.filter(|v| !v.is_empty());
    match (said(os), said(architecture), described) {
        (Some(os), Some(architecture), _) => Platform { os, architecture, variant: said(variant) },
        (_, _, Some(described)) => described.clone(),
        (os, architecture, None) => {
            let or_unknown = |value: Option<String>| value.unwrap_or_else(|| UNKNOWN.into());
            Platform { os: or_unknown(os), architecture: or_unknown(architecture), variant: said(variant) }
        }
    }
}

/// Gives each entry of the history that adds files the next layer. A history is optional, and may be shorter or longer
/// than the layers are many.
fn walk(history: Vec<History>, mut files: impl Iterator<Item = Files>) -> Vec<Layer> {
    let mut layers: Vec<_> = history
        .into_iter()
        .map(|entry| Layer {
            files: if entry.empty_layer == Some(true) { None } else { files.next() },
            created: entry.created.unwrap_or_default(),
            created_by: entry.created_by.unwrap_or_default(),
            author: entry.author.unwrap_or_default(),
            comment: entry.comment.unwrap_or_default(),
            compatibility: None,
        })
        .collect();
    layers.extend(files.map(|files| Layer {
        files: Some(files),
        created: String::new(),
        created_by: String::new(),
        author: String::new(),
        comment: String::new(),
        compatibility: None,
    }));
    layers
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::registry::image::manifest::{self, Manifest};
    use serde_json::json;

    /// An image of as many layers as `sizes`, with this config.
    pub fn image(sizes: &[u64], config: &Value) -> Image {
        let config = config.to_string().into_bytes();
        let layers: Vec<_> = sizes
            .iter()
            .enumerate()
            .map(|(i, size)| {
                json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "size": size,
                       "digest": Sha256::of(format!("layer {i}").as_bytes()).to_string()})
            })
            .collect();
        let body = json!({"schemaVersion": 2, "layers": layers, "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json", "size": config.len(),
            "digest": Sha256::of(&config).to_string()}})
        .to_string();
        let Ok(Manifest::Image(manifest)) = manifest::parse(body.as_bytes(), None) else { panic!("{body}") };
        Image::assemble(Sha256::of(body.as_bytes()), &manifest, Config::read(&config).unwrap(), None)
    }

    fn blobs(image: &Image) -> Vec<Option<u64>> {
        image.layers.iter().map(|l| l.files.as_ref().map(|f| f.size)).collect()
    }

    #[test]
    fn history_walk() {
        let entry = json!({"created_by": "x"});
        let empty = json!({"created_by": "e", "empty_layer": true});
        let walked = |sizes: &[u64], history: Value| blobs(&image(sizes, &json!({"history": history})));
        assert_eq!(walked(&[1, 2], json!([entry, empty, entry])), [Some(1), None, Some(2)]);
        // Too short, too long, none at all.
        assert_eq!(walked(&[1, 2, 3], json!([entry])), [Some(1), Some(2), Some(3)]);
        assert_eq!(walked(&[1], json!([entry, entry, empty])), [Some(1), None, None]);
        assert_eq!(walked(&[1, 2], Value::Null), [Some(1), Some(2)]);
        assert_eq!(walked(&[], Value::Null), []);
    }

    #[test]
    fn platform_and_size() {
        let made = image(&[5, 7], &json!({"os": "linux", "architecture": "arm", "variant": "v6"}));
        assert_eq!((made.platform.to_string().as_str(), made.size), ("linux/arm/v6", 12));
        assert_eq!(image(&[], &json!({})).platform.to_string(), "unknown/unknown");
    }

    #[test]
    fn diff_ids_may_be_missing() {
        let made = image(&[5, 7], &json!({"rootfs": {"type": "layers", "diff_ids": ["sha256:aa"]}}));
        let files: Vec<_> = made.layers.iter().map(|l| l.files.clone().unwrap()).collect();
        assert_eq!(files[0].diff_id, "sha256:aa");
        assert_eq!(files[1].diff_id, files[1].digest);
    }
}
