//! The one provider of cryptography.

/// Makes ring the provider that every TLS connection of this process uses,
/// unless there is one already.
pub fn install() {
    rustls::crypto::ring::default_provider().install_default().ok();
}
