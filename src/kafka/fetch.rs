//! A fetch request as a view, and the head of its answer. Apart from the generated form because every consumed byte
//! passes beside it: the answer is written as fragments between which the log's own buffers go to the socket.

mod head;
mod request;

pub use head::{
    AbortedTransaction, Cut, EpochEndOffset, FetchFrame, FetchHead, FetchTop, FetchedPartition,
};
pub use request::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};
