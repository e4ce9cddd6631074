//! How large layers are, where nothing that is in the store says it.

use futures_util::future::BoxFuture;

use super::flight::Flights;
use super::{Answer, SourceError};
use crate::store::Sha256;
use crate::store::blobs::Blobs;
use crate::store::sizes::Measure;

/// What is being found out.
pub type Measures = Flights<(Measure, Sha256), Result<Answer<u64>, SourceError>>;

/// Where the blobs of layers are.
pub trait Pieces: Send + Sync {
    /// What is being found out of them.
    fn measures(&self) -> &Measures;

    /// How large a blob is.
    fn size<'a>(&'a self, digest: &'a Sha256) -> BoxFuture<'a, Result<Answer<u64>, SourceError>>;
}

/// How large a blob is, which is asked once for all images that have it.
pub async fn packed<P: Pieces + ?Sized>(pieces: &P, blobs: &Blobs, digest: Sha256) -> Result<Answer<u64>, SourceError> {
    once(pieces, blobs, Measure::Packed, digest, || pieces.size(&digest)).await
}

async fn once<'a, P, F>(
    pieces: &P,
    blobs: &Blobs,
    measure: Measure,
    digest: Sha256,
    ask: impl Fn() -> F,
) -> Result<Answer<u64>, SourceError>
where
    P: Pieces + ?Sized,
    F: Future<Output = Result<Answer<u64>, SourceError>> + 'a,
{
    let known = || blobs.sizes().get(measure, &digest);
    let find_out = async {
        // Whoever was in flight before may have found it out.
        if let Some(size) = known() {
            return Ok(Answer::Found(size));
        }
        let answer = ask().await?;
        if let Answer::Found(size) = answer {
            let kept = blobs.sizes().put(measure, &digest, size);
            kept.map_err(|e| SourceError::new(format!("cannot write to the store: {e}")))?;
        }
        Ok(answer)
    };
    if let Some(size) = known() {
        return Ok(Answer::Found(size));
    }
    match pieces.measures().run((measure, digest), find_out).await? {
        // It may have been asked of a repository that does not have what ours has.
        Answer::Absent(_) => ask().await,
        found => Ok(found),
    }
}
