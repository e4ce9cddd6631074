//! Ctrl-C and its like: the first one stops the build, keeping what is done; the second one stops at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::error::Error;

/// Becomes true with the first signal.
pub fn listen() -> Result<watch::Receiver<bool>, Error> {
    let failed = |e: std::io::Error| Error::failed(format!("cannot listen for signals: {e}"));
    let (send, receive) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let guard = runtime.enter();
    let mut signals = Vec::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        signals.push(signal(kind).map_err(failed)?);
    }
    drop(guard);
    std::thread::spawn(move || {
        runtime.block_on(async {
            let mut seen = 0;
            while let ((Some(()), ..), ..) =
                (futures_util::future::select_all(signals.iter_mut().map(|s| Box::pin(s.recv()))).await,)
            {
                seen += 1;
                if seen > 1 {
                    crate::rules::command::running::kill();
                    crate::progress::leave();
                    std::process::exit(130);
                }
                // A build that is over no longer listens.
                let _ = send.send(true);
            }
        });
    });
    Ok(receive)
}
