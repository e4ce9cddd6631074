//! The ids of layers.

use serde::Serialize;

use crate::registry::image::schema1::EMPTY_TAR;
use crate::registry::image::{Image, Layer};
use crate::store::Sha256;

/// How layers get their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ids {
    /// Images share an id exactly where they share the layer and all below it.
    Shared,
    /// As a manifest of schema 1 has them; for others as Docker's registry makes them when it turns an image into one of
    /// schema 1. They hide sharing: the topmost hashes the whole config.
    Docker,
}

impl Ids {
    /// The ids of an image's layers, from the base up.
    pub fn of(self, image: &Image) -> Vec<String> {
        match self {
            Self::Shared => shared_ids(&image.layers),
            Self::Docker => said_ids(&image.layers).unwrap_or_else(|| docker_ids(image)),
        }
    }
}

/// What an id is the hash of. RFC 8785 (JCS) orders keys by their UTF-16 code units, which for these names is the order
/// below, puts no blanks between tokens, and escapes strings as serde_json does: the two-letter escapes of JSON, `\u00xx`
/// in lower case for other control characters, and nothing else.
#[derive(Serialize)]
pub(super) struct Identity<'a> {
    pub author: &'a str,
    pub comment: &'a str,
    pub created: &'a str,
    pub created_by: &'a str,
    pub empty: bool,
    pub layer: &'a str,
    pub parent: &'a str,
}

pub(super) fn shared_ids(layers: &[Layer]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::with_capacity(layers.len());
    let mut json = Vec::new();
    for layer in layers {
        let identity = Identity {
            author: &layer.author,
            comment: &layer.comment,
            created: &layer.created,
            created_by: &layer.created_by,
            empty: layer.files.is_none(),
            layer: layer.files.as_ref().map_or("", |f| &f.diff_id),
            parent: ids.last().map_or("", String::as_str),
        };
        json.clear();
        serde_json::to_writer(&mut json, &identity).expect("strings and a bool only");
        ids.push(Sha256::of(&json).hex());
    }
    ids
}

/// The ids that the layers came with.
fn said_ids(layers: &[Layer]) -> Option<Vec<String>> {
    layers.iter().map(|layer| Some(layer.compatibility.as_ref()?.get("id")?.as_str()?.to_owned())).collect()
}

/// As distribution 2's `manifest/schema1/config_builder.go` does.
pub(super) fn docker_ids(image: &Image) -> Vec<String> {
    let top = image.layers.len().saturating_sub(1);
    let mut ids: Vec<String> = Vec::with_capacity(image.layers.len());
    for (i, layer) in image.layers.iter().enumerate() {
        let mut text = docker_text(layer.files.as_ref().map(|f| f.digest.as_str()), ids.last());
        if i == top {
            text.push(b' ');
            text.extend_from_slice(&image.config);
        }
        ids.push(Sha256::of(&text).hex());
    }
    ids
}

/// What the id of a layer with this blob is the hash of, but for the topmost one.
fn docker_text(blob: Option<&str>, parent: Option<&String>) -> Vec<u8> {
    let blob = blob.map_or(EMPTY_TAR, |digest| digest.split_once(':').map_or("", |(_, hex)| hex));
    format!("{blob} {}", parent.map_or("", String::as_str)).into_bytes()
}

/// Of which kind ids are, from the base up, each beside the digest of its blob: those that are not as Docker's registry
/// makes them count as shared. `None` where there is but the topmost, whose id hangs on the config.
pub(super) fn kind_of<'f>(layers: impl Iterator<Item = (&'f String, Option<&'f str>)>) -> Option<Ids> {
    let mut layers = layers.peekable();
    let (mut parent, mut told) = (None, None);
    while let Some((id, blob)) = layers.next().filter(|_| layers.peek().is_some()) {
        if Sha256::of(&docker_text(blob, parent)).hex() != *id {
            return Some(Ids::Shared);
        }
        (parent, told) = (Some(id), Some(Ids::Docker));
    }
    told
}
