//! The default of every bound that more than one crate must agree on. Apart so that a limit is stated
//! once; each `*_MAX` says its unit and what happens beyond it.

/// Bytes of one frame after its length field, on either wire, in either direction. Beyond: the connection is closed.
pub const FRAME_BYTES_MAX: usize = 100 * 1024 * 1024;

/// Bytes of a native frame before hello was answered. Beyond: the connection is closed; so a client of
/// another protocol is found out by its first bytes.
pub const HELLO_FRAME_BYTES_MAX: usize = 4 * 1024;

/// Bytes of a native request's header, which is verified in one go. Beyond: the connection is closed.
pub const REQUEST_HEADER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes of a native reply's header. Beyond: the client closes the connection.
pub const REPLY_HEADER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of one record batch with its header (Kafka's `max.message.bytes`, the same default). Beyond:
/// `MessageTooLarge`.
pub const MESSAGE_BYTES_MAX: u32 = 1_048_588;

/// Bytes that the records of one compressed batch may inflate to. Beyond: `DecompressedTooLarge`.
pub const BATCH_DECOMPRESSED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes that several compressed batches may inflate to, for each of their own bytes, beyond what one may
/// ([`BATCH_DECOMPRESSED_BYTES_MAX`]). More than most records compress by. Beyond: an append is refused as
/// `DecompressedTooLarge`, the rest of a request as `Overloaded`.
pub const INFLATION_JUSTIFIED: usize = 16;

/// Bytes of a topic's name, as in Kafka. Beyond: `InvalidTopic`.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// Partitions of one topic. Beyond: `InvalidPartitions`.
pub const TOPIC_PARTITIONS_MAX: u32 = 100_000;

/// Settings given in one create or alter request. Beyond: `InvalidRequest`.
pub const TOPIC_SETTINGS_MAX: usize = 256;

/// Bytes of one setting's value. Beyond: `InvalidConfig`.
pub const TOPIC_SETTING_BYTES_MAX: usize = 4096;

/// Topics named in one request. Beyond: `InvalidRequest`.
pub const REQUEST_TOPICS_MAX: usize = 10_000;

/// Partitions named in one request. Beyond: `InvalidRequest`.
pub const REQUEST_PARTITIONS_MAX: usize = 100_000;

/// Record batches in one produce request, over all its partitions. Beyond: `InvalidRequest`.
pub const PRODUCE_BATCHES_MAX: usize = 65_536;

/// Milliseconds that a fetch may wait for records. A longer wait is shortened to this.
pub const FETCH_WAIT_MS_MAX: u32 = 60_000;

/// Payload bytes of one fetch reply. A larger wish is reduced to this; leaves room for the header in a frame.
pub const FETCH_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// Payload bytes of one partition in a fetch reply when the client names none (Kafka's
/// `max.partition.fetch.bytes`).
pub const FETCH_PARTITION_BYTES_DEFAULT: u32 = 1024 * 1024;

/// Bytes of a client's name for itself. Beyond: `InvalidRequest`.
pub const CLIENT_ID_BYTES_MAX: usize = 256;

/// Bytes of a group's or member's id, of an assignor's name, of the words stored with an offset: what Kafka's
/// records of groups can hold. Beyond: `InvalidRequest`.
pub const GROUP_TEXT_BYTES_MAX: usize = 32_767;

/// Requests of one connection that may wait for their replies. Beyond: the broker stops reading its socket.
pub const CONNECTION_REQUESTS_MAX: usize = 1024;

/// Batches a producer may have in flight to a partition while duplicates are still recognised (Kafka's window).
pub const PRODUCER_IN_FLIGHT_MAX: usize = 5;

const _: () = assert!((FETCH_BYTES_MAX as usize) < FRAME_BYTES_MAX);
const _: () = assert!((MESSAGE_BYTES_MAX as usize) < FETCH_BYTES_MAX as usize);
