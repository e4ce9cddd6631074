//! layermill is a make for container-image metadata.
//!
//! The floors of the house, top to bottom; each uses only those below it:
//! [`cli`], [`progress`], [`build`], [`rules`], [`registry`], [`store`], [`pipeline`]; all use `sync`.

pub mod build;
pub mod cli;
pub mod pipeline;
pub mod progress;
pub mod registry;
pub mod rules;
pub mod store;
mod sync;
