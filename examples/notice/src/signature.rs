//! Whether a request comes from aloud.
//!
//! aloud signs what it sends with a secret that only it and the application
//! can read: HMAC-SHA256 over `timestamp.job.body`, in the header
//! `Aloud-Signature` as `v1=` and hexadecimal digits.

use std::path::PathBuf;

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::clock::Millis;

/// How old a signature may be, in milliseconds, and how far ahead.
const FRESH: i64 = 5 * 60 * 1_000;

/// Where the secret lies. It is read for each request, so that it can be
/// replaced, and made after this application was started.
#[derive(Debug, Clone)]
pub struct Secret(PathBuf);

/// Why a request is not taken for one of aloud's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    /// A header is missing or cannot be read.
    #[error("the request does not carry a readable `{0}`")]
    Header(&'static str),
    /// It was signed too long ago, or will only be.
    #[error("the signature is not of these five minutes; are both clocks right?")]
    Stale,
    /// It was signed with another secret, or changed on its way.
    #[error("the signature is not right: the secret of this application and that of aloud differ")]
    Wrong,
    /// The secret cannot be read.
    #[error("the signing secret cannot be read: {0}")]
    Unreadable(String),
}

impl Secret {
    /// The secret in this file.
    pub fn in_file(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The id of the job that a request is about, if aloud signed it.
    pub fn job_of(&self, headers: &HeaderMap, body: &[u8], now: Millis) -> Result<String, Unsigned> {
        let secret = std::fs::read_to_string(&self.0).map_err(|error| Unsigned::Unreadable(error.to_string()))?;
        job_of(secret.trim().as_bytes(), headers, body, now)
    }
}

fn job_of(secret: &[u8], headers: &HeaderMap, body: &[u8], now: Millis) -> Result<String, Unsigned> {
    let text =
        |name: &'static str| headers.get(name).and_then(|value| value.to_str().ok()).ok_or(Unsigned::Header(name));
    let (timestamp, job, signature) = (text("aloud-timestamp")?, text("aloud-job")?, text("aloud-signature")?);
    let signed: i64 = timestamp.parse().map_err(|_| Unsigned::Header("aloud-timestamp"))?;
    let signature = signature.strip_prefix("v1=").and_then(bytes_of_hex).ok_or(Unsigned::Header("aloud-signature"))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    for part in [timestamp.as_bytes(), b".", job.as_bytes(), b".", body] {
        mac.update(part);
    }
    mac.verify_slice(&signature).map_err(|_| Unsigned::Wrong)?;
    if signed.saturating_mul(1_000).abs_diff(now.0) > FRESH.unsigned_abs() {
        return Err(Unsigned::Stale);
    }
    Ok(job.to_owned())
}

fn bytes_of_hex(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks_exact(2);
    if !digits.remainder().is_empty() {
        return None;
    }
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    // printf '1790000000.j17.{"n":1}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
    const SIGNATURE: &str = "v1=602998c6485c5db1c17ec7a525c170f58c02cc0fe85d7f2e5d647b70caf29945";
    const NOW: Millis = Millis(1_790_000_001_000);

    fn check(change: impl Fn(&mut HeaderMap), body: &[u8], now: Millis) -> Result<String, Unsigned> {
        let mut headers = HeaderMap::new();
        headers.insert("aloud-timestamp", "1790000000".parse().unwrap());
        headers.insert("aloud-job", "j17".parse().unwrap());
        headers.insert("aloud-signature", SIGNATURE.parse().unwrap());
        change(&mut headers);
        job_of(SECRET, &headers, body, now)
    }

    #[test]
    fn only_what_was_signed_counts() {
        let body = b"{\"n\":1}";
        assert_eq!(check(|_| {}, body, NOW), Ok("j17".to_owned()));
        assert_eq!(check(|_| {}, b"{\"n\":2}", NOW), Err(Unsigned::Wrong));
        let other_job = |headers: &mut HeaderMap| drop(headers.insert("aloud-job", "j18".parse().unwrap()));
        assert_eq!(check(other_job, body, NOW), Err(Unsigned::Wrong));
        let none = |headers: &mut HeaderMap| drop(headers.remove("aloud-signature"));
        assert_eq!(check(none, body, NOW), Err(Unsigned::Header("aloud-signature")));
        let odd = |headers: &mut HeaderMap| drop(headers.insert("aloud-signature", "v1=abc".parse().unwrap()));
        assert_eq!(check(odd, body, NOW), Err(Unsigned::Header("aloud-signature")));
    }

    #[test]
    fn an_old_signature_does_not_count() {
        let body = b"{\"n\":1}";
        assert_eq!(check(|_| {}, body, Millis(NOW.0 + FRESH)), Err(Unsigned::Stale));
        assert_eq!(check(|_| {}, body, Millis(0)), Err(Unsigned::Stale));
    }

    #[test]
    fn a_secret_that_is_not_there_is_said_so() {
        let secret = Secret::in_file("/nowhere/secret");
        assert!(matches!(secret.job_of(&HeaderMap::new(), b"", NOW), Err(Unsigned::Unreadable(_))));
    }
}
