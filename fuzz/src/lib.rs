//! What comes from outside and may be anything. Each function takes bytes that somebody made up, and panics where
//! a promise about them is broken; [`TARGETS`] names them. `cargo xtask fuzz` makes bytes up by what they
//! reach in the code, and the tests take those in `seeds`: one file for each thing that is worth a look.

mod range;

pub use cloudnestle_marketplace::fuzz::{answer, folder, frames, token, wire};
pub use range::range;

/// The name of one of them, and what it is.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 6] = [
    ("answer", answer),
    ("folder", folder),
    ("frames", frames),
    ("range", range),
    ("token", token),
    ("wire", wire),
];
