//! Children: started the cheapest way, in a process group that is ended as a whole.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::running::Running;
use crate::sync::lock;

/// How long a group that was asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(2);

/// How a child came to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Exited(std::process::ExitStatus),
    TimedOut,
    Interrupted,
}

/// What a child reads and writes.
pub(super) struct Streams<'a> {
    /// `None`: nothing is to be read.
    pub stdin: Option<File>,
    /// `None`: what it writes is what it prints.
    pub stdout: Option<File>,
    pub printed: &'a OwnedFd,
}

/// Starts a program in a group of its own, with this environment and no other.
pub(super) fn start(
    argv: &[OsString],
    folder: &Path,
    env: &[(&OsStr, &OsStr)],
    streams: Streams<'_>,
) -> io::Result<Child> {
    let Some((program, arguments)) = argv.split_first() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let path = env.iter().rev().find(|(name, _)| *name == "PATH").map_or(OsStr::new(""), |(_, path)| path);
    // With the program's own path and nothing to be done between, the child need not be a copy of this process.
    let found = find(program, path);
    let mut command = Command::new(found.as_deref().map_or(program.as_os_str(), Path::as_os_str));
    command.arg0(program).args(arguments).current_dir(folder).env_clear();
    command.envs(env.iter().copied());
    command.stdin(streams.stdin.map_or_else(nothing, Ok)?);
    command.stdout(streams.stdout.map_or_else(|| streams.printed.try_clone().map(Stdio::from), |f| Ok(f.into()))?);
    command.stderr(streams.printed.try_clone()?).process_group(0);
    command.spawn()
}

/// A file with nothing in it to read, opened once.
fn nothing() -> io::Result<File> {
    static NOTHING: OnceLock<File> = OnceLock::new();
    if let Some(file) = NOTHING.get() {
        return file.try_clone();
    }
    let file = File::open("/dev/null")?;
    NOTHING.get_or_init(|| file).try_clone()
}

/// Where a program lies, looked for as `execvp` does. Remembered, since most steps of a build run the same few.
fn find(program: &OsStr, path: &OsStr) -> Option<PathBuf> {
    static FOUND: Mutex<Option<HashMap<(OsString, OsString), PathBuf>>> = Mutex::new(None);
    if program.as_encoded_bytes().contains(&b'/') {
        return None;
    }
    let mut found = lock(&FOUND);
    let found = found.get_or_insert_default();
    let key = (program.to_owned(), path.to_owned());
    if let Some(there) = found.get(&key) {
        return Some(there.clone());
    }
    for folder in std::env::split_paths(path) {
        if !folder.is_absolute() {
            return None;
        }
        let candidate = folder.join(program);
        if candidate.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0) {
            found.insert(key, candidate.clone());
            return Some(candidate);
        }
    }
    None
}

/// Waits for a child, and ends its whole group where it takes too long, the build is interrupted, or what it prints
/// cannot be taken in by `listen`, which comes to no end otherwise.
pub(super) async fn wait(
    mut child: Child,
    timeout: Option<Duration>,
    cancelled: &mut watch::Receiver<bool>,
    listen: impl Future<Output = io::Result<()>>,
) -> io::Result<End> {
    let running = Running::led_by(&child);
    tokio::pin!(listen);
    let late = async {
        match timeout {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let end = tokio::select! {
        status = child.wait() => return status.map(End::Exited),
        () = late => Ok(End::TimedOut),
        _ = cancelled.wait_for(|c| *c) => Ok(End::Interrupted),
        deaf = &mut listen => deaf.map(|()| End::Interrupted),
    };
    let ended = end_group(&mut child, running.group());
    tokio::pin!(ended);
    tokio::select! {
        ended = &mut ended => ended?,
        // It may print while it ends, and must not wait for someone to listen.
        _ = listen, if end.is_ok() => ended.await?,
    }
    end
}

/// Asks the whole group to end, and kills what is left of it once its leader is gone, or after a while.
async fn end_group(child: &mut Child, group: Option<Pid>) -> io::Result<()> {
    let Some(group) = group else { return Ok(()) };
    // A group that is gone already cannot be signalled, and need not be.
    let _ = kill_process_group(group, Signal::TERM);
    let _ = tokio::time::timeout(GRACE, child.wait()).await;
    let _ = kill_process_group(group, Signal::KILL);
    child.wait().await.map(drop)
}
