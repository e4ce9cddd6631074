//! Looking at files: once a run, by their stamp first, by their content only where that is in doubt.

pub(super) mod folders;
pub(super) mod found;
pub(super) mod inside;
pub(super) mod kept;
pub(super) mod meddled;
pub(super) mod place;
pub(super) mod protected;
pub(super) mod unusable;
mod walk;

use std::cell::RefCell;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxFlags, StatxTimestamp, openat, statx};

use crate::store::Digest;
use crate::store::state::{FileRecord, Stamp};

use self::unusable::Unusable;
use self::walk::{Walked, walk};
pub use self::walk::{few_files_in, files_in};
use super::clock;

/// What a look at a file found.
#[derive(Clone, Debug)]
pub enum Look {
    Missing,
    /// It is there and cannot be used: why.
    Unusable(Unusable),
    /// As recorded.
    Same(FileRecord),
    /// Its content was hashed. The record is new: the file was touched, changed, or never seen.
    Hashed(FileRecord),
}

impl Look {
    pub fn content(&self) -> Option<Digest> {
        match self {
            Self::Same(r) | Self::Hashed(r) => Some(r.content),
            Self::Missing | Self::Unusable(_) => None,
        }
    }
}

/// What a stamp is made of.
const LOOKED_AT: StatxFlags = StatxFlags::TYPE
    .union(StatxFlags::MODE)
    .union(StatxFlags::SIZE)
    .union(StatxFlags::MTIME)
    .union(StatxFlags::CTIME)
    .union(StatxFlags::INO);

/// The bits of a mode by which someone can execute a file.
const EXECUTE: u32 = 0o111;

/// Sees whether files are as recorded, at the cost of one short system call each: files that are looked at in a row
/// mostly lie in one folder, which is kept open.
pub struct Eyes {
    root: OwnedFd,
    /// Folders are opened anew in each glance: between two of them, a command may have put another in their place.
    glance: AtomicU64,
}

thread_local! {
    static FOLDER: RefCell<Option<(u64, String, OwnedFd)>> = const { RefCell::new(None) };
}

impl Eyes {
    pub fn new(root: &Path) -> io::Result<Self> {
        Ok(Self { root: open_folder(CWD, root)?, glance: AtomicU64::new(next_glance()) })
    }

    /// Forgets which folders are open.
    pub fn blink(&self) {
        self.glance.store(next_glance(), Ordering::Relaxed);
    }

    /// Whether the file at this path, relative to the root, is the regular file that was recorded and settled.
    pub fn same(&self, path: &str, record: &FileRecord, links: AtFlags) -> bool {
        if !record.settled {
            return false;
        }
        let (folder, name) = folder_and_name(path);
        let glance = self.glance.load(Ordering::Relaxed);
        let seen = FOLDER.with_borrow_mut(|open| {
            if !open.as_ref().is_some_and(|(g, f, _)| *g == glance && f == folder) {
                let folder_path = if folder.is_empty() { "." } else { folder };
                *open = Some((glance, folder.to_owned(), open_folder(&self.root, folder_path).ok()?));
            }
            let (_, _, fd) = open.as_ref()?;
            statx(fd, name, links, LOOKED_AT).ok()
        });
        seen.is_some_and(|s| {
            let ns = |time: StatxTimestamp| nanoseconds(time.tv_sec, time.tv_nsec.into());
            let times = times(ns(s.stx_mtime), ns(s.stx_ctime), u32::from(s.stx_mode) & EXECUTE != 0);
            FileType::from_raw_mode(s.stx_mode.into()) == FileType::RegularFile
                && record.stamp == Stamp { size: s.stx_size, times, inode: s.stx_ino }
        })
    }
}

/// One number for each glance of any pair of eyes in this process.
fn next_glance() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// The folder of a path, empty where it has none, and its name in there. Names are short: this is quicker than a search.
pub fn folder_and_name(path: &str) -> (&str, &str) {
    path.bytes().rposition(|byte| byte == b'/').map_or(("", path), |at| (&path[..at], &path[at + 1..]))
}

fn open_folder(at: impl AsFd, path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    Ok(openat(at, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Looks at an input: links are followed, a folder is looked at with all that it holds.
pub fn look_at_input(path: &Path, known: Option<FileRecord>) -> Look {
    look(path, fs::metadata(path), known)
}

/// Looks at an output: a link is not what was written, whatever it points at, nor is a file where a folder was.
pub fn look_at_output(path: &Path, known: Option<FileRecord>, folder: bool) -> Look {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() => Look::Unusable(Unusable::Is("a symbolic link")),
        Ok(meta) if meta.is_dir() && !folder => Look::Unusable(Unusable::Is("a folder")),
        Ok(meta) if meta.is_file() && folder => Look::Unusable(Unusable::Is("a file")),
        meta => look(path, meta, known),
    }
}

fn look(path: &Path, meta: io::Result<Metadata>, known: Option<FileRecord>) -> Look {
    let meta = match meta {
        Ok(meta) => meta,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Look::Missing,
        Err(e) => return Look::Unusable(e.into()),
    };
    let looked = if meta.is_dir() {
        look_at_folder(path, known)
    } else if meta.is_file() {
        let stamp = stamp(&meta);
        match known {
            Some(record) if record.settled && record.stamp == stamp => Ok(Look::Same(record)),
            _ => hash_file(path)
                .map(|record| Look::Hashed(FileRecord { content: content(&meta, record.content), ..record })),
        }
    } else {
        return Look::Unusable(io::Error::other("it is neither a file nor a folder").into());
    };
    looked.unwrap_or_else(|e| Look::Unusable(e.into()))
}

fn stamp(meta: &Metadata) -> Stamp {
    Stamp { size: meta.len(), times: times(mtime(meta), ctime(meta), is_executable(meta)), inode: meta.ino() }
}

/// When a file was last written, as far as nobody said otherwise. Nanoseconds since 1970.
pub fn mtime(meta: &Metadata) -> i64 {
    nanoseconds(meta.mtime(), meta.mtime_nsec())
}

/// When it was last changed in any way, be it only that its mtime was set: nobody can set this one. Some file systems do
/// not have it.
pub fn ctime(meta: &Metadata) -> i64 {
    nanoseconds(meta.ctime(), meta.ctime_nsec())
}

/// When a file was last changed in any way, since what is moved there keeps its mtime. An mtime in the future tells
/// nothing: somebody has set it.
pub fn last_changed(meta: &Metadata, now: i64) -> i64 {
    let written = Some(mtime(meta)).filter(|at| *at <= now);
    written.unwrap_or(i64::MIN).max(ctime(meta))
}

fn nanoseconds(seconds: i64, more: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(more)
}

/// Both in one number. The factor spreads one of them over all bits, so that both may move by as much and it does, too.
/// Where a file system has no ctime, nothing else tells that a file came to be executable.
fn times(mtime: i64, ctime: i64, executable: bool) -> i64 {
    let both = mtime.wrapping_mul(0x1E37_79B9_7F4A_7C15).wrapping_add(ctime);
    if executable { !both } else { both }
}

/// Whether a file that is as it was but for its times has the mtime with which it was stamped. Its ctime then follows
/// from both, and is only believed where it can be one: no earlier than that mtime, but for clocks that disagree and
/// mtimes in the future, and no later than it is now.
pub fn has_mtime_of(stamp: &Stamp, meta: &Metadata) -> bool {
    const DISAGREE: i64 = 3_600_000_000_000;
    let (mtime, ctime) = (mtime(meta), ctime(meta));
    let earliest = if mtime > ctime { 0 } else { mtime.saturating_sub(DISAGREE) };
    let both = if is_executable(meta) { !stamp.times } else { stamp.times };
    (earliest..=ctime).contains(&both.wrapping_sub(times(mtime, 0, false)))
}

/// The digest of a file of these bytes.
pub fn content(meta: &Metadata, bytes: Digest) -> Digest {
    if is_executable(meta) { bytes.executable() } else { bytes }
}

fn is_settled(latest: i64, before: i64) -> bool {
    latest < before - clock::TICK
}

/// A record of a file whose content was read from `before` on: settled only where its last change lies a tick or more
/// before that, since a later one within the same tick could look the same.
pub fn record(meta: &Metadata, content: Digest, before: i64) -> FileRecord {
    FileRecord { stamp: stamp(meta), content, settled: is_settled(mtime(meta).max(ctime(meta)), before) }
}

/// Reads a file and hashes its bytes.
fn hash_file(path: &Path) -> io::Result<FileRecord> {
    let before = clock::now_ns();
    let file = fs::File::open(path)?;
    let meta = file.metadata()?;
    let (size, content) = digest(file, meta.len())?;
    let record = record(&meta, content, before);
    Ok(FileRecord { stamp: Stamp { size, ..record.stamp }, ..record })
}

/// The size and the digest of a file that is said to have so many bytes: most are small, and read with one call.
pub fn digest(file: fs::File, said: u64) -> io::Result<(u64, Digest)> {
    const LITTLE: usize = 1 << 10;
    if said < LITTLE as u64 {
        digest_by(&mut [0; LITTLE], file, said)
    } else {
        digest_by(&mut [0; 16 << 10], file, said)
    }
}

fn digest_by(chunk: &mut [u8], mut file: fs::File, said: u64) -> io::Result<(u64, Digest)> {
    let mut hasher = blake3::Hasher::new();
    loop {
        let n = match file.read(chunk) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        hasher.update(&chunk[..n]);
        if n == 0 || n < chunk.len() && hasher.count() == said {
            return Ok((hasher.count(), Digest(*hasher.finalize().as_bytes())));
        }
    }
}

/// The digest of a folder with nothing in it: no file has it, an empty one included.
pub fn of_empty_folder() -> Digest {
    Digest(blake3::derive_key("layermill: a folder with nothing in it", b""))
}

/// A folder counts as one file: its stamp sums up those of all that is in it, its content is the list of their paths,
/// modes and digests.
fn look_at_folder(root: &Path, known: Option<FileRecord>) -> io::Result<Look> {
    let before = clock::now_ns();
    let files = files_in(root)?;
    let stamp = stamp_of_folder(&files);
    // One with nothing in it was recorded with the digest of an empty file before.
    let as_now = |record: &FileRecord| !files.is_empty() || record.content == of_empty_folder();
    if let Some(record) = known.filter(|r| r.settled && r.stamp == stamp && as_now(r)) {
        return Ok(Look::Same(record));
    }
    let content = content_of_folder(root, &files, |_, _| {})?;
    Ok(Look::Hashed(FileRecord { stamp, content, settled: is_settled(stamp.times, before) }))
}

/// A folder that was read, with all that it holds.
pub struct Folder {
    pub record: FileRecord,
    /// Its files, and the folders in it with nothing in them, as [`files_in`] gives them, each with its digest.
    pub files: Vec<(String, Metadata, Digest)>,
    /// When it, or anything in it, was last changed: what came and went is told by the folder that it was in.
    pub changed: i64,
}

/// Reads a folder in one walk.
pub fn read_folder(root: &Path) -> io::Result<Folder> {
    let before = clock::now_ns();
    let meta = fs::metadata(root)?;
    let Walked { files, changed } = walk(root, usize::MAX)?.unwrap_or_default();
    let stamp = stamp_of_folder(&files);
    let mut digests = Vec::with_capacity(files.len());
    let content = content_of_folder(root, &files, |meta, digest| {
        digests.push(if meta.is_dir() { of_empty_folder() } else { digest });
    })?;
    let record = FileRecord { stamp, content, settled: is_settled(stamp.times, before) };
    let files = files.into_iter().zip(digests).map(|((path, meta), digest)| (path, meta, digest)).collect();
    Ok(Folder { record, files, changed: changed.max(last_changed(&meta, before)) })
}

fn stamp_of_folder(files: &[(String, Metadata)]) -> Stamp {
    let mut stamps = blake3::Hasher::new();
    let (mut size, mut newest) = (0u64, 0i64);
    for (path, meta) in files {
        let s = stamp(meta);
        size = size.saturating_add(s.size);
        newest = newest.max(mtime(meta)).max(ctime(meta));
        stamps.update(&(path.len() as u64).to_le_bytes()).update(path.as_bytes());
        stamps.update(&s.size.to_le_bytes()).update(&s.times.to_le_bytes()).update(&s.inode.to_le_bytes());
        stamps.update(&[u8::from(is_executable(meta))]);
    }
    let inode = u64::from_le_bytes(Digest(*stamps.finalize().as_bytes()).short());
    Stamp { size, times: newest, inode }
}

/// The digest of a folder that has these files; `each` is shown that of each of them.
fn content_of_folder(
    root: &Path,
    files: &[(String, Metadata)],
    mut each: impl FnMut(&Metadata, Digest),
) -> io::Result<Digest> {
    if files.is_empty() {
        return Ok(of_empty_folder());
    }
    let mut content = blake3::Hasher::new();
    for (path, meta) in files {
        let digest = if meta.is_dir() { Digest::of(b"") } else { hash_file(&root.join(path))?.content };
        each(meta, digest);
        content.update(&(path.len() as u64).to_le_bytes()).update(path.as_bytes());
        content.update(&[u8::from(is_executable(meta))]).update(&digest.0);
    }
    Ok(Digest(*content.finalize().as_bytes()))
}

pub fn is_executable(meta: &Metadata) -> bool {
    meta.is_file() && meta.mode() & EXECUTE != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_cut_at_its_last_slash() {
        let cut = ["a", "a/b", "a/é/c.txt"].map(folder_and_name);
        assert_eq!(cut, [("", "a"), ("a", "b"), ("a/é", "c.txt")]);
    }

    #[test]
    fn a_file_is_read_to_its_end_whatever_was_said_of_its_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for len in [0, 5, (16 << 10) - 1, 16 << 10, 50_000] {
            let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
            fs::write(&path, &bytes).unwrap();
            for said in [len as u64, 0, len as u64 + 1] {
                let read = digest(fs::File::open(&path).unwrap(), said).unwrap();
                assert_eq!(read, (len as u64, Digest::of(&bytes)), "{len} bytes, {said} said");
            }
        }
    }
}
