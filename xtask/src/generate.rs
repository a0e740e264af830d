//! Files that are made of the code, so that they can't say what it doesn't. They are kept in the
//! repository, to be read there; `lint` fails when one is stale.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, bail};
use cloudnestle_marketplace::Code;

use crate::shell::{cargo_command, output};
use crate::typescript;

/// Every generated file: where it lies, and what it must say.
fn files() -> Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("docs/errors.md", errors()),
        ("docs/openapi.json", openapi()?),
        ("docs/postman.json", told_by_the_server("postman")?),
        ("sdk-wasm/ts/catalogue.ts", typescript::catalogue()?),
        ("sdk-wasm/ts/model.ts", typescript::model(&openapi()?)?),
        ("conformance/jwt/attacks.json", printed_by("jwt-attacks")?),
        ("conformance/README.md", printed_by("coverage")?),
    ])
}

pub(crate) fn write() -> Result<()> {
    for (path, content) in files()? {
        fs::write(path, content).with_context(|| format!("{path} can't be written"))?;
        println!("{path}");
    }
    Ok(())
}

pub(crate) fn check() -> Result<()> {
    for (path, content) in files()? {
        if fs::read_to_string(path).unwrap_or_default() != content {
            bail!("{path} is not what the code makes of it: run `cargo xtask generate`");
        }
        println!("{path} is up to date");
    }
    Ok(())
}

fn openapi() -> Result<String> {
    told_by_the_server("openapi")
}

/// What the server's program prints about itself when it is given this command.
fn told_by_the_server(command: &str) -> Result<String> {
    let run = ["run", "--quiet", "--locked", "--package=cloudnestle-mock-server", "--", command];
    output(&mut cargo_command(&run))
}

/// What a program of `conformance` prints: tokens that every face must refuse, or which promise is put to
/// what.
fn printed_by(program: &str) -> Result<String> {
    output(&mut cargo_command(&[
        "run",
        "--quiet",
        "--locked",
        "--package=cloudnestle-conformance",
        "--bin",
        program,
    ]))
}

/// The catalogue of errors, a heading a code, so that each can be linked to.
fn errors() -> String {
    let mut page = String::from(
        "<!-- Made of sdk-core/src/model/code.rs by `cargo xtask generate`. -->\n\
         # Errors\n\n\
         Every error, of the SDK and of the API, has one of these codes. They are stable: programs may match on them.\n\n\
         * **Status** is the API's; an error without one is met by the SDK alone.\n\
         * **Passing** errors may be gone when the same call is made again. The SDK has then tried already, within the call's\n  \
           time. Others last until somebody does what the advice says.\n\
         * **Refuses the user**: do not let them in. Other errors of a validation say that nobody knows.\n",
    );
    for code in Code::ALL {
        let status = match code.status() {
            0 => "met by the SDK".to_owned(),
            status => format!("status {status}"),
        };
        let passing = if code.is_retryable() { ", passing" } else { "" };
        let refuses = if code.refuses_user() { ", refuses the user" } else { "" };
        let (reason, advice) = (code.reason(), code.advice());
        // Writing to a string can't fail.
        let _ =
            write!(page, "\n## {code}\n\n{reason} *({status}{passing}{refuses})*\n\n{advice}\n");
    }
    page
}
