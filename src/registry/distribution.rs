//! The `registry` source: to come.

use super::{Shared, layout};
use crate::pipeline::model::SourceEntry;
use crate::pipeline::problem::Problems;
use crate::pipeline::shape::Kind;

/// The kind `registry` and its keys.
pub const KIND: Kind = Kind { name: "registry", doc: "A container registry.", keys: &[] };

/// Makes the source of an entry.
pub fn open(_: &SourceEntry, _: &Shared, _: &mut Problems) -> Option<layout::Layout> {
    todo!()
}
