//! The pulls that were made, in a file: a line each, added as a pull begins, so that a build that is killed forgets none.
//! `TIME ADDRESS`; `-TIME ADDRESS` takes one back. Beside them what servers said of having no more to give, `pulls SINCE
//! UNTIL ADDRESS` or, where it is for everything, `all SINCE UNTIL ADDRESS`. Only the build that holds the lock writes.

use std::collections::VecDeque;
use std::fmt;
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

/// What a server has no more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Pulls,
    All,
}

/// For how long a server has no more, as it said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    pub scope: Scope,
    pub since: i64,
    pub until: i64,
}

impl Pause {
    /// Times of a clock that went back meanwhile are not believed, nor those that no server means.
    pub fn holds(&self, now: i64) -> bool {
        self.since <= now && now < self.until && self.until.saturating_sub(self.since) <= millis(LONGEST_WITHIN)
    }
}

enum Line<'a> {
    /// When it began; negative where it is taken back.
    Pull(i64, &'a str),
    Pause(Pause, &'a str),
}

impl Spent {
    pub fn kept_in(folder: PathBuf) -> Self {
        Self { folder: Some(folder), writing: Mutex::default() }
    }

    /// When pulls were made at an address, ascending. What cannot be read is as if it were not there.
    pub fn read(&self, name: &str) -> Vec<i64> {
        let text = self.text();
        let mut times: Vec<i64> = Vec::new();
        for line in lines(&text) {
            match line {
                Line::Pull(time, who) if who == name && time >= 0 => times.push(time),
                Line::Pull(time, who) if who == name => {
                    if let Some(at) = times.iter().rposition(|t| *t == -time) {
                        times.remove(at);
                    }
                }
                _ => {}
            }
        }
        times.sort_unstable();
        times
    }

    /// What an address had no more of, as it said in an earlier run, where that still holds.
    pub fn pauses(&self, name: &str) -> Vec<Pause> {
        let (text, now) = (self.text(), now_ms());
        let pause = |line| match line {
            Line::Pause(pause, who) if who == name && pause.holds(now) => Some(pause),
            _ => None,
        };
        lines(&text).filter_map(pause).collect()
    }

    /// Adds a pull, or takes one `back`.
    pub fn add(&self, name: &str, at: i64, back: bool) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let _one = lock(&self.writing);
        // Opened each time: another build may have put a new file in its place.
        let mut file = OpenOptions::new().append(true).create(true).open(folder.join(NAME))?;
        writeln!(file, "{}", Line::Pull(if back { -at } else { at }, name))
    }

    /// Replaces the pulls that are kept of an address.
    pub fn replace_pulls(&self, name: &str, times: &VecDeque<i64>) -> io::Result<()> {
        let is_old = |line: &Line| matches!(line, Line::Pull(_, who) if *who == name);
        self.replace(is_old, times.iter().map(|time| Line::Pull(*time, name)))
    }

    /// Replaces what an address had no more of.
    pub fn replace_pauses(&self, name: &str, pauses: impl IntoIterator<Item = Pause>) -> io::Result<()> {
        let is_old = |line: &Line| matches!(line, Line::Pause(_, who) if *who == name);
        self.replace(is_old, pauses.into_iter().map(|pause| Line::Pause(pause, name)))
    }

    /// Puts other lines in the place of some, and forgets what is too old to count for any address.
    fn replace<'a>(
        &self,
        is_replaced: impl Fn(&Line<'_>) -> bool,
        by: impl Iterator<Item = Line<'a>>,
    ) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let _one = lock(&self.writing);
        let (old, now) = (self.text(), now_ms());
        let counts = |line: &Line| match line {
            Line::Pull(time, _) => time.abs() > now - millis(LONGEST_WITHIN),
            Line::Pause(pause, _) => pause.holds(now),
        };
        let mut text: String =
            lines(&old).filter(|line| !is_replaced(line) && counts(line)).map(|line| format!("{line}\n")).collect();
        text.extend(by.map(|line| format!("{line}\n")));
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

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pull(time, who) => write!(f, "{time} {who}"),
            Self::Pause(Pause { scope, since, until }, who) => {
                let word = match scope {
                    Scope::Pulls => "pulls",
                    Scope::All => "all",
                };
                write!(f, "{word} {since} {until} {who}")
            }
        }
    }
}

/// Only whole lines: the last one may not have been written to its end.
fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    text.split_inclusive('\n').filter_map(|line| {
        let (word, rest) = line.strip_suffix('\n')?.split_once(' ')?;
        let scope = match word {
            "pulls" => Scope::Pulls,
            "all" => Scope::All,
            time => return Some(Line::Pull(time.parse().ok().filter(|time| *time != i64::MIN)?, rest)),
        };
        let (since, rest) = rest.split_once(' ')?;
        let (until, who) = rest.split_once(' ')?;
        Some(Line::Pause(Pause { scope, since: since.parse().ok()?, until: until.parse().ok()? }, who))
    })
}
