//! An authority of the tests' own, and certificates by it (made by `openssl`).

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

pub struct Authority {
    folder: TempDir,
}

impl Authority {
    /// With `server` (for `localhost`, `registry.invalid` and 127.0.0.1) and `client`.
    pub fn new() -> Self {
        let authority = Self { folder: TempDir::new().expect("a temporary folder") };
        let new_key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        authority.openssl(&format!("req -x509 {new_key} -keyout ca.key -out ca.pem -subj /CN=bed -days 30"));
        for (name, extension) in [
            ("server", "subjectAltName=DNS:localhost,DNS:registry.invalid,IP:127.0.0.1"),
            ("client", "extendedKeyUsage=clientAuth"),
        ] {
            std::fs::write(authority.folder.path().join("extension"), extension).expect("written");
            authority.openssl(&format!("req {new_key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
            let by = "-CA ca.pem -CAkey ca.key -CAcreateserial -extfile extension";
            authority.openssl(&format!("x509 -req -in {name}.csr {by} -out {name}.pem -days 30"));
        }
        authority
    }

    /// With a `server` for `localhost` that signed its certificate itself, as the usual recipe has it.
    pub fn of_itself() -> Self {
        let authority = Self { folder: TempDir::new().expect("a temporary folder") };
        let recipe = "req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.pem -subj /CN=localhost";
        authority.openssl(&format!("{recipe} -days 30 -addext subjectAltName=DNS:localhost"));
        authority
    }

    /// `ca.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The entry of a registry's configuration that makes it speak TLS.
    pub fn tls(&self, more: &str) -> String {
        let file = |name| self.file(name).display().to_string();
        format!(", tls: {{certificate: \"{}\", key: \"{}\"{more}}}", file("server.pem"), file("server.key"))
    }

    /// A server's side of TLS, for [`super::fault::Manner`], which offers these protocols (`h2`, `http/1.1`).
    pub fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let certificate = CertificateDer::from_pem_file(self.file("server.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(self.file("server.key")).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = versions.expect("versions").with_no_client_auth().with_single_cert(vec![certificate], key);
        let mut config = config.expect("they belong together");
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(self.folder.path()).output();
        let output = output.expect("openssl is installed (tests/run does that)");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
