//! See `webhook_signatures_fuzz::places`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webhook_signatures_fuzz::places(data));
