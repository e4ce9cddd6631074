//! What is said before a build is what the build then does.

use std::collections::HashMap;

use super::*;
use crate::build::look;
use crate::build::outcome::{ASK, Account, RESTORE};

/// What is wrong with what was said before a build.
fn misled(plan: &Summary, built: &Summary) -> Vec<String> {
    fn by_step(summary: &Summary) -> HashMap<&str, &Account> {
        summary.accounts.iter().map(|account| (account.step.as_str(), account)).collect()
    }
    let (told, done) = (by_step(plan), by_step(built));
    let to_come = |account: &Account| plan.unknown.iter().any(|unknown| unknown.target == account.target);
    let acts = |account: &&&Account| matches!(account.status, Status::Built | Status::Restored | Status::Absent);
    let untold = done.values().filter(acts).filter(|account| match told.get(account.step.as_str()) {
        Some(told) => matches!(told.status, Status::UpToDate | Status::Adopted),
        None => !to_come(account),
    });
    let mut wrong: Vec<String> =
        untold.map(|a| format!("untold: {} is {} ({:?})", a.step, a.status.word(), a.reasons)).collect();
    for account in told.values().filter(|account| account.status == Status::Stale && !account.perhaps) {
        let came = done.get(account.step.as_str()).map(|done| done.status);
        let kept = match (account.work, came) {
            // What a source answers may be what it answered before.
            (Some(ASK), _) => true,
            (_, None | Some(Status::UpToDate | Status::Adopted)) => false,
            (Some(RESTORE), Some(status)) => status != Status::Built,
            _ => true,
        };
        if !kept {
            wrong.push(format!("not done: {} ({:?}), but {came:?}", account.step, account.reasons));
        }
    }
    // What is told to go wrong does, with what needs it.
    for account in told.values().filter(|account| matches!(account.status, Status::Failed | Status::Blocked)) {
        let came = done.get(account.step.as_str()).map(|done| done.status);
        // What is absent cannot be made either.
        let also = account.status == Status::Blocked && came == Some(Status::Absent);
        if came != Some(account.status) && !also {
            wrong.push(format!(
                "not {}: {} ({:?}), but {came:?}",
                account.status.word(),
                account.step,
                account.message
            ));
        }
    }
    wrong.sort();
    wrong
}

fn told_history(
    mut drawn: Drawn,
    repos: BTreeMap<usize, BTreeMap<usize, u8>>,
    rounds: &[(Vec<Edit>, usize)],
    offline: &[bool],
) -> Result<(), TestCaseError> {
    let bed = Bed::new(Arc::new(Fake { repos: Mutex::new(repos), ..Fake::default() }));
    for ((edits, jobs), &offline) in rounds.iter().zip(offline) {
        for edit in edits {
            bed.apply(edit, &mut drawn);
        }
        let session = Session { offline, ..bed.drawn(&drawn) };
        let failing = bed.source.failing.lock().unwrap().clone();
        if offline {
            // As a source does that needs the network.
            bed.source.failing.lock().unwrap().extend(0..REPOS.len());
        }
        let order = Order { asked: request::everything(&session.pipeline), jobs: *jobs, ..Order::default() };
        let plan = look(&session, &order, &mut Silence).unwrap();
        let built = Bed::build(&session, *jobs, Selection::None);
        prop_assert_eq!(misled(&plan, &built), Vec::<String>::new());
        *bed.source.failing.lock().unwrap() = failing;
    }
    Ok(())
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn what_a_plan_says_is_what_the_build_after_it_does(
        (drawn, rounds) in cases(),
        repos in repos(),
        offline in prop::collection::vec(prop::bool::weighted(0.2), 4),
    ) {
        told_history(drawn, repos, &rounds, &offline)?;
    }
}
