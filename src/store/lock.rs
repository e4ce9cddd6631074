//! One build at a time: an OS lock on `.layermill/lock`. It dies with its holder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The file's name in its folder.
const NAME: &str = "lock";
/// How often, and after how long, it is tried again before somebody is said to hold it: who looks may have it for a moment.
const TRIES: u32 = 3;
const LOOK: Duration = Duration::from_millis(2);
/// More than any holder writes; what else lies there is not read.
const TEXT_LIMIT: u64 = 200;

/// Held for a build; dropped, it is free.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// Who held it before died with it.
    pub is_inherited: bool,
}

/// Who holds the lock, as it wrote itself down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    /// Milliseconds since 1970, UTC.
    pub since: i64,
}

/// Either the lock, or who has it (`None`: it did not say).
#[derive(Debug)]
pub enum Attempt {
    Taken(Lock),
    Held(Option<Holder>),
}

impl Lock {
    /// Tries to take the lock in `dir` without waiting. Makes the folder where it is missing.
    pub fn attempt(dir: &Path) -> io::Result<Attempt> {
        fs::create_dir_all(dir)?;
        let path = dir.join(NAME);
        let mut tries = 0;
        loop {
            let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) if tries < TRIES => {
                    tries += 1;
                    thread::sleep(LOOK);
                    continue;
                }
                Err(TryLockError::WouldBlock) => return Ok(Attempt::Held(Holder::read(&mut file))),
                Err(TryLockError::Error(e)) => return Err(e),
                Ok(()) => {}
            }
            // Someone may have removed the folder between the two calls: a lock on a file without a name keeps nobody out.
            if same_file(&file, &path)? {
                let is_inherited = file.metadata()?.len() > 0;
                let mut lock = Self { file, is_inherited };
                // Where the disk is full, one that does not say who it is still holds: how else is it to be emptied?
                let _ = lock.sign();
                return Ok(Attempt::Taken(lock));
            }
            fs::create_dir_all(dir)?;
        }
    }

    fn sign(&mut self) -> io::Result<()> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        let pid = std::process::id();
        self.file.write_all(format!("pid {pid}\nsince {since}\n").as_bytes())
    }
}

impl Drop for Lock {
    /// Unlocked by hand, since a child that was just forked may hold the same open file for a moment longer.
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

/// Whether another process holds the lock in `dir`. Who looks takes it itself for a moment where somebody seems to have
/// died with it, and never where it is held, or was given back.
pub fn is_held_by_another(dir: &Path) -> bool {
    let Ok(mut file) = File::open(dir.join(NAME)) else { return false };
    let is_another = Holder::read(&mut file).is_some_and(|who| who.pid != std::process::id());
    is_another && matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

impl Holder {
    fn read(file: &mut File) -> Option<Self> {
        let mut text = String::new();
        file.take(TEXT_LIMIT).read_to_string(&mut text).ok()?;
        let mut lines = text.lines();
        let pid = lines.next()?.strip_prefix("pid ")?.parse().ok()?;
        let since = lines.next()?.strip_prefix("since ")?.parse().ok()?;
        Some(Self { pid, since })
    }
}

fn same_file(file: &File, path: &Path) -> io::Result<bool> {
    let mine = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((mine.dev(), mine.ino()) == (there.dev(), there.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    use super::*;

    const VARIABLE: &str = "LAYERMILL_TEST_LOCK";

    fn taken(dir: &Path) -> Option<Lock> {
        match Lock::attempt(dir).unwrap() {
            Attempt::Taken(lock) => Some(lock),
            Attempt::Held(_) => None,
        }
    }

    fn holder(dir: &Path) -> Option<Holder> {
        match Lock::attempt(dir).unwrap() {
            Attempt::Taken(_) => panic!("nobody holds it"),
            Attempt::Held(holder) => holder,
        }
    }

    #[test]
    fn one_holds_it_until_it_is_dropped() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("made/for/it");
        let lock = taken(&dir).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        let who = holder(&dir).unwrap();
        assert_eq!(who.pid, std::process::id());
        assert!((now - 60_000..=now).contains(&who.since));
        drop(lock);
        assert_eq!(fs::read(dir.join(NAME)).unwrap(), b"");
        assert!(taken(&dir).is_some());
    }

    #[test]
    fn a_holder_that_did_not_say_who_it_is_still_holds() {
        let home = tempfile::tempdir().unwrap();
        let _lock = taken(home.path()).unwrap();
        for text in [&b""[..], b"pid", b"pid x\nsince 1\n", b"pid 1\n", &[0xff; 300], b"pid 99999999999\nsince 1\n"] {
            fs::write(home.path().join(NAME), text).unwrap();
            assert_eq!(holder(home.path()), None);
        }
    }

    #[test]
    fn the_words_of_a_dead_holder_count_for_nothing() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(NAME), "pid 1\nsince 1\nand much more that once was here\n").unwrap();
        let lock = taken(home.path()).unwrap();
        assert!(lock.is_inherited);
        assert_eq!(holder(home.path()).unwrap().pid, std::process::id());
        drop(lock);
        assert!(!taken(home.path()).unwrap().is_inherited, "that one ended well");
    }

    #[test]
    fn a_folder_that_was_removed_is_another_lock() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("state");
        let old = taken(&dir).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        let new = taken(&dir).unwrap();
        drop(old);
        assert!(taken(&dir).is_none(), "the old one frees only its own file");
        drop(new);
        assert!(taken(&dir).is_some());
    }

    /// The other process: this test run again, with the folder in its environment. Without it, it is no test.
    #[test]
    fn child() {
        let Some(dir) = std::env::var_os(VARIABLE) else { return };
        let lock = taken(Path::new(&dir));
        println!("\n{}", if lock.is_some() { "taken" } else { "held" });
        let _ = io::stdin().read_line(&mut String::new());
    }

    /// The child and whether it got the lock.
    fn start_child(dir: &Path) -> (Child, bool) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::lock::tests::child", "--nocapture"])
            .env(VARIABLE, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map(|l| l.unwrap());
        let answer = lines.find(|l| l == "taken" || l == "held").expect("the child says what it got");
        (child, answer == "taken")
    }

    #[test]
    fn it_holds_between_processes_and_dies_with_its_holder() {
        let home = tempfile::tempdir().unwrap();
        let lock = taken(home.path()).unwrap();
        let (mut refused, got) = start_child(home.path());
        assert!(!got);
        refused.kill().unwrap();
        refused.wait().unwrap();
        drop(lock);

        let (mut winner, got) = start_child(home.path());
        assert!(got);
        assert_eq!(holder(home.path()).unwrap().pid, winner.id());
        assert!(is_held_by_another(home.path()));
        winner.kill().unwrap();
        winner.wait().unwrap();
        assert!(!is_held_by_another(home.path()));
        assert!(taken(home.path()).is_some());
    }

    #[test]
    fn a_process_that_is_there_and_has_not_the_lock_does_not_hold_it() {
        let home = tempfile::tempdir().unwrap();
        let (mut killed, got) = start_child(home.path());
        assert!(got);
        killed.kill().unwrap();
        // Its end is seen, with all of its threads, and nobody takes it away: its id and its words stay.
        let id = WaitId::Pid(Pid::from_child(&killed));
        waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        assert!(fs::read_to_string(home.path().join(NAME)).unwrap().contains(&killed.id().to_string()));
        assert!(!is_held_by_another(home.path()));
        killed.wait().unwrap();
    }

    #[test]
    fn of_many_that_try_at_once_one_gets_it_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Some(lock) = taken(home.path()) else { continue };
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }
}
