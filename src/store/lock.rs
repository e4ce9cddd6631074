//! One build at a time: an OS lock on `.layermill/lock`. It dies with its holder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The file's name in its folder.
const NAME: &str = "lock";
/// More than any holder writes; what else lies there is not read.
const TEXT_LIMIT: u64 = 200;

/// Held for a build; dropped, it is free.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Who holds the lock, as it wrote itself down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    /// Milliseconds since 1970, UTC.
    pub since: i64,
}

/// Either the lock, or who has it (`None`: it did not say).
#[derive(Debug)]
pub enum Attempt {
    Taken(Lock),
    Held(Option<Holder>),
}

impl Lock {
    /// Tries to take the lock in `dir` without waiting. Makes the folder where it is missing.
    pub fn attempt(dir: &Path) -> io::Result<Attempt> {
        fs::create_dir_all(dir)?;
        let path = dir.join(NAME);
        loop {
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => return Ok(Attempt::Held(Holder::read(&mut file))),
                Err(TryLockError::Error(e)) => return Err(e),
                Ok(()) => {}
            }
            // Someone may have removed the folder between the two calls: a lock on a file without a name keeps nobody out.
            if same_file(&file, &path)? {
                let mut lock = Self { file };
                lock.sign()?;
                return Ok(Attempt::Taken(lock));
            }
            fs::create_dir_all(dir)?;
        }
    }

    fn sign(&mut self) -> io::Result<()> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(format!("pid {}\nsince {since}\n", std::process::id()).as_bytes())
    }
}

impl Drop for Lock {
    /// Unlocked by hand, since a child that was just forked may hold the same open file for a moment longer.
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

impl Holder {
    fn read(file: &mut File) -> Option<Self> {
        let mut text = String::new();
        file.take(TEXT_LIMIT).read_to_string(&mut text).ok()?;
        let mut lines = text.lines();
        let pid = lines.next()?.strip_prefix("pid ")?.parse().ok()?;
        let since = lines.next()?.strip_prefix("since ")?.parse().ok()?;
        Some(Self { pid, since })
    }
}

fn same_file(file: &File, path: &Path) -> io::Result<bool> {
    let mine = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((mine.dev(), mine.ino()) == (there.dev(), there.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}
