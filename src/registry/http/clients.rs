//! The clients that connections belong to, each made when it is first needed.

use std::sync::OnceLock;

use reqwest::{Client, Url};

use super::Settings;
use super::connecting::TellingLayer;
use super::fault::root_cause;
use crate::registry::address::is_loopback;

#[derive(Default)]
pub struct Clients {
    usual: OnceLock<Result<Client, String>>,
    /// For hosts that may know who we are: with the client's certificate.
    known: OnceLock<Result<Client, String>>,
    /// For plain HTTP on this machine, which must not hang on the certificates that the system has, or has not.
    plain: OnceLock<Result<Client, String>>,
}

impl Clients {
    /// The client for a URL, made when it is first needed: the system's certificates take a while to read. With our own
    /// certificate where the host `may_know` us.
    pub fn of(&self, url: &Url, may_know: bool, settings: &Settings) -> Result<&Client, String> {
        let is_plain = url.scheme() == "http" && is_loopback(url);
        let is_known = may_know && url.scheme() == "https" && settings.certificates.client.is_some();
        let build = || {
            // Another source, or a library's user, may have been first.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let mut builder = Client::builder()
                .user_agent(concat!("layermill/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(settings.connects_within())
                .connector_layer(TellingLayer);
            if is_plain {
                builder = builder.tls_certs_only([]);
            } else if let Some(tls) = settings.certificates.config(is_known)? {
                builder = builder.tls_backend_preconfigured(tls);
            }
            // A proxy is for elsewhere.
            if is_plain || settings.local {
                builder = builder.no_proxy();
            }
            builder.build().map_err(|e| {
                let help = "the system's are in the package `ca-certificates`, or where `SSL_CERT_FILE` says";
                format!("certificates: {} ({help})", root_cause(&e))
            })
        };
        let kept = match (is_plain, is_known) {
            (true, _) => &self.plain,
            (_, true) => &self.known,
            _ => &self.usual,
        };
        kept.get_or_init(build).as_ref().map_err(Clone::clone)
    }
}
