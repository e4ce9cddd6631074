//! The words of the summary.

use std::fmt::Write;
use std::time::Duration;

use anstyle::{AnsiColor, Style};

use crate::build::clock::whole_second;
use crate::build::events::{Printed, Progress};
use crate::build::outcome::{Account, Counts, Deferred, Pulls, ReadsOrphans, Status, Summary};
use crate::registry::HostNote;

use super::escape;
use super::failures::{self, Causes};
use super::pace::Pace;
use super::phrases::{DIM, RED, about, bytes, counted, message, seconds};

const YELLOW: Style = AnsiColor::Yellow.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
/// A build that is over sooner tells its failures once, at its end.
pub const TELL_FAILURES_AFTER: Duration = Duration::from_secs(3);
/// How many absent steps, and how many notes, are named.
const NAMED: usize = 10;

/// Everything that is to be said at the end.
pub fn summary(summary: &Summary) -> String {
    format!("{}{}{}{}\n", notes(summary), failures::failures(summary, Causes::First), warnings(summary), line(summary))
}

/// What is no failure, and yet the build is not whole, or not what a fresh checkout would have: lists that have nothing;
/// orphans that are read; what sources had no more of, and when they have.
pub fn warnings(summary: &Summary) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    for warning in empty(summary).chain(some_reads_orphans(summary)) {
        let _ = writeln!(text, "{YELLOW}warning{YELLOW:#} {warning}");
    }
    text.extend(help_on_orphans(summary).map(|help| format!("  help: {help}\n")));
    for deferred in deferred(summary) {
        let _ = writeln!(text, "{YELLOW}deferred{YELLOW:#} {deferred}");
    }
    text
}

/// Steps that read what no step makes any more, without a head, a line for each.
pub fn reads_orphans(summary: &Summary) -> impl Iterator<Item = String> {
    summary.reads_orphans.iter().map(|reads| escape::line(&reads.to_string()).into_owned())
}

/// The same of a build, where they may be many.
pub fn some_reads_orphans(summary: &Summary) -> impl Iterator<Item = String> {
    let more = summary.reads_orphans.len().saturating_sub(NAMED);
    let read = if more == 1 { "reads" } else { "read" };
    let more =
        (more > 0).then(|| format!("{} {read} such files (layermill plan names them)", counted(more, "more step")));
    reads_orphans(summary).take(NAMED).chain(more)
}

/// What is to be done about these.
pub fn help_on_orphans(summary: &Summary) -> Option<&'static str> {
    (!summary.reads_orphans.is_empty()).then_some(ReadsOrphans::HELP)
}

/// Targets without steps, without a head, a line for each list that has nothing.
pub fn empty(summary: &Summary) -> impl Iterator<Item = String> {
    summary.empty.iter().map(|empty| escape::line(&empty.to_string()).into_owned())
}

/// What was deferred, without a head, a line a source, and one for the steps that wait for others.
pub fn deferred(summary: &Summary) -> impl Iterator<Item = String> {
    let more = summary.counts.deferred.saturating_sub(summary.deferrals.iter().map(|d| d.steps).sum());
    let more = (more > 0).then(|| format!("{} behind {}", steps(more), if more == 1 { "it" } else { "them" }));
    summary.deferrals.iter().map(deferral).chain(more)
}

fn deferral(d: &Deferred) -> String {
    let when = match d.until {
        Some(until) => format!("build again at {}", moment(until)),
        None => "build again later; it does not say when".to_owned(),
    };
    format!("{} of {}: {}; {when}", steps(d.steps), escape::line(&d.source), escape::line(&d.why))
}

fn steps(n: usize) -> String {
    counted(n, "step")
}

/// What a build will have to fetch of a source, and when it would be done.
pub fn pulls(p: &Pulls) -> String {
    let likely = if p.likely > p.needed { format!(", most likely {} or more,", p.likely) } else { String::new() };
    let mut text = format!("{} or more{likely} of {}", p.needed, escape::line(&p.source));
    let done = match p.likely {
        0 => "one more".to_owned(),
        n if n == p.needed => "done".to_owned(),
        _ => "most likely done".to_owned(),
    };
    if let Some(f) = &p.forecast {
        // Writing to a String cannot fail.
        let are = if f.left == 1 { "is" } else { "are" };
        let _ = write!(text, "; {} of its budget of {} {are} left", f.left, f.allowance);
        if p.likely.max(1) > f.left {
            let _ = write!(text, "; {done} at {} at the soonest", moment(f.done));
        }
    }
    if let Some(told) = &p.told {
        let _ = write!(text, "; the last build that heard of it was told: {}", escape::line(&told.why));
        let _ = match told.until.zip(told.done(p.likely)) {
            Some((until, at)) => {
                write!(text, ", until {}; if that holds, {done} at {} at the soonest", moment(until), moment(at))
            }
            None => write!(text, ", not until when"),
        };
    }
    text
}

/// A time to come, and how far off it is.
fn moment(at: i64) -> String {
    let now = jiff::Timestamp::now().as_millisecond();
    let left = Duration::from_millis(u64::try_from(at - now).unwrap_or(0));
    let time = jiff::Timestamp::from_millisecond(whole_second(at)).unwrap_or_default();
    format!("{} UTC (in {})", time.strftime("%Y-%m-%d %H:%M:%S"), about(left))
}

/// What is absent, and what is to be known of what was made.
pub fn notes(summary: &Summary) -> String {
    let mut text = String::new();
    named(&mut text, summary, YELLOW, "absent", |a| a.status == Status::Absent);
    named(&mut text, summary, YELLOW, "note", |a| {
        a.message.is_some() && matches!(a.status, Status::Built | Status::UpToDate)
    });
    for note in summary.in_vain.iter().take(NAMED) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{YELLOW}note{YELLOW:#} {}", escape::line(note));
    }
    for note in summary.hosts.iter().take(NAMED) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{YELLOW}note{YELLOW:#} {}: {}", escape::line(&note.host), of_host(note));
    }
    text
}

fn of_host(note: &HostNote) -> String {
    let times = |n: u64| if n == 1 { "once".to_owned() } else { format!("{n} times") };
    let backed_off = (note.backed_off > 0)
        .then(|| format!("backed off {}, since requests failed or were refused", times(note.backed_off)));
    let wrong = (note.wrong_content > 0)
        .then(|| format!("sent other content than was asked for {}, which was not taken", times(note.wrong_content)));
    [backed_off, wrong].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn named(text: &mut String, summary: &Summary, style: Style, word: &str, which: impl Fn(&Account) -> bool) {
    let all: Vec<&Account> = summary.accounts.iter().filter(|a| which(a)).collect();
    for account in all.iter().take(NAMED) {
        let (step, message) = (escape::line(&account.step), message(account));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{style}{word}{style:#} {step}: {message}");
    }
    if all.len() > NAMED {
        let _ = writeln!(text, "{style}{word}{style:#} … and {} more (layermill plan names them)", all.len() - NAMED);
    }
}

/// One step that was done, in a line: all causes for which it ran, and how long it took.
pub fn step(account: &Account) -> String {
    let why = account.reasons.as_ref().map(|reasons| reasons.listed().join("; "));
    let why = [why, account.message.clone()].into_iter().flatten().collect::<Vec<_>>().join("; ");
    let mut text = format!("{} {}", account.status.word(), escape::line(&account.step));
    // Writing to a String cannot fail.
    if !why.is_empty() {
        let _ = write!(text, " ({})", escape::line(&why));
    }
    if let Some(took) = account.took {
        let _ = write!(text, " {}", seconds(took));
    }
    if account.attempts > 1 {
        let _ = write!(text, ", {} attempts", account.attempts);
    }
    text + "\n"
}

/// What a command printed, below the line of its step.
pub fn printed(printed: &Printed) -> String {
    printed_lines(printed).flat_map(|line| [line, "\n".to_owned()]).collect()
}

pub fn printed_lines(printed: &Printed) -> impl Iterator<Item = String> {
    let left_out = format!("  {DIM}… {} before this are in {}{DIM:#}", bytes(printed.left_out), printed.log);
    let left_out = (printed.left_out > 0).then_some(left_out);
    left_out.into_iter().chain(printed.lines.iter().map(|line| format!("  {DIM}│{DIM:#} {}", escape::printed(line))))
}

/// How far a build is, for a log; with the step that has been running for longest.
pub fn progress(progress: &Progress, pace: &Pace, oldest: Option<(&str, Duration)>) -> String {
    let more = if progress.grows { " and more" } else { "" };
    let mut text = format!("{}/{}{more} steps, {} running", progress.done, progress.total, progress.running);
    // Writing to a String cannot fail.
    if let Some((step, since)) = oldest {
        let _ = write!(text, " ({} for {})", escape::line(step), seconds(since));
    }
    if progress.requests > 0 {
        let _ = write!(text, ", {} requests, {}", progress.requests, bytes(progress.bytes));
    }
    if progress.retries > 0 {
        let _ = write!(text, ", {} retries", progress.retries);
    }
    if let Some(wait) = progress.budget_wait {
        let _ = write!(text, ", waiting for a budget, {} left", about(wait));
    } else if let Some(left) = pace.left(progress, oldest.map_or(Duration::ZERO, |(_, since)| since)) {
        let _ = write!(text, ", about {} left", about(left));
    }
    text + "\n"
}

/// Another build holds the lock.
pub fn waiting(holder: &str) -> String {
    format!("another build is running ({holder}); waiting for it\n")
}

/// Something of the state was damaged.
pub fn set_aside(what: &str) -> String {
    format!("{}\n", escape::line(what))
}

/// How many steps ended how: what a build is for, and what else there was.
pub fn outcomes(counts: &Counts) -> impl Iterator<Item = (&'static str, usize)> {
    let always = [("built", counts.built), ("up to date", counts.up_to_date - counts.adopted)];
    let rest = [
        ("adopted", counts.adopted),
        ("restored", counts.restored),
        ("absent", counts.absent),
        ("failed", counts.failed),
        ("blocked", counts.blocked),
        ("deferred", counts.deferred),
        ("not reached", counts.unreached),
    ];
    always.into_iter().chain(rest.into_iter().filter(|(_, n)| *n > 0))
}

/// The one line that counts.
pub fn line(summary: &Summary) -> String {
    let c = &summary.counts;
    let parts: Vec<String> = outcomes(c).map(|(word, n)| format!("{word} {n}")).collect();
    let bad = c.failed + c.blocked + c.unreached > 0;
    let style = match (bad, c.deferred) {
        (true, _) => RED,
        (_, 0) => GREEN,
        _ => YELLOW,
    };
    let idle = c.up_to_date == c.total() && c.adopted == 0;
    let head = match (summary.interrupted, idle, c.total()) {
        (true, ..) => format!("interrupted; what is done is kept: {}", parts.join(", ")),
        (_, true, 0) => "nothing to build".to_owned(),
        (_, true, n) => all_up_to_date(n),
        _ => parts.join(", "),
    };
    let retries = match summary.retries {
        0 => String::new(),
        1 => ", 1 retry".to_owned(),
        n => format!(", {n} retries"),
    };
    format!(
        "{style}{head}{style:#} · {}, {}{retries} · {}",
        match summary.requests {
            0 => "no requests".to_owned(),
            1 => "1 request".to_owned(),
            n => format!("{n} requests"),
        },
        bytes(summary.bytes),
        seconds(summary.elapsed)
    )
}

/// There is nothing to do.
pub fn all_up_to_date(steps: usize) -> String {
    if steps == 1 { "1 step is up to date".to_owned() } else { format!("all {steps} steps are up to date") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(summary: &Summary) -> String {
        anstream::adapter::strip_str(&line(summary)).to_string()
    }

    #[test]
    fn the_line_counts_what_there_is_to_count() {
        let mut s = Summary { requests: 57, bytes: 123_290, ..Summary::default() };
        s.counts = Counts { built: 12, up_to_date: 30, restored: 1, absent: 2, ..Counts::default() };
        s.elapsed = Duration::from_millis(812);
        assert_eq!(plain(&s), "built 12, up to date 30, restored 1, absent 2 · 57 requests, 120.4 KiB · 0.81 s");
    }

    #[test]
    fn hosts_that_did_not_do_as_they_should_are_named() {
        let host = |backed_off, wrong_content| HostNote { host: "https://r".into(), backed_off, wrong_content };
        let summary = Summary { hosts: vec![host(3, 0), host(1, 2)], ..Summary::default() };
        let text = notes(&summary);
        let lines: Vec<String> = text.lines().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert_eq!(
            lines,
            [
                "note https://r: backed off 3 times, since requests failed or were refused",
                "note https://r: backed off once, since requests failed or were refused; \
                 sent other content than was asked for 2 times, which was not taken"
            ]
        );
    }

    #[test]
    fn an_idle_build_says_so() {
        let mut s = Summary::default();
        s.counts.up_to_date = 30;
        assert_eq!(plain(&s), "all 30 steps are up to date · no requests, 0 B · 0.00 s");
        s.counts.up_to_date = 1;
        assert_eq!(plain(&s), "1 step is up to date · no requests, 0 B · 0.00 s");
    }
}
