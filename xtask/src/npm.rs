//! The npm package: the core as WebAssembly, the TypeScript face around it, and both packed and tried as
//! somebody would who installs it.
//!
//! All of it is made below `target/npm`: `sdk` is where the package is built, `consumer` has installed it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::bindings::{SHORT_NAMES, ShortNames};
use crate::projects;
use crate::shell::{self, cargo, cargo_command, output, step, target};
use crate::{sizes, wasm};

/// As in the root's `Cargo.toml`.
const WASM_BINDGEN: &str = "0.2.130";

/// Where the package's sources lie.
const SOURCES: &str = "sdk-wasm";

/// The package that starts the marketplace for tests; which binary, the environment says.
const LAUNCHER: &str = "mock-server/npm";

/// Where Debian puts the browser.
const CHROMIUM: &str = "/usr/bin/chromium";

/// What the package is built of, besides the WebAssembly.
const PARTS: [&str; 9] = [
    "package.json",
    "package-lock.json",
    ".npmrc",
    ".prettierignore",
    "README.md",
    "tsconfig.json",
    "build.mjs",
    "ts",
    "tests",
];

/// A module of the package, and how it is made.
struct Module {
    name: &'static str,
    features: &'static [&'static str],
    /// Of the root's `Cargo.toml`.
    profile: &'static str,
    /// What `wasm-opt` does to it.
    optimise: &'static [&'static str],
}

/// A server's has all, and is fast; a browser's takes no secret key, and is small.
const MODULES: [Module; 2] = [
    Module { name: "backend", features: &[], profile: "wasm-fast", optimise: &["-O3"] },
    Module {
        name: "client",
        features: &["--no-default-features", "--features=small"],
        profile: "wasm",
        // The second and third find other blocks for the same jumps. Below 1 KB is the end of the stack.
        optimise: &["--flatten", "--rereloop", "--low-memory-unused", "-Oz", "--converge"],
    },
];

/// How the bindings are made: so that the face can begin another instance.
const BINDINGS: [&str; 3] =
    ["--target=web", "--experimental-reset-state-function", "--out-name=core"];

/// What Rust's wasm32-unknown-unknown uses: the bindings' generator drops the list that is in the file.
const FEATURES: [&str; 7] = [
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// What is installed: the package, and what starts the server for tests.
pub(crate) struct Tarballs {
    pub(crate) package: PathBuf,
    pub(crate) launcher: PathBuf,
}

/// Builds the package, installs it from its tarball, and runs its tests there.
pub(crate) fn test() -> Result<()> {
    let package = build()?;
    sizes::check(&package)?;
    step("the npm package, installed from its tarball");
    cargo(&["build", "--locked", "--package=cloudnestle-mock-server"])?;
    let (consumer, tarballs) = install(&package)?;
    let server = fs::canonicalize(target().join("debug").join("cloudnestle-mock-server"))?;
    let run = |folder: &str| {
        let mut tests = Command::new("node");
        tests.arg("--test").args(test_files(&consumer, folder)?).current_dir(&consumer);
        tests.env("CLOUDNESTLE_MOCK_SERVER", &server);
        tests.env("CLOUDNESTLE_CONFORMANCE", fs::canonicalize("conformance")?);
        // Whose tools the scenarios are read with.
        tests.env("CLOUDNESTLE_BUILT_IN", fs::canonicalize(package.join("package.json"))?);
        shell::run(&mut tests)
    };
    run("tests")?;
    step("the conformance scenarios on Node");
    run("tests/conformance")?;
    need_chromium()?;
    step("the npm package in Chromium");
    run("tests/browser")?;
    projects::test(&tarballs, &server)
}

/// Installs the browser where it is missing. `CLOUDNESTLE_CHROMIUM` names another.
fn need_chromium() -> Result<()> {
    if std::env::var_os("CLOUDNESTLE_CHROMIUM").is_some() || Path::new(CHROMIUM).exists() {
        return Ok(());
    }
    step("Chromium, of Debian's packages");
    let apt =
        |args: &[&str]| shell::run(Command::new("apt-get").args(["--quiet", "--quiet"]).args(args));
    let install = ["install", "--yes", "--no-install-recommends", "chromium"];
    if apt(&install).is_err() {
        // A fresh machine has no list of packages, and an old list names what is no longer there.
        apt(&["update"])?;
        apt(&install)?;
    }
    Ok(())
}

/// The package and the server's launcher, packed.
pub(crate) fn packed() -> Result<Tarballs> {
    Ok(install(&build()?)?.1)
}

/// Runs an example as a program that has installed the package.
pub(crate) fn run_example(example: &str, environment: &[(&str, String)]) -> Result<()> {
    let (consumer, _) = install(&build()?)?;
    let program = Path::new(example).file_name().context("an example is a file")?;
    copy(Path::new(example), &consumer.join(program))?;
    step(&format!("running {example} against it"));
    let environment = environment.iter().map(|(name, value)| (name, value));
    shell::run(Command::new("node").arg(program).envs(environment).current_dir(&consumer))
}

/// The folder in which the package was built.
fn build() -> Result<PathBuf> {
    let toolchain = wasm::toolchain()?;
    step("the core as WebAssembly");
    let mut modules = Vec::new();
    for module in &MODULES {
        modules.push((module, compile(&toolchain, module)?));
    }
    let bindgen = wasm_bindgen()?;

    step("the npm package");
    let package = target().join("npm").join("sdk");
    fs::create_dir_all(&package)?;
    for part in PARTS {
        copy(&Path::new(SOURCES).join(part), &package.join(part))?;
    }
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        copy(Path::new(licence), &package.join(licence))?;
    }
    let ci = ["ci", "--loglevel=error", "--no-audit", "--no-fund", "--ignore-scripts"];
    shell::run(Command::new("npm").args(ci).current_dir(&package))?;
    let form =
        ["--no-install", "prettier", "--check", "--log-level=warn", "ts", "tests", "build.mjs"];
    shell::run(Command::new("npx").args(form).current_dir(&package))?;
    for (module, compiled) in modules {
        bind(&bindgen, module, &compiled, &package)?;
    }
    shell::run(Command::new("node").arg("build.mjs").current_dir(&package))?;
    Ok(package)
}

/// A module, as the compiler leaves it.
fn compile(toolchain: &wasm::Toolchain, module: &Module) -> Result<Vec<u8>> {
    let folder = target().join("wasm");
    let profile = format!("--profile={}", module.profile);
    let mut build = cargo_command(&[
        "build",
        "--locked",
        "--quiet",
        "--lib",
        &profile,
        "--target=wasm32-unknown-unknown",
        "--package=cloudnestle-marketplace-wasm",
    ]);
    toolchain.use_for(build.args(module.features), &folder)?;
    shell::run(&mut build)?;
    let built = folder.join("wasm32-unknown-unknown").join(module.profile);
    // Read now: another may have the same name.
    fs::read(built.join("cloudnestle_marketplace_wasm.wasm")).context("the module can't be read")
}

/// Puts the bindings and the optimised WebAssembly of a module into `wasm/` of the package, unless they are there
/// already, made of the same bytes by the same words.
fn bind(bindgen: &Path, module: &Module, bytes: &[u8], package: &Path) -> Result<()> {
    let name = module.name;
    let out = package.join("wasm").join(name);
    let compiled = package.join(format!("{name}.wasm"));
    let bound = package.join(format!("{name}.bound"));
    let optimise = [module.optimise, &["--strip-producers"]].concat();
    let words = [&[WASM_BINDGEN], &BINDINGS[..], &optimise, &[SHORT_NAMES], &FEATURES[..]];
    let words = words.concat().join(" ");
    let made_of = [words.as_bytes(), bytes].concat();
    if fs::read(&bound).is_ok_and(|bound| bound == made_of) {
        return Ok(());
    }
    fs::write(&compiled, bytes)?;
    shell::run(Command::new(bindgen).args(BINDINGS).arg("--out-dir").arg(&out).arg(&compiled))?;
    let core = out.join("core_bg.wasm");
    let wasm_opt = |how: &[&str]| {
        let mut command = Command::new(package.join("node_modules/.bin/wasm-opt"));
        command.args(how).args(FEATURES).arg(&core).arg("-o").arg(&core);
        command
    };
    shell::run(&mut wasm_opt(&optimise))?;
    // By itself: what is done over until nothing changes would name things over, too.
    let names = output(&mut wasm_opt(&[SHORT_NAMES]))?;
    let bindings = out.join("core.js");
    let long = fs::read_to_string(&bindings)?;
    fs::write(&bindings, ShortNames::told(&names)?.put_into(&long))?;
    println!("the {name}'s module has {} KB", fs::metadata(&core)?.len() / 1024);
    fs::remove_file(compiled)?;
    fs::write(bound, made_of).context("what was bound can't be noted")
}

/// The bindings' generator, built once below `target/`. Not by its lock file, which names crates that not
/// every registry has.
fn wasm_bindgen() -> Result<PathBuf> {
    let root = target().join("tools");
    let binary = root.join("bin").join("wasm-bindgen");
    let installed = output(Command::new(&binary).arg("--version")).unwrap_or_default();
    if !installed.trim_end().ends_with(WASM_BINDGEN) {
        step("the generator of bindings");
        let version = format!("--version={WASM_BINDGEN}");
        let build = root.join("build-wasm-bindgen");
        shell::run(
            cargo_command(&["install", "wasm-bindgen-cli", "--debug", "--quiet", &version])
                .arg("--root")
                .arg(&root)
                .arg("--target-dir")
                .arg(&build),
        )?;
        fs::remove_dir_all(build)?;
    }
    Ok(binary)
}

/// A folder that has installed the tarballs of the package and of the server's launcher, and has the tests.
fn install(package: &Path) -> Result<(PathBuf, Tarballs)> {
    let consumer = target().join("npm").join("consumer");
    if consumer.exists() {
        fs::remove_dir_all(&consumer)?;
    }
    fs::create_dir_all(&consumer)?;
    let folder = fs::canonicalize(&consumer)?;
    let pack = |of: &Path| -> Result<PathBuf> {
        let pack = ["pack", "--silent", "--pack-destination"];
        let tarball = output(Command::new("npm").args(pack).arg(&folder).current_dir(of))?;
        Ok(folder.join(tarball.trim()))
    };
    let tarballs = Tarballs { package: pack(package)?, launcher: pack(Path::new(LAUNCHER))? };
    fs::write(consumer.join("package.json"), "{ \"private\": true, \"type\": \"module\" }\n")?;
    let install =
        ["install", "--loglevel=error", "--no-audit", "--no-fund", "--offline", "--omit=optional"];
    shell::run(
        Command::new("npm")
            .args(install)
            .args([&tarballs.package, &tarballs.launcher])
            .current_dir(&consumer),
    )?;
    copy(&package.join("tests"), &consumer.join("tests"))?;
    Ok((consumer, tarballs))
}

fn test_files(consumer: &Path, folder: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(consumer.join(folder))? {
        let name = entry?.file_name();
        if name.to_string_lossy().contains(".test.") {
            files.push(Path::new(folder).join(name));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Copies a file, or a folder in place of what is there.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        let copied = fs::copy(from, to);
        return copied.map(drop).with_context(|| format!("{} can't be copied", from.display()));
    }
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        copy(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}
