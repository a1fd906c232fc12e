//! Who is let in to `/v1`.
//!
//! A request must call this server by one of its names, so that a web page
//! elsewhere cannot reach it through a name that it controls (DNS rebinding);
//! if a page sent it, that page must be of this machine too; it must show a
//! token; and if it names an app, it must be this one.
//!
//! The app's token opens everything. A host's token opens what its agent needs:
//! that host's own addresses, and those where the runs of jobs are ended.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri};
use job::HostName;

use crate::problem::Problem;
use crate::routes::App;

/// Clients name their app in it, if they know it.
const ALOUD_APP: &str = "aloud-app";

/// Whose token was shown.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// The app's.
    App,
    /// A host's.
    Host(HostName),
}

/// What a host's token opens: addresses of that host, and these.
const FOR_EVERY_HOST: [&str; 4] =
    ["/v1/jobs/{id}/ack", "/v1/jobs/{id}/fail", "/v1/jobs/{id}/extend", "/v1/jobs/{id}/snooze"];
/// The addresses of a host that its own token opens.
const FOR_THE_HOST: [&str; 2] = ["/v1/agents/{host}", "/v1/agents/{host}/lease"];

pub(crate) async fn gate(State(app): State<App>, request: Request, next: Next) -> Response {
    let who = match may_enter(&request, &app) {
        Ok(who) => who,
        Err(problem) => return problem.into_response(),
    };
    let (mut parts, body) = request.into_parts();
    if let Who::Host(own) = &who {
        let params = RawPathParams::from_request_parts(&mut parts, &()).await.ok();
        let named = params.as_ref().and_then(|params| params.iter().find(|(name, _)| *name == "host"));
        let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        if let Err(problem) = opens(own, route, named.map(|(_, host)| host)) {
            return problem.into_response();
        }
    }
    parts.extensions.insert(who);
    next.run(Request::from_parts(parts, body)).await
}

/// Whether the token of the host `own` opens a route.
fn opens(own: &HostName, route: &str, named: Option<&str>) -> Result<(), Problem> {
    match named {
        _ if FOR_EVERY_HOST.contains(&route) => Ok(()),
        Some(named) if FOR_THE_HOST.contains(&route) && named == own.as_str() => Ok(()),
        Some(named) if FOR_THE_HOST.contains(&route) => Err(Problem::other_host(own, named)),
        Some(_) | None => Err(Problem::not_for_agents(own)),
    }
}

fn may_enter(request: &Request, app: &App) -> Result<Who, Problem> {
    let (headers, options) = (request.headers(), &app.options);
    calls_us_by_name(request.uri(), headers, &options.allowed_hosts)?;
    comes_from_us(headers, &options.allowed_hosts)?;
    let shown = headers.get(AUTHORIZATION).ok_or_else(Problem::no_token)?;
    let shown = bearer(shown).ok_or_else(Problem::no_token)?;
    let who = match options.token.is(shown) {
        true => Who::App,
        false => Who::Host(options.agents.host_of(shown, app.queue.now()).ok_or_else(Problem::wrong_token)?),
    };
    match headers.get(ALOUD_APP) {
        Some(named) if named.as_bytes() != options.app.as_str().as_bytes() => {
            Err(Problem::other_app(&text(named), &options.app))
        }
        Some(_) | None => Ok(who),
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
