//! What keeps a folder in order beside building: what to clean, to verify, to free, and to watch.

pub mod damage;
pub mod gc;
mod orphan_inputs;
pub mod orphans;
pub mod watch;
