//! What was learnt of a repository's tags, while not all of it is known: a file that grows as answers come, so that a try
//! that was killed, or failed, leaves the next one less to ask. It is gone once all is known. What cannot be read or
//! written is asked for as if it were not there.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use crate::registry::{Earlier, Validators, budget, grammar};
use crate::store::{Digest, Sha256};
use crate::sync::lock;

/// A file does not grow beyond it: room for some 300,000 tags.
const LIMIT: u64 = 64 << 20;
/// How the name of such a file ends.
const KIND: &str = "tags";
/// As much of a line's hash stands before it.
const CHECK: usize = 16;

/// What is known of the tags of one repository.
pub struct Learnt {
    known: HashMap<String, Known>,
    log: Mutex<Log>,
}

#[derive(Clone, Copy)]
struct Known {
    digest: Sha256,
    /// When the source said so, in milliseconds since 1970.
    at: i64,
}

/// Where what is new is written.
struct Log {
    file: PathBuf,
    /// Opened with the first that is new.
    opened: Option<File>,
    /// How many bytes it may still take.
    room: u64,
}

impl Learnt {
    /// Of a repository, of whatever `source` this is, what was learnt from `since` on (milliseconds since 1970); without
    /// that, nothing is known, and nothing is kept.
    pub fn of(kept: &Validators, source: &str, repo: &str, since: Option<i64>) -> Option<Self> {
        kept.tidy_once();
        let file = kept.beside(&name(source, repo), KIND)?;
        Some(match since {
            Some(since) => Self::read(file, since, budget::now_ms()),
            None => Self { known: HashMap::new(), log: Mutex::new(Log { file, opened: None, room: 0 }) },
        })
    }

    /// The same for who only looks: nothing is changed.
    pub fn told(kept: &Validators, source: &str, repo: &str, since: i64) -> Option<Earlier> {
        let text = text_of(&kept.beside(&name(source, repo), KIND)?);
        let (known, _) = known_of(&text, since, budget::now_ms());
        earlier(known.values())
    }

    fn read(file: PathBuf, since: i64, now: i64) -> Self {
        let mut text = text_of(&file);
        let (known_tags, lines) = known_of(&text, since, now);
        if lines > known_tags.len() {
            // What is of no use does not take up room.
            text = known_tags.iter().map(|(tag, known)| line(tag, known)).collect();
            let _ = rewrite(&file, &text);
        }
        let room = LIMIT.saturating_sub(text.len() as u64);
        Self { known: known_tags, log: Mutex::new(Log { file, opened: None, room }) }
    }

    /// What a tag points at, where that is known.
    pub fn get(&self, tag: &str) -> Option<Sha256> {
        self.known.get(tag).map(|known| known.digest)
    }

    /// What is known of such tags.
    pub fn earlier(&self, is_such: impl Fn(&str) -> bool) -> Option<Earlier> {
        earlier(self.known.iter().filter(|(tag, _)| is_such(tag)).map(|(_, known)| known))
    }

    /// Keeps what a source says of a tag, at once: what was answered is not asked again, whenever the try is killed.
    pub fn add(&self, tag: &str, digest: Sha256) {
        let line = line(tag, &Known { digest, at: budget::now_ms() });
        let _ = self.log().append(&line);
    }

    /// All is known by now, and kept elsewhere: what is older must not come after it.
    pub fn forget(self) {
        let _ = fs::remove_file(&self.log().file);
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }
}

impl Log {
    /// One line, whole or not at all as far as the system has it; what is killed then has written it.
    fn append(&mut self, line: &str) -> io::Result<()> {
        let size = line.len() as u64;
        if size > self.room {
            return Ok(());
        }
        self.room -= size;
        let opened = match &mut self.opened {
            Some(opened) => opened,
            none => {
                fs::create_dir_all(self.file.parent().unwrap_or(&self.file))?;
                none.insert(File::options().create(true).append(true).open(&self.file)?)
            }
        };
        opened.write_all(line.as_bytes())
    }
}

fn rewrite(file: &Path, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return fs::remove_file(file);
    }
    let whole = file.with_extension("tmp");
    fs::write(&whole, text)?;
    fs::rename(whole, file)
}

/// What the file of a repository of a source is named after.
fn name(source: &str, repo: &str) -> Vec<u8> {
    format!("{source}\n{repo}").into_bytes()
}

fn text_of(file: &Path) -> String {
    let mut bytes = Vec::new();
    let _ = File::open(file).and_then(|opened| opened.take(LIMIT).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What is known by such a text, and how many lines that has.
fn known_of(text: &str, since: i64, now: i64) -> (HashMap<String, Known>, usize) {
    let (mut known_tags, mut lines) = (HashMap::new(), 0);
    for line in text.split_inclusive('\n') {
        lines += 1;
        // A time to come is of a clock that went back.
        if let Some((tag, known)) = parse(line).filter(|(_, known)| (since..=now).contains(&known.at)) {
            known_tags.insert(tag.to_owned(), known);
        }
    }
    (known_tags, lines)
}

fn earlier<'k>(known: impl Iterator<Item = &'k Known>) -> Option<Earlier> {
    let times: Vec<i64> = known.map(|known| known.at).collect();
    Some(Earlier { since: times.iter().copied().min()?, digests: times.len() })
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
        assert_eq!((learnt.get("young"), learnt.get("old")), (Some(Sha256::of(b"x")), None));
        let earlier = Earlier { digests: 1, since: now - 10 };
        assert_eq!((learnt.get("later"), learnt.earlier(|_| true)), (None, Some(earlier)));
        assert_eq!(learnt.earlier(|tag| tag != "young"), None);
        learnt.forget();
        assert!(!file.exists());
    }

    #[test]
    fn what_is_learnt_is_written_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.tags");
        let learnt = Learnt::read(file.clone(), i64::MIN, budget::now_ms());
        for n in 1..=3 {
            learnt.add(&n.to_string(), Sha256::of(b"x"));
            assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), n);
        }
    }
}
