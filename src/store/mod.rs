//! What layermill keeps in `.layermill/`: the state (what each step was made from), the blobs (content by digest),
//! the sizes of layers, which are not kept, the lock (one build at a time).

pub mod blobs;
pub mod digest;
pub mod lock;
pub mod sizes;
pub mod state;

pub use digest::{Digest, Sha256, hex, told};
