//! The engine: brings steps up to date, and reports by events. The command line, and whatever else wants steps made,
//! calls [`build`]; those that only look call [`look`] and [`explain`].
//!
//! `request` says what is wanted, `steps` are expanded of targets, the `engine` takes waves of them: `decide` finds out
//! what is to be done and the `reason`, `execute` does it, `files` looks at what is there and puts outputs in place.
//! `explain` tells of it afterwards, `upkeep` keeps the folder in order.

mod bystander;
pub mod clock;
mod decide;
mod engine;
pub mod events;
mod excerpt;
mod execute;
pub mod explain;
pub mod failures;
pub mod files;
#[cfg(test)]
mod laws;
pub mod outcome;
pub mod reason;
pub mod reasons;
pub mod request;
mod session;
mod steps;
pub mod upkeep;

pub use bystander::Bystander;
pub use engine::Selection;
pub use session::{BuildError, Order, Session, adopt, build, look, look_through};
