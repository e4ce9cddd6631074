//! What a registry has in one repository, from whichever of its addresses has it.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::Distribution;
use crate::registry::endpoint::Endpoint;
use crate::registry::image::counter::Counter;
use crate::registry::image::fetches::{Fetches, Place};
use crate::registry::image::genuine::Genuine;
use crate::registry::image::lookup::Content;
use crate::registry::image::measure::{Measures, Piece, Pieces};
use crate::registry::{About, Answer, Effort, SourceError, words};
use crate::store::Sha256;

/// The content of one repository.
pub struct Remote<'a> {
    pub source: &'a Distribution,
    pub about: About<'a>,
}

impl<'a> Remote<'a> {
    /// Asks one address after the other, and writes down who sent it.
    async fn ask<T>(
        &'a self,
        question: impl Fn(&'a Endpoint, Effort) -> BoxFuture<'a, Result<Answer<T>, SourceError>>,
    ) -> Result<Answer<T>, SourceError> {
        let answer = self.source.endpoints.ask(self.about.effort, question).await?;
        Ok(answer.map(|(content, by)| {
            self.about.heard.sent(by.name(), self.source.is_own(by));
            content
        }))
    }
}

impl Content for Remote<'_> {
    fn fetches(&self) -> &Fetches {
        &self.source.fetches
    }

    fn place(&self) -> Place {
        Place { address: self.source.address.clone(), repo: self.about.repo.to_owned() }
    }

    fn manifest<'a>(&'a self, digest: &'a Sha256) -> BoxFuture<'a, Result<Answer<Genuine>, SourceError>> {
        let ask = move |endpoint: &'a Endpoint, effort| -> BoxFuture<'a, _> {
            Box::pin(endpoint.manifest(self.about.repo, digest, effort))
        };
        Box::pin(self.ask(ask))
    }

    fn blob<'a>(&'a self, digest: &'a Sha256, size: u64) -> BoxFuture<'a, Result<Answer<Genuine>, SourceError>> {
        Box::pin(async move {
            let limit = self.source.limit;
            if size > limit {
                let what = format!(
                    "{}@{digest}: {size} bytes, more than the {} that are the most",
                    self.about.repo,
                    words::size(limit)
                );
                return Err(SourceError::new(what).help("raise `manifest_limit:` of the source"));
            }
            let ask = |endpoint: &'a Endpoint, effort| -> BoxFuture<'a, _> {
                Box::pin(endpoint.blob(self.about.repo, digest, effort))
            };
            self.ask(ask).await
        })
    }
}

impl Pieces for Remote<'_> {
    fn measures(&self) -> &Measures {
        &self.source.measures
    }

    fn size<'a>(&'a self, digest: &'a Sha256) -> BoxFuture<'a, Result<Answer<u64>, SourceError>> {
        let ask = |endpoint: &'a Endpoint, effort| -> BoxFuture<'a, _> {
            Box::pin(endpoint.blob_size(self.about.repo, digest, effort))
        };
        Box::pin(self.ask(ask))
    }

    fn piece<'a>(&'a self, digest: &'a Sha256, start: u64, length: u64) -> Piece<'a> {
        let ask = move |endpoint: &'a Endpoint, effort| -> BoxFuture<'a, _> {
            Box::pin(endpoint.blob_piece(self.about.repo, digest, start, length, effort))
        };
        Box::pin(async move { self.ask(ask).await })
    }

    fn count<'a>(
        &'a self,
        digest: &'a Sha256,
        size: u64,
        counter: &'a Arc<Counter>,
    ) -> BoxFuture<'a, Result<Answer<()>, SourceError>> {
        let ask = move |endpoint: &'a Endpoint, effort| -> BoxFuture<'a, _> {
            Box::pin(endpoint.count_blob(self.about.repo, digest, size, counter, effort))
        };
        Box::pin(async move { self.ask(ask).await })
    }
}
