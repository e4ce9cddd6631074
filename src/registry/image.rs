//! The model of an image: what a manifest and a config say of it, and what a layer file says after imagelayers.

/// An image of one platform.
#[derive(Clone, Debug)]
pub struct Image {}
