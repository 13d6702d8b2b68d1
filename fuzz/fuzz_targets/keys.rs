//! See `webhook_signatures_fuzz::keys`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webhook_signatures_fuzz::keys(data));
