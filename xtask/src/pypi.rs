//! The Python packages: the core as a wheel with its typed face, the server as another, and both installed and
//! tried as somebody would who has neither the sources nor Rust.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::bench::budgets;
use crate::shell::{self, cargo, step, target};

/// Where the package's sources lie.
const SOURCES: &str = "sdk-python";

/// Where the server's do.
const SERVER: &str = "mock-server";

/// What the native module is of, told by the module itself.
const STUBS: &str = "cloudnestle_marketplace/_native.pyi";

/// Builds the wheels, installs them, and runs their tests.
pub(crate) fn test() -> Result<()> {
    let tools = Tools::install()?;
    step("the Python package");
    tools.stubs_are_true()?;
    // Of the source distribution, so that it is one that can be built. It has less than the lock file knows of.
    let package = tools.build(SOURCES, &["--release", "--sdist"])?;
    is_small(&package)?;
    cargo(&["build", "--locked", "--package=cloudnestle-mock-server"])?;
    let server = tools.build(SERVER, &["--locked"])?;
    let python =
        consumer("pypi/consumer", &format!("{SOURCES}/requirements.txt"), &[package, server])?;
    step("the Python package, checked");
    let settings = fs::canonicalize(SOURCES)?.join("pyproject.toml");
    let of_types = |module: &str| {
        let mut check = Command::new(&python);
        check.args(["-m", module]).current_dir(target().join("pypi"));
        check
    };
    let strictly = ["--project".as_ref(), settings.as_os_str(), "--pythonpath".as_ref()];
    shell::run(of_types("pyright").args(strictly).arg(&python))?;
    let package = "--package=cloudnestle_marketplace";
    shell::run(of_types("mypy").arg("--config-file").arg(&settings).arg(package))?;
    let module = ["cloudnestle_marketplace._native", "--concise"];
    shell::run(of_types("mypy.stubtest").args(module))?;
    step("the Python package, installed");
    let tests = fs::canonicalize(SOURCES)?.join("tests");
    shell::run(
        Command::new(&python)
            .args(["-m", "pytest", "--quiet", "--numprocesses=4", "-p", "no:cacheprovider"])
            .arg(tests)
            .env("CLOUDNESTLE_CONFORMANCE", fs::canonicalize("conformance")?)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("CLOUDNESTLE_MOCK_SERVER"),
    )
}

/// A Python that has installed the SDK's wheel beside what is required.
pub(crate) fn beside(requirements: &str) -> Result<PathBuf> {
    installed("pypi/bench", requirements)
}

fn installed(name: &str, requirements: &str) -> Result<PathBuf> {
    let package = Tools::install()?.build(SOURCES, &["--release", "--locked"])?;
    consumer(name, requirements, &[package])
}

/// Runs an example as a program of which the SDK is installed.
pub(crate) fn run_example(example: &str, environment: &[(&str, String)]) -> Result<()> {
    let python = installed("pypi/consumer", &format!("{SOURCES}/requirements.txt"))?;
    step(&format!("running {example} against it"));
    let environment = environment.iter().map(|(name, value)| (name, value));
    shell::run(Command::new(python).arg(example).envs(environment))
}

/// A Python that has installed wheels, and what is required.
fn consumer(name: &str, requirements: &str, wheels: &[PathBuf]) -> Result<PathBuf> {
    let python = std::path::absolute(shell::python(name, requirements)?)?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let anew = ["--force-reinstall", "--no-deps"];
    shell::run(Command::new(&python).args(install).args(anew).args(wheels))?;
    Ok(python)
}

/// Writes what the native module says of its types into the sources.
pub(crate) fn write_stubs() -> Result<()> {
    let told = Tools::install()?.stubs()?;
    fs::write(stubs_in_sources(), told).context("the stubs can't be written")
}

fn stubs_in_sources() -> PathBuf {
    Path::new(SOURCES).join("python").join(STUBS)
}

/// A Python that builds wheels.
struct Tools {
    folder: PathBuf,
}

impl Tools {
    fn install() -> Result<Self> {
        let python = shell::python("pypi/tools", &format!("{SOURCES}/requirements.txt"))?;
        let folder = python.parent().context("a program lies somewhere")?;
        Ok(Tools { folder: std::path::absolute(folder)? })
    }

    fn maturin(&self, command: &str, sources: &str) -> Result<Command> {
        let mut maturin = Command::new(self.folder.join("maturin"));
        maturin.args([command, "--quiet"]).current_dir(sources);
        maturin.env("CARGO_TARGET_DIR", std::path::absolute(target())?);
        Ok(maturin)
    }

    /// The wheel of a package.
    fn build(&self, sources: &str, how: &[&str]) -> Result<PathBuf> {
        let wheels = std::path::absolute(target())?.join("pypi/wheels").join(sources);
        if wheels.exists() {
            fs::remove_dir_all(&wheels)?;
        }
        shell::run(self.maturin("build", sources)?.args(how).arg("--out").arg(&wheels))?;
        for made in fs::read_dir(&wheels)? {
            let made = made?.path();
            if made.extension().is_some_and(|extension| extension == "whl") {
                return Ok(made);
            }
        }
        bail!("maturin has made no wheel")
    }

    fn stubs(&self) -> Result<String> {
        let folder = std::path::absolute(target().join("pypi/stubs"))?;
        let features = ["--locked", "--features", "stubs"];
        shell::run(
            self.maturin("generate-stubs", SOURCES)?.args(features).arg("--out").arg(&folder),
        )?;
        fs::read_to_string(folder.join(STUBS)).context("maturin has made no stubs")
    }

    fn stubs_are_true(&self) -> Result<()> {
        let kept = fs::read_to_string(stubs_in_sources()).unwrap_or_default();
        ensure!(kept == self.stubs()?, "{STUBS} is stale: cargo xtask pypi --write-stubs");
        Ok(())
    }
}

fn is_small(wheel: &Path) -> Result<()> {
    let (bytes, budget) = (wheel.metadata()?.len(), budgets()?.wheel_bytes);
    println!("the wheel has {bytes} bytes, budget {budget}");
    ensure!(bytes <= budget, "the wheel is over its budget");
    Ok(())
}
