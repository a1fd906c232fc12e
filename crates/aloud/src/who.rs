//! Who runs a command, for people who ask later.

/// The user, by name if the environment tells it; under sudo the person.
pub(crate) fn user(max_bytes: usize) -> String {
    let named = |name| std::env::var(name).ok().filter(|user| !user.is_empty() && user.len() <= max_bytes);
    let name = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(named);
    name.unwrap_or_else(|| format!("user {}", rustix::process::getuid().as_raw()))
}

/// The user and the host.
pub(crate) fn full() -> String {
    match host::machine::hostname().known() {
        Some(host) => format!("{}@{host}", user(200)),
        None => user(200),
    }
}
