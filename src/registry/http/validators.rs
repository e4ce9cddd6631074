//! Pages that servers sent with an ETag (RFC 9110, 8.8.3), in a file each: where a page is still the same, its server says
//! so and sends nothing. What cannot be read or written is asked for as if it were not there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use reqwest::header::{ETAG, HeaderMap, HeaderValue, LINK};
use reqwest::{StatusCode, Url};

use super::Reply;
use crate::store::Digest;

/// The folder's name in the one that it is kept in.
const NAME: &str = "pages";
/// No ETag is longer.
const TAG_MAX: usize = 256;
/// A larger page is not kept.
const PAGE_MAX: usize = 1 << 20;
/// A page that was not asked for in so long is forgotten.
const KEPT_FOR: Duration = Duration::from_secs(31 * 86_400);

#[derive(Debug, Default)]
pub struct Validators {
    /// `None`: nothing is kept.
    folder: Option<PathBuf>,
    tidied: OnceLock<()>,
}

/// A page as it was sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    pub tag: HeaderValue,
    /// Where the next page is.
    link: Option<HeaderValue>,
    body: Vec<u8>,
}

impl Validators {
    pub fn kept_in(folder: &Path) -> Self {
        Self { folder: Some(folder.join(NAME)), tidied: OnceLock::new() }
    }

    /// What a server sent for a URL.
    pub fn get(&self, url: &Url) -> Option<Page> {
        let file = self.file(url)?;
        let page = Page::read(&fs::read(&file).ok()?)?;
        // It was of use.
        let _ = File::options().append(true).open(file).and_then(|file| file.set_modified(SystemTime::now()));
        Some(page)
    }

    /// Keeps what a server sent, where it can say later that it is still so.
    pub fn put(&self, url: &Url, reply: &Reply) {
        let (Some(file), Some(page)) = (self.file(url), Page::of(reply)) else { return };
        self.tidied.get_or_init(|| self.tidy());
        // It is asked for again.
        let _ = write(&file, &page.bytes());
    }

    /// What was kept is not what the server has.
    pub fn forget(&self, url: &Url) {
        let _ = self.file(url).map(fs::remove_file);
    }

    /// Where something else of such kind is kept, by a hash of what it is of.
    pub fn beside(&self, of: &[u8], kind: &str) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.join(format!("{}.{kind}", Digest::of(of))))
    }

    /// Removes what is of no use any more, once.
    pub fn tidy_once(&self) {
        self.tidied.get_or_init(|| self.tidy());
    }

    fn file(&self, url: &Url) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(Digest::of(url.as_str().as_bytes()).to_string()))
    }

    fn tidy(&self) {
        let entries = self.folder.as_ref().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
        for entry in entries {
            let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|at| at.elapsed().ok());
            if age.is_some_and(|age| age > KEPT_FOR) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Page {
    fn of(reply: &Reply) -> Option<Self> {
        let tag = reply.headers.get(ETAG).filter(|tag| is_tag(tag.as_bytes()))?.clone();
        let link = match reply.headers.get_all(LINK).iter().collect::<Vec<_>>()[..] {
            [] => None,
            [link] => Some(link.clone()),
            _ => return None,
        };
        let is_kept = reply.status == StatusCode::OK && reply.body.len() <= PAGE_MAX;
        is_kept.then(|| Self { tag, link, body: reply.body.clone() })
    }

    /// The page as if it were sent once more, by a server that says that it is still so.
    pub fn again(self, mut headers: HeaderMap) -> Reply {
        // It is kept already, with its own link.
        headers.remove(ETAG);
        headers.remove(LINK);
        if let Some(link) = self.link {
            headers.insert(LINK, link);
        }
        Reply { headers, ..Reply::new(StatusCode::OK, self.body) }
    }

    /// The digest of all that follows; two lines, for the tag and the link; the body.
    fn bytes(&self) -> Vec<u8> {
        let link = self.link.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
        let rest = [self.tag.as_bytes(), b"\n", link, b"\n", &self.body].concat();
        [Digest::of(&rest).to_string().as_bytes(), b"\n", &rest].concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
        let (digest, rest) = (parts.next()?, parts.next()?);
        if Digest::of(rest).to_string().as_bytes() != digest {
            return None;
        }
        let mut parts = rest.splitn(3, |byte| *byte == b'\n');
        let (tag, link, body) = (parts.next()?, parts.next()?, parts.next()?);
        let link = (!link.is_empty()).then(|| HeaderValue::from_bytes(link));
        let tag = HeaderValue::from_bytes(tag).ok().filter(|tag| is_tag(tag.as_bytes()))?;
        Some(Self { tag, link: link.transpose().ok()?, body: body.to_vec() })
    }
}

/// Whether it is an entity tag, strong or weak: nothing else is sent back to a server.
fn is_tag(text: &[u8]) -> bool {
    let opaque = text.strip_prefix(b"W/").unwrap_or(text);
    let inner = opaque.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    text.len() <= TAG_MAX && inner.is_some_and(|inner| inner.iter().all(|c| *c != b'"' && c.is_ascii_graphic()))
}

fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(file.parent().unwrap_or(file))?;
    let whole = file.with_extension("tmp");
    fs::write(&whole, bytes)?;
    fs::rename(whole, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderName;

    fn reply(headers: &[(HeaderName, &'static str)], body: &[u8]) -> Reply {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Reply { headers: headers.collect(), ..Reply::new(StatusCode::OK, body.to_vec()) }
    }

    #[test]
    fn entity_tags_and_what_is_none() {
        for tag in ["\"\"", "\"a-b:c\"", "W/\"x\""] {
            assert!(is_tag(tag.as_bytes()), "{tag}");
        }
        let long = format!("\"{}\"", "x".repeat(TAG_MAX));
        for none in ["", "\"", "x", "*", "W/x", "w/\"x\"", "\"a\"b\"", "\"a\", \"b\"", "\"a b\"", "\"\u{e9}\"", &long] {
            assert!(!is_tag(none.as_bytes()), "{none}");
        }
    }

    #[test]
    fn a_page_is_what_was_sent_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let validators = Validators::kept_in(folder.path());
        let url: Url = "https://r.example.com/v2/a/tags/list?n=1000".parse().unwrap();
        assert_eq!(validators.get(&url), None);
        for without in [reply(&[], b"x"), reply(&[(ETAG, "x")], b"x"), reply(&[(ETAG, "\"x\"")], &[0; PAGE_MAX + 1])] {
            validators.put(&url, &without);
            assert_eq!(validators.get(&url), None);
        }
        validators.put(&url, &reply(&[(ETAG, "\"x\""), (LINK, "<b>; rel=next")], b"a\nb\n"));
        let page = validators.get(&url).unwrap();
        assert_eq!((page.tag.as_bytes(), &page.body[..]), (&b"\"x\""[..], &b"a\nb\n"[..]));
        let again = page.again(reply(&[(ETAG, "\"y\""), (LINK, "<elsewhere>; rel=next")], b"").headers);
        validators.put(&url, &again);
        assert!(validators.get(&url).is_some_and(|page| page.tag.as_bytes() == b"\"x\""), "it is what it was");
        assert_eq!((again.header("link"), again.status), (Some("<b>; rel=next"), StatusCode::OK));

        let file = validators.file(&url).unwrap();
        let whole = fs::read(&file).unwrap();
        for damage in [&whole[..whole.len() - 1], b"", b"\n\n\n\n", &whole.to_ascii_uppercase()] {
            fs::write(&file, damage).unwrap();
            assert_eq!(validators.get(&url), None);
        }
    }

    #[test]
    fn a_page_that_nobody_asks_for_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let [old, used, new] =
            ["old", "used", "new"].map(|path| format!("https://r.example.com/{path}").parse::<Url>().unwrap());
        let sent = reply(&[(ETAG, "\"x\"")], b"x");
        let validators = Validators::kept_in(folder.path());
        for url in [&old, &used] {
            validators.put(url, &sent);
            let file = File::options().append(true).open(validators.file(url).unwrap()).unwrap();
            file.set_modified(SystemTime::now() - 2 * KEPT_FOR).unwrap();
        }
        assert!(validators.get(&used).is_some());
        let later = Validators::kept_in(folder.path());
        later.put(&new, &sent);
        assert!(later.get(&used).is_some() && later.get(&new).is_some() && later.get(&old).is_none());
    }
}
