//! Ids that the client draws, so that a push can be repeated.

/// Draws the id of a new job: 122 random bits, written as a UUID (version 4).
pub(crate) fn draw() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    uuid(bytes)
}

/// Draws a number, for jitter and for names.
pub(crate) fn draw_u32() -> u32 {
    getrandom::u32().expect("the system gives random bytes")
}

fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_that_the_server_accepts() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        let (one, other) = (draw(), draw());
        assert_ne!(one, other);
        assert!(job::ClientId::choose(&one).is_ok());
    }
}
