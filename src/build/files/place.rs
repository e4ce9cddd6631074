//! Outputs into place: whole or not at all, and untouched where they are the same already.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::rules::{Content, Failure};
use crate::store::Digest;
use crate::store::blobs::Blobs;
use crate::store::state::{FileRecord, FoundInput, StoredOutput};

use super::found::FoundFile;
pub(crate) use super::kept::listed;
use super::kept::{store_file, store_folder, unpack_file, unpack_folder};
use crate::build::clock;
use crate::build::files::{self, Look};
use crate::sync::lock;

/// One output of a step, on its way to its place.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Relative to the pipeline's folder.
    pub path: String,
    pub folder: bool,
    /// What lies there now.
    pub there: Option<FileRecord>,
    /// What lies there, if anything, was made by layermill.
    pub ours: bool,
}

/// Outputs that are in place.
#[derive(Debug, Default)]
pub struct Placed {
    pub files: Vec<(String, FileRecord)>,
    /// The same outputs in the store, for rules that keep them there.
    pub stored: Vec<StoredOutput>,
    /// What the step found that it reads, beside its declared inputs.
    pub found: Vec<FoundFile>,
    /// What was in the folders that it read.
    pub inside: Vec<FoundInput>,
    /// Some output differs from what lay there.
    pub changed: bool,
}

/// Puts outputs into the pipeline's folder.
#[derive(Debug)]
pub struct Placer {
    root: PathBuf,
    /// `root` with its links resolved: every output must end up below it.
    real_root: PathBuf,
    /// Folders that are known to lie below `real_root`.
    known: Mutex<HashSet<PathBuf>>,
}

impl Placer {
    pub fn new(root: &Path) -> io::Result<Self> {
        Ok(Self { root: root.to_owned(), real_root: root.canonicalize()?, known: Mutex::default() })
    }

    /// Puts what a rule made where it belongs. `store` keeps a copy of each output there too.
    pub fn place(
        &self,
        made: Vec<Content>,
        to: &[Destination],
        scratch: &Path,
        store: Option<&Blobs>,
    ) -> Result<Placed, Failure> {
        if made.len() != to.len() {
            return Err(Failure::new(format!("{} outputs are declared and {} were made", to.len(), made.len())));
        }
        let mut placed = Placed::default();
        // All are written out first: a full disk is met before any old output is replaced.
        let mut staged = Vec::with_capacity(made.len());
        for (position, (content, destination)) in made.into_iter().zip(to).enumerate() {
            let path = || scratch.join(format!("staged-{position}"));
            staged.push(self.stage(content, destination, path, store)?);
        }
        let keep = |destination: &Destination| destination.folder || to.len() > 1;
        let mut replaced: Vec<(PathBuf, PathBuf)> = Vec::new();
        for (position, (Staged { path, content, stored }, destination)) in staged.into_iter().zip(to).enumerate() {
            placed.stored.extend(stored);
            let record = match self.is_there(destination, content) {
                Some(there) => there,
                None => {
                    placed.changed = true;
                    let aside = scratch.join(format!("aside-{position}"));
                    match self.put(&path, destination, &aside, keep(destination)) {
                        Ok(true) => replaced.push((self.root.join(&destination.path), aside)),
                        Ok(false) => {}
                        Err(e) => {
                            // A step that fails leaves all that was there.
                            replaced.iter().for_each(|(path, aside)| put_back(path, aside));
                            return Err(cannot("write", &destination.path, &e));
                        }
                    }
                    self.recorded(destination, content)?
                }
            };
            placed.files.push((destination.path.clone(), record));
        }
        // A scratch folder is used again, where nothing is left in it.
        replaced.iter().for_each(|(_, aside)| drop(remove(aside)));
        Ok(placed)
    }

    /// Makes content a file (or folder) of its own, digests it, and keeps it in the store.
    fn stage(
        &self,
        content: Content,
        destination: &Destination,
        path: impl Fn() -> PathBuf,
        store: Option<&Blobs>,
    ) -> Result<Staged, Failure> {
        let path = match content {
            Content::Bytes(bytes) => {
                let content = Digest::of(&bytes);
                let is_there = store.is_none() && self.is_there(destination, content).is_some();
                if !is_there {
                    fs::write(path(), &bytes).map_err(|e| cannot("write", &destination.path, &e))?;
                }
                if store.is_none() {
                    return Ok(Staged { path: path(), content, stored: None });
                }
                path()
            }
            Content::File(made) => made,
        };
        if !destination.folder
            && let Ok(meta) = fs::symlink_metadata(&path)
            && meta.is_file()
        {
            // For the store it is hashed as it is copied.
            if let Some(blobs) = store {
                let stored =
                    store_file(&path, blobs).map_err(|e| cannot("keep in the store", &destination.path, &e))?;
                return Ok(Staged { path, content: stored.as_file(), stored: Some(stored) });
            }
            if let Ok((_, bytes)) = fs::File::open(&path).and_then(|file| files::digest(file, meta.len())) {
                return Ok(Staged { path, content: files::content(&meta, bytes), stored: None });
            }
        }
        match files::look_at_output(&path, None, destination.folder) {
            Look::Same(FileRecord { content, .. }) | Look::Hashed(FileRecord { content, .. }) => {
                let stored = store.map(|blobs| store_folder(&path, content, blobs)).transpose();
                let stored = stored.map_err(|e| cannot("keep in the store", &destination.path, &e))?;
                Ok(Staged { path, content, stored })
            }
            Look::Missing => Err(Failure::new(format!("the output {} was not written", destination.path))),
            Look::Unusable(why) => Err(why.made_as(&destination.path, destination.folder)),
        }
    }

    /// Brings outputs back from the store. `None` where it does not have them whole any more.
    pub fn restore(
        &self,
        stored: &[StoredOutput],
        to: &[Destination],
        scratch: &Path,
        blobs: &Blobs,
    ) -> Result<Option<Placed>, Failure> {
        let mut made = Vec::with_capacity(stored.len());
        for (position, (output, destination)) in stored.iter().zip(to).enumerate() {
            let path = scratch.join(format!("restored-{position}"));
            let back = if destination.folder {
                unpack_folder(output, &path, blobs)
            } else {
                unpack_file(&output.blob, Some(output.content), output.executable, &path, blobs)
            };
            match back {
                Ok(true) => made.push(Content::File(path)),
                Ok(false) => return Ok(None),
                Err(e) => return Err(cannot("restore", &destination.path, &e)),
            }
        }
        if made.len() != to.len() {
            return Ok(None);
        }
        self.place(made, to, scratch, None).map(Some)
    }

    /// Removes the folders that these outputs lay in, and those above, as far as they are empty. Gives how many.
    pub fn remove_empty(&self, outputs: &[String]) -> usize {
        let mut removed = 0;
        for path in outputs {
            let above = Path::new(path).ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
            removed += above.take_while(|folder| fs::remove_dir(self.root.join(folder)).is_ok()).count();
        }
        removed
    }

    /// The record of what lies there, where it has this content, and still has it: it was looked at before the step ran.
    fn is_there(&self, destination: &Destination, content: Digest) -> Option<FileRecord> {
        let there = destination.there.filter(|there| there.content == content)?;
        let path = self.root.join(&destination.path);
        match files::look_at_output(&path, Some(FileRecord { settled: true, ..there }), destination.folder) {
            Look::Same(_) => Some(there),
            Look::Hashed(now) => Some(now).filter(|now| now.content == content),
            Look::Missing | Look::Unusable(_) => None,
        }
    }

    fn recorded(&self, destination: &Destination, content: Digest) -> Result<FileRecord, Failure> {
        let path = self.root.join(&destination.path);
        if destination.folder {
            return match files::look_at_output(&path, None, true) {
                Look::Same(record) | Look::Hashed(record) if record.content == content => Ok(record),
                _ => Err(Failure::new(format!("{} changed while it was written", destination.path))),
            };
        }
        let meta = fs::symlink_metadata(&path).map_err(|e| cannot("look at", &destination.path, &e))?;
        Ok(files::record(&meta, content, clock::now_ns()))
    }

    /// Puts one output in its place. What lay there may be at `aside` then, and is where it is to be kept, or is a folder;
    /// whether that is to be looked at.
    fn put(&self, from: &Path, destination: &Destination, aside: &Path, keep: bool) -> io::Result<bool> {
        let path = self.root.join(&destination.path);
        let parent = path.parent().unwrap_or(&self.root);
        // The common case is one call; whatever keeps it from going through is looked at below.
        if !keep && self.is_known(parent) && fs::rename(from, &path).is_ok() {
            return Ok(false);
        }
        self.make_folder(parent)?;
        match fs::symlink_metadata(&path) {
            Ok(there) if there.is_dir() && !destination.folder && !destination.ours => {
                return Err(io::Error::other("a folder lies there, where a file is to be"));
            }
            Ok(there) if there.is_dir() || destination.folder => fs::rename(&path, aside)?,
            // There is no moment at which it is not there; where it cannot be linked, it is not kept.
            Ok(_) if keep => drop(fs::hard_link(&path, aside)),
            Ok(_) | Err(_) => {}
        }
        let done = match fs::rename(from, &path) {
            Err(e) if e.kind() == io::ErrorKind::CrossesDevices && !destination.folder => across_devices(from, &path),
            done => done,
        };
        if done.is_err() && fs::symlink_metadata(aside).is_ok() {
            put_back(&path, aside);
        }
        done.map(|()| true)
    }

    /// Makes a folder below the root, and makes sure that no link on the way leads out of it.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if self.is_known(folder) && folder.is_dir() {
            return Ok(());
        }
        let existing = folder.ancestors().find(|a| a.exists()).unwrap_or(&self.root);
        if !existing.canonicalize()?.starts_with(&self.real_root) {
            return Err(io::Error::other("a link on the way leads out of the pipeline's folder"));
        }
        if let Some(file) = folder.ancestors().find(|a| a.symlink_metadata().is_ok()).filter(|a| !a.is_dir()) {
            let path = file.strip_prefix(&self.root).unwrap_or(file).display();
            return Err(io::Error::other(format!("a file lies at {path}{NO_FOLDER}")));
        }
        fs::create_dir_all(folder)?;
        self.known().insert(folder.to_owned());
        Ok(())
    }

    fn is_known(&self, folder: &Path) -> bool {
        self.known().contains(folder)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        lock(&self.known)
    }

    /// Removes an output, where it is there. What a link on the way leads to elsewhere is not ours.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        let path = self.root.join(path);
        if path.parent().and_then(|p| p.canonicalize().ok()).is_some_and(|p| !p.starts_with(&self.real_root)) {
            return Err(io::Error::other("a link on the way leads out of the pipeline's folder"));
        }
        remove(&path)
    }
}

/// Removes a file or a folder, where it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Brings back what lay at a path before, if anything did.
fn put_back(path: &Path, aside: &Path) {
    let _ = remove(path).and_then(|()| fs::rename(aside, path));
}

fn across_devices(from: &Path, to: &Path) -> io::Result<()> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let beside = to.with_file_name(format!(".{name}.layermill-{}", std::process::id()));
    fs::copy(from, &beside)
        .and_then(|_| fs::rename(&beside, to))
        .inspect_err(|_| drop(fs::remove_file(&beside)))
        .and_then(|()| fs::remove_file(from))
}

/// An output that is written and not yet in its place.
struct Staged {
    path: PathBuf,
    content: Digest,
    stored: Option<StoredOutput>,
}

/// What is said of a file that keeps a folder from being made.
pub(crate) const NO_FOLDER: &str = ", where a folder is to be";

fn cannot(action: &str, path: &str, error: &io::Error) -> Failure {
    Failure::new(format!("cannot {action} {path}: {error}"))
}
