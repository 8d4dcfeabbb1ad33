//! What stands before a message. Apart because it decides, from eight bytes, whether the rest can be understood.

use crate::api::ApiKey;
use crate::wire::{DecodeError, Form, Reader, Text, Version, Writer};

/// Ties an answer to its request; the client chooses it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CorrelationId(i32);

impl CorrelationId {
    /// The id of that number.
    #[inline]
    #[must_use]
    pub const fn new(number: i32) -> Self {
        Self(number)
    }

    /// Its number.
    #[inline]
    #[must_use]
    pub const fn get(self) -> i32 {
        self.0
    }
}

/// What an answer must repeat of its request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResponseTo {
    /// The request's id.
    pub correlation_id: CorrelationId,
    /// The request's version, in which the answer is written.
    pub version: Version,
}

/// The header of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestHeader {
    /// What is asked.
    pub api: ApiKey,
    /// In which version.
    pub version: Version,
    /// Comes back in the answer.
    pub correlation_id: CorrelationId,
    /// What the client calls itself; shares the frame's memory.
    pub client_id: Option<Text>,
}

/// Why a request can't be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The bytes are no header. The connection must be closed.
    #[error("no request header: {0}")]
    Malformed(#[from] DecodeError),
    /// Nobody here knows the API. The connection must be closed, as Kafka does.
    #[error("API {key} (version {version}) is not known")]
    UnknownApi {
        /// Its number.
        key: i16,
        /// The version asked for.
        version: Version,
        /// The request's id.
        correlation_id: CorrelationId,
    },
    /// The API is known, the version is not. For [`ApiKey::ApiVersions`] the client expects an answer in version 0
    /// with UNSUPPORTED_VERSION and the range of that API alone (KIP-511); for others the connection must be closed.
    #[error("{} does not go in version {version}", .api.name())]
    UnsupportedVersion {
        /// The API.
        api: ApiKey,
        /// The version asked for.
        version: Version,
        /// The request's id.
        correlation_id: CorrelationId,
    },
}

impl RequestHeader {
    /// Reads a header; the message follows.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, HeaderError> {
        reader.set_form(Form::Classic);
        let key = reader.i16()?;
        let version = Version::new(reader.i16()?);
        let correlation_id = CorrelationId::new(reader.i32()?);
        let Some(api) = ApiKey::from_wire(key) else {
            return Err(HeaderError::UnknownApi { key, version, correlation_id });
        };
        if !api.versions().contains(version) {
            return Err(HeaderError::UnsupportedVersion { api, version, correlation_id });
        }
        // Of the classic form in flexible versions too (KIP-482).
        let client_id = reader.nullable_text()?;
        reader.set_form(api.form(version));
        reader.skip_tags()?;
        Ok(Self { api, version, correlation_id, client_id })
    }

    /// What the answer must repeat.
    #[must_use]
    pub const fn response_to(&self) -> ResponseTo {
        ResponseTo { correlation_id: self.correlation_id, version: self.version }
    }

    /// Appends the header.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.set_form(Form::Classic);
        writer.i16(self.api.to_wire());
        writer.i16(self.version.get());
        writer.i32(self.correlation_id.get());
        writer.nullable_string(self.client_id.as_ref().map(Text::as_str));
        writer.set_form(self.api.form(self.version));
        writer.no_tags();
    }
}

/// The form of an answer's header: ApiVersions never has tags there, as a client that does not know yet what the
/// broker speaks must be able to read it (KIP-511).
fn response_header_form(api: ApiKey, version: Version) -> Form {
    if api == ApiKey::ApiVersions { Form::Classic } else { api.form(version) }
}

/// Appends the header of an answer.
pub(super) fn encode_response_header(writer: &mut Writer<'_>, api: ApiKey, to: ResponseTo) {
    writer.i32(to.correlation_id.get());
    writer.set_form(response_header_form(api, to.version));
    writer.no_tags();
}

/// Reads the header of an answer; the message follows. The reader of a client knows by the id what was asked.
///
/// # Errors
/// The bytes are no header.
pub fn decode_response_header(
    reader: &mut Reader<'_>,
    api: ApiKey,
    version: Version,
) -> Result<CorrelationId, DecodeError> {
    let correlation_id = CorrelationId::new(reader.i32()?);
    reader.set_form(response_header_form(api, version));
    reader.skip_tags()?;
    Ok(correlation_id)
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::*;

    fn check(bytes: &'static [u8], expected: Result<RequestHeader, HeaderError>) {
        let frame = Bytes::from_static(bytes);
        assert_eq!(RequestHeader::decode(&mut Reader::new(&frame)), expected, "{bytes:?}");
    }

    fn header(api: ApiKey, version: i16, client_id: Option<&str>) -> RequestHeader {
        let (version, correlation_id) = (Version::new(version), CorrelationId::new(5));
        RequestHeader { api, version, correlation_id, client_id: client_id.map(Text::from) }
    }

    #[test]
    fn classic_and_flexible_headers_are_read() {
        let classic = header(ApiKey::Heartbeat, 3, Some("ab"));
        check(&[0, 12, 0, 3, 0, 0, 0, 5, 0, 2, b'a', b'b'], Ok(classic));
        let flexible = header(ApiKey::Heartbeat, 4, Some("a"));
        check(&[0, 12, 0, 4, 0, 0, 0, 5, 0, 1, b'a', 0], Ok(flexible));
        let nameless = header(ApiKey::Heartbeat, 4, None);
        check(&[0, 12, 0, 4, 0, 0, 0, 5, 255, 255, 1, 9, 2, 7, 7], Ok(nameless));
    }

    #[test]
    fn headers_read_back() {
        for api in ApiKey::ALL {
            let versions = api.versions();
            for number in versions.min.get()..=versions.max.get() {
                let written = header(*api, number, Some("client"));
                let mut out = BytesMut::new();
                written.encode(&mut Writer::new(&mut out));
                let frame = out.freeze();
                let mut reader = Reader::new(&frame);
                assert_eq!(RequestHeader::decode(&mut reader), Ok(written));
                assert_eq!(reader.remaining(), 0);
            }
        }
    }

    #[test]
    fn what_cannot_be_understood_is_told_apart() {
        let correlation_id = CorrelationId::new(5);
        let version = Version::new(99);
        let unknown = HeaderError::UnknownApi { key: 4, version, correlation_id };
        check(&[0, 4, 0, 99, 0, 0, 0, 5], Err(unknown));
        let api = ApiKey::ApiVersions;
        let unsupported = HeaderError::UnsupportedVersion { api, version, correlation_id };
        check(&[0, 18, 0, 99, 0, 0, 0, 5], Err(unsupported));
        let api = ApiKey::Produce;
        let version = Version::new(2);
        let unsupported = HeaderError::UnsupportedVersion { api, version, correlation_id };
        check(&[0, 0, 0, 2, 0, 0, 0, 5], Err(unsupported));
        let cut = DecodeError::Truncated { position: 4, needed: 4, remaining: 3 };
        check(&[0, 18, 0, 3, 0, 0, 0], Err(HeaderError::Malformed(cut)));
        let long = DecodeError::Truncated { position: 10, needed: 3, remaining: 1 };
        check(&[0, 18, 0, 3, 0, 0, 0, 5, 0, 3, b'a'], Err(HeaderError::Malformed(long)));
        let negative = DecodeError::NegativeLength { position: 8, length: -2 };
        check(&[0, 18, 0, 3, 0, 0, 0, 5, 255, 254], Err(HeaderError::Malformed(negative)));
        let text = DecodeError::NotUtf8 { position: 10 };
        check(&[0, 18, 0, 3, 0, 0, 0, 5, 0, 1, 0xff], Err(HeaderError::Malformed(text)));
    }
}
