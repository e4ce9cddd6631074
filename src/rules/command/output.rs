//! What a command prints: kept in a file without a name while it runs, and under one only where there is anything.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

/// How much of the end of an output is looked at, in bytes, and how many lines of it are shown.
const TAIL_BYTES: u64 = 64 << 10;
const TAIL_LINES: usize = 20;

/// A file to print to: nothing of it is left by a process that is killed.
pub(super) fn open(folder: &Path) -> io::Result<File> {
    let nameless = openat(CWD, folder, OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC, Mode::from_raw_mode(0o600));
    match nameless {
        Ok(file) => Ok(file.into()),
        // A file system that has no such files: the same by hand.
        Err(_) => {
            let path = folder.join(format!("print-{:016x}", fastrand::u64(..)));
            let file = File::options().read(true).write(true).create_new(true).open(&path)?;
            fs::remove_file(&path)?;
            Ok(file)
        }
    }
}

/// Keeps what was printed in `log`, secrets by their names, and gives its last lines. Nothing printed, no log.
pub(super) fn keep(mut printed: File, log: &Path, secrets: &[(String, String)]) -> io::Result<Vec<String>> {
    if printed.metadata()?.len() == 0 {
        // What an earlier run printed is not what this one did.
        return match fs::remove_file(log) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(Vec::new()),
        };
    }
    printed.seek(SeekFrom::Start(0))?;
    let mut kept = create(log)?;
    if secrets.is_empty() {
        io::copy(&mut printed, &mut kept)?;
    } else {
        let mut bytes = Vec::new();
        printed.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // Longer ones first: one may be part of another.
        let mut secrets: Vec<_> = secrets.iter().collect();
        secrets.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        let clean = secrets.iter().fold(text, |t, (name, value)| t.replace(value, &format!("${{secret.{name}}}")));
        kept.write_all(clean.as_bytes())?;
    }
    tail(&kept)
}

fn create(log: &Path) -> io::Result<File> {
    let create = || File::options().read(true).write(true).create(true).truncate(true).open(log);
    match (create(), log.parent()) {
        (Err(e), Some(folder)) if e.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            create()
        }
        (done, _) => done,
    }
}

/// The last lines of an output.
fn tail(file: &File) -> io::Result<Vec<String>> {
    let size = file.metadata()?.len();
    let mut bytes = vec![0; usize::try_from(size.min(TAIL_BYTES)).unwrap_or_default()];
    file.read_exact_at(&mut bytes, size.saturating_sub(TAIL_BYTES))?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|l| (*l).to_owned()).collect())
}
