#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| countersign_sim::fuzz::run("glass_grant", data));
