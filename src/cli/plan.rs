//! `layermill plan`

use std::fmt::Write;

use crate::build::events::Silence;
use crate::build::look;
use crate::build::outcome::{ASK, Account, RESTORE, Status, Summary};
use crate::build::reasons::Reasons;
use crate::pipeline::Pipeline;
use crate::progress::report::Report;
use crate::progress::words;

use super::error::Error;
use super::{Format, Global, open, print, print_json};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Targets, steps or output files [default: what the pipeline says]
    #[arg(value_name = "TARGET")]
    wanted: Vec<String>,
    #[command(flatten)]
    by_hand: open::ByHand,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    let session = open::session(global)?;
    let mut order = open::order(global, &session, &arguments.wanted)?;
    arguments.by_hand.choose(&session, &mut order)?;
    let summary = look(&session, &order, &mut Silence).map_err(|e| Error::build(e, &session.pipeline))?;
    match arguments.format {
        Format::Json => print_json(&Report::of(&summary, &session.pipeline)),
        Format::Text => {
            print(&text(&summary, &session.pipeline, if global.verbose { Detail::All } else { Detail::First }))
        }
    }
}

/// The word for what is deferred where its source has nothing for it that the store does not have, too.
const MAY_BE_DEFERRED: &str = "deferred?";

/// The word for what fails where what its values are read out of still has it.
pub(super) const MAY_FAIL: &str = "failed?";

/// The word for what is up to date, and waits for what may fail again.
pub(super) const MAY_BE_BLOCKED: &str = "blocked?";

/// Whether it runs is seen only once what comes before it is made.
fn may_not_run(account: &Account) -> bool {
    account.status == Status::Stale && account.perhaps && !is_group_that_may_fail(account)
}

/// A group that may fail for want of a file is told for that, and counts as no step.
fn is_group_that_may_fail(account: &Account) -> bool {
    account.status == Status::Stale && account.may_fail && account.reasons.is_none()
}

/// A build is sure to ask its source again, and that is all that is known to be due of it.
fn only_asks(account: &Account) -> bool {
    account.status == Status::Stale
        && !account.perhaps
        && account.work == Some(ASK)
        && account.reasons.as_ref().is_some_and(Reasons::only_ask)
}

/// Up to so many steps of one target that only ask are told one by one.
const ONE_BY_ONE: usize = 3;

/// How many of the accounts behind the first say the same as that of further steps of its target that only ask.
fn alike(accounts: &[Account]) -> usize {
    let [first, rest @ ..] = accounts else { return 0 };
    let said = |account: &Account| {
        let past = account.last_failure.is_some() || account.earlier.is_some() || account.message.is_some();
        let reasons = account.reasons.as_ref().filter(|_| only_asks(account) && !past);
        reasons.map(|reasons| (account.target, reasons.to_string()))
    };
    let Some(as_first) = said(first) else { return 0 };
    let count = rest.iter().take_while(|other| said(other).as_ref() == Some(&as_first)).count();
    if count < ONE_BY_ONE { 0 } else { count }
}

/// How many causes are told of each step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    First,
    All,
}

/// What a build would do with a step, and as many more that are alike, and why.
fn told(account: &Account, alike: usize, detail: Detail) -> String {
    let reasons = account.reasons.as_ref().map(|reasons| match detail {
        Detail::First => reasons.to_string(),
        Detail::All => reasons.first.to_string(),
    });
    // What keeps it from being made weighs more than why it would be.
    let is_kept = matches!(account.status, Status::Failed | Status::Blocked | Status::Deferred);
    let why = match (&account.message, reasons) {
        (Some(message), Some(reasons)) if is_kept => Some(format!("{message} ({reasons})")),
        (message, reasons) => reasons.or_else(|| message.clone()),
    };
    let why = why.or_else(|| (account.status == Status::Adopted).then(|| "what is there is taken over".to_owned()));
    let last = account.last_failure.as_ref();
    let change = last.and_then(|last| last.change()).map(|change| format!("its source told that try: {change}"));
    let past: Vec<String> =
        last.map(|last| last.last()).into_iter().chain(change).chain(account.earlier.clone()).collect();
    let past = (!past.is_empty()).then(|| format!(" ({})", past.join("; ")));
    let blocked = account.message.as_ref().filter(|_| account.status == Status::Stale && account.reasons.is_some());
    let doubt = if account.may_fail { MAY_FAIL } else { MAY_BE_BLOCKED };
    let blocked = blocked.map(|message| format!(" ({doubt} {message})"));
    let more = if alike > 0 { format!(" (+{alike} more)") } else { String::new() };
    let mut text = format!("{:<8} {}{more}  {}", word(account), account.step, why.unwrap_or_default());
    [past, blocked].into_iter().flatten().for_each(|more| text.push_str(&more));
    text.push('\n');
    if detail == Detail::All {
        let causes = account.reasons.iter().flat_map(|reasons| reasons.iter().skip(1));
        let unlisted = account.reasons.as_ref().map(Reasons::unlisted).filter(|more| *more > 0);
        let more = causes.map(|cause| format!("and {cause}")).chain(unlisted.map(|more| format!("and {more} more")));
        let help = account.help.iter().map(|help| format!("help: {help}"));
        more.chain(help).for_each(|line| text.push_str(&format!("{:<8}   {line}\n", "")));
    }
    text
}

fn word(account: &Account) -> &'static str {
    match account.status {
        Status::Stale if is_group_that_may_fail(account) => MAY_FAIL,
        Status::Stale if may_not_run(account) => "run?",
        Status::Stale if account.work == Some(RESTORE) => RESTORE,
        Status::Stale => "run",
        Status::UpToDate => MAY_BE_BLOCKED,
        Status::Adopted => "adopt",
        Status::Deferred if account.perhaps => MAY_BE_DEFERRED,
        Status::Blocked if account.perhaps => MAY_BE_BLOCKED,
        Status::Failed if account.perhaps => MAY_FAIL,
        status => status.word(),
    }
}

fn text(summary: &Summary, pipeline: &Pipeline, detail: Detail) -> String {
    let mut text = String::new();
    let mut accounts = summary.accounts.as_slice();
    while let Some(account) = accounts.first() {
        let alike = if detail == Detail::First { alike(accounts) } else { 0 };
        text.push_str(&told(account, alike, detail));
        accounts = &accounts[1 + alike..];
    }
    for unknown in &summary.unknown {
        let _ = writeln!(text, "more     {}  {unknown}", pipeline.targets[unknown.target].name);
        for other in unknown.and().filter(|_| detail == Detail::All) {
            let _ = writeln!(text, "{:<8}   {other}", "");
        }
    }
    for empty in words::empty(summary) {
        let _ = writeln!(text, "empty    {empty}");
    }
    for reads in words::reads_orphans(summary) {
        let _ = writeln!(text, "orphan   {reads}");
    }
    if let Some(help) = words::help_on_orphans(summary) {
        let _ = writeln!(text, "           help: {help}");
    }
    for pulls in &summary.pulls {
        let _ = writeln!(text, "pulls    {}", words::pulls(pulls));
    }
    for note in &summary.in_vain {
        let _ = writeln!(text, "note     {note}");
    }
    let c = &summary.counts;
    let restores = summary.accounts.iter().filter(|a| a.work == Some(RESTORE) && !a.perhaps).count();
    let perhaps = summary.accounts.iter().filter(|a| may_not_run(a)).count();
    let doubted = |status| summary.accounts.iter().filter(|a| a.status == status && a.perhaps).count();
    let (may_fail, may_be_blocked) = (doubted(Status::Failed), doubted(Status::Blocked));
    let groups = summary.accounts.iter().filter(|account| is_group_that_may_fail(account)).count();
    let doomed = may_be_blocked + summary.accounts.iter().filter(|a| a.status == Status::UpToDate).count();
    let (wrong, to_do) = (c.failed + c.blocked - may_fail - may_be_blocked, c.stale + c.deferred);
    let asked = summary.accounts.iter().filter(|account| only_asks(account)).count();
    if asked > 0 && asked == c.stale + c.deferred + c.adopted + wrong - perhaps {
        let _ = writeln!(text, "note     all that is sure to be due is to ask again what was asked before");
    }
    let mut line = match (to_do, wrong) {
        (0, 0) if summary.unknown.is_empty() && c.absent == 0 && c.adopted == 0 => words::all_up_to_date(c.total()),
        _ => {
            let doubted = match summary.in_doubt.iter().sum::<usize>().min(c.up_to_date - c.adopted) {
                0 => String::new(),
                doubted => format!(" ({doubted} of them as of the last build)"),
            };
            format!(
                "{} to run, {} up to date{doubted}, {} absent",
                c.stale - restores - perhaps,
                c.up_to_date - c.adopted,
                c.absent
            )
        }
    };
    if perhaps > 0 {
        let _ = write!(line, ", {perhaps} that may run");
    }
    if doomed > 0 {
        let _ = write!(line, ", {doomed} that may be blocked");
    }
    if may_fail + groups > 0 {
        let _ = write!(line, ", {} that may fail", may_fail + groups);
    }
    if restores > 0 {
        let _ = write!(line, ", {restores} to restore");
    }
    if c.adopted > 0 {
        let _ = write!(line, ", {} to adopt", c.adopted);
    }
    if c.deferred > 0 {
        let _ = write!(line, ", {} deferred", c.deferred);
    }
    if wrong > 0 {
        let _ = write!(line, ", {wrong} cannot be made");
    }
    text + &line + "\n"
}
