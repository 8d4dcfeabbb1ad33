//! Records of `__consumer_offsets`: the first byte is the length of the key, the rest is key and value. A coordinator reads
//! them at its start. What was read is written again and must read back the same.
#![no_main]
#![allow(missing_docs, reason = "a program for the fuzzer")]

use kolk_coord::group::record::consumer_value::{
    CurrentValue, EpochValue, PatternValue, SubscriberValue, decode_target, decode_target_epoch,
    encode_target, encode_target_epoch,
};
use kolk_coord::group::record::{GroupValue, OffsetValue, RecordKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((key_bytes, rest)) = input.split_first() else { return };
    let (key, value) = rest.split_at(rest.len().min(usize::from(*key_bytes)));
    let Ok(key) = RecordKey::decode(key) else { return };
    assert_eq!(RecordKey::decode(&key.encode()).as_ref(), Ok(&key));
    match key {
        RecordKey::Offset { .. } => {
            there_and_back(value, OffsetValue::decode, OffsetValue::encode);
        }
        RecordKey::Group(_) => there_and_back(value, GroupValue::decode, GroupValue::encode),
        RecordKey::ConsumerGroup(_) => {
            there_and_back(value, EpochValue::decode, EpochValue::encode);
        }
        RecordKey::Subscriber(..) => {
            there_and_back(value, SubscriberValue::decode, SubscriberValue::encode);
        }
        RecordKey::TargetEpoch(_) => {
            there_and_back(value, decode_target_epoch, |epoch| encode_target_epoch(*epoch));
        }
        RecordKey::Target(..) => there_and_back(value, decode_target, encode_target),
        RecordKey::Current(..) => {
            there_and_back(value, CurrentValue::decode, CurrentValue::encode);
        }
        RecordKey::Pattern(..) => {
            there_and_back(value, PatternValue::decode, PatternValue::encode);
        }
        RecordKey::Other { .. } => {}
    }
});

fn there_and_back<V: PartialEq + std::fmt::Debug, E: PartialEq + std::fmt::Debug, B: AsRef<[u8]>>(
    value: &[u8],
    decode: impl Fn(&[u8]) -> Result<V, E>,
    encode: impl Fn(&V) -> B,
) {
    if let Ok(read) = decode(value) {
        assert_eq!(decode(encode(&read).as_ref()), Ok(read));
    }
}
