//! Wall-clock time, in the two units that records use.

#[cfg(test)]
use std::sync::{Arc, atomic};
use std::time::{SystemTime, UNIX_EPOCH};

/// A file whose mtime is nearer than this to the moment it was hashed may have been written again within the same tick
/// of the file system's clock. Nanoseconds.
pub const TICK: i64 = 20_000_000;

/// What a session takes for the time at which it asks; the times of files are always the system's.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    #[default]
    System,
    /// Stands where a test has set it. Milliseconds since 1970.
    #[cfg(test)]
    Fake(Arc<atomic::AtomicI64>),
}

impl Clock {
    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => now_ms(),
            #[cfg(test)]
            Self::Fake(at) => at.load(atomic::Ordering::Relaxed),
        }
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    now_ns() / 1_000_000
}

/// Nanoseconds since 1970; 0 for a clock that stands before.
pub fn now_ns() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}
