//! Our codec against an independent one, made from Kafka's own schemas: on random messages of every API, side and
//! version both must read the same fields, leave nothing, and write the same bytes again.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::codecs::{CODECS, Codec};
use super::dice::Dice;
use super::shown::Shown;
use super::walk::{Manner, Side, tables, walk};
use crate::api::ApiKey;
use crate::message::{Message, api_versions};
use crate::wire::{Reader, Version};

/// Messages of each API, side and version.
const CASES: u64 = 40;

/// Versions that the other crate, made from Kafka 4.3, does not know yet.
const UNKNOWN_THERE: [(ApiKey, i16); 1] = [(ApiKey::ApiVersions, 5)];

/// Fields that only one of the two knows, each in a version that the other lacks: API, side, field, ours, theirs.
const ALLOWED: [&str; 7] = [
    r#"ApiVersions Request .cluster_id: Some(Null), None"#,
    r#"ApiVersions Request .node_id: Some(Atom("-1")), None"#,
    r#"DescribeLogDirs Response .results[].is_cordoned: None, Some(Atom("false"))"#,
    r#"InitProducerId Request .enable2_pc: None, Some(Atom("false"))"#,
    r#"InitProducerId Request .keep_prepared_txn: None, Some(Atom("false"))"#,
    r#"InitProducerId Response .ongoing_txn_producer_epoch: None, Some(Atom("-1"))"#,
    r#"InitProducerId Response .ongoing_txn_producer_id: None, Some(Atom("-1"))"#,
];

#[test]
fn every_table_has_its_api() {
    let tables = tables();
    assert_eq!(tables.len(), ApiKey::ALL.len());
    assert_eq!(CODECS.len(), ApiKey::ALL.len());
    for ((table, api), codec) in tables.iter().zip(ApiKey::ALL).zip(CODECS) {
        let versions = api.versions();
        assert_eq!((table.key, table.name.as_str()), (api.to_wire(), api.name()));
        assert_eq!(
            (table.versions.min, table.versions.max),
            (versions.min.get(), versions.max.get())
        );
        assert_eq!(codec.api, *api);
    }
}

#[test]
fn both_crates_read_and_write_every_message_alike() {
    let mut messages = 0;
    let mut found = BTreeSet::new();
    for (table, codec) in tables().iter().zip(CODECS) {
        for side in [Side::Request, Side::Response] {
            for version in table.versions.min..=table.versions.max {
                for seed in 0..CASES {
                    let mut dice = Dice::new(seed);
                    let walked = walk(table, side, version, Manner::Canonical, &mut dice);
                    let place = format!("{} v{version} {side:?} seed {seed}", table.name);
                    let wire = Wire { codec, side, version, bytes: walked.bytes.into() };
                    let shown = wire.check(&place);
                    let api = format!("{} {side:?}", table.name);
                    found.extend(shown.into_iter().map(|difference| format!("{api} {difference}")));
                    messages += 1;
                }
            }
        }
    }
    let found: Vec<_> = found.iter().map(String::as_str).collect();
    assert_eq!(found, ALLOWED);
    assert!(messages > 10_000, "only {messages}");
}

/// One message of known bytes.
struct Wire<'a> {
    codec: &'a Codec,
    side: Side,
    version: i16,
    bytes: Bytes,
}

impl Wire<'_> {
    /// Checks that both crates read all of it and write it again; returns where they understood it differently.
    fn check(&self, place: &str) -> Vec<String> {
        let Self { codec, side, version, bytes } = self;
        let ours = codec.ours(*side, bytes, *version, *version);
        let ours = ours.unwrap_or_else(|error| panic!("{place}: {error} in {bytes:?}"));
        assert_eq!(ours.remaining, 0, "{place}");
        assert_eq!(ours.bytes, bytes, "{place}");
        let mut found = Vec::new();
        if UNKNOWN_THERE.contains(&(codec.api, *version)) {
            return found;
        }
        let theirs = codec.theirs(*side, bytes, *version);
        let theirs = theirs.unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(theirs.remaining, 0, "{place}");
        assert_eq!(theirs.bytes, bytes, "{place}");
        let (ours, theirs) = (Shown::parse(&ours.shown), Shown::parse(&theirs.shown));
        ours.differences(&theirs, "", &mut found);
        found
    }
}

/// What a version can't carry is left out or written as empty: encoding never fails, and both crates read the result.
#[test]
fn a_message_is_written_in_every_version_whatever_it_holds() {
    let mut messages = 0;
    for (table, codec) in tables().iter().zip(CODECS) {
        let versions = table.versions;
        for side in [Side::Request, Side::Response] {
            for (from, to) in (versions.min..=versions.max)
                .flat_map(|to| [(versions.min, to), (versions.max, to)])
            {
                for seed in 0..CASES / 4 {
                    let mut dice = Dice::new(seed);
                    let walked = walk(table, side, from, Manner::Canonical, &mut dice);
                    let place = format!("{} v{from} to v{to} {side:?} seed {seed}", table.name);
                    let written = codec.ours(side, &walked.bytes.into(), from, to);
                    let bytes = written.unwrap_or_else(|error| panic!("{place}: {error}")).bytes;
                    let wire = Wire { codec, side, version: to, bytes: bytes.freeze() };
                    wire.check(&place);
                    messages += 1;
                }
            }
        }
    }
    assert!(messages > 5_000, "only {messages}");
}

#[test]
fn unknown_and_default_tags_change_nothing() {
    for (table, codec) in tables().iter().zip(CODECS) {
        let Some(flexible) = table.flexible else { continue };
        for side in [Side::Request, Side::Response] {
            for version in flexible.min..=flexible.max {
                for seed in 0..CASES {
                    let mut dice = Dice::new(seed);
                    let walked = walk(table, side, version, Manner::Loose, &mut dice);
                    let place = format!("{} v{version} {side:?} seed {seed}", table.name);
                    let loose = Bytes::from(walked.bytes);
                    let read = codec.ours(side, &loose, version, version);
                    let read = read.unwrap_or_else(|error| panic!("{place}: {error}"));
                    assert_eq!(read.remaining, 0, "{place}");
                    let again = codec.ours(side, &read.bytes.freeze(), version, version).unwrap();
                    assert_eq!(again.shown, read.shown, "{place}");
                    if !UNKNOWN_THERE.contains(&(codec.api, version)) {
                        let theirs = codec.theirs(side, &loose, version).unwrap();
                        let mut found = Vec::new();
                        let (ours, theirs) =
                            (Shown::parse(&read.shown), Shown::parse(&theirs.shown));
                        ours.differences(&theirs, "", &mut found);
                        let api = format!("{} {side:?}", table.name);
                        found.retain(|one| !ALLOWED.contains(&format!("{api} {one}").as_str()));
                        assert!(found.is_empty(), "{place}: {found:?}");
                    }
                }
            }
        }
    }
}

/// The bytes of what no crate of the registry knows yet (Kafka 4.4, KIP-1242).
#[test]
fn api_versions_5_names_the_cluster_and_the_node() {
    let bytes = b"\x05java\x064.4.0\x02c\x00\x00\x00\x07\x00";
    let request = api_versions::Request {
        client_software_name: "java".to_owned(),
        client_software_version: "4.4.0".to_owned(),
        cluster_id: Some("c".to_owned()),
        node_id: 7,
    };
    let bytes = Bytes::from_static(bytes);
    let version = Version::new(5);
    assert_eq!(api_versions::Request::decode(&mut Reader::new(&bytes), version), Ok(request));
}
