//! Certificates of a source's own: whom it trusts beside the system's authorities, and who we are.

mod named;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use named::Named;
pub use named::says_it_is_an_authority;

const FILE_LIMIT: u64 = 4 << 20;
/// What is spoken within TLS, the best first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The files, in PEM (RFC 7468). They are read when a connection is first made.
#[derive(Clone, Default)]
pub struct Certificates {
    /// Authorities, or servers' own.
    pub ca: Option<PathBuf>,
    /// A client's certificate, with those above it, and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl Certificates {
    /// How TLS is spoken with them, with our own certificate where the server may know who we are; `None` where there are
    /// none. The error is in words.
    pub fn config(&self, with_identity: bool) -> Result<Option<ClientConfig>, String> {
        let client = self.client.as_ref().filter(|_| with_identity);
        if self.ca.is_none() && client.is_none() {
            return Ok(None);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let trust = match &self.ca {
            Some(path) => {
                let named = all(path)?;
                Named::new(named, provider).map_err(|_| format!("{}: expected certificates in PEM", path.display()))?
            }
            None => Named::new(Vec::new(), provider).map_err(|e| e.to_string())?,
        };
        let config = versions.map_err(|e| e.to_string())?.dangerous().with_custom_certificate_verifier(Arc::new(trust));
        let mut config = match client {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let wrong = || {
                    let files = (certificate.display(), key.display());
                    format!("{} and {}: expected a certificate and its key in PEM", files.0, files.1)
                };
                let ours = all(certificate).map_err(|e| if e.ends_with("in PEM") { wrong() } else { e })?;
                let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| wrong())?;
                config.with_client_auth_cert(ours, key).map_err(|_| wrong())?
            }
        };
        config.alpn_protocols = PROTOCOLS.map(Vec::from).into();
        Ok(Some(config))
    }
}

/// The certificates in a file, of which there is at least one.
fn all(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let some = all.ok().filter(|all| !all.is_empty());
    some.ok_or_else(|| format!("{}: expected certificates in PEM", path.display()))
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
