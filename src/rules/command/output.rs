//! What a command prints: kept in its log as it comes, and no log where nothing comes.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::net::unix::pipe::Receiver;

use crate::rules::Job;

/// How much of the end of an output is looked at, in bytes, and how many lines of it are shown.
const TAIL_BYTES: usize = 64 << 10;
const TAIL_LINES: usize = 20;
/// How much is read at once, in bytes: most commands print little or nothing, and room is made for it each time.
const CHUNK: usize = 4 << 10;

/// Our end of the pipe that a command prints to.
///
/// It is a pipe and not a file: a script's `echo … > /dev/stderr` would empty the file.
pub(super) struct Output<'a> {
    pipe: Receiver,
    log: Log<'a>,
}

impl<'a> Output<'a> {
    /// A pipe, and its other end. What comes goes to the job's log, secrets by their names.
    pub fn open(job: &'a Job, secrets: &'a [(String, String)]) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        // Ours alone: a command may not expect that it must try again.
        fcntl_setfl(&ours, OFlags::NONBLOCK)?;
        Ok((
            Self { pipe: Receiver::from_owned_fd_unchecked(ours)?, log: Log::new(&job.log, &job.has_log, secrets) },
            theirs,
        ))
    }

    /// Takes in what is printed, for as long as it is polled.
    pub async fn listen(&mut self) -> io::Result<()> {
        loop {
            self.pipe.readable().await?;
            if self.log.take_all(|chunk| self.pipe.try_read(chunk))? {
                return std::future::pending().await;
            }
        }
    }

    /// Takes in what is left, and gives the last lines of all, and whether all of it could be kept. What someone else
    /// still prints later is not waited for.
    pub fn end(mut self) -> (Vec<String>, io::Result<()>) {
        // The runtime may not have been told yet of what was printed last.
        let taken = self.log.take_all(|chunk| Ok(rustix::io::read(&self.pipe, chunk)?));
        let (lines, kept) = self.log.end();
        (lines, taken.map(drop).and(kept))
    }
}

/// A log that is made once there is anything to keep.
struct Log<'a> {
    path: &'a Path,
    /// Becomes true once it is made.
    is_made: &'a AtomicBool,
    file: Option<File>,
    secrets: Vec<(&'a str, &'a [u8])>,
    /// What may be the beginning of a secret.
    held: Vec<u8>,
    /// The end of what was written, or would have been: a full disk does not take a command's last words.
    tail: Vec<u8>,
    kept: io::Result<()>,
}

impl<'a> Log<'a> {
    fn new(path: &'a Path, is_made: &'a AtomicBool, secrets: &'a [(String, String)]) -> Self {
        let mut secrets: Vec<_> = secrets.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        // Longer ones first: one may be the beginning of another.
        secrets.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        Self { path, is_made, file: None, secrets, held: Vec::new(), tail: Vec::new(), kept: Ok(()) }
    }

    /// Takes what `read` gives until it would wait; true where it has come to its end.
    fn take_all(&mut self, mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<bool> {
        let mut chunk = [0; CHUNK];
        loop {
            match read(&mut chunk) {
                Ok(0) => return Ok(true),
                Ok(n) => self.take(&chunk[..n]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let Some((_, longest)) = self.secrets.first() else { return self.write(bytes) };
        let hold = longest.len() - 1;
        self.held.extend_from_slice(bytes);
        let known = self.held.len().saturating_sub(hold);
        self.release(known);
    }

    /// Writes what is held up to where no secret that begins before `known` is cut in two.
    fn release(&mut self, known: usize) {
        let (mut clean, mut at) = (Vec::with_capacity(known), 0);
        while at < known {
            let rest = &self.held[at..];
            match self.secrets.iter().find(|(_, value)| rest.starts_with(value)) {
                Some((name, value)) => {
                    clean.extend_from_slice(format!("${{secret.{name}}}").as_bytes());
                    at += value.len();
                }
                None => {
                    clean.push(rest[0]);
                    at += 1;
                }
            }
        }
        self.held.drain(..at);
        self.write(&clean);
    }

    fn write(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.tail.extend_from_slice(bytes);
        if self.tail.len() > 2 * TAIL_BYTES {
            self.tail.drain(..self.tail.len() - TAIL_BYTES);
        }
        if self.kept.is_ok() {
            self.kept = self.append(bytes);
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.file.take().map_or_else(|| create(self.path), Ok)?;
        self.is_made.store(true, Ordering::Relaxed);
        let written = file.write_all(bytes);
        self.file = Some(file);
        written
    }

    fn end(mut self) -> (Vec<String>, io::Result<()>) {
        self.release(self.held.len());
        let text = String::from_utf8_lossy(&self.tail[self.tail.len().saturating_sub(TAIL_BYTES)..]);
        let lines: Vec<&str> = text.lines().collect();
        let lines = lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|l| (*l).to_owned()).collect();
        (lines, self.kept)
    }
}

/// Says in a log, where anything was printed, that what stands before is of an attempt that failed.
pub(super) fn end_of_attempt(log: &Path, attempt: u32, message: &str) {
    let Ok(mut file) = File::options().read(true).append(true).open(log) else { return };
    let mut last = [0];
    let is_cut = file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).is_ok() && last != *b"\n";
    let line_end = if is_cut { "\n" } else { "" };
    // A log that cannot be written is told of the attempt that succeeds, if any does.
    let _ = writeln!(file, "{line_end}[attempt {attempt}: {message}]");
}

fn create(log: &Path) -> io::Result<File> {
    // What an earlier attempt printed stays.
    let create = || File::options().append(true).create(true).open(log);
    match (create(), log.parent()) {
        (Err(e), Some(folder)) if e.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            create()
        }
        (done, _) => done,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_secret_is_replaced_wherever_the_output_is_cut(cuts in prop::collection::vec(1usize..9, 0..12)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("logs/log");
            let secrets = [("SHORT".to_owned(), "abc".to_owned()), ("LONG".to_owned(), "abcdef".to_owned())];
            let is_made = AtomicBool::new(false);
            let mut log = Log::new(&path, &is_made, &secrets);
            let mut text: &[u8] = b"ab abc abcdef abcde\nabcabcdef \xff ab";
            for cut in cuts {
                let (now, later) = text.split_at(cut.min(text.len()));
                log.take(now);
                text = later;
            }
            log.take(text);
            let (lines, kept) = log.end();
            kept.unwrap();
            prop_assert!(is_made.into_inner());
            let log = fs::read(&path).unwrap();
            let clean = b"ab ${secret.SHORT} ${secret.LONG} ${secret.SHORT}de\n${secret.SHORT}${secret.LONG} \xff ab";
            prop_assert_eq!(log, clean);
            prop_assert_eq!(lines.len(), 2);
        }
    }

    #[test]
    fn nothing_printed_leaves_no_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs/log");
        let is_made = AtomicBool::new(false);
        assert_eq!(Log::new(&path, &is_made, &[]).end().0, Vec::<String>::new());
        assert!(!path.exists() && !is_made.into_inner());
    }

    #[test]
    fn last_words_are_told_where_the_log_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let path = dir.path().join("file/log");
        let is_made = AtomicBool::new(false);
        let mut log = Log::new(&path, &is_made, &[]);
        log.take(&[b'x'; 3 * TAIL_BYTES]);
        log.take(b"\nno space left\n");
        let (lines, kept) = log.end();
        assert_eq!(lines[1], "no space left");
        kept.unwrap_err();
    }
}
