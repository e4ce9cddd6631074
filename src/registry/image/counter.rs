//! Counting what is packed in a blob while it comes by, in pieces of any length and without keeping any.

use std::io::{self, Write};
use std::sync::Mutex;

use flate2::write::MultiGzDecoder;
use sha2::Digest as _;

use super::manifest::SIZE_MAX;
use crate::store::Sha256;
use crate::sync::lock;

/// Takes a blob's bytes, and tells the size of what is packed in them.
#[derive(Default)]
pub struct Counter(Mutex<State>);

struct State {
    hash: sha2::Sha256,
    /// What came before it was clear what it is.
    start: Vec<u8>,
    unpacking: Unpacking,
}

enum Unpacking {
    Unclear,
    Plain(Count),
    Gzip(Box<MultiGzDecoder<Count>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Count>>),
    /// It is packed in a way that is not known, or damaged.
    Impossible,
}

/// How many bytes were written.
#[derive(Default)]
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        if self.0 > SIZE_MAX { Err(io::Error::other("too large")) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As many bytes as tell how they are packed.
const MAGIC: usize = 6;

impl Default for State {
    fn default() -> Self {
        Self { hash: sha2::Sha256::new(), start: Vec::new(), unpacking: Unpacking::Unclear }
    }
}

impl Counter {
    /// From the first byte: a blob that broke off comes again.
    pub fn restart(&self) {
        *self.state() = State::default();
    }

    /// The next bytes.
    pub fn take(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.hash.update(bytes);
        if !matches!(state.unpacking, Unpacking::Unclear) {
            return state.unpacking.take(bytes);
        }
        state.start.extend_from_slice(bytes);
        if state.start.len() >= MAGIC {
            state.begin();
        }
    }

    /// The digest of what came so far.
    pub fn digest(&self) -> Sha256 {
        Sha256(self.state().hash.clone().finalize().into())
    }

    /// The digest of all that came, and the size of what is packed in it; `None` where that cannot be told.
    pub fn finish(&self) -> (Sha256, Option<u64>) {
        let mut state = std::mem::take(&mut *self.state());
        if matches!(state.unpacking, Unpacking::Unclear) {
            state.begin();
        }
        (Sha256(state.hash.finalize().into()), state.unpacking.finish())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl State {
    fn begin(&mut self) {
        let start = std::mem::take(&mut self.start);
        self.unpacking = match compression(&start) {
            None if is_skippable(&start) => Unpacking::zstd(),
            None => Unpacking::Plain(Count::default()),
            Some("gzip") => Unpacking::Gzip(Box::new(MultiGzDecoder::new(Count::default()))),
            Some("zstd") => Unpacking::zstd(),
            Some(_) => Unpacking::Impossible,
        };
        self.unpacking.take(&start);
    }
}

/// The tool that unpacks what starts so.
pub fn compression(start: &[u8]) -> Option<&'static str> {
    [(&b"\x1f\x8b"[..], "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz")]
        .iter()
        .find(|(magic, _)| start.starts_with(magic))
        .map(|(_, tool)| *tool)
}

/// A frame that zstd skips, as some packers write first.
fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

impl Unpacking {
    fn zstd() -> Self {
        let decoder = zstd::stream::write::Decoder::new(Count::default());
        decoder.map_or(Self::Impossible, |decoder| Self::Zstd(Box::new(decoder)))
    }

    fn take(&mut self, bytes: &[u8]) {
        let taken = match self {
            Self::Plain(count) => count.write_all(bytes),
            Self::Gzip(decoder) => decoder.write_all(bytes),
            Self::Zstd(decoder) => decoder.write_all(bytes),
            Self::Unclear | Self::Impossible => Ok(()),
        };
        if taken.is_err() {
            *self = Self::Impossible;
        }
    }

    fn finish(self) -> Option<u64> {
        Some(match self {
            Self::Plain(count) => count.0,
            Self::Gzip(mut decoder) => {
                decoder.try_finish().ok()?;
                decoder.get_ref().0
            }
            Self::Zstd(mut decoder) => {
                decoder.flush().ok()?;
                decoder.into_inner().0
            }
            Self::Unclear | Self::Impossible => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn every_packing_in_pieces_of_any_length() {
        let text: Vec<u8> = (0..100_000u32).flat_map(|n| n.to_le_bytes()).collect();
        let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
        let (one, two) = text.split_at(777);
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd(&text)].concat();
        for blob in [
            text.clone(),
            gzip(&text),
            [gzip(one), gzip(two)].concat(),
            zstd(&text),
            [zstd(one), zstd(two)].concat(),
            skipped,
        ] {
            for piece in [1, 5, 4096, blob.len()] {
                let counter = Counter::default();
                counter.take(b"what broke off");
                counter.restart();
                blob.chunks(piece).for_each(|p| counter.take(p));
                assert_eq!(counter.finish(), (Sha256::of(&blob), Some(text.len() as u64)));
            }
        }
    }

    #[test]
    fn what_cannot_be_unpacked_has_no_size() {
        let whole = gzip(&[7; 5000]);
        let mut damaged = whole.clone();
        damaged[14] ^= 0xff;
        for blob in [&whole[..whole.len() - 3], &damaged, b"BZh91AY&SY", b"\xfd7zXZ\0\0"] {
            let counter = Counter::default();
            counter.take(blob);
            assert_eq!(counter.finish(), (Sha256::of(blob), None));
        }
        assert_eq!(Counter::default().finish().1, Some(0));
    }
}
