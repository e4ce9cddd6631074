//! Content by digest: as it came, and once it is known to be what was asked for.

use super::schema1;
use crate::registry::words::shown;
use crate::store::Sha256;

/// Content as it came: nothing is known of it.
pub struct Sent {
    pub bytes: Vec<u8>,
    pub content_type: Option<String>,
}

/// Content that has the digest by which it was asked for.
#[derive(Debug)]
pub struct Genuine {
    pub bytes: Vec<u8>,
    pub content_type: Option<String>,
}

impl Sent {
    /// What came, where it is what was asked for; of a signed manifest, what was signed. The error says what it is.
    pub fn checked(self, digest: &Sha256) -> Result<Genuine, String> {
        let Self { mut bytes, content_type } = self;
        let mut came = Sha256::of(&bytes);
        if came != *digest {
            bytes = schema1::payload(&bytes).into_owned();
            came = Sha256::of(&bytes);
        }
        if came == *digest {
            return Ok(Genuine { bytes, content_type });
        }
        let sent = content_type.map(|t| format!(" of type `{}`", shown(&t))).unwrap_or_default();
        Err(format!("expected content of this digest, but what came is {came} ({} bytes{sent})", bytes.len()))
    }
}
