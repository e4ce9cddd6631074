//! Manifests: what a registry keeps under a digest. Image manifests and indexes, in Docker's spelling and in OCI's, and
//! Docker's first kind.
//!
//! The kind is taken from the body's `mediaType`, or from its shape where it has none, so that bytes mean the same
//! whether they come over the wire or out of the store; a `Content-Type` may only agree.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::schema1::{self, Schema1};
use crate::registry::Platform;
use crate::registry::few::Few;
use crate::registry::grammar::is_digest;
use crate::registry::words::{misread, shown};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// What every request for a manifest accepts. HEAD and GET must send the same: a registry that finds a type missing
/// here converts the manifest, and the digest with it.
pub const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.v1+prettyjws, application/vnd.docker.distribution.manifest.v1+json, \
     application/vnd.oci.artifact.manifest.v1+json";

/// Larger sizes are no sizes: every reader of JSON must be able to hold them (RFC 8259, 6).
pub const SIZE_MAX: u64 = (1 << 53) - 1;

/// A manifest, read.
#[derive(Debug)]
pub enum Manifest {
    Image(ImageManifest),
    Index(Vec<Entry>),
    /// An image, as Docker described it first.
    Schema1(Schema1),
    /// Something else that a registry may keep: what it is, in words.
    Artifact(String),
}

/// The manifest of one image.
#[derive(Debug)]
pub struct ImageManifest {
    pub config: Descriptor,
    /// Base first.
    pub layers: Vec<Descriptor>,
}

/// What points at content: its type, digest and size.
#[derive(Debug)]
pub struct Descriptor {
    pub media_type: String,
    /// As it is written: layers may have a digest of any algorithm, as nobody fetches them.
    pub digest: String,
    pub size: u64,
}

/// An entry of an index.
#[derive(Debug)]
pub struct Entry {
    pub descriptor: Descriptor,
    pub platform: Option<Platform>,
    /// A statement about another entry (provenance, SBOM), and no image.
    pub attestation: bool,
}

impl Entry {
    /// Whether it says of itself that it is an index.
    pub fn is_index(&self) -> bool {
        matches!(self.descriptor.media_type.as_str(), OCI_INDEX | DOCKER_LIST)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    OciImage,
    DockerImage,
    Index,
    Artifact,
    Schema1,
}

impl Form {
    fn of(media_type: &str) -> Option<Self> {
        Some(match media_type {
            OCI_IMAGE => Self::OciImage,
            DOCKER_IMAGE => Self::DockerImage,
            OCI_INDEX | DOCKER_LIST => Self::Index,
            OCI_ARTIFACT => Self::Artifact,
            DOCKER_SIGNED | DOCKER_SCHEMA1 => Self::Schema1,
            _ => return None,
        })
    }

    /// Whether bytes of this form may be sent as the other: the two kinds of image say the same.
    fn agrees(self, other: Self) -> bool {
        let image = |form| matches!(form, Self::OciImage | Self::DockerImage);
        self == other || (image(self) && image(other))
    }

    fn words(self) -> &'static str {
        match self {
            Self::OciImage => "an OCI image manifest",
            Self::DockerImage => "a Docker image manifest",
            Self::Index => "an index",
            Self::Artifact => "an artifact manifest",
            Self::Schema1 => "a Docker schema 1 manifest",
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<RawDescriptor>,
    layers: Option<Few<RawDescriptor>>,
    manifests: Option<Few<RawDescriptor>>,
    fs_layers: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(deserialize_with = "size")]
    size: u64,
    platform: Option<RawPlatform>,
    annotations: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

fn size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    match value.as_u64() {
        Some(size) if size <= SIZE_MAX => Ok(size),
        _ => Err(serde::de::Error::custom(format_args!("{} is not a size", shown(&value.to_string())))),
    }
}

/// Reads a manifest. The error says what was expected and what came.
pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Manifest, String> {
    let sent = content_type.map(essence);
    let sent_form = sent.as_deref().and_then(Form::of);
    let raw: Raw = serde_json::from_slice(bytes).map_err(|e| {
        let came = sent.as_deref().map(|t| format!(", sent as `{}`", shown(t))).unwrap_or_default();
        format!("expected a manifest, but what came cannot be read as one ({}{came})", misread(&e))
    })?;
    let form = form(&raw, sent.as_deref())?;
    if let Some(other) = sent_form.filter(|sent| !sent.agrees(form)) {
        return Err(format!("sent as {}, but what came is {}", other.words(), form.words()));
    }
    match form {
        Form::Schema1 => schema1::parse(bytes).map(Manifest::Schema1),
        Form::Artifact => Ok(Manifest::Artifact(artifact(raw.artifact_type.as_deref().unwrap_or(OCI_ARTIFACT)))),
        Form::Index => Ok(Manifest::Index(
            raw.manifests.ok_or("an index without `manifests`")?.0.into_iter().map(RawDescriptor::entry).collect(),
        )),
        Form::OciImage | Form::DockerImage => image(raw, form),
    }
}

/// A media type without its parameters.
fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn form(raw: &Raw, sent: Option<&str>) -> Result<Form, String> {
    // A body that reads as two things is how one digest comes to mean two images (CVE-2021-41190).
    if raw.fs_layers.is_some() && (raw.manifests.is_some() || raw.config.is_some() || raw.layers.is_some()) {
        return Err("a manifest of Docker schema 1 and another one at once".into());
    }
    if raw.manifests.is_some() && (raw.config.is_some() || raw.layers.is_some()) {
        return Err("a manifest that is an index and an image at once".into());
    }
    if let Some(media_type) = raw.media_type.as_deref().filter(|t| !t.is_empty()) {
        return Form::of(media_type).ok_or_else(|| unknown(media_type));
    }
    if raw.fs_layers.is_some() {
        Ok(Form::Schema1)
    } else if raw.manifests.is_some() {
        Ok(Form::Index)
    } else if let Some(config) = &raw.config {
        Ok(if config.media_type == DOCKER_CONFIG { Form::DockerImage } else { Form::OciImage })
    } else {
        Err(unknown(sent.unwrap_or("no media type")))
    }
}

fn unknown(media_type: &str) -> String {
    format!("a manifest of an unknown type: `{}`", shown(media_type))
}

fn artifact(kind: &str) -> String {
    format!("an artifact (`{}`), not an image", shown(kind))
}

fn image(raw: Raw, form: Form) -> Result<Manifest, String> {
    let config = raw.config.ok_or("an image manifest without `config`")?.descriptor();
    let is_config = match config.media_type.as_str() {
        OCI_CONFIG | DOCKER_CONFIG => true,
        // What old registries and clients wrote for Docker's (as moby's `distribution/pull_v2.go` has it).
        "" | "application/octet-stream" | "application/json" | "text/html" => form == Form::DockerImage,
        _ => false,
    };
    if !is_config {
        // The empty config stands for none: the manifest itself says what it is.
        let kind = raw.artifact_type.as_deref().filter(|t| !t.is_empty()).unwrap_or(&config.media_type);
        return Ok(Manifest::Artifact(artifact(kind)));
    }
    let layers: Vec<_> = raw.layers.unwrap_or_default().0.into_iter().map(RawDescriptor::descriptor).collect();
    // Signatures and attestations come as an image whose layers hold no files.
    if let Some(first) = layers.first()
        && form == Form::OciImage
        && !layers.iter().any(|l| is_filesystem(&l.media_type))
    {
        return Ok(Manifest::Artifact(artifact(&first.media_type)));
    }
    if let Some(bad) = layers.iter().find(|l| !is_digest(&l.digest)) {
        return Err(format!("a layer whose digest is none: `{}`", shown(&bad.digest)));
    }
    let total = layers.iter().try_fold(0u64, |sum, l| sum.checked_add(l.size));
    if total.is_none_or(|t| t > SIZE_MAX) {
        return Err("layers whose sizes add up to more than any image has".into());
    }
    Ok(Manifest::Image(ImageManifest { config, layers }))
}

fn is_filesystem(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.")
}

impl RawDescriptor {
    fn descriptor(self) -> Descriptor {
        Descriptor { media_type: self.media_type, digest: self.digest, size: self.size }
    }

    fn entry(self) -> Entry {
        let annotation = |key: &str| self.annotations.as_ref().and_then(|a| a.get(key)).and_then(|v| v.as_str());
        let platform =
            self.platform.as_ref().filter(|p| !p.os.is_empty() || !p.architecture.is_empty()).map(|p| Platform {
                os: p.os.clone(),
                architecture: p.architecture.clone(),
                variant: p.variant.clone().filter(|v| !v.is_empty()),
            });
        let attestation = annotation("vnd.docker.reference.type") == Some("attestation-manifest")
            || platform.as_ref().is_some_and(|p| p.os == "unknown" && p.architecture == "unknown");
        Entry { attestation, platform, descriptor: self.descriptor() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn read(value: &Value, content_type: Option<&str>) -> Result<Manifest, String> {
        parse(value.to_string().as_bytes(), content_type)
    }

    fn oci(config: &str, layer: &str) -> Value {
        json!({"schemaVersion": 2, "config": {"mediaType": config, "digest": D, "size": 2},
               "layers": [{"mediaType": layer, "digest": D, "size": 7}]})
    }

    #[test]
    fn kinds_by_media_type_and_by_shape() {
        let image = oci(OCI_CONFIG, "application/vnd.oci.image.layer.v1.tar+gzip");
        assert!(matches!(read(&image, None), Ok(Manifest::Image(_))));
        assert!(matches!(read(&image, Some("application/json")), Ok(Manifest::Image(_))));
        assert!(matches!(read(&image, Some(&format!("{OCI_IMAGE}; charset=utf-8"))), Ok(Manifest::Image(_))));
        let index = json!({"schemaVersion": 2, "manifests": []});
        assert!(matches!(read(&index, Some(DOCKER_LIST)), Ok(Manifest::Index(_))));
        assert!(matches!(read(&index, None), Ok(Manifest::Index(_))));
        let error = read(&index, Some(OCI_IMAGE)).unwrap_err();
        assert_eq!(error, "sent as an OCI image manifest, but what came is an index");
        let error = read(&json!({"mediaType": "application/x-pie"}), None).unwrap_err();
        assert_eq!(error, "a manifest of an unknown type: `application/x-pie`");
        let error = read(&json!({}), Some("text/plain")).unwrap_err();
        assert_eq!(error, "a manifest of an unknown type: `text/plain`");
    }

    #[test]
    fn two_things_at_once_are_refused() {
        let mut both = oci(OCI_CONFIG, "application/vnd.oci.image.layer.v1.tar");
        both["manifests"] = json!([]);
        assert_eq!(read(&both, None).unwrap_err(), "a manifest that is an index and an image at once");
    }

    #[test]
    fn schema_1_by_media_type_and_by_shape() {
        let mut old = json!({"schemaVersion": 1, "fsLayers": [], "history": []});
        for sent in [None, Some("application/json"), Some(DOCKER_SIGNED), Some(DOCKER_SCHEMA1)] {
            assert!(matches!(read(&old, sent), Ok(Manifest::Schema1(_))), "{sent:?}");
        }
        let error = read(&old, Some(OCI_IMAGE)).unwrap_err();
        assert_eq!(error, "sent as an OCI image manifest, but what came is a Docker schema 1 manifest");
        old["layers"] = json!([]);
        assert_eq!(read(&old, None).unwrap_err(), "a manifest of Docker schema 1 and another one at once");
    }

    #[test]
    fn artifacts_are_no_images() {
        let artifact = |value: &Value| match read(value, None) {
            Ok(Manifest::Artifact(what)) => what,
            other => panic!("{other:?}"),
        };
        let helm =
            oci("application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip");
        assert_eq!(artifact(&helm), "an artifact (`application/vnd.cncf.helm.config.v1+json`), not an image");
        let cosign = oci(OCI_CONFIG, "application/vnd.dev.cosign.simplesigning.v1+json");
        assert_eq!(artifact(&cosign), "an artifact (`application/vnd.dev.cosign.simplesigning.v1+json`), not an image");
        let mut sbom = oci("application/vnd.oci.empty.v1+json", "application/vnd.cyclonedx+json");
        sbom["artifactType"] = json!("application/vnd.example.sbom");
        assert_eq!(artifact(&sbom), "an artifact (`application/vnd.example.sbom`), not an image");
        // What `crane index append` writes beside ordinary images.
        let mut image = oci(OCI_CONFIG, "application/vnd.oci.image.layer.v1.tar+gzip");
        image["artifactType"] = json!(OCI_CONFIG);
        assert!(matches!(read(&image, None), Ok(Manifest::Image(_))));
    }

    #[test]
    fn sizes_that_are_none() {
        for size in [json!(-5), json!(1.5), json!(1e300), json!(u64::MAX), json!("7")] {
            let mut image = oci(OCI_CONFIG, "application/vnd.oci.image.layer.v1.tar");
            image["layers"][0]["size"] = size.clone();
            assert!(read(&image, None).is_err(), "{size}");
        }
        let mut image = oci(OCI_CONFIG, "application/vnd.oci.image.layer.v1.tar");
        let layer = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": D, "size": SIZE_MAX});
        image["layers"] = json!([layer, layer]);
        assert_eq!(read(&image, None).unwrap_err(), "layers whose sizes add up to more than any image has");
    }

    #[test]
    fn attestations_are_marked() {
        let index = json!({"manifests": [
            {"mediaType": OCI_IMAGE, "digest": D, "size": 1, "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}},
            {"mediaType": OCI_IMAGE, "digest": D, "size": 1, "platform": {"os": "unknown", "architecture": "unknown"}},
            {"mediaType": OCI_IMAGE, "digest": D, "size": 1, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}},
            {"mediaType": OCI_INDEX, "digest": D, "size": 1, "platform": {}},
        ]});
        let Ok(Manifest::Index(entries)) = read(&index, None) else { panic!("no index") };
        assert_eq!(entries.iter().map(|e| e.attestation).collect::<Vec<_>>(), [false, true, true, false]);
        assert_eq!(entries[0].platform.as_ref().unwrap().to_string(), "linux/arm/v7");
        assert!(entries[3].is_index() && entries[3].platform.is_none());
    }
}
