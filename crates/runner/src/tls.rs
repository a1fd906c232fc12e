//! The one provider of cryptography.

use std::error::Error;
use std::io;

/// Makes ring the provider that every TLS connection of this process uses,
/// unless there is one already.
pub fn install() {
    rustls::crypto::ring::default_provider().install_default().ok();
}

/// Whether an error comes from TLS: an unknown certificate, a broken handshake.
pub(crate) fn is_behind(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        // What an I/O error wraps is not among its sources, only its sources
        // are.
        if let Some(wrapped) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && is_behind(wrapped)
        {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_tls_is_found_however_deep_it_is_wrapped() {
        let deep = io::Error::other(io::Error::other(rustls::Error::EncryptError));
        assert!(is_behind(&deep));
        assert!(!is_behind(&io::Error::other(io::Error::other("no route"))));
    }
}
