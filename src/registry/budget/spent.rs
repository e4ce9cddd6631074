//! The pulls that were made, in a file: a line each, added as a pull begins, so that a build that is killed forgets none.
//! `TIME ADDRESS`; `-TIME ADDRESS` takes one back. Only the build that holds the lock writes.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Mutex;

use super::{LONGEST_WITHIN, lock, millis, now_ms};

/// The file's name in its folder.
pub const NAME: &str = "budget";

#[derive(Debug, Default)]
pub struct Spent {
    /// `None`: nothing is kept.
    folder: Option<PathBuf>,
    writing: Mutex<()>,
}

impl Spent {
    pub fn kept_in(folder: PathBuf) -> Self {
        Self { folder: Some(folder), writing: Mutex::default() }
    }

    /// When pulls were made at an address, ascending. What cannot be read is as if it were not there.
    pub fn read(&self, name: &str) -> Vec<i64> {
        let text = self.text();
        let mut times: Vec<i64> = Vec::new();
        for (time, _) in entries(&text).filter(|(_, who)| *who == name) {
            if time >= 0 {
                times.push(time);
            } else if let Some(at) = times.iter().rposition(|t| *t == -time) {
                times.remove(at);
            }
        }
        times.sort_unstable();
        times
    }

    /// Adds a pull, or takes one `back`.
    pub fn add(&self, name: &str, at: i64, back: bool) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let _one = lock(&self.writing);
        // Opened each time: another build may have put a new file in its place.
        let mut file = OpenOptions::new().append(true).create(true).open(folder.join(NAME))?;
        file.write_all(line(name, if back { -at } else { at }).as_bytes())
    }

    /// Replaces what is kept of an address, and forgets what is too old to count for any.
    pub fn rewrite(&self, name: &str, times: &VecDeque<i64>) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let _one = lock(&self.writing);
        let (old, oldest) = (self.text(), now_ms() - millis(LONGEST_WITHIN));
        let others = entries(&old).filter(|(time, who)| *who != name && time.abs() > oldest);
        let mut text: String = others.map(|(time, who)| line(who, time)).collect();
        text.extend(times.iter().map(|time| line(name, *time)));
        fs::create_dir_all(folder)?;
        let whole = folder.join(format!("{NAME}.tmp"));
        fs::write(&whole, text)?;
        fs::rename(whole, folder.join(NAME))
    }

    fn text(&self) -> String {
        let bytes = self.folder.as_ref().and_then(|folder| fs::read(folder.join(NAME)).ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn line(name: &str, time: i64) -> String {
    format!("{time} {name}\n")
}

/// Only whole lines: the last one may not have been written to its end.
fn entries(text: &str) -> impl Iterator<Item = (i64, &str)> {
    text.split_inclusive('\n').filter_map(|line| {
        let (time, name) = line.strip_suffix('\n')?.split_once(' ')?;
        // The least of all has no opposite, and is no time.
        Some((time.parse().ok().filter(|time| *time != i64::MIN)?, name))
    })
}
