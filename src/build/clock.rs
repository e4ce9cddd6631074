//! Wall-clock time, in the two units that records use.

use std::time::{SystemTime, UNIX_EPOCH};

/// A file whose mtime is nearer than this to the moment it was hashed may have been written again within the same tick
/// of the file system's clock. Nanoseconds.
pub const TICK: i64 = 20_000_000;

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    now_ns() / 1_000_000
}

/// Nanoseconds since 1970; 0 for a clock that stands before.
pub fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}
