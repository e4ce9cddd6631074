//! The words of failures: each root failure with all that is known of it, and many that are alike as one.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use crate::build::outcome::{Account, HeldUp, Status, Summary};

use super::escape;
use super::phrases::{DIM, RED, message};

/// Which of the causes for which a step ran are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Causes {
    /// The first; how many others there are.
    First,
    All,
}

/// So many failures that are alike are told one by one; of more, the first are named.
const FEW: usize = 10;
const NAMED: usize = 3;

/// Root failures of which nothing is known but the same words.
pub struct Alike<'a> {
    pub first: &'a Account,
    others: Vec<&'a Account>,
    /// How many steps could not be made because of any of them.
    blocks: usize,
}

/// The root failures of a build, in the order of the first of those that are alike.
pub fn alike(summary: &Summary) -> Vec<Alike<'_>> {
    let mut all: Vec<Alike<'_>> = Vec::new();
    // By what is said of them; and in which of these each account is.
    let (mut places, mut home) = (HashMap::new(), HashMap::new());
    for (n, account) in summary.accounts.iter().enumerate().filter(|(_, account)| account.status == Status::Failed) {
        let says_no_more = account.output.is_empty() && account.log.is_none();
        let message = account.shared_message.as_deref().or(account.message.as_deref());
        let said = message.filter(|_| says_no_more).map(|message| (message, account.help.as_deref()));
        let place = said.map_or(all.len(), |said| *places.entry(said).or_insert(all.len()));
        home.insert(n, place);
        match all.get_mut(place) {
            Some(alike) => alike.others.push(account),
            None => all.push(Alike { blocks: 0, ..Alike::one(account) }),
        }
    }
    // A step that waits for several that are alike waits for them once.
    let blocked =
        |held_up: &HeldUp| -> HashSet<usize> { held_up.by.iter().filter_map(|n| home.get(n).copied()).collect() };
    for held_up in &summary.held_up {
        blocked(held_up).into_iter().for_each(|place| all[place].blocks += held_up.steps);
    }
    // A few are named one by one.
    all.into_iter().flat_map(unless_few).collect()
}

fn unless_few(alike: Alike<'_>) -> Vec<Alike<'_>> {
    if alike.count() > FEW {
        return vec![alike];
    }
    std::iter::once(alike.first).chain(alike.others).map(Alike::one).collect()
}

impl<'a> Alike<'a> {
    fn one(first: &'a Account) -> Self {
        Self { first, others: Vec::new(), blocks: first.blocks }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// What they are called: the step, or how many.
    pub fn title(&self) -> String {
        match self.count() {
            1 => self.first.step.clone(),
            n => format!("{n} steps"),
        }
    }

    /// The names of the first of them, where there are many.
    pub fn names(&self) -> Option<String> {
        let more = self.count().checked_sub(NAMED).filter(|_| !self.others.is_empty())?;
        let named = std::iter::once(&self.first).chain(&self.others).take(NAMED).map(|account| account.step.as_str());
        Some(format!("{} and {more} more", named.collect::<Vec<_>>().join(", ")))
    }

    /// What is the matter with them.
    pub fn message(&self) -> Option<&'a str> {
        let shared = self.first.shared_message.as_deref().filter(|_| !self.others.is_empty());
        shared.or(self.first.message.as_deref())
    }

    /// All that is known of them.
    pub fn words(&self, causes: Causes) -> String {
        let Some(names) = self.names() else { return failure(self.first, causes) };
        let message = escape::line(self.message().unwrap_or_default());
        let mut text = format!("{RED}failed{RED:#} {}: {message}\n  {}\n", self.title(), escape::line(&names));
        add_help(&mut text, self.first);
        add_held_up(&mut text, self.held_up());
        text
    }

    /// How many steps could not be made because of them, in words.
    pub fn held_up(&self) -> Option<String> {
        let them = if self.others.is_empty() { "it" } else { "them" };
        match self.blocks {
            0 => None,
            1 => Some(format!("1 step waits for {them}")),
            n => Some(format!("{n} steps wait for {them}")),
        }
    }

    /// The same as a number.
    pub fn blocks(&self) -> usize {
        self.blocks
    }
}

/// Each root failure with the end of its output, and what could not be built because of it.
pub fn failures(summary: &Summary, causes: Causes) -> String {
    alike(summary).iter().map(|alike| alike.words(causes)).collect()
}

/// A failure in a line.
pub fn failed(account: &Account) -> String {
    format!("{RED}failed{RED:#} {}: {}\n", escape::line(&account.step), message(account))
}

/// A failure with all that is known of it.
pub fn failure(account: &Account, causes: Causes) -> String {
    let mut text = failed(account);
    // Writing to a String cannot fail.
    for line in &account.output {
        let _ = writeln!(text, "  {DIM}│{DIM:#} {}", escape::printed(line));
    }
    if let Some(log) = &account.log {
        let _ = writeln!(text, "  {DIM}all of it: {log}{DIM:#}");
    }
    if account.attempts > 1 {
        let _ = writeln!(text, "  {DIM}{} attempts{DIM:#}", account.attempts);
    }
    if let Some(reasons) = &account.reasons {
        let why = match causes {
            Causes::First => reasons.to_string(),
            Causes::All => reasons.listed().join("; "),
        };
        let _ = writeln!(text, "  {DIM}it ran because: {}{DIM:#}", escape::line(&why));
    }
    add_help(&mut text, account);
    add_held_up(&mut text, Alike::one(account).held_up());
    text
}

fn add_held_up(text: &mut String, held_up: Option<String>) {
    if let Some(held_up) = held_up {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {DIM}{held_up}{DIM:#}");
    }
}

fn add_help(text: &mut String, account: &Account) {
    if let Some(help) = &account.help {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  help: {}", escape::lines(help));
    }
}
