//! Children: a process group that is ended as a whole, with its output kept in a file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Child;
use tokio::sync::watch;

/// How long a group that was asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How much of the end of an output is looked at, in bytes, and how many lines of it are shown.
const TAIL_BYTES: u64 = 64 << 10;
const TAIL_LINES: usize = 20;

/// How a child came to its end.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Exited(std::process::ExitStatus),
    TimedOut,
    Interrupted,
}

/// Runs a command in a group of its own and waits for it; what it prints goes to `log`.
pub async fn run(
    mut command: tokio::process::Command,
    log: &Path,
    timeout: Option<Duration>,
    cancelled: &mut watch::Receiver<bool>,
) -> io::Result<End> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let output = File::create(log)?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
    let mut child = command.spawn()?;
    let late = async {
        match timeout {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let end = tokio::select! {
        status = child.wait() => return status.map(End::Exited),
        () = late => End::TimedOut,
        _ = cancelled.wait_for(|c| *c) => End::Interrupted,
    };
    end_group(&mut child).await?;
    Ok(end)
}

/// Asks the whole group to end, and kills what is left of it after a while.
async fn end_group(child: &mut Child) -> io::Result<()> {
    use rustix::process::{Pid, Signal, kill_process_group};
    let Some(group) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) else { return Ok(()) };
    // A group that is gone already cannot be signalled, and need not be.
    let _ = kill_process_group(group, Signal::TERM);
    let _ = tokio::time::timeout(GRACE, child.wait()).await;
    let _ = kill_process_group(group, Signal::KILL);
    child.wait().await.map(drop)
}

/// The last lines of an output.
pub fn tail(log: &Path) -> io::Result<Vec<String>> {
    let mut file = File::open(log)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|l| (*l).to_owned()).collect())
}
