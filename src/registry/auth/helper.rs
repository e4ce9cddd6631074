//! Credential helpers: programs named `docker-credential-NAME` that keep logins in a keychain
//! (docker-credential-helpers, "Development": the `get` command).

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::registry::address::Credentials;

/// Longer than a keychain takes that is not locked.
const PATIENCE: Duration = Duration::from_secs(30);
const OUTPUT_LIMIT: u64 = 1 << 20;
/// The name of a user whose secret is an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Kept {
    username: String,
    secret: String,
}

/// What the helper `name` keeps for a server. The error is in words, which have nothing in them of what it printed.
pub async fn get(name: &str, server: &str) -> Result<Option<Credentials>, String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if !name.bytes().all(is_plain) {
        return Err("the name of its credential helper is none".into());
    }
    ask(&format!("docker-credential-{name}"), server, PATIENCE).await
}

async fn ask(program: &str, server: &str, patience: Duration) -> Result<Option<Credentials>, String> {
    let mut command = Command::new(program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let started = command.process_group(0).kill_on_drop(true).spawn();
    let mut child = started.map_err(|e| format!("`{program}` cannot be started: {}", e.kind()))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let talk = tokio::time::timeout(patience, talk(&mut child, server)).await;
    if !matches!(talk, Ok(Ok(Some(_))))
        && let Some(group) = group
    {
        // One that is gone cannot be killed, and need not be.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let (output, is_fine) = match talk {
        Ok(Ok(Some(done))) => done,
        Ok(Ok(None)) => return Err(format!("`{program} get` printed more than 1 MiB")),
        Ok(Err(e)) => return Err(format!("`{program} get`: {}", e.kind())),
        Err(_) => return Err(format!("`{program} get` did not end within {patience:?}")),
    };
    if !is_fine {
        // What every helper prints that has none; anything else may have a secret in it.
        let has_none = String::from_utf8_lossy(&output).contains("credentials not found");
        return if has_none { Ok(None) } else { Err(format!("`{program} get` failed")) };
    }
    let kept: Kept =
        serde_json::from_slice(&output).map_err(|_| format!("`{program} get` printed what are no credentials"))?;
    Ok(match kept {
        Kept { secret, .. } if secret.is_empty() => None,
        Kept { username, secret } if username == TOKEN_USER => Some(Credentials::IdentityToken(secret)),
        Kept { username, secret } => Some(Credentials::Password { username, password: secret }),
    })
}

/// Says the server and hears all of the answer; `None` where it is too long.
async fn talk(child: &mut Child, server: &str) -> std::io::Result<Option<(Vec<u8>, bool)>> {
    if let Some(mut stdin) = child.stdin.take() {
        // A helper may answer without listening.
        let _ = stdin.write_all(server.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(OUTPUT_LIMIT + 1).read_to_end(&mut output).await?;
    }
    if output.len() as u64 > OUTPUT_LIMIT {
        return Ok(None);
    }
    Ok(Some((output, child.wait().await?.success())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn a_helper_that_does_not_end_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("helper");
        std::fs::write(&path, "#!/bin/sh\nsleep 600 &\necho $! > \"$0.pid\"\nwait\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let error = ask(path.to_str().unwrap(), "r", Duration::from_secs(2)).await.err().unwrap();
        assert!(error.contains("did not end within 2s"), "{error}");
        let pid = std::fs::read_to_string(folder.path().join("helper.pid")).unwrap();
        let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        let is_gone = || match std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) {
            Ok(stat) => stat.contains(") Z "),
            Err(_) => true,
        };
        let end = std::time::Instant::now() + Duration::from_secs(30);
        while !is_gone() {
            assert!(std::time::Instant::now() < end, "what it started lives on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
