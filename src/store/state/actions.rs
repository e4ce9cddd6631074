//! What steps made, by their keys. The snapshot's part stays on disk, sorted, and is searched there: only a step that is
//! about to run asks, and 10^6 of these rows would be half of all memory.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::record::StoredOutput;
use super::wire::Cursor;
use crate::store::{Digest, Sha256};

/// Bytes of a row: one output of one key, with its own check.
pub(super) const ROW: usize = 128;
/// Where in it the check is.
const CHECK: usize = ROW - 8;
/// Rows that are read with one call when all are.
const BLOCK: u64 = 512;

#[derive(Default)]
pub(super) struct Actions {
    stored: Stored,
    /// Those since the snapshot; they replace what is stored.
    fresh: BTreeMap<Digest, Box<[StoredOutput]>>,
    /// Stored ones that are forgotten: the next snapshot leaves them out.
    forgotten: HashSet<Digest>,
}

/// The rows of a snapshot, sorted by key and ordinal.
#[derive(Default)]
pub(super) struct Stored {
    file: Option<File>,
    start: u64,
    rows: u64,
}

impl Actions {
    /// Rows are checked as they are read, not now. `len` bytes from `start` on are there.
    pub fn stored_in(file: File, start: u64, len: u64) -> Self {
        Self { stored: Stored { file: Some(file), start, rows: len / ROW as u64 }, ..Self::default() }
    }

    pub fn get(&self, key: &Digest) -> Option<Vec<StoredOutput>> {
        match self.fresh.get(key) {
            Some(outputs) => Some(outputs.to_vec()),
            None if self.forgotten.contains(key) => None,
            // An unreadable row is one that is not there: the step runs again.
            None => self.stored.find(key).unwrap_or_default(),
        }
    }

    /// Forgotten ones count until the next snapshot.
    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.stored.rows == 0
    }

    /// Whether that changed anything: what is made once more was first made before.
    pub fn put(&mut self, key: Digest, outputs: &[StoredOutput]) -> bool {
        let undated = |outputs: &[StoredOutput]| -> Vec<_> {
            outputs.iter().map(|output| StoredOutput { made_at: 0, ..*output }).collect()
        };
        if self.get(&key).is_some_and(|known| undated(&known) == undated(outputs)) {
            return false;
        }
        self.replace(key, outputs);
        true
    }

    /// The same without a look at what is there.
    pub fn replace(&mut self, key: Digest, outputs: &[StoredOutput]) {
        self.fresh.insert(key, outputs.into());
    }

    /// Forgets what this key made. It lasts once a snapshot is written.
    pub fn forget(&mut self, key: Digest) {
        self.fresh.remove(&key);
        self.forgotten.insert(key);
    }

    /// Gives all rows in their order to `sink`: stored and fresh merged, damaged ones left out.
    pub fn write(&self, mut sink: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.each(|key, outputs| write_group(key, outputs, &mut sink))
    }

    /// Shows every key with what it made, in the order of the keys.
    pub fn each(&self, mut see: impl FnMut(&Digest, &[StoredOutput]) -> io::Result<()>) -> io::Result<()> {
        let mut fresh = self.fresh.iter().peekable();
        let mut stored = Group::default();
        for at in 0..self.stored.rows {
            let Some(row) = stored.next_row(&self.stored, at)? else { continue };
            if !stored.complete(&row) || self.forgotten.contains(&row.key) {
                continue;
            }
            let key = row.key;
            while let Some((k, outputs)) = fresh.next_if(|(k, _)| **k < key) {
                see(k, outputs)?;
            }
            if fresh.peek().is_none_or(|(k, _)| **k != key) {
                see(&key, &stored.outputs)?;
            }
        }
        fresh.try_for_each(|(k, outputs)| see(k, outputs))
    }
}

impl Stored {
    fn find(&self, key: &Digest) -> io::Result<Option<Vec<StoredOutput>>> {
        let (mut low, mut high) = (0, self.rows);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.key(middle)? < *key { low = middle + 1 } else { high = middle }
        }
        let mut outputs = Vec::new();
        for at in low..self.rows {
            let mut bytes = [0; ROW];
            self.read(at, &mut bytes)?;
            let Some(row) = Row::read(&bytes).filter(|r| r.key == *key && r.ordinal as usize == outputs.len()) else {
                break;
            };
            outputs.extend(row.output);
            if outputs.len() == row.count as usize {
                return Ok(Some(outputs));
            }
        }
        Ok(None)
    }

    fn key(&self, at: u64) -> io::Result<Digest> {
        let mut key = [0; 32];
        self.read(at, &mut key)?;
        Ok(Digest(key))
    }

    fn read(&self, at: u64, buf: &mut [u8]) -> io::Result<()> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.read_exact_at(buf, self.start + at * ROW as u64)
    }
}

/// Gathers the rows of one key while all are read in order.
#[derive(Default)]
struct Group {
    block: Vec<u8>,
    key: Digest,
    outputs: Vec<StoredOutput>,
}

impl Group {
    fn next_row(&mut self, stored: &Stored, at: u64) -> io::Result<Option<Row>> {
        let in_block = (at % BLOCK) as usize;
        if in_block == 0 {
            self.block.resize(BLOCK.min(stored.rows - at) as usize * ROW, 0);
            stored.read(at, &mut self.block)?;
        }
        Ok(self.block[in_block * ROW..].first_chunk().and_then(Row::read))
    }

    /// Adds the row, and says whether it was the last of its key.
    fn complete(&mut self, row: &Row) -> bool {
        if row.ordinal == 0 {
            self.key = row.key;
            self.outputs.clear();
        }
        if self.key != row.key || self.outputs.len() != row.ordinal as usize {
            return false;
        }
        self.outputs.extend(row.output);
        self.outputs.len() == row.count as usize
    }
}

struct Row {
    key: Digest,
    ordinal: u32,
    count: u32,
    /// A key without outputs has one row, and nothing in it.
    output: Option<StoredOutput>,
}

impl Row {
    fn read(bytes: &[u8; ROW]) -> Option<Self> {
        if Digest::of(&bytes[..CHECK]).short() != bytes[CHECK..] {
            return None;
        }
        let mut c = Cursor(bytes);
        let (key, content, blob) = (Digest(c.array()?), Digest(c.array()?), Sha256(c.array()?));
        let (size, ordinal, count, executable) = (c.u64()?, c.u32()?, c.u32()?, c.u8()? != 0);
        // An i64 without its highest byte, which is none in a hundred thousand years.
        let [a, b, d, e, f, g, h] = c.array()?;
        let made_at = i64::from_le_bytes([a, b, d, e, f, g, h, 0]);
        let output = (count > 0).then_some(StoredOutput { content, blob, size, executable, made_at });
        Some(Self { key, ordinal, count, output })
    }
}

fn write_group(
    key: &Digest,
    outputs: &[StoredOutput],
    sink: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    // No command line names 2^32 outputs.
    let count = outputs.len() as u32;
    let mut row = [0; ROW];
    row[..32].copy_from_slice(&key.0);
    row[108..112].copy_from_slice(&count.to_le_bytes());
    if outputs.is_empty() {
        return sink(sealed(&mut row));
    }
    for (ordinal, output) in (0u32..).zip(outputs) {
        row[32..64].copy_from_slice(&output.content.0);
        row[64..96].copy_from_slice(&output.blob.0);
        row[96..104].copy_from_slice(&output.size.to_le_bytes());
        row[104..108].copy_from_slice(&ordinal.to_le_bytes());
        row[112] = u8::from(output.executable);
        row[113..CHECK].copy_from_slice(&output.made_at.to_le_bytes()[..7]);
        sink(sealed(&mut row))?;
    }
    Ok(())
}

fn sealed(row: &mut [u8; ROW]) -> &[u8] {
    let check = Digest::of(&row[..CHECK]).short();
    row[CHECK..].copy_from_slice(&check);
    row
}
