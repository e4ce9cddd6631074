//! What is in a layout: manifests and configs, and the blobs of layers where their sizes are wanted.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::Layout;
use super::catalog::Located;
use crate::registry::image::counter::Counter;
use crate::registry::image::fetches::{Fetches, Place};
use crate::registry::image::genuine::{Genuine, Sent};
use crate::registry::image::lookup::Content;
use crate::registry::image::measure::{Measures, Piece, Pieces};
use crate::registry::{Answer, SourceError};
use crate::store::Sha256;

impl Content for Layout {
    fn fetches(&self) -> &Fetches {
        &self.fetches
    }

    fn place(&self) -> Place {
        Place { address: self.identity.as_str().into(), repo: String::new() }
    }

    fn manifest<'a>(&'a self, digest: &'a Sha256) -> BoxFuture<'a, Result<Answer<Genuine>, SourceError>> {
        self.blob(digest, 0)
    }

    fn blob<'a>(&'a self, digest: &'a Sha256, _: u64) -> BoxFuture<'a, Result<Answer<Genuine>, SourceError>> {
        Box::pin(async move {
            let catalog = self.catalog().await?;
            Ok(match catalog.files.read(digest, self.limit).map_err(|what| self.error(&what))? {
                Some(bytes) => {
                    let checked = Sent { bytes, content_type: None }.checked(digest);
                    Answer::Found(checked.map_err(|e| self.error(&format!("{digest}: {e}")))?)
                }
                None => Answer::Absent(format!("{} does not have {digest}", self.name)),
            })
        })
    }
}

impl Pieces for Layout {
    fn measures(&self) -> &Measures {
        &self.measures
    }

    fn size<'a>(&'a self, digest: &'a Sha256) -> BoxFuture<'a, Result<Answer<u64>, SourceError>> {
        Box::pin(async move {
            Ok(match self.locate(digest).await? {
                Answer::Found(place) => Answer::Found(place.size),
                Answer::Absent(why) => Answer::Absent(why),
            })
        })
    }

    fn piece<'a>(&'a self, digest: &'a Sha256, start: u64, length: u64) -> Piece<'a> {
        Box::pin(async move {
            let place = match self.locate(digest).await? {
                Answer::Found(place) => place,
                Answer::Absent(why) => return Ok(Answer::Absent(why)),
            };
            if start + length > place.size {
                return Ok(Answer::Found(None));
            }
            let mut bytes = vec![0; length as usize];
            let read = place.file.read_exact_at(&mut bytes, place.offset + start);
            read.map(|()| Answer::Found(Some(bytes))).map_err(|e| self.error(&format!("{digest} in it: {e}")))
        })
    }

    fn count<'a>(
        &'a self,
        digest: &'a Sha256,
        _: u64,
        counter: &'a Arc<Counter>,
    ) -> BoxFuture<'a, Result<Answer<()>, SourceError>> {
        Box::pin(async move {
            let place = match self.locate(digest).await? {
                Answer::Found(place) => place,
                Answer::Absent(why) => return Ok(Answer::Absent(why)),
            };
            let counter = counter.clone();
            let done = tokio::task::spawn_blocking(move || count(&place, &counter)).await;
            let failed = match done {
                Ok(Ok(())) => return Ok(Answer::Found(())),
                Ok(Err(e)) => e.to_string(),
                Err(e) => e.to_string(),
            };
            Err(self.error(&format!("{digest} in it: {failed}")))
        })
    }
}

fn count(place: &Located, counter: &Counter) -> std::io::Result<()> {
    let mut buffer = vec![0; 128 << 10];
    let (mut at, end) = (place.offset, place.offset + place.size);
    while at < end {
        let piece = &mut buffer[..(end - at).min(128 << 10) as usize];
        place.file.read_exact_at(piece, at)?;
        counter.take(piece);
        at += piece.len() as u64;
    }
    Ok(())
}
