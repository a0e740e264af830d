//! Every seed, on any toolchain: a plain test of what was worth a look once.

use std::fs;
use std::path::Path;

use cloudnestle_fuzz::TARGETS;

/// Seeds are to be read, and carried along by every clone.
const MOST_BYTES: u64 = 100 * 1000;

#[test]
fn what_was_worth_a_look_once_keeps_every_promise() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let mut bytes = 0;
    for (name, target) in TARGETS {
        let mut told = 0;
        for entry in fs::read_dir(seeds.join(name)).expect("each target has seeds") {
            let file = entry.expect("a file").path();
            println!("{}", file.display());
            let seed = fs::read(&file).expect("a file");
            bytes += seed.len() as u64;
            target(&seed);
            told += 1;
        }
        assert!(told > 0, "{name} has no seed");
    }
    assert!(bytes <= MOST_BYTES, "{bytes} bytes of seeds");
}
