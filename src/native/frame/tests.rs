//! Frames cut from hostile and honest streams.

use super::*;

/// A whole frame around any header bytes.
fn framed(header: &[u8], payload: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    write_front(header, payload.len(), FRAME_BYTES_MAX, &mut out).unwrap();
    out.extend_from_slice(payload);
    out
}

#[test]
fn header_and_payload_come_back_and_the_payload_is_aligned() {
    for header_bytes in 12..40 {
        let header = vec![0xaa; header_bytes];
        let mut wire = framed(&header, b"payload");
        wire.extend_from_slice(b"next");
        let front = wire.len() - b"payloadnext".len();
        assert_eq!(front % 8, 0);
        let frame = FrameDecoder::new(FrameLimits::REPLY).decode(&mut wire).unwrap().unwrap();
        assert_eq!(frame.header(), header);
        assert_eq!(frame.payload(), b"payload"[..]);
        assert_eq!(frame.len(), front + 7);
        assert_eq!(wire, b"next"[..]);
    }
}

#[test]
fn a_frame_is_not_cut_before_its_last_byte_is_there() {
    let whole = framed(&[1; 20], b"0123456789");
    for cut in 0..whole.len() {
        let mut wire = BytesMut::from(&whole[..cut]);
        assert!(
            FrameDecoder::new(FrameLimits::REPLY).decode(&mut wire).unwrap().is_none(),
            "at {cut}"
        );
        assert_eq!(wire.len(), cut, "nothing was taken");
        let known = FrameDecoder::new(FrameLimits::REPLY).frame_bytes(&wire).unwrap();
        assert_eq!(known, (cut >= 8).then_some(whole.len()));
    }
}

#[test]
fn the_payload_shares_the_buffers_memory() {
    let mut wire = framed(&[1; 16], &[7; 1000]);
    let address = wire.as_ptr() as usize;
    let frame = FrameDecoder::new(FrameLimits::REPLY).decode(&mut wire).unwrap().unwrap();
    assert_eq!(frame.payload().as_ptr() as usize, address + 24);
}

fn prefix(length: u32, header: u32) -> BytesMut {
    let mut wire = BytesMut::new();
    wire.extend_from_slice(&length.to_le_bytes());
    wire.extend_from_slice(&header.to_le_bytes());
    wire
}

#[test]
fn impossible_lengths_are_refused_from_the_first_eight_bytes() {
    let decoder = FrameDecoder::new(FrameLimits { bytes_max: 1000, header_bytes_max: 500 });
    let header = |header, length| FrameError::HeaderLength { header, length };
    let cases = [
        (prefix(0, 12), FrameError::TooShort { length: 0 }),
        (prefix(15, 12), FrameError::TooShort { length: 15 }),
        (prefix(1001, 12), FrameError::TooLarge { length: 1001, bytes_max: 1000 }),
        (prefix(u32::MAX, 12), FrameError::TooLarge { length: 0xffff_ffff, bytes_max: 1000 }),
        (prefix(100, 0), header(0, 100)),
        (prefix(100, 11), header(11, 100)),
        (prefix(100, 97), header(97, 100)),
        (prefix(1000, 501), header(501, 1000)),
        (prefix(100, u32::MAX), header(0xffff_ffff, 100)),
        // A header that would end the frame without its padding.
        (prefix(17, 13), header(13, 17)),
    ];
    for (mut wire, expected) in cases {
        assert_eq!(decoder.decode(&mut wire).unwrap_err(), expected);
        assert_eq!(wire.len(), 8, "nothing was taken");
    }
    // The length alone is enough to refuse.
    let mut wire = BytesMut::from(&1001_u32.to_le_bytes()[..]);
    assert!(decoder.decode(&mut wire).is_err());
}

#[test]
fn padding_that_is_not_zero_is_refused() {
    let mut wire = framed(&[1; 13], b"x");
    wire[8 + 13 + 2] = 1;
    let refused = FrameDecoder::new(FrameLimits::REPLY).decode(&mut wire).unwrap_err();
    assert_eq!(refused, FrameError::Padding { header: 13 });
}

#[test]
fn plaintext_of_other_protocols_is_refused() {
    for greeting in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x16\x03\x01\x00\xc4\x01\x00\x00\xc0\x03\x03",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        // Kafka's ApiVersions: a big-endian length.
        b"\0\0\0\x1c\0\x12\0\x03\0\0\0\x01",
    ] {
        let mut wire = BytesMut::from(greeting);
        assert!(FrameDecoder::new(FrameLimits::HELLO).decode(&mut wire).is_err(), "{greeting:?}");
    }
}

#[test]
fn a_frame_beyond_the_cap_is_not_written() {
    let mut out = BytesMut::from(&b"before"[..]);
    let refused = write_front(&[0; 16], 100, 100, &mut out).unwrap_err();
    assert_eq!(refused, FrameError::TooLarge { length: 120, bytes_max: 100 });
    assert_eq!(out, b"before"[..]);
}

#[test]
fn an_announced_length_alone_reserves_little() {
    let decoder = FrameDecoder::new(FrameLimits::REPLY);
    let mut wire = prefix(90 << 20, 16);
    decoder.reserve(&mut wire);
    assert!(wire.capacity() <= 2 * EAGER_BYTES, "{}", wire.capacity());
    // A frame that fits is given room at once, so that it arrives in one piece.
    let mut wire = prefix(500_000, 16);
    decoder.reserve(&mut wire);
    assert!(wire.capacity() >= 500_004);
    // What has arrived may be doubled.
    let mut wire = prefix(90 << 20, 16);
    wire.resize(8 << 20, 0);
    decoder.reserve(&mut wire);
    assert!(wire.capacity() >= 16 << 20);
}

#[test]
fn an_empty_buffer_gets_room_for_small_frames() {
    let mut wire = BytesMut::new();
    FrameDecoder::new(FrameLimits::REPLY).reserve(&mut wire);
    assert!(wire.capacity() >= 16 * 1024);
    let before = wire.capacity();
    wire.resize(1000, 0);
    wire[..4].copy_from_slice(&2000_u32.to_le_bytes());
    wire[4..8].copy_from_slice(&16_u32.to_le_bytes());
    FrameDecoder::new(FrameLimits::REPLY).reserve(&mut wire);
    assert_eq!(wire.capacity(), before, "there was room enough");
}
