//! Every message against an independent crate and against hostile bytes. Apart from the tests of single rules because
//! each asks one thing of all of them: that both crates read and write the same, and that nothing panics or grows.

mod fuzz;
mod hot;
mod oracle;

mod codecs;
mod dice;
mod memory;
mod shown;
mod walk;

#[allow(dead_code, reason = "the generator reads more of a table than the tests do")]
#[path = "../../tools/xtask/schema/kafka/table.rs"]
mod table;
