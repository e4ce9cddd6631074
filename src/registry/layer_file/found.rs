//! Layer files that somebody else wrote: those that are there already, and what an imagelayers server answers.

use serde::Deserialize;
use serde_json::Value;

use super::UNCOMPRESSED;
use super::ids::{Ids, kind_of};
use crate::registry::words::{misread, shown};
use crate::store::Sha256;

/// What a layer file that is there already says of its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// Of the platform's manifest; `None` in a file of the imagelayers server.
    pub digest: Option<Sha256>,
    pub platform: Option<String>,
    pub is_unpacked: bool,
    /// Of which kind the ids of its layers are, where that can be told: never of a file of the imagelayers server.
    pub ids: Option<Ids>,
    /// The layers that are marked as having the size of their blob, each once.
    pub compressed: Vec<String>,
}

#[derive(Deserialize)]
struct FoundAnalysis {
    repo: FoundRepo,
    layers: Vec<FoundLayer>,
    status: Option<u16>,
}

#[derive(Deserialize)]
struct FoundRepo {
    name: String,
    tag: String,
    #[serde(rename = "size")]
    _size: u64,
    count: usize,
    digest: Option<String>,
    platform: Option<String>,
    sizes: Option<String>,
}

#[derive(Deserialize)]
struct FoundLayer {
    id: String,
    // Other writers may mean something else by these.
    #[serde(default)]
    digest: Value,
    #[serde(default)]
    compressed: Value,
}

/// Reads a layer file of ours, or of an imagelayers server, where it is that of this image. The error says, after "it",
/// what else it is.
pub fn recognise(bytes: &[u8], name: &str, tag: &str) -> Result<Recognised, String> {
    if bytes.is_empty() {
        return Err("is empty".to_owned());
    }
    let [found]: [FoundAnalysis; 1] = serde_json::from_slice(bytes)
        .map_err(|e| format!("is no list of the layers of one image ({})", misread(&e)))?;
    let plain = |name: &str| name.strip_prefix("library/").unwrap_or(name).to_owned();
    let marked = found.layers.iter().filter(|layer| layer.compressed == Value::Bool(true));
    let mut compressed: Vec<String> = Vec::new();
    for digest in marked.filter_map(|layer| layer.digest.as_str()) {
        compressed.extend((!compressed.iter().any(|known| known == digest)).then(|| digest.to_owned()));
    }
    let (repo, layers) = (found.repo, found.layers.len());
    if plain(&repo.name) != plain(name) || repo.tag != tag {
        return Err(format!("is of {}:{}", shown(&repo.name), shown(&repo.tag)));
    }
    if repo.count != layers {
        return Err(format!("has {layers} layers and counts {}", repo.count));
    }
    if let Some(status) = found.status.filter(|status| *status != 200) {
        return Err(format!("has the status {status}"));
    }
    let digest = repo.digest.map(|d| d.parse()).transpose().map_err(|e| format!("has a digest that is {e}"))?;
    // An imagelayers server gave those of unpacked layers, as nobody else could then.
    let is_unpacked = digest.is_none() || repo.sizes.as_deref() == Some(UNCOMPRESSED);
    let blobs = found.layers.iter().map(|layer| layer.digest.as_str().filter(|digest| !digest.is_empty()));
    let with_blobs = found.layers.iter().map(|layer| &layer.id).zip(blobs).rev();
    let ids = digest.and_then(|_| kind_of(with_blobs));
    Ok(Recognised { digest, platform: repo.platform, is_unpacked, ids, compressed })
}

/// What an imagelayers server says of one image.
#[derive(Debug, PartialEq, Eq)]
pub enum Analyzed {
    /// The layer file, in our form.
    Found(Vec<u8>),
    Missing,
}

/// Reads what an imagelayers server answered about one image. The error is in words.
pub fn analyzed(bytes: &[u8], name: &str, tag: &str) -> Result<Analyzed, String> {
    let list: Vec<Value> = serde_json::from_slice(bytes)
        .map_err(|e| format!("expected a list of layers, but what came cannot be read as one ({})", misread(&e)))?;
    let status = list.first().and_then(|found| found.get("status"));
    match status.map(Value::as_u64) {
        Some(Some(404)) => return Ok(Analyzed::Missing),
        Some(Some(200)) => {}
        Some(_) => {
            let status = status.map(Value::to_string).unwrap_or_default();
            return Err(format!("unexpected status {} of {name}:{tag}", shown(&status)));
        }
        // Old servers have no status, and no layers of what is not there.
        None if list.len() == 1 && has_no_layers(&list[0]) => return Ok(Analyzed::Missing),
        None => {}
    }
    if recognise(bytes, name, tag).is_err() {
        return Err(format!("expected the layers of {name}:{tag}, but what came is something else"));
    }
    Ok(Analyzed::Found(indented(bytes)))
}

fn has_no_layers(found: &Value) -> bool {
    match found.get("layers") {
        Some(Value::Null) => true,
        Some(Value::Array(layers)) => layers.is_empty(),
        _ => false,
    }
}

/// JSON with two blanks a level and a newline at its end, its keys in the order in which they are: a [`Value`] would
/// sort them. It must be valid, and no deeper than a parser allows.
pub(super) fn indented(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let new_line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + 2 * depth, b' ');
    };
    for &byte in json {
        if quoted {
            out.push(byte);
            quoted = byte != b'"' || escaped;
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        let opened = matches!(out.last(), Some(b'{' | b'['));
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b'}' | b']' => {
                depth -= 1;
                if !opened {
                    new_line(&mut out, depth);
                }
            }
            _ if opened => new_line(&mut out, depth),
            _ => {}
        }
        out.push(byte);
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' => depth += 1,
            b',' => new_line(&mut out, depth),
            b':' => out.push(b' '),
            _ => {}
        }
    }
    out.push(b'\n');
    out
}
