//! What the program says, where tests look for it: one place to change when the words do.

/// `explain` (and a step's `reason`) for a step that was never built.
pub const FIRST_BUILD: &str = "never built";
/// … whose output is not there.
pub const MISSING_OUTPUT: &str = "missing";
/// … that is up to date.
pub const UP_TO_DATE: &str = "up to date";
/// A second build waits for the first.
pub const WAITING: &str = "waiting";
/// A damaged part of the state was put away.
pub const SET_ASIDE: &str = "set aside";
/// A file stands where a folder is needed, or the disk is full.
pub const CANNOT_WRITE: &str = "cannot write";

/// Outcomes in `build --format json`.
pub mod outcome {
    pub const BUILT: &str = "built";
    pub const RESTORED: &str = "restored";
    pub const ABSENT: &str = "absent";
    pub const FAILED: &str = "failed";
    pub const BLOCKED: &str = "blocked";
}

/// Exit codes.
pub mod exit {
    pub const DONE: i32 = 0;
    pub const FAILED: i32 = 1;
    pub const WRONG: i32 = 2;
    pub const INTERRUPTED: i32 = 130;
}
