use super::*;
use futures_util::FutureExt as _;
use proptest::prelude::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn origin() -> Origin {
    Origin::of(&"https://r.example.com".parse().unwrap())
}

/// As many turns as there are now.
fn turns(hosts: &Hosts) -> Vec<Turn> {
    std::iter::from_fn(|| hosts.enter(&origin(), PATIENCE).now_or_never()?.ok()).collect()
}

fn limit(hosts: &Hosts) -> usize {
    let host = hosts.of(&origin());
    let state = host.state();
    state.limit
}

#[test]
fn a_refusal_halves_once_a_window_and_what_goes_well_gives_back() {
    let hosts = Hosts::new(32);
    let window = turns(&hosts);
    assert_eq!(window.len(), 32);
    let halved: Vec<_> =
        window.iter().map(|turn| turn.tells(Sign::Refusal(StatusCode::TOO_MANY_REQUESTS, None))).collect();
    assert_eq!((halved.iter().filter(|h| **h).count(), limit(&hosts)), (1, 16));
    drop(window);
    let window = turns(&hosts);
    assert_eq!(window.len(), 16, "what was over the limit is not given again");
    window.iter().for_each(|turn| assert!(!turn.tells(Sign::Well)));
    assert_eq!(limit(&hosts), 17);
    drop(window);
    assert_eq!(turns(&hosts).len(), 17);
}

#[test]
fn faults_are_chance_unless_they_are_many() {
    let hosts = Hosts::new(32);
    for n in 0..500 {
        let turn = hosts.enter(&origin(), PATIENCE).now_or_never().unwrap().ok().unwrap();
        turn.tells(if n % 10 == 0 { Sign::Fault } else { Sign::Well });
    }
    assert_eq!(limit(&hosts), 32, "one in ten");
    for turn in turns(&hosts) {
        turn.tells(Sign::Fault);
    }
    assert_eq!(limit(&hosts), 16);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_asks_for_rest_is_left_alone_by_all_who_have_the_patience() {
    let hosts = Hosts::new(4);
    let began = Instant::now();
    let first = hosts.enter(&origin(), PATIENCE).await.ok().unwrap();
    first.tells(Sign::Refusal(StatusCode::TOO_MANY_REQUESTS, Some(Duration::from_secs(7))));
    first.tells(Sign::Refusal(StatusCode::SERVICE_UNAVAILABLE, Some(Duration::from_secs(3))));
    drop(first);
    let rest = Rest { left: Duration::from_secs(7), status: StatusCode::TOO_MANY_REQUESTS };
    assert_eq!(hosts.enter(&origin(), Duration::ZERO).await.err(), Some(rest));
    let other = Origin::of(&"https://elsewhere.example.com".parse().unwrap());
    assert!(hosts.enter(&other, Duration::ZERO).await.is_ok());
    let origin = origin();
    let (a, b) = tokio::join!(hosts.enter(&origin, PATIENCE), hosts.enter(&origin, PATIENCE));
    assert!(a.is_ok() && b.is_ok());
    drop(b);
    assert_eq!(began.elapsed().as_secs(), 7);
    // As long as it likes, but not for ever.
    a.ok().unwrap().tells(Sign::Refusal(StatusCode::TOO_MANY_REQUESTS, Some(Duration::MAX)));
    let rest = hosts.enter(&origin, PATIENCE).await.err().unwrap();
    assert_eq!(rest.left, LONGEST_REST);
    tokio::time::sleep(rest.left).await;
    assert!(hosts.enter(&origin, Duration::ZERO).await.is_ok());
}

#[tokio::test]
async fn who_waits_goes_when_another_ends_and_who_gives_up_takes_no_turn() {
    let hosts = Hosts::new(1);
    let first = hosts.enter(&origin(), PATIENCE).await;
    assert!(hosts.enter(&origin(), PATIENCE).now_or_never().is_none());
    drop(first);
    assert!(hosts.enter(&origin(), PATIENCE).now_or_never().is_some());
    assert_eq!(turns(&hosts).len(), 1);
}

#[test]
fn hosts_without_end_are_not_remembered_without_end() {
    let hosts = Hosts::new(2);
    let held = hosts.enter(&origin(), PATIENCE).now_or_never().unwrap();
    for n in 0..5000 {
        let other = Origin::of(&format!("https://{n}.example.com").parse().unwrap());
        assert!(hosts.enter(&other, PATIENCE).now_or_never().unwrap().is_ok());
    }
    assert!(lock(&hosts.all).len() <= HOSTS_MAX && held.is_ok());
    assert_eq!(turns(&hosts).len(), 1, "one is taken still");
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Enter,
    End(usize, Option<Sign>),
}

fn act() -> impl Strategy<Value = Act> {
    let sign = prop_oneof![
        3 => Just(Some(Sign::Well)),
        1 => Just(Some(Sign::Fault)),
        1 => Just(Some(Sign::Refusal(StatusCode::TOO_MANY_REQUESTS, None))),
        1 => Just(None)
    ];
    prop_oneof![2 => Just(Act::Enter), 1 => (any::<usize>(), sign).prop_map(|(n, sign)| Act::End(n, sign))]
}

proptest! {
    /// Never more at once than may be, never none for ever, and as many as ever once all goes well.
    #[test]
    fn the_limit_keeps_its_bounds_and_recovers(most in 1usize..20, acts in prop::collection::vec(act(), 0..200)) {
        let hosts = Hosts::new(most);
        let mut under_way = Vec::new();
        for act in acts {
            match act {
                Act::Enter => {
                    let bound = limit(&hosts);
                    match hosts.enter(&origin(), PATIENCE).now_or_never() {
                        Some(turn) => under_way.push(turn.ok().unwrap()),
                        None => prop_assert!(under_way.len() >= bound, "{} of {bound}", under_way.len()),
                    }
                    prop_assert!(under_way.len() <= most);
                }
                Act::End(n, sign) if !under_way.is_empty() => {
                    let turn = under_way.swap_remove(n % under_way.len());
                    if let Some(sign) = sign {
                        turn.tells(sign);
                    }
                }
                Act::End(..) => {}
            }
            prop_assert!((1..=most).contains(&limit(&hosts)));
        }
        drop(under_way);
        for _ in 0..most {
            for turn in turns(&hosts) {
                turn.tells(Sign::Well);
            }
        }
        prop_assert_eq!(turns(&hosts).len(), most);
    }
}
