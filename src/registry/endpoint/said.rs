//! What a server says of an error: as a registry does (distribution-spec, "Error Codes"), or in a page of somebody who
//! stands before it.

use reqwest::Method;
use serde_json::{Map, Value};

use crate::registry::http::{Reply, Request};
use crate::registry::words::shortened;

/// How much of it a message repeats.
const SHOWN: usize = 200;

/// Whether it is an error of a registry, and nobody else's; of a HEAD, which has no body, whether it may be one.
pub fn is_error(request: &Request, reply: &Reply) -> bool {
    match request.method {
        Method::HEAD => media_type(reply).is_some_and(|t| t == "application/json" || t.ends_with("+json")),
        _ => errors(reply).is_some(),
    }
}

/// Whether it is what a program says to another.
pub fn is_object(reply: &Reply) -> bool {
    serde_json::from_slice::<Map<String, Value>>(&reply.body).is_ok()
}

/// What it says, after a colon: the first error of a registry, the title of a page, or a line of text.
pub fn words(reply: &Reply) -> String {
    let text = || String::from_utf8_lossy(&reply.body);
    let said = errors(reply).and_then(|errors| first(&errors)).or_else(|| match media_type(reply)?.as_str() {
        "text/html" => title(&text()),
        "text/plain" => text().lines().map(str::trim).find(|line| !line.is_empty()).map(Into::into),
        _ => None,
    });
    said.map(|said| format!(": {}", shortened(&reply.mask.over(said.trim()), SHOWN))).unwrap_or_default()
}

fn errors(reply: &Reply) -> Option<Vec<Value>> {
    let body: Map<String, Value> = serde_json::from_slice(&reply.body).ok()?;
    body.get("errors")?.as_array().cloned()
}

fn first(errors: &[Value]) -> Option<String> {
    let text = |name: &str| errors.first()?.get(name)?.as_str();
    match (text("code"), text("message")) {
        (None, None) => None,
        (code, message) => Some(format!("{} {}", code.unwrap_or_default(), message.unwrap_or_default())),
    }
}

fn title(page: &str) -> Option<String> {
    // ASCII letters keep their places.
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title>")? + "<title>".len();
    let end = lower[start..].find('<').map_or(page.len(), |end| start + end);
    Some(page[start..end].to_owned())
}

/// The type of what came, without its parameters.
pub fn media_type(reply: &Reply) -> Option<String> {
    let text = reply.header("content-type")?.split(';').next().unwrap_or_default();
    Some(text.trim().to_ascii_lowercase()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::auth::mask::Mask;
    use reqwest::StatusCode;
    use reqwest::header::{CONTENT_TYPE, HeaderMap};

    fn reply(media_type: &str, body: &str) -> Reply {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, media_type.parse().unwrap())]);
        Reply { status: StatusCode::FORBIDDEN, headers, body: body.into(), mask: Mask::of(["hid\"den"]) }
    }

    #[test]
    fn errors_of_registries_and_pages_of_others() {
        let request = |method| Request::new(method, "https://r.example.com/x".parse().unwrap(), "*/*", 1);
        let (get, head) = (request(Method::GET), request(Method::HEAD));
        for (media_type, body, is_theirs, said) in [
            (
                "application/json",
                r#"{"errors": [{"code": "DENIED", "message": "no hid\"den"}]}"#,
                true,
                ": DENIED no ***",
            ),
            ("application/json", r#"{"errors": [{"status": 403, "message": "no"}]}"#, true, ": no"),
            ("application/json", r#"{"errors": []}"#, true, ""),
            ("application/json", r#"{"message": "Forbidden"}"#, false, ""),
            ("text/html; charset=x", "<html><TITLE>Blocked ä\n</TITLE>", false, ": Blocked ä"),
            ("text/html", "<html>blocked", false, ""),
            ("text/plain", "\nno\nhidden", false, ": no"),
            ("text/html", "<title>open", false, ": open"),
            ("", "", false, ""),
        ] {
            let reply = reply(media_type, body);
            assert_eq!((is_error(&get, &reply), words(&reply).as_str()), (is_theirs, said), "{body}");
        }
        assert!(is_error(&head, &reply("application/json; charset=utf-8", "")));
        assert!(!is_error(&head, &reply("text/html", "")) && !is_error(&head, &reply("", "")));
    }
}
