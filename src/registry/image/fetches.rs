//! Content that is on its way. What has a digest is the same wherever it comes from: it is got once, whichever
//! repository, and whichever source, needs it.

use std::sync::Arc;
use std::time::Duration;

use super::genuine::Genuine;
use crate::registry::flight::{Flight, Flights, Turn};
use crate::registry::{Answer, SourceError};
use crate::store::Sha256;

/// How long content is waited for that comes from another address, which may be slow, down, or out of pulls.
const PATIENCE: Duration = Duration::from_secs(10);

/// Content that was got: checked, and kept where it can be read.
pub type Fetched = Result<Answer<Arc<Genuine>>, SourceError>;

/// Where content is got.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The source's address, which has one budget whoever asks there.
    pub address: Arc<str>,
    pub repo: String,
}

/// What is being got.
#[derive(Debug, Default)]
pub struct Fetches(Flights<Goal, Fetched, Place>);

/// Content from anywhere, or, where that came to nothing, from one place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Goal(Sha256, Option<Place>);

impl Fetches {
    /// What `get` gets, or somebody else who was before us. What one place has not, each other is asked for by its turn;
    /// what failed is asked for at each place at once, since others may hang as that one did.
    pub async fn run(&self, digest: Sha256, place: Place, get: impl Future<Output = Fetched>) -> Fetched {
        let mut goal = Goal(digest, None);
        loop {
            let flight = match self.0.turn(&goal, &place) {
                Turn::Lead(lead) => return lead.lands(get.await),
                Turn::Follow(flight) => flight,
            };
            let by = flight.by.clone();
            match outcome(flight, &place).await {
                Landed::Came(came) if by == place || matches!(came, Ok(Answer::Found(_))) => return came,
                Landed::Came(Ok(_)) | Landed::Lost => {}
                Landed::Came(Err(_)) | Landed::Late => goal.1 = Some(place.clone()),
            }
        }
    }
}

enum Landed {
    Came(Fetched),
    /// Nobody gets it any more.
    Lost,
    /// It takes long.
    Late,
}

/// Waits for it: as long as it takes where it comes from the same address, since asking there twice is no faster.
async fn outcome(flight: Flight<Fetched, Place>, ours: &Place) -> Landed {
    let is_near = flight.by.address == ours.address;
    let waits = async { flight.outcome().await.map_or(Landed::Lost, Landed::Came) };
    if is_near {
        return waits.await;
    }
    tokio::time::timeout(PATIENCE, waits).await.unwrap_or(Landed::Late)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::registry::SourceError;
    use crate::registry::image::genuine::Sent;

    fn place(address: &str, repo: &str) -> Place {
        Place { address: address.into(), repo: repo.into() }
    }

    fn found() -> Fetched {
        let sent = Sent { bytes: b"x".to_vec(), content_type: None };
        Ok(Answer::Found(Arc::new(sent.checked(&Sha256::of(b"x")).unwrap())))
    }

    fn is_found(came: &Fetched) -> bool {
        matches!(came, Ok(Answer::Found(_)))
    }

    /// Gets the same for each of these places at once; each takes so long and comes to this.
    async fn at_once(asked: &AtomicU32, all: Vec<(Place, u64, Fetched)>) -> Vec<Fetched> {
        let fetches = Fetches::default();
        let each = all.into_iter().map(|(place, seconds, came)| {
            fetches.run(Sha256::of(b"x"), place, async move {
                asked.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                came
            })
        });
        let came = futures_util::future::join_all(each).await;
        assert!(fetches.0.is_empty());
        came
    }

    #[tokio::test(start_paused = true)]
    async fn many_repositories_one_get() {
        let asked = AtomicU32::new(0);
        let all = (0..20).map(|n| (place("a", &format!("r{n}")), 3600, found())).collect();
        assert!(at_once(&asked, all).await.iter().all(is_found));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_has_not_the_next_is_asked_for_and_the_others_wait_for_that_one() {
        let asked = AtomicU32::new(0);
        let none = || Ok(Answer::Absent("none".into()));
        let mut all = vec![(place("a", "r0"), 1, none()), (place("a", "r0"), 1, none())];
        all.extend((1..20).map(|n| (place("a", &format!("r{n}")), 1, found())));
        let came = at_once(&asked, all).await;
        assert_eq!(came.iter().filter(|came| is_found(came)).count(), 19);
        assert!(matches!(&came[..2], [Ok(Answer::Absent(_)), Ok(Answer::Absent(_))]));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_waited_for_once() {
        let asked = AtomicU32::new(0);
        let began = tokio::time::Instant::now();
        let fails = || Err(SourceError::new("hangs"));
        let all = (0..20).map(|n| (place("a", &format!("r{}", n % 10)), 100, fails())).collect();
        assert!(at_once(&asked, all).await.iter().all(Result::is_err));
        assert_eq!(asked.load(Ordering::SeqCst), 10, "once a repository");
        assert_eq!(began.elapsed(), Duration::from_secs(200));
    }

    #[tokio::test(start_paused = true)]
    async fn another_address_is_not_waited_for_without_end() {
        let asked = AtomicU32::new(0);
        let all =
            vec![(place("slow", "r"), 3600, found()), (place("a", "r"), 1, found()), (place("a", "s"), 1, found())];
        let began = tokio::time::Instant::now();
        let fetches = Fetches::default();
        let [slow, fast] = [("slow", 3600), ("a", 1)].map(|(address, seconds)| {
            fetches.run(Sha256::of(b"x"), place(address, "r"), async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                found()
            })
        });
        tokio::select! {
            biased;
            _ = slow => panic!("is slow"),
            came = fast => assert!(is_found(&came)),
        }
        assert_eq!(began.elapsed(), PATIENCE + Duration::from_secs(1));
        assert!(at_once(&asked, all).await.iter().all(is_found));
    }

    #[tokio::test]
    async fn who_is_interrupted_is_followed_by_another() {
        let fetches = Fetches::default();
        let digest = Sha256::of(b"x");
        let first = fetches.run(digest, place("a", "r"), std::future::pending());
        let second = fetches.run(digest, place("a", "s"), async { found() });
        let mut second = Box::pin(second);
        tokio::select! {
            biased;
            _ = first => panic!("never ends"),
            _ = &mut second => panic!("waits for the first"),
            () = tokio::task::yield_now() => {}
        }
        assert!(is_found(&second.await));
    }
}
