//! Opening: the newest snapshot that is good, the journals from there on, and what is done with what is not good.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use super::actions::Actions;
use super::change::Change;
use super::folder::{self, Generation, Kind, aside};
use super::format::{Fault, Point, VERSION};
use super::journal::{self, End, Journal, Replayed};
use super::memory::Memory;
use super::record::{SetAside, StateError};
use super::snapshot::{self, Loaded};
use super::{Access, State, failed};
use crate::store::{Digest, lock};

/// What follows for the person, whatever it was that was lost.
const CONSEQUENCE: &str = "the outputs that it told of are checked again, and made again where that is not enough";

/// What one who only looks says of where it was put.
const LEFT: &str = " (a build sets it aside)";

pub(super) fn open(dir: &Path, access: Access) -> Result<(State, Vec<SetAside>), StateError> {
    let generations = folder::open(dir).map_err(failed("read", dir))?;
    let mut opening = Opening { dir, access, set_aside: Vec::new() };
    let mut history = opening.base(&generations)?;
    let mut good = 0;
    for generation in &generations[history.first..] {
        good = 0;
        if let Some(file) = &generation.journal {
            history = opening.behind_no_gap(history, file, generation.number)?;
            let read = journal::replay(file, generation.number, |change| history.apply(change));
            let read = read.map_err(|fault| opening.refusal(fault))?;
            history.older |= read.version < VERSION;
            opening.mend_journal(file, generation.number, read)?;
            if read.good > 0 {
                (good, history.point) = (read.good, Some(read.point));
            }
        }
    }

    let journal = match access {
        Access::Look => None,
        Access::Write => {
            if let Some(first) = generations.get(history.first) {
                folder::tidy(dir, first.number).map_err(failed("write", dir))?;
            }
            let newest = generations.last().map_or(1, |g| g.number);
            Some(Journal::new(dir, newest, history.point.unwrap_or_default(), good))
        }
    };
    let History { memory, actions, snapshot_len, older, .. } = history;
    let mended = !opening.set_aside.is_empty();
    let mut state = State { dir: dir.to_owned(), memory, actions, journal, snapshot_len, mended };
    if older {
        // Nothing new is added to an older file: the layermill that wrote it would misread it.
        state.write_snapshot()?;
    }
    Ok((state, opening.set_aside))
}

/// A run of history without a gap: its records are those of one moment. Records of two moments could agree on what never was.
#[derive(Default)]
struct History {
    /// The generations before this place are not needed.
    first: usize,
    memory: Memory,
    actions: Actions,
    /// Where it has come to; `None` where nothing was read yet, and any journal may begin it.
    point: Option<Point>,
    /// Bytes of the snapshot that it begins with.
    snapshot_len: u64,
    /// Something of it was in an older format.
    older: bool,
}

impl History {
    fn apply(&mut self, change: Change<'_>) {
        match change {
            Change::File { path, record } => {
                let id = self.memory.intern(path);
                self.memory.put_file(id, &record);
            }
            Change::Step { path, key, template, details } => {
                let id = self.memory.intern(path);
                self.memory.put_step_encoded(id, key, template, details);
            }
            Change::Template { text } => {
                self.memory.templates.put(Digest::of(text.as_bytes()), text, false);
            }
            Change::Action { key, outputs } => self.actions.replace(key, &outputs),
            Change::Remove { path } => {
                if let Some(id) = self.memory.paths.find(path) {
                    self.memory.remove(id);
                }
            }
        }
    }
}

struct Opening<'a> {
    dir: &'a Path,
    access: Access,
    set_aside: Vec<SetAside>,
}

impl Opening<'_> {
    /// The newest good snapshot. Without one, the journals alone still tell the newest of all that they mention.
    fn base(&mut self, generations: &[Generation]) -> Result<History, StateError> {
        for (first, generation) in generations.iter().enumerate().rev() {
            let Some(file) = &generation.snapshot else { continue };
            match snapshot::load(file, generation.number) {
                Ok(Loaded { memory, actions, point, len, version }) => {
                    let older = version < VERSION;
                    return Ok(History { first, memory, actions, point: Some(point), snapshot_len: len, older });
                }
                Err(Fault::Damaged) => self.mend_snapshot(generation.number)?,
                Err(fault) => return Err(self.refusal(fault)),
            }
        }
        Ok(History::default())
    }

    /// The same history where the journal goes on from where it has come to; otherwise a new one, which begins with the journal.
    fn behind_no_gap(&mut self, history: History, file: &File, number: u64) -> Result<History, StateError> {
        let begin = journal::begins_at(file, number).map_err(|fault| self.refusal(fault))?;
        match (history.point, begin) {
            (Some(point), Some(begin)) if point != begin => {}
            _ => return Ok(history),
        }
        self.report(format!(
            "the state from before {} is incomplete and was not used; {CONSEQUENCE}",
            Kind::Journal.name(number)
        ));
        Ok(History::default())
    }

    fn refusal(&self, fault: Fault) -> StateError {
        let source = match fault {
            Fault::Newer(found) => {
                let dir = self.dir.display().to_string();
                return StateError::Newer { dir, found, known: VERSION };
            }
            Fault::Io(source) => source,
            Fault::Damaged => io::ErrorKind::InvalidData.into(),
        };
        failed("read", self.dir)(source)
    }

    fn mend_snapshot(&mut self, number: u64) -> Result<(), StateError> {
        let name = Kind::Snapshot.name(number);
        let kept = self.rename_aside(&name)?;
        self.report(format!("the snapshot {name} of the state is damaged and was not used{kept}; {CONSEQUENCE}"));
        Ok(())
    }

    /// What is not good is not used. A frame that was not written to its end is what a kill leaves, or a file that was cut:
    /// no one can tell which.
    fn mend_journal(&mut self, file: &File, number: u64, read: Replayed) -> Result<(), StateError> {
        let name = Kind::Journal.name(number);
        // Of a journal that grew while it was read, more may be good than there was at first.
        let lost = read.len.saturating_sub(read.good);
        if read.end == End::Damaged {
            let kept =
                if read.good == 0 { self.rename_aside(&name)? } else { self.copy_aside(file, &name, read.good)? };
            self.report(format!(
                "the journal {name} of the state is damaged: its last {lost} bytes were not used{kept}; {CONSEQUENCE}"
            ));
        }
        if read.end == End::Torn && lost > 0 && !self.is_being_written() {
            self.report(format!(
                "the journal {name} of the state was not written to its end, as where a build was killed: its last {lost} \
                 bytes were not used; {CONSEQUENCE}"
            ));
        }
        let is_there = read.end == End::Torn || read.end == End::Damaged && read.good > 0;
        if is_there && self.access == Access::Write {
            let path = self.dir.join(&name);
            let cut = File::options().write(true).open(&path).and_then(|f| f.set_len(read.good));
            cut.map_err(failed("write", &path))?;
        }
        Ok(())
    }

    /// Whether a last frame that is not whole may only not be whole yet.
    fn is_being_written(&self) -> bool {
        self.access == Access::Look && self.dir.parent().is_some_and(lock::is_held_by_another)
    }

    /// Where it was put, as the end of a sentence.
    fn rename_aside(&self, name: &str) -> Result<String, StateError> {
        if self.access == Access::Look {
            return Ok(LEFT.to_owned());
        }
        let from = self.dir.join(name);
        let to = aside(self.dir, name);
        fs::rename(&from, self.dir.join(&to)).map_err(failed("write", &from))?;
        Ok(format!(" (kept as {to})"))
    }

    fn copy_aside(&self, file: &File, name: &str, from: u64) -> Result<String, StateError> {
        if self.access == Access::Look {
            return Ok(LEFT.to_owned());
        }
        let to = aside(self.dir, name);
        let path = self.dir.join(&to);
        copy_from(file, from, &path).map_err(failed("write", &path))?;
        Ok(format!(" (kept as {to})"))
    }

    fn report(&mut self, text: String) {
        self.set_aside.push(SetAside(text));
    }
}

fn copy_from(mut file: &File, start: u64, to: &Path) -> io::Result<u64> {
    file.seek(SeekFrom::Start(start))?;
    io::copy(&mut file, &mut File::create_new(to)?)
}
