//! What a run of a step read of its source by digest, told from what is recorded of it, also where its target is gone.

use super::{layers, platforms, tagged};
use crate::registry::layer_file::Recognised;
use crate::registry::{self, Met, Platform, Way, imagelayers, layer_file};
use crate::store::blobs::Blobs;
use crate::store::sizes::Seen;
use crate::store::{Sha256, hex};

/// What is recorded of a run.
#[derive(Debug, Default)]
pub struct Past {
    /// The name of its rule.
    pub rule: String,
    /// Its parameters, with the values filled in as far as they are known.
    pub params: Vec<(String, String)>,
    /// The identity of its source.
    pub source: Option<String>,
    /// The digest that its tag had.
    pub tag: Option<TagDigest>,
    /// What was to be known of it, or why it is absent.
    pub said: Vec<String>,
    /// What it made, where that is still there.
    pub made: Option<Vec<u8>>,
    pub is_absent: bool,
}

/// A digest, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagDigest {
    Whole(Sha256),
    /// Its first bytes.
    Begins([u8; 8]),
}

impl std::fmt::Display for TagDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(digest) => write!(f, "{digest}"),
            Self::Begins(start) => write!(f, "sha256:{}…", hex(start)),
        }
    }
}

impl Past {
    fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// What its layer file says.
    fn file(&self) -> Option<Recognised> {
        layer_file::recognise(self.made.as_ref()?, self.param("repo")?, self.param("tag")?).ok()
    }

    /// The manifest that its layer file says it is of, and the platform of that.
    fn told(&self) -> Option<(Sha256, Option<String>)> {
        let found = self.file()?;
        Some((found.digest?, found.platform))
    }

    /// Whether its source gives whole layer files, by name.
    fn is_of_an_analyst(&self) -> bool {
        self.source.as_ref().and_then(|source| source.split(' ').next()) == Some(imagelayers::KIND.name)
    }
}

/// The digest that a source answered its tag has, where its rule asks for that.
pub fn answered(rule: &str, answer: &[u8]) -> Option<Sha256> {
    tells_of_manifests(rule).then(|| tagged::read_answer(answer)).flatten()
}

/// The digest that begins so which a layer file tells.
pub fn told(past: &Past, start: [u8; 8]) -> Option<Sha256> {
    past.told().map(|(digest, _)| digest).filter(|digest| digest.0.starts_with(&start))
}

/// What a layer file that was taken over says that it is of, where that is not what its tag has, or not of the platform that
/// was asked for.
pub fn of_file(past: &Past) -> Option<String> {
    if past.rule != layers::KIND.name || past.made.is_none() {
        return None;
    }
    match past.told() {
        Some((told, platform)) if past.tag == Some(TagDigest::Whole(told)) => {
            let parsed = |text: &str| text.parse::<Platform>().ok();
            layers::other_platform(&parsed(past.param("platform")?)?, &parsed(&platform?)?, true)
        }
        Some((told, _)) => Some(format!("the file says that it is of {told}")),
        None => Some("the file does not say of which digest it is".to_owned()),
    }
}

/// The layers of which a layer file tells the size of the blob, for want of the one that was wanted: base first.
pub fn unmeasured(past: &Past) -> Vec<String> {
    let is_wanted = past.rule == layers::KIND.name && past.param("sizes") == Some(layer_file::UNCOMPRESSED);
    past.file().filter(|_| is_wanted).into_iter().flat_map(|found| found.compressed.into_iter().rev()).collect()
}

fn tells_of_manifests(rule: &str) -> bool {
    [layers::KIND.name, platforms::KIND.name].contains(&rule)
}

/// The manifests that it read, by digest, each with what it is, and with its config where that was read; of those that the
/// store does not have, the first. The layers whose sizes it found out. A source that gives whole layer files is asked by
/// name. Last, the one that its tag had, where another was read in its place.
pub fn contents(past: &Past, blobs: &Blobs) -> Vec<(String, String)> {
    let instead = past.said.iter().find_map(|said| tagged::read_instead(said));
    let lost = instead.and(past.tag).map(|tag| {
        (tag.to_string(), "what the tag had, which was not to be had: what it points at now was read".to_owned())
    });
    let tag = instead.map(TagDigest::Whole).or(past.tag);
    behind(past, tag, blobs).into_iter().chain(lost).collect()
}

/// What was read behind a digest.
fn behind(past: &Past, tag: Option<TagDigest>, blobs: &Blobs) -> Vec<(String, String)> {
    if past.is_of_an_analyst() {
        let read = tells_of_manifests(&past.rule) && !past.is_absent;
        let name = || Some(format!("{}:{}", past.param("repo")?, past.param("tag")?));
        let by_name = read.then(name).flatten().map(|name| (name, "its layers, as the source tells them".to_owned()));
        return by_name.into_iter().collect();
    }
    let Some(tag) = tag.filter(|_| tells_of_manifests(&past.rule)) else { return Vec::new() };
    let made = past.told();
    let platform = past.param("platform").and_then(|text| text.parse::<Platform>().ok());
    let platform = platform.or_else(|| made.as_ref()?.1.as_ref()?.parse().ok()).unwrap_or_default();
    let Way { manifests: mut way, configs, packed, .. } = match tag {
        TagDigest::Begins(_) => Way::default(),
        TagDigest::Whole(digest) if past.rule == platforms::KIND.name => registry::opened(blobs, digest),
        TagDigest::Whole(digest) => registry::way(blobs, digest, &platform),
    };
    // What is not there now was not there then.
    if past.is_absent {
        way.retain(|(_, met)| *met != Met::Missing);
    }
    let of_the_tag = |lacks: &str| (tag.to_string(), format!("what the tag had{lacks}"));
    let made = made.map(|(digest, _)| digest);
    match made.filter(|made| way.iter().all(|(read, _)| read != made)) {
        // Where that of the tag was not to be had, the file is of the one that the tag pointed at by then.
        Some(made) => {
            let lacks = if way.iter().any(|(_, met)| *met != Met::Missing) { "" } else { LACKS };
            vec![(made.to_string(), "the manifest that the file is of".to_owned()), of_the_tag(lacks)]
        }
        None if way.is_empty() => vec![of_the_tag(LACKS)],
        None => {
            let last = way.len() - 1;
            let taken = |at: usize| at == last && !past.is_absent && past.rule == layers::KIND.name;
            let config_of = |manifest: &Sha256| {
                let config = configs.iter().find(|(of, _)| of == manifest).map(|(_, config)| config)?;
                let lacks = if blobs.contains(config) { "" } else { LACKS };
                Some((config.to_string(), format!("its config{lacks}")))
            };
            let read = |(at, (digest, met)): (usize, &(Sha256, Met))| {
                let lacks = match met {
                    Met::Missing if blobs.contains(digest) => DAMAGED,
                    Met::Missing => LACKS,
                    _ => "",
                };
                // What lacks is known to be an image where the file is of it.
                let is_taken = taken(at) && (*met != Met::Missing || made == Some(*digest));
                let what = format!("{}{lacks}", described(at, met, is_taken, &platform));
                std::iter::once((digest.to_string(), what)).chain(config_of(digest))
            };
            let is_schema1 = config_of(&way[last].0).is_none();
            let is_image = taken(last) && matches!(way[last].1, Met::Image(_));
            let layers = if is_image { layers_of(past, &packed, is_schema1, blobs) } else { Vec::new() };
            way.iter().enumerate().flat_map(read).chain(layers).collect()
        }
    }
}

/// What is said of content that the store does not have, and of that of which it has something else.
const LACKS: &str = ", not in the store";
const DAMAGED: &str = ", damaged in the store";

/// The layers of an image that were looked at for their sizes: where those of the unpacked ones were wanted, the packed
/// ones and what else has none; otherwise those of schema 1, which does not say how large its blobs are.
fn layers_of(past: &Past, packed: &[Sha256], is_schema1: bool, blobs: &Blobs) -> Vec<(String, String)> {
    if past.param("sizes") != Some(layer_file::UNCOMPRESSED) {
        let asked = packed.iter().filter(|_| is_schema1).map(|layer| (layer.to_string(), ASKED.to_owned()));
        return asked.collect();
    }
    let unmeasured = unmeasured(past);
    let measured = packed.iter().filter(|layer| !unmeasured.contains(&layer.to_string()));
    let measured = measured.map(|layer| (layer.to_string(), measured_by(blobs.sizes().seen(layer)).to_owned()));
    measured.chain(unmeasured.iter().map(|layer| (layer.clone(), UNMEASURED.to_owned()))).collect()
}

/// What is said of a layer of which nothing was read.
const ASKED: &str = "a layer: not read, its size was asked for";
const UNMEASURED: &str = "a layer: its size unpacked was not to be had";

/// How much of a layer was read for its size.
fn measured_by(seen: Option<Seen>) -> &'static str {
    match seen {
        Some(Seen::Start) => "a layer: its start, for its size unpacked",
        Some(Seen::End) => "a layer: its end, for its size unpacked",
        Some(Seen::All) => "a layer: all of it, for its size unpacked",
        None => "a layer: for its size unpacked; how much of it is not recorded",
    }
}

/// What a manifest on the way was.
fn described(at: usize, met: &Met, taken: bool, platform: &Platform) -> String {
    match met {
        Met::Missing if at == 0 => if taken { "the manifest" } else { "what the tag had" }.to_owned(),
        Met::Missing if taken => format!("its manifest for {platform}"),
        Met::Missing => "a manifest in it".to_owned(),
        Met::Index if at == 0 => "the index".to_owned(),
        Met::Index => "an index in it".to_owned(),
        Met::Image(_) if at == 0 => "the manifest".to_owned(),
        Met::Image(_) if taken => format!("its manifest for {platform}"),
        Met::Image(Some(platform)) => format!("a manifest in it, for {platform}"),
        Met::Image(None) => "a manifest in it".to_owned(),
        Met::Other if at == 0 => "the manifest, of no image".to_owned(),
        Met::Other => "a manifest in it, of no image".to_owned(),
    }
}

/// What a step of these parameters, filled in as far as they are known, asks its source for, in words.
pub fn asked_for(rule: &str, params: &[(String, String)]) -> Option<String> {
    let param = |name: &str| params.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    Some(match rule {
        "tags" => format!("the tags of {}", param("repo")?),
        "repositories" => "its repositories".to_owned(),
        _ if tells_of_manifests(rule) => format!("what {}:{} points at", param("repo")?, param("tag")?),
        _ => return None,
    })
}
