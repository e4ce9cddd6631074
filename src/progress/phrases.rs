//! What is said in many places, in one way: counts, sizes, times, and what came of a step.

use std::borrow::Cow;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::escape;
use crate::build::outcome::Account;

pub const RED: Style = AnsiColor::Red.on_default().bold();
pub const DIM: Style = Style::new().dimmed();

/// What is said of a step.
pub fn message(account: &Account) -> Cow<'_, str> {
    escape::line(account.message.as_deref().unwrap_or_default())
}

/// `1 output`, `2 outputs`
pub fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Bytes in units of 1024.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A duration as it is read best.
pub fn seconds(d: Duration) -> String {
    match d.as_secs_f64() {
        s if s < 10.0 => format!("{s:.2} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s => format!("{:.0} min {:.0} s", (s / 60.0).floor(), s % 60.0),
    }
}

/// A guess is told as roughly as it is known.
pub fn about(time: Duration) -> String {
    match time.as_secs() {
        s @ ..10 => format!("{} s", s.max(1)),
        s @ 10..90 => format!("{} s", s.div_ceil(10) * 10),
        s @ 90..5400 => format!("{} min", (s + 30) / 60),
        s => format!("{} h", (s + 1800) / 3600),
    }
}
