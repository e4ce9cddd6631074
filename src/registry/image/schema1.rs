//! Docker schema 1: a manifest with the image's history in it, newest first, and no config beside it. Its digest is that
//! of what was signed: signatures are left out (distribution, `docs/content/spec/deprecated-schema-v1.md`).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::registry::base64;
use crate::registry::few::Few;
use crate::registry::grammar::is_digest;
use crate::registry::words::{misread, shown};

/// An empty tar, gzipped as Docker did it: the layer of entries that add no files.
pub const EMPTY_TAR: &str = "a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4";

/// A manifest of schema 1.
#[derive(Debug)]
pub struct Schema1 {
    pub architecture: String,
    /// Base first.
    pub layers: Vec<V1Layer>,
}

/// An entry of the history.
#[derive(Debug)]
pub struct V1Layer {
    /// The digest of its blob; `None` where it adds no files.
    pub blob: Option<String>,
    /// What Docker said of it.
    pub compatibility: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    architecture: String,
    fs_layers: Few<FsLayer>,
    #[serde(default)]
    history: Few<History>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FsLayer {
    blob_sum: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct History {
    v1_compatibility: String,
}

#[derive(Deserialize)]
struct Signed {
    signatures: Option<Vec<Signature>>,
}

#[derive(Deserialize)]
struct Signature {
    protected: String,
}

/// How the signed text comes out of the manifest: so many bytes of it, and then this.
#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Protected {
    format_length: usize,
    format_tail: String,
}

/// Reads a manifest of schema 1. The error says what is wrong with it.
pub fn parse(bytes: &[u8]) -> Result<Schema1, String> {
    let wrong = |what: String| format!("a Docker schema 1 manifest that cannot be read ({what})");
    let raw: Raw = serde_json::from_slice(bytes).map_err(|e| wrong(misread(&e)))?;
    let (layers, history) = (raw.fs_layers.0, raw.history.0);
    if layers.len() != history.len() {
        return Err(wrong(format!("{} layers, and a history of {}", layers.len(), history.len())));
    }
    let layer = |(layer, history): (FsLayer, History)| {
        let compatibility: Value =
            serde_json::from_str(&history.v1_compatibility).map_err(|e| wrong(format!("history: {}", misread(&e))))?;
        if !compatibility.is_object() {
            return Err(wrong("history: not an object".into()));
        }
        if !is_digest(&layer.blob_sum) {
            return Err(format!("a layer whose digest is none: `{}`", shown(&layer.blob_sum)));
        }
        let is_empty = compatibility["throwaway"] == true || layer.blob_sum.ends_with(EMPTY_TAR);
        Ok(V1Layer { blob: (!is_empty).then_some(layer.blob_sum), compatibility })
    };
    let layers = layers.into_iter().zip(history).rev().map(layer).collect::<Result<_, _>>()?;
    Ok(Schema1 { architecture: raw.architecture, layers })
}

/// What the digest of a manifest is of: what was signed, where it is signed, or else all of it.
pub fn payload(bytes: &[u8]) -> Cow<'_, [u8]> {
    signed(bytes).map_or(Cow::Borrowed(bytes), Cow::Owned)
}

fn signed(bytes: &[u8]) -> Option<Vec<u8>> {
    let signatures = serde_json::from_slice::<Signed>(bytes).ok()?.signatures?;
    let protected = |signature: &Signature| -> Option<Protected> {
        serde_json::from_slice(&base64::decode_url(&signature.protected)?).ok()
    };
    let first = protected(signatures.first()?)?;
    // They sign one text, or none that can be told.
    if signatures.iter().any(|s| protected(s).as_ref() != Some(&first)) {
        return None;
    }
    let mut text = bytes.get(..first.format_length)?.to_vec();
    text.extend(base64::decode_url(&first.format_tail)?);
    Some(text)
}

impl V1Layer {
    /// A text that Docker said; empty where it did not.
    pub fn text(&self, key: &str) -> &str {
        self.compatibility[key].as_str().unwrap_or_default()
    }

    /// The command that it was made by, as schema 2 writes it (moby's `image.HistoryFromConfig`).
    pub fn created_by(&self) -> String {
        let words = self.compatibility["container_config"]["Cmd"].as_array();
        words.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest(history: &[Value]) -> Value {
        let blob = format!("sha256:{}", "1".repeat(64));
        json!({"schemaVersion": 1, "architecture": "amd64",
            "fsLayers": history.iter().map(|_| json!({"blobSum": blob})).collect::<Vec<_>>(),
            "history": history.iter().map(|h| json!({"v1Compatibility": h.to_string()})).collect::<Vec<_>>()})
    }

    #[test]
    fn history_is_turned_round_and_throwaways_add_no_files() {
        let top = json!({"id": "b", "throwaway": true, "container_config": {"Cmd": ["/bin/sh", "-c", "#(nop) CMD"]}});
        let mut value = manifest(&[top, json!({"id": "a"}), json!({"id": "0"})]);
        value["fsLayers"][1]["blobSum"] = json!(format!("sha256:{EMPTY_TAR}"));
        let read = parse(value.to_string().as_bytes()).unwrap();
        let seen: Vec<_> = read.layers.iter().map(|l| (l.text("id"), l.blob.is_some())).collect();
        assert_eq!(seen, [("0", true), ("a", false), ("b", false)]);
        assert_eq!(read.layers[2].created_by(), "/bin/sh -c #(nop) CMD");
        assert_eq!(read.layers[0].created_by(), "");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |value: &Value| parse(value.to_string().as_bytes()).unwrap_err();
        let mut short = manifest(&[json!({}), json!({})]);
        short["history"].as_array_mut().unwrap().pop();
        assert!(error(&short).ends_with("(2 layers, and a history of 1)"));
        assert!(error(&manifest(&[json!([])])).ends_with("(history: not an object)"));
        let mut bad = manifest(&[json!({})]);
        bad["fsLayers"][0]["blobSum"] = json!("../x");
        assert_eq!(error(&bad), "a layer whose digest is none: `../x`");
    }

    #[test]
    fn the_digest_of_a_signed_one_leaves_its_signatures_out() {
        let text = "{\n   \"schemaVersion\": 1,\n   \"fsLayers\": []\n}";
        let length = text.len() - 2;
        let url =
            |text: &str| base64::encode(text.as_bytes()).trim_end_matches('=').replace('+', "-").replace('/', "_");
        let sign = |length: usize, tail: &str| {
            let protected = url(&json!({"formatLength": length, "formatTail": url(tail), "time": "t"}).to_string());
            format!("{},\n   \"signatures\": [{{\"protected\": \"{protected}\"}}]\n}}", &text[..text.len() - 2])
        };
        assert_eq!(*payload(sign(length, "\n}").as_bytes()), *text.as_bytes());
        // What cannot be right is taken as it is, and has no digest that anybody named.
        let beyond = sign(9999, "\n}");
        assert_eq!(*payload(beyond.as_bytes()), *beyond.as_bytes());
        assert_eq!(*payload(text.as_bytes()), *text.as_bytes());
    }
}
