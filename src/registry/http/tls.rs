//! What TLS takes exception to, in words.

use reqwest::Error as Failure;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error};

use crate::registry::certificates::says_it_is_an_authority;

const NAME_IT: &str = "name the file of its authority (PEM) under `ca:` of the source; of a certificate that is signed by \
                       itself, that certificate";
const CLOCK: &str = "is this machine's clock right? otherwise the server wants a new certificate";
const VERSIONS: &str = "TLS 1.2 and 1.3 are spoken, with the ciphers that are held to be safe";
const NOT_TLS: &str = "the server does not speak TLS there: is its address one of `http://`?";
const CLIENT: &str = "`client_cert:` and `client_key:` of the source are the certificate that it is shown, and its key";
const MADE_FOR: &str = "a certificate for the name that stands in `url:` is wanted (`subjectAltName`), or a `url:` with a \
                        name that it is for";
const ANOTHER: &str = "the server wants another certificate";

/// What was wrong, and what to do.
pub struct Objection {
    pub what: String,
    pub help: &'static str,
}

/// Why TLS did not come about, where it is for that that a request failed.
pub fn objection(failure: &Failure) -> Option<Objection> {
    let (what, help) = in_words(error(failure)?);
    Some(Objection { what, help })
}

fn in_words(error: &Error) -> (String, &'static str) {
    let (what, help) = match error {
        Error::InvalidCertificate(_) if says_it_is_an_authority(error) => {
            ("its certificate is one of an authority, and not named", NAME_IT)
        }
        Error::InvalidCertificate(why) => return certificate(why),
        Error::InvalidMessage(_) => ("what came is no TLS", NOT_TLS),
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => ("it speaks no TLS that we speak", VERSIONS),
        Error::AlertReceived(alert) => return refusal(*alert),
        Error::NoCertificatesPresented => ("it shows no certificate", ANOTHER),
        Error::General(text) => return (text.clone(), VERSIONS),
        _ => ("it does not keep to TLS", VERSIONS),
    };
    (what.to_owned(), help)
}

fn certificate(why: &CertificateError) -> (String, &'static str) {
    let (what, help) = match why {
        CertificateError::UnknownIssuer => ("its certificate is by an authority that is not trusted", NAME_IT),
        CertificateError::BadSignature => ("its certificate is not signed by the authority that it names", NAME_IT),
        CertificateError::ExpiredContext { not_after, .. } => {
            return (format!("its certificate ended on {}", day(*not_after)), CLOCK);
        }
        CertificateError::Expired => ("its certificate has ended", CLOCK),
        CertificateError::NotValidYetContext { not_before, .. } => {
            return (format!("its certificate begins on {}", day(*not_before)), CLOCK);
        }
        CertificateError::NotValidYet => ("its certificate has not begun", CLOCK),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            let whose = if names.is_empty() { "no host at all".to_owned() } else { names.join(", ") };
            return (format!("its certificate is not for {}, but for {whose}", expected.to_str()), MADE_FOR);
        }
        CertificateError::NotValidForName => ("its certificate is for another name", MADE_FOR),
        CertificateError::Revoked => ("its certificate was revoked", ANOTHER),
        CertificateError::BadEncoding => ("its certificate cannot be read", ANOTHER),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            ("its certificate is not for servers", ANOTHER)
        }
        CertificateError::UnhandledCriticalExtension => ("its certificate asks for what is not known here", ANOTHER),
        _ => ("its certificate is not one that can be checked, or not for servers", ANOTHER),
    };
    (what.to_owned(), help)
}

fn refusal(alert: AlertDescription) -> (String, &'static str) {
    use AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired => ("it wants a client's certificate".to_owned(), CLIENT),
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => ("it does not take the client's certificate".to_owned(), CLIENT),
        Alert::UnrecognisedName => ("it knows no host of this name".to_owned(), MADE_FOR),
        Alert::HandshakeFailure | Alert::ProtocolVersion | Alert::InsufficientSecurity => {
            ("it speaks no TLS that we speak".to_owned(), VERSIONS)
        }
        other => (format!("it ends TLS with the alert {}", u8::from(other)), VERSIONS),
    }
}

/// A name as webpki shows it, `DnsName("localhost")` or `IpAddress(127.0.0.1)`, without what it is.
fn bare(name: &str) -> &str {
    name.split_once('(').map_or(name, |(_, rest)| rest.trim_end_matches(')')).trim_matches('"')
}

fn day(at: UnixTime) -> String {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).strftime("%Y-%m-%d").to_string()
}

fn error(failure: &Failure) -> Option<&Error> {
    let mut cause = std::error::Error::source(failure);
    while let Some(inner) = cause {
        if let Some(found) = wrapped(inner) {
            return Some(found);
        }
        cause = inner.source();
    }
    None
}

/// An I/O error hides what it wraps from its own sources.
fn wrapped<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    error.downcast_ref().or_else(|| wrapped(error.downcast_ref::<std::io::Error>()?.get_ref()?))
}
