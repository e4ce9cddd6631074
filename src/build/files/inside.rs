//! What is damaged inside a folder output, as far as the listing of it in the store tells.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::Path;

use crate::store::blobs::Blobs;
use crate::store::state::State;
use crate::store::{Digest, Sha256};

use super::folders::Inside;
use super::kept::{Listed, Listing};
use crate::build::files;

/// What is wrong with a file that was not there.
pub(crate) const FOREIGN: &str = "it was not made with the others";
/// What is wrong with a file that is not there.
pub(crate) const MISSING: &str = "missing";

/// The files of the folder at `path` that are not as they were made, by their paths in it, with what is wrong with each.
/// Nothing where the store has no listing of the folder that was recorded.
pub(crate) fn damaged(
    folder: &Path,
    path: &str,
    recorded: Digest,
    state: &State,
    blobs: &Blobs,
) -> Vec<(String, String)> {
    let (Some(listed), Ok(there)) = (listing(path, recorded, state, blobs), files::files_in(folder)) else {
        return Vec::new();
    };
    let mut expected: BTreeMap<String, Listed> = listed.files.into_iter().map(|f| (f.path.clone(), f)).collect();
    let mut there: BTreeMap<String, Metadata> = there.into_iter().collect();
    there.retain(|name, _| !has_files(name, &expected));
    expected.retain(|name, _| !has_files(name, &there));
    let mut damaged = Vec::new();
    for (name, meta) in there {
        let wrong = match expected.remove(&name) {
            None => Some(FOREIGN.to_owned()),
            Some(_) if meta.is_dir() => None,
            Some(made) => match Sha256::of_file(&folder.join(&name)) {
                Ok(now) if now.to_string() != made.blob => Some(now.to_string()),
                Ok(_) if files::is_executable(&meta) != made.executable => Some("another mode".to_owned()),
                Ok(_) => None,
                Err(error) => Some(error.to_string()),
            },
        };
        damaged.extend(wrong.map(|wrong| (name, wrong)));
    }
    damaged.extend(expected.into_keys().map(|name| (name, MISSING.to_owned())));
    damaged.sort();
    damaged
}

/// Whether there is a file of this name in the folder at `path`, and whether it was made with that, in words.
pub(super) fn told(
    folder: &Path,
    path: &str,
    name: &str,
    recorded: Option<Digest>,
    state: &State,
    blobs: &Blobs,
) -> &'static str {
    let there = std::fs::symlink_metadata(folder.join(name)).ok();
    let listed = recorded.and_then(|recorded| listing(path, recorded, state, blobs));
    let is_below = |file: &Listed| file.path.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
    let made = listed.as_ref().map(|listed| listed.files.iter().find(|file| file.path == name || is_below(file)));
    match (there, made) {
        (None, None) if recorded.is_none() => "is not there, and nothing is recorded of what was made",
        (None, None) => "is not there; the store does not tell whether it was made",
        (None, Some(None)) => "is not there, and was not made",
        (None, Some(Some(_))) => "is not there: it was made, and is gone",
        (Some(_), None) => "is there; nothing tells whether it was made with the others",
        (Some(_), Some(None)) => "is there, and was not made with the others",
        (Some(meta), Some(Some(made))) => match Sha256::of_file(&folder.join(name)) {
            _ if meta.is_dir() != is_below(made) => "is there, but is not what was made",
            _ if meta.is_dir() => "is there, a folder that was made with the others",
            Ok(now) if now.to_string() == made.blob && files::is_executable(&meta) == made.executable => {
                "is there, as it was made"
            }
            Ok(_) | Err(_) => "is there, but is not what was made",
        },
    }
}

/// Whether a path is that of an empty folder in which these have files: as they came or went, so did its being empty.
pub(crate) fn has_files<T>(path: &str, files: &BTreeMap<String, T>) -> bool {
    path.ends_with('/')
        && files
            .range(path.to_owned()..)
            .find(|(file, _)| *file != path)
            .is_some_and(|(file, _)| file.starts_with(path))
}

/// The files of a folder that the store has; nothing where there are more, or more bytes in all.
pub(super) fn stored(folder: &Sha256, blobs: &Blobs, most: usize, bytes: u64) -> Option<BTreeMap<String, Inside>> {
    let listing: Listing = serde_json::from_slice(&blobs.peek(folder)?).ok()?;
    let blob = |file: &Listed| file.blob.parse::<Sha256>().ok();
    let size = |file: &Listed| std::fs::metadata(blobs.path(&blob(file)?)).ok().map(|meta| meta.len());
    let size: Option<u64> = listing.files.iter().map(size).sum();
    if listing.files.len() > most || size? > bytes {
        return None;
    }
    let inside = |file: &Listed| {
        // An empty folder is told by its name, with the blob of an empty file.
        let content = match file.path.ends_with('/') {
            true => files::of_empty_folder(),
            false => Digest::of(&blobs.peek(&blob(file)?)?),
        };
        Some((file.path.clone(), Inside { content, executable: file.executable }))
    };
    listing.files.iter().map(inside).collect()
}

/// What the folder held when its step made it.
fn listing(path: &str, recorded: Digest, state: &State, blobs: &Blobs) -> Option<Listing> {
    let step = state.step(path).or_else(|| {
        state.step_ids().filter_map(|id| state.step_at(id)).find(|step| step.more_outputs.iter().any(|p| p == path))
    })?;
    let made = state.action(&step.key)?.into_iter().find(|output| output.content == recorded)?;
    serde_json::from_slice(&blobs.peek(&made.blob)?).ok()
}
