//! The head of an HTTP request. However the bytes are cut, the verdict is that of the whole, and no byte beyond the head is
//! taken.
#![no_main]
#![allow(missing_docs, reason = "a program for the fuzzer")]

use kolk_http::request::{HEAD_BYTES_MAX, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    match &whole {
        Ok(Some((request, taken))) => {
            assert!(*taken <= bytes.len().min(HEAD_BYTES_MAX), "{taken} bytes were taken");
            assert!(request.path.starts_with('/'), "{:?}", request.path);
            assert_eq!(parse(&bytes[..*taken]), whole);
        }
        Ok(None) => assert!(bytes.len() < HEAD_BYTES_MAX, "{} bytes are no head", bytes.len()),
        Err(refusal) => assert!(refusal.status().0 >= 400, "{refusal}"),
    }
    let decided = (0..bytes.len()).map(|end| parse(&bytes[..end])).find(|part| *part != Ok(None));
    if let Some(decided) = decided {
        assert_eq!(decided, whole, "an earlier verdict is the last one");
    }
});
