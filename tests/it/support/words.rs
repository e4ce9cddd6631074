//! What the program says, where tests look for it: one place to change when the words do.

/// `explain` (and a step's `reason`) for a step that was never built.
pub const FIRST_BUILD: &str = "first build";
/// … whose output is not there.
pub const MISSING_OUTPUT: &str = "missing";
/// … that is up to date.
pub const UP_TO_DATE: &str = "up to date";
/// A second build waits for the first.
pub const WAITING: &str = "waiting";
/// A damaged part of the state was put away.
pub const SET_ASIDE: &str = "is damaged";
/// A file stands where a folder is needed.
pub const CANNOT_WRITE: &str = "cannot write";
/// A cycle of targets.
pub const CYCLE: &str = "wait for each other";
/// A key that stands twice.
pub const DUPLICATE: &str = "duplicate key";
/// The end of the summary of a build that asked nobody.
pub const NO_REQUESTS: &str = " · no requests, 0 B · ";

/// A body past its limit: 4 MiB.
pub const PAST_LIMIT: &str = "more than the 4194304 bytes";
/// A manifest that is none.
pub const UNREADABLE: &str = "cannot be read as one";

/// The beginning of the summary of a build that had nothing to do.
pub fn all_up_to_date(steps: usize) -> String {
    if steps == 1 { "1 step is up to date".to_owned() } else { format!("all {steps} steps are up to date") }
}

/// Outcomes in `build --format json`.
pub mod outcome {
    pub const BUILT: &str = "built";
    pub const ADOPTED: &str = "adopted";
    pub const RESTORED: &str = "restored";
    pub const ABSENT: &str = "absent";
    pub const FAILED: &str = "failed";
    pub const BLOCKED: &str = "blocked";
    pub const DEFERRED: &str = "deferred";
}

/// Exit codes.
pub mod exit {
    pub const DONE: i32 = 0;
    pub const FAILED: i32 = 1;
    pub const WRONG: i32 = 2;
    pub const DEFERRED: i32 = 75;
    pub const INTERRUPTED: i32 = 130;
}
