//! The layer file: what imagelayers' `POST /registry/analyze` answered for one image, and the ids of layers.

mod found;
mod ids;
mod lines;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::{Serializer, Value};

use super::image::{Image, Layer};
pub use found::{Analyzed, Recognised, analyzed, recognise};
pub use ids::Ids;
use lines::Lines;

/// What is said of one image. The order of the fields is that of the file.
#[derive(Debug, Serialize)]
pub struct Analysis<'a> {
    pub repo: Repo<'a>,
    /// Topmost first.
    pub layers: Vec<Entry<'a>>,
    /// The HTTP status that the image would have been answered with.
    pub status: u16,
}

/// The image as a whole.
#[derive(Debug, Serialize)]
pub struct Repo<'a> {
    pub name: &'a str,
    pub tag: &'a str,
    /// Bytes, each layer as often as it occurs.
    pub size: u64,
    /// Entries of the history, those that add no files included.
    pub count: usize,
    /// Of the platform's manifest.
    pub digest: String,
    pub platform: String,
    /// Which sizes they are, where they are not those of the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sizes: Option<&'static str>,
}

/// Sizes of unpacked layers, as pipelines and layer files call them.
pub const UNCOMPRESSED: &str = "uncompressed";

/// One layer, with the keys that imagelayers gave it, and three of ours.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    pub id: &'a str,
    /// The id of the layer below; empty for the base.
    pub parent: &'a str,
    #[serde(rename = "Comment")]
    pub comment: &'a str,
    pub created: &'a str,
    /// The container that the layer was committed from, which only schema 1 tells.
    pub container: &'a str,
    pub container_config: ContainerConfig<'a>,
    pub docker_version: &'a str,
    pub author: &'a str,
    /// The image's settings, on the topmost layer; those of each that schema 1 tells.
    pub config: Option<&'a Value>,
    pub architecture: &'a str,
    pub os: &'a str,
    #[serde(rename = "Size")]
    pub size: u64,
    /// The digest of the blob; empty where no files were added.
    pub digest: &'a str,
    pub empty: bool,
    pub created_by: &'a str,
    /// `Size` is that of the blob, though that of the unpacked layer was wanted. Left out where it is not so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compressed: bool,
}

/// What the layer was made by.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ContainerConfig<'a> {
    /// The command, where the history says no more.
    Command {
        #[serde(rename = "Cmd")]
        cmd: Option<[&'a str; 1]>,
    },
    /// All that Docker said, in a manifest of schema 1.
    Said(&'a Value),
}

/// The layer file of an image: JSON, two blanks a level, a newline at its end.
pub fn render(image: &Image, name: &str, tag: &str, ids: Ids) -> Vec<u8> {
    // Room for what most have: it is not to grow, and move, in pieces.
    let mut out = Vec::with_capacity(1024 * (1 + image.layers.len().min(256)));
    let ids = ids.of(image);
    let mut to = Serializer::with_formatter(&mut out, Lines::default());
    [analysis(image, name, tag, &ids)].serialize(&mut to).expect("strings and numbers only");
    out.push(b'\n');
    out
}

/// What the layer file says, as a value. The `ids` are those of the layers, from the base up.
pub fn analysis<'a>(image: &'a Image, name: &'a str, tag: &'a str, ids: &'a [String]) -> Analysis<'a> {
    let below = |i: usize| i.checked_sub(1).map_or("", |b| &*ids[b]);
    let top = image.layers.len().saturating_sub(1);
    let layers = image.layers.iter().enumerate().rev();
    Analysis {
        repo: Repo {
            name,
            tag,
            size: image.size,
            count: image.layers.len(),
            digest: image.digest.to_string(),
            platform: image.platform.to_string(),
            sizes: image.is_unpacked.then_some(UNCOMPRESSED),
        },
        layers: layers.map(|(i, layer)| entry(image, layer, &ids[i], below(i), i == top)).collect(),
        status: 200,
    }
}

fn entry<'a>(image: &'a Image, layer: &'a Layer, id: &'a str, parent: &'a str, is_top: bool) -> Entry<'a> {
    let on_top = |text: &'a str| if is_top { text } else { "" };
    let said = |key: &str| layer.compatibility.as_ref()?.get(key).filter(|v| !v.is_null());
    let text = |key: &str| said(key).and_then(Value::as_str);
    let cmd = (!layer.created_by.is_empty()).then_some([&*layer.created_by]);
    Entry {
        id,
        parent,
        comment: &layer.comment,
        created: &layer.created,
        container: text("container").unwrap_or_default(),
        container_config: said("container_config").map_or(ContainerConfig::Command { cmd }, ContainerConfig::Said),
        docker_version: text("docker_version").unwrap_or_else(|| on_top(&image.docker_version)),
        author: &layer.author,
        config: said("config").or(is_top.then_some(&image.settings)),
        architecture: text("architecture").unwrap_or_else(|| on_top(&image.platform.architecture)),
        os: text("os").unwrap_or_else(|| on_top(&image.platform.os)),
        size: layer.files.as_ref().map_or(0, |f| f.size),
        digest: layer.files.as_ref().map_or("", |f| &f.digest),
        empty: layer.files.is_none(),
        created_by: &layer.created_by,
        compressed: layer.files.as_ref().is_some_and(|f| f.unmeasured.is_some()),
    }
}
