//! Generated from `schemas/kafka/api_versions.txt` by `cargo xtask fix`; not edited.
//!
//! Says which APIs and versions a broker speaks, and its features. Versions 0 to 5.

use crate::api::ApiKey;
use crate::message::Message;
use crate::wire::{DecodeError, Reader, Tag, Version, Writer};

/// Says which APIs and versions a broker speaks, and its features.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    /// Since version 3.
    pub client_software_name: String,
    /// Since version 3.
    pub client_software_version: String,
    /// Since version 5.
    pub cluster_id: Option<String>,
    /// Since version 5. Default -1.
    pub node_id: i32,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            client_software_name: String::new(),
            client_software_version: String::new(),
            cluster_id: None,
            node_id: -1,
        }
    }
}

impl Message for Request {
    const API: ApiKey = ApiKey::ApiVersions;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let client_software_name = if version >= 3 { reader.string()? } else { String::new() };
        let client_software_version = if version >= 3 { reader.string()? } else { String::new() };
        let cluster_id = if version >= 5 { reader.nullable_string()? } else { None };
        let node_id = if version >= 5 { reader.i32()? } else { -1 };
        reader.skip_tags()?;
        Ok(Self { client_software_name, client_software_version, cluster_id, node_id })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        if version >= 3 {
            writer.string(&self.client_software_name);
        }
        if version >= 3 {
            writer.string(&self.client_software_version);
        }
        if version >= 5 {
            writer.nullable_string(self.cluster_id.as_deref());
        }
        if version >= 5 {
            writer.i32(self.node_id);
        }
        writer.no_tags();
    }
}

/// The answer to [`Request`] of `ApiVersions`.
#[derive(Clone, PartialEq, Debug)]
pub struct Response {
    /// Always.
    pub error_code: i16,
    /// Always.
    pub api_keys: Vec<ApiVersion>,
    /// Since version 1.
    pub throttle_time_ms: i32,
    /// Since version 3. A tag.
    pub supported_features: Vec<SupportedFeature>,
    /// Since version 3. Default -1. A tag.
    pub finalized_features_epoch: i64,
    /// Since version 3. A tag.
    pub finalized_features: Vec<FinalizedFeature>,
    /// Since version 3. A tag.
    pub zk_migration_ready: bool,
}

impl Default for Response {
    fn default() -> Self {
        Self {
            error_code: 0,
            api_keys: Vec::new(),
            throttle_time_ms: 0,
            supported_features: Vec::new(),
            finalized_features_epoch: -1,
            finalized_features: Vec::new(),
            zk_migration_ready: false,
        }
    }
}

impl Message for Response {
    const API: ApiKey = ApiKey::ApiVersions;

    fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Self, DecodeError> {
        reader.set_form(Self::API.form(version));
        let error_code = reader.i16()?;
        let api_keys = reader.array(6, |reader| ApiVersion::decode(reader, version))?;
        let throttle_time_ms = if version >= 1 { reader.i32()? } else { 0 };
        let mut supported_features: Vec<SupportedFeature> = Vec::new();
        let mut finalized_features_epoch: i64 = -1;
        let mut finalized_features: Vec<FinalizedFeature> = Vec::new();
        let mut zk_migration_ready: bool = false;
        reader.tags(|reader, tag| {
            match tag {
                0 if version >= 3 => supported_features = reader.array(6, |reader| SupportedFeature::decode(reader, version))?,
                1 if version >= 3 => finalized_features_epoch = reader.i64()?,
                2 if version >= 3 => finalized_features = reader.array(6, |reader| FinalizedFeature::decode(reader, version))?,
                3 if version >= 3 => zk_migration_ready = reader.bool()?,
                _ => return Ok(Tag::Unknown),
            }
            Ok(Tag::Known)
        })?;
        Ok(Self { error_code, api_keys, throttle_time_ms, supported_features, finalized_features_epoch, finalized_features, zk_migration_ready })
    }

    fn encode(&self, writer: &mut Writer<'_>, version: Version) {
        writer.set_form(Self::API.form(version));
        writer.i16(self.error_code);
        writer.array(&self.api_keys, |writer, one| one.encode(writer, version));
        if version >= 1 {
            writer.i32(self.throttle_time_ms);
        }
        if writer.has_tags() {
            let has_supported_features = version >= 3 && !self.supported_features.is_empty();
            let has_finalized_features_epoch = version >= 3 && self.finalized_features_epoch != -1;
            let has_finalized_features = version >= 3 && !self.finalized_features.is_empty();
            let has_zk_migration_ready = version >= 3 && self.zk_migration_ready;
            writer.varint(u32::from(has_supported_features) + u32::from(has_finalized_features_epoch) + u32::from(has_finalized_features) + u32::from(has_zk_migration_ready));
            if has_supported_features {
                writer.tag(0, |writer| writer.array(&self.supported_features, |writer, one| one.encode(writer, version)));
            }
            if has_finalized_features_epoch {
                writer.tag(1, |writer| writer.i64(self.finalized_features_epoch));
            }
            if has_finalized_features {
                writer.tag(2, |writer| writer.array(&self.finalized_features, |writer, one| one.encode(writer, version)));
            }
            if has_zk_migration_ready {
                writer.tag(3, |writer| writer.bool(self.zk_migration_ready));
            }
        }
    }
}

/// An element of `api_keys`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct ApiVersion {
    /// Always.
    pub api_key: i16,
    /// Always.
    pub min_version: i16,
    /// Always.
    pub max_version: i16,
}

impl ApiVersion {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let api_key = reader.i16()?;
        let min_version = reader.i16()?;
        let max_version = reader.i16()?;
        reader.skip_tags()?;
        Ok(Self { api_key, min_version, max_version })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.i16(self.api_key);
        writer.i16(self.min_version);
        writer.i16(self.max_version);
        writer.no_tags();
    }
}

/// An element of `supported_features`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct SupportedFeature {
    /// Always.
    pub name: String,
    /// Always.
    pub min_version: i16,
    /// Always.
    pub max_version: i16,
}

impl SupportedFeature {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let min_version = reader.i16()?;
        let max_version = reader.i16()?;
        reader.skip_tags()?;
        Ok(Self { name, min_version, max_version })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.name);
        writer.i16(self.min_version);
        writer.i16(self.max_version);
        writer.no_tags();
    }
}

/// An element of `finalized_features`.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct FinalizedFeature {
    /// Always.
    pub name: String,
    /// Always.
    pub max_version_level: i16,
    /// Always.
    pub min_version_level: i16,
}

impl FinalizedFeature {
    fn decode(reader: &mut Reader<'_>, _version: Version) -> Result<Self, DecodeError> {
        let name = reader.string()?;
        let max_version_level = reader.i16()?;
        let min_version_level = reader.i16()?;
        reader.skip_tags()?;
        Ok(Self { name, max_version_level, min_version_level })
    }

    fn encode(&self, writer: &mut Writer<'_>, _version: Version) {
        writer.string(&self.name);
        writer.i16(self.max_version_level);
        writer.i16(self.min_version_level);
        writer.no_tags();
    }
}
