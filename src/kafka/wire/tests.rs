//! The exact bytes of every kind of value, and the exact error of every way to get them wrong.

use bytes::{Bytes, BytesMut};

use super::{
    DecodeError, ELEMENTS_MAX, Form, Reader, STRING_BYTES_MAX, TAGS_MAX, Tag, Text, Writer,
};

fn written(form: Form, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = BytesMut::new();
    let mut writer = Writer::new(&mut out);
    writer.set_form(form);
    write(&mut writer);
    out.to_vec()
}

/// Reads one value and checks that nothing is left of it.
fn read<T>(
    form: Form,
    bytes: &[u8],
    one: impl FnOnce(&mut Reader<'static>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    // Leaked, so that a method of the reader can be passed by its name.
    let frame = Box::leak(Box::new(Bytes::copy_from_slice(bytes)));
    let mut reader = Reader::new(frame);
    reader.set_form(form);
    let value = one(&mut reader)?;
    assert_eq!(reader.remaining(), 0, "{bytes:?}");
    Ok(value)
}

#[test]
fn numbers_are_big_endian() {
    let bytes = written(Form::Compact, |writer| {
        writer.bool(true);
        writer.i8(-2);
        writer.i16(0x0102);
        writer.i32(-3);
        writer.i64(4);
        writer.uuid(&[7; 16]);
    });
    let expected =
        [&[1, 0xfe, 1, 2][..], &[0xff, 0xff, 0xff, 0xfd], &[0, 0, 0, 0, 0, 0, 0, 4], &[7; 16]];
    assert_eq!(bytes, expected.concat());
    let found = read(Form::Classic, &bytes, |reader| {
        Ok((
            reader.bool()?,
            reader.i8()?,
            reader.i16()?,
            reader.i32()?,
            reader.i64()?,
            reader.uuid()?,
        ))
    });
    assert_eq!(found, Ok((true, -2, 0x0102, -3, 4, [7; 16])));
    assert_eq!(read(Form::Classic, &[9], Reader::bool), Ok(true), "as Kafka reads it");
}

#[test]
fn varints_take_seven_bits_a_byte() {
    let cases: [(u32, &[u8]); 7] = [
        (0, &[0]),
        (127, &[0x7f]),
        (128, &[0x80, 1]),
        (16_383, &[0xff, 0x7f]),
        (16_384, &[0x80, 0x80, 1]),
        (1 << 28, &[0x80, 0x80, 0x80, 0x80, 1]),
        (u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
    ];
    for (value, bytes) in cases {
        assert_eq!(written(Form::Classic, |writer| writer.varint(value)), bytes);
        assert_eq!(read(Form::Classic, bytes, Reader::varint), Ok(value));
    }
    // More bytes than needed are no error: some encoders reserve a fixed number.
    assert_eq!(read(Form::Classic, &[0x81, 0x80, 0], Reader::varint), Ok(1));
    let too_long = Err(DecodeError::VarintTooLong { position: 0 });
    assert_eq!(read(Form::Classic, &[0xff, 0xff, 0xff, 0xff, 0x10], Reader::varint), too_long);
    assert_eq!(read(Form::Classic, &[0x80; 5], Reader::varint), too_long);
    let cut = DecodeError::Truncated { position: 1, needed: 1, remaining: 0 };
    assert_eq!(read(Form::Classic, &[0x80], Reader::varint), Err(cut));
}

#[test]
fn strings_and_bytes_have_a_length_of_their_form() {
    let cases = [
        (Form::Classic, Some("ab"), &[0, 2, b'a', b'b'][..], &[0, 0, 0, 2, b'a', b'b'][..]),
        (Form::Classic, Some(""), &[0, 0], &[0, 0, 0, 0]),
        (Form::Classic, None, &[0xff, 0xff], &[0xff, 0xff, 0xff, 0xff]),
        (Form::Compact, Some("ab"), &[3, b'a', b'b'], &[3, b'a', b'b']),
        (Form::Compact, Some(""), &[1], &[1]),
        (Form::Compact, None, &[0], &[0]),
    ];
    for (form, value, string, bytes) in cases {
        assert_eq!(written(form, |writer| writer.nullable_string(value)), string);
        assert_eq!(read(form, string, Reader::nullable_string), Ok(value.map(str::to_owned)));
        assert_eq!(read(form, string, Reader::nullable_text), Ok(value.map(Text::from)));
        let blob = value.map(str::as_bytes);
        assert_eq!(written(form, |writer| writer.nullable_bytes(blob)), bytes);
        let blob = blob.map(Bytes::copy_from_slice);
        assert_eq!(read(form, bytes, Reader::nullable_bytes), Ok(blob.clone()));
        let null = DecodeError::UnexpectedNull { position: 0 };
        assert_eq!(read(form, string, Reader::string), value.map(str::to_owned).ok_or(null));
        assert_eq!(read(form, string, Reader::text), value.map(Text::from).ok_or(null));
        assert_eq!(read(form, bytes, Reader::bytes), blob.ok_or(null));
    }
}

#[test]
fn what_is_wrong_with_a_string_is_told() {
    let check = |form, bytes: &[u8], expected: DecodeError| {
        assert_eq!(read(form, bytes, Reader::nullable_string), Err(expected), "{bytes:?}");
        assert_eq!(read(form, bytes, Reader::nullable_text), Err(expected), "{bytes:?}");
    };
    let truncated =
        |position, needed, remaining| DecodeError::Truncated { position, needed, remaining };
    check(Form::Classic, &[0], truncated(0, 2, 1));
    check(Form::Classic, &[0, 3, b'a'], truncated(2, 3, 1));
    check(Form::Classic, &[0xff, 0xfe], DecodeError::NegativeLength { position: 0, length: -2 });
    check(Form::Classic, &[0, 1, 0xff], DecodeError::NotUtf8 { position: 2 });
    check(Form::Compact, &[], truncated(0, 1, 0));
    check(Form::Compact, &[4, b'a'], truncated(1, 3, 1));
    check(Form::Compact, &[3, 0xc3, 0x28], DecodeError::NotUtf8 { position: 1 });
    // 32,768 plus one.
    let too_long = DecodeError::StringTooLong { position: 0, length: STRING_BYTES_MAX + 1 };
    check(Form::Compact, &[0x81, 0x80, 2], too_long);
    let bytes = |form, bytes: &[u8]| read(form, bytes, Reader::nullable_bytes);
    assert_eq!(bytes(Form::Classic, &[0, 0, 0, 5, 1]), Err(truncated(4, 5, 1)));
    let negative = DecodeError::NegativeLength { position: 0, length: i32::MIN };
    assert_eq!(bytes(Form::Classic, &[0x80, 0, 0, 0]), Err(negative));
    let huge = truncated(5, u32::MAX as usize - 1, 0);
    assert_eq!(bytes(Form::Compact, &[0xff, 0xff, 0xff, 0xff, 0x0f]), Err(huge));
}

#[test]
fn a_string_too_long_for_the_wire_is_cut_at_a_character() {
    // The two bytes of the last character would end one byte beyond.
    let text = "a".repeat(STRING_BYTES_MAX - 1) + "éé";
    for form in [Form::Classic, Form::Compact] {
        let bytes = written(form, |writer| writer.string(&text));
        let found = read(form, &bytes, Reader::string).unwrap();
        assert_eq!(found.len(), STRING_BYTES_MAX - 1);
    }
}

#[test]
fn arrays_know_null_from_empty() {
    let one = |writer: &mut Writer<'_>, value: &i16| writer.i16(*value);
    for (form, null, empty, two) in [
        (Form::Classic, &[0xff_u8; 4][..], &[0; 4][..], &[0, 0, 0, 2, 0, 5, 0, 6][..]),
        (Form::Compact, &[0], &[1], &[3, 0, 5, 0, 6]),
    ] {
        for (value, bytes) in [(None, null), (Some(vec![]), empty), (Some(vec![5, 6]), two)] {
            let out = written(form, |writer| writer.nullable_array(value.as_deref(), one));
            assert_eq!(out, bytes);
            let found = read(form, bytes, |reader| reader.nullable_array(2, Reader::i16));
            assert_eq!(found, Ok(value.clone()));
            let found = read(form, bytes, |reader| reader.array(2, Reader::i16));
            assert_eq!(found, value.ok_or(DecodeError::UnexpectedNull { position: 0 }));
        }
    }
}

#[test]
fn an_array_is_no_longer_than_what_is_left() {
    let check = |form, bytes: &[u8], expected: DecodeError| {
        let found = read(form, bytes, |reader| reader.nullable_array(2, Reader::i16));
        assert_eq!(found, Err(expected), "{bytes:?}");
    };
    let many =
        |position, count, count_max| DecodeError::TooManyElements { position, count, count_max };
    check(Form::Classic, &[0, 0, 0, 3, 0, 1, 0, 2, 0], many(0, 3, 2));
    check(Form::Classic, &[0x7f, 0xff, 0xff, 0xff], many(0, i32::MAX as usize, 0));
    check(Form::Compact, &[0x81, 0x80, 0x80, 0x80, 1, 0, 1], many(0, 1 << 28, 1));
    let negative = DecodeError::NegativeLength { position: 0, length: -2 };
    check(Form::Classic, &[0xff, 0xff, 0xff, 0xfe], negative);
}

#[test]
fn elements_are_counted_over_the_whole_message() {
    let mut bytes = Vec::new();
    for count in [ELEMENTS_MAX - 1, 1, 1] {
        bytes.extend(u32::try_from(count).unwrap().to_be_bytes());
        bytes.resize(bytes.len() + count, 0);
    }
    let frame = Bytes::from(bytes);
    let mut reader = Reader::new(&frame);
    assert_eq!(reader.array(1, Reader::i8).map(|found| found.len()), Ok(ELEMENTS_MAX - 1));
    assert_eq!(reader.array(1, Reader::i8).map(|found| found.len()), Ok(1));
    let position = ELEMENTS_MAX - 1 + 4 + 5;
    let spent = DecodeError::TooManyElements { position, count: 1, count_max: 0 };
    assert_eq!(reader.array(1, Reader::i8), Err(spent));
}

#[test]
fn a_part_may_be_null() {
    let write = |writer: &mut Writer<'_>, value: &i16| writer.i16(*value);
    for (value, bytes) in [(None, &[0xff_u8][..]), (Some(5), &[1, 0, 5])] {
        assert_eq!(written(Form::Compact, |writer| writer.nullable(value.as_ref(), write)), bytes);
        let found = read(Form::Compact, bytes, |reader| reader.nullable(Reader::i16));
        assert_eq!(found, Ok(value));
    }
}

/// Reads tag 3 as an `i16` and knows no other.
fn tag_3(bytes: &[u8]) -> Result<i16, DecodeError> {
    read(Form::Compact, bytes, |reader| {
        let mut value = -1;
        reader.tags(|reader, tag| {
            if tag != 3 {
                return Ok(Tag::Unknown);
            }
            value = reader.i16()?;
            Ok(Tag::Known)
        })?;
        Ok(value)
    })
}

#[test]
fn known_tags_are_read_and_others_skipped() {
    assert_eq!(tag_3(&[0]), Ok(-1));
    assert_eq!(tag_3(&[1, 3, 2, 0, 9]), Ok(9));
    assert_eq!(tag_3(&[3, 0, 1, 7, 3, 2, 0, 9, 0x80, 1, 0]), Ok(9));
    assert_eq!(read(Form::Classic, &[], Reader::skip_tags), Ok(()), "there are none");
    assert_eq!(read(Form::Compact, &[2, 1, 0, 2, 1, 5], Reader::skip_tags), Ok(()));
    assert_eq!(written(Form::Classic, |writer| writer.no_tags()), [0_u8; 0]);
    assert_eq!(written(Form::Compact, |writer| writer.no_tags()), [0]);
    for length in [1, 127, 128, 20_000] {
        let value = vec![6; length];
        let bytes = written(Form::Compact, |writer| {
            writer.varint(1);
            writer.tag(5, |writer| value.iter().for_each(|byte| writer.i8(*byte)));
        });
        let found = read(Form::Compact, &bytes, |reader| {
            let mut found = Vec::new();
            reader.tags(|reader, tag| {
                assert_eq!((tag, reader.remaining()), (5, length));
                while reader.remaining() > 0 {
                    found.push(reader.i8()?);
                }
                Ok(Tag::Known)
            })?;
            Ok(found)
        });
        assert_eq!(found, Ok(value));
    }
}

#[test]
fn a_tag_holds_exactly_its_value() {
    assert_eq!(tag_3(&[1, 3, 3, 0, 9, 0]), Err(DecodeError::TagExcess { position: 6, excess: 1 }));
    // The value may not reach into what follows its tag.
    let short = DecodeError::Truncated { position: 3, needed: 2, remaining: 1 };
    assert_eq!(tag_3(&[1, 3, 1, 0, 9]), Err(short));
    let cut = DecodeError::Truncated { position: 3, needed: 9, remaining: 1 };
    assert_eq!(tag_3(&[1, 3, 9, 0]), Err(cut));
}

#[test]
fn tags_are_counted_over_the_whole_message() {
    let one_tag = [1, 9, 0];
    let frame = Bytes::from(one_tag.repeat(TAGS_MAX + 1));
    let mut reader = Reader::new(&frame);
    reader.set_form(Form::Compact);
    for _ in 0..TAGS_MAX {
        assert_eq!(reader.skip_tags(), Ok(()));
    }
    let position = TAGS_MAX * one_tag.len();
    let spent = DecodeError::TooManyTags { position, count: 1, count_max: 0 };
    assert_eq!(reader.skip_tags(), Err(spent));
    let flood = DecodeError::TooManyTags { position: 0, count: TAGS_MAX + 1, count_max: TAGS_MAX };
    assert_eq!(tag_3(&[0x91, 0x4e]), Err(flood));
}

#[test]
fn an_empty_slice_keeps_no_frame_alive() {
    let frame = Bytes::from(vec![0; 64]);
    let mut reader = Reader::new(&frame);
    let (empty, text) = (reader.bytes().unwrap(), reader.text().unwrap());
    assert!(empty.is_empty() && text.is_empty());
    assert!(frame.is_unique(), "something shares the frame");
}
