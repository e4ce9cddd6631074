//! `layermill schema`

use crate::pipeline::schema;

use super::error::Error;
use super::{open, print_json};

pub fn run() -> Result<u8, Error> {
    print_json(&schema::schema(&open::VOCABULARY))
}
