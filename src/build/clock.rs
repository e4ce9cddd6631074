//! Wall-clock time, in the two units that records use, and how it is told.

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

/// Milliseconds since 1970, in UTC to the second.
pub fn time(ms: i64) -> String {
    jiff::Timestamp::from_second(ms.div_euclid(1000)).map_or_else(|_| ms.to_string(), |t| t.to_string())
}

/// The same of a time to come.
pub fn time_to_come(ms: i64) -> String {
    time(whole_second(ms))
}

/// A time to come, to the second: who comes then is not to come too early. Milliseconds.
pub fn whole_second(ms: i64) -> i64 {
    ms.saturating_add(999).div_euclid(1000).saturating_mul(1000)
}
