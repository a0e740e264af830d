//! Prints `conformance/README.md` with the table of promises as the scenarios make it.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let readme = include_str!("../../README.md");
    let scenarios = cloudnestle_conformance::scenarios()?;
    print!("{}", cloudnestle_conformance::coverage::in_readme(readme, &scenarios)?);
    Ok(())
}
