//! Outputs in the store: a file as it is, a folder as a list of what it holds.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::build::files;
use crate::store::blobs::Blobs;
use crate::store::state::StoredOutput;
use crate::store::{Digest, Sha256};

/// A folder in the store: what it holds. A folder in it that is empty is listed as an empty file, its path with a `/` at
/// the end.
#[derive(Serialize, Deserialize)]
pub(crate) struct Listing {
    pub files: Vec<Listed>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Listed {
    pub path: String,
    pub blob: String,
    pub executable: bool,
}

pub(super) fn store_file(path: &Path, blobs: &Blobs) -> io::Result<StoredOutput> {
    let kept = blobs.put_file(path)?;
    Ok(StoredOutput {
        content: kept.content,
        blob: kept.blob,
        size: kept.meta.len(),
        executable: files::is_executable(&kept.meta),
        made_at: 0,
    })
}

pub(super) fn store_folder(root: &Path, content: Digest, blobs: &Blobs) -> io::Result<StoredOutput> {
    let mut listed = Vec::new();
    let mut size = 0;
    for (path, meta) in files::files_in(root)? {
        if meta.is_dir() {
            listed.push(Listed { path, blob: blobs.put(b"")?.to_string(), executable: false });
            continue;
        }
        let blob = blobs.put_file(&root.join(&path))?.blob;
        size += meta.len();
        listed.push(Listed { path, blob: blob.to_string(), executable: files::is_executable(&meta) });
    }
    let blob = blobs.put(&serde_json::to_vec(&Listing { files: listed })?)?;
    Ok(StoredOutput { content, blob, size, executable: false, made_at: 0 })
}

/// `false` where the store does not have it, with that content where it is known.
pub(super) fn unpack_file(
    blob: &Sha256,
    content: Option<Digest>,
    executable: bool,
    to: &Path,
    blobs: &Blobs,
) -> io::Result<bool> {
    let Some(bytes) = blobs.get(blob)? else { return Ok(false) };
    // It may be the list of a folder that was made when keys did not tell one from a file yet.
    if content.is_some_and(|content| Digest::of(&bytes) != content) {
        return Ok(false);
    }
    fs::write(to, bytes)?;
    if executable {
        fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    }
    Ok(true)
}

pub(super) fn unpack_folder(output: &StoredOutput, to: &Path, blobs: &Blobs) -> io::Result<bool> {
    let Some(listing) = blobs.get(&output.blob)? else { return Ok(false) };
    let Ok(listing) = serde_json::from_slice::<Listing>(&listing) else { return Ok(false) };
    fs::create_dir_all(to)?;
    for file in listing.files {
        let Ok(blob) = file.blob.parse() else { return Ok(false) };
        let path = file.path.strip_suffix('/').unwrap_or(&file.path);
        if crate::pipeline::paths::safe_path(path).is_err() {
            return Ok(false);
        }
        let path = to.join(path);
        if file.path.ends_with('/') {
            fs::create_dir_all(&path)?;
            continue;
        }
        fs::create_dir_all(path.parent().unwrap_or(to))?;
        if !unpack_file(&blob, None, file.executable, &path, blobs)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The blobs of the files of a folder, where this blob is the list of a folder.
pub(crate) fn listed(blob: &Path) -> Option<Vec<Sha256>> {
    use std::io::Read;
    const BEGIN: &[u8] = br#"{"files":["#;
    let mut file = fs::File::open(blob).ok()?;
    let mut bytes = vec![0; BEGIN.len()];
    file.read_exact(&mut bytes).ok().filter(|()| bytes == BEGIN)?;
    file.read_to_end(&mut bytes).ok()?;
    let listing: Listing = serde_json::from_slice(&bytes).ok()?;
    listing.files.iter().map(|f| f.blob.parse().ok()).collect()
}
