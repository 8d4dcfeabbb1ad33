//! Which APIs there are and in which versions. Apart because negotiation, headers and messages all ask it.

use crate::wire::{Form, Version};

pub use crate::generated::api_key::ApiKey;

/// What the tables say of one API.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) min: i16,
    pub(crate) max: i16,
    /// The first version of the compact form with tags.
    pub(crate) flexible: Option<i16>,
}

/// Versions from and to, both in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    /// The lowest.
    pub min: Version,
    /// The highest.
    pub max: Version,
}

impl Versions {
    /// Whether a version is one of them.
    #[must_use]
    pub fn contains(self, version: Version) -> bool {
        (self.min..=self.max).contains(&version)
    }
}

impl ApiKey {
    /// The number on the wire.
    #[inline]
    #[must_use]
    pub const fn to_wire(self) -> i16 {
        self as i16
    }

    /// Kafka's name, such as `OffsetFetch`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The versions that this crate reads and writes.
    #[must_use]
    pub const fn versions(self) -> Versions {
        let row = self.row();
        Versions { min: Version::new(row.min), max: Version::new(row.max) }
    }

    /// The versions that an answer to `ApiVersions` names. Produce is named from 0, although versions below
    /// 3 are refused: librdkafka before 2.11.1 takes a higher number for a broker without compression
    /// (KAFKA-18659).
    #[must_use]
    pub const fn advertised(self) -> Versions {
        let versions = self.versions();
        match self {
            Self::Produce => Versions { min: Version::new(0), max: versions.max },
            _ => versions,
        }
    }

    /// How a version of this API writes lengths, and whether it has tags.
    #[must_use]
    pub const fn form(self, version: Version) -> Form {
        match self.row().flexible {
            Some(flexible) if version.get() >= flexible => Form::Compact,
            _ => Form::Classic,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_and_rise() {
        for pair in ApiKey::ALL.windows(2) {
            assert!(pair[0].to_wire() < pair[1].to_wire(), "{:?}", pair[0]);
        }
        for api in ApiKey::ALL {
            assert_eq!(ApiKey::from_wire(api.to_wire()), Some(*api));
            assert!(api.versions().min <= api.versions().max, "{api:?}");
        }
        assert_eq!(ApiKey::from_wire(7), None, "ControlledShutdown is gone");
    }

    #[test]
    fn produce_alone_is_advertised_wider_than_it_is_served() {
        for api in ApiKey::ALL {
            let wider = api.advertised() != api.versions();
            assert_eq!(wider, *api == ApiKey::Produce, "{api:?}");
        }
        assert_eq!(ApiKey::Produce.advertised().min, Version::new(0));
    }

    #[test]
    fn forms_change_at_the_first_flexible_version() {
        let form = |api: ApiKey, version| api.form(Version::new(version));
        assert_eq!(form(ApiKey::Produce, 8), Form::Classic);
        assert_eq!(form(ApiKey::Produce, 9), Form::Compact);
        assert_eq!(form(ApiKey::OffsetDelete, 0), Form::Classic);
        assert_eq!(form(ApiKey::DescribeCluster, 0), Form::Compact);
    }
}
