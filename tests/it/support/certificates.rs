//! An authority of the tests' own, and certificates by it (made by `openssl`).

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

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

    /// `ca.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The entry of a registry's configuration that makes it speak TLS.
    pub fn tls(&self, more: &str) -> String {
        let file = |name| self.file(name).display().to_string();
        format!(", tls: {{certificate: \"{}\", key: \"{}\"{more}}}", file("server.pem"), file("server.key"))
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(self.folder.path()).output();
        let output = output.expect("openssl is installed (tests/run does that)");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
