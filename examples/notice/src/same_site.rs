//! Keeps other sites' hands off.
//!
//! A page elsewhere can make a browser send requests here. It cannot make the
//! browser lie about where they come from, so that is what counts: `Host` must
//! be this machine's own name, and what changes something must come from a
//! page of ours.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const CSP: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                   form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Answers only what comes from here, and tells browsers what may happen on
/// our pages.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    if let Err(why) = judge(request.method(), request.headers()) {
        return (StatusCode::FORBIDDEN, format!("{why}\n")).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: browsers would then not say where a form comes from.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether a request is from here; if not, why not.
pub fn judge(method: &Method, headers: &HeaderMap) -> Result<(), &'static str> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(header::HOST).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| if port.ends_with(']') { host } else { name });
    if !matches!(name, "127.0.0.1" | "localhost" | "[::1]") {
        return Err("this page is not called that; it answers as 127.0.0.1 and localhost");
    }
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    // A browser names the origin of every form and every script's request; a
    // program that is no browser, such as aloud, names none.
    let from_here = match text(header::ORIGIN) {
        Some(origin) => origin.strip_prefix("http://") == Some(host),
        None => matches!(text(header::HeaderName::from_static("sec-fetch-site")), None | Some("same-origin" | "none")),
    };
    from_here.then_some(()).ok_or("this came from another site's page, and nothing was changed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, pairs: &[(&'static str, &'static str)], allowed: bool) {
        let headers =
            pairs.iter().map(|&(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_static(value)));
        let headers: HeaderMap = headers.collect();
        assert_eq!(judge(&method, &headers).is_ok(), allowed, "{method} {pairs:?}");
    }

    #[test]
    fn only_our_own_pages_and_programs_may_change_something() {
        let host = ("host", "127.0.0.1:8080");
        check(Method::POST, &[host, ("origin", "http://127.0.0.1:8080")], true);
        check(Method::POST, &[host], true);
        check(Method::POST, &[host, ("sec-fetch-site", "same-origin")], true);
        check(Method::POST, &[host, ("origin", "http://127.0.0.1:9999")], false);
        check(Method::POST, &[host, ("origin", "https://evil.example")], false);
        check(Method::POST, &[host, ("origin", "null")], false);
        check(Method::POST, &[host, ("sec-fetch-site", "cross-site")], false);
    }

    #[test]
    fn a_name_that_is_not_ours_is_not_answered() {
        check(Method::GET, &[("host", "127.0.0.1:8080")], true);
        check(Method::GET, &[("host", "localhost")], true);
        check(Method::GET, &[("host", "[::1]:8080")], true);
        check(Method::GET, &[("host", "[::1]")], true);
        check(Method::GET, &[("host", "evil.example:8080")], false);
        check(Method::GET, &[("host", "127.0.0.1.evil.example")], false);
        check(Method::GET, &[], false);
    }
}
