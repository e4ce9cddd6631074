//! Sizes of blobs that are not in the store: what is found out about a layer is found out once. A file of lines, each
//! with its checksum; several processes may add to it, and a line that is damaged or half written is as none.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::{Digest, Sha256};
use crate::sync::lock;

/// Which size of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// As it is kept.
    Packed,
    /// Of what is packed in it.
    Unpacked,
}

impl Measure {
    fn word(self) -> &'static str {
        match self {
            Self::Packed => "packed",
            Self::Unpacked => "unpacked",
        }
    }
}

/// How much of a blob was read to find out the size of what is packed in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Start,
    End,
    All,
}

impl Seen {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::End => "end",
            Self::All => "all",
        }
    }
}

/// A size, and what was read for it, where that is recorded.
type Known = (u64, Option<Seen>);

/// What is known of blobs' sizes.
#[derive(Debug)]
pub struct Sizes {
    path: PathBuf,
    /// Read when it is first needed.
    known: Mutex<Option<HashMap<(Measure, Sha256), Known>>>,
}

impl Sizes {
    /// Of the store in `root`.
    pub fn new(root: &Path) -> Self {
        Self { path: root.join("sizes"), known: Mutex::default() }
    }

    /// A size that was found out before.
    pub fn get(&self, measure: Measure, digest: &Sha256) -> Option<u64> {
        self.known(measure, digest).map(|(size, _)| size)
    }

    /// How much of a blob was read when the size of what is packed in it was found out.
    pub fn seen(&self, digest: &Sha256) -> Option<Seen> {
        self.known(Measure::Unpacked, digest)?.1
    }

    fn known(&self, measure: Measure, digest: &Sha256) -> Option<Known> {
        let mut known = lock(&self.known);
        known.get_or_insert_with(|| read(&self.path)).get(&(measure, *digest)).copied()
    }

    /// Keeps a size, and what was read for it.
    pub fn put(&self, measure: Measure, digest: &Sha256, size: u64, seen: Option<Seen>) -> io::Result<()> {
        let mut known = lock(&self.known);
        let before = known.get_or_insert_with(|| read(&self.path)).insert((measure, *digest), (size, seen));
        if before.is_some_and(|(before, _)| before == size) {
            return Ok(());
        }
        let seen = seen.map(|seen| format!(" {}", seen.word())).unwrap_or_default();
        let line = format!("{} {} {size}{seen}", measure.word(), digest.hex());
        // One write, so that lines of several processes do not mix; it ends what another left half done.
        let line = format!("\n{line} {}\n", check(&line));
        OpenOptions::new().create(true).append(true).open(&self.path)?.write_all(line.as_bytes())
    }
}

fn check(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()[..16].to_owned()
}

fn read(path: &Path) -> HashMap<(Measure, Sha256), Known> {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().filter_map(line).collect()
}

fn line(text: &str) -> Option<((Measure, Sha256), Known)> {
    let (said, sum) = text.rsplit_once(' ')?;
    if check(said) != sum {
        return None;
    }
    let mut words = said.split(' ');
    let word = words.next()?;
    let measure = [Measure::Packed, Measure::Unpacked].into_iter().find(|m| m.word() == word)?;
    let (digest, size) = (Sha256::from_hex(words.next()?)?, words.next()?.parse().ok()?);
    let seen = words.next().and_then(|word| [Seen::Start, Seen::End, Seen::All].into_iter().find(|s| s.word() == word));
    Some(((measure, digest), (size, seen)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_kept_and_damage_is_as_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (Sha256::of(b"a"), Sha256::of(b"b"));
        let sizes = Sizes::new(dir.path());
        assert_eq!(sizes.get(Measure::Packed, &a), None);
        sizes.put(Measure::Packed, &a, 7, None).unwrap();
        sizes.put(Measure::Unpacked, &a, 512, Some(Seen::End)).unwrap();
        sizes.put(Measure::Packed, &b, 8, None).unwrap();
        assert_eq!(sizes.get(Measure::Packed, &a), Some(7));
        let again = || {
            let sizes = Sizes::new(dir.path());
            [(Measure::Packed, &a), (Measure::Unpacked, &a), (Measure::Packed, &b)].map(|(m, d)| sizes.get(m, d))
        };
        assert_eq!(again(), [Some(7), Some(512), Some(8)]);
        let seen = |digest| Sizes::new(dir.path()).seen(digest);
        assert_eq!((seen(&a), seen(&b)), (Some(Seen::End), None));
        let path = dir.path().join("sizes");
        let text = fs::read_to_string(&path).unwrap().replace(" 512 ", " 513 ");
        fs::write(&path, &text[..text.len() - 3]).unwrap();
        assert_eq!(again(), [Some(7), None, None]);
        Sizes::new(dir.path()).put(Measure::Unpacked, &b, 1024, Some(Seen::All)).unwrap();
        assert_eq!(Sizes::new(dir.path()).get(Measure::Unpacked, &b), Some(1024));
    }
}
