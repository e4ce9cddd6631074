//! How large layers are, where no manifest says it. The size of an unpacked layer is read from the ends of its blob where
//! they tell it, and otherwise counted as the blob comes by; none is kept.
//!
//! The ends tell of one gzip member, and of one zstd frame. That there is more is seen where another member begins near
//! the end, and where what is told cannot be a whole layer: a tar is a multiple of 512 bytes, and hardly smaller than its
//! blob. The end of a gzip tells its size modulo 4 GiB: where it may be larger, packed to no less than a sixteenth, the
//! blob is counted.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::bufread::MultiGzDecoder;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::Semaphore;

use super::counter::Counter;
use super::manifest::SIZE_MAX;
use super::{Files, Image};
use crate::registry::flight::Flights;
use crate::registry::{Answer, SourceError};
use crate::store::Sha256;
use crate::store::blobs::Blobs;
use crate::store::sizes::{Measure, Seen};

/// What is being found out.
pub type Measures = Flights<(Measure, Sha256), Result<Answer<Told>, SourceError>>;

/// A size, and how much of the blob tells it, where that was read.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    size: u64,
    seen: Option<Seen>,
}

/// Some bytes of a blob; `None` where there are whole ones only.
pub type Piece<'a> = BoxFuture<'a, Result<Answer<Option<Vec<u8>>>, SourceError>>;

/// Layers of an image that are looked at together.
const TOGETHER: usize = 8;
/// Blobs that are counted at the same time, of all sources: one of zstd may need 128 MiB to be unpacked.
static COUNTING: Semaphore = Semaphore::const_new(4);
/// What the end of a gzip member tells is the size modulo this.
const GZIP_WRAPS: u64 = 1 << 32;
/// A layer that may be larger than that is counted, unless it would be packed this much.
const GZIP_RATIO: u64 = 16;
/// What no deflate stream exceeds (RFC 1951: 258 bytes for two bits).
const DEFLATE_RATIO: u64 = 1032;
/// How much of the end of a gzip is looked at: what comes in one round trip. A blob that is no longer is seen whole.
const GZIP_END: u64 = 14 << 10;
/// The longest header of a zstd frame (RFC 8878, 3.1.1.1).
const ZSTD_HEADER: u64 = 18;

/// Where the blobs of layers are.
pub trait Pieces: Send + Sync {
    /// What is being found out of them.
    fn measures(&self) -> &Measures;

    /// How large a blob is.
    fn size<'a>(&'a self, digest: &'a Sha256) -> BoxFuture<'a, Result<Answer<u64>, SourceError>>;

    /// So many bytes from a place on.
    fn piece<'a>(&'a self, digest: &'a Sha256, start: u64, length: u64) -> Piece<'a>;

    /// Shows a blob of this size to a counter.
    fn count<'a>(
        &'a self,
        digest: &'a Sha256,
        size: u64,
        counter: &'a Arc<Counter>,
    ) -> BoxFuture<'a, Result<Answer<()>, SourceError>>;
}

/// How large a blob is, which is asked once for all images that have it.
pub async fn packed<P: Pieces + ?Sized>(pieces: &P, blobs: &Blobs, digest: Sha256) -> Result<Answer<u64>, SourceError> {
    let told = |size| Told { size, seen: None };
    let ask = || async { Ok(pieces.size(&digest).await?.map(told)) };
    Ok(once(pieces, blobs, Measure::Packed, digest, ask).await?.map(|told| told.size))
}

/// Puts the sizes of the unpacked layers in place of those of their blobs.
pub async fn unpack<P: Pieces + ?Sized>(pieces: &P, blobs: &Blobs, image: &mut Image) -> Result<(), SourceError> {
    let mut seen = HashSet::new();
    let files = image.layers.iter().filter_map(|l| l.files.as_ref()).filter(|f| seen.insert(f.digest.as_str()));
    // In their order: of several that cannot be had, the first is told.
    let distinct: Vec<Files> = files.cloned().collect();
    let sizes: HashMap<String, Answer<u64>> = stream::iter(distinct)
        .map(|files| async move {
            let size = unpacked(pieces, blobs, &files).await?;
            Ok::<_, SourceError>((files.digest, size))
        })
        .buffered(TOGETHER)
        .try_collect()
        .await?;
    image.set_unpacked(|files| match sizes.get(&files.digest) {
        Some(Answer::Found(size)) => Ok(*size),
        Some(Answer::Absent(why)) => Err(why.clone()),
        None => Err(format!("{} was not looked at", files.digest)),
    });
    Ok(())
}

/// The size of a layer, unpacked, or why that is not to be had.
async fn unpacked<P: Pieces + ?Sized>(pieces: &P, blobs: &Blobs, files: &Files) -> Result<Answer<u64>, SourceError> {
    // Nobody but its owner can unpack what is encrypted.
    if files.media_type.ends_with("+encrypted") {
        return Ok(Answer::Absent(format!("{} is encrypted", files.digest)));
    }
    let Ok(digest) = files.digest.parse::<Sha256>() else {
        return Ok(Answer::Absent(format!("{} is of a hash that is not known", files.digest)));
    };
    if files.media_type.ends_with(".tar") && files.diff_id == files.digest {
        return Ok(Answer::Found(files.size));
    }
    let answer = once(pieces, blobs, Measure::Unpacked, digest, || look(pieces, digest, files)).await?;
    Ok(answer.map(|told| told.size))
}

async fn look<P: Pieces + ?Sized>(pieces: &P, digest: Sha256, files: &Files) -> Result<Answer<Told>, SourceError> {
    let packed = files.size;
    let is_gzip = files.media_type.ends_with("gzip");
    let length = match is_gzip {
        true => GZIP_END,
        false if files.media_type.ends_with("zstd") => ZSTD_HEADER,
        false => 0,
    };
    let is_short = packed <= length;
    if length > 0 && !is_short {
        let start = if is_gzip { packed - length } else { 0 };
        let bytes = match pieces.piece(&digest, start, length).await? {
            Answer::Absent(why) => return Ok(Answer::Absent(why)),
            Answer::Found(bytes) => bytes,
        };
        let told = bytes.and_then(|b| if is_gzip { gzip_size(packed, &b) } else { zstd_size(&b) });
        if let Some(size) = told.filter(|size| may_be_all(packed, *size)) {
            let seen = Some(if is_gzip { Seen::End } else { Seen::Start });
            return Ok(Answer::Found(Told { size, seen }));
        }
    }
    let turn = async { if is_short { None } else { Some(COUNTING.acquire().await) } };
    let _turn = turn.await.transpose().map_err(|e| SourceError::new(e.to_string()))?;
    let counter = Arc::new(Counter::default());
    if let Answer::Absent(why) = pieces.count(&digest, packed, &counter).await? {
        return Ok(Answer::Absent(why));
    }
    Ok(match counter.finish() {
        (came, _) if came != digest => {
            return Err(SourceError::new(format!("expected content of {digest}, but what came is {came}")));
        }
        (_, Some(size)) => Answer::Found(Told { size, seen: Some(Seen::All) }),
        (_, None) => Answer::Absent(format!("{digest} cannot be unpacked")),
    })
}

/// Whether a layer of this size may be all that is in the blob.
fn may_be_all(packed: u64, size: u64) -> bool {
    size.is_multiple_of(512) && size.saturating_add(size / 512 + 64) >= packed
}

/// What the last four bytes of a gzip blob tell (RFC 1952, 2.3.1), where they tell it of all of the blob.
fn gzip_size(packed: u64, end: &[u8]) -> Option<u64> {
    let size = u64::from(u32::from_le_bytes(*end.last_chunk()?));
    let is_clear = size + GZIP_WRAPS > packed.saturating_mul(GZIP_RATIO);
    (is_clear && size <= packed.saturating_mul(DEFLATE_RATIO) && !has_member(end)).then_some(size)
}

/// Whether a gzip member begins in these bytes, and it or others reach to their end: all checksums hold.
fn has_member(end: &[u8]) -> bool {
    let begins =
        |bytes: &[u8]| bytes.starts_with(b"\x1f\x8b\x08") && bytes.get(3).is_some_and(|flags| flags & 0xe0 == 0);
    let reaches = |bytes| io::copy(&mut MultiGzDecoder::new(bytes), &mut io::sink()).is_ok();
    (0..end.len()).map(|at| &end[at..]).any(|bytes| begins(bytes) && reaches(bytes))
}

/// What the header of a zstd frame tells (RFC 8878, 3.1.1.1), where it does.
fn zstd_size(header: &[u8]) -> Option<u64> {
    let (descriptor, rest) = header.strip_prefix(b"\x28\xb5\x2f\xfd")?.split_first()?;
    let is_single_segment = descriptor & 0x20 != 0;
    let window = usize::from(!is_single_segment);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let (length, more) = match descriptor >> 6 {
        0 if !is_single_segment => return None,
        0 => (1, 0),
        1 => (2, 256),
        2 => (4, 0),
        _ => (8, 0),
    };
    let field = rest.get(window + dictionary..)?.get(..length)?;
    let size = field.iter().rev().fold(0u64, |size, byte| size << 8 | u64::from(*byte));
    Some(size + more).filter(|size| *size <= SIZE_MAX)
}

async fn once<'a, P, F>(
    pieces: &P,
    blobs: &Blobs,
    measure: Measure,
    digest: Sha256,
    ask: impl Fn() -> F,
) -> Result<Answer<Told>, SourceError>
where
    P: Pieces + ?Sized,
    F: Future<Output = Result<Answer<Told>, SourceError>> + 'a,
{
    let known = || blobs.sizes().get(measure, &digest).map(|size| Told { size, seen: None });
    let is_ours = AtomicBool::new(false);
    let find_out = || async {
        is_ours.store(true, Ordering::Relaxed);
        // Whoever was in flight before may have found it out.
        if let Some(told) = known() {
            return Ok(Answer::Found(told));
        }
        let answer = ask().await?;
        if let Answer::Found(Told { size, seen }) = answer {
            let kept = blobs.sizes().put(measure, &digest, size, seen);
            kept.map_err(|e| SourceError::new(format!("cannot write to the store: {e}")))?;
        }
        Ok(answer)
    };
    if let Some(told) = known() {
        return Ok(Answer::Found(told));
    }
    match pieces.measures().run((measure, digest), find_out()).await? {
        // Who asked may have asked a repository that does not have what ours has.
        Answer::Absent(_) if !is_ours.load(Ordering::Relaxed) => find_out().await,
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_end_of_a_gzip_is_believed_where_it_can_be_the_size_of_a_layer() {
        let told =
            |packed: u64, size: u32| gzip_size(packed, &size.to_le_bytes()).filter(|size| may_be_all(packed, *size));
        assert_eq!(told(1000, 2048), Some(2048));
        assert_eq!(told(20_500, 20_480), Some(20_480), "what does not compress is a little larger packed");
        assert_eq!(told(1000, 2000), None, "no tar");
        assert_eq!(told(1000, 0), None, "the last of several members");
        assert_eq!(told(1000, 2 << 20), None, "more than deflate can do");
        assert_eq!(told(1 << 30, 512 << 20), None, "more than 4 GiB, or several members");
        assert_eq!(told(1 << 30, 2 << 30), None, "may be 6 GiB");
        assert_eq!(told(100 << 20, 300 << 20), Some(300 << 20));
    }

    #[test]
    fn another_member_near_the_end_is_seen() {
        let gzip = |bytes: &[u8]| {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(bytes).unwrap();
            packer.finish().unwrap()
        };
        let one = gzip(&[1; 4096]);
        assert!(has_member(&[&b"the end of another"[..], &one].concat()));
        assert!(has_member(&[&b"of three"[..], &one, &gzip(b"")].concat()));
        assert!(!has_member(&[b"bytes that look so \x1f\x8b\x08\0", &one[1..]].concat()));
        assert!(!has_member(&one[1..]));
        assert_eq!(gzip_size(40, &[&b"\x1f\x8b\x08\0"[..], &one].concat()), None);
    }

    #[test]
    fn the_header_of_a_zstd_frame_in_all_its_forms() {
        let header = |rest: &[u8]| [b"\x28\xb5\x2f\xfd", rest].concat();
        assert_eq!(zstd_size(&header(&[0x20, 200])), Some(200));
        assert_eq!(zstd_size(&header(&[0x60, 0, 1])), Some(512));
        assert_eq!(zstd_size(&header(&[0xa0, 0, 2, 0, 0, 9, 9])), Some(512));
        assert_eq!(zstd_size(&header(&[0x80, 0x50, 0, 2, 0, 0])), Some(512), "with a window");
        assert_eq!(zstd_size(&header(&[0x83, 0x50, 1, 2, 3, 4, 0, 2, 0, 0])), Some(512), "with a dictionary");
        assert_eq!(zstd_size(&header(&[0xe0, 0, 0, 0, 0, 1, 0, 0, 0])), Some(1 << 32));
        assert_eq!(zstd_size(&header(&[0xe0, 0, 0, 0, 0, 0, 0, 0, 0xff])), None, "no size");
        assert_eq!(zstd_size(&header(&[0x00, 0x50, 1])), None, "not said");
        assert_eq!(zstd_size(&header(&[0xa0, 0, 2])), None, "cut off");
        assert_eq!(zstd_size(b"\x50\x2a\x4d\x18\0\0\0\0"), None, "a frame to skip");
    }
}
