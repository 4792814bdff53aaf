//! A master file goes in, and is what each `$INCLUDE` finds too: a zone within its limits, or reasons, come out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{LoadedFile, ZoneFile, ZoneFileLimits};

fuzz_target!(|text: &str| {
    let limits = ZoneFileLimits { records: 1000, bytes: 65_536 };
    let load = |_: &str, name: &str| Ok(LoadedFile { name: name.to_owned(), text: text.to_owned() });
    match ZoneFile::read(Some("z.test"), ("zone", text), limits, &load) {
        Ok(file) => {
            assert!(file.zone.records.len() <= limits.records);
            if let Err(reasons) = file.check() {
                assert!(!reasons.to_string().is_empty());
            }
        }
        Err(reasons) => assert!(!reasons.to_string().is_empty()),
    }
});
