//! What every file of the state begins with, in this version of the format and in every later one.

use std::io;

use super::wire::Cursor;

/// The version that is written. It goes up with every change that an older layermill would misread.
pub(super) const VERSION: u32 = 6;
/// The oldest that is read. Each is the present format without something that came later: what it holds reads the same.
pub(super) const OLDEST: u32 = 1;

/// Bytes: magic (8), version (u32), the start of the hash of both (4).
pub(super) const PRELUDE: usize = 16;

/// A point in history: the check of the last frame before it, which covers the one before that, and so all. Snapshots and
/// journals name the point that they begin at, so that no one is read behind a gap.
pub(super) type Point = [u8; 8];

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("damaged")]
    Damaged,
    #[error("of a newer format")]
    Newer(u32),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The first bytes of a file of this version.
pub(super) fn prelude(magic: &[u8; 8], version: u32) -> [u8; PRELUDE] {
    let mut out = [0; PRELUDE];
    out[..8].copy_from_slice(magic);
    out[8..12].copy_from_slice(&version.to_le_bytes());
    let check = check(&out[..12]);
    out[12..].copy_from_slice(&check);
    out
}

/// The version that a file is of. It is believed only with its check: a flipped bit must not look like a newer format,
/// which no one may touch.
pub(super) fn check_prelude(magic: &[u8; 8], file: &[u8]) -> Result<u32, Fault> {
    let mut c = Cursor(file);
    let (found, version, sum) = (|| Some((c.array::<8>()?, c.u32()?, c.array::<4>()?)))().ok_or(Fault::Damaged)?;
    if found != *magic || sum != check(&file[..12]) {
        return Err(Fault::Damaged);
    }
    match version {
        OLDEST..=VERSION => Ok(version),
        newer if newer > VERSION => Err(Fault::Newer(newer)),
        _ => Err(Fault::Damaged),
    }
}

fn check(bytes: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = *blake3::hash(bytes).as_bytes();
    [a, b, c, d]
}
