//! Links from a page to the next one.

use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};

use crate::registry::SourceError;
use crate::registry::address::{Origin, without_user};
use crate::registry::http::Request;
use crate::registry::words::shown;

/// Where a page's link to the next one leads; never to another origin, which would be told our token.
pub fn follow(page: &Request, link: &str) -> Result<Url, SourceError> {
    joined(&page.url, link).map_err(|what| SourceError::new(format!("{}: {what}", page.shown())))
}

fn joined(page: &Url, link: &str) -> Result<Url, String> {
    let next = page.join(link).map_err(|_| format!("the link to its next page is no URL: `{}`", shown(link)))?;
    if Origin::of(&next) != Origin::of(page) {
        return Err(format!("the link to its next page leads elsewhere, to {}", Origin::of(&next)));
    }
    Ok(without_user(next))
}

/// The target of the link with `rel="next"` (RFC 8288, 3).
pub fn next_link(headers: &HeaderMap) -> Option<String> {
    headers.get_all(LINK).iter().filter_map(|v| v.to_str().ok()).find_map(|text| {
        let mut rest = text;
        loop {
            let (target, after) = rest.split_once('<')?.1.split_once('>')?;
            let (parameters, others) = split_outside_quotes(after);
            if parameters.split(';').any(is_next) {
                return Some(target.to_owned());
            }
            rest = others;
        }
    })
}

/// Up to the comma that ends a link, and what comes after it.
fn split_outside_quotes(text: &str) -> (&str, &str) {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    (text, "")
}

fn is_next(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        name.trim().eq_ignore_ascii_case("rel")
            && value.trim().trim_matches('"').split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn link(lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(LINK, HeaderValue::from_str(line).unwrap());
        }
        next_link(&headers)
    }

    #[test]
    fn links() {
        assert_eq!(
            link(&[r#"</v2/a/tags/list?n=2&last=b>; rel="next""#]).as_deref(),
            Some("/v2/a/tags/list?n=2&last=b")
        );
        assert_eq!(link(&["<x>;rel=next"]).as_deref(), Some("x"));
        assert_eq!(
            link(&[r#"<a>; rel="prev"; title="x, y", <b?c=d,e>; foo=1; REL="last Next""#]).as_deref(),
            Some("b?c=d,e")
        );
        assert_eq!(link(&["<a>; rel=first", "<b>; rel=next"]).as_deref(), Some("b"));
        for none in ["", "<a>", "<a", "a; rel=next", "<a>; rel=prev", "<a>; title=\"rel=next\""] {
            assert_eq!(link(&[none]), None, "{none}");
        }
    }

    #[test]
    fn pages_stay_on_their_host() {
        let page = Url::parse("https://r.example.com/v2/a/tags/list").unwrap();
        assert_eq!(
            joined(&page, "/v2/a/tags/list?last=x").unwrap().as_str(),
            "https://r.example.com/v2/a/tags/list?last=x"
        );
        assert!(joined(&page, "https://r.example.com:443/v2/a/tags/list?last=x").is_ok());
        for elsewhere in
            ["https://evil.example.com/", "http://r.example.com/", "https://r.example.com:8443/", "//evil", "file:///x"]
        {
            assert!(joined(&page, elsewhere).is_err(), "{elsewhere}");
        }
    }
}
