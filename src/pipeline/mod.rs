//! The pipeline file: YAML in, a checked [`Pipeline`] out.
//!
//! [`mod@load`] reads the text into a tree that keeps its places, [`text`] replaces `${names}` in it, [`shape`] says
//! what may stand where (for the check and for the JSON [`schema`] alike), [`check`] makes the typed model, and
//! [`report`] shows what is wrong. While building, [`pattern`] fills `{names}`, [`backwards`] reads them out of paths,
//! and [`axis`] reads values.

mod advice;
mod axes;
pub mod axis;
pub mod backwards;
pub mod check;
pub mod glob;
mod graph;
mod group;
pub mod implied;
mod inputs;
pub mod keys;
mod known;
pub mod load;
pub mod makers;
pub mod model;
mod names;
pub mod node;
pub mod others;
mod outputs;
pub mod paths;
pub mod pattern;
pub mod problem;
mod raw;
pub mod report;
pub mod schema;
mod secrets;
mod select;
pub mod shape;
mod syntax;
mod targets;
pub mod text;
pub mod values;

pub use check::{Loaded, Options, load};
pub use model::*;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
