//! Turns header bytes into a verified flatbuffer. Apart because the verifier's limits decide what a
//! hostile header can cost.

use flatbuffers::{Follow, ForwardsUOffset, InvalidFlatbuffer, Verifiable, VerifierOptions};

/// Tables within tables: root, call, list element, setting.
const DEPTH_MAX: usize = 6;

/// Bytes of header that a table takes at least: its own offset and the offset that leads to it.
const TABLE_BYTES_MIN: usize = 8;

/// How often the verifier may look at a header's bytes. Tables may share a vtable, which is looked at for
/// each of them, so once is not enough; headers that this crate writes take 3 at most.
const LOOKS_MAX: usize = 8;

/// Verifies a header in time linear in its length, however its offsets overlap.
pub(crate) fn verified<'a, T>(header: &'a [u8]) -> Result<T::Inner, &'static str>
where
    T: Follow<'a> + Verifiable + 'a,
    ForwardsUOffset<T>: Follow<'a, Inner = T::Inner>,
{
    let options = VerifierOptions {
        max_depth: DEPTH_MAX,
        max_tables: header.len() / TABLE_BYTES_MIN + 1,
        max_apparent_size: header.len().saturating_mul(LOOKS_MAX).saturating_add(256),
        ignore_missing_null_terminator: false,
    };
    flatbuffers::root_with_opts::<T>(&options, header).map_err(|fault| name(&fault))
}

fn name(fault: &InvalidFlatbuffer) -> &'static str {
    match fault {
        InvalidFlatbuffer::MissingRequiredField { .. } => "a required field is missing",
        InvalidFlatbuffer::InconsistentUnion { .. } => "a union lacks its kind or its value",
        InvalidFlatbuffer::Utf8Error { .. } => "a text is not UTF-8",
        InvalidFlatbuffer::MissingNullTerminator { .. } => "a text has no end",
        InvalidFlatbuffer::Unaligned { .. } => "a field is not aligned",
        InvalidFlatbuffer::RangeOutOfBounds { .. } => "a field lies outside the header",
        InvalidFlatbuffer::SignedOffsetOutOfBounds { .. } => "a table lies outside the header",
        InvalidFlatbuffer::TooManyTables => "it has more tables than it has room for",
        InvalidFlatbuffer::ApparentSizeTooLarge => "its fields overlap",
        InvalidFlatbuffer::DepthLimitReached => "its tables are nested too deeply",
    }
}
