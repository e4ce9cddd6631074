use super::*;

#[test]
fn a_budget_is_pulls_in_a_time() {
    let allowance: Allowance = "100/6h".parse().unwrap();
    assert_eq!(allowance, Allowance { pulls: 100, within: Duration::from_secs(21_600) });
    assert_eq!(allowance.to_string(), "100 pulls in 6h");
    assert_eq!("1/90s".parse::<Allowance>().unwrap().to_string(), "1 pull in 90s");
    for bad in ["", "100", "0/6h", "-1/6h", "100/", "100/0s", "100/6", "100/32d", "x/6h"] {
        assert!(bad.parse::<Allowance>().is_err(), "{bad}");
    }
}

fn spend(folder: &std::path::Path, pulls: usize) -> Vec<Result<(), SourceError>> {
    let budget = Budgets::kept_in(folder.to_owned()).of("https://r", "2/6h".parse().ok());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    (0..pulls).map(|_| runtime.block_on(budget.enter(true, true)).map(drop)).collect()
}

#[test]
fn what_was_spent_outlives_a_run() {
    let folder = tempfile::tempdir().unwrap();
    assert!(spend(folder.path(), 1)[0].is_ok());
    let second = spend(folder.path(), 2);
    assert!(second[0].is_ok());
    let deferral = second[1].as_ref().unwrap_err().deferral.clone().unwrap();
    assert_eq!((&*deferral.source, &*deferral.why), ("https://r", "the budget of 2 pulls in 6h is spent"));
    assert!((deferral.until.unwrap() - now_ms() - 21_600_000).abs() < 60_000);
}

#[test]
fn a_clock_that_went_back_locks_nobody_out_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let years = now_ms() + 10 * 365 * 86_400_000;
    std::fs::write(folder.path().join(spent::NAME), format!("{years} https://r\n{years} https://r\n")).unwrap();
    let until = |run: &[Result<(), SourceError>]| run[0].as_ref().unwrap_err().deferral.clone().unwrap().until;
    let first = until(&spend(folder.path(), 1)).unwrap();
    assert!(first <= now_ms() + 21_600_000);
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(until(&spend(folder.path(), 1)), Some(first), "the next run does not begin anew");
}

#[test]
fn what_a_server_had_no_more_of_is_asked_for_by_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let may_pull = |budget: &Budget| runtime.block_on(budget.enter(true, true)).is_ok();
    let run = || Budgets::kept_in(folder.path().to_owned()).of("https://r", None);
    let budget = run();
    let until = Some(now_ms() + 3_600_000);
    let mut pass = runtime.block_on(budget.enter(true, true)).unwrap();
    pass.refused(Deferral { until, ..Deferral::default() });
    drop(pass);
    assert!(!may_pull(&budget) && may_pull(&run()));
}

#[tokio::test]
async fn the_first_pull_goes_alone_until_it_is_answered_or_fails() {
    let goes = |budget: &Arc<Budget>, is_pull| {
        use futures_util::FutureExt as _;
        let budget = budget.clone();
        async move { budget.enter(is_pull, true).now_or_never().is_some() }
    };
    for failed in [true, false] {
        let budget = Budgets::default().of("https://r", None);
        budget.enter(false, true).await.unwrap().answered(&HeaderMap::new());
        let mut first = budget.enter(true, true).await.unwrap();
        assert!(!goes(&budget, true).await && goes(&budget, false).await);
        if failed {
            first.failed()
        } else {
            first.denied()
        }
        let second = budget.enter(true, true).await.unwrap();
        assert_eq!(goes(&budget, true).await, failed, "what was denied tells nothing of pulls");
        drop((first, second));
        assert!(goes(&budget, true).await);
    }
}

#[tokio::test]
async fn a_host_that_denies_one_pull_after_the_other_is_asked_by_many() {
    use futures_util::FutureExt as _;
    let budget = Budgets::default().of("https://r", None);
    let mut alone = 0;
    loop {
        let mut first = budget.enter(true, true).await.unwrap();
        if budget.enter(true, true).now_or_never().is_some() {
            break;
        }
        first.denied();
        alone += 1;
        assert!(alone < 20);
    }
    assert!(alone > 1);
}

#[tokio::test]
async fn a_pull_that_cannot_be_kept_count_of_is_not_made_and_holds_up_no_others() {
    use futures_util::FutureExt as _;
    let folder = tempfile::tempdir().unwrap();
    let budget = Budgets::kept_in(folder.path().to_owned()).of("https://r", "2/6h".parse().ok());
    drop(budget.enter(true, true).await.unwrap());
    let file = folder.path().join(spent::NAME);
    let kept = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(budget.enter(true, true).await.unwrap_err().message.contains("cannot keep count"));
    std::fs::remove_dir(&file).unwrap();
    std::fs::write(&file, kept).unwrap();
    assert!(budget.enter(true, true).now_or_never().is_some_and(|entered| entered.is_ok()));
}

#[tokio::test(start_paused = true)]
async fn who_waits_looks_at_the_clock_again() {
    // As after a jump: nobody is there at this time for years, and the ledger knows of no reason to wait.
    let budget = Budgets::default().of("https://r", None);
    let began = tokio::time::Instant::now();
    budget.sleep_towards(now_ms() + 10 * 365 * 86_400_000).await;
    assert_eq!(began.elapsed(), LONGEST_SLEEP);
}

#[test]
fn a_file_that_is_damaged_is_read_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let now = now_ms();
    let text = format!(
        "rubbish\n-9223372036854775808 https://r\n{now} https://other\n{now} https://r\n-{now} https://r\n{now} https://r\n{now} htt"
    );
    std::fs::write(folder.path().join(spent::NAME), text).unwrap();
    let run = spend(folder.path(), 2);
    assert!(run[0].is_ok() && run[1].is_err(), "one was spent before");
}
