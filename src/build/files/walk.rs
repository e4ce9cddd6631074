//! What is in a folder.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

use super::last_changed;
use super::unusable::Unusable;
use crate::build::clock;

/// Every file below a folder, by relative path, sorted; and every folder with nothing in it, its path with a `/` at the
/// end. Links are an error: they could point anywhere.
pub fn files_in(root: &Path) -> io::Result<Vec<(String, Metadata)>> {
    few_files_in(root, usize::MAX).map(Option::unwrap_or_default)
}

/// The same, unless there are more than `most`: no more are looked at then.
pub fn few_files_in(root: &Path, most: usize) -> io::Result<Option<Vec<(String, Metadata)>>> {
    Ok(walk(root, most)?.map(|walked| walked.files))
}

/// What is met below a folder.
#[derive(Default)]
pub(super) struct Walked {
    pub files: Vec<(String, Metadata)>,
    /// When anything below it was last changed, folders included.
    pub changed: i64,
}

pub(super) fn walk(root: &Path, most: usize) -> io::Result<Option<Walked>> {
    let now = clock::now_ns();
    let Walked { mut files, mut changed } = Walked::default();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let mut is_empty = !folder.is_empty();
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            is_empty = false;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| io::Error::other(format!("{name:?} in it is not UTF-8")))?;
            let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            let meta = fs::symlink_metadata(root.join(&path))?;
            changed = changed.max(last_changed(&meta, now));
            match meta.file_type() {
                t if t.is_dir() => folders.push(path),
                t if t.is_file() && files.len() == most => return Ok(None),
                t if t.is_file() => files.push((path, meta)),
                t if t.is_symlink() => return Err(io::Error::other(Unusable::Link(path))),
                _ => return Err(io::Error::other(format!("{path} in it is neither a file nor a folder"))),
            }
        }
        if is_empty && files.len() == most {
            return Ok(None);
        }
        if is_empty {
            let meta = fs::symlink_metadata(root.join(&folder))?;
            files.push((folder + "/", meta));
        }
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Some(Walked { files, changed }))
}
