//! Commands that outlived their build: it was killed, and could not end them. They would write over what is made now.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How long they may take to end once they were asked to.
const GRACE: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Ends the commands of a build whose temporary folder this is or was, and gives how many there were. They are known by
/// their environment; those of other users, and what gave itself another environment, are not seen.
pub fn end(temporaries: &Path) -> usize {
    let found = alive(temporaries);
    for signal in [Signal::TERM, Signal::KILL] {
        let until = Instant::now() + GRACE;
        let mut left = alive(temporaries);
        for process in &left {
            // One that has just ended cannot be signalled, and need not be.
            let _ = pidfd_send_signal(process, signal);
        }
        while !left.is_empty() && Instant::now() < until {
            std::thread::sleep(LOOK_EVERY);
            left = alive(temporaries);
        }
    }
    found.len()
}

fn alive(temporaries: &Path) -> Vec<OwnedFd> {
    let own = std::process::id();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).filter(|id| *id != own);
    ids.filter_map(|id| is_of(id, temporaries)).collect()
}

/// The process, where it was started as a command of that build.
fn is_of(id: u32, temporaries: &Path) -> Option<OwnedFd> {
    // Opened before it is looked at: a signal goes to this process, and to none that gets its number later.
    let process = pidfd_open(Pid::from_raw(id.try_into().ok()?)?, PidfdFlags::empty()).ok()?;
    let environment = fs::read(format!("/proc/{id}/environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0);
    let folder = variables.find_map(|variable| variable.strip_prefix(b"TMPDIR="))?;
    Path::new(std::ffi::OsStr::from_bytes(folder)).starts_with(temporaries).then_some(process)
}
