//! One attempt: sent, followed where it is redirected, and what comes taken up to its limit.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, IF_NONE_MATCH, LOCATION, RANGE};
use reqwest::{Client, Method, Response, StatusCode, Url};
use tokio::time::{Instant, timeout};

use super::connecting::Connecting;
use super::hosts::{Endurance, Turn};
use super::request::Came;
use super::{Fault, Follow, Http, LONGEST_RETRY_AFTER, Reply, Request, Take, fault};
use crate::registry::Effort;
use crate::registry::address::{Origin, display, is_plain, without_user};
use crate::registry::words::size;

/// What is counted may be large: the time for one attempt is for so many bytes.
const COUNTED_WITHIN: u64 = 64 << 20;
const REDIRECTS_MAX: usize = 5;
/// Room for so much of a body is made before it comes.
const BODY_HINT_MAX: u64 = 64 << 10;
/// How much of the body of an error is read.
const ERROR_LIMIT: u64 = 64 << 10;

impl Http {
    /// One attempt, redirects included. It is on the heap, since whoever waits for it is moved about, and it is large.
    pub fn attempt<'a>(
        &'a self,
        request: &'a Request,
        authorization: Option<&'a HeaderValue>,
        effort: Effort,
    ) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(self.followed(request, authorization, effort))
    }

    async fn followed(
        &self,
        request: &Request,
        mut authorization: Option<&HeaderValue>,
        effort: Effort,
    ) -> Result<Reply, Fault> {
        if self.settings.offline {
            return Err(request.refused("offline, and this is not in the store").help("run without `--offline`"));
        }
        let most = effort.timeout.unwrap_or(self.settings.timeout);
        let most = match request.take {
            Take::Count(_) => most * u32::try_from(1 + request.limit / COUNTED_WITHIN).unwrap_or(u32::MAX),
            _ => most,
        };
        let origin = Origin::of(&request.url);
        let mut left = most;
        let mut redirected: Option<Url> = None;
        for _ in 0..=REDIRECTS_MAX {
            let url = redirected.as_ref().unwrap_or(&request.url);
            let at = redirected.as_ref().map_or_else(|| origin.clone(), Origin::of);
            // Waiting for one's turn is not waiting for the server.
            let endurance = Endurance { retries: effort.retries(), within: left.min(self.settings.connects_within()) };
            let turn = self.turn(request, &at, endurance).await?;
            let began = Instant::now();
            // Credentials are for the origin that asked, and do not come back by a detour.
            authorization = authorization.filter(|_| at == origin);
            let client = self.clients.of(url, at == origin, &self.settings).map_err(|e| request.refused(e))?;
            let connecting = Connecting::default();
            let came = timeout(left, connecting.during(self.exchange(client, request, url, authorization))).await;
            let came = came.unwrap_or_else(|_| match connecting.is_under_way() {
                true => Err(fault::unanswered(&at)),
                false => Err(request.transient(format_args!("not done within {most:?}"))),
            });
            let came = match came {
                Err(Fault::Unreached(unreached)) => Err(turn.not_reached(unreached, endurance)),
                came => {
                    turn.reached();
                    came
                }
            };
            if fault::sign(&came).is_some_and(|sign| turn.tells(sign)) {
                self.note(&at, |host| host.backed_off += 1);
            }
            drop(turn);
            left = left.saturating_sub(began.elapsed());
            match came? {
                Came::Reply(reply) => {
                    let reply = fault::unless_passing(request, reply)?;
                    return if at == origin { Ok(reply) } else { of_other_origin(request, url, reply) };
                }
                Came::Redirect(next) => {
                    self.may_follow(request, url, &next)?;
                    redirected = Some(next);
                }
            }
        }
        Err(request.refused(format_args!("redirects more than {REDIRECTS_MAX} times")))
    }

    async fn turn(&self, request: &Request, at: &Origin, endurance: Endurance) -> Result<Turn, Fault> {
        let patience = if self.settings.patient { LONGEST_RETRY_AFTER } else { Duration::ZERO };
        let mut turn = self.hosts.enter(at, patience).await.map_err(|rest| fault::resting(request, at, rest))?;
        turn.attempts(endurance).await?;
        Ok(turn)
    }

    /// Sends the request to one place, and takes what comes.
    async fn exchange(
        &self,
        client: &Client,
        request: &Request,
        url: &Url,
        authorization: Option<&HeaderValue>,
    ) -> Result<Came, Fault> {
        let mut sent = reqwest::Request::new(request.method.clone(), url.clone());
        let headers = sent.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(request.accept));
        headers.extend(authorization.map(|value| (AUTHORIZATION, value.clone())));
        if let Take::Part { start, length } = request.take {
            let range = HeaderValue::try_from(format!("bytes={start}-{}", start + length - 1));
            headers.extend(range.ok().map(|range| (RANGE, range)));
        }
        headers.extend(request.unless.clone().map(|tag| (IF_NONE_MATCH, tag)));
        if let Some((media_type, body)) = &request.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            *sent.body_mut() = Some(body.clone().into());
        }
        self.traffic.requests.fetch_add(1, Ordering::Relaxed);
        let response = match timeout(self.settings.idle_timeout, client.execute(sent)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(fault::below(request, &Origin::of(url), error)),
            Err(_) => return Err(self.silence(request)),
        };
        match redirect(&response) {
            Some(location) => {
                let next = url.join(location).map_err(|_| request.refused("redirects to what is no URL"))?;
                Ok(Came::Redirect(without_user(next)))
            }
            None => self.receive(request, response).await.map(Came::Reply),
        }
    }

    fn may_follow(&self, request: &Request, from: &Url, to: &Url) -> Result<(), Fault> {
        if !matches!(to.scheme(), "http" | "https") {
            return Err(request.refused(format_args!("redirects to `{}:`", to.scheme())));
        }
        if is_plain(to) && !is_plain(from) && !self.settings.insecure {
            let what = format!("redirects to {}, which is not encrypted", display(to));
            return Err(request.refused(what).help("say `insecure: true` on the source where its network is trusted"));
        }
        let same_origin = Origin::of(from) == Origin::of(to);
        match request.follow {
            Follow::Anywhere => Ok(()),
            Follow::SameHost if same_origin || is_upgrade(from, to) => Ok(()),
            Follow::Nowhere if same_origin => {
                let what = format!("redirects to {}, and what it is sent is for one address only", display(to));
                Err(request.refused(what))
            }
            _ => Err(request.refused(format_args!("redirects elsewhere, to {}", Origin::of(to)))),
        }
    }

    async fn receive(&self, request: &Request, mut response: Response) -> Result<Reply, Fault> {
        let status = response.status();
        let limit = if status.is_success() { request.limit } else { ERROR_LIMIT };
        let body = match &request.take {
            _ if request.method == Method::HEAD => Vec::new(),
            Take::Part { .. } if status == StatusCode::OK => Vec::new(),
            Take::Count(counter) if status == StatusCode::OK => {
                counter.restart();
                self.body(request, &mut response, limit, true, |_, chunk| counter.take(chunk)).await?
            }
            _ => self.body(request, &mut response, limit, status.is_success(), Vec::extend_from_slice).await?,
        };
        Ok(Reply { headers: std::mem::take(response.headers_mut()), ..Reply::new(status, body) })
    }

    /// Takes the body, up to the limit. That of an error is cut off there, any other is refused.
    async fn body(
        &self,
        request: &Request,
        response: &mut Response,
        limit: u64,
        whole: bool,
        take: impl Fn(&mut Vec<u8>, &[u8]),
    ) -> Result<Vec<u8>, Fault> {
        let too_large = || request.refused(format_args!("more than the {} that are the most", size(limit)));
        if whole && response.content_length().is_some_and(|n| n > limit) {
            return Err(too_large());
        }
        // What is said of its length is no more than a hint.
        let hint = response.content_length().unwrap_or(0).min(BODY_HINT_MAX);
        let (mut body, mut came) = (Vec::with_capacity(hint as usize), 0);
        loop {
            let chunk = match timeout(self.settings.idle_timeout, response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Ok(body),
                Ok(Err(error)) => return Err(fault::below(request, &Origin::of(&request.url), error)),
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

/// Whether one URL leads to the encrypted side of the same host.
fn is_upgrade(from: &Url, to: &Url) -> bool {
    from.host_str() == to.host_str() && from.scheme() == "http" && to.scheme() == "https"
}

/// What came from another origin than was asked, which is told nothing of who we are.
fn of_other_origin(request: &Request, url: &Url, reply: Reply) -> Result<Reply, Fault> {
    let at = Origin::of(url);
    if is_upgrade(&request.url, url) {
        if reply.status != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        let what = format!("redirects to {at}, which wants to know who asks; that is not told after a redirect");
        return Err(request.refused(what).help(&format!("say `url: {at}` on the source")));
    }
    // Links to a store of blobs are good for minutes: another attempt gets another one. What is not there is not there.
    if reply.status.is_client_error() && reply.status != StatusCode::NOT_FOUND {
        let what = format!("{at} answers {} to the link that it was redirected to", reply.status);
        return Err(request.transient(what));
    }
    Ok(reply)
}

fn redirect(response: &Response) -> Option<&str> {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308)
        .then(|| response.headers().get(LOCATION)?.to_str().ok())
        .flatten()
}
