//! `cloudnestle_fuzz::folder`, under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cloudnestle_fuzz::folder(bytes));
