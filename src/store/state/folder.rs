//! The folder of the state: which generations are there, and what becomes of files that are not good.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A reader that meets a writer's change of generations begins again; writers change them once a build.
const ATTEMPTS: u64 = 100;
/// More digits than that no counter reaches, and adding to such a number never overflows.
const DIGITS: usize = 18;
const TEMPORARY: &str = ".tmp";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Snapshot,
    Journal,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot-",
            Self::Journal => "journal-",
        }
    }

    pub fn name(self, generation: u64) -> String {
        format!("{}{generation}", self.prefix())
    }

    pub fn path(self, dir: &Path, generation: u64) -> PathBuf {
        dir.join(self.name(generation))
    }

    /// Where a file is written before it gets its name.
    pub fn temporary(self, dir: &Path, generation: u64) -> PathBuf {
        dir.join(self.name(generation) + TEMPORARY)
    }
}

/// A generation's files, open.
#[derive(Debug, Default)]
pub(super) struct Generation {
    pub number: u64,
    pub snapshot: Option<File>,
    pub journal: Option<File>,
}

/// Opens what is there, oldest first: all as it was at one moment, though a writer may be at work. An open file stays
/// readable when its name is removed.
pub(super) fn open(dir: &Path) -> io::Result<Vec<Generation>> {
    let mut names = list(dir)?;
    for attempt in 0..ATTEMPTS {
        let opened = open_names(dir, &names);
        let now = list(dir)?;
        match opened {
            Ok(generations) if now == names => return Ok(generations),
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        // Two who keep step would meet each time: the one who looks falls out of it.
        std::thread::sleep(Duration::from_millis(attempt));
        names = list(dir)?;
    }
    Err(io::Error::other("its files are replaced faster than they can be opened"))
}

fn open_names(dir: &Path, names: &[(u64, Kind)]) -> io::Result<Vec<Generation>> {
    let mut found = BTreeMap::<u64, Generation>::new();
    for &(number, kind) in names {
        let file = File::open(kind.path(dir, number))?;
        let generation = found.entry(number).or_default();
        generation.number = number;
        match kind {
            Kind::Snapshot => generation.snapshot = Some(file),
            Kind::Journal => generation.journal = Some(file),
        }
    }
    Ok(found.into_values().collect())
}

/// Sorted. A folder that is not there has nothing in it.
fn list(dir: &Path) -> io::Result<Vec<(u64, Kind)>> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().to_str().and_then(parse));
    }
    names.sort_unstable();
    Ok(names)
}

fn parse(name: &str) -> Option<(u64, Kind)> {
    [Kind::Snapshot, Kind::Journal].into_iter().find_map(|kind| {
        let digits = name.strip_prefix(kind.prefix()).filter(|d| d.len() <= DIGITS)?;
        let number = digits.parse().ok().filter(|n: &u64| *n > 0 && n.to_string() == digits)?;
        Some((number, kind))
    })
}

/// Removes the generations before this one, and files that never got their name.
pub(super) fn tidy(dir: &Path, keep_from: u64) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        let unnamed = name.strip_suffix(TEMPORARY).and_then(parse).is_some();
        if unnamed || parse(name).is_some_and(|(number, _)| number < keep_from) {
            fs::remove_file(dir.join(name))?;
        }
    }
    Ok(())
}

/// A name for what is taken out of the file `name`, that nothing has yet.
pub(super) fn aside(dir: &Path, name: &str) -> String {
    let first = format!("damaged-{name}");
    let more = (2..).map(|n| format!("damaged-{name}.{n}"));
    let free = |n: &String| !dir.join(n).exists();
    std::iter::once(first).chain(more).find(free).expect("a folder does not hold 2^31 files of one name")
}

/// Makes names that were given or taken away in this folder survive the loss of power.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
