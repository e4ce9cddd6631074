//! What was learnt of a repository's tags, while not all of it is known: a file that grows as answers come, so that a try
//! that was killed, or failed, leaves the next one less to ask. It is gone once all is known. What cannot be read or
//! written is asked for as if it were not there.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Validators, budget, grammar};
use crate::store::{Digest, Sha256};

/// It is written to once so many tags are new, or after a while.
const TOGETHER: usize = 32;
const AFTER: Duration = Duration::from_millis(500);
/// A file does not grow beyond it: room for some 300,000 tags.
const LIMIT: u64 = 64 << 20;
/// As much of a line's hash stands before it.
const CHECK: usize = 16;

/// What is known of the tags of one repository.
pub struct Learnt {
    file: PathBuf,
    known: HashMap<String, Known>,
    new: Mutex<New>,
}

#[derive(Clone, Copy)]
struct Known {
    digest: Sha256,
    /// When the source said so, in milliseconds since 1970.
    at: i64,
}

/// What is still to be written.
struct New {
    lines: String,
    count: usize,
    since: Instant,
    room: u64,
}

impl Learnt {
    /// Of a repository, of whatever `source` this is, what was learnt from `since` on (milliseconds since 1970); without
    /// that, nothing is known, and nothing is kept.
    pub fn of(kept: &Validators, source: &str, repo: &str, since: Option<i64>) -> Option<Self> {
        let file = kept.beside(format!("{source}\n{repo}").as_bytes(), "tags")?;
        Some(match since {
            Some(since) => Self::read(file, since, budget::now_ms()),
            None => Self { file, known: HashMap::new(), new: Mutex::new(New::with_room(0)) },
        })
    }

    fn read(file: PathBuf, since: i64, now: i64) -> Self {
        let mut bytes = Vec::new();
        let _ = File::open(&file).and_then(|opened| opened.take(LIMIT).read_to_end(&mut bytes));
        let mut text = String::from_utf8_lossy(&bytes);
        let mut learnt = Self { file, known: HashMap::new(), new: Mutex::new(New::with_room(LIMIT)) };
        let mut lines = 0;
        for line in text.split_inclusive('\n') {
            lines += 1;
            // A time to come is of a clock that went back.
            if let Some((tag, known)) = parse(line).filter(|(_, known)| (since..=now).contains(&known.at)) {
                learnt.known.insert(tag.to_owned(), known);
            }
        }
        if lines > learnt.known.len() {
            // What is of no use does not take up room.
            text = learnt.known.iter().map(|(tag, known)| line(tag, known)).collect::<String>().into();
            let _ = rewrite(&learnt.file, &text);
        }
        let taken = text.len() as u64;
        learnt.new = Mutex::new(New::with_room(LIMIT.saturating_sub(taken)));
        learnt
    }

    /// What a tag points at, where that is known.
    pub fn get(&self, tag: &str) -> Option<Sha256> {
        self.known.get(tag).map(|known| known.digest)
    }

    /// When the first of what is known of these was learnt, in milliseconds since 1970.
    pub fn first(&self, tags: &BTreeSet<String>) -> Option<i64> {
        tags.iter().filter_map(|tag| self.known.get(tag)).map(|known| known.at).min()
    }

    /// Keeps what a source says of a tag.
    pub fn add(&self, tag: &str, digest: Sha256) {
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        new.lines.push_str(&line(tag, &Known { digest, at: budget::now_ms() }));
        new.count += 1;
        if new.count >= TOGETHER || new.since.elapsed() >= AFTER {
            new.write(&self.file);
        }
    }

    /// All is known by now, and kept elsewhere: what is older must not come after it.
    pub fn forget(self) {
        *self.new.lock().unwrap_or_else(PoisonError::into_inner) = New::with_room(0);
        let _ = fs::remove_file(&self.file);
    }
}

impl Drop for Learnt {
    fn drop(&mut self) {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).write(&self.file);
    }
}

impl New {
    fn with_room(room: u64) -> Self {
        Self { lines: String::new(), count: 0, since: Instant::now(), room }
    }

    fn write(&mut self, file: &Path) {
        let size = self.lines.len() as u64;
        if size > 0 && size <= self.room {
            let _ = append(file, &self.lines);
            self.room -= size;
        }
        *self = Self::with_room(self.room);
    }
}

fn append(file: &Path, lines: &str) -> io::Result<()> {
    fs::create_dir_all(file.parent().unwrap_or(file))?;
    File::options().create(true).append(true).open(file)?.write_all(lines.as_bytes())
}

fn rewrite(file: &Path, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return fs::remove_file(file);
    }
    let whole = file.with_extension("tmp");
    fs::write(&whole, text)?;
    fs::rename(whole, file)
}

/// The start of the hash of the rest, the time, the digest, the tag.
fn line(tag: &str, known: &Known) -> String {
    let rest = format!("{} {} {tag}", known.at, known.digest.hex());
    let mut line = check(&rest);
    // Writing to a String cannot fail.
    let _ = writeln!(line, " {rest}");
    line
}

/// `None` where it was not written to its end, or is something else.
fn parse(line: &str) -> Option<(&str, Known)> {
    let (said, rest) = line.strip_suffix('\n')?.split_once(' ')?;
    let mut words = rest.split(' ');
    let (at, digest, tag) = (words.next()?.parse().ok()?, Sha256::from_hex(words.next()?)?, words.next()?);
    (check(rest) == said && grammar::is_tag(tag)).then_some((tag, Known { digest, at }))
}

fn check(rest: &str) -> String {
    let mut hash = Digest::of(rest.as_bytes()).to_string();
    hash.truncate(CHECK);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &Path, since: i64) -> Vec<String> {
        let mut tags: Vec<_> = Learnt::read(file.into(), since, budget::now_ms()).known.keys().cloned().collect();
        tags.sort();
        tags
    }

    fn add(file: &Path, tags: &[&str]) {
        let learnt = Learnt::read(file.into(), i64::MIN, budget::now_ms());
        tags.iter().for_each(|tag| learnt.add(tag, Sha256::of(tag.as_bytes())));
    }

    #[test]
    fn what_was_written_to_its_end_is_known_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pages/x.tags");
        add(&file, &["1", "2"]);
        add(&file, &["3"]);
        assert_eq!(read(&file, i64::MIN), ["1", "2", "3"]);
        let whole = fs::read_to_string(&file).unwrap();
        for (damage, left) in [
            (whole[..whole.len() - 1].to_owned(), &["1", "2"][..]),
            (format!("{}{}", &whole[..whole.len() - 1], whole.lines().next().unwrap()), &["1", "2"]),
            (whole.replacen(" 1\n", " 4\n", 1), &["2", "3"]),
            ("\u{0}\n \n".into(), &[]),
        ] {
            fs::write(&file, damage).unwrap();
            assert_eq!(read(&file, i64::MIN), left);
            assert_eq!(fs::read_to_string(&file).map_or(0, |text| text.lines().count()), left.len(), "tidied");
        }
        fs::write(&file, b"\xff\xff").unwrap();
        assert!(read(&file, i64::MIN).is_empty());
    }

    #[test]
    fn what_is_too_old_or_of_a_time_to_come_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.tags");
        let now = budget::now_ms();
        let at = |tag: &str, at| line(tag, &Known { digest: Sha256::of(b"x"), at });
        let text = at("old", now - 100) + &at("young", now - 10) + &at("later", now + 100_000);
        fs::write(&file, text).unwrap();
        let learnt = Learnt::read(file.clone(), now - 50, now);
        let tags = ["old", "young", "later"].map(String::from).into();
        assert_eq!((learnt.get("young"), learnt.get("old")), (Some(Sha256::of(b"x")), None));
        assert_eq!((learnt.get("later"), learnt.first(&tags)), (None, Some(now - 10)));
        learnt.forget();
        assert!(!file.exists());
    }

    #[test]
    fn many_are_written_together() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.tags");
        let learnt = Learnt::read(file.clone(), i64::MIN, budget::now_ms());
        (0..TOGETHER - 1).for_each(|n| learnt.add(&n.to_string(), Sha256::of(b"x")));
        learnt.add("last", Sha256::of(b"x"));
        assert!(fs::read_to_string(&file).unwrap().lines().count() > 0, "while it goes on");
        drop(learnt);
        assert_eq!(read(&file, i64::MIN).len(), TOGETHER);
    }
}
