//! Platforms: how they are written, and when an entry of an index is the one that is wanted.

use std::fmt;
use std::str::FromStr;

use crate::registry::words::shown;
use crate::registry::{Platform, Platforms};

/// The longest part of a platform.
const WORD_MAX: usize = 64;

/// What stands for what an image does not say.
pub const UNKNOWN: &str = "unknown";

/// What was expected of a platform and did not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, as in linux/amd64 or linux/arm/v7")]
pub struct NotAPlatform;

impl Default for Platform {
    /// `linux/amd64`.
    fn default() -> Self {
        Self { os: "linux".into(), architecture: "amd64".into(), variant: None }
    }
}

impl FromStr for Platform {
    type Err = NotAPlatform;

    fn from_str(text: &str) -> Result<Self, NotAPlatform> {
        let word = |part: &str| {
            let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
            let is_word = (1..=WORD_MAX).contains(&part.len()) && part.bytes().all(fine);
            // These are folders, not words.
            (is_word && part != "." && part != "..").then(|| part.to_owned()).ok_or(NotAPlatform)
        };
        match text.split('/').collect::<Vec<_>>()[..] {
            [os, architecture] => Ok(Self { os: word(os)?, architecture: word(architecture)?, variant: None }),
            [os, architecture, variant] => {
                Ok(Self { os: word(os)?, architecture: word(architecture)?, variant: Some(word(variant)?) })
            }
            _ => Err(NotAPlatform),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|v| write!(f, "/{v}"))
    }
}

impl Platform {
    /// Whether an image of platform `other` is what was asked for. A variant counts only where one was asked for.
    pub fn accepts(&self, other: &Platform) -> bool {
        self.os == other.os
            && self.architecture == other.architecture
            && (self.variant.is_none() || self.effective_variant() == other.effective_variant())
    }

    /// Whether an image says which one it is for.
    pub fn is_told(&self) -> bool {
        self.os != UNKNOWN && self.architecture != UNKNOWN
    }

    /// The variant, or the one that is meant where none is written (as containerd normalises platforms).
    fn effective_variant(&self) -> Option<&str> {
        match (self.architecture.as_str(), self.variant.as_deref()) {
            ("arm64", None) => Some("v8"),
            ("arm", None) => Some("v7"),
            (_, variant) => variant,
        }
    }
}

impl Platforms {
    /// Takes a platform in, where it can be written as one.
    pub fn add(&mut self, platform: &Platform) {
        let text = platform.to_string();
        match text.parse::<Platform>() {
            // A part with a `/` in it reads as another platform.
            Ok(read) if read == *platform => self.names.insert(text),
            _ => self.left_out.insert(shown(&text)),
        };
    }

    /// How many there are up to here.
    pub fn len(&self) -> usize {
        self.names.len() + self.left_out.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_written() {
        for text in ["linux/amd64", "linux/arm/v7", "windows/amd64"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        for bad in
            ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "Linux/amd64", "linux/am d64", "../..", "linux/."]
        {
            assert_eq!(bad.parse::<Platform>(), Err(NotAPlatform), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_written_as_a_platform_is_left_out() {
        let of = |os: &str, architecture: &str, variant: Option<&str>| {
            let mut all = Platforms::default();
            let variant = variant.map(str::to_owned);
            all.add(&Platform { os: os.into(), architecture: architecture.into(), variant });
            all.names.into_iter().next()
        };
        assert_eq!(of("linux", "arm", Some("v7")).as_deref(), Some("linux/arm/v7"));
        let long = "x".repeat(65);
        for (os, architecture) in
            [("..", ".."), ("a/b", "c"), ("linux", ""), ("Linux", "amd64"), ("a\n", "b"), ("linux", &long), ("é", "x")]
        {
            assert_eq!(of(os, architecture, None), None, "{os}/{architecture}");
        }
        assert_eq!(of("linux", "arm", Some("v7/..")), None);
    }

    #[test]
    fn variants() {
        let accepts = |a: &str, b: &str| a.parse::<Platform>().unwrap().accepts(&b.parse().unwrap());
        assert!(accepts("linux/arm", "linux/arm/v6"));
        assert!(accepts("linux/arm/v7", "linux/arm"));
        assert!(accepts("linux/arm64/v8", "linux/arm64"));
        assert!(!accepts("linux/arm/v7", "linux/arm/v6"));
        assert!(!accepts("linux/amd64", "linux/arm64"));
        assert!(!accepts("linux/amd64", "windows/amd64"));
    }
}
