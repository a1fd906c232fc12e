//! Who is let in to `/v1`.
//!
//! A request must call this server by one of its names, so that a web page
//! elsewhere cannot reach it through a name that it controls (DNS rebinding);
//! if a page sent it, that page must be of this machine too; it must show the
//! app's token; and if it names an app, it must be this one.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri};

use crate::options::Options;
use crate::problem::Problem;
use crate::routes::App;

/// Clients name their app in it, if they know it.
const ALOUD_APP: &str = "aloud-app";

pub(crate) async fn gate(State(app): State<App>, request: Request, next: Next) -> Response {
    match may_enter(&request, &app.options) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn may_enter(request: &Request, options: &Options) -> Result<(), Problem> {
    let headers = request.headers();
    calls_us_by_name(request.uri(), headers, &options.allowed_hosts)?;
    comes_from_us(headers, &options.allowed_hosts)?;
    let shown = headers.get(AUTHORIZATION).ok_or_else(Problem::no_token)?;
    let shown = bearer(shown).ok_or_else(Problem::no_token)?;
    if !options.token.is(shown) {
        return Err(Problem::wrong_token());
    }
    match headers.get(ALOUD_APP) {
        Some(named) if named.as_bytes() != options.app.as_str().as_bytes() => {
            Err(Problem::other_app(&text(named), &options.app))
        }
        Some(_) | None => Ok(()),
    }
}

fn calls_us_by_name(uri: &Uri, headers: &HeaderMap, allowed: &[String]) -> Result<(), Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(Problem::wrong_host("")) };
    let named = text(host);
    if !named.parse().is_ok_and(|host| is_ours(&host, allowed)) {
        return Err(Problem::wrong_host(&named));
    }
    match uri.authority() {
        Some(authority) if !is_ours(authority, allowed) => Err(Problem::wrong_host(authority.as_str())),
        Some(_) | None => Ok(()),
    }
}

fn comes_from_us(headers: &HeaderMap, allowed: &[String]) -> Result<(), Problem> {
    for origin in headers.get_all(ORIGIN) {
        let named = text(origin);
        let uri = named.parse::<Uri>().ok();
        // An origin has a scheme; `null` stands for one that is not told.
        let host = uri.as_ref().filter(|uri| uri.scheme().is_some()).and_then(Uri::authority);
        if !host.is_some_and(|host| is_ours(host, allowed)) {
            return Err(Problem::wrong_origin(&named));
        }
    }
    Ok(())
}

fn is_ours(authority: &Authority, allowed: &[String]) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = bare(authority.host());
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        || allowed.iter().any(|allowed| bare(allowed).eq_ignore_ascii_case(host))
}

/// A host without the brackets that an IPv6 address wears.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(host: &str) -> bool {
        let allowed = ["queue.example".to_owned(), "fd00::7".to_owned()];
        host.parse().is_ok_and(|host| is_ours(&host, &allowed))
    }

    #[test]
    fn a_server_has_the_names_of_the_loopback_interface_and_those_that_are_allowed() {
        for host in [
            "localhost",
            "LOCALHOST:7420",
            "127.0.0.1",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]",
            "[::1]:7420",
            "queue.example",
            "Queue.Example:80",
            "[fd00::7]:7420",
        ] {
            assert!(ours(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil@localhost",
            "10.0.0.1",
            "0.0.0.0",
            "[::2]",
            "queue.example.evil.example",
            "local host",
        ] {
            assert!(!ours(host), "{host}");
        }
    }

    #[test]
    fn a_bearer_token_is_what_stands_behind_the_scheme() {
        let shown = |value: &'static str| bearer(&HeaderValue::from_static(value)).map(<[u8]>::to_vec);
        assert_eq!(shown("Bearer alo_1").unwrap(), b"alo_1");
        assert_eq!(shown("bearer  alo_1 ").unwrap(), b"alo_1");
        assert_eq!(shown("Bearer "), Some(Vec::new()));
        assert_eq!(shown("Basic alo_1"), None);
        assert_eq!(shown("alo_1"), None);
    }
}
