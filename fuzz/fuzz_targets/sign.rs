//! See `webhook_signatures_fuzz::sign`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webhook_signatures_fuzz::sign(data));
