//! The records in memory: dense rows by path number, and one arena for what has no fixed width.

use std::collections::HashMap;

use super::arena::Arena;
use super::details;
use super::paths::{PathId, Paths};
use super::record::{FileRecord, Stamp, StepRecord};
use super::wire::{Cursor, Offset, Rows, offset, position};
use crate::store::Digest;

/// Bytes of a file's row: size, times, inode (8 each), content (32).
pub(super) const FILE_ROW: usize = 56;
/// Bytes of a step's row: key (32), the number of its template (4), where its details lie (5).
pub(super) const STEP_ROW: usize = 41;
pub(super) type StepRow = [u8; STEP_ROW];

pub(super) const HAS_FILE: u8 = 1;
pub(super) const SETTLED: u8 = 2;
pub(super) const HAS_STEP: u8 = 4;
/// In `step_of`: this path never was a step.
pub(super) const NO_STEP: [u8; 4] = [0xff; 4];

#[derive(Default)]
pub(super) struct Memory {
    pub paths: Paths,
    /// By path number: what there is of it.
    pub flags: Vec<u8>,
    /// By path number.
    pub files: Rows<FILE_ROW>,
    /// By path number: the number of its step's row. It outlives the step, to be used again.
    pub step_of: Rows<4>,
    pub steps: Rows<STEP_ROW>,
    pub details: Arena,
    pub templates: Templates,
    /// The details that were put last, encoded.
    pub encoded: Vec<u8>,
}

impl Memory {
    pub fn intern(&mut self, path: &str) -> PathId {
        self.paths.add(path).unwrap_or_else(|new| {
            self.flags.push(0);
            self.files.push(&[0; FILE_ROW]);
            self.step_of.push(&NO_STEP);
            new
        })
    }

    fn has(&self, id: PathId, flag: u8) -> bool {
        self.flags.get(id.index()).is_some_and(|f| f & flag != 0)
    }

    pub fn file(&self, id: PathId) -> Option<FileRecord> {
        if !self.has(id, HAS_FILE) {
            return None;
        }
        let mut c = Cursor(self.files.get(id.index())?);
        let stamp = Stamp { size: c.u64()?, times: c.i64()?, inode: c.u64()? };
        Some(FileRecord { stamp, content: Digest(c.array()?), settled: self.has(id, SETTLED) })
    }

    /// Whether that changed anything.
    pub fn put_file(&mut self, id: PathId, record: &FileRecord) -> bool {
        if self.file(id).as_ref() == Some(record) {
            return false;
        }
        let row = self.files.get_mut(id.index()).expect("a path has a row for its file");
        row[..8].copy_from_slice(&record.stamp.size.to_le_bytes());
        row[8..16].copy_from_slice(&record.stamp.times.to_le_bytes());
        row[16..24].copy_from_slice(&record.stamp.inode.to_le_bytes());
        row[24..].copy_from_slice(&record.content.0);
        let flags = &mut self.flags[id.index()];
        *flags = *flags & HAS_STEP | HAS_FILE | if record.settled { SETTLED } else { 0 };
        true
    }

    fn step_row(&self, id: PathId) -> Option<&StepRow> {
        if !self.has(id, HAS_STEP) {
            return None;
        }
        self.steps.get(u32::from_le_bytes(*self.step_of.get(id.index())?) as usize)
    }

    pub fn step_key(&self, id: PathId) -> Option<Digest> {
        Cursor(self.step_row(id)?).array().map(Digest)
    }

    pub fn step(&self, id: PathId) -> Option<StepRecord> {
        let (key, template, at) = split_step(self.step_row(id)?);
        details::decode(key, self.templates.digest(template)?, &self.details.get(at)?).map(|view| view.record())
    }

    /// Whether that changed anything.
    pub fn put_step(&mut self, id: PathId, record: &StepRecord) -> bool {
        let mut encoded = std::mem::take(&mut self.encoded);
        encoded.clear();
        details::encode(&mut encoded, record);
        let changed = self.put_step_encoded(id, record.key, record.template, &encoded);
        self.encoded = encoded;
        changed
    }

    /// The same for details that are encoded already.
    pub fn put_step_encoded(&mut self, id: PathId, key: Digest, template: Digest, encoded: &[u8]) -> bool {
        let template = self.templates.number(template);
        let old = self.step_row(id).map(split_step);
        if let Some((old_key, old_template, at)) = old
            && (old_key, old_template) == (key, template)
            && self.details.get(at).as_deref() == Some(encoded)
        {
            return false;
        }
        let replaced = old.map(|(_, _, at)| at).filter(|at| self.details.replace(*at, encoded));
        let at = replaced.unwrap_or_else(|| self.details.add(encoded));
        let row = join_step(key, template, offset(at));
        let slot = self.step_of.get_mut(id.index()).expect("a path has a slot for its step");
        match self.steps.get_mut(u32::from_le_bytes(*slot) as usize) {
            Some(old) => *old = row,
            None => {
                // There are fewer steps than paths, and those are counted in 32 bits.
                *slot = (self.steps.len() as u32).to_le_bytes();
                self.steps.push(&row);
            }
        }
        self.flags[id.index()] |= HAS_STEP;
        true
    }

    /// Whether there was anything to remove.
    pub fn remove(&mut self, id: PathId) -> bool {
        std::mem::take(&mut self.flags[id.index()]) & (HAS_FILE | HAS_STEP) != 0
    }

    /// The paths that have a file or a step.
    pub fn live(&self) -> impl Iterator<Item = PathId> + Clone {
        self.with(HAS_FILE | HAS_STEP)
    }

    pub fn with(&self, flags: u8) -> impl Iterator<Item = PathId> + Clone {
        (0..self.paths.len() as u32).map(PathId).filter(move |id| self.has(*id, flags))
    }

    /// The step's key, the number of its template, and where its details lie; of a path that is a step.
    pub fn step_parts(&self, id: PathId) -> (Digest, u32, u64) {
        self.step_row(id).map_or((Digest::default(), 0, 0), split_step)
    }

    /// Takes the details of all steps, in the order of [`Memory::with`], from where a snapshot has them now.
    pub fn move_details(&mut self, details: Arena, places: &[Offset]) {
        let mut places = places.iter();
        for (flags, slot) in self.flags.iter().zip(self.step_of.0.as_chunks().0) {
            if flags & HAS_STEP != 0
                && let Some(row) = self.steps.get_mut(u32::from_le_bytes(*slot) as usize)
                && let Some(place) = places.next()
            {
                row[36..].copy_from_slice(place);
            }
        }
        self.details = details;
    }
}

fn split_step(row: &StepRow) -> (Digest, u32, u64) {
    let mut c = Cursor(row);
    let fields = (|| Some((Digest(c.array()?), c.u32()?, position(c.array()?))))();
    fields.expect("a row holds its three fields: 32 + 4 + 5 bytes")
}

pub(super) fn join_step(key: Digest, template: u32, at: Offset) -> StepRow {
    let mut row = [0; 41];
    row[..32].copy_from_slice(&key.0);
    row[32..36].copy_from_slice(&template.to_le_bytes());
    row[36..].copy_from_slice(&at);
    row
}

/// The templates: a handful, however many steps there are.
#[derive(Default)]
pub(super) struct Templates {
    pub list: Vec<Template>,
    numbers: HashMap<Digest, u32>,
}

pub(super) struct Template {
    pub digest: Digest,
    /// A step may name one whose text was lost, or never came.
    pub text: Option<Box<str>>,
    /// It was put since the state was opened: steps that name it may still come.
    pub expected: bool,
}

impl Templates {
    pub fn digest(&self, number: u32) -> Option<Digest> {
        self.list.get(number as usize).map(|t| t.digest)
    }

    pub fn number(&mut self, digest: Digest) -> u32 {
        let list = &mut self.list;
        *self.numbers.entry(digest).or_insert_with(|| {
            list.push(Template { digest, text: None, expected: false });
            // There are no more templates than steps and calls to put one.
            list.len() as u32 - 1
        })
    }

    pub fn text(&self, digest: &Digest) -> Option<&str> {
        self.list.get(*self.numbers.get(digest)? as usize)?.text.as_deref()
    }

    /// Whether that is new.
    pub fn put(&mut self, digest: Digest, text: &str, expected: bool) -> bool {
        let number = self.number(digest) as usize;
        let template = &mut self.list[number];
        template.expected |= expected;
        let new = template.text.is_none();
        if new {
            template.text = Some(text.into());
        }
        new
    }
}
