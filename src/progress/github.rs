//! What the runner of GitHub Actions understands: errors that it shows beside the run, groups that it folds, and a page
//! of Markdown. The syntax is that of its "workflow commands".

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use crate::build::events::{Event, Listener, Printed};
use crate::build::outcome::Summary;

use super::failures::{self, Alike, Causes};
use super::phrases::seconds;
use super::{escape, words};

/// The runner shows no more errors of one step.
const ERRORS: usize = 10;
/// How many failures the page names.
const ROWS: usize = 50;

/// This program is run by the runner.
pub fn is_runner() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|v| v == "true")
}

/// What a command printed, folded. Lines of it that look like commands to the runner are not obeyed.
pub fn group(step: &str, printed: &Printed) -> String {
    if printed.lines.is_empty() {
        return String::new();
    }
    let body: String = words::printed_lines(printed).flat_map(|line| [line, "\n".to_owned()]).collect();
    format!("::group::output of {}\n{}::endgroup::\n", data(step), guarded(&body))
}

/// Every root failure; those that the runner would not show are told in words.
pub fn errors(summary: &Summary) -> String {
    let mut text = String::new();
    for (n, alike) in failures::alike(summary).iter().enumerate() {
        if n < ERRORS {
            text.push_str(&error(alike));
        } else {
            text.push_str(&guarded(&alike.words(Causes::First)));
        }
    }
    text
}

fn error(alike: &Alike<'_>) -> String {
    let account = alike.first;
    let mut message = alike.message().unwrap_or("failed").to_owned();
    // Writing to a String cannot fail.
    for line in &account.output {
        let _ = write!(message, "\n{}", escape::printed(line));
    }
    for more in [alike.names(), alike.held_up(), account.log.as_ref().map(|log| format!("all of it: {log}"))] {
        message.extend(more.iter().flat_map(|more| ["\n", more]));
    }
    message.extend(account.help.iter().flat_map(|help| ["\nhelp: ", help]));
    format!("::error title={}::{}\n", property(&alike.title()), data(&message))
}

pub fn warning(what: &str) -> String {
    format!("::warning title=layermill::{}\n", data(what))
}

/// What is no error, and yet the build is not whole.
pub fn warnings(summary: &Summary) -> String {
    let help = words::help_on_orphans(summary).map(|help| format!("\nhelp: {help}")).unwrap_or_default();
    words::empty(summary)
        .chain(words::some_reads_orphans(summary).map(|text| text + &help))
        .chain(words::deferred(summary).map(|text| format!("deferred {text}")))
        .map(|text| warning(&text))
        .collect()
}

/// A value after `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A value between `::` and `::`.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Text in which the runner obeys nothing.
fn guarded(text: &str) -> String {
    let like_a_command = |line: &str| line.trim_start().starts_with("::") || line.contains("##[");
    if !text.lines().any(like_a_command) {
        return text.to_owned();
    }
    // Not to be guessed by what was printed.
    let token = format!("layermill-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    format!("::stop-commands::{token}\n{text}::{token}::\n")
}

/// Adds to the page that the runner shows of a job.
pub struct Page(PathBuf);

impl Page {
    /// The page, where the runner wants one.
    pub fn wanted() -> Option<Self> {
        std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()).map(|path| Self(path.into()))
    }
}

impl Listener for Page {
    fn hear(&mut self, event: &Event<'_>) {
        let Event::Done(summary) = event else { return };
        let page = OpenOptions::new().append(true).create(true).open(&self.0);
        if let Err(e) = page.and_then(|mut file| file.write_all(markdown(summary).as_bytes())) {
            anstream::eprintln!("cannot write the job's summary to {}: {e}", self.0.display());
        }
    }
}

fn markdown(summary: &Summary) -> String {
    let c = &summary.counts;
    let told: Vec<_> = words::outcomes(c).collect();
    let mut text = String::from("### layermill build\n\n|");
    text.extend(told.iter().map(|(word, _)| format!(" {word} |")));
    text.push_str(" requests | time |\n|");
    text.push_str(&" --: |".repeat(told.len() + 2));
    text.push_str("\n|");
    text.extend(told.iter().map(|(_, n)| format!(" {n} |")));
    // Writing to a String cannot fail.
    let _ = writeln!(text, " {} | {} |\n", summary.requests, seconds(summary.elapsed));
    if c.failed > 0 {
        text.push_str("| failed | why | waiting for it |\n| --- | --- | --: |\n");
        let all = failures::alike(summary);
        for alike in all.iter().take(ROWS) {
            let why = alike.message().unwrap_or("failed");
            let names = alike.names().unwrap_or_else(|| alike.title());
            let _ = writeln!(text, "| {} | {} | {} |", cell(&names), cell(why), alike.blocks());
        }
        let more: usize = all.iter().skip(ROWS).map(Alike::count).sum();
        if more > 0 {
            let _ = writeln!(text, "| … and {more} more | | |");
        }
        text.push('\n');
    }
    text
}

/// Text that stays within its cell and is nothing but text.
fn cell(text: &str) -> String {
    let mut clean = String::new();
    for c in escape::line(text).chars() {
        match c {
            '&' => clean.push_str("&amp;"),
            '<' => clean.push_str("&lt;"),
            '>' => clean.push_str("&gt;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '~' => clean.extend(['\\', c]),
            c => clean.push(c),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::outcome::{Account, Counts, Status};

    fn failed() -> Account {
        Account {
            step: "made@n=1,m=a:b".into(),
            target: 0,
            status: Status::Failed,
            reasons: None,
            work: None,
            perhaps: false,
            may_fail: false,
            message: Some("100% wrong\nreally".into()),
            shared_message: None,
            help: None,
            output: vec!["::error::mine".into(), "\u{1b}[31mred\u{1b}[0m".into()],
            log: Some(".layermill/logs/1.log".into()),
            took: None,
            attempts: 1,
            by: Vec::new(),
            last_failure: None,
            earlier: None,
            blocks: 3,
        }
    }

    #[test]
    fn an_error_is_escaped_as_the_runner_wants() {
        assert_eq!(
            errors(&Summary { accounts: vec![failed()], ..Summary::default() }),
            "::error title=made@n=1%2Cm=a%3Ab::100%25 wrong%0Areally%0A::error::mine%0Ared%0A3 steps wait for it%0A\
             all of it: .layermill/logs/1.log\n"
        );
    }

    #[test]
    fn what_looks_like_a_command_in_an_output_is_not_obeyed() {
        let printed = |line: &str| Printed { lines: vec![line.into()], ..Printed::default() };
        let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
        assert_eq!(plain(group("a\nb", &printed("fine"))), "::group::output of a%0Ab\n  │ fine\n::endgroup::\n");
        let guarded = plain(group("a", &printed("##[error]mine")));
        let lines: Vec<&str> = guarded.lines().collect();
        let token = lines[1].strip_prefix("::stop-commands::").expect("commands are stopped");
        assert_eq!(lines[2..], ["  │ ##[error]mine", &format!("::{token}::"), "::endgroup::"]);
        assert_eq!(group("a", &Printed::default()), "");
    }

    #[test]
    fn the_page_is_a_table_that_no_name_breaks() {
        let mut account = failed();
        account.message = Some("a|b <script> `x`".into());
        let counts = Counts { failed: 1, blocked: 3, ..Counts::default() };
        let page = markdown(&Summary { counts, accounts: vec![account], ..Summary::default() });
        assert!(page.contains("| built | up to date | failed | blocked | requests | time |\n| --: |"), "{page}");
        assert!(page.contains("| 0 | 0 | 1 | 3 | 0 | 0.00 s |"), "{page}");
        assert!(page.contains("| made@n=1,m=a:b | a\\|b &lt;script&gt; \\`x\\` | 3 |"), "{page}");
    }
}
