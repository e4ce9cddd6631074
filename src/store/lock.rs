//! One build at a time: an OS lock on `.layermill/lock`. It dies with its holder.

use std::io;
use std::path::Path;

/// Held for a build; dropped, it is free.
#[derive(Debug)]
pub struct Lock {
    _file: std::fs::File,
}

/// Who holds the lock, as it wrote itself down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    /// Milliseconds since 1970, UTC.
    pub since: i64,
}

/// Either the lock, or who has it (`None`: it did not say).
pub enum Attempt {
    Taken(Lock),
    Held(Option<Holder>),
}

impl Lock {
    /// Tries to take the lock in `dir` without waiting.
    pub fn attempt(dir: &Path) -> io::Result<Attempt> {
        let _ = dir;
        todo!("H2")
    }
}
