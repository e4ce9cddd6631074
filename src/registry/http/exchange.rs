//! One attempt: sent, followed where it is redirected, and what comes taken up to its limit.

use std::sync::atomic::Ordering;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode, Url};
use tokio::time::timeout;

use super::{Fault, Follow, Http, Reply, Request, Take, fault};
use crate::registry::address::{Origin, display, is_plain};
use crate::registry::words::size;
use crate::registry::{Effort, SourceError};

/// What is counted may be large: the time for one attempt is for so many bytes.
const COUNTED_WITHIN: u64 = 64 << 20;
const REDIRECTS_MAX: usize = 5;
/// How much of the body of an error is read.
const ERROR_LIMIT: u64 = 64 << 10;

impl Http {
    /// One attempt, redirects included.
    pub async fn attempt(
        &self,
        request: &Request,
        authorization: Option<&HeaderValue>,
        effort: Effort,
    ) -> Result<Reply, Fault> {
        if self.settings.offline {
            return Err(request.refused("offline, and this is not in the store").help("run without `--offline`"));
        }
        // Waiting for one's turn is not waiting for the server.
        let _permit = self.permits.acquire().await.map_err(|e| request.refused(e))?;
        let most = effort.timeout.unwrap_or(self.settings.timeout);
        let most = match request.take {
            Take::Count(_) => most * u32::try_from(1 + request.limit / COUNTED_WITHIN).unwrap_or(u32::MAX),
            _ => most,
        };
        match timeout(most, self.exchange(request, authorization)).await {
            Ok(reply) => reply,
            Err(_) => Err(request.transient(format_args!("not done within {most:?}"))),
        }
    }

    async fn exchange(&self, request: &Request, authorization: Option<&HeaderValue>) -> Result<Reply, Fault> {
        let origin = Origin::of(&request.url);
        let mut url = request.url.clone();
        let mut authorization = authorization;
        for _ in 0..=REDIRECTS_MAX {
            let client =
                self.clients.of(&url, Origin::of(&url) == origin, &self.settings).map_err(|e| request.refused(e))?;
            let mut sent = client.request(request.method.clone(), url.clone()).header(ACCEPT, request.accept);
            if let Some(value) = authorization {
                sent = sent.header(AUTHORIZATION, value);
            }
            if let Take::Part { start, length } = request.take {
                sent = sent.header(RANGE, format!("bytes={start}-{}", start + length - 1));
            }
            if let Some((media_type, body)) = &request.body {
                sent = sent.header(CONTENT_TYPE, *media_type).body(body.clone());
            }
            self.traffic.requests.fetch_add(1, Ordering::Relaxed);
            let response = match timeout(self.settings.idle_timeout, sent.send()).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => return Err(fault::below(request, error)),
                Err(_) => return Err(self.silence(request)),
            };
            let Some(location) = redirect(&response) else {
                let reply = self.receive(request, response).await?;
                // Links to a store of blobs are good for minutes: another attempt gets another one.
                if Origin::of(&url) != origin && reply.status.is_client_error() {
                    let what = format!(
                        "{} answers {} to the link that it was redirected to",
                        url.host_str().unwrap_or_default(),
                        reply.status
                    );
                    return Err(request.transient(what));
                }
                return Ok(reply);
            };
            let next = url.join(location).map_err(|_| request.refused("redirects to what is no URL"))?;
            self.may_follow(request, &url, &next)?;
            // Credentials are for the origin that asked, and do not come back by a detour.
            if Origin::of(&next) != origin {
                authorization = None;
            }
            url = next;
        }
        Err(request.refused(format_args!("redirects more than {REDIRECTS_MAX} times")))
    }

    fn may_follow(&self, request: &Request, from: &Url, to: &Url) -> Result<(), Fault> {
        if !matches!(to.scheme(), "http" | "https") {
            return Err(request.refused(format_args!("redirects to `{}:`", to.scheme())));
        }
        if is_plain(to) && !is_plain(from) && !self.settings.insecure {
            let what = format!("redirects to {}, which is not encrypted", display(to));
            return Err(request.refused(what).help("say `insecure: true` on the source where its network is trusted"));
        }
        let same_host = Origin::of(from) == Origin::of(to)
            || (from.host_str() == to.host_str() && from.scheme() == "http" && to.scheme() == "https");
        if request.follow == Follow::Nowhere || (request.follow == Follow::SameHost && !same_host) {
            return Err(request.refused(format_args!("redirects to another host, {}", Origin::of(to))));
        }
        Ok(())
    }

    async fn receive(&self, request: &Request, response: Response) -> Result<Reply, Fault> {
        let (status, headers) = (response.status(), response.headers().clone());
        let limit = if status.is_success() { request.limit } else { ERROR_LIMIT };
        let body = match &request.take {
            _ if request.method == Method::HEAD => Vec::new(),
            Take::Part { .. } if status == StatusCode::OK => Vec::new(),
            Take::Count(counter) if status == StatusCode::OK => {
                counter.restart();
                self.body(request, response, limit, true, |_, chunk| counter.take(chunk)).await?
            }
            _ => self.body(request, response, limit, status.is_success(), Vec::extend_from_slice).await?,
        };
        let reply = Reply { status, headers, body };
        match fault::worth_another(&reply) {
            None => Ok(reply),
            Some(_) if fault::limit_is_spent(&reply) => {
                let help = "a login may have a higher limit";
                Err(Fault::Final(SourceError::deferred(fault::deferral(request, &reply)).help(help)))
            }
            Some(wait) => Err(Fault::Transient { what: format!("{}: {status}", request.shown()), wait, in_vain: true }),
        }
    }

    /// Takes the body, up to the limit. That of an error is cut off there, any other is refused.
    async fn body(
        &self,
        request: &Request,
        mut response: Response,
        limit: u64,
        whole: bool,
        take: impl Fn(&mut Vec<u8>, &[u8]),
    ) -> Result<Vec<u8>, Fault> {
        let too_large = || request.refused(format_args!("more than the {} that are the most", size(limit)));
        if whole && response.content_length().is_some_and(|n| n > limit) {
            return Err(too_large());
        }
        let (mut body, mut came) = (Vec::new(), 0);
        loop {
            let chunk = match timeout(self.settings.idle_timeout, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Ok(body),
                Ok(Err(error)) => return Err(fault::below(request, error)),
                Err(_) => return Err(self.silence(request)),
            };
            self.traffic.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            take(&mut body, &chunk);
            came += chunk.len() as u64;
            if came > limit {
                if whole {
                    return Err(too_large());
                }
                return Ok(body);
            }
        }
    }

    fn silence(&self, request: &Request) -> Fault {
        request.transient(format_args!("nothing came for {:?}", self.settings.idle_timeout))
    }
}

fn redirect(response: &Response) -> Option<&str> {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
        .then(|| response.headers().get(LOCATION)?.to_str().ok())
        .flatten()
}
