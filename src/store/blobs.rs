//! Content by digest, kept for ever: an OCI image layout (`oci-layout`, `index.json`, `blobs/sha256/…`).
//!
//! Blobs appear whole or not at all: they are written to `tmp/` beside `blobs/` and renamed. They are not synced to
//! the disk one by one: a blob that a power cut damaged is seen by its digest, removed, and got again.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use sha2::Digest as _;

use super::digest::file_of;
use super::sizes::Sizes;
use super::{Digest, Sha256};
use crate::sync::lock;

/// The blob store. Every method may be called from many threads.
#[derive(Clone, Debug)]
pub struct Blobs {
    root: Arc<Path>,
    /// The blobs themselves.
    folder: Arc<Path>,
    sizes: Arc<Sizes>,
    /// What was got since it was opened.
    came: Arc<Mutex<HashSet<Sha256>>>,
}

/// A file that was copied into the store.
#[derive(Debug)]
pub struct Kept {
    pub blob: Sha256,
    pub content: Digest,
    /// How the file looked when it was opened.
    pub meta: fs::Metadata,
}

/// Files up to this many bytes are hashed before they are written anywhere.
const IN_MEMORY: u64 = 1 << 20;
/// Temporary files that are older were left by a process that died.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);
/// How exactly a blob's time of last change tells when it was used last.
const USED_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// A blob as it lies in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub digest: Sha256,
    /// Bytes.
    pub size: u64,
    /// When it was used last, to the day.
    pub used: SystemTime,
}

impl Blobs {
    /// Opens the store in `root`, and makes it an OCI image layout where it is none yet.
    pub fn open(root: &Path) -> io::Result<Self> {
        let blobs = Self::look(root);
        fs::create_dir_all(&blobs.folder)?;
        fs::create_dir_all(blobs.temporaries())?;
        blobs.ensure("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        blobs.ensure(
            "index.json",
            br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
        )?;
        blobs.sweep();
        Ok(blobs)
    }

    /// The store in `root` as it is, for those that only look.
    pub fn look(root: &Path) -> Self {
        Self {
            root: root.into(),
            folder: root.join("blobs/sha256").into(),
            sizes: Arc::new(Sizes::new(root)),
            came: Arc::default(),
        }
    }

    /// What is known of the sizes of blobs that are elsewhere.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// The bytes of a blob, checked against its digest. A damaged blob is removed and `None`, as one that is not there.
    pub fn get(&self, digest: &Sha256) -> io::Result<Option<Vec<u8>>> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        if Sha256::of(&bytes) == *digest {
            touch(&path);
            return Ok(Some(bytes));
        }
        match fs::remove_file(&path) {
            // Another thread saw the same damage first.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            done => done.map(|()| None),
        }
    }

    /// The same for those who change nothing: neither is it marked as used, nor is what is damaged removed.
    pub fn peek(&self, digest: &Sha256) -> Option<Vec<u8>> {
        fs::read(self.path(digest)).ok().filter(|bytes| Sha256::of(bytes) == *digest)
    }

    /// Whether the blob is there, unread.
    pub fn contains(&self, digest: &Sha256) -> bool {
        self.path(digest).is_file()
    }

    /// Whether the blob is there and its bytes are those of its digest; of a large one, whether it is there.
    pub fn is_whole(&self, digest: &Sha256) -> bool {
        const READ: u64 = 64 << 20;
        match fs::metadata(self.path(digest)) {
            Ok(meta) if meta.is_file() && meta.len() <= READ => self.rehash(digest).is_ok_and(|is| is == Some(*digest)),
            Ok(meta) => meta.is_file(),
            Err(_) => false,
        }
    }

    /// Where the blob lies, or would lie.
    pub fn path(&self, digest: &Sha256) -> PathBuf {
        file_of(&self.folder, &digest.0)
    }

    /// Keeps bytes (temporary file, then rename), and gives their digest.
    pub fn put(&self, bytes: &[u8]) -> io::Result<Sha256> {
        let digest = Sha256::of(bytes);
        let path = self.path(&digest);
        // Reading is cheaper than writing, and a blob that was damaged in place is mended here.
        if fs::metadata(&path).is_ok_and(|m| m.len() == bytes.len() as u64)
            && fs::read(&path).is_ok_and(|kept| kept == bytes)
        {
            touch(&path);
        } else {
            self.write(&path, bytes)?;
        }
        Ok(digest)
    }

    /// Keeps bytes whose digest is known to be this one, and which were looked for in vain.
    pub fn put_missing(&self, digest: &Sha256, bytes: &[u8]) -> io::Result<()> {
        lock(&self.came).insert(*digest);
        self.write(&self.path(digest), bytes)
    }

    /// Whether a blob was looked for in vain, and put there, since the store was opened.
    pub fn came_since(&self, digest: &Sha256) -> bool {
        lock(&self.came).contains(digest)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut temporary = Temporary::create(&self.temporaries())?;
        temporary.file.write_all(bytes)?;
        temporary.keep(path)
    }

    /// Keeps a copy of a file, and gives its digests: read once, and written only where the blob is not there.
    pub fn put_file(&self, source: &Path) -> io::Result<Kept> {
        let mut from = File::open(source)?;
        let meta = from.metadata()?;
        if meta.len() <= IN_MEMORY {
            let mut bytes = Vec::with_capacity(meta.len() as usize + 1);
            from.read_to_end(&mut bytes)?;
            let blob = self.put_new(&bytes)?;
            return Ok(Kept { blob, content: Digest::of(&bytes), meta });
        }
        let mut temporary = Temporary::create(&self.temporaries())?;
        let (mut sha256, mut blake3) = (sha2::Sha256::new(), blake3::Hasher::new());
        let mut buffer = vec![0; 128 << 10];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            sha256.update(&buffer[..read]);
            blake3.update(&buffer[..read]);
            temporary.file.write_all(&buffer[..read])?;
        }
        let blob = Sha256(sha256.finalize().into());
        temporary.keep(&self.path(&blob))?;
        Ok(Kept { blob, content: Digest(*blake3.finalize().as_bytes()), meta })
    }

    /// Keeps bytes where no blob of their digest and length is there. That one is believed: it is checked when it is read.
    fn put_new(&self, bytes: &[u8]) -> io::Result<Sha256> {
        let digest = Sha256::of(bytes);
        let path = self.path(&digest);
        if !fs::metadata(&path).is_ok_and(|m| m.len() == bytes.len() as u64) {
            self.write(&path, bytes)?;
        }
        Ok(digest)
    }

    /// Every blob that is there, in no order. What else lies among them is left alone.
    pub fn list(&self) -> io::Result<Vec<Stored>> {
        let mut found = Vec::new();
        for (digest, entry) in self.entries()? {
            let meta = entry.metadata()?;
            if meta.is_file() {
                found.push(Stored { digest, size: meta.len(), used: meta.modified()? });
            }
        }
        Ok(found)
    }

    /// Their digests alone.
    pub fn digests(&self) -> io::Result<Vec<Sha256>> {
        Ok(self.entries()?.into_iter().map(|(digest, _)| digest).collect())
    }

    fn entries(&self) -> io::Result<Vec<(Sha256, fs::DirEntry)>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let digest = |entry: &fs::DirEntry| entry.file_name().to_str().and_then(Sha256::from_hex);
        entries.filter_map(|entry| entry.map(|entry| Some((digest(&entry)?, entry))).transpose()).collect()
    }

    /// The digest that a blob's bytes really have, read in pieces. `None` where it is not there.
    pub fn rehash(&self, digest: &Sha256) -> io::Result<Option<Sha256>> {
        match Sha256::of_file(&self.path(digest)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            done => done.map(Some),
        }
    }

    /// Removes a blob, where it is there.
    pub fn remove(&self, digest: &Sha256) -> io::Result<()> {
        match fs::remove_file(self.path(digest)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// The layout's own index: blobs that it names are someone's.
    pub fn index(&self) -> Vec<u8> {
        fs::read(self.root.join("index.json")).unwrap_or_default()
    }

    fn temporaries(&self) -> PathBuf {
        // Not below `blobs/`, where every file is a blob.
        self.root.join("tmp")
    }

    /// Writes one of the layout's own files where it is missing.
    fn ensure(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.root.join(name);
        if path.is_file() {
            return Ok(());
        }
        let mut temporary = Temporary::create(&self.temporaries())?;
        temporary.file.write_all(bytes)?;
        temporary.keep(&path)
    }

    /// Removes what dead processes left; that this fails is no reason not to build.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.temporaries()) else { return };
        for entry in entries.flatten() {
            let age = entry.metadata().and_then(|m| m.modified()).map(|t| SystemTime::now().duration_since(t));
            if matches!(age, Ok(Ok(age)) if age > ABANDONED) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Notes that a blob was used. A store that cannot be written to is not cleaned either.
fn touch(path: &Path) {
    let now = SystemTime::now();
    let old = fs::metadata(path).and_then(|m| m.modified()).is_ok_and(|t| t + USED_WITHIN < now);
    if old && let Ok(file) = File::options().write(true).open(path) {
        let _ = file.set_modified(now);
    }
}

/// A file that is removed unless it is kept.
struct Temporary {
    file: File,
    path: Option<PathBuf>,
}

impl Temporary {
    fn create(folder: &Path) -> io::Result<Self> {
        loop {
            let path = folder.join(format!("{:016x}", fastrand::u64(..)));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { file, path: Some(path) }),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(e),
            }
        }
    }

    fn keep(mut self, path: &Path) -> io::Result<()> {
        if let Some(temporary) = &self.path {
            fs::rename(temporary, path)?;
            self.path = None;
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Blobs) {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&dir.path().join("store")).unwrap();
        (dir, blobs)
    }

    #[test]
    fn is_an_oci_layout() {
        let (dir, _) = store();
        let root = dir.path().join("store");
        assert_eq!(fs::read_to_string(root.join("oci-layout")).unwrap(), r#"{"imageLayoutVersion":"1.0.0"}"#);
        let index: serde_json::Value = serde_json::from_slice(&fs::read(root.join("index.json")).unwrap()).unwrap();
        assert_eq!(index["manifests"], serde_json::json!([]));
        // Opened again, what is there stays.
        fs::write(root.join("index.json"), "mine").unwrap();
        Blobs::open(&root).unwrap();
        assert_eq!(fs::read_to_string(root.join("index.json")).unwrap(), "mine");
    }

    #[test]
    fn gives_back_what_was_put() {
        let (dir, blobs) = store();
        let digest = blobs.put(b"hello").unwrap();
        assert_eq!(digest.hex(), "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        assert_eq!(blobs.get(&digest).unwrap().as_deref(), Some(&b"hello"[..]));
        assert_eq!(blobs.get(&Sha256::of(b"other")).unwrap(), None);
        let file = dir.path().join("file");
        fs::write(&file, "from a file").unwrap();
        let kept = blobs.put_file(&file).unwrap();
        assert_eq!((kept.blob, kept.content), (Sha256::of(b"from a file"), Digest::of(b"from a file")));
        assert!(blobs.contains(&kept.blob));
        let long: Vec<u8> = (0..IN_MEMORY + 1).map(|n| n as u8).collect();
        fs::write(&file, &long).unwrap();
        for _ in 0..2 {
            let kept = blobs.put_file(&file).unwrap();
            assert_eq!((kept.blob, kept.content), (Sha256::of(&long), Digest::of(&long)));
            assert_eq!(blobs.get(&kept.blob).unwrap().as_deref(), Some(&long[..]));
        }
        assert_eq!(fs::read_dir(blobs.temporaries()).unwrap().count(), 0, "no temporary is left");
    }

    #[test]
    fn damage_is_removed_or_mended() {
        let (_dir, blobs) = store();
        let digest = blobs.put(b"hello").unwrap();
        fs::write(blobs.path(&digest), "hell!").unwrap();
        assert_eq!(blobs.get(&digest).unwrap(), None);
        assert!(!blobs.contains(&digest));
        blobs.put(b"hello").unwrap();
        fs::write(blobs.path(&digest), "hell!").unwrap();
        blobs.put(b"hello").unwrap();
        assert_eq!(blobs.get(&digest).unwrap().as_deref(), Some(&b"hello"[..]));
    }
}
