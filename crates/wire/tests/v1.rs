//! What holds for every request of `/v1`, whatever its fields are.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use job::{Guard, Key, KindName, Now, OnConflict, Policy, QueueName, Span, Timestamp};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use wire::v1;

fn name() -> impl Strategy<Value = String> {
    "[-a-zA-Z0-9_.:/+;$()@\\\\#]{1,200}"
}

fn span() -> impl Strategy<Value = Span> {
    (0..=Span::MAX.as_micros()).prop_map(Span::from_micros)
}

/// Times are written to the millisecond.
fn time() -> impl Strategy<Value = Timestamp> {
    (0..=Timestamp::MAX.0 / 1_000).prop_map(|millis| Timestamp(millis * 1_000))
}

fn guard() -> impl Strategy<Value = Guard> {
    prop_oneof![".{0,60}".prop_map(Guard::Http), ".{0,60}".prop_map(Guard::Exec)]
}

fn on_conflict() -> impl Strategy<Value = OnConflict> {
    prop_oneof![Just(OnConflict::Keep), Just(OnConflict::Replace), Just(OnConflict::Reject)]
}

fn policy() -> impl Strategy<Value = Policy> {
    (any::<u32>(), span(), span()).prop_map(|(max_attempts, first, cap)| Policy { max_attempts, first, cap })
}

fn payload() -> impl Strategy<Value = Box<RawValue>> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        "1\\.[0-9]{1,30}e[0-9]{1,3}",
        ".{0,40}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let tree =
        leaf.prop_recursive(4, 32, 4, |inner| vec(inner, 0..4).prop_map(|items| format!("[ {} ]", items.join(" ,"))));
    tree.prop_map(|json| RawValue::from_string(json).unwrap())
}

prop_compose! {
    fn push_job()(
        queue in name(), kind in name(), key in option::of("[^\\p{Cc}]{1,100}"), payload in option::of(payload()),
        in_ in option::of(span()), at in option::of(time()), on_conflict in option::of(on_conflict()),
        guard in option::of(guard()), priority: Option<u32>, retry in option::of(policy()),
        expires_in in option::of(span()), id: Option<String>,
    ) -> v1::PushJob {
        v1::PushJob {
            queue: queue.parse::<QueueName>().unwrap(),
            kind: kind.parse::<KindName>().unwrap(),
            key: key.map(|key| key.parse::<Key>().unwrap()),
            // `null` is what a payload that was left out means.
            payload: payload.filter(|raw| raw.get() != "null"), in_, at, on_conflict, guard, priority, retry, expires_in, id,
        }
    }
}

/// What is written of it is read as it was.
fn comes_back<T: Serialize + DeserializeOwned + std::fmt::Debug>(value: &T) {
    let json = serde_json::to_vec(value).unwrap();
    let read: T = serde_json::from_slice(&json).unwrap();
    assert_eq!(format!("{read:?}"), format!("{value:?}"));
}

/// Whatever the bytes are, they are read or they are an error.
fn is_answered(bytes: &[u8]) {
    fn read<T: DeserializeOwned>(bytes: &[u8], mean: impl FnOnce(T)) {
        if let Ok(value) = serde_json::from_slice(bytes) {
            mean(value);
        }
    }
    read::<v1::PushJob>(bytes, |push| drop(push.into_new_job(Now::default())));
    read::<v1::Push>(bytes, drop);
    read::<v1::LeaseWish>(bytes, |wish| drop(wish.check()));
    read::<v1::Ack>(bytes, |ack| drop(ack.into_ending()));
    read::<v1::Fail>(bytes, |fail| drop(fail.into_ending()));
    read::<v1::Extend>(bytes, |extend| drop(extend.into_words()));
    read::<v1::Snooze>(bytes, |snooze| drop(snooze.into_ending()));
    read::<v1::FinishMany>(bytes, |finish| drop(finish.check()));
    read::<v1::PauseQueue>(bytes, |pause| drop(pause.check()));
    read::<v1::AgentReport>(bytes, |report| drop((report.check(), report.bounded().check())));
    read::<v1::AgentLeaseWish>(bytes, |wish| drop(wish.check()));
    read::<v1::GiveOrder>(bytes, drop);
    read::<v1::JobQuery>(bytes, |query| drop(query.check()));
}

/// JSON that is almost a request: known fields with values of any sort.
fn almost() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "queue",
        "kind",
        "payload",
        "in",
        "at",
        "key",
        "on_conflict",
        "guard",
        "priority",
        "retry",
        "expires_in",
        "id",
        "queues",
        "worker",
        "limit",
        "wait",
        "for",
        "lease",
        "output",
        "error",
        "permanent",
        "by",
        "reason",
        "acks",
        "fails",
        "state",
        "agent",
        "observations",
        "workers",
        "quiet",
        "order",
        "colour",
    ]);
    let value = prop_oneof![
        payload().prop_map(|raw| raw.get().to_owned()),
        name().prop_map(|text| serde_json::to_string(&text).unwrap()),
        span().prop_map(|span| format!("\"{span}\"")),
        Just("[\"a\"]".to_owned()),
        Just("\"00000000000000ff\"".to_owned()),
        Just("{\"http\":\"http://x\"}".to_owned()),
        Just("{\"max_attempts\":4294967296}".to_owned()),
    ];
    vec((field, value), 0..8).prop_map(|fields| {
        let fields: Vec<_> = fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    })
}

proptest! {
    #[test]
    fn a_push_is_read_as_it_was_written(push in push_job()) {
        comes_back(&push);
    }

    #[test]
    fn any_bytes_are_read_or_are_an_error(bytes: Vec<u8>) {
        is_answered(&bytes);
    }

    #[test]
    fn any_fields_are_read_or_are_an_error(json in almost()) {
        is_answered(json.as_bytes());
    }

    #[test]
    fn a_payload_that_is_not_json_shows_itself_as_a_text(bytes: Vec<u8>) {
        let payload = job::Payload::new(bytes.clone()).unwrap();
        let shown = v1::raw(&payload);
        let read: serde_json::Value = serde_json::from_str(shown.get()).unwrap();
        if serde_json::from_slice::<&RawValue>(&bytes).is_err() {
            prop_assert_eq!(read, String::from_utf8_lossy(&bytes).into_owned());
        } else {
            prop_assert_eq!(shown.get().trim().as_bytes(), bytes.trim_ascii());
        }
    }
}

#[test]
fn a_field_that_is_not_known_is_an_error_and_is_named() {
    let error = |result: serde_json::Error| result.to_string();
    let push = serde_json::from_str::<v1::PushJob>(r#"{"kind":"k","on_conflct":"keep"}"#).map_err(error).unwrap_err();
    assert!(push.starts_with("unknown field `on_conflct`, expected one of `queue`, `kind`"), "{push}");
    for json in [r#"{"lease":"00000000000000ff","colour":1}"#, r#"{"queues":["q"],"worker":"w","colour":1}"#] {
        assert!(serde_json::from_str::<v1::Ack>(json).is_err(), "{json}");
        assert!(serde_json::from_str::<v1::LeaseWish>(json).is_err(), "{json}");
    }
}

#[test]
fn an_answer_may_hold_what_a_client_does_not_know() {
    let pushed: v1::PushedJob = serde_json::from_str(r#"{"id":"j1","state":"ready","colour":"blue"}"#).unwrap();
    assert_eq!((pushed.id.as_str(), pushed.is_new()), ("j1", true));
}
