//! A snapshot: the whole state in sections that are read straight into memory.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::actions::{Actions, ROW};
use super::arena::Arena;
use super::folder::{self, Kind};
use super::format::{Fault, PRELUDE, Point, VERSION, check_prelude, prelude};
use super::memory::{FILE_ROW, HAS_STEP, Memory, NO_STEP, STEP_ROW, Templates, join_step};
use super::paths::Paths;
use super::wire::{Cursor, Offset, Rows, offset, put_bytes, put_varint, varint_len};
use crate::store::Digest;

const MAGIC: &[u8; 8] = b"lm-snap\n";

/// The sections that are checked whole when a snapshot is opened, in their order. The actions follow them.
#[derive(Clone, Copy)]
enum Section {
    Text,
    Ends,
    Flags,
    Files,
    StepOf,
    Steps,
    Details,
    Templates,
}
const SECTIONS: usize = 8;

/// The prelude, generation and point in history (8 each), paths and steps (4 each), each section's length (8) and hash (32),
/// the length of the actions (8).
const HEADER: usize = PRELUDE + 24 + SECTIONS * 40 + 8;
/// The header and the hash over it.
const START: u64 = HEADER as u64 + 32;
/// Bytes that are read and hashed, or gathered and written, at a time: they stay in the processor's cache.
const CHUNK: usize = 1 << 18;

struct Header {
    version: u32,
    generation: u64,
    point: Point,
    paths: u32,
    steps: u32,
    sections: [(u64, [u8; 32]); SECTIONS],
    actions: u64,
}

impl Header {
    fn write(&self) -> Vec<u8> {
        let mut out = prelude(MAGIC, self.version).to_vec();
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.point);
        out.extend_from_slice(&self.paths.to_le_bytes());
        out.extend_from_slice(&self.steps.to_le_bytes());
        for (len, hash) in &self.sections {
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(hash);
        }
        out.extend_from_slice(&self.actions.to_le_bytes());
        let check = blake3::hash(&out);
        out.extend_from_slice(check.as_bytes());
        out
    }

    fn read(file: &mut impl Read) -> Result<Self, Fault> {
        let mut bytes = [0; START as usize];
        exact(file, &mut bytes)?;
        let version = check_prelude(MAGIC, &bytes)?;
        if blake3::hash(&bytes[..HEADER]) != bytes[HEADER..] {
            return Err(Fault::Damaged);
        }
        Self::fields(version, Cursor(&bytes[PRELUDE..HEADER])).ok_or(Fault::Damaged)
    }

    fn fields(version: u32, mut c: Cursor<'_>) -> Option<Self> {
        let (generation, point, paths, steps) = (c.u64()?, c.array()?, c.u32()?, c.u32()?);
        let mut sections = [(0, [0; 32]); SECTIONS];
        for section in &mut sections {
            *section = (c.u64()?, c.array()?);
        }
        Some(Self { version, generation, point, paths, steps, sections, actions: c.u64()? })
    }

    /// Whether the sections' lengths are those of their rows, and fill the file. Nothing is allocated before that is known.
    fn fits(&self, file_len: u64) -> bool {
        let rows = |section: Section, count: u32, width: usize| self.len(section) == u64::from(count) * width as u64;
        let total = self.sections.iter().try_fold(START, |sum, (len, _)| sum.checked_add(*len));
        total.and_then(|t| t.checked_add(self.actions)) == Some(file_len)
            && rows(Section::Ends, self.paths, 5)
            && rows(Section::Flags, self.paths, 1)
            && rows(Section::Files, self.paths, FILE_ROW)
            && rows(Section::StepOf, self.paths, 4)
            && rows(Section::Steps, self.steps, STEP_ROW)
            && self.actions.is_multiple_of(ROW as u64)
    }

    fn len(&self, section: Section) -> u64 {
        self.sections[section as usize].0
    }

    /// Where in the file a section begins.
    fn start(&self, section: Section) -> u64 {
        START + self.sections[..section as usize].iter().map(|s| s.0).sum::<u64>()
    }

    fn start_of_actions(&self) -> u64 {
        START + self.sections.iter().map(|s| s.0).sum::<u64>()
    }
}

#[cfg(test)]
pub(super) fn actions_start(mut file: &File) -> u64 {
    Header::read(&mut file).unwrap().start_of_actions()
}

/// A file that is shorter than it was is damaged, not unreadable.
fn exact(file: &mut impl Read, buf: &mut [u8]) -> Result<(), Fault> {
    match file.read_exact(buf) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(Fault::Damaged),
        other => Ok(other?),
    }
}

/// What a snapshot holds.
pub(super) struct Loaded {
    pub memory: Memory,
    pub actions: Actions,
    /// Where in history it was taken.
    pub point: Point,
    /// Bytes of the file.
    pub len: u64,
    /// The version of its format.
    pub version: u32,
}

/// Reads a snapshot. The actions keep the file open, and are read when they are asked for.
pub(super) fn load(mut file: &File, generation: u64) -> Result<Loaded, Fault> {
    let header = Header::read(&mut file)?;
    let len = file.metadata()?.len();
    if header.generation != generation || !header.fits(len) {
        return Err(Fault::Damaged);
    }
    let section = |s: Section| read_section(file, header.sections[s as usize]);
    let (text, ends) = (section(Section::Text)?, Rows(section(Section::Ends)?));
    let (flags, files) = (section(Section::Flags)?, Rows(section(Section::Files)?));
    let (step_of, steps) = (Rows(section(Section::StepOf)?), Rows(section(Section::Steps)?));
    let details = Arena::stored_in(file.try_clone()?, header.start(Section::Details), header.len(Section::Details));
    check_section(file, header.sections[Section::Details as usize])?;
    let templates = read_section(file, header.sections[Section::Templates as usize])?;
    let memory = Memory {
        paths: Paths::load(text, ends).ok_or(Fault::Damaged)?,
        flags,
        files,
        step_of,
        steps,
        details,
        templates: read_templates(Cursor(&templates)).ok_or(Fault::Damaged)?,
        ..Memory::default()
    };
    let actions = Actions::stored_in(file.try_clone()?, len - header.actions, header.actions);
    Ok(Loaded { memory, actions, point: header.point, len, version: header.version })
}

/// The next section, of this length and hash, with some room, so that the first path of this run moves nothing.
fn read_section(file: &File, (len, hash): (u64, [u8; 32])) -> Result<Vec<u8>, Fault> {
    let len = usize::try_from(len).map_err(|_| Fault::Damaged)?;
    let mut bytes = vec![0; len.saturating_add(len / 8)];
    bytes.truncate(len);
    let mut hasher = blake3::Hasher::new();
    for chunk in bytes.chunks_mut(CHUNK) {
        read_chunk(file, chunk, &mut hasher)?;
    }
    if hasher.finalize() == hash { Ok(bytes) } else { Err(Fault::Damaged) }
}

/// The same for one that stays where it is.
fn check_section(file: &File, (len, hash): (u64, [u8; 32])) -> Result<(), Fault> {
    let mut chunk = vec![0; CHUNK];
    let mut hasher = blake3::Hasher::new();
    let mut left = len;
    while left > 0 {
        let now = left.min(CHUNK as u64);
        read_chunk(file, &mut chunk[..now as usize], &mut hasher)?;
        left -= now;
    }
    if hasher.finalize() == hash { Ok(()) } else { Err(Fault::Damaged) }
}

fn read_chunk(mut file: &File, chunk: &mut [u8], hasher: &mut blake3::Hasher) -> Result<(), Fault> {
    exact(&mut file, chunk)?;
    hasher.update(chunk);
    Ok(())
}

fn read_templates(mut c: Cursor<'_>) -> Option<Templates> {
    let mut templates = Templates::default();
    while !c.is_empty() {
        let digest = Digest(c.array()?);
        match c.u8()? {
            0 => drop(templates.number(digest)),
            _ => drop(templates.put(digest, c.text()?, false)),
        }
    }
    Some(templates)
}

/// A snapshot that was written: what it has is had from it.
pub(super) struct Written {
    pub details: Arena,
    /// Where each step's details begin, in the order of the steps' paths.
    pub places: Vec<Offset>,
    pub actions: Actions,
    /// Bytes of the file.
    pub len: u64,
}

/// Writes a snapshot under its name, and waits until the disk has both. What was removed or replaced is left out, and
/// templates that no step names.
pub(super) fn write(
    dir: &Path,
    generation: u64,
    point: Point,
    memory: &Memory,
    actions: &Actions,
) -> io::Result<Written> {
    let temporary = Kind::Snapshot.temporary(dir, generation);
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&temporary)?;
    let written = write_file(file, generation, point, memory, actions).and_then(|done| {
        fs::rename(&temporary, Kind::Snapshot.path(dir, generation))?;
        folder::sync(dir)?;
        Ok(done)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_file(file: File, generation: u64, point: Point, memory: &Memory, actions: &Actions) -> io::Result<Written> {
    let mut out = Writer { file: &file, buffer: Vec::with_capacity(2 * CHUNK), hasher: blake3::Hasher::new(), len: 0 };
    out.file.seek(SeekFrom::Start(START))?;

    let (paths, steps) = (memory.live().count(), memory.with(HAS_STEP).count());
    let mut places = Vec::with_capacity(steps);
    let sections = write_sections(&mut out, memory, &mut places)?;
    actions.write(|row| out.put(row))?;
    let (actions, _) = out.end()?;

    // Both were counted from paths, whose numbers are u32.
    let header =
        Header { version: VERSION, generation, point, paths: paths as u32, steps: steps as u32, sections, actions };
    (&file).seek(SeekFrom::Start(0))?;
    (&file).write_all(&header.write())?;
    file.sync_all()?;
    let details = Arena::stored_in(file.try_clone()?, header.start(Section::Details), header.len(Section::Details));
    let start = header.start_of_actions();
    Ok(Written { details, places, actions: Actions::stored_in(file, start, actions), len: start + actions })
}

/// Numbers are given anew, in the old order: to the live paths, to the steps among them, to the templates of these.
fn write_sections(
    out: &mut Writer<'_>,
    memory: &Memory,
    places: &mut Vec<Offset>,
) -> io::Result<[(u64, [u8; 32]); SECTIONS]> {
    let (live, steps) = (memory.live(), memory.with(HAS_STEP));
    let mut templates = Renumbered { new: vec![None; memory.templates.list.len()], used: Vec::new() };

    live.clone().try_for_each(|id| out.put(memory.paths.get(id.index()).as_bytes()))?;
    let text = out.end()?;

    let mut end = 0;
    live.clone().try_for_each(|id| {
        end += memory.paths.get(id.index()).len();
        out.put(&offset(end as u64))
    })?;
    let ends = out.end()?;

    live.clone().try_for_each(|id| out.put(&[memory.flags[id.index()]]))?;
    let flags = out.end()?;

    live.clone().try_for_each(|id| out.put(memory.files.get(id.index()).unwrap_or(&[0; FILE_ROW])))?;
    let files = out.end()?;

    let mut number = 0u32;
    live.clone().try_for_each(|id| {
        if memory.flags[id.index()] & HAS_STEP == 0 {
            return out.put(&NO_STEP);
        }
        number += 1;
        out.put(&(number - 1).to_le_bytes())
    })?;
    let step_of = out.end()?;

    let unreadable = || io::Error::other("what it has of a step cannot be read");
    let mut at = 0;
    let mut reader = memory.details.reader(CHUNK);
    steps.clone().try_for_each(|id| {
        let (key, template, old) = memory.step_parts(id);
        let len = reader.get(old).ok_or_else(unreadable)?.len() as u64;
        places.push(offset(at));
        out.put(&join_step(key, templates.number(template), offset(at)))?;
        at += varint_len(len) as u64 + len;
        Ok::<_, io::Error>(())
    })?;
    let step_rows = out.end()?;

    let mut length = Vec::new();
    steps.clone().try_for_each(|id| {
        let details = reader.get(memory.step_parts(id).2).ok_or_else(unreadable)?;
        length.clear();
        put_varint(&mut length, details.len() as u64);
        out.put(&length)?;
        out.put(details)
    })?;
    let details = out.end()?;

    out.put(&templates.texts(&memory.templates))?;
    let templates = out.end()?;
    Ok([text, ends, flags, files, step_of, step_rows, details, templates])
}

/// Numbers the templates anew as steps turn up that name them.
struct Renumbered {
    new: Vec<Option<u32>>,
    used: Vec<u32>,
}

impl Renumbered {
    fn number(&mut self, old: u32) -> u32 {
        let Some(new) = self.new.get_mut(old as usize) else { return u32::MAX };
        *new.get_or_insert_with(|| {
            self.used.push(old);
            self.used.len() as u32 - 1
        })
    }

    /// Those that are named, and those that still may be.
    fn texts(mut self, templates: &Templates) -> Vec<u8> {
        for (old, template) in (0..).zip(&templates.list) {
            if template.expected {
                self.number(old);
            }
        }
        let mut texts = Vec::new();
        for old in self.used {
            let template = &templates.list[old as usize];
            texts.extend_from_slice(&template.digest.0);
            texts.push(u8::from(template.text.is_some()));
            if let Some(text) = &template.text {
                put_bytes(&mut texts, text.as_bytes());
            }
        }
        texts
    }
}

/// Gathers small pieces, and hashes and writes them as big ones.
struct Writer<'a> {
    file: &'a File,
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
    /// Bytes of this section that are written.
    len: u64,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < CHUNK { Ok(()) } else { self.write_out() }
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.hasher.update(&self.buffer);
        self.file.write_all(&self.buffer)?;
        self.len += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Ends the section: its length in bytes, and its hash.
    fn end(&mut self) -> io::Result<(u64, [u8; 32])> {
        self.write_out()?;
        let hash = *self.hasher.finalize().as_bytes();
        self.hasher.reset();
        Ok((std::mem::take(&mut self.len), hash))
    }
}
