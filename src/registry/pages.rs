//! Lists of tags and of repositories: pages that a registry gives, one leading to the next.

mod links;

use std::collections::{BTreeSet, HashMap, HashSet};

use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::address::display;
use super::auth::Outcome;
use super::auth::mask::Mask;
use super::endpoint::said;
use super::endpoint::{Endpoint, unexpected};
use super::few::Few;
use super::grammar;
use super::http::{Reply, Request};
use super::words::{misread, shown};
use super::{Answer, Effort, SourceError, TagFilter};
use crate::store::Digest;
pub use links::follow;
use links::next_link;

/// What is asked for: some registries refuse more.
const PAGE: &str = "1000";
/// Old registries give all tags in one page.
pub const PAGE_LIMIT: u64 = 64 << 20;
const PAGES_MAX: usize = 10_000;
/// All pages of a list, with whatever else is in them.
const LIST_LIMIT: u64 = 256 << 20;
/// Pages one after the other that bring nothing new; some registries leave out what we may not see.
const IDLE_MAX: usize = 1000;
/// No list has more names.
pub const NAMES_MAX: usize = 1_000_000;
/// What lists are of, in messages.
pub const TAGS: &str = "tags";
pub const REPOSITORIES: &str = "repositories";

/// The names on all pages.
#[derive(Debug, Default)]
pub struct Names {
    /// In the grammar, and asked about.
    pub tags: BTreeSet<String>,
    /// Outside the grammar, as they may be shown, by their hashes: they may be long, and alike where they start.
    pub refused: HashMap<Digest, String>,
}

#[derive(Deserialize)]
struct Page {
    tags: Option<Few<String, NAMES_MAX>>,
}

#[derive(Deserialize)]
struct CatalogPage {
    repositories: Option<Few<String, NAMES_MAX>>,
}

/// Lists the tags of a repository that the filter takes.
pub async fn names(
    source: &Endpoint,
    repo: &str,
    filter: &TagFilter,
    effort: Effort,
) -> Result<Answer<Names>, SourceError> {
    let mut names = Names::default();
    let list = List { url: source.url(repo, "tags/list"), repo, of: TAGS };
    let walked = list.walk(source, effort, |page: Page, mask| {
        // What is no tag is shown.
        let tame = |tag: String| if grammar::is_tag(&tag) { tag } else { mask.over(&tag) };
        names.add(page.tags.unwrap_or_default().0.into_iter().map(tame), filter);
        names.tags.len() + names.refused.len()
    });
    Ok(match walked.await? {
        Walked::All => Answer::Found(names),
        Walked::Denied(status) => Answer::Absent(source.denied(repo, status)),
        Walked::Missing => Answer::Absent(format!("{} has no repository {repo}", source.name())),
    })
}

/// Whether a tag is on the list of its repository, which may not be there; `None` where we may not see it.
pub async fn lists(source: &Endpoint, repo: &str, tag: &str, effort: Effort) -> Result<Option<bool>, SourceError> {
    let (mut is_listed, mut seen) = (false, 0);
    let list = List { url: source.url(repo, "tags/list"), repo, of: TAGS };
    let walked = list.walk(source, effort, |page: Page, _| {
        let tags = page.tags.unwrap_or_default().0;
        seen += tags.len();
        is_listed |= tags.iter().any(|listed| listed == tag);
        seen
    });
    Ok(match walked.await? {
        Walked::All => Some(is_listed),
        Walked::Missing => Some(false),
        Walked::Denied(_) => None,
    })
}

/// Gives every repository that a registry lists to `take`.
pub async fn repositories(
    source: &Endpoint,
    effort: Effort,
    mut take: impl FnMut(String),
) -> Result<Walked, SourceError> {
    let mut seen = 0;
    let list = List { url: source.below("v2/_catalog"), repo: "", of: REPOSITORIES };
    let walked = list.walk(source, effort, |page: CatalogPage, _| {
        let names = page.repositories.unwrap_or_default().0;
        seen += names.len();
        names.into_iter().for_each(&mut take);
        seen
    });
    walked.await
}

/// A list that a registry gives in pages.
struct List<'a> {
    url: Url,
    /// What its token is for.
    repo: &'a str,
    of: &'static str,
}

/// What came of going through pages.
pub enum Walked {
    All,
    /// We may not see it.
    Denied(StatusCode),
    /// There is no such list.
    Missing,
}

impl List<'_> {
    /// Gives each page to `take`, which says how many names there were up to there.
    async fn walk<P: DeserializeOwned>(
        self,
        source: &Endpoint,
        effort: Effort,
        mut take: impl FnMut(P, &Mask) -> usize,
    ) -> Result<Walked, SourceError> {
        let bare = self.url;
        let mut first = bare.clone();
        first.query_pairs_mut().append_pair("n", PAGE);
        let mut walk = Walk::from(&bare, self.of);
        let mut next = first.clone();
        loop {
            walk.enters(&next)?;
            let mut request = Request::new(Method::GET, next, "application/json", PAGE_LIMIT);
            let is_first = walk.seen.len() == 1 || request.url == bare;
            let reply = match source.page(&mut request, self.repo, effort).await? {
                Outcome::Reply(reply) => reply,
                Outcome::Denied(status) | Outcome::NoToken(status) if is_first => return Ok(Walked::Denied(status)),
                Outcome::Denied(status) | Outcome::NoToken(status) => {
                    let what = format!("{status}, where the pages of the list before it were shown");
                    return Err(SourceError::new(format!("{}: {what}", request.shown())));
                }
            };
            match reply.status {
                StatusCode::OK => {}
                // Its most is less than what was asked for, and it does not say what it is.
                StatusCode::BAD_REQUEST if request.url == first && said::is_error(&request, &reply) => {
                    next = bare.clone();
                    continue;
                }
                StatusCode::NOT_FOUND if is_first => return Ok(Walked::Missing),
                _ => return Err(unexpected(&request, &reply)),
            }
            walk.has_found(take(read(&request, &reply, self.of)?, &reply.mask), &reply)?;
            source.keep_page(&request, &reply);
            let Some(link) = next_link(&reply.headers) else { return Ok(Walked::All) };
            next = follow(&request, &link).map_err(|e| SourceError { message: reply.mask.over(&e.message), ..e })?;
        }
    }
}

/// A way through pages: to each once, and to no more than any list has.
pub struct Walk {
    first: Url,
    of: &'static str,
    seen: HashSet<Url>,
    /// How many names there were up to here, and how many pages have brought no more.
    found: usize,
    idle: usize,
    bytes: u64,
}

impl Walk {
    /// Starts one through a list `of` something, which messages call by its first page.
    pub fn from(first: &Url, of: &'static str) -> Self {
        Self { first: first.clone(), of, seen: HashSet::new(), found: 0, idle: 0, bytes: 0 }
    }

    /// Goes on to a page.
    pub fn enters(&mut self, page: &Url) -> Result<(), SourceError> {
        if self.seen.len() > PAGES_MAX {
            return Err(self.too_many());
        }
        if self.seen.insert(page.clone()) {
            return Ok(());
        }
        Err(SourceError::new(format!("{}: its pages lead in a circle", display(&self.first))))
    }

    /// Says how many names there were up to this page.
    pub fn has_found(&mut self, names: usize, page: &Reply) -> Result<(), SourceError> {
        self.bytes += page.body.len() as u64;
        self.idle = if names > self.found { 0 } else { self.idle + 1 };
        self.found = names;
        if self.idle > IDLE_MAX {
            return Err(SourceError::new(format!("{}: {IDLE_MAX} pages in a row bring nothing", display(&self.first))));
        }
        if names > NAMES_MAX || self.bytes > LIST_LIMIT { Err(self.too_many()) } else { Ok(()) }
    }

    fn too_many(&self) -> SourceError {
        SourceError::new(format!("{}: a list of {} that is longer than any", display(&self.first), self.of))
    }
}

/// Reads what came as a list `of` something.
pub fn read<T: DeserializeOwned>(request: &Request, reply: &Reply, of: &str) -> Result<T, SourceError> {
    serde_json::from_slice(&reply.body).map_err(|e| {
        let what = "but what came cannot be read as one";
        SourceError::new(format!(
            "{}: expected a list of {of}, {what} ({})",
            request.shown(),
            reply.mask.over(&misread(&e))
        ))
    })
}

impl Names {
    /// Takes names in.
    pub fn add(&mut self, tags: impl IntoIterator<Item = String>, filter: &TagFilter) {
        for tag in tags {
            if !grammar::is_tag(&tag) {
                self.refused.insert(Digest::of(tag.as_bytes()), shown(&tag));
            } else if filter.takes(&tag) {
                self.tags.insert(tag);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_through_pages_ends() {
        let first = Url::parse("https://r.example.com/v2/a/tags/list").unwrap();
        let page = Reply::new(StatusCode::OK, vec![b' '; 1 << 20]);
        let ends_after = |names: fn(usize) -> usize| {
            let mut walk = Walk::from(&first, TAGS);
            let mut pages = 0..;
            let error = pages.find_map(|n| walk.has_found(names(n), &page).err()).unwrap();
            (pages.start, error.message)
        };
        let (pages, why) = ends_after(|n| n + 1);
        assert_eq!(pages, 257, "{why}");
        assert!(why.contains("a list of tags that is longer than any"), "{why}");
        let (pages, why) = ends_after(|n| n * 100_000);
        assert_eq!(pages, 12, "{why}");
        let small = Reply::new(StatusCode::OK, Vec::new());
        let mut walk = Walk::from(&first, TAGS);
        let idle = (0..).find(|_| walk.has_found(7, &small).is_err());
        assert_eq!(idle, Some(IDLE_MAX + 1));
    }
}
