//! A byte stream of the native wire as both ends read it: cut into frames, each verified and turned into a value. What was
//! read is written again and must read back the same.
#![no_main]
#![allow(missing_docs, reason = "a program for the fuzzer")]

use bytes::{Bytes, BytesMut};
use kolk_model::batch::batches;
use kolk_native::encoder::Encoder;
use kolk_native::frame::{Frame, FrameDecoder, FrameLimits};
use kolk_native::reply::{self, FetchReply, Reply};
use kolk_native::request::{self, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|stream: &[u8]| {
    for limits in [FrameLimits::HELLO, FrameLimits::REQUEST, FrameLimits::REPLY] {
        let decoder = FrameDecoder::new(limits);
        let mut buffer = BytesMut::from(stream);
        while let Ok(Some(frame)) = decoder.decode(&mut buffer) {
            as_request(&frame);
            as_reply(&frame);
        }
        // What is announced and has not come may not cost much.
        decoder.reserve(&mut buffer);
        assert!(buffer.capacity() <= 2 * stream.len() + (2 << 20), "{} bytes", buffer.capacity());
    }
});

fn as_request(frame: &Frame) {
    let Ok(read) = request::decode(frame) else { return };
    if let Request::Produce(produce) = &read.request
        && produce.partitions.iter().any(|one| batches(&one.batches).any(|batch| batch.is_err()))
    {
        // The frame is right and what it carries is no batch: the log refuses that, and no client of ours writes it.
        return;
    }
    let mut front = BytesMut::new();
    let payload = Encoder::new().request(read.correlation, &read.request, &mut front);
    let again = request::decode(&whole(front, &payload.expect("it came in a frame")));
    let again = again.expect("what was read can be read again");
    assert_eq!((again.correlation, &again.request), (read.correlation, &read.request));
}

fn as_reply(frame: &Frame) {
    let Ok(read) = reply::decode(frame) else { return };
    let mut front = BytesMut::new();
    let shown = format!("{:?}", read.reply);
    let Ok(payload) = Encoder::new().reply(read.correlation, read.reply, &mut front) else {
        return;
    };
    let again = reply::decode(&whole(front, &payload)).expect("what was read can be read again");
    // Compared as text: a statistic may be a NaN, which equals nothing.
    assert_eq!(format!("{:?}", joined(again.reply)), shown);
}

fn whole(mut front: BytesMut, payload: &[Bytes]) -> Frame {
    payload.iter().for_each(|slice| front.extend_from_slice(slice));
    let decoder = FrameDecoder::new(FrameLimits::REPLY);
    decoder.decode(&mut front).expect("it is a frame").expect("all of it is there")
}

/// A partition's slices as one, as a client sees them.
fn joined(reply: Reply) -> Reply {
    let Reply::Fetch(FetchReply { mut partitions }) = reply else { return reply };
    for slices in partitions.iter_mut().filter_map(|one| one.batches.as_mut().ok()) {
        let whole = slices.concat();
        *slices = if whole.is_empty() { Vec::new() } else { vec![Bytes::from(whole)] };
    }
    Reply::Fetch(FetchReply { partitions })
}
