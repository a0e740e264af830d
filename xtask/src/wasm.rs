//! A compiler for wasm32-unknown-unknown: the machine's own where it has the target, else one made of
//! Debian's packages, once, in a minute and a half.
//!
//! Debian has a Rust for browsers (`rustc-web`) and the sources of its standard library, and no compiled
//! one for this target. So the packages are unpacked into a folder of the user's cache, and the library is
//! built there. Nothing is installed, and nobody needs to be root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::shell::{self, cargo_command, output, step};

const TARGET: &str = "wasm32-unknown-unknown";

/// What Debian calls the compiler and the sources of its library.
const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// What the cache's folder is called; another when it is made in another way.
const FOLDER: &str = "cloudnestle/wasm-toolchain-3";

/// A panic is a trap and nothing else: nobody sees its words or its place, and the face knows that there was
/// one. With them, a module is a tenth larger. Nor does `{:?}` write anything in a module: what somebody is to read is said in
/// another way.
const QUIET: &str =
    "-Zlocation-detail=none -Zfmt-debug=none -Zunstable-options -Cpanic=immediate-abort";

/// Says that a toolchain is complete, and which it is.
const READY: &str = "ready";

/// What compiles.
pub(crate) enum Toolchain {
    /// The machine's own.
    Own,
    /// One of Debian's packages, by its folder.
    Made(PathBuf),
}

impl Toolchain {
    /// Has cargo compile with it, into a folder of its own: another compiler would have everything in the
    /// usual one built anew.
    pub(crate) fn use_for(&self, cargo: &mut Command, folder: &Path) -> Result<()> {
        cargo.env("CARGO_TARGET_DIR", folder);
        let Toolchain::Made(prefix) = self else { return Ok(()) };
        cargo.env("RUSTC", prefix.join("bin/rustc"));
        // A stable compiler has to be asked for that twice.
        cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", QUIET);
        // Cargo knows a compiler by its version, and would go on with what an earlier one of that version
        // has built over another standard library.
        let (made, used) = (fs::read(prefix.join(READY))?, folder.join(READY));
        if folder.exists() && fs::read(&used).ok().as_ref() != Some(&made) {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        fs::write(used, made).context("the compiler can't be noted as used")
    }
}

/// The compiler, made if there is none.
pub(crate) fn toolchain() -> Result<Toolchain> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let library =
        output(Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]));
    if library.is_ok_and(|library| Path::new(library.trim()).exists()) {
        return Ok(Toolchain::Own);
    }
    let prefix = cache()?.join(FOLDER);
    if !prefix.join(READY).exists() {
        step("a compiler for WebAssembly, of Debian's packages");
        make(&prefix)?;
    }
    Ok(Toolchain::Made(prefix))
}

/// The user's folder for what can be made again (XDG Base Directory Specification).
fn cache() -> Result<PathBuf> {
    let set = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let home = || Some(std::env::home_dir()?.join(".cache"));
    set.or_else(home).context("there is no folder for a cache: set XDG_CACHE_HOME")
}

fn make(prefix: &Path) -> Result<()> {
    // What was interrupted begins anew.
    if prefix.exists() {
        fs::remove_dir_all(prefix)?;
    }
    fs::create_dir_all(prefix)?;
    let prefix = fs::canonicalize(prefix)?;
    unpack(&prefix)?;
    wrap_compilers(&prefix)?;
    find_library_sources(&prefix)?;
    link_linker(&prefix)?;
    build_library(&prefix)?;
    let made = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    fs::write(prefix.join(READY), made.as_nanos().to_string())
        .context("the compiler can't be noted as ready")
}

/// The packages' files, without their `usr`.
fn unpack(prefix: &Path) -> Result<()> {
    let folder = tempfile::tempdir_in(prefix)?;
    if download(folder.path()).is_err() {
        // A fresh machine has no list of packages, and an old list names what is no longer there.
        shell::run(Command::new("apt-get").args(["--quiet", "--quiet", "update"]))?;
        download(folder.path())?;
    }
    for entry in fs::read_dir(folder.path())? {
        let unpacked = Command::new("sh")
            .args([
                "-c",
                r#"dpkg-deb --fsys-tarfile "$1" | tar x -C "$2" --strip-components=2 ./usr"#,
            ])
            .args(["unpack".as_ref(), entry?.path().as_os_str(), prefix.as_os_str()])
            .status()?;
        ensure!(unpacked.success(), "a package can't be unpacked");
    }
    Ok(())
}

/// What would have to be installed, here and now: what is there already need not be.
fn download(folder: &Path) -> Result<()> {
    let mut simulate = Command::new("apt-get");
    simulate.args(["install", "--simulate", "--no-install-recommends"]).args(PACKAGES);
    let plan = output(&mut simulate)?;
    let planned = plan.lines().filter_map(|line| line.strip_prefix("Inst ")?.split_once(" ("));
    let (named, versions): (Vec<&str>, Vec<&str>) = planned.unzip();
    ensure!(!named.is_empty(), "Debian's {PACKAGES:?} are installed, and not for {TARGET}");
    // An old list may name what is still there, and too old for what it is to compile.
    let compiler = named.iter().position(|name| *name == PACKAGES[0]);
    let version = compiler.map_or("", |at| versions[at]);
    ensure!(
        release(version) >= release(env!("CARGO_PKG_RUST_VERSION")),
        "Debian's list of packages has {} {version}, and {} is needed",
        PACKAGES[0],
        env!("CARGO_PKG_RUST_VERSION")
    );
    let quiet = ["--quiet", "--quiet", "download"];
    shell::run(Command::new("apt-get").args(quiet).args(named).current_dir(folder))
}

/// The first two numbers of a compiler's version, `1.96.0+dfsg1-1 …`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Debian's compilers look for their library in the system's folders.
fn wrap_compilers(prefix: &Path) -> Result<()> {
    let (bin, lib) = (prefix.join("bin"), prefix.join("lib"));
    let mut folders = fs::read_dir(&lib)?.filter_map(|entry| Some(entry.ok()?.path()));
    let libraries = folders
        .find(|folder| folder.to_string_lossy().ends_with("-linux-gnu"))
        .context("the packages have no libraries")?;
    for program in ["rustc", "rustdoc"] {
        // Debian's name may be a link to a name with a version.
        let real = fs::canonicalize(bin.join(program))?;
        let moved = bin.join(format!("{program}.bin"));
        fs::rename(real, &moved)?;
        let wrapper = bin.join(program);
        let _ = fs::remove_file(&wrapper);
        fs::write(
            &wrapper,
            format!(
                "#!/bin/sh\nLD_LIBRARY_PATH='{}' exec '{}' \"$@\"\n",
                libraries.display(),
                moved.display()
            ),
        )?;
        fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    Ok(())
}

/// Where the compiler looks for the sources of its library.
fn find_library_sources(prefix: &Path) -> Result<()> {
    let sources = fs::read_dir(prefix.join("src"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("rustc-"))
        })
        .context("the packages have no sources")?;
    let place = prefix.join("lib/rustlib/src");
    fs::create_dir_all(&place)?;
    let link = place.join("rust");
    let _ = fs::remove_file(&link);
    Ok(std::os::unix::fs::symlink(sources, link)?)
}

/// The linker is that of the machine's own Rust.
fn link_linker(prefix: &Path) -> Result<()> {
    let host = output(Command::new("rustc").args(["--print", "host-tuple"]))?;
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let bin = Path::new("lib/rustlib").join(host.trim()).join("bin");
    let linker = Path::new(sysroot.trim()).join(&bin).join("rust-lld");
    if !linker.exists() {
        bail!(
            "{} is missing: the linker for WebAssembly comes with rustup's Rust",
            linker.display()
        );
    }
    fs::create_dir_all(prefix.join(&bin))?;
    let link = prefix.join(&bin).join("rust-lld");
    let _ = fs::remove_file(&link);
    Ok(std::os::unix::fs::symlink(linker, link)?)
}

/// Builds the standard library, small, by way of a crate that is empty, and keeps it.
fn build_library(prefix: &Path) -> Result<()> {
    let empty = tempfile::tempdir_in(prefix)?;
    fs::create_dir(empty.path().join("src"))?;
    fs::write(empty.path().join("src/lib.rs"), "")?;
    fs::write(
        empty.path().join("Cargo.toml"),
        "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [profile.release]\npanic = \"abort\"\nopt-level = \"z\"\n[workspace]\n",
    )?;
    let built = empty.path().join("target");
    shell::run(
        cargo_command(&["build", "--quiet", "--release", "--target", TARGET])
            .args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"])
            .env("RUSTC", prefix.join("bin/rustc"))
            // So that a stable cargo builds the library, which is of the compiler's own version.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", format!("-Cembed-bitcode=yes {QUIET}"))
            .env("CARGO_TARGET_DIR", &built)
            .current_dir(empty.path()),
    )?;
    let library = prefix.join("lib/rustlib").join(TARGET).join("lib");
    fs::create_dir_all(&library)?;
    for entry in fs::read_dir(built.join(TARGET).join("release/deps"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libempty") {
            fs::copy(&path, library.join(name))?;
        }
    }
    Ok(())
}
