#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| menagerie_fuzz::laws::any_log(bytes));
