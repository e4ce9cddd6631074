//! Opening: the newest snapshot that is good, the journals from there on, and what is done with what is not good.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

use super::actions::Actions;
use super::change::Change;
use super::folder::{self, Generation, Kind, aside};
use super::format::{Fault, VERSION};
use super::journal::{self, End, Journal, Replayed};
use super::memory::Memory;
use super::record::{SetAside, StateError};
use super::{Access, State, failed, snapshot};
use crate::store::Digest;

/// What follows for the person, whatever it was that was lost.
const CONSEQUENCE: &str = "the outputs that it told of are checked again, and made again where that is not enough";

pub(super) fn open(dir: &Path, access: Access) -> Result<(State, Vec<SetAside>), StateError> {
    let cannot_read = failed("read", dir);
    let generations = folder::open(dir).map_err(&cannot_read)?;
    let mut opening = Opening { dir, access, set_aside: Vec::new() };

    let (base, mut memory, mut actions) = opening.base(&generations)?;
    let mut last = None;
    for generation in generations.iter().filter(|g| g.number >= base) {
        let Some(file) = &generation.journal else { continue };
        let read = journal::replay(file, generation.number, |change| apply(change, &mut memory, &mut actions))
            .map_err(|fault| opening.refusal(fault))?;
        opening.mend_journal(file, generation.number, read)?;
        last = Some((generation.number, read));
    }

    let newest = generations.last().map_or(1, |g| g.number);
    let snapshot_len = generations.iter().find(|g| g.number == base).and_then(|g| g.snapshot.as_ref());
    let snapshot_len = snapshot_len.map_or(Ok(0), |s| s.metadata().map(|m| m.len())).map_err(&cannot_read)?;
    let journal = match access {
        Access::Look => None,
        Access::Write => {
            folder::tidy(dir, base).map_err(failed("write", dir))?;
            let read = last.filter(|(number, _)| *number == newest).map(|(_, read)| read);
            Some(Journal::new(dir, newest, read))
        }
    };
    let mended = !opening.set_aside.is_empty();
    let state = State { dir: dir.to_owned(), memory, actions, journal, snapshot_len, mended };
    Ok((state, opening.set_aside))
}

fn apply(change: Change<'_>, memory: &mut Memory, actions: &mut Actions) {
    match change {
        Change::File { path, record } => {
            let id = memory.intern(path);
            memory.put_file(id, &record);
        }
        Change::Step { path, key, template, details } => {
            let id = memory.intern(path);
            memory.put_step_encoded(id, key, template, details);
        }
        Change::Template { text } => {
            memory.templates.put(Digest::of(text.as_bytes()), text, false);
        }
        Change::Action { key, outputs } => {
            actions.replace(key, &outputs);
        }
        Change::Remove { path } => {
            if let Some(id) = memory.paths.find(path) {
                memory.remove(id);
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
    /// The newest good snapshot and its generation. Without one it is 0: the journals alone still tell the newest of all that
    /// they mention.
    fn base(&mut self, generations: &[Generation]) -> Result<(u64, Memory, Actions), StateError> {
        for generation in generations.iter().rev() {
            let Some(file) = &generation.snapshot else { continue };
            match snapshot::load(file, generation.number) {
                Ok((memory, actions)) => return Ok((generation.number, memory, actions)),
                Err(Fault::Damaged) => self.mend_snapshot(generation.number)?,
                Err(fault) => return Err(self.refusal(fault)),
            }
        }
        Ok((0, Memory::default(), Actions::default()))
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

    /// A frame that was not written to its end is what a kill leaves, and cut off without a word.
    fn mend_journal(&mut self, file: &File, number: u64, read: Replayed) -> Result<(), StateError> {
        let name = Kind::Journal.name(number);
        let lost = read.len - read.good;
        if read.end == End::Damaged {
            let kept =
                if read.good == 0 { self.rename_aside(&name)? } else { self.copy_aside(file, &name, read.good)? };
            self.report(format!(
                "the journal {name} of the state is damaged: its last {lost} bytes were not used{kept}; {CONSEQUENCE}"
            ));
        }
        if read.end != End::Whole && read.good > 0 && self.access == Access::Write {
            let path = self.dir.join(&name);
            let cut = File::options().write(true).open(&path).and_then(|f| f.set_len(read.good));
            cut.map_err(failed("write", &path))?;
        }
        Ok(())
    }

    /// Where it was put, as the end of a sentence.
    fn rename_aside(&self, name: &str) -> Result<String, StateError> {
        if self.access == Access::Look {
            return Ok(String::new());
        }
        let from = self.dir.join(name);
        let to = aside(self.dir, name);
        fs::rename(&from, self.dir.join(&to)).map_err(failed("write", &from))?;
        Ok(format!(" (kept as {to})"))
    }

    fn copy_aside(&self, file: &File, name: &str, from: u64) -> Result<String, StateError> {
        if self.access == Access::Look {
            return Ok(String::new());
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
