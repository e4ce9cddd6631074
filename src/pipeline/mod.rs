//! The pipeline file: YAML in, a checked [`Pipeline`] out.
//!
//! [`load`] reads the text into a tree that keeps its places, [`shape`] says what may stand where (for the check and
//! for the JSON Schema alike), [`check`] makes the typed model, [`pattern`] fills `{names}`, [`axis`] reads values.

pub mod model;
pub mod problem;
pub mod shape;

pub use model::*;
