//! Certificates of a source's own: authorities that are trusted beside the system's, and who we are.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder, Identity};

const FILE_LIMIT: u64 = 4 << 20;

/// The files, in PEM (RFC 7468). They are read when a connection is first made.
#[derive(Clone, Default)]
pub struct Certificates {
    /// Authorities.
    pub ca: Option<PathBuf>,
    /// A client's certificate, with those above it, and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl Certificates {
    /// Adds the authorities, and our own certificate where the server may know who we are. The error is in words.
    pub fn add_to(&self, mut builder: ClientBuilder, with_identity: bool) -> Result<ClientBuilder, String> {
        if let Some(path) = &self.ca {
            let wrong = || format!("{}: expected certificates in PEM", path.display());
            let certificates = Certificate::from_pem_bundle(&read(path)?).map_err(|_| wrong())?;
            if certificates.is_empty() {
                return Err(wrong());
            }
            builder = builder.tls_certs_merge(certificates);
        }
        if let Some((certificate, key)) = self.client.as_ref().filter(|_| with_identity) {
            let mut pem = read(certificate)?;
            pem.push(b'\n');
            pem.extend(read(key)?);
            let identity = Identity::from_pem(&pem).map_err(|_| {
                format!("{} and {}: expected a certificate and its key in PEM", certificate.display(), key.display())
            })?;
            builder = builder.identity(identity);
        }
        Ok(builder)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(format!("{}: more than the 4 MiB that are the most", path.display()));
    }
    Ok(bytes)
}
