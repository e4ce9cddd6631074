//! The text of the bar, for any width.

use std::fmt::Write;
use std::time::Duration;

use crate::build::events::Progress;

use super::escape;
use super::pace::Pace;
use super::phrases::{about, bytes, seconds};
use super::running::Running;

/// Steps that are named, the oldest.
const NAMED: usize = 4;
/// A step is named once it has taken this long: those that come and go would only flicker.
const NAMED_AFTER: Duration = Duration::from_millis(500);
/// Terminals narrower than this get no bar, and those narrower than the second a short one.
const NARROW: usize = 50;
const WIDE: usize = 90;

/// The lines to be drawn, none wider than `width`.
pub fn lines(progress: &Progress, pace: &Pace, running: &Running, elapsed: Duration, width: usize) -> Vec<String> {
    let longest = running.oldest().next().map_or(Duration::ZERO, |(_, since)| since);
    let mut lines = vec![head(progress, pace, longest, elapsed, width)];
    let named: Vec<(&str, Duration)> =
        running.oldest().take_while(|(_, since)| *since >= NAMED_AFTER).take(NAMED).collect();
    for (step, since) in &named {
        lines.push(cut(&format!("{:>8}  {}", seconds(*since), escape::line(step)), width));
    }
    if !named.is_empty() && running.len() > named.len() {
        lines.push(cut(&format!("{:>8}  and {} more", "", running.len() - named.len()), width));
    }
    lines
}

/// What is told in the first line, each part with its rank: where there is no room for all, the highest go.
fn head(progress: &Progress, pace: &Pace, longest: Duration, elapsed: Duration, width: usize) -> String {
    let grows = if progress.grows { "+" } else { "" };
    let mut parts = vec![(0, format!("{}/{}{grows}", progress.done, progress.total))];
    if progress.running > 0 {
        parts.push((3, format!("{} running", progress.running)));
    }
    if let Some(rate) = pace.steps() {
        parts.push((5, format!("{rate:.1} steps/s")));
    }
    if progress.requests > 0 {
        let rate = pace.requests().map_or_else(String::new, |rate| format!(" ({rate:.0}/s)"));
        parts.push((4, format!("{} requests{rate}", progress.requests)));
        parts.push((6, bytes(progress.bytes)));
    }
    if progress.retries > 0 {
        parts.push((2, format!("{} retries", progress.retries)));
    }
    parts.push((7, clock(elapsed)));
    if let Some(wait) = progress.budget_wait {
        parts.push((1, format!("waits for a budget, {} left", about(wait))));
    } else if let Some(left) = pace.left(progress, longest) {
        parts.push((1, format!("about {} left", about(left))));
    }
    let bar = bar(progress, width);
    loop {
        let text = parts.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" · ");
        let text = format!("{bar}{text}");
        match parts.iter().map(|(rank, _)| *rank).max() {
            Some(highest) if highest > 0 && columns(&text) > width => parts.retain(|(rank, _)| *rank != highest),
            _ => return cut(&text, width),
        }
    }
}

fn bar(progress: &Progress, width: usize) -> String {
    let size = match width {
        ..NARROW => return String::new(),
        NARROW..WIDE => 12,
        WIDE.. => 24,
    };
    let full = (size * progress.done.min(progress.total)).checked_div(progress.total).unwrap_or(0);
    format!("{}{} ", "━".repeat(full), "─".repeat(size - full))
}

/// `0:07`, `12:30`, `1:00:00`
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

fn columns(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// The text, or as much of it as there is room for.
fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let (mut short, mut used) = (String::new(), 0);
    for c in text.chars() {
        used += unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if used >= width {
            break;
        }
        short.push(c);
    }
    if width > 0 {
        // Writing to a String cannot fail.
        let _ = write!(short, "…");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> (Progress, Pace) {
        let mut pace = Pace::default();
        let progress = Progress {
            total: 400,
            done: 120,
            ran: 100,
            running: 12,
            requests: 57,
            bytes: 3 << 20,
            retries: 2,
            grows: false,
            budget_wait: None,
        };
        pace.see(Duration::ZERO, &Progress::default());
        pace.see(Duration::from_secs(10), &progress);
        (progress, pace)
    }

    fn first(width: usize) -> String {
        let (progress, pace) = busy();
        lines(&progress, &pace, &Running::default(), Duration::from_secs(75), width).remove(0)
    }

    #[test]
    fn a_wide_terminal_shows_all_of_it() {
        assert_eq!(
            first(140),
            "━━━━━━━───────────────── 120/400 · 12 running · 10.0 steps/s · 57 requests (6/s) · 3.0 MiB · 2 retries · 1:15 · about 30 s left"
        );
    }

    #[test]
    fn a_narrow_one_shows_what_matters_most() {
        assert_eq!(first(70), "━━━───────── 120/400 · 12 running · 2 retries · about 30 s left");
        assert_eq!(first(40), "120/400 · 2 retries · about 30 s left");
        assert_eq!(first(12), "120/400");
        assert_eq!(first(5), "120/…");
        for width in 0..160 {
            assert!(columns(&first(width)) <= width, "{width}");
        }
    }

    #[test]
    fn who_waits_for_a_budget_sees_the_time_left() {
        let (progress, pace) = busy();
        let waiting = Progress { budget_wait: Some(Duration::from_secs(5 * 3600)), ..progress };
        let line = |width| lines(&waiting, &pace, &Running::default(), Duration::from_secs(75), width).remove(0);
        assert_eq!(line(48), "120/400 · waits for a budget, 5 h left");
        assert!(line(140).contains("waits for a budget, 5 h left") && !line(140).contains("about"), "{}", line(140));
    }

    #[test]
    fn while_more_may_be_found_there_is_no_guess() {
        let (progress, pace) = busy();
        let growing = Progress { grows: true, ..progress };
        let line = lines(&growing, &pace, &Running::default(), Duration::ZERO, 140).remove(0);
        assert!(line.contains("120/400+ ·") && !line.contains("left"), "{line}");
    }

    #[test]
    fn the_oldest_are_named_and_their_names_are_harmless() {
        let mut running = Running::default();
        running.start(1, "made@n=a\u{1b}[2J");
        std::thread::sleep(NAMED_AFTER);
        (2..9).for_each(|id| running.start(id, "young"));
        running.start(10, "ended");
        running.end(10);
        let lines = lines(&Progress::default(), &Pace::default(), &running, Duration::ZERO, 60);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].ends_with(r"s  made@n=a\u{1b}[2J"), "{lines:?}");
        assert_eq!(lines[2].trim(), "and 7 more");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(cut("中中中", 6), "中中中");
        assert_eq!(cut("中中中", 5), "中中…");
    }
}
