//! The journal: what changed since the snapshot, in frames that are only ever added to its end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::change::Change;
use super::folder::{self, Kind};
use super::format::{Fault, PRELUDE, Point, VERSION, check_prelude, prelude};
use super::wire::Cursor;
use crate::store::Digest;

const MAGIC: &[u8; 8] = b"lm-jrnl\n";
/// The prelude, the generation (8), the point in history that it begins at (8), a check over these (8).
const HEADER: usize = PRELUDE + 24;
/// A frame's length (u64), changes (u32), check of these two (4 bytes), check of all (8 bytes).
const FRAME: usize = 24;
/// A buffer that a big flush left behind is not kept beyond this.
const KEPT_BUFFER: usize = 1 << 20;

/// Where a journal stopped being readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It did not.
    Whole,
    /// In a frame that was being written when its writer died: nothing unusual.
    Torn,
    /// In bytes that are not what was written.
    Damaged,
}

/// How far a journal was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replayed {
    /// Bytes up to the end of the last good frame; 0 where not even the header is good.
    pub good: u64,
    /// Bytes there are.
    pub len: u64,
    pub end: End,
    /// Where history stands after the last good frame.
    pub point: Point,
    /// The version of its format.
    pub version: u32,
}

/// Where history stood when this journal was begun; `None` where its header is not good.
pub(super) fn begins_at(mut file: &File, generation: u64) -> Result<Option<Point>, Fault> {
    file.seek(SeekFrom::Start(0))?;
    Ok(read_header(&mut file, generation)?.ok().map(|header| header.begin))
}

/// A header that is good.
struct Header {
    version: u32,
    /// The points before and after it.
    begin: Point,
    end: Point,
}

/// The header, or how it is not good.
fn read_header(reader: &mut impl Read, generation: u64) -> Result<Result<Header, End>, Fault> {
    let mut head = [0; HEADER];
    if !fill(reader, &mut head, HEADER as u64)? {
        return Ok(Err(End::Torn));
    }
    let version = match check_prelude(MAGIC, &head) {
        Err(Fault::Damaged) => return Ok(Err(End::Damaged)),
        other => other?,
    };
    let mut c = Cursor(&head[PRELUDE + 8..]);
    let begin = c.array().ok_or(Fault::Damaged)?;
    let good = head == header(version, generation, begin);
    Ok(if good { Ok(Header { version, begin, end: header_check(&head) }) } else { Err(End::Damaged) })
}

/// Gives every change of every good frame to `apply`, from the first on.
pub(super) fn replay(file: &File, generation: u64, mut apply: impl FnMut(Change<'_>)) -> Result<Replayed, Fault> {
    let len = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(1 << 16, file);
    reader.seek(SeekFrom::Start(0))?;
    let mut done = Replayed { good: 0, len, end: End::Whole, point: Point::default(), version: VERSION };
    let stopped = |end, done: Replayed| Ok(Replayed { end, ..done });
    match read_header(&mut reader, generation)? {
        Err(end) => return stopped(end, done),
        Ok(header) => (done.version, done.point) = (header.version, header.end),
    }
    done.good = HEADER as u64;

    let mut payload = Vec::new();
    while done.good < len {
        let left = len - done.good;
        let mut head = [0; FRAME];
        if !fill(&mut reader, &mut head, left)? {
            return stopped(End::Torn, done);
        }
        let frame = FrameHead::read(&head);
        if frame.head_check != head_check(&done.point, &head[..12]) {
            return stopped(End::Damaged, done);
        }
        let after = left - FRAME as u64;
        if frame.len > after {
            return stopped(End::Torn, done);
        }
        payload.resize(usize::try_from(frame.len).map_err(|_| Fault::Damaged)?, 0);
        if !fill(&mut reader, &mut payload, after)? {
            return stopped(End::Torn, done);
        }
        let check = frame_check(&done.point, &head[..12], &payload);
        if check != frame.check || apply_frame(&payload, frame.count, &mut apply).is_none() {
            return stopped(End::Damaged, done);
        }
        done.good += FRAME as u64 + frame.len;
        done.point = check;
    }
    Ok(done)
}

fn apply_frame(payload: &[u8], count: u32, apply: &mut impl FnMut(Change<'_>)) -> Option<()> {
    let mut c = Cursor(payload);
    for _ in 0..count {
        apply(Change::read(&mut c)?);
    }
    c.is_empty().then_some(())
}

/// False where fewer than `buf.len()` of the `left` bytes remain, or a writer has cut them off meanwhile.
fn fill(reader: &mut impl Read, buf: &mut [u8], left: u64) -> io::Result<bool> {
    if left < buf.len() as u64 {
        return Ok(false);
    }
    match reader.read_exact(buf) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        other => other.map(|()| true),
    }
}

struct FrameHead {
    len: u64,
    count: u32,
    head_check: [u8; 4],
    check: [u8; 8],
}

impl FrameHead {
    fn read(bytes: &[u8; FRAME]) -> Self {
        let mut c = Cursor(bytes);
        let fields = (|| Some(Self { len: c.u64()?, count: c.u32()?, head_check: c.array()?, check: c.array()? }))();
        fields.expect("24 bytes hold 8 + 4 + 4 + 8")
    }
}

/// It tells a frame that was not written to its end from one whose length is wrong.
fn head_check(before: &Point, len_and_count: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = frame_check(before, len_and_count, &[]);
    [a, b, c, d]
}

/// Every check covers the one before it, the first one the generation: a frame is good only in its own place.
fn frame_check(before: &Point, len_and_count: &[u8], payload: &[u8]) -> Point {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(len_and_count).update(payload);
    Digest(*hasher.finalize().as_bytes()).short()
}

fn header_check(header: &[u8; HEADER]) -> Point {
    Digest::of(&header[..HEADER - 8]).short()
}

fn header(version: u32, generation: u64, begin: Point) -> [u8; HEADER] {
    let mut head = [0; HEADER];
    head[..PRELUDE].copy_from_slice(&prelude(MAGIC, version));
    head[PRELUDE..PRELUDE + 8].copy_from_slice(&generation.to_le_bytes());
    head[PRELUDE + 8..PRELUDE + 16].copy_from_slice(&begin);
    let check = header_check(&head);
    head[HEADER - 8..].copy_from_slice(&check);
    head
}

/// The end of a journal, for the one who writes it.
pub(super) struct Journal {
    path: PathBuf,
    generation: u64,
    /// Opened (and made, with its folder) for the first write, so that a build that changes nothing writes nothing.
    file: Option<File>,
    /// Bytes of good frames; what lies behind them was not written to its end.
    good: u64,
    /// Where history stands behind them.
    point: Point,
    /// The next frame: room for its head, then its changes.
    pending: Vec<u8>,
    count: u32,
    /// Something may lie behind the good frames: the rest of a write that failed, or a header that was torn.
    ragged: bool,
    /// The file's name is on the disk for certain: whoever made it may have died before that.
    name_synced: bool,
}

impl Journal {
    /// The journal that goes on at this point of history, behind this many good bytes.
    pub fn new(dir: &Path, generation: u64, point: Point, good: u64) -> Self {
        let path = Kind::Journal.path(dir, generation);
        Self {
            path,
            generation,
            file: None,
            good,
            point,
            pending: Vec::new(),
            count: 0,
            ragged: true,
            name_synced: false,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Where history stands behind what was flushed.
    pub fn point(&self) -> Point {
        self.point
    }

    /// Bytes of good frames.
    pub fn len(&self) -> u64 {
        self.good
    }

    pub fn push(&mut self, change: &Change<'_>) {
        if self.pending.is_empty() {
            self.pending.resize(FRAME, 0);
        }
        change.write(&mut self.pending);
        self.count = self.count.checked_add(1).expect("2^32 changes are flushed long before they are all made");
    }

    /// Writes what is pending as one frame with one call. After an error it is pending still.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let file = self.file.take().map_or_else(|| self.open(), Ok)?;
        let written = self.write_frame(&file);
        if written.is_err() {
            // A full disk is not to be kept full by half a frame.
            self.ragged = file.set_len(self.good).is_err();
        }
        self.file = Some(file);
        written
    }

    fn open(&self) -> io::Result<File> {
        self.path.parent().map_or(Ok(()), fs::create_dir_all)?;
        OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)
    }

    fn write_frame(&mut self, file: &File) -> io::Result<()> {
        if self.ragged && file.metadata()?.len() != self.good {
            file.set_len(self.good)?;
        }
        self.ragged = false;
        if self.good == 0 {
            let header = header(VERSION, self.generation, self.point);
            file.write_all_at(&header, 0)?;
            self.good = HEADER as u64;
            self.point = header_check(&header);
        }
        let point = self.seal();
        file.write_all_at(&self.pending, self.good)?;
        self.good += self.pending.len() as u64;
        self.point = point;
        self.count = 0;
        self.pending.clear();
        self.pending.shrink_to(KEPT_BUFFER);
        Ok(())
    }

    /// Fills in the frame's head, and gives the point behind it.
    fn seal(&mut self) -> Point {
        let len = (self.pending.len() - FRAME) as u64;
        self.pending[..8].copy_from_slice(&len.to_le_bytes());
        self.pending[8..12].copy_from_slice(&self.count.to_le_bytes());
        let head = head_check(&self.point, &self.pending[..12]);
        self.pending[12..16].copy_from_slice(&head);
        let check = frame_check(&self.point, &self.pending[..12], &self.pending[FRAME..]);
        self.pending[16..FRAME].copy_from_slice(&check);
        check
    }

    /// Waits until the disk has what was flushed.
    pub fn sync(&mut self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        file.sync_data()?;
        if !self.name_synced {
            self.path.parent().map_or(Ok(()), folder::sync)?;
            self.name_synced = true;
        }
        Ok(())
    }
}
