//! Records as Kafka writes them, byte by byte, and bytes that are none.

use bytes::Bytes;

use kolk_model::ids::{LeaderEpoch, TopicId};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use super::consumer_value::{ClassicValue, SubscriberValue};
use super::*;
use crate::group::ids::Generation;
use crate::group::request::{Client, Protocol};

fn offset_value() -> OffsetValue {
    OffsetValue {
        offset: Offset::new(42),
        leader_epoch: Some(LeaderEpoch::new(7)),
        metadata: "m".to_owned(),
        committed_at: TimestampMs::new(1),
        expires_at: None,
        topic_id: None,
    }
}

fn group_value() -> GroupValue {
    let member = MemberValue {
        member: MemberId::new("a-1"),
        instance: Some(InstanceId::new("a")),
        client: Client { id: "c".to_owned(), host: "/127.0.0.1".to_owned() },
        rebalance_timeout_ms: 300_000,
        session_timeout_ms: 45_000,
        subscription: Bytes::from_static(b"sub"),
        assignment: Bytes::from_static(b"as"),
    };
    GroupValue {
        protocol_type: "consumer".to_owned(),
        generation: Generation::new(3),
        protocol: Some("range".to_owned()),
        leader: Some(MemberId::new("a-1")),
        since: Some(TimestampMs::new(99)),
        members: vec![member],
    }
}

#[test]
fn an_offsets_key_and_value_are_kafkas_bytes() {
    let key = RecordKey::Offset { group: GroupId::new("g"), topic: Arc::from("t"), partition: 2 };
    assert_eq!(&key.encode()[..], b"\0\x01\0\x01g\0\x01t\0\0\0\x02");
    let value = offset_value().encode();
    assert_eq!(&value[..], b"\0\x03\0\0\0\0\0\0\0\x2a\0\0\0\x07\0\x01m\0\0\0\0\0\0\0\x01");
    assert_eq!(RecordKey::decode(&key.encode()), Ok(key));
    assert_eq!(OffsetValue::decode(&value), Ok(offset_value()));
}

#[test]
fn an_expiry_of_its_own_takes_the_version_that_has_one() {
    let value =
        OffsetValue { leader_epoch: None, expires_at: Some(TimestampMs::new(5)), ..offset_value() };
    let bytes = value.encode();
    assert_eq!(bytes.get(..2), Some(&[0_u8, 1][..]));
    assert_eq!(OffsetValue::decode(&bytes), Ok(value));
}

#[test]
fn the_id_of_a_topic_takes_the_version_that_has_a_tag_for_it() {
    let value =
        OffsetValue { topic_id: Some(TopicId::new(*b"0123456789abcdef")), ..offset_value() };
    let bytes =
        b"\0\x04\0\0\0\0\0\0\0\x2a\0\0\0\x07\x02m\0\0\0\0\0\0\0\x01\x01\0\x100123456789abcdef";
    assert_eq!(&value.encode()[..], bytes);
    assert_eq!(OffsetValue::decode(bytes), Ok(value));
}

#[test]
fn a_flexible_offset_with_an_unknown_tag_is_read() {
    let bytes = b"\0\x04\0\0\0\0\0\0\0\x2a\0\0\0\x07\x02m\0\0\0\0\0\0\0\x01\x01\x05\x02xy";
    assert_eq!(OffsetValue::decode(bytes), Ok(offset_value()));
}

#[test]
fn a_group_reads_back_in_every_version() {
    let value = group_value();
    assert_eq!(GroupValue::decode(&value.encode()), Ok(value));
    let v0 = b"\0\0\0\x01c\0\0\0\x01\0\x01p\0\x01m\0\0\0\x01\0\x01m\0\x01i\0\x01h\0\0\0\x09\0\0\0\0\0\0\0\0";
    let read = GroupValue::decode(v0).unwrap();
    assert_eq!((read.since, read.members.len()), (None, 1));
    assert_eq!(read.members[0].rebalance_timeout_ms, 9, "the session timeout stands in");
    let v4 = b"\0\x04\x02c\0\0\0\x01\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x01\0";
    let read = GroupValue::decode(v4).unwrap();
    assert_eq!((read.protocol_type.as_str(), read.protocol, read.leader), ("c", None, None));
}

fn subscriber_value() -> SubscriberValue {
    SubscriberValue {
        instance: None,
        rack: Some("r".to_owned()),
        client: Client { id: "c".to_owned(), host: "h".to_owned() },
        topics: vec!["t".to_owned()],
        pattern: None,
        rebalance_timeout_ms: 9,
        assignor: None,
        classic: None,
    }
}

#[test]
fn a_classic_members_words_are_kafkas_tagged_field() {
    let plain = b"\0\0\0\x02r\x02c\x02h\x02\x02t\0\0\0\0\x09\0";
    let consumer = subscriber_value();
    assert_eq!(&consumer.encode()[..], [&plain[..], b"\x01\0\x01\0"].concat());
    assert_eq!(SubscriberValue::decode(&consumer.encode()), Ok(consumer));
    let protocol = Protocol { name: "p".to_owned(), metadata: Bytes::from_static(b"xyz") };
    let classic = ClassicValue { session_timeout_ms: 8, protocols: vec![protocol] };
    let classic = SubscriberValue { classic: Some(classic), ..subscriber_value() };
    let tagged = b"\x01\0\x0e\x01\0\0\0\x08\x02\x02p\x04xyz\0\0";
    assert_eq!(&classic.encode()[..], [&plain[..], tagged].concat());
    assert_eq!(SubscriberValue::decode(&classic.encode()), Ok(classic.clone()));
    for end in 0..classic.encode().len() {
        assert!(SubscriberValue::decode(&classic.encode()[..end]).is_err(), "{end}");
    }
    let without = SubscriberValue::decode(&[&plain[..], b"\0"].concat());
    assert_eq!(without, Ok(subscriber_value()), "as it was written before there were any");
}

#[test]
fn bytes_cut_anywhere_are_refused_and_never_panic() {
    let (group, offset) = (group_value().encode(), offset_value().encode());
    for end in 0..group.len() {
        assert!(GroupValue::decode(&group[..end]).is_err(), "{end}");
    }
    for end in 0..offset.len() {
        assert!(OffsetValue::decode(&offset[..end]).is_err(), "{end}");
    }
    let key = RecordKey::Group(GroupId::new("group")).encode();
    for end in 0..key.len() {
        assert!(RecordKey::decode(&key[..end]).is_err(), "{end}");
    }
}

#[test]
fn a_list_longer_than_its_bytes_allocates_nothing() {
    let mut bytes = b"\0\x03\0\x01c\0\0\0\x01\xff\xff\xff\xff\0\0\0\0\0\0\0\x01".to_vec();
    bytes.extend(i32::MAX.to_be_bytes());
    assert!(GroupValue::decode(&bytes).is_err());
}

#[test]
fn keys_of_other_coordinators_are_skipped_and_newer_values_refused() {
    assert_eq!(RecordKey::decode(b"\0\x0b\0\x01g"), Ok(RecordKey::Other { version: 11 }));
    let error = RecordError::Value { version: 5, bytes: 4 };
    assert_eq!(OffsetValue::decode(b"\0\x05ab"), Err(error));
}

/// What a mutated value may do: be refused, or be read as something that is written the same way again.
fn there_and_back<V: PartialEq + std::fmt::Debug, B: AsRef<[u8]>>(
    value: &[u8],
    decode: impl Fn(&[u8]) -> Result<V, RecordError>,
    encode: impl Fn(&V) -> B,
) -> bool {
    let Ok(read) = decode(value) else { return false };
    assert_eq!(decode(encode(&read).as_ref()), Ok(read));
    true
}

/// Seeded twin of the fuzz target `group_record`.
#[test]
fn mutated_records_are_refused_or_read_back() {
    use super::consumer_value::{CurrentValue, EpochValue, PatternValue, SubscriberValue};
    use super::consumer_value::{decode_target, encode_target};
    let subscriber = SubscriberValue {
        topics: vec!["a".to_owned(), "b".to_owned()],
        pattern: Some("a.*".to_owned()),
        ..SubscriberValue::default()
    };
    let pattern =
        PatternValue { topics: ["a".to_owned()].into_iter().collect(), at: TimestampMs::new(5) };
    let key = RecordKey::Subscriber(GroupId::new("g"), MemberId::new("m"));
    let values = [
        offset_value().encode(),
        group_value().encode(),
        EpochValue { epoch: 3, topics_hash: 9 }.encode(),
        subscriber.encode(),
        CurrentValue::default().encode(),
        pattern.encode(),
        encode_target(&super::consumer_value::Assignment::default()),
        key.encode(),
    ];
    let (mut state, mut read) = (0x6b6f_6c6b_u64, 0);
    let mut roll = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound.max(1) as u64).unwrap()
    };
    for case in 0..20_000 {
        let which = roll(values.len());
        let mut value = values[which].to_vec();
        for _ in 0..=roll(3) {
            let at = roll(value.len());
            match roll(4) {
                0 => value.truncate(at),
                1 => value.insert(at, u8::try_from(roll(256)).unwrap()),
                _ => value[at..].iter_mut().take(1).for_each(|byte| *byte ^= 1 << roll(8)),
            }
        }
        let bytes = &value[..];
        read += u32::from(match which {
            0 => there_and_back(bytes, OffsetValue::decode, OffsetValue::encode),
            1 => there_and_back(bytes, GroupValue::decode, GroupValue::encode),
            2 => there_and_back(bytes, EpochValue::decode, EpochValue::encode),
            3 => there_and_back(bytes, SubscriberValue::decode, SubscriberValue::encode),
            4 => there_and_back(bytes, CurrentValue::decode, CurrentValue::encode),
            5 => there_and_back(bytes, PatternValue::decode, PatternValue::encode),
            6 => there_and_back(bytes, decode_target, encode_target),
            _ => there_and_back(bytes, RecordKey::decode, RecordKey::encode),
        });
        println!("case {case}");
    }
    assert!(read > 2_000, "{read} were read: most mutations are too coarse");
}
