//! The layer file: what imagelayers' `POST /registry/analyze` answered for one image, and the ids of layers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::image::{Image, Layer};
use super::schema1::EMPTY_TAR;
use super::words::{misread, shown};
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
    pub id: String,
    /// The id of the layer below; empty for the base.
    pub parent: String,
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
    serde_json::to_writer_pretty(&mut out, &[analysis(image, name, tag, ids)]).expect("strings and numbers only");
    out.push(b'\n');
    out
}

/// What the layer file says, as a value.
pub fn analysis<'a>(image: &'a Image, name: &'a str, tag: &'a str, ids: Ids) -> Analysis<'a> {
    let ids = match ids {
        Ids::Shared => shared_ids(&image.layers),
        Ids::Docker => said_ids(&image.layers).unwrap_or_else(|| docker_ids(image)),
    };
    let below = |i: usize| i.checked_sub(1).map_or(String::new(), |b| ids[b].clone());
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
        layers: layers.map(|(i, layer)| entry(image, layer, ids[i].clone(), below(i), i == top)).collect(),
        status: 200,
    }
}

fn entry<'a>(image: &'a Image, layer: &'a Layer, id: String, parent: String, is_top: bool) -> Entry<'a> {
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
        compressed: layer.files.as_ref().is_some_and(|f| f.is_compressed),
    }
}

/// What an id is the hash of. RFC 8785 (JCS) orders keys by their UTF-16 code units, which for these names is the order
/// below, puts no blanks between tokens, and escapes strings as serde_json does: the two-letter escapes of JSON, `\u00xx`
/// in lower case for other control characters, and nothing else.
#[derive(Serialize)]
struct Identity<'a> {
    author: &'a str,
    comment: &'a str,
    created: &'a str,
    created_by: &'a str,
    empty: bool,
    layer: &'a str,
    parent: &'a str,
}

fn shared_ids(layers: &[Layer]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::with_capacity(layers.len());
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
        let json = serde_json::to_vec(&identity).expect("strings and a bool only");
        ids.push(Sha256::of(&json).hex());
    }
    ids
}

/// The ids that the layers came with.
fn said_ids(layers: &[Layer]) -> Option<Vec<String>> {
    layers.iter().map(|layer| Some(layer.compatibility.as_ref()?.get("id")?.as_str()?.to_owned())).collect()
}

/// As distribution 2's `manifest/schema1/config_builder.go` does.
fn docker_ids(image: &Image) -> Vec<String> {
    let top = image.layers.len().saturating_sub(1);
    let mut ids: Vec<String> = Vec::with_capacity(image.layers.len());
    for (i, layer) in image.layers.iter().enumerate() {
        let blob = layer.files.as_ref().map_or(EMPTY_TAR, |f| f.digest.split_once(':').map_or("", |(_, hex)| hex));
        let parent = ids.last().map_or("", String::as_str);
        let mut text = format!("{blob} {parent}").into_bytes();
        if i == top {
            text.push(b' ');
            text.extend_from_slice(&image.config);
        }
        ids.push(Sha256::of(&text).hex());
    }
    ids
}

/// What a layer file that is there already says of its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// Of the platform's manifest; `None` in a file of the imagelayers server.
    pub digest: Option<Sha256>,
    pub platform: Option<String>,
    pub is_unpacked: bool,
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
    #[serde(rename = "id")]
    _id: String,
}

/// Reads a layer file of ours, or of an imagelayers server, where it is that of this image.
pub fn recognise(bytes: &[u8], name: &str, tag: &str) -> Option<Recognised> {
    let [found]: [FoundAnalysis; 1] = serde_json::from_slice(bytes).ok()?;
    let plain = |name: &str| name.strip_prefix("library/").unwrap_or(name).to_owned();
    let is_ours = plain(&found.repo.name) == plain(name)
        && found.repo.tag == tag
        && found.repo.count == found.layers.len()
        && found.status.is_none_or(|s| s == 200);
    if !is_ours {
        return None;
    }
    let digest = found.repo.digest.map(|d| d.parse()).transpose().ok()?;
    // An imagelayers server gave those of unpacked layers, as nobody else could then.
    let is_unpacked = digest.is_none() || found.repo.sizes.as_deref() == Some(UNCOMPRESSED);
    Some(Recognised { digest, platform: found.repo.platform, is_unpacked })
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
    if recognise(bytes, name, tag).is_none() {
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
fn indented(json: &[u8]) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::image::tests::image;
    use serde_json::json;

    fn busybox() -> Image {
        image(
            &[700],
            &json!({"architecture": "amd64", "os": "linux", "docker_version": "20.10", "config": {"Cmd": ["sh"]},
            "rootfs": {"diff_ids": ["sha256:11"]}, "history": [
                {"created": "2016-03-18T18:22:48Z", "created_by": "ADD file:1 in /", "author": "A", "comment": "c"},
                {"created": "2016-03-18T18:22:49Z", "created_by": "CMD [\"sh\"]", "empty_layer": true}]}),
        )
    }

    #[test]
    fn file_as_the_design_names_it() {
        let made = busybox();
        let text = String::from_utf8(render(&made, "library/busybox", "latest", Ids::Shared)).unwrap();
        let ids = shared_ids(&made.layers);
        let blob = &made.layers[0].files.as_ref().unwrap().digest;
        let expected = format!(
            r#"[
  {{
    "repo": {{
      "name": "library/busybox",
      "tag": "latest",
      "size": 700,
      "count": 2,
      "digest": "{}",
      "platform": "linux/amd64"
    }},
    "layers": [
      {{
        "id": "{}",
        "parent": "{}",
        "Comment": "",
        "created": "2016-03-18T18:22:49Z",
        "container": "",
        "container_config": {{
          "Cmd": [
            "CMD [\"sh\"]"
          ]
        }},
        "docker_version": "20.10",
        "author": "",
        "config": {{
          "Cmd": [
            "sh"
          ]
        }},
        "architecture": "amd64",
        "os": "linux",
        "Size": 0,
        "digest": "",
        "empty": true,
        "created_by": "CMD [\"sh\"]"
      }},
      {{
        "id": "{}",
        "parent": "",
        "Comment": "c",
        "created": "2016-03-18T18:22:48Z",
        "container": "",
        "container_config": {{
          "Cmd": [
            "ADD file:1 in /"
          ]
        }},
        "docker_version": "",
        "author": "A",
        "config": null,
        "architecture": "",
        "os": "",
        "Size": 700,
        "digest": "{blob}",
        "empty": false,
        "created_by": "ADD file:1 in /"
      }}
    ],
    "status": 200
  }}
]
"#,
            made.digest, ids[1], ids[0], ids[0],
        );
        assert_eq!(text, expected);
        let found = recognise(text.as_bytes(), "busybox", "latest").unwrap();
        assert_eq!(
            found,
            Recognised { digest: Some(made.digest), platform: Some("linux/amd64".into()), is_unpacked: false }
        );
    }

    #[test]
    fn shared_id_is_the_hash_of_this_text() {
        let text = r#"{"author":"A","comment":"c","created":"2016-03-18T18:22:48Z","created_by":"ADD file:1 in /","empty":false,"layer":"sha256:11","parent":""}"#;
        assert_eq!(shared_ids(&busybox().layers)[0], Sha256::of(text.as_bytes()).hex());
    }

    #[test]
    fn strings_are_escaped_as_rfc_8785_says() {
        let text = |created_by| {
            let identity =
                Identity { author: "", comment: "", created: "", created_by, empty: true, layer: "", parent: "" };
            serde_json::to_string(&identity).unwrap()
        };
        // RFC 8785, 3.2.2.2 and the example of 3.2.2.
        assert!(text("\u{20ac}$\u{f}\nA'B\"\\\\\"/").contains("\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\""));
        assert!(text("\u{8}\t\n\u{c}\r").contains(r#""\b\t\n\f\r""#));
        assert!(text("\u{0}\u{1f}\u{7f}\u{2028}<é😀").contains("\"\\u0000\\u001f\u{7f}\u{2028}<é😀\""));
    }

    #[test]
    fn a_base_shares_its_ids_with_what_is_built_on_it() {
        let history = |n: usize| (0..n).map(|i| json!({"created_by": format!("step {i}")})).collect::<Vec<_>>();
        let config = |n: usize| {
            let diff_ids: Vec<_> = (0..n).map(|i| format!("sha256:{i}")).collect();
            json!({"history": history(n), "rootfs": {"diff_ids": diff_ids}, "config": {"n": n}})
        };
        let base = image(&[1, 2], &config(2));
        let derived = image(&[1, 2, 3], &config(3));
        assert_eq!(shared_ids(&base.layers)[..], shared_ids(&derived.layers)[..2]);
        assert_ne!(docker_ids(&base)[1], docker_ids(&derived)[1], "Docker's recipe hides it");
        assert_eq!(docker_ids(&base)[0], docker_ids(&derived)[0]);
    }

    #[test]
    fn what_a_server_answers_becomes_a_file_of_our_form() {
        let pretty = render(&busybox(), "busybox", "1", Ids::Docker);
        let compact = serde_json::to_vec(&[analysis(&busybox(), "busybox", "1", Ids::Docker)]).unwrap();
        assert_eq!(analyzed(&compact, "library/busybox", "1"), Ok(Analyzed::Found(pretty.clone())));
        assert_eq!(analyzed(&pretty, "library/busybox", "1"), Ok(Analyzed::Found(pretty)));
        let odd = br#" { "a" : [ ] , "b":{},"c": "x\\\"{[:,\\",
            "d":[1.50,-2e3, null]} "#;
        let expected = "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": \"x\\\\\\\"{[:,\\\\\",\n  \"d\": [\n    1.50,\n    \
                        -2e3,\n    null\n  ]\n}\n";
        assert_eq!(String::from_utf8(indented(odd)).unwrap(), expected);
    }

    #[test]
    fn what_a_server_has_not_is_told_from_what_it_cannot_say() {
        let repo = r#""repo":{"name":"x","tag":"1","size":0,"count":0}"#;
        let read = |rest: &str| analyzed(format!("[{{{repo},{rest}}}]").as_bytes(), "x", "1");
        assert_eq!(read(r#""layers":null,"status":404"#), Ok(Analyzed::Missing));
        assert_eq!(read(r#""layers":[]"#), Ok(Analyzed::Missing));
        assert_eq!(read(r#""layers":null,"status":500"#).unwrap_err(), "unexpected status 500 of x:1");
        assert!(read(r#""layers":null,"status":200"#).unwrap_err().contains("something else"));
        assert!(analyzed(b"[]", "x", "1").unwrap_err().contains("something else"));
        assert!(analyzed(b"<html>", "x", "1").unwrap_err().contains("not JSON"));
        assert!(analyzed(&[b'['; 100_000], "x", "1").is_err());
    }

    #[test]
    fn seed_files_are_recognised_and_broken_ones_are_not() {
        let seed = |name: &str, layers: &str| {
            format!(
                r#"[{{"repo":{{"name":"{name}","tag":"1.24","size":1112820,"count":1}},"layers":{layers},"status":200}}]"#
            )
        };
        let file = seed("busybox", r#"[{"id":"bc74","parent":"","Comment":"","Size":0}]"#);
        let found = recognise(file.as_bytes(), "library/busybox", "1.24");
        assert_eq!(found, Some(Recognised { digest: None, platform: None, is_unpacked: true }));
        assert_eq!(recognise(file.as_bytes(), "library/busybox", "1.25"), None);
        assert_eq!(recognise(file.as_bytes(), "library/nginx", "1.24"), None);
        for broken in ["", "not json", "<html>", "[]", "{}", &seed("busybox", "null"), &seed("busybox", "[]")] {
            assert_eq!(recognise(broken.as_bytes(), "library/busybox", "1.24"), None, "{broken}");
        }
    }
}
