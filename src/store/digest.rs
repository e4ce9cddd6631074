//! The two digests: BLAKE3 for what is ours, SHA-256 for what registries name.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A BLAKE3 hash of content, or a step's key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The first 8 bytes: enough to show and to compare, where 32 a part would be too many.
    pub fn short(&self) -> [u8; 8] {
        self.0[..8].try_into().expect("32 bytes hold 8")
    }

    /// Of a file that can be executed: another one than that of its bytes, which is this one.
    pub fn executable(mut self) -> Self {
        let start = u64::from_be_bytes(self.short()).wrapping_add(1);
        self.0[..8].copy_from_slice(&start.to_be_bytes());
        self
    }
}

/// Two digests of a file, by their starts, in words: where the bytes are the same, whether it can be executed.
pub fn told(from: &[u8; 8], to: &[u8; 8]) -> (String, String) {
    let words = ["not executable", "executable"].map(str::to_owned);
    let [first, second] = [from, to].map(|start| u64::from_be_bytes(*start));
    match words {
        [not, is] if second == first.wrapping_add(1) => (not, is),
        [not, is] if first == second.wrapping_add(1) => (is, not),
        _ => (hex(from), hex(to)),
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(text(&digits(&self.0)))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blake3:{self}")
    }
}

/// A SHA-256 digest, shown as registries write it: `sha256:` and 64 hex digits (OCI image-spec, descriptor.md).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Of a file's bytes, which are read in pieces.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        use sha2::Digest as _;
        let mut hasher = sha2::Sha256::new();
        io::copy(&mut File::open(path)?, &mut hasher)?;
        Ok(Self(hasher.finalize().into()))
    }

    /// The 64 hex digits alone.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }

    /// Reads 64 lower-case hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 64 {
            return None;
        }
        let digit = |b: u8| match b {
            b'0'..=b'9' => Some(b - b'0'),
            b'a'..=b'f' => Some(b - b'a' + 10),
            _ => None,
        };
        let mut out = [0; 32];
        for (o, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
            *o = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(out))
    }
}

/// What was expected of a digest and did not come.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a digest: expected `sha256:` and 64 lower-case hex digits")]
pub struct NotADigest;

impl FromStr for Sha256 {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        text.strip_prefix("sha256:").and_then(Self::from_hex).ok_or(NotADigest)
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        f.write_str(text(&digits(&self.0)))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The hex digits of a digest.
fn digits(digest: &[u8; 32]) -> [u8; 64] {
    let mut digits = [0; 64];
    spell(digest, &mut digits);
    digits
}

fn spell(bytes: &[u8], digits: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn text(digits: &[u8]) -> &str {
    std::str::from_utf8(digits).expect("digits are ASCII")
}

/// Bytes as hex digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = vec![0; 2 * bytes.len()];
    spell(bytes, &mut digits);
    String::from_utf8(digits).expect("digits are ASCII")
}

/// A file in a folder that is named after a digest, by its hex digits alone.
pub(super) fn file_of(folder: &Path, digest: &[u8; 32]) -> PathBuf {
    let mut path = PathBuf::with_capacity(folder.as_os_str().len() + 65);
    path.push(folder);
    path.push(text(&digits(digest)));
    path
}
