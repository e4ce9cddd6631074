//! Sources: where image metadata comes from. [`Source`] is what every kind answers; [`image`] is the model, with
//! the manifests that it is read out of and the way to it, [`layer_file`] says what was found. `http` sends requests, `auth`
//! tells who we are, `endpoint` is what can be asked at one address.

mod address;
mod auth;
mod base64;
mod budget;
mod certificates;
pub mod distribution;
pub mod dockerhub;
mod endpoint;
mod few;
mod flight;
pub mod grammar;
mod http;
pub mod image;
pub mod imagelayers;
pub mod layer_file;
pub mod layout;
mod pages;
mod setup;
mod source;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
mod words;

pub use auth::logins::Logins;
pub use budget::{Allowance, Budget, Budgets, Deferral, Forecast};
pub use http::traffic::{HostNote, Traffic};
pub use http::validators::Validators;
pub use image::fetches::Fetches;
pub use image::platform::NotAPlatform;
pub use image::way::{Met, Way, opened, way};
pub use source::{
    About, Analyst, Answer, Answering, Earlier, Effort, Heard, Lister, Platform, Platforms, Repositories, Searcher,
    Source, SourceError, TagFilter, Tags,
};

use std::sync::Arc;

use crate::pipeline::model::SourceEntry;
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::Kind;

/// What all sources of a session share.
#[derive(Clone, Debug)]
pub struct Shared {
    pub traffic: Arc<Traffic>,
    pub budgets: Arc<Budgets>,
    pub validators: Arc<Validators>,
    pub fetches: Arc<Fetches>,
    /// The pipeline's folder.
    pub root: std::path::PathBuf,
    /// What Docker and Podman keep.
    pub logins: Logins,
    /// `--offline`: a source that would need the network fails instead.
    pub offline: bool,
}

/// The kinds of sources, for the pipeline's check and schema.
pub const KINDS: &[Kind] = &[distribution::KIND, dockerhub::KIND, imagelayers::KIND, layout::KIND, layout::ARCHIVE];

/// Makes a source from its entry; what is wrong with the entry goes into `problems`.
pub fn open(entry: &SourceEntry, shared: &Shared, problems: &mut Problems) -> Option<Arc<dyn Source>> {
    match entry.kind.as_str() {
        "registry" => Some(Arc::new(distribution::open(entry, shared, problems)?)),
        "dockerhub" => Some(Arc::new(dockerhub::open(entry, shared, problems)?)),
        "imagelayers" => Some(Arc::new(imagelayers::open(entry, shared, problems)?)),
        "oci-layout" | "docker-archive" => Some(Arc::new(layout::open(entry, shared, problems)?)),
        // The check refuses unknown kinds.
        _ => None,
    }
}
