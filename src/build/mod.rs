//! The engine: brings steps up to date, and reports by events. The command line, and whatever else wants steps made,
//! calls [`build`]; those that only look call [`look`] and [`explain`].
//!
//! `request` says what is wanted, `expand` makes `steps` of targets, `waves` of them are decided by `decide`, which finds
//! out what is to be done and the `reason`; `schedule` says when, `execute` does it, `place` puts outputs where they belong,
//! `results` takes in what came of it, and `ends` wakes what waited for it.

mod adoption;
mod again;
mod asked;
mod assembly;
mod blame;
mod bystander;
mod changes;
pub mod clock;
pub mod damage;
mod decide;
mod deferral;
mod doubt;
mod ends;
mod engine;
pub mod events;
mod excerpt;
mod execute;
mod expand;
pub mod explain;
pub mod failures;
pub mod files;
mod folders;
mod former;
mod found;
mod freshness;
pub mod gc;
pub mod graph;
mod groups;
mod in_words;
mod inside;
mod intern;
mod key;
#[cfg(test)]
mod laws;
pub mod neighbourhood;
pub mod orphans;
pub mod outcome;
mod outputs;
mod parts;
mod place;
mod possible;
mod printed;
mod product;
mod protected;
pub mod reads;
pub mod reason;
pub mod reasons;
mod remembered;
pub mod request;
mod results;
mod risk;
mod rivals;
mod rows;
mod schedule;
mod scratch;
mod session;
mod settings;
mod started;
mod steps;
mod summary;
mod task;
mod to_come;
mod told;
mod upstream;
mod waits;
pub mod watch;
mod waves;

pub use bystander::Bystander;
pub use engine::Selection;
pub use session::{BuildError, Order, Session, adopt, build, look};
